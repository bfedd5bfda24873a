// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/calibration/imatrix_activations.h"

#include "core/base/hash.h"
#include "core/base/text.h"
#include "core/calibration/reduce.h"
#include "core/model/frontends/layer_roles.h"
#include "core/model/gguf_names.h"

#include <algorithm>
#include <cmath>

namespace ql {

namespace {

constexpr std::int64_t kChunkSize = 512; // llama-imatrix's default; what a chunk is has no other meaning here

/// Of the matrices [first, last) of an entry for a layer with `in` inputs.
ActivationStatistics statisticsOf(const ImatrixEntry& entry, std::int64_t in, std::int64_t first, std::int64_t last,
                                  bool countsTokens)
{
    const std::size_t perCount = entry.sums.size() / entry.counts.size();
    std::vector<double> sums(static_cast<std::size_t>(in), 0.0);
    double count = 0;
    for (std::int64_t matrix = first; matrix < last; ++matrix) {
        const auto at = static_cast<std::size_t>(matrix * in);
        count += entry.counts[at / perCount];
        for (std::size_t c = 0; c < sums.size(); ++c)
            sums[c] += static_cast<double>(entry.sums[at + c]);
    }
    ActivationStatistics statistics;
    statistics.in = in;
    if (count <= 0)
        return statistics;
    statistics.tokens = countsTokens ? std::llround(count) : 0;
    for (const double sum : sums)
        statistics.channelRms.push_back(std::sqrt(sum / count));
    return statistics;
}

class ImatrixActivations final : public Activations {
public:
    ImatrixActivations(std::filesystem::path path, std::string fingerprint)
        : m_path(std::move(path)), m_fingerprint(std::move(fingerprint))
    {}
    void add(std::int64_t layer, ActivationStatistics statistics)
    {
        m_layers.push_back(layer);
        m_statistics.emplace(layer, std::make_shared<const ActivationStatistics>(std::move(statistics)));
    }

