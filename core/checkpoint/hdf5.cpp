// SPDX-License-Identifier: GPL-3.0-or-later
// HDF5 files of any layout, and Keras models (.h5, .weights.h5): every dataset of plain numbers is a tensor named by
// its path. Nothing outside the file is ever opened: external links, external storage and virtual datasets are left out
// with a warning, as are types that are no plain numbers. Contiguous little-endian data are views of the mapping.
#include "core/base/hdf5.h"

#include "core/base/file.h"
#include "core/base/text.h"
#include "core/checkpoint/array_order.h"
#include "core/checkpoint/config_json.h"
#include "core/checkpoint/fingerprint.h"
#include "core/checkpoint/loader_checkpoint.h"
#include "core/checkpoint/reader.h"
#include "core/checkpoint/tensor_names.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <set>

namespace ql::readers {

namespace {

constexpr std::int64_t kPieceBytes = std::int64_t{4} << 20U;    // between two stop tests
constexpr std::int64_t kMaxChunkBytes = std::int64_t{1} << 29U; // unpacked at once
constexpr std::int64_t kSmallBytes = std::int64_t{64} << 20U;   // below it no dataset is a bomb
constexpr std::int64_t kMaxRatio = 1100;                        // of deflate
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

/// The open file and the datasets found in it, shared by the loaders.
struct File {
    std::shared_ptr<const MappedFile> mapped;
    hdf5::Handle handle;
};

struct Found {
    std::string name;
    hdf5::DatasetInfo info;
};

class Walk {
public:
    Walk(const File& file, const JobContext& context, std::vector<Warning>& warnings)
        : m_file(file), m_context(context), m_warnings(warnings)
    {}

    Result<std::vector<Found>> run()
    {
        QL_TRY(root, hdf5::openObject(m_file.handle.get(), "/"));
        QL_CHECK(group(root, "", 0));
        return std::move(m_found);
    }

private:
    void leaveOut(const std::string& name, const std::string& why)
    {
        m_warnings.push_back({m_file.mapped->path().string() + ": " + printable(name), why + "; left out"});
    }

    Result<void> group(const hdf5::Object& object, const std::string& prefix, int depth)
    {
        QL_CHECK(m_context.checkStop());
        if (!m_visited.insert(object.address).second)
            return {}; // groups may contain each other
        if (depth > kMaxDepth)
            return badInput("has groups nested more than " + std::to_string(kMaxDepth) + " deep", where());
        auto links = hdf5::links(object.handle.get(), kMaxTensors);
        if (!links)
            return badInput(links.error().what, where());
        for (const hdf5::Link& link : *links) {
            const std::string name = prefix + link.name;
            if (link.kind == hdf5::LinkKind::external || link.kind == hdf5::LinkKind::other) {
                leaveOut(name, "is a link to another file, which is never followed");
                continue;
            }
            auto child = hdf5::openObject(object.handle.get(), link.name);
            if (!child && link.kind == hdf5::LinkKind::soft) {
                leaveOut(name, "is a link that leads nowhere, around in a circle or to another file");
                continue;
            }
            if (!child)
                return badInput(child.error().what, where());
            if (child->kind == hdf5::ObjectKind::group) {
                QL_CHECK(group(*child, name + "/", depth + 1));
            } else if (child->kind == hdf5::ObjectKind::dataset) {
                QL_CHECK(dataset(child->handle.get(), name));
            }
        }
        return {};
    }

    Result<void> dataset(hdf5::Id id, const std::string& name)
    {
        QL_CHECK(checkTensorName(name, where()));
        if (std::ssize(m_found) >= kMaxTensors)
            return badInput("holds more than " + std::to_string(kMaxTensors) + " datasets", where());
        auto info = hdf5::describeDataset(id);
        if (!info)
            return badInput(info.error().what, where() + ": " + name);
        if (!info->element) {
            leaveOut(name, "holds " + info->type + ", not plain numbers");
            return {};
        }
        if (!info->refusal.empty()) {
            leaveOut(name, info->refusal);
            return {};
        }
        const std::int64_t fileBytes = m_file.mapped->sizeBytes();
        const bool beyond = info->storedBytes > fileBytes ||
                            (info->offset && (*info->offset < 0 || *info->offset > fileBytes - info->sizeBytes));
        if (beyond)
            return badInput("its data reach beyond the file, which is truncated or damaged. Get the file again",
                            where() + ": " + name);
        if (info->sizeBytes > kSmallBytes && info->sizeBytes / kMaxRatio > info->storedBytes) {
            leaveOut(name, "claims " + formatBytes(info->sizeBytes) + " of elements, of which the file stores " +
                               formatBytes(info->storedBytes));
            return {};
        }
        std::int64_t chunkBytes = hdf5::elementBytes(*info->element);
        for (const std::int64_t n : info->chunk)
            chunkBytes = mulChecked(chunkBytes, n).value_or(kMaxChunkBytes + 1);
        if (chunkBytes > kMaxChunkBytes) {
            leaveOut(name, "has chunks of more than " + formatBytes(kMaxChunkBytes) + "; store it in smaller ones");
            return {};
        }
        m_found.push_back({name, std::move(*info)});
        return {};
    }

