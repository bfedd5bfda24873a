// SPDX-License-Identifier: GPL-3.0-or-later
// What every target promises, over the registry: exact sizes, files that verify, refusals before work starts, and
// nothing left behind when it does not work out.
#include "core/formats/block_format.h"
#include "core/formats/matrix_format.h"
#include "tests/support/export_sources.h"

#include <sys/resource.h>

#include <QTest>

#include <csignal>
#include <thread>

using namespace ql;
using namespace ql::test;

namespace {

constexpr char kSums[] =
    "*q_proj*=int4:g64+lr8 *k_proj*=int3:g50:asym+sparse1 *v_proj*=nvfp4+cols5 *o_proj*=int4:g64:min+cols2 "
    "*up_proj*=gguf:q4_k+cols1+sparse0.5+lr3 *gate*=binary:g64+cols4+lr2@mean "
    "*down*=int8:tensor+sparse0.1+lr1 *embed*=int4:g64+sparse0.01";

} // namespace

class TargetsTest : public QObject {
    Q_OBJECT

    Executor m_executor{2};
    JobContext m_context{m_executor};

private Q_SLOTS:
    void sizesAreExactAndFilesVerify_data()
    {
        exportColumns();
        const QByteArray ct = "compressed-tensors";
        QTest::newRow("ct mixed") << QByteArray("folder") << ct << QByteArray(kMixedCt);
        QTest::newRow("ct f16") << QByteArray("folder f16") << ct << QByteArray(kMixedCt);
        QTest::newRow("ct f32") << QByteArray("folder f32") << ct << QByteArray(kMixedCt);
        QTest::newRow("ct untied, bias") << QByteArray("folder untied bias") << ct << QByteArray(kMixedCt);
        QTest::newRow("ct every width")
            << QByteArray("folder") << ct
            << QByteArray("*0.self_attn*=int2:g64 *1.self_attn*=int3:channel *0.mlp.down*=int5:g32@mse "
                          "*1.mlp.down*=int6:channel *0.mlp.gate*=int7:g64 *0.mlp.up*=int7:g64 *o_proj*=int3:g32");
        QTest::newRow("ct every format") << QByteArray("folder") << ct << QByteArray(kEveryFormat);
        QTest::newRow("ct floats in an f16 model, bias")
            << QByteArray("folder f16 untied bias") << ct
            << QByteArray("*self_attn*=fp8_e4m3 *mlp*=fp8_e4m3:tensor *down*=fp8_e4m3+a:fp8_e4m3:token");
        QTest::newRow("ct floats and zero points in an f32 model")
            << QByteArray("folder f32") << ct
            << QByteArray("*self_attn*=int8:g32:asym *o_proj*=fp8_e4m3 *mlp*=int4:asym@mse:steps=8");
        QTest::newRow("ct one format of floats")
            << QByteArray("folder") << ct << QByteArray("*proj*=nvfp4@mse:steps=8");
        QTest::newRow("ct keep") << QByteArray("folder") << ct << QByteArray();
        QTest::newRow("ct one layer") << QByteArray("folder") << ct << QByteArray("*1.mlp.down_proj*=int8:g128");
        QTest::newRow("gguf from folder") << QByteArray("folder") << QByteArray("gguf") << QByteArray(kMixedFolder);
        QTest::newRow("gguf from f16 folder, llama3 rope, bias")
            << QByteArray("folder f16 untied bias llama3") << QByteArray("gguf") << QByteArray(kMixedFolder);
        QTest::newRow("gguf from folder, keep") << QByteArray("folder f32") << QByteArray("gguf") << QByteArray();
        QTest::newRow("gguf from gguf") << QByteArray("gguf f16") << QByteArray("gguf") << QByteArray(kMixedGguf);
        QTest::newRow("gguf from gguf, keep") << QByteArray("gguf") << QByteArray("gguf") << QByteArray();
        QTest::newRow("hdf5 mixed") << QByteArray("folder") << QByteArray("hdf5") << QByteArray(kMixedHdf5);
        QTest::newRow("hdf5 f32") << QByteArray("folder f32 untied") << QByteArray("hdf5") << QByteArray(kMixedHdf5);
        QTest::newRow("hdf5 codebooks")
            << QByteArray("folder") << QByteArray("hdf5")
            << QByteArray("*q_proj*=ternary:g64@mean *k_proj*=levels(-1,0,0.5,1) *v_proj*=binary:g50@mean:median "
                          "*o_proj*=pow4_69:s=f16 *up_proj*=ds3:g64@mse *gate*=khot8_2:tensor *down*=fixed8@mse");
        QTest::newRow("hdf5 sums of parts") << QByteArray("folder wide") << QByteArray("hdf5") << QByteArray(kSums);
        QTest::newRow("hdf5 sums of parts of gguf")
            << QByteArray("gguf f16") << QByteArray("hdf5") << QByteArray("*ffn*=int4+cols3+sparse2+lr4");
        QTest::newRow("hdf5 keep") << QByteArray("gguf f16") << QByteArray("hdf5") << QByteArray();
        QTest::newRow("hdf5 of gguf") << QByteArray("gguf") << QByteArray("hdf5") << QByteArray(kMixedGguf);
    }
    void sizesAreExactAndFilesVerify()
    {
        QFETCH(QByteArray, source);
        QFETCH(QByteArray, id);
        QFETCH(QByteArray, plan);
        checkSizesAndFiles(source, id, plan, m_context);
    }

