// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/calibration/calibrated_activations.h"

#include "core/base/hash.h"
#include "core/calibration/channel_means.h"
#include "core/calibration/fisher.h"
#include "core/jobs/parallel.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <ranges>
#include <utility>

namespace ql {

namespace {

template<typename T>
std::vector<std::int64_t> layersOf(const std::map<std::int64_t, T>& entries)
{
    const auto layers = std::views::keys(entries);
    return {layers.begin(), layers.end()};
}

void addTo(ActivationStatistics& all, const GrowingHistogram& more)
{
    GrowingHistogram histogram;
    if (!all.histogram.empty())
        histogram.restore(all.histogramMax, all.histogram);
    histogram.merge(more);
    all.histogram.assign(histogram.counts().begin(), histogram.counts().end());
    all.histogramMin = -histogram.range();
    all.histogramMax = histogram.range();
}

/// Of the channels [first, last) of a site, as the rest of the engine takes statistics; the histogram is of all.
Result<ActivationStatistics> activationStatistics(const SiteStatistics& site, std::int64_t first, std::int64_t last,
                                                  const JobContext& context)
{
    ActivationStatistics statistics;
    const std::int64_t in = statistics.in = last - first;
    if (site.tokens == 0)
        return statistics;
    statistics.tokens = site.tokens;
    if (site.holdsGram(first, last)) {
        constexpr std::int64_t kGrain = 1 << 17; // elements
        statistics.gram.resize(static_cast<std::size_t>(in * in));
        double* gram = statistics.gram.data();
        QL_CHECK(
            parallelFor(context, in, std::max<std::int64_t>(1, kGrain / in), [&](std::int64_t begin, std::int64_t end) {
                for (std::int64_t r = begin; r < end; ++r)
                    for (std::int64_t c = 0; c <= r; ++c)
                        gram[r * in + c] = gram[c * in + r] = site.gramAt(first + r, first + c);
            }));
    }
    statistics.channelMin.assign(site.min.begin() + first, site.min.begin() + last);
    statistics.channelMax.assign(site.max.begin() + first, site.max.begin() + last);
    for (std::int64_t c = first; c < last; ++c)
        statistics.channelRms.push_back(std::sqrt(site.squareSum(c) / static_cast<double>(site.tokens)));
    if (in == site.in)
        addTo(statistics, site.histogram);
    return statistics;
}

/// Adds what was seen elsewhere of the same channels, but XᵀX.
void addTo(ActivationStatistics& all, const ActivationStatistics& more)
{
    if (more.isEmpty())
        return;
    if (all.isEmpty()) {
        all.channelMin = more.channelMin;
        all.channelMax = more.channelMax;
        all.channelRms.assign(more.channelRms.size(), 0.0);
    }
    const auto before = static_cast<double>(all.tokens);
    const auto added = static_cast<double>(more.tokens);
    for (std::size_t c = 0; c < more.channelRms.size(); ++c) {
        all.channelMin[c] = std::min(all.channelMin[c], more.channelMin[c]);
        all.channelMax[c] = std::max(all.channelMax[c], more.channelMax[c]);
        const double squares =
            before * all.channelRms[c] * all.channelRms[c] + added * more.channelRms[c] * more.channelRms[c];
        all.channelRms[c] = std::sqrt(squares / (before + added));
    }
    all.tokens += more.tokens;
    if (!more.histogram.empty()) {
        GrowingHistogram histogram;
        histogram.restore(more.histogramMax, more.histogram);
        addTo(all, histogram);
    }
}

/// Adds what another use of the same weights saw.
void merge(ActivationStatistics& all, ActivationStatistics more)
{
    if (all.isEmpty()) {
        all = std::move(more);
    } else if (!more.isEmpty()) {
        all.gram.resize(std::min(all.gram.size(), more.gram.size()));
        std::transform(all.gram.begin(), all.gram.end(), more.gram.begin(), all.gram.begin(), std::plus());
        addTo(all, more);
    }
}

/// Adds the matrix of the layer's rows [part, part + 1) of its parts to `sum`, empty at first.
Result<void> addGram(std::vector<float>& sum, const LayerLossGram& gram, std::int64_t part, const JobContext& context)
{
    const std::int64_t in = gram.in;
    QL_CHECK(context.checkMemory(4 * in * in, "a Gram matrix of the loss"));
    sum.resize(static_cast<std::size_t>(in * in));
    const float* half = gram.sums.data() + part * LayerLossGram::halfSize(in);
    float* to = sum.data();
    constexpr std::int64_t kGrain = 1 << 17; // elements
    return parallelFor(context, in, std::max<std::int64_t>(1, kGrain / in), [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t r = begin; r < end; ++r)
            for (std::int64_t c = 0; c <= r; ++c)
                to[c * in + r] = to[r * in + c] += half[r * (r + 1) / 2 + c];
    });
}

class CalibratedActivations final : public Activations, public KnowsChannelMeans, public KnowsFigures {
public:
    CalibratedActivations(std::shared_ptr<const ResultSink> sink, CalibratedSites sites, std::filesystem::path path)
        : m_sink(std::move(sink)),
          m_sites(std::move(sites)),
          m_path(std::move(path)),
          m_fisherLayers(layersOf(m_sites.fisherName))
    {
        Hasher hasher;
        for (const auto& [key, site] : m_sites.sites) {
            hasher.add(key + "\n" + site.fingerprint + "\n");
            m_isDiagonal = m_isDiagonal && !site.isFull;
            for (const SiteReader& reader : site.readers)
                m_readings[reader.layer].push_back({reader, key});
        }
        m_fingerprint = hasher.hex() + (m_sites.fisherName.empty() ? "" : "-" + m_sites.fisherFingerprint) +
                        (m_sites.lossGramKeys.empty() ? "" : "-" + m_sites.lossGramFingerprint) +
                        (m_sites.outputGramKeys.empty() ? "" : "-" + m_sites.outputGramFingerprint);
        if (!m_sites.figures.empty())
            m_fingerprint += "-" + m_sites.figuresFingerprint;
        for (const auto& [layer, readings] : m_readings)
            if (std::ranges::any_of(readings, [&](const Reading& it) { return m_sites.sites.at(it.key).tokens > 0; }))
                m_layers.push_back(layer);
    }

