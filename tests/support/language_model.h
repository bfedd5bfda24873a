// SPDX-License-Identifier: GPL-3.0-or-later
// A language model with its graph and windows of text, for tests of what codes do to it: what is known of its layers,
// and the change that a candidate makes.
#pragma once

#include "core/calibration/calibrated_activations.h"
#include "core/calibration/fisher.h"
#include "core/checkpoint/reader.h"
#include "core/model/frontends/frontend.h"
#include "core/realize/realize.h"
#include "tests/support/memory_sink.h"

#include <QTest>

namespace ql::test {

struct LanguageModel {
    std::shared_ptr<const Model> model;
    graph::Graph graph;
    Windows windows;
};

inline const std::filesystem::path kSampleFolder = std::filesystem::path(QL_SOURCE_DIR) / "resources/sample";

/// Ids: idOf(i) for each token.
template<typename IdOf>
LanguageModel languageModel(const std::filesystem::path& path, std::int64_t length, std::int64_t count,
                            const IdOf& idOf, const JobContext& context)
{
    LanguageModel made;
    made.model = openModel(path, context).value();
    made.graph = buildGraph(*made.model).value();
    made.windows.length = length;
    for (std::int64_t i = 0; i < length * count; ++i)
        made.windows.ids.push_back(idOf(i));
    return made;
}

/// The sample's own text, as ids.
inline std::vector<std::int64_t> sampleTokens(const JobContext& context)
{
    const auto file = openCheckpoint(kSampleFolder / "golden/tokens.npy", context).value();
    const auto data = file->load(0, context).value();
    std::vector<double> ids(static_cast<std::size_t>(data.view.numel()));
    decode(data.view.dtype, data.view.data, 0, data.view.numel(), ids.data());
    return {ids.begin(), ids.end()};
}

/// W, row-major.
inline std::vector<double> weightsOf(const Model& model, std::int64_t layer, const JobContext& context)
{
    const auto weights = model.loadWeights(layer, context).value();
    std::vector<double> w(static_cast<std::size_t>(weights.view.numel()));
    decode(weights.view.dtype, weights.view.data, 0, std::ssize(w), w.data());
    return w;
}

/// Ŵ − W.
inline std::vector<double> changeOf(const Model& model, std::int64_t layer, const Candidate& candidate,
                                    const Activations* activations, const JobContext& context)
{
    const auto codes = realize(model, layer, candidate, activations, context).value();
    const Buffer restored = restore(codes, context).value();
    std::vector<double> change = weightsOf(model, layer, context);
    for (std::size_t i = 0; i < change.size(); ++i)
        change[i] = static_cast<double>(restored.as<float>()[i]) - change[i];
    return change;
}

/// What a run over the windows, forward and, for the Fisher diagonal, backward leaves in the sink.
inline std::shared_ptr<const Activations> calibrated(const std::shared_ptr<const Model>& model, const Windows& windows,
                                                     const FisherSettings& settings,
                                                     const std::shared_ptr<MemorySink>& sink, const JobContext& context)
{
    const graph::Graph graph = buildGraph(*model).value();
    const graph::CheckpointWeights weights(*model);
    const Cases cases = windowCases(graph, windows).value();
    auto done = calibrate({*model, graph, weights, cases, {}, *sink, {}}, context);
    if (done)
        done = estimateFisher({*model, graph, weights, windows, settings, *sink, {}}, context);
    if (!done)
        qFatal("%s", describe(done.error()).c_str());
    return calibratedActivations(sink, findCalibration(*sink, *model), "here");
}

} // namespace ql::test