    void refusalsNameLayerAndMend_data()
    {
        exportColumns();
        QTest::addColumn<QByteArray>("says"); // parts of the sentence, separated by |
        const QByteArray ct = "compressed-tensors";
        const QByteArray folder = "folder";
        const auto row = [&](const char* name, const QByteArray& source, const QByteArray& id, const char* plan,
                             const char* says) {
            QTest::newRow(name) << source << id << QByteArray(plan) << QByteArray(says);
        };
        row("ct divides", folder, ct, "*q_proj*=int4:g128", "layers.0.self_attn.q_proj|192|128|int4:g64 does");
        row("ct tie", folder, ct, "*q_proj*=int4:g64 *k_proj*=int4:g64", "v_proj|keep|fuses q, k and v");
        row("ct tie gate", folder, ct, "*gate_proj*=int4:g64 *up_proj*=int8:g64",
            "up_proj|gate_proj|fuses gate and up");
        row("ct asym", folder, ct, "*down*=int5:g64:asym", "down_proj|4 and 8 bits|symmetric");
        row("ct minimum", folder, ct, "*down*=int4:g64:min", "down_proj|:min|zero point");
        row("ct asym divides", folder, ct, "*q_proj*=int4:g128:asym", "q_proj|192|128|int4:g64 does");
        row("ct fp8 group", folder, ct, "*down*=fp8_e4m3:g128", "down_proj|128 × 128|fp8_e4m3:channel");
        row("ct fp8 scale", folder, ct, "*down*=fp8_e4m3:s=f32", "down_proj|s=bf16");
        row("ct fp8 of e5m2", folder, ct, "*down*=fp8_e5m2", "down_proj|fp8_e5m2|none of them");
        row("ct mxfp4 of f16", "folder f16", ct, "*down*=mxfp4", "down_proj|mxfp4|f16|int4:g32");
        row("ct nvfp4 of f32", "folder f32", ct, "*down*=nvfp4", "down_proj|nvfp4|f32|int4:g32");
        row("ct mxfp4 tie", folder, ct, "*q_proj*=nvfp4 *k_proj*=nvfp4 *v_proj*=mxfp4",
            "v_proj|mxfp4|fuses q, k and v");
        row("ct tie of inputs", folder, ct, "*gate_proj*=int8+a:int8 *up_proj*=int8", "up_proj|fuses gate and up");
        row("ct static inputs", folder, ct, "*down*=fp8_e4m3+a:fp8_e4m3:tensor:static",
            "down_proj|+a:fp8_e4m3:token|leave +a:");
        row("ct inputs of groups", folder, ct, "*down*=int8:g64+a:int8:token", "down_proj|int8:channel+a:int8:token");
        row("ct inputs of int4", folder, ct, "*down*=int4+a:int8:token", "down_proj|leave +a:int8 out");
        row("ct inputs of keep", folder, ct, "*down*=keep+a:int8:token", "down_proj|leave +a: out");
        row("ct low rank", folder, ct, "*down*=int4:g64+lr8", "down_proj|+lr8|hdf5");
        row("gguf sparse", folder, "gguf", "*down*=gguf:q4_0+sparse1", "down_proj|+sparse1|hdf5");
        row("ct restricted", folder, ct, "*down*=int4:g64:restricted", "down_proj|:restricted");
        row("ct scale", folder, ct, "*down*=int4:g64:s=f16", "down_proj|s=bf16");
        row("ct group", folder, ct, "*down*=int4:g16", "down_proj|32, 64 or 128");
        row("ct tensor", folder, ct, "*down*=int8:tensor", "down_proj|int8:channel");
        row("ct format", folder, ct, "*down*=int3:g64:asym", "down_proj|symmetric");
        row("ct float", folder, ct, "*down*=e2m1:g64", "down_proj|int2 to int8");
        row("ct embedding", folder, ct, "*embed*=int4:g64", "embed_tokens|keep");
        row("ct cast", folder, ct, "*down*=f16", "down_proj|keep");
        row("ct head", "folder untied", ct, "lm_head*=int8:g64", "lm_head|keep");
        row("ct activations", folder, ct, "*down*=int8:channel+a:int8:tensor", "down_proj|+a:");
        row("ct from gguf", "gguf", ct, "", "Hugging Face folder|gguf|hdf5");
        row("gguf scheme", folder, "gguf", "*down*=int4:g32", "down_proj|gguf:q4_0");
        row("gguf k", folder, "gguf", "*down*=int4:g64", "down_proj|none of them");
        for (const BlockFormat* format : allBlockFormats())
            if (format->elements == 256) {
                const std::string plan = "*q_proj*=" + std::string(format->id);
                row(("gguf block " + plan).c_str(), folder, "gguf", plan.c_str(), "q_proj|192|256|gguf:iq4_nl");
                row(("hdf5 block " + plan).c_str(), folder, "hdf5", plan.c_str(), "q_proj|192|256|gguf:iq4_nl");
            }
        for (const BlockFormat* format : allBlockFormats())
            if (!format->dtype) {
                const std::string plan = "*q_proj*=" + std::string(format->id);
                const std::string says = "q_proj|" + std::string(format->id);
                row(("gguf " + plan).c_str(), "folder wide", "gguf", plan.c_str(), (says + "|none of them").c_str());
                row(("ct " + plan).c_str(), "folder wide", ct, plan.c_str(), (says + "|int2 to int8").c_str());
            }
        for (const std::string& id : allMatrixFormatIds()) {
            const std::string plan = "*q_proj*=" + id;
            row(("gguf " + plan).c_str(), "folder wide", "gguf", plan.c_str(),
                ("q_proj|" + id + "|none of them").c_str());
            row(("ct " + plan).c_str(), "folder wide", ct, plan.c_str(), ("q_proj|" + id + "|int2 to int8").c_str());
        }
        row("gguf levels", folder, "gguf", "*down*=levels(-1,0,2):g64", "down_proj|levels(-1,0,2):g64|none of them");
        row("ct ternary", folder, ct, "*down*=ternary:g64", "down_proj|ternary:g64|int2 to int8");
        row("ct packed", folder, ct, "*down*=gguf:q4_k", "down_proj|int2 to int8");
    }
    void refusalsNameLayerAndMend()
    {
        QFETCH(QByteArray, source);
        QFETCH(QByteArray, id);
        QFETCH(QByteArray, plan);
        QFETCH(QByteArray, says);
        const Source opened = openSource(source, m_context);
        const TemporaryFolder out;
        const auto written = exportPlan(targetOf(id), {*opened.model, planOf(*opened.model, words(plan)), nullptr},
                                        out / "export", m_context);
        QVERIFY(!written);
        QCOMPARE(static_cast<int>(written.error().code), static_cast<int>(Errc::refused));
        const std::string text = describe(written.error());
        for (const QByteArray& part : says.split('|'))
            QVERIFY2(text.find(part.toStdString()) != std::string::npos, text.c_str());
        QCOMPARE(out.entries(), std::size_t{0});
    }