    const std::filesystem::path& path() const override { return m_path; }
    std::span<const std::int64_t> layers() const override { return m_layers; }
    const std::string& fingerprint() const override { return m_fingerprint; }
    bool isDiagonal() const override { return m_isDiagonal; }
    std::span<const std::int64_t> fisherLayers() const override { return m_fisherLayers; }
    std::int64_t fisherWindows() const override { return m_sites.fisherWindows; }
    bool knowsLossGrams() const override { return !m_sites.lossGramKeys.empty() && !m_isDiagonal; }
    bool knowsOutputGram(std::int64_t layer) const override
    {
        return m_sites.outputGramKeys.contains(layer) && !m_isDiagonal;
    }
    bool knowsFigure(std::string_view name) const override { return m_sites.figures.contains(name); }
    std::optional<double> figure(std::string_view name, std::int64_t layer) const override
    {
        const auto found = m_sites.figures.find(name);
        if (found == m_sites.figures.end())
            return std::nullopt;
        const auto its = found->second.find(layer);
        return its == found->second.end() ? std::nullopt : std::optional(its->second);
    }

    Result<std::shared_ptr<const ActivationStatistics>> statistics(std::int64_t layer,
                                                                   const JobContext& context) const override
    {
        const auto readings = m_readings.find(layer);
        if (readings == m_readings.end())
            return std::shared_ptr<const ActivationStatistics>();
        const std::int64_t parts = readings->second.front().reader.parts;
        std::vector<ActivationStatistics> seen(static_cast<std::size_t>(parts));
        ActivationStatistics all;
        for (const auto& [reader, key] : readings->second) {
            QL_CHECK(context.checkStop());
            const auto bytes = m_sink->find(key);
            const auto site = bytes ? SiteStatistics::decode(*bytes) : std::nullopt;
            if (!site || reader.parts != parts)
                return badInput("its calibration is damaged; calibrate again", m_path.string() + ": " + key);
            if (reader.part != SiteReader::kEach) {
                QL_TRY(more, activationStatistics(*site, 0, site->in, context));
                merge(seen[static_cast<std::size_t>(reader.part)], std::move(more));
                continue;
            }
            const std::int64_t width = site->in / parts;
            for (std::int64_t part = 0; part < parts; ++part) {
                QL_TRY(more, activationStatistics(*site, part * width, (part + 1) * width, context));
                merge(seen[static_cast<std::size_t>(part)], std::move(more));
            }
            addTo(all, site->histogram);
        }
        QL_CHECK(addLossGrams(layer, seen, context));
        if (parts == 1)
            return std::make_shared<const ActivationStatistics>(std::move(seen.front()));
        all.in = std::ranges::max(seen, {}, &ActivationStatistics::in).in;
        for (const ActivationStatistics& part : seen)
            addTo(all, part);
        if (readings->second.front().reader.part == SiteReader::kEach)
            all.tokens = seen.front().tokens; // the same came by all of them
        all.parts = std::move(seen);
        return std::make_shared<const ActivationStatistics>(std::move(all));
    }

