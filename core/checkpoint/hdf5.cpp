// SPDX-License-Identifier: GPL-3.0-or-later
// HDF5 files of any layout, and Keras models (.h5, .weights.h5): every dataset of plain numbers is a tensor named by
// its path. Nothing outside the file is ever opened: external links, external storage and virtual datasets are left out
// with a warning, as are types that are no plain numbers. Contiguous little-endian data are views of the mapping.
#include "core/base/hdf5_file.h"
#include "core/base/text.h"
#include "core/checkpoint/array_order.h"
#include "core/checkpoint/config_json.h"
#include "core/checkpoint/fingerprint.h"
#include "core/checkpoint/loader_checkpoint.h"
#include "core/checkpoint/reader.h"
#include "core/checkpoint/tensor_names.h"
#include "core/jobs/parallel.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <set>

namespace ql::readers {

namespace {

constexpr std::int64_t kPieceBytes = std::int64_t{4} << 20U;       // read by one thread at once
constexpr std::int64_t kLargeChunkBytes = std::int64_t{64} << 20U; // unpacked one by one
constexpr std::int64_t kSmallBytes = std::int64_t{64} << 20U;      // below it no dataset is a bomb
constexpr std::int64_t kMaxRatio = 1100;                           // of deflate
constexpr int kMaxDepth = 100;

bool sniff(const std::filesystem::path&, std::span<const std::byte> head)
{
    // The signature stands at 0 or, behind a user block, at a power of two from 512 on.
    constexpr std::string_view kSignature("\x89HDF\r\n\x1a\n", 8);
    for (std::size_t at = 0; at + kSignature.size() <= head.size(); at = at == 0 ? 512 : 2 * at)
        if (std::memcmp(head.data() + at, kSignature.data(), kSignature.size()) == 0)
            return true;
    return false;
}

Dtype dtypeOf(hdf5::Element element)
{
    static constexpr std::array kDtypes{Dtype::f64, Dtype::f32, Dtype::f16,    Dtype::bf16, Dtype::i64,
                                        Dtype::i32, Dtype::i16, Dtype::i8,     Dtype::u64,  Dtype::u32,
                                        Dtype::u16, Dtype::u8,  Dtype::boolean};
    return kDtypes[static_cast<std::size_t>(element)];
}

using FilePointer = std::shared_ptr<const hdf5::File>;

/// A dataset under one of its names.
struct Found {
    std::string name;
    const hdf5::Dataset* dataset;
};

class Walk {
public:
    Walk(const hdf5::File& file, const JobContext& context, std::vector<Warning>& warnings)
        : m_file(file), m_context(context), m_warnings(warnings)
    {}

    Result<std::vector<Found>> run()
    {
        QL_CHECK(group(0, "", 0));
        return std::move(m_found);
    }

private:
    void leaveOut(const std::string& name, const std::string& why)
    {
        m_warnings.push_back({where() + ": " + printable(name), why + "; left out"});
    }

    Result<void> group(std::int64_t index, const std::string& prefix, int depth)
    {
        QL_CHECK(m_context.checkStop());
        if (!m_visited.insert(index).second)
            return {}; // groups may contain each other
        if (depth > kMaxDepth)
            return badInput("has groups nested more than " + std::to_string(kMaxDepth) + " deep", where());
        const hdf5::Group& group = m_file.index().groups[static_cast<std::size_t>(index)];
        if (!group.problem.empty())
            return badInput(group.problem, where());
        for (const hdf5::Link& link : group.links)
            QL_CHECK(follow(link, prefix + link.name, depth));
        return {};
    }

    Result<void> follow(const hdf5::Link& link, const std::string& name, int depth)
    {
        switch (link.kind) {
        case hdf5::LinkKind::group:
            return group(link.target, name + "/", depth + 1);
        case hdf5::LinkKind::dataset:
            return dataset(m_file.index().datasets[static_cast<std::size_t>(link.target)], name);
        case hdf5::LinkKind::outside:
            leaveOut(name, "is a link to another file, which is never followed");
            return {};
        case hdf5::LinkKind::nowhere:
            leaveOut(name, "is a link that leads nowhere, around in a circle or to another file");
            return {};
        case hdf5::LinkKind::damaged:
            return badInput(link.problem, where());
        case hdf5::LinkKind::other:
            return {};
        }
        return {};
    }

    Result<void> dataset(const hdf5::Dataset& set, const std::string& name)
    {
        QL_CHECK(checkTensorName(name, where()));
        if (std::ssize(m_found) >= kMaxTensors)
            return badInput("holds more than " + std::to_string(kMaxTensors) + " datasets", where());
        if (!set.problem.empty())
            return badInput(set.problem, where() + ": " + name);
        if (!set.element) {
            leaveOut(name, "holds " + set.type + ", not plain numbers");
            return {};
        }
        if (!set.refusal.empty()) {
            leaveOut(name, set.refusal);
            return {};
        }
        const std::int64_t fileBytes = m_file.mapped()->sizeBytes();
        if (set.storedBytes > fileBytes)
            return badInput("its data reach beyond the file, which is truncated or damaged. Get the file again",
                            where() + ": " + name);
        if (set.offset >= 0) {
            if (const auto view = m_file.view(set); !view)
                return badInput(view.error().what, where() + ": " + name);
        }
        if (set.sizeBytes > kSmallBytes && set.sizeBytes / kMaxRatio > set.storedBytes) {
            leaveOut(name, "claims " + formatBytes(set.sizeBytes) + " of elements, of which the file stores " +
                               formatBytes(set.storedBytes));
            return {};
        }
        if (hdf5::File::unitBytes(set) > hdf5::kMaxChunkBytes) {
            leaveOut(name,
                     "has chunks of more than " + formatBytes(hdf5::kMaxChunkBytes) + "; store it in smaller ones");
            return {};
        }
        m_found.push_back({name, &set});
        return {};
    }