    void menusAreAcceptedAndComplete_data() { allTargetsAsRows(); }
    void menusAreAcceptedAndComplete()
    {
        QFETCH(QByteArray, id);
        const TargetProfile& profile = targetOf(id).profile;
        for (const std::string_view text : {profile.id, profile.title, profile.loadedBy, profile.source})
            QVERIFY(!text.empty());
        const Source opened = openSource("folder", m_context);
        const Model& model = *opened.model;
        QVERIFY(profile.acceptsModel(model).has_value());
        for (const Layer& layer : model.layers) {
            if (!layer.quantizable)
                continue;
            const auto menu = profile.menu(model, layer);
            QVERIFY(!menu.empty());
            QVERIFY(menu.back().weights.isKeep());
            for (const Candidate& candidate : menu) {
                QVERIFY2(profile.accepts(model, layer, candidate).has_value(), printCandidate(candidate).c_str());
                QVERIFY(profile.complete(model, layer, candidate) == candidate);
                QVERIFY(parseCandidate(printCandidate(candidate)).value() == candidate);
            }
            QVERIFY(profile.restoreDtype(model, layer) == Dtype::f32 ||
                    profile.restoreDtype(model, layer) == Dtype::bf16);
        }
        for (const std::int64_t index : model.quantizableLayers()) { // what is usual is some of the menu
            const Layer& layer = model.layers[static_cast<std::size_t>(index)];
            const auto menu = profile.menu(model, layer);
            const auto usual = usualMenu(profile, model, layer);
            QVERIFY(!usual.empty() && usual.size() <= std::max<std::size_t>(menu.size(), 1));
            QVERIFY(usual.back().weights.isKeep());
            for (const Candidate& candidate : usual)
                QVERIFY2(std::find(menu.begin(), menu.end(), candidate) != menu.end(),
                         printCandidate(candidate).c_str());
        }
        const auto all = usualCandidates(profile, model);
        QVERIFY(all.size() >= 4 && all.size() <= 12);
        for (const Tie& tie : profile.ties(model)) {
            QVERIFY(tie.layers.size() > 1);
            QVERIFY(!tie.reason.empty());
        }
        QCOMPARE(profile.ties(model).size(), id == "compressed-tensors" ? std::size_t{4} : std::size_t{0});
    }