    const std::filesystem::path& path() const override { return m_path; }
    std::span<const std::int64_t> layers() const override { return m_layers; }
    const std::string& fingerprint() const override { return m_fingerprint; }
    bool isDiagonal() const override { return true; }
    Result<std::shared_ptr<const ActivationStatistics>> statistics(std::int64_t layer, const JobContext&) const override
    {
        const auto found = m_statistics.find(layer);
        return found == m_statistics.end() ? nullptr : found->second;
    }
    std::vector<std::int64_t> seenTokens(std::int64_t layer) const override
    {
        const auto found = m_statistics.find(layer);
        if (found == m_statistics.end())
            return {};
        std::vector<std::int64_t> tokens;
        for (const ActivationStatistics& part : found->second->parts)
            tokens.push_back(part.tokens);
        return tokens.empty() ? std::vector{found->second->tokens} : tokens;
    }

private:
    std::filesystem::path m_path;
    std::string m_fingerprint;
    std::vector<std::int64_t> m_layers;
    std::map<std::int64_t, std::shared_ptr<const ActivationStatistics>> m_statistics;
};

std::string fingerprintOf(const Imatrix& imatrix)
{
    Hasher hasher;
    for (const ImatrixEntry& entry : imatrix.entries) {
        hasher.add(entry.name);
        hasher.add(std::as_bytes(std::span(entry.sums)));
        hasher.add(std::as_bytes(std::span(entry.counts)));
    }
    return hasher.hex();
}

/// How many matrices the stack has that a layer belongs to, or is; 1 if none.
std::int64_t expertsOf(const Model& model, const Layer& layer)
{
    if (LayerPlace::of(layer).expert == LayerPlace::kPlain || LayerPlace::of(layer).expert == LayerPlace::kShared)
        return 1;
    return std::max<std::int64_t>(1, static_cast<std::int64_t>(model.configNumber("num_local_experts").value_or(1)));
}

} // namespace

Result<std::shared_ptr<const Activations>> imatrixActivations(const std::filesystem::path& path, const Model& model,
                                                              const JobContext& context)
{
    QL_TRY(imatrix, readImatrix(path, context));
    const bool countsTokens = imatrix.chunkSize > 0;
    auto activations = std::make_shared<ImatrixActivations>(path, fingerprintOf(imatrix));
    for (std::int64_t index = 0; index < std::ssize(model.layers); ++index) {
        const Layer& layer = model.layers[static_cast<std::size_t>(index)];
        const std::int64_t in = inputsOf(layer);
        const std::string name = layer.quantizable && in > 0 ? ggufName(model, layer) : std::string();
        const auto entry = std::ranges::lower_bound(imatrix.entries, name, {}, &ImatrixEntry::name);
        if (entry == imatrix.entries.end() || entry->name != name)
            continue;
        const std::int64_t matrices = std::ssize(entry->sums) / in;
        const std::int64_t expert = std::max<std::int64_t>(0, LayerPlace::of(layer).expert);
        const bool isOne = LayerPlace::of(layer).expert != LayerPlace::kStack;
        if (std::ssize(entry->sums) % in != 0 || matrices % std::ssize(entry->counts) != 0 || expert >= matrices)
            return badInput("holds " + std::to_string(entry->sums.size()) + " values, and the layer " + layer.name +
                                " " + formatShape(layer.shape) + " has " + std::to_string(in) +
                                " inputs; give the importance matrix of this model",
                            path.string() + ": " + printable(name));
        ActivationStatistics statistics =
            statisticsOf(*entry, in, isOne ? expert : 0, isOne ? expert + 1 : matrices, countsTokens);
        for (std::int64_t matrix = 0; matrix < matrices && !isOne; ++matrix)
            statistics.parts.push_back(statisticsOf(*entry, in, matrix, matrix + 1, countsTokens));
        if (!statistics.isEmpty())
            activations->add(index, std::move(statistics));
    }
    if (activations->layers().empty())
        return badInput("names no layer of this model; give the importance matrix of this one", path.string());
    return std::shared_ptr<const Activations>(std::move(activations));
}

Result<Imatrix> imatrixOf(const Activations& activations, const Model& model, const JobContext& context)
{
    std::map<std::string, ImatrixEntry> entries;
    Imatrix imatrix{.entries = {}, .datasets = {activations.path().filename().string()}, .chunkSize = kChunkSize};
    for (const std::int64_t index : activations.layers()) {
        const Layer& layer = model.layers[static_cast<std::size_t>(index)];
        QL_TRY(statistics, activations.statistics(index, context));
        const std::size_t in = statistics->channelRms.size();
        const auto matrices = static_cast<std::size_t>(expertsOf(model, layer));
        const std::string name = ggufName(model, layer);
        const std::int64_t expert = LayerPlace::of(layer).expert;
        ImatrixEntry& entry = entries[name];
        const bool isNew = entry.sums.empty();
        if (!isNew && (expert < 0 || entry.sums.size() != matrices * in))
            return refused("has the name " + name + " in GGUF files, and so has another layer of this model",
                           layer.name);
        if (isNew)
            entry = {name, std::vector<float>(matrices * in), std::vector<double>(matrices)};
        const auto tokensOf = [](const ActivationStatistics& its) {
            return its.isEmpty() ? 0.0 : static_cast<double>(std::max<std::int64_t>(1, its.tokens));
        };
        const bool hasParts = statistics->parts.size() == matrices;
        for (std::size_t matrix = 0; matrix < matrices; ++matrix) {
            if (expert >= 0 && static_cast<std::size_t>(expert) != matrix)
                continue;
            const ActivationStatistics& its = hasParts ? statistics->parts[matrix] : *statistics;
            entry.counts[matrix] = tokensOf(its);
            std::ranges::transform(its.channelRms, entry.sums.begin() + static_cast<std::ptrdiff_t>(matrix * in),
                                   [&](double rms) { return static_cast<float>(rms * rms * tokensOf(its)); });
        }
        const double most = std::ranges::max(entry.counts);
        imatrix.chunkCount =
            std::max(imatrix.chunkCount, static_cast<std::int64_t>(std::ceil(most / double{kChunkSize})));
    }
    for (auto& [name, entry] : entries)
        imatrix.entries.push_back(std::move(entry));
    return imatrix;
}

} // namespace ql