    std::string where() const { return m_file.mapped()->path().string(); }

    const hdf5::File& m_file;
    const JobContext& m_context;
    std::vector<Warning>& m_warnings;
    std::set<std::int64_t> m_visited;
    std::vector<Found> m_found;
};

/// Whether elements are in the file as they are in memory.
bool isView(const hdf5::Dataset& set)
{
    return !set.bigEndian && set.offset >= 0;
}

Result<TensorData> load(const FilePointer& file, const hdf5::Dataset& set, const JobContext& context)
{
    const Dtype dtype = dtypeOf(*set.element);
    if (isView(set)) {
        QL_TRY(bytes, file->view(set));
        return TensorData{{dtype, set.shape, bytes.data()}, file};
    }
    QL_TRY(buffer, allocate(set.sizeBytes, context));
    const std::int64_t units = hdf5::File::unitCount(set);
    const std::int64_t bytes = hdf5::File::unitBytes(set);
    const std::int64_t grain = std::max<std::int64_t>(1, bytes > kLargeChunkBytes ? units : kPieceBytes / bytes);
    QL_CHECK(parallelFor(context, units, grain, [&](std::int64_t begin, std::int64_t end) {
        return file->readUnits(set, begin, end, buffer->data(), context.stopToken());
    }));
    return TensorData{{dtype, set.shape, buffer->data()}, buffer};
}

/// Texts at the root: what wrote the file; Keras keeps the architecture there.
void readRootTexts(const hdf5::Group& root, Checkpoint::Contents& parts)
{
    constexpr std::size_t kShownBytes = 1000;
    for (const auto& [name, value] : root.attributes) {
        const auto* text = std::get_if<std::string>(&value);
        if (!text)
            continue;
        if (name == "model_config" && isHarmlessObject(*text)) {
            parts.configJson = *text;
            continue;
        }
        const bool abridged = text->size() > kShownBytes;
        parts.metadata.emplace_back(printable(name), printable(text->substr(0, kShownBytes)) + (abridged ? "…" : ""));
    }
}

bool looksLikeKeras(const Checkpoint::Contents& parts)
{
    const auto has = [&](std::string_view key) {
        return std::ranges::any_of(parts.metadata, [&](const auto& entry) { return entry.first == key; });
    };
    return !parts.configJson.empty() || has("keras_version") ||
           std::ranges::any_of(parts.tensors, [](const TensorInfo& tensor) {
               return tensor.name.find("/vars/") != std::string::npos && !tensor.name.starts_with("optimizer/");
           });
}

Result<std::shared_ptr<const Checkpoint>> open(const std::filesystem::path& path, const JobContext& context)
{
    QL_TRY(file, hdf5::File::open(path, context.stopToken()));
    Checkpoint::Contents parts;
    std::vector<LoaderCheckpoint::Loader> loaders;
    parts.reader = "hdf5";
    parts.path = path;
    parts.files = {file->mapped()};
    QL_TRY(datasets, Walk(*file, context, parts.warnings).run());
    if (datasets.empty() && !parts.warnings.empty())
        return badInput("holds no dataset of numbers: " + parts.warnings.front().what, parts.warnings.front().where);
    for (Found& found : datasets) {
        const hdf5::Dataset* set = found.dataset;
        TensorInfo tensor;
        tensor.name = std::move(found.name);
        tensor.dtype = dtypeOf(*set->element);
        tensor.shape = set->shape;
        tensor.sizeBytes = set->sizeBytes;
        if (isView(*set))
            tensor.offset = set->offset;
        parts.tensors.push_back(std::move(tensor));
        loaders.emplace_back([file, set](const JobContext& job) { return load(file, *set, job); });
    }
    readRootTexts(file->root(), parts);
    if (looksLikeKeras(parts))
        parts.metadata.emplace_back("layout",
                                    "Keras: kernels are stored as [in, out], convolutions as [height, width, in, out]");
    Fingerprint fingerprint;
    fingerprint.addFile(file->mapped()->bytes(), std::int64_t{64} << 10U);
    parts.fingerprint = fingerprint.hex();
    return std::shared_ptr<const Checkpoint>(std::make_shared<LoaderCheckpoint>(std::move(parts), std::move(loaders)));
}

} // namespace

extern const Reader hdf5;
const Reader hdf5{.id = "hdf5",
                  .title = "HDF5 and Keras (.h5, .weights.h5)",
                  .extensions = "*.h5 *.hdf5",
                  .sniff = sniff,
                  .open = open};

} // namespace ql::readers
