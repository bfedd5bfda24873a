// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/calibration/calibrated_activations.h"

#include "core/calibration/fisher.h"

#include <algorithm>
#include <cmath>
#include <ranges>

namespace ql {

namespace {

std::vector<std::int64_t> layersOf(const std::map<std::int64_t, std::string>& texts)
{
    const auto layers = std::views::keys(texts);
    return {layers.begin(), layers.end()};
}

class CalibratedActivations final : public Activations {
public:
    CalibratedActivations(std::shared_ptr<const ResultSink> sink, CalibratedSites sites, std::filesystem::path path)
        : m_sink(std::move(sink)),
          m_sites(std::move(sites)),
          m_fingerprint(m_sites.fingerprint + (m_sites.fisherName.empty() ? "" : "-" + m_sites.fisherFingerprint)),
          m_path(std::move(path)),
          m_layers(layersOf(m_sites.keyOfLayer)),
          m_fisherLayers(layersOf(m_sites.fisherName))
    {}

    const std::filesystem::path& path() const override { return m_path; }
    std::span<const std::int64_t> layers() const override { return m_layers; }
    const std::string& fingerprint() const override { return m_fingerprint; }
    bool isDiagonal() const override { return m_sites.isDiagonal; }
    std::span<const std::int64_t> fisherLayers() const override { return m_fisherLayers; }
    std::int64_t fisherWindows() const override { return m_sites.fisherWindows; }

    Result<std::shared_ptr<const ActivationStatistics>> statistics(std::int64_t layer,
                                                                   const JobContext& context) const override
    {
        QL_CHECK(context.checkStop());
        const auto key = m_sites.keyOfLayer.find(layer);
        if (key == m_sites.keyOfLayer.end())
            return std::shared_ptr<const ActivationStatistics>();
        const auto bytes = m_sink->find(key->second);
        const auto site = bytes ? SiteStatistics::decode(*bytes) : std::nullopt;
        if (!site)
            return badInput("its calibration is damaged; calibrate again", m_path.string() + ": " + key->second);
        return std::make_shared<const ActivationStatistics>(activationStatistics(*site));
    }

    Result<std::shared_ptr<const FisherDiagonal>> fisher(std::int64_t layer, const JobContext& context) const override
    {
        QL_CHECK(context.checkStop());
        const auto name = m_sites.fisherName.find(layer);
        if (name == m_sites.fisherName.end())
            return std::shared_ptr<const FisherDiagonal>();
        auto diagonal = keptFisher(*m_sink, name->second);
        if (!diagonal)
            return badInput("its Fisher diagonal is damaged; calibrate again", m_path.string() + ": " + name->second);
        return std::make_shared<const FisherDiagonal>(std::move(*diagonal));
    }

private:
    std::shared_ptr<const ResultSink> m_sink;
    CalibratedSites m_sites;
    std::string m_fingerprint;
    std::filesystem::path m_path;
    std::vector<std::int64_t> m_layers;
    std::vector<std::int64_t> m_fisherLayers;
};

} // namespace

ActivationStatistics activationStatistics(const SiteStatistics& site)
{
    ActivationStatistics statistics;
    statistics.in = site.in;
    statistics.tokens = site.tokens;
    if (site.gramKind == GramKind::full) {
        statistics.gram.resize(static_cast<std::size_t>(site.in * site.in));
        std::size_t at = 0;
        for (std::int64_t r = 0; r < site.in; ++r)
            for (std::int64_t c = 0; c <= r; ++c, ++at)
                statistics.gram[static_cast<std::size_t>(r * site.in + c)] =
                    statistics.gram[static_cast<std::size_t>(c * site.in + r)] = site.gram[at];
    }
    statistics.channelMin.assign(site.min.begin(), site.min.end());
    statistics.channelMax.assign(site.max.begin(), site.max.end());
    const auto tokens = static_cast<double>(std::max<std::int64_t>(1, site.tokens));
    for (std::int64_t c = 0; c < site.in; ++c)
        statistics.channelRms.push_back(std::sqrt(site.squareSum(c) / tokens));
    statistics.histogram.assign(site.histogram.counts().begin(), site.histogram.counts().end());
    statistics.histogramMin = -site.histogram.range();
    statistics.histogramMax = site.histogram.range();
    return statistics;
}

void CalibratedSites::note(const Model& model, const std::string& key, std::span<const std::byte> piece)
{
    const auto site = SiteStatistics::decode(piece);
    if (!site)
        return;
    fingerprint = site->source + "-" + std::to_string(site->tokens);
    isDiagonal = isDiagonal && site->gramKind != GramKind::full;
    for (const std::int64_t reader : site->layers)
        if (reader >= 0 && reader < std::ssize(model.layers))
            keyOfLayer[reader] = key;
}

CalibratedSites findCalibration(const ResultSink& sink, const Model& model)
{
    CalibratedSites sites;
    std::int64_t fisherTokens = 0; // of all layers
    for (const std::int64_t layer : model.quantizableLayers()) {
        const std::string& name = model.layers[static_cast<std::size_t>(layer)].name;
        if (const auto fisher = keptFisher(sink, name)) {
            const bool isFirst = sites.fisherName.empty();
            sites.fisherWindows = isFirst ? fisher->windows() : std::min(sites.fisherWindows, fisher->windows());
            sites.fisherName[layer] = name;
            for (const LayerFisher& use : fisher->uses)
                fisherTokens += use.tokens;
            sites.fisherFingerprint = fisher->uses.front().source + "-" + std::to_string(fisherTokens);
        }
        const std::string key = siteKey(model, layer);
        if (const auto piece = sink.find(key))
            sites.note(model, key, *piece);
    }
    return sites;
}

Result<void> copyCalibration(const ResultSink& from, ResultSink& to, const Model& model)
{
    for (const std::int64_t layer : model.quantizableLayers()) {
        std::vector<std::string> keys{siteKey(model, layer)};
        const std::string& name = model.layers[static_cast<std::size_t>(layer)].name;
        for (std::int64_t use = 0; from.find(fisherKey(name, use)); ++use)
            keys.push_back(fisherKey(name, use));
        for (const std::string& key : keys)
            if (const auto piece = from.find(key))
                QL_CHECK(to.keep(key, *piece));
    }
    return {};
}

std::shared_ptr<const Activations> calibratedActivations(std::shared_ptr<const ResultSink> sink, CalibratedSites sites,
                                                         const std::filesystem::path& path)
{
    if (sites.keyOfLayer.empty() && sites.fisherName.empty())
        return nullptr;
    return std::make_shared<CalibratedActivations>(std::move(sink), std::move(sites), path);
}

} // namespace ql
