// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/base/file.h"
#include "core/checkpoint/stored_type.h"
#include "core/export/gguf_blocks.h"
#include "core/export/gguf_files.h"
#include "core/export/gguf_layout.h"
#include "core/jobs/parallel.h"
#include "core/realize/realize.h"

#include <algorithm>
#include <cstring>

namespace ql::ggufout {

namespace {

std::span<const std::byte> bytesOf(const Buffer& buffer)
{
    return {buffer.data(), static_cast<std::size_t>(buffer.sizeBytes())};
}

/// The rows of a matrix in the order llama.cpp wants them.
TensorData permuted(const TensorData& data, std::int64_t heads)
{
    const std::int64_t rows = data.view.shape[0];
    const std::int64_t bytes = storedBytes(data.view.dtype, data.view.numel()).value();
    const std::int64_t rowBytes = bytes / rows;
    auto buffer = std::make_shared<Buffer>(bytes);
    for (std::int64_t row = 0; row < rows; ++row)
        std::memcpy(buffer->data() + row * rowBytes, data.view.data + permutedRow(row, rows / heads) * rowBytes,
                    static_cast<std::size_t>(rowBytes));
    TensorView view = data.view;
    view.data = buffer->data();
    return {view, buffer};
}

class Writer {
public:
    Writer(const ExportRequest& request, const Layout& layout, AtomicFile& file, const JobContext& context)
        : m_request(request), m_layout(layout), m_file(file), m_context(context)
    {}

    Result<void> writeTensor(std::size_t index)
    {
        const TensorPart& tensor = m_layout.parts->tensors[index];
        const Dtype type = m_layout.types[index];
        if (tensor.tensor < 0)
            return append(std::as_bytes(std::span(tensor.generated)));
        const Model& model = m_request.model;
        if (tensor.layer >= 0 && blockTypeOf(m_request.plan.candidates[static_cast<std::size_t>(tensor.layer)].weights))
            return writeCoded(tensor, type);
        QL_TRY(data, tensor.toFloat32 ? model.checkpoint->load(tensor.tensor, m_context)
                                      : loadAsStored(*model.checkpoint, tensor.tensor, m_context));
        if (tensor.permutedHeads > 0)
            data = permuted(data, tensor.permutedHeads);
        if (type == data.view.dtype)
            return append({data.view.data, static_cast<std::size_t>(m_layout.sizes[index])});
        Buffer floats(4 * tensor.numel); // one-dimensional tensors, small
        decode(data.view.dtype, data.view.data, 0, tensor.numel, floats.as<float>());
        return append(bytesOf(floats));
    }

private:
    Result<void> writeCoded(const TensorPart& tensor, Dtype type)
    {
        const Candidate& candidate = m_request.plan.candidates[static_cast<std::size_t>(tensor.layer)];
        QL_TRY(quantized, realize(m_request.model, tensor.layer, candidate, m_request.activations, m_context));
        if (!info(type).isGgml || candidate.weights.isPacked())
            return appendRows(tensor, {type, quantized.shape, quantized.codes.data()});
        const std::int64_t blocks = tensor.numel / 32;
        const std::int64_t blockBytes = info(type).blockBytes;
        Buffer packed(blocks * blockBytes);
        QL_CHECK(parallelFor(m_context, blocks, 16384, [&](std::int64_t begin, std::int64_t end) {
            packBlocks(quantized, type, begin, end, packed.data() + begin * blockBytes);
        }));
        return appendRows(tensor, {type, quantized.shape, packed.data()});
    }

    /// In the order of the file: rows were coded in that of the layer, which they may depend on.
    Result<void> appendRows(const TensorPart& tensor, const TensorView& coded)
    {
        const TensorData rows =
            tensor.permutedHeads > 0 ? permuted({coded, nullptr}, tensor.permutedHeads) : TensorData{coded, nullptr};
        const std::int64_t bytes = storedBytes(coded.dtype, coded.numel()).value();
        return append({rows.view.data, static_cast<std::size_t>(bytes)});
    }

    Result<void> append(std::span<const std::byte> bytes)
    {
        constexpr std::size_t kPiece = std::size_t{1} << 22U;
        const std::int64_t padding = roundUp(std::ssize(bytes), m_layout.parts->alignment) - std::ssize(bytes);
        while (!bytes.empty()) {
            QL_CHECK(m_context.checkStop());
            const auto piece = bytes.first(std::min(bytes.size(), kPiece));
            QL_CHECK(m_file.write(piece));
            m_context.progress().addDone(std::ssize(piece));
            bytes = bytes.subspan(piece.size());
        }
        return m_file.writeZeros(padding);
    }

    const ExportRequest& m_request;
    const Layout& m_layout;
    AtomicFile& m_file;
    const JobContext& m_context;
};

} // namespace

Result<std::vector<WrittenFile>> writeFile(const ExportRequest& request, const std::filesystem::path& path,
                                           const JobContext& context)
{
    QL_TRY(layout, layOut(request.model, request.plan));
    QL_TRY(file, AtomicFile::create(path));
    context.progress().addTotal(layout.dataBytes);
    QL_CHECK(file.write(headerText(layout)));
    Writer writer(request, layout, file, context);
    for (std::size_t i = 0; i < layout.parts->tensors.size(); ++i) {
        QL_CHECK(context.checkStop());
        QL_CHECK(writer.writeTensor(i));
    }
    QL_CHECK(context.checkStop());
    const std::int64_t size = file.sizeBytes();
    QL_CHECK(request.model.checkpoint->checkIntact());
    QL_CHECK(file.commit());
    return std::vector<WrittenFile>{{"", size}};
}

} // namespace ql::ggufout