    Result<std::vector<double>> channelMeans(std::int64_t layer, const JobContext& context) const override
    {
        std::vector<double> sums;
        const auto readings = m_readings.find(layer);
        if (readings == m_readings.end())
            return sums;
        std::vector<std::int64_t> tokens;
        for (const auto& [reader, key] : readings->second) {
            QL_CHECK(context.checkStop());
            const auto bytes = m_sink->find(key);
            const auto site = bytes ? SiteStatistics::decode(*bytes) : std::nullopt;
            const bool isEach = reader.part == SiteReader::kEach;
            const std::size_t parts = isEach ? 1 : static_cast<std::size_t>(reader.parts);
            if (!site || (!sums.empty() && (sums.size() != parts * site->sum.size() || tokens.size() != parts)))
                return badInput("its calibration is damaged; calibrate again", m_path.string() + ": " + key);
            sums.resize(parts * site->sum.size());
            tokens.resize(parts);
            const std::size_t part = isEach ? 0 : static_cast<std::size_t>(reader.part);
            tokens[part] += site->tokens;
            for (std::size_t c = 0; c < site->sum.size(); ++c)
                sums[part * site->sum.size() + c] += site->sum[c];
        }
        const std::size_t width = sums.size() / tokens.size();
        for (std::size_t i = 0; i < sums.size(); ++i)
            sums[i] /= static_cast<double>(std::max<std::int64_t>(tokens[i / std::max<std::size_t>(width, 1)], 1));
        return sums;
    }