    std::string where() const { return m_file.mapped->path().string(); }

    const File& m_file;
    const JobContext& m_context;
    std::vector<Warning>& m_warnings;
    std::set<std::uint64_t> m_visited;
    std::vector<Found> m_found;
};

Result<TensorData> loadDataset(const std::shared_ptr<File>& file, const Found& found, const JobContext& context)
{
    const hdf5::DatasetInfo& info = found.info;
    const Dtype dtype = dtypeOf(*info.element);
    if (info.nativeOrder && info.offset)
        return TensorData{{dtype, info.shape, file->mapped->bytes().data() + *info.offset}, file->mapped};
    QL_TRY(buffer, allocate(info.sizeBytes, context));
    QL_TRY(dataset, hdf5::openDataset(file->handle.get(), found.name));
    const auto read = [&](const hdf5::Extent& start, const hdf5::Extent& count) -> Result<void> {
        QL_CHECK(context.checkStop());
        return hdf5::readBlock(dataset.get(), *info.element, start, count, buffer->data());
    };
    QL_CHECK(hdf5::forEachBlock(info, kPieceBytes, read));
    return TensorData{{dtype, info.shape, buffer->data()}, buffer};
}

/// Texts at the root: what wrote the file; Keras keeps the architecture there.
void readRootTexts(hdf5::Id root, LoaderCheckpoint::Parts& parts)
{
    constexpr std::int64_t kMaxConfigBytes = std::int64_t{64} << 20U;
    constexpr std::size_t kShownBytes = 1000;
    for (const std::string& name : hdf5::attributeNames(root)) {
        auto text = hdf5::readStringAttribute(root, name, kMaxConfigBytes);
        if (!text)
            continue;
        if (name == "model_config" && isHarmlessObject(*text)) {
            parts.configJson = std::move(*text);
            continue;
        }
        const bool abridged = text->size() > kShownBytes;
        parts.metadata.emplace_back(printable(name), printable(text->substr(0, kShownBytes)) + (abridged ? "…" : ""));
    }
}

bool looksLikeKeras(const LoaderCheckpoint::Parts& parts)
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
    const auto file = std::make_shared<File>();
    QL_TRY(mapped, MappedFile::open(path));
    file->mapped = mapped;
    QL_TRY(handle, hdf5::openFile(path));
    file->handle = std::move(handle);

    LoaderCheckpoint::Parts parts;
    parts.reader = "hdf5";
    parts.path = path;
    QL_TRY(datasets, Walk(*file, context, parts.warnings).run());
    if (datasets.empty() && !parts.warnings.empty())
        return badInput("holds no dataset of numbers: " + parts.warnings.front().what, parts.warnings.front().where);
    for (Found& found : datasets) {
        TensorInfo tensor;
        tensor.name = found.name;
        tensor.dtype = dtypeOf(*found.info.element);
        tensor.shape = found.info.shape;
        tensor.sizeBytes = found.info.sizeBytes;
        if (found.info.nativeOrder && found.info.offset)
            tensor.offset = *found.info.offset;
        parts.tensors.push_back(std::move(tensor));
        parts.loaders.emplace_back(
            [file, dataset = std::move(found)](const JobContext& job) { return loadDataset(file, dataset, job); });
    }
    readRootTexts(file->handle.get(), parts);
    if (looksLikeKeras(parts))
        parts.metadata.emplace_back("layout",
                                    "Keras: kernels are stored as [in, out], convolutions as [height, width, in, out]");
    Fingerprint fingerprint;
    fingerprint.addFile(mapped->bytes(), std::int64_t{64} << 10U);
    parts.fingerprint = fingerprint.hex();
    return std::shared_ptr<const Checkpoint>(std::make_shared<LoaderCheckpoint>(std::move(parts)));
}

} // namespace

extern const Reader hdf5;
const Reader hdf5{.id = "hdf5",
                  .title = "HDF5 and Keras (.h5, .weights.h5)",
                  .extensions = "*.h5 *.hdf5",
                  .sniff = sniff,
                  .open = open};

} // namespace ql::readers
