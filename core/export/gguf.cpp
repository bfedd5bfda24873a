// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/export/export.h"
#include "core/export/gguf_files.h"
#include "core/export/gguf_layout.h"

#include <algorithm>
#include <array>

namespace ql {

namespace {

Result<void> acceptsModel(const Model& model)
{
    const std::string& reader = model.checkpoint->reader();
    if (reader != "gguf" && reader != "huggingface")
        return refused("gguf is written from a GGUF file or a Llama-family Hugging Face folder; this was read by '" +
                           reader + "': use the target hdf5",
                       model.checkpoint->path().string());
    QL_TRY(made, ggufout::parts(model));
    return {};
}

Result<void> accepts(const Model&, const Layer& layer, const Candidate& candidate)
{
    const Scheme& scheme = candidate.weights;
    if (candidate.activations)
        return refused("GGUF holds weights only; leave +a: out", layer.name);
    if (scheme.isKeep())
        return {};
    if (!scheme.additions.empty())
        return refused("GGUF holds blocks of codes only; leave " + printAdditions(scheme.additions) +
                           " out, or use the target hdf5",
                       layer.name);
    const auto type = ggufout::blockTypeOf(scheme);
    if (!type)
        return refused("GGUF holds its own types (gguf:q4_0, gguf:q4_k, …), f16, bf16, f32 and keep; " +
                           printScheme(scheme) + " is none of them",
                       layer.name);
    if (layer.shape.size() < 2)
        return refused("has one dimension and stays float32 in GGUF files; use keep", layer.name);
    const std::int64_t cols = layer.shape.back();
    if (info(*type).isGgml && cols % info(*type).blockElements != 0)
        return refused("rows of " + std::to_string(cols) + " do not divide by the block of " +
                           std::to_string(info(*type).blockElements) + " of " + std::string(info(*type).word) +
                           (cols % 32 == 0 ? "; use a type with blocks of 32, e.g. gguf:iq4_nl, gguf:q5_1 or gguf:q8_0"
                                           : "; use f16, bf16 or keep"),
                       layer.name);
    return {};
}

Candidate complete(const Model&, const Layer&, const Candidate& candidate)
{
    return candidate; // the names fix every part
}

/// Those of the types that the layer can hold, and keep.
std::vector<Candidate> offered(std::span<const char* const> types, const Model& model, const Layer& layer)
{
    std::vector<Candidate> list;
    for (const char* type : types) {
        auto scheme = parseScheme(std::string("gguf:") + type);
        if (!scheme)
            continue;
        const Candidate candidate{std::move(scheme).value(), {}, {.id = "imatrix", .option = "", .values = {}}};
        if (accepts(model, layer, candidate))
            list.push_back(candidate);
    }
    if (auto keep = parseScheme("keep"))
        list.push_back({std::move(keep).value(), {}, {}});
    return list;
}

std::vector<Candidate> menu(const Model& model, const Layer& layer)
{
    // By size, then by quality; every type that the layer can hold.
    static constexpr std::array kTypes{"tq1_0", "iq2_xxs", "tq2_0", "iq2_xs", "iq2_s", "q2_k",   "iq3_xxs",
                                       "q3_k",  "iq3_s",   "mxfp4", "iq4_xs", "q4_0",  "iq4_nl", "q4_k",
                                       "q4_1",  "q5_0",    "q5_k",  "q5_1",   "q6_k",  "q8_0"};
    return offered(kTypes, model, layer);
}

/// The best of their size: K and IQ types where rows are whole blocks of 256, elsewhere those of 32.
std::vector<Candidate> usual(const Model& model, const Layer& layer)
{
    static constexpr std::array kOf256{"iq2_s", "iq3_s", "iq4_xs", "q4_k", "q5_k", "q6_k", "q8_0"};
    static constexpr std::array kOf32{"iq4_nl", "q5_0", "q5_1", "q8_0"};
    const bool whole = !layer.shape.empty() && layer.shape.back() % 256 == 0;
    return whole ? offered(kOf256, model, layer) : offered(kOf32, model, layer);
}

std::vector<Tie> ties(const Model&)
{
    return {};
}

Dtype restoreDtype(const Model&, const Layer&)
{
    return Dtype::f32;
}

Result<std::int64_t> fileBytes(const Model& model, const Plan& plan)
{
    Plan completed = plan;
    completed.target = "gguf";
    for (std::size_t i = 0; i < model.layers.size(); ++i)
        if (model.layers[i].quantizable)
            QL_CHECK(accepts(model, model.layers[i], completed.candidates[i]));
    QL_TRY(layout, ggufout::layOut(model, completed));
    return layout.totalBytes();
}

} // namespace

namespace targets {
extern const Target gguf;
const Target gguf{
    .profile{.id = "gguf",
             .title = "GGUF",
             .loadedBy = "llama.cpp, Ollama, LM Studio",
             .source = "ggml-org/ggml, docs/gguf.md",
             .acceptsModel = acceptsModel,
             .accepts = accepts,
             .complete = complete,
             .menu = menu,
             .usual = usual,
             .ties = ties,
             .restoreDtype = restoreDtype,
             .fileBytes = fileBytes},
    .extension = ".gguf",
    .write = ggufout::writeFile,
    .embeddedPlan = ggufout::readPlan,
    .verify = ggufout::verifyFile,
};
} // namespace targets

} // namespace ql
