// SPDX-License-Identifier: GPL-3.0-or-later
// The inputs of layers while a graph runs, reduced as activations: an oracle for statistics that are derived.
#pragma once

#include "core/calibration/activations.h"
#include "core/model/graph/run.h"

#include <cmath>

namespace ql::test {

class CapturedInputs final : public Activations {
public:
    /// Runs the graph and keeps what each layer multiplies; rows of several uses come one after the other.
    template<typename T>
    Result<void> run(const graph::Graph& graph, const graph::WeightSource& weights, graph::Values<T>& values,
                     const JobContext& context)
    {
        return graph::forwardAll<T>(
            graph, weights, values, context,
            {.layerInput = [this](const graph::Node&, std::int64_t layer, graph::Array<T>& x) -> Result<void> {
                add(layer, x);
                return {};
            }});
    }
    void finish()
    {
        for (auto& [layer, statistics] : m_statistics) {
            m_layers.push_back(layer);
            statistics->lossGram.assign(statistics->gram.begin(), statistics->gram.end()); // each token as heavy
            for (std::int64_t j = 0; j < statistics->in; ++j)
                statistics->channelRms.push_back(
                    std::sqrt(statistics->gram[static_cast<std::size_t>(j * statistics->in + j)] /
                              static_cast<double>(std::max<std::int64_t>(1, statistics->tokens))));
        }
    }

    const std::filesystem::path& path() const override { return m_path; }
    std::span<const std::int64_t> layers() const override { return m_layers; }
    const std::string& fingerprint() const override { return m_fingerprint; }
    Result<std::shared_ptr<const ActivationStatistics>> statistics(std::int64_t layer, const JobContext&) const override
    {
        const auto found = m_statistics.find(layer);
        return found == m_statistics.end() ? nullptr : std::shared_ptr<const ActivationStatistics>(found->second);
    }

private:
    template<typename T>
    void add(std::int64_t layer, const graph::Array<T>& x)
    {
        const std::int64_t n = x.width();
        auto& statistics = m_statistics[layer];
        if (!statistics) {
            statistics = std::make_shared<ActivationStatistics>();
            statistics->in = n;
            statistics->gram.assign(static_cast<std::size_t>(n * n), 0);
            statistics->channelMin.assign(static_cast<std::size_t>(n), INFINITY);
            statistics->channelMax.assign(static_cast<std::size_t>(n), -INFINITY);
        }
        if (n != statistics->in)
            return; // a convolution
        for (std::int64_t t = 0; t < x.rows(); ++t)
            for (std::int64_t i = 0; i < n; ++i) {
                const auto xi = static_cast<double>(x.data()[t * n + i]);
                auto& low = statistics->channelMin[static_cast<std::size_t>(i)];
                auto& high = statistics->channelMax[static_cast<std::size_t>(i)];
                low = std::min(low, xi);
                high = std::max(high, xi);
                for (std::int64_t j = 0; j < n; ++j)
                    statistics->gram[static_cast<std::size_t>(i * n + j)] +=
                        xi * static_cast<double>(x.data()[t * n + j]);
            }
        statistics->tokens += x.rows();
    }

    std::filesystem::path m_path = "captured";
    std::string m_fingerprint = "captured";
    std::map<std::int64_t, std::shared_ptr<ActivationStatistics>> m_statistics;
    std::vector<std::int64_t> m_layers;
};

} // namespace ql::test