    void cancelLeavesNothing_data() { allTargetsAsRows(); }
    void cancelLeavesNothing()
    {
        QFETCH(QByteArray, id);
        const Source opened = openSource("folder large", m_context);
        const Model& model = *opened.model;
        const Plan plan = planOf(model, {id == "gguf" ? "*mlp*=gguf:q4_0" : "*mlp*=int4:g64"});
        const TemporaryFolder out;
        for (const double at : {0.0, 0.05, 0.3}) {
            std::stop_source stop;
            Progress progress;
            const JobContext context(m_executor, stop.get_token(), &progress);
            const std::jthread watcher([&](const std::stop_token& end) {
                while (!end.stop_requested() && progress.fraction() < at)
                    std::this_thread::yield();
                stop.request_stop();
            });
            const auto written = exportPlan(targetOf(id), {model, plan, nullptr}, out / "export", context);
            QVERIFY(!written);
            QCOMPARE(static_cast<int>(written.error().code), static_cast<int>(Errc::cancelled));
            QCOMPARE(out.entries(), std::size_t{0});
        }
    }

    void fullDiskKeepsTheOldFile_data() { allTargetsAsRows(); }
    void fullDiskKeepsTheOldFile()
    {
        QFETCH(QByteArray, id);
        const Source opened = openSource("folder", m_context);
        const Model& model = *opened.model;
        const Plan plan = planOf(model, {id == "gguf" ? "*mlp*=gguf:q4_0" : "*mlp*=int4:g64"});
        const Plan admitted = admit(targetOf(id).profile, model, plan).value();
        const TemporaryFolder out;
        const auto path = out / "export";
        QVERIFY(exportPlan(targetOf(id), {model, plan, nullptr}, path, m_context).has_value());
        const std::int64_t before = bytesOnDisk(path);

        struct rlimit old {};
        ::getrlimit(RLIMIT_FSIZE, &old);
        const auto oldHandler = std::signal(SIGXFSZ, SIG_IGN);
        const std::int64_t bytes = targetOf(id).profile.fileBytes(model, admitted).value();
        const struct rlimit tight {
            static_cast<rlim_t>(bytes * 3 / 5), old.rlim_max
        };
        ::setrlimit(RLIMIT_FSIZE, &tight);
        const auto asked = exportPlan(targetOf(id), {model, plan, nullptr}, path, m_context);
        // without the question beforehand: the write itself fails in the middle
        const auto forced = targetOf(id).write({model, admitted, nullptr}, path, m_context);
        ::setrlimit(RLIMIT_FSIZE, &old);
        std::signal(SIGXFSZ, oldHandler);

        for (const auto& failed : {asked, forced}) {
            QVERIFY(!failed);
            QCOMPARE(static_cast<int>(failed.error().code), static_cast<int>(Errc::io));
        }
        QVERIFY2(asked.error().what.find("ulimit") != std::string::npos, asked.error().what.c_str());
        QCOMPARE(out.entries(), std::size_t{1});
        QCOMPARE(bytesOnDisk(path), before);
        QVERIFY(verifyExport(model, path, nullptr, m_context).value().ok());
    }

