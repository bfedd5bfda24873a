// SPDX-License-Identifier: GPL-3.0-or-later
// HDF5 makes the structure, with room for all data; the data is then written to its places without the library, whose
// lock is so held for milliseconds only and which never meets a full disk in the middle of a tensor.
#include "core/base/file.h"
#include "core/checkpoint/stored_type.h"
#include "core/export/hdf5_files.h"
#include "core/export/hdf5_layout.h"
#include "core/export/output_file.h"
#include "core/formats/element_coder.h"
#include "core/formats/tensor_additions.h"
#include "core/model/stored_order.h"
#include "core/realize/realize.h"

#include <algorithm>
#include <string_view>

namespace ql::h5out {

namespace {

template<typename T>
std::span<const std::byte> bytesOf(const std::vector<T>& values)
{
    return std::as_bytes(std::span(values));
}

/// Asks for the whole room once: HDF5 must not meet a full disk, because a file it cannot close ends the process badly.
Result<void> checkRoom(const std::filesystem::path& temporary, const std::filesystem::path& path,
                       const ExportRequest& request)
{
    QL_TRY(bytes, sizeBytes(request.model, request.plan));
    QL_TRY(file, OutputFile::openForUpdate(temporary));
    file.showAs(path);
    return file.reserve(bytes);
}

class Writer {
public:
    Writer(const ExportRequest& request, const OutputFile& file, const JobContext& context)
        : m_request(request), m_file(file), m_context(context)
    {}

    Result<void> kept(std::int64_t tensor, const Placed& placed) const
    {
        QL_TRY(data, loadAsStored(*m_request.model.checkpoint, tensor, m_context));
        return put(placed, {data.view.data, static_cast<std::size_t>(placed.item.sizeBytes())});
    }

    Result<void> quantized(const Choice& choice, std::span<const Placed> places) const
    {
        QL_TRY(tensor, realize(m_request.model, choice.layer, *choice.candidate, m_request.activations, m_context));
        for (const Placed& placed : places)
            QL_CHECK(part(placed, m_request.model.layers[static_cast<std::size_t>(choice.layer)], tensor));
        return {};
    }

private:
    Result<void> part(const Placed& placed, const Layer& layer, const QuantizedTensor& tensor) const
    {
        const std::string_view name = placed.item.name;
        if (name == "codes" || name == "blocks" || name == "packed")
            return put(placed, {tensor.codes.data(), static_cast<std::size_t>(tensor.codes.sizeBytes())});
        if (name == "levels")
            return put(placed, bytesOf(tensor.scheme.element->levels));
        if (name == "scales")
            return put(placed, bytesOf(tensor.scales));
        if (name == "zero_points")
            return put(placed, bytesOf(tensor.zeroPoints));
        if (name == "minima")
            return put(placed, bytesOf(tensor.minima));
        if (name == "tensor_scale")
            return put(placed, std::as_bytes(std::span(&tensor.tensorScale, 1)));
        if (name != "weights")
            return addition(placed, *tensor.additions);
        return layer.stored.moves() ? movedWeights(placed, layer, tensor) : weights(placed, tensor);
    }

    Result<void> addition(const Placed& placed, const TensorAdditions& additions) const
    {
        const std::string_view name = placed.item.name;
        if (name == "kept_columns")
            return put(placed, bytesOf(additions.columns));
        if (name == "sparse_starts")
            return put(placed, bytesOf(additions.rowStarts));
        if (name == "sparse_columns" && placed.item.element == Dtype::u32)
            return put(placed, bytesOf(additions.sparseColumns));
        if (name == "sparse_columns")
            return put(placed, bytesOf(std::vector<std::uint16_t>(additions.sparseColumns.begin(),
                                                                  additions.sparseColumns.end())));
        const std::vector<float>& values = name == "kept_values"     ? additions.columnValues
                                           : name == "sparse_values" ? additions.sparseValues
                                           : name == "left"          ? additions.left
                                                                     : additions.right;
        std::vector<std::uint16_t> bits(values.size());
        narrowRun(Dtype::f16, values.data(), std::ssize(values), bits.data());
        return put(placed, bytesOf(bits));
    }

    Result<void> put(const Placed& placed, std::span<const std::byte> bytes) const
    {
        if (std::ssize(bytes) != placed.item.sizeBytes())
            return badInput("has " + std::to_string(bytes.size()) + " bytes of " + placed.item.name + " instead of " +
                            std::to_string(placed.item.sizeBytes()));
        return m_file.writeAt(placed.offset, bytes, m_context);
    }

    /// Restored as a whole, because each run of the checkpoint's order takes from many rows.
    Result<void> movedWeights(const Placed& placed, const Layer& layer, const QuantizedTensor& tensor) const
    {
        QL_TRY(restored, restore(tensor, m_context));
        QL_TRY(moved, toStoredOrder(layer, std::move(restored), m_context));
        return put(placed, {moved.data(), static_cast<std::size_t>(moved.sizeBytes())});
    }

    /// Restored in pieces of rows of about 1 MiB.
    Result<void> weights(const Placed& placed, const QuantizedTensor& tensor) const
    {
        const MatrixShape matrix = tensor.matrix();
        const std::int64_t rowBytes = 4 * matrix.cols;
        const std::int64_t step =
            std::max<std::int64_t>(1, (std::int64_t{1} << 20) / std::max<std::int64_t>(1, rowBytes));
        Buffer rows(std::min(step, matrix.rows) * rowBytes);
        for (std::int64_t row = 0; row < matrix.rows; row += step) {
            const std::int64_t last = std::min(matrix.rows, row + step);
            tensor.restoreRows(row, last, rows.as<float>());
            QL_CHECK(m_file.writeAt(placed.offset + row * rowBytes,
                                    {rows.data(), static_cast<std::size_t>((last - row) * rowBytes)}, m_context));
        }
        return {};
    }

    const ExportRequest& m_request;
    const OutputFile& m_file;
    const JobContext& m_context;
};

} // namespace

Result<std::vector<WrittenFile>> writeFile(const ExportRequest& request, const std::filesystem::path& path,
                                           const JobContext& context)
{
    const Model& model = request.model;
    const std::string plan = printPlan(request.plan, model);
    QL_TRY(target, AtomicFile::create(path));
    QL_CHECK(checkRoom(target.temporaryPath(), path, request));
    QL_TRY(structure, createStructure(target.temporaryPath(), model, request.plan, std::ssize(plan)));
    QL_TRY(file, OutputFile::openForUpdate(target.temporaryPath()));
    file.showAs(path);
    QL_CHECK(file.writeAt(structure.planOffset, std::as_bytes(std::span(plan.data(), plan.size()))));

    for (const auto& places : structure.tensors)
        for (const Placed& placed : places)
            context.progress().addTotal(placed.item.sizeBytes());
    const Writer writer(request, file, context);
    const auto choices = choicesByTensor(model, request.plan);
    for (std::size_t i = 0; i < structure.tensors.size(); ++i) {
        QL_CHECK(context.checkStop());
        QL_CHECK(choices[i].candidate ? writer.quantized(choices[i], structure.tensors[i])
                                      : writer.kept(static_cast<std::int64_t>(i), structure.tensors[i].front()));
    }
    QL_CHECK(context.checkStop());
    QL_CHECK(file.finish());
    QL_CHECK(request.model.checkpoint->checkIntact());
    QL_CHECK(target.commit());
    std::error_code error;
    const auto size = std::filesystem::file_size(path, error);
    return std::vector<WrittenFile>{{"", error ? 0 : static_cast<std::int64_t>(size)}};
}

} // namespace ql::h5out
