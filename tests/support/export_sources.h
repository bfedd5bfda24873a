// SPDX-License-Identifier: GPL-3.0-or-later
// What tests of all targets share: models to export, plans that mix what a target takes, and the check that an export
// is as large as was promised and reads back as it was meant.
#pragma once

#include "tests/support/export_support.h"
#include "tests/support/tiny_llama.h"

#include <QTest>

namespace ql::test {

/// A model of two blocks and the folder that it lies in.
struct Source {
    std::shared_ptr<const Model> model;
    std::unique_ptr<TemporaryFolder> folder;
};

/// kind: "folder" or "gguf", then words that change the model.
inline Source openSource(const QByteArray& kind, const JobContext& context)
{
    TinyLlama tiny;
    if (kind.contains("untied"))
        tiny.tied = false;
    if (kind.contains("bias"))
        tiny.biases = true;
    if (kind.contains("f16"))
        tiny.dtype = "F16";
    if (kind.contains("f32"))
        tiny.dtype = "F32";
    if (kind.contains("llama3"))
        tiny.config["rope_scaling"] = {{"rope_type", "llama3"}, {"factor", 8.0}};
    if (kind.contains("wide")) { // every row holds blocks of 256
        tiny.hidden = 256;
        tiny.heads = 8;
    }
    if (kind.contains("large")) {
        tiny.inner = 16384;
        tiny.blocks = 4;
    }
    Source source{{}, std::make_unique<TemporaryFolder>()};
    const bool gguf = kind.startsWith("gguf");
    const auto path = *source.folder / (gguf ? "model.gguf" : "model");
    gguf ? tiny.writeGguf(path) : tiny.writeFolder(path);
    auto model = openModel(path, context);
    if (!model)
        throw std::runtime_error(describe(model.error()));
    source.model = std::move(model).value();
    return source;
}

inline std::vector<std::string> words(const QByteArray& text)
{
    std::vector<std::string> list;
    for (const QByteArray& part : text.split(' '))
        if (!part.isEmpty())
            list.push_back(part.toStdString());
    return list;
}

inline constexpr char kMixedCt[] =
    "*self_attn*proj*=int8:g64@rtn:ct *o_proj*=keep *mlp*=int4:g32 *down_proj*=int4:channel@mse:steps=8";
inline constexpr char kEveryFormat[] =
    "*0.self_attn*=nvfp4 *1.self_attn*=mxfp4 *o_proj*=int4:g32:asym *0.mlp*=fp8_e4m3:channel *1.mlp*=int8:g64:asym "
    "*0.mlp.down*=int8:channel+a:int8:token *1.mlp.down*=fp8_e4m3+a:fp8_e4m3:token *1.*o_proj*=fp8_e4m3:tensor";
inline constexpr char kMixedFolder[] =
    "*q_proj*=gguf:q4_0@rtn:ggml *k_proj*=gguf:q8_0 *v_proj*=gguf:q5_0 *o_proj*=gguf:q5_1@rtn:ggml "
    "*up_proj*=gguf:q4_1 *gate_proj*=f16 *embed*=gguf:q8_0@rtn:ggml *1.mlp.down*=f32";
inline constexpr char kMixedGguf[] =
    "*attn_q.*=gguf:q4_0@rtn:ggml *attn_k.*=gguf:q8_0 *attn_v.*=gguf:q5_0 *ffn_up*=gguf:q4_1 "
    "*ffn_gate*=gguf:q5_1@mse:steps=8 token_embd*=bf16 *ffn_down*=f16";
inline constexpr char kMixedHdf5[] =
    "*q_proj*=int4:g64 *k_proj*=int3:g50:asym *v_proj*=nvfp4 *o_proj*=mxfp4 *up_proj*=gguf:q4_1 "
    "*0.mlp.gate*=nf4:g64 *1.mlp.gate*=mxint8 *0.mlp.down*=f16 *1.mlp.down*=int8:tensor";

inline const Target& targetOf(const QByteArray& id)
{
    return *findTarget(id.toStdString()).value();
}

/// Of rows that are each a model's kind, a target and a plan.
inline void exportColumns()
{
    for (const char* column : {"source", "id", "plan"})
        QTest::addColumn<QByteArray>(column);
}

/// Rows of one column, id: every target.
inline void allTargetsAsRows()
{
    QTest::addColumn<QByteArray>("id");
    for (const Target* each : allTargets()) {
        const QByteArray id(each->profile.id.data(), static_cast<qsizetype>(each->profile.id.size()));
        QTest::newRow(id.constData()) << id;
    }
}

/// Fails the test unless the plan's files have the bytes that the target's profile promises, and verify.
inline void checkSizesAndFiles(const QByteArray& source, const QByteArray& id, const QByteArray& plan,
                               const JobContext& context)
{
    const Source opened = openSource(source, context);
    const Model& model = *opened.model;
    const TemporaryFolder out;
    const Plan wanted = planOf(model, words(plan));
    const auto promised = targetOf(id).profile.fileBytes(model, wanted);
    QVERIFY2(promised.has_value(), promised ? "" : describe(promised.error()).c_str());
    const auto path = out / ("export" + std::string(targetOf(id).extension));
    const auto written = exportPlan(targetOf(id), {model, wanted, nullptr}, path, context);
    QVERIFY2(written.has_value(), written ? "" : describe(written.error()).c_str());
    QCOMPARE(bytesOnDisk(path), *promised);
    std::int64_t sum = 0;
    for (const WrittenFile& file : *written) {
        QCOMPARE(file.sizeBytes, bytesOnDisk(file.name.empty() ? path : path / file.name));
        sum += file.sizeBytes;
    }
    QCOMPARE(sum, *promised);
    QCOMPARE(out.entries(), std::size_t{1});
    const auto report = verifyExport(model, path, nullptr, context);
    QVERIFY2(report.has_value(), report ? "" : describe(report.error()).c_str());
    QVERIFY2(report->ok(), problemsOf(*report).c_str());
    QVERIFY(report->tensors.size() >= model.layers.size());
}

} // namespace ql::test