    void exportsReplaceOnlyExports()
    {
        const Source opened = openSource("folder", m_context);
        const Model& model = *opened.model;
        const TemporaryFolder out;
        const Target& ct = targetOf("compressed-tensors");
        const auto write = [&](const Target& to, const char* plan, const std::filesystem::path& path) {
            return exportPlan(to, {model, planOf(model, words(plan)), nullptr}, path, m_context);
        };
        QVERIFY(write(ct, "*mlp*=int4:g64", out / "a").has_value());
        QVERIFY(write(ct, "*mlp*=int8:g64", out / "a/").has_value());
        QVERIFY(verifyExport(model, out / "a", nullptr, m_context).value().ok());
        QCOMPARE(out.entries(), std::size_t{1});

        std::filesystem::create_directories(out / "mine");
        QVERIFY(write(ct, "", out / "mine").has_value()); // empty: taken
        std::filesystem::create_directories(out / "other");
        std::ofstream(out / "other/letter.txt") << "dear";
        const auto foreign = write(ct, "", out / "other");
        QVERIFY(!foreign);
        QCOMPARE(static_cast<int>(foreign.error().code), static_cast<int>(Errc::refused));
        QCOMPARE(contentOf(out / "other/letter.txt"), std::string("dear"));
        std::ofstream(out / "file") << "text";
        QVERIFY(!write(ct, "", out / "file"));
        QVERIFY(!write(ct, "", out / "missing/folder"));
        QVERIFY(!write(ct, "", model.checkpoint->path()));
        QVERIFY(!write(targetOf("hdf5"), "", model.checkpoint->path() / "model.safetensors"));
        QVERIFY(!write(targetOf("gguf"), "", out / "other"));
        QVERIFY(!write(targetOf("gguf"), "", {}));
    }
};

QTEST_APPLESS_MAIN(TargetsTest)
#include "targets_test.moc"
