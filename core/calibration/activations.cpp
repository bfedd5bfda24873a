// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/calibration/activations.h"

#include "core/base/file.h"
#include "core/base/text.h"
#include "core/calibration/channel_means.h"
#include "core/calibration/imatrix_activations.h"
#include "core/calibration/reduce.h"
#include "core/checkpoint/reader.h"

#include <algorithm>
#include <list>
#include <mutex>

namespace ql {

namespace {

constexpr std::int64_t kCacheBytes = std::int64_t{512} << 20U;

/// The layer an entry belongs to: its own name, or its name without ".weight".
std::int64_t layerOf(const Model& model, const std::string& entry)
{
    const std::int64_t index = model.indexOf(entry);
    return index >= 0 && model.layers[static_cast<std::size_t>(index)].shape.size() >= 2
               ? index
               : model.indexOf(entry + ".weight");
}

class OpenedActivations final : public Activations, public KnowsChannelMeans {
public:
    OpenedActivations(std::shared_ptr<const Checkpoint> file, std::map<std::int64_t, std::int64_t> entries,
                      std::map<std::int64_t, std::int64_t> widths)
        : m_file(std::move(file)), m_entries(std::move(entries)), m_widths(std::move(widths))
    {
        for (const auto& [layer, entry] : m_entries)
            m_layers.push_back(layer);
    }

    const std::filesystem::path& path() const override { return m_file->path(); }
    std::span<const std::int64_t> layers() const override { return m_layers; }
    const std::string& fingerprint() const override { return m_file->fingerprint(); }

    Result<std::shared_ptr<const ActivationStatistics>> statistics(std::int64_t layer,
                                                                   const JobContext& context) const override
    {
        const auto entry = m_entries.find(layer);
        if (entry == m_entries.end())
            return std::shared_ptr<const ActivationStatistics>();
        if (auto cached = find(layer))
            return cached;
        // Reduced without a lock: parallel calls must not be made under one. Two threads may do the same work once.
        auto reduced = reduce(entry->second, m_widths.at(layer), context);
        if (!reduced) {
            Error error = reduced.error();
            if (error.where.empty())
                error.where =
                    m_file->path().string() + ": " + m_file->tensors()[static_cast<std::size_t>(entry->second)].name;
            return error;
        }
        return keep(layer, std::make_shared<const ActivationStatistics>(std::move(*reduced)));
    }

    Result<std::vector<double>> channelMeans(std::int64_t layer, const JobContext& context) const override
    {
        const auto entry = m_entries.find(layer);
        if (entry == m_entries.end())
            return std::vector<double>();
        QL_TRY(data, m_file->load(entry->second, context));
        QL_TRY(gram, asGram(data.view, context));
        if (gram)
            return std::vector<double>();
        QL_TRY(means, meansOfInputs(data.view, m_widths.at(layer), context));
        QL_CHECK(m_file->checkIntact());
        return means;
    }

private:
    Result<ActivationStatistics> reduce(std::int64_t entry, std::int64_t in, const JobContext& context) const
    {
        QL_TRY(data, m_file->load(entry, context));
        QL_TRY(gram, asGram(data.view, context));
        if (!gram) {
            QL_TRY(reduced, reduceInputs(data.view, in, context));
            gram = std::move(reduced);
        }
        QL_CHECK(m_file->checkIntact());
        return std::move(*gram);
    }

    std::shared_ptr<const ActivationStatistics> find(std::int64_t layer) const
    {
        const std::lock_guard lock(m_mutex);
        const auto found = std::ranges::find(m_cache, layer, &Cached::layer);
        if (found == m_cache.end())
            return nullptr;
        m_cache.splice(m_cache.begin(), m_cache, found);
        return found->statistics;
    }

    std::shared_ptr<const ActivationStatistics> keep(std::int64_t layer,
                                                     std::shared_ptr<const ActivationStatistics> statistics) const
    {
        const std::lock_guard lock(m_mutex);
        const auto found = std::ranges::find(m_cache, layer, &Cached::layer);
        if (found != m_cache.end())
            return found->statistics;
        m_cache.push_front({layer, statistics});
        std::int64_t bytes = 0;
        for (auto cached = m_cache.begin(); cached != m_cache.end();) {
            bytes += cached->statistics->in * cached->statistics->in * 8;
            cached = bytes > kCacheBytes && cached != m_cache.begin() ? m_cache.erase(cached) : std::next(cached);
        }
        return statistics;
    }

    struct Cached {
        std::int64_t layer;
        std::shared_ptr<const ActivationStatistics> statistics;
    };

    std::shared_ptr<const Checkpoint> m_file;
    std::map<std::int64_t, std::int64_t> m_entries; // layer -> tensor of the file
    std::map<std::int64_t, std::int64_t> m_widths;  // layer -> in
    std::vector<std::int64_t> m_layers;
    mutable std::mutex m_mutex;
    mutable std::list<Cached> m_cache; // most recently used first
};

} // namespace

Result<std::shared_ptr<const FisherDiagonal>> Activations::fisher(std::int64_t, const JobContext&) const
{
    return std::shared_ptr<const FisherDiagonal>();
}

Result<std::shared_ptr<const Activations>> openActivations(const std::filesystem::path& path, const Model& model,
                                                           const JobContext& context)
{
    if (std::filesystem::is_regular_file(path)) {
        QL_TRY(mapped, MappedFile::open(path));
        if (looksLikeImatrix(mapped->bytes().first(std::min<std::size_t>(mapped->bytes().size(), 4096))))
            return imatrixActivations(path, model, context);
    }
    QL_TRY(file, openCheckpoint(path, context));
    std::map<std::int64_t, std::int64_t> entries;
    std::map<std::int64_t, std::int64_t> widths;
    for (std::size_t i = 0; i < file->tensors().size(); ++i) {
        const TensorInfo& entry = file->tensors()[i];
        const std::string where = path.string() + ": " + entry.name;
        const std::int64_t layer = layerOf(model, entry.name);
        if (layer < 0) {
            const auto quantizable = model.quantizableLayers();
            const std::string example =
                quantizable.empty() ? "" : model.layers[static_cast<std::size_t>(quantizable.front())].name;
            return badInput(
                "no layer of the model has this name; name entries after the layers, as in '" + example + "'", where);
        }
        const Layer& target = model.layers[static_cast<std::size_t>(layer)];
        const std::int64_t in = inputsOf(target);
        const DtypeInfo& dtype = info(entry.dtype);
        if (!dtype.isFloat && !dtype.isInteger)
            return badInput("is of type " + std::string(dtype.word) + "; store activations as float32", where);
        if (in == 0 || entry.shape.size() < 2 || entry.shape.back() != in || entry.numel() == 0)
            return badInput("has the shape " + formatShape(entry.shape) + ", but the layer " + target.name + " " +
                                formatShape(target.shape) + " takes " + std::to_string(in) +
                                " inputs; store X[tokens, " + std::to_string(in) + "] or XᵀX[" + std::to_string(in) +
                                ", " + std::to_string(in) + "]",
                            where);
        if (!entries.emplace(layer, static_cast<std::int64_t>(i)).second)
            return badInput("is the second entry of the layer " + target.name + "; keep one of them", where);
        widths[layer] = in;
    }
    if (entries.empty())
        return badInput("holds no activations; store X[tokens, in] or XᵀX[in, in] under each layer's name",
                        path.string());
    return std::shared_ptr<const Activations>(
        std::make_shared<OpenedActivations>(std::move(file), std::move(entries), std::move(widths)));
}

} // namespace ql