    std::vector<std::int64_t> seenTokens(std::int64_t layer) const override
    {
        std::vector<std::int64_t> tokens;
        if (const auto readings = m_readings.find(layer); readings != m_readings.end())
            for (const auto& [reader, key] : readings->second) {
                const bool isEach = reader.part == SiteReader::kEach;
                tokens.resize(isEach ? 1 : static_cast<std::size_t>(reader.parts));
                tokens[isEach ? 0 : static_cast<std::size_t>(reader.part)] += m_sites.sites.at(key).tokens;
            }
        return tokens;
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
    /// To the parts of which XᵀX is known.
    Result<void> addLossGrams(std::int64_t layer, std::vector<ActivationStatistics>& seen,
                              const JobContext& context) const
    {
        for (const auto& [all, sums, ofInputs] :
             {std::tuple(&m_sites.lossGramKeys, &ActivationStatistics::lossGram, true),
              {&m_sites.outputGramKeys, &ActivationStatistics::outputGram, false}}) {
            const auto keys = all->find(layer);
            if (keys == all->end())
                continue;
            for (const std::string& key : keys->second) {
                QL_CHECK(context.checkStop());
                const auto bytes = m_sink->find(key);
                const auto gram = bytes ? LayerLossGram::decode(*bytes) : std::nullopt;
                if (!gram)
                    return badInput("its calibration is damaged; calibrate again", m_path.string() + ": " + key);
                for (std::size_t part = 0; part < seen.size() && std::ssize(seen) == gram->parts; ++part)
                    if (!seen[part].gram.empty() && (!ofInputs || seen[part].in == gram->in))
                        QL_CHECK(addGram(seen[part].*sums, *gram, static_cast<std::int64_t>(part), context));
            }
        }
        return {};
    }

    struct Reading {
        SiteReader reader;
        std::string key;
    };

    std::shared_ptr<const ResultSink> m_sink;
    CalibratedSites m_sites;
    std::filesystem::path m_path;
    std::string m_fingerprint;
    bool m_isDiagonal = true;
    std::map<std::int64_t, std::vector<Reading>> m_readings; // by layer
    std::vector<std::int64_t> m_layers;
    std::vector<std::int64_t> m_fisherLayers;
};

} // namespace

void CalibratedSites::note(const Model& model, const std::string& key, std::span<const std::byte> piece)
{
    auto site = SiteStatistics::decodeHead(piece);
    if (!site)
        return;
    std::erase_if(site->readers, [&](const SiteReader& reader) {
        return reader.layer < 0 || reader.layer >= std::ssize(model.layers);
    });
    std::string fingerprint = site->source;
    for (const std::int64_t number :
         {site->windows, site->tokens, static_cast<std::int64_t>(site->gramKind), site->blockSize})
        fingerprint += "-" + std::to_string(number);
    const bool isFull = std::ranges::any_of(site->readers, [&](const SiteReader& reader) {
        return site->holdsGram(0, reader.part == SiteReader::kEach ? site->in / reader.parts : site->in);
    });
    sites[key] = {std::move(site->readers), site->tokens, isFull, std::move(fingerprint)};
}

CalibratedSites findCalibration(const ResultSink& sink, const Model& model)
{
    CalibratedSites sites;
    Hasher figures;
    std::int64_t fisherTokens = 0; // of all layers
    std::int64_t gramTokens = 0;
    std::int64_t outputTokens = 0;
    for (std::int64_t layer = 0; layer < std::ssize(model.layers); ++layer) {
        const std::string& name = model.layers[static_cast<std::size_t>(layer)].name;
        for (const LayerFisher& use : keptFisherHeads(sink, name)) {
            sites.fisherWindows = sites.fisherName.empty() ? use.windows : std::min(sites.fisherWindows, use.windows);
            sites.fisherName[layer] = name;
            fisherTokens += use.tokens;
            sites.fisherFingerprint = use.source + "-" + std::to_string(fisherTokens);
        }
        for (const LayerLossGram& use : keptLossGramHeads(sink, name)) {
            std::vector<std::string>& keys = sites.lossGramKeys[layer];
            keys.push_back(lossGramKey(name, std::ssize(keys)));
            gramTokens += use.tokens;
            sites.lossGramFingerprint = use.source + "-" + std::to_string(gramTokens);
        }
        for (const FigureKind kind : kFigureKinds) {
            const auto bytes = sink.find(figuresKey(kind, name));
            const auto its = bytes ? LayerFigures::decode(*bytes) : std::nullopt;
            if (!its)
                continue;
            figures.add(*bytes);
            for (const auto& [figure, value] : its->values)
                sites.figures[figure][layer] = value;
        }
        for (const LayerLossGram& use : keptOutputGramHeads(sink, name)) {
            std::vector<std::string>& keys = sites.outputGramKeys[layer];
            keys.push_back(outputGramKey(name, std::ssize(keys)));
            outputTokens += use.tokens;
            sites.outputGramFingerprint = use.source + "-" + std::to_string(outputTokens);
        }
        std::string key = siteKey(model, layer);
        for (std::int64_t number = 0; const auto head = sink.findHead(key, SiteStatistics::kHeadBytes);
             key = siteKey(model, layer, ++number))
            sites.note(model, key, *head);
    }
    sites.figuresFingerprint = figures.hex();
    return sites;
}

Result<void> copyCalibration(const ResultSink& from, ResultSink& to, const Model& model)
{
    const CalibratedSites found = findCalibration(from, model);
    std::vector<std::string> keys;
    for (const auto& [key, site] : found.sites)
        keys.push_back(key);
    for (const auto& [layer, name] : found.fisherName)
        for (std::size_t use = 0; use < keptFisherHeads(from, name).size(); ++use)
            keys.push_back(fisherKey(name, static_cast<std::int64_t>(use)));
    for (const auto* const grams : {&found.lossGramKeys, &found.outputGramKeys})
        for (const auto& [layer, its] : *grams)
            keys.insert(keys.end(), its.begin(), its.end());
    for (const Layer& layer : model.layers)
        for (const FigureKind kind : kFigureKinds)
            keys.push_back(figuresKey(kind, layer.name));
    for (const std::string& key : keys)
        if (const auto piece = from.find(key))
            QL_CHECK(to.keep(key, *piece));
    return {};
}

std::shared_ptr<const Activations> calibratedActivations(std::shared_ptr<const ResultSink> sink, CalibratedSites sites,
                                                         const std::filesystem::path& path)
{
    if (sites.sites.empty() && sites.fisherName.empty() && sites.figures.empty())
        return nullptr;
    return std::make_shared<CalibratedActivations>(std::move(sink), std::move(sites), path);
}

} // namespace ql
