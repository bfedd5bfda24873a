// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/base/file.h"
#include "core/checkpoint/stored_type.h"
#include "core/export/compressed_tensors_files.h"
#include "core/export/compressed_tensors_layout.h"
#include "core/export/output_file.h"
#include "core/jobs/parallel.h"
#include "core/realize/realize.h"
#include "core/tensor/half.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

namespace ql::ct {

namespace {

/// Codes of one row as a little-endian bit string of offset-binary numbers, u = q + 2^(b−1).
void packRow(const std::byte* codes, std::int64_t cols, int bits, std::byte* out)
{
    if (bits == 8) {
        for (std::int64_t k = 0; k < cols; ++k)
            out[k] = codes[k] ^ std::byte{0x80};
        return;
    }
    if (bits == 4) {
        std::int64_t k = 0;
        for (; k + 1 < cols; k += 2)
            out[k / 2] = ((codes[k] & std::byte{15}) | (codes[k + 1] << 4)) ^ std::byte{0x88};
        if (k < cols)
            out[k / 2] = (codes[k] & std::byte{15}) ^ std::byte{0x08};
        return;
    }
    const std::uint32_t mask = (1U << bits) - 1U;
    std::uint32_t waiting = 0; // bits that are not written yet
    int count = 0;
    for (std::int64_t k = 0; k < cols; ++k) {
        const std::uint32_t code = (std::to_integer<std::uint32_t>(codes[k]) + (1U << (bits - 1))) & mask;
        waiting |= code << count;
        for (count += bits; count >= 8; count -= 8) {
            *out++ = static_cast<std::byte>(waiting & 255U);
            waiting >>= 8U;
        }
    }
    if (count > 0)
        *out = static_cast<std::byte>(waiting);
}

/// Codes of one row of 4 bits, two in a byte, the first in the low half.
void pairRow(const std::byte* codes, std::int64_t cols, std::byte* out)
{
    for (std::int64_t k = 0; k < cols; k += 2)
        out[k / 2] = (codes[k] & std::byte{15}) | (codes[k + 1] << 4);
}

/// Rows of codes as the file has them; bytes as they are need no copy.
Result<Buffer> packCodes(const QuantizedTensor& tensor, const Coding& coding, const JobContext& context)
{
    const MatrixShape shape = tensor.matrix();
    const int bits = coding.bits;
    const bool pairs = coding.storage == Storage::fp4;
    const std::int64_t rowBytes = pairs ? shape.cols / 2 : 4 * ceilDiv(shape.cols * bits, 32);
    QL_CHECK(context.checkMemory(shape.rows * rowBytes, "packed codes"));
    Buffer words(shape.rows * rowBytes);
    const std::int64_t grain =
        std::max<std::int64_t>(1, (std::int64_t{1} << 20) / std::max<std::int64_t>(1, shape.cols));
    QL_CHECK(parallelFor(context, shape.rows, grain, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t row = begin; row < end; ++row) {
            std::byte* out = words.data() + row * rowBytes;
            const std::byte* codes = tensor.codes.data() + row * shape.cols;
            if (pairs) {
                pairRow(codes, shape.cols, out);
                continue;
            }
            std::memset(out, 0, static_cast<std::size_t>(rowBytes));
            packRow(codes, shape.cols, bits, out);
        }
    }));
    return words;
}

/// Zero points [rows, groups] as a little-endian bit string down each column, in words [ceil(rows·b/32), groups].
Buffer packZeroPoints(const QuantizedTensor& tensor, int bits)
{
    const std::int64_t rows = tensor.matrix().rows;
    const std::int64_t groups = std::ssize(tensor.zeroPoints) / rows;
    const std::int64_t words = ceilDiv(rows * bits, 32);
    Buffer packed(words * groups * 4);
    std::vector<std::byte> column(static_cast<std::size_t>(rows));
    std::vector<std::uint32_t> string(static_cast<std::size_t>(words));
    for (std::int64_t group = 0; group < groups; ++group) {
        for (std::int64_t row = 0; row < rows; ++row)
            column[static_cast<std::size_t>(row)] = static_cast<std::byte>(
                static_cast<std::uint8_t>(tensor.zeroPoints[static_cast<std::size_t>(row * groups + group)]));
        std::fill(string.begin(), string.end(), 0U);
        packRow(column.data(), rows, bits, reinterpret_cast<std::byte*>(string.data()));
        for (std::int64_t word = 0; word < words; ++word)
            packed.as<std::uint32_t>()[word * groups + group] = string[static_cast<std::size_t>(word)];
    }
    return packed;
}

/// Scales are values of the coding already, so the conversion is exact.
Buffer scaleBytes(std::span<const float> scales, const Coding& coding, Dtype dtype)
{
    if (coding.scale) {
        Buffer bytes(std::ssize(scales));
        auto* out = bytes.as<std::uint8_t>();
        for (std::size_t i = 0; i < scales.size(); ++i)
            out[i] = coding.scale == ScaleCoding::ue4m3 ? e4m3FromFloat(scales[i])
                                                        : static_cast<std::uint8_t>(std::ilogb(scales[i]) + 127);
        return bytes;
    }
    Buffer bytes(std::ssize(scales) * info(dtype).blockBytes);
    if (dtype == Dtype::f32) {
        std::memcpy(bytes.data(), scales.data(), scales.size_bytes());
        return bytes;
    }
    auto* out = bytes.as<std::uint16_t>();
    for (std::size_t i = 0; i < scales.size(); ++i)
        out[i] = dtype == Dtype::bf16 ? bf16FromFloat(scales[i]) : f16FromFloat(scales[i]);
    return bytes;
}

std::span<const std::byte> bytesOf(const Buffer& buffer)
{
    return {buffer.data(), static_cast<std::size_t>(buffer.sizeBytes())};
}

class WeightsWriter {
public:
    WeightsWriter(const ExportRequest& request, const Layout& layout, const OutputFile& file, const JobContext& context)
        : m_request(request), m_layout(layout), m_file(file), m_context(context)
    {
        m_entries.resize(layout.parts->tensors.size());
        for (const Entry& entry : layout.entries)
            m_entries[static_cast<std::size_t>(entry.tensor)][static_cast<std::size_t>(entry.part)] = &entry;
    }

    Result<void> writeTensor(std::int64_t index) const
    {
        const auto i = static_cast<std::size_t>(index);
        const Coding& coding = m_layout.codings[i];
        if (coding.storage == Storage::kept) {
            QL_TRY(data, loadAsStored(*m_request.model.checkpoint, index, m_context));
            const Entry& entry = *m_entries[i][static_cast<std::size_t>(Part::kept)];
            return write(entry, {data.view.data, static_cast<std::size_t>(entry.sizeBytes)});
        }
        const Parts::Tensor& tensor = m_layout.parts->tensors[i];
        const Layer& layer = m_request.model.layers[static_cast<std::size_t>(tensor.layer)];
        QL_TRY(quantized,
               realize(m_request.model, tensor.layer, m_request.plan.candidates[static_cast<std::size_t>(tensor.layer)],
                       m_request.activations, m_context));
        if (coding.storage == Storage::packed || coding.storage == Storage::fp4) {
            QL_TRY(words, packCodes(quantized, coding, m_context));
            QL_CHECK(write(i, Part::codes, bytesOf(words)));
        } else {
            QL_CHECK(write(i, Part::codes, bytesOf(quantized.codes)));
        }
        QL_CHECK(write(i, Part::scale, bytesOf(scaleBytes(quantized.scales, coding, layer.dtype))));
        if (coding.zeroPoint)
            QL_CHECK(write(i, Part::zeroPoint, bytesOf(packZeroPoints(quantized, coding.bits))));
        if (coding.scale == ScaleCoding::ue4m3) {
            const float globalScale = 1 / quantized.tensorScale;
            QL_CHECK(write(i, Part::globalScale, std::as_bytes(std::span(&globalScale, 1))));
        }
        if (coding.storage == Storage::packed)
            QL_CHECK(write(i, Part::shape, std::as_bytes(std::span(tensor.shape))));
        return {};
    }

private:
    Result<void> write(std::size_t tensor, Part part, std::span<const std::byte> bytes) const
    {
        const Entry& entry = *m_entries[tensor][static_cast<std::size_t>(part)];
        assert(std::ssize(bytes) == entry.sizeBytes);
        return write(entry, bytes);
    }
    Result<void> write(const Entry& entry, std::span<const std::byte> bytes) const
    {
        return m_file.writeAt(m_layout.headerBytes + entry.begin, bytes, m_context);
    }

    const ExportRequest& m_request;
    const Layout& m_layout;
    const OutputFile& m_file;
    const JobContext& m_context;
    std::vector<std::array<const Entry*, kPartCount>> m_entries;
};

Result<void> writeWhole(const std::filesystem::path& path, std::span<const std::byte> bytes, const JobContext& context)
{
    QL_TRY(file, OutputFile::create(path));
    QL_CHECK(file.writeAt(0, bytes, context));
    return file.finish();
}

Result<void> writeText(const std::filesystem::path& path, std::string_view text, const JobContext& context)
{
    return writeWhole(path, std::as_bytes(std::span(text.data(), text.size())), context);
}

Result<void> writeWeights(const ExportRequest& request, const Layout& layout, const std::filesystem::path& path,
                          const JobContext& context)
{
    QL_TRY(file, OutputFile::create(path));
    QL_CHECK(file.reserve(layout.headerBytes + layout.dataBytes));
    const std::string header = headerText(layout);
    QL_CHECK(file.writeAt(0, std::as_bytes(std::span(header.data(), header.size()))));
    const WeightsWriter writer(request, layout, file, context);
    for (std::int64_t i = 0; i < std::ssize(layout.parts->tensors); ++i) {
        QL_CHECK(context.checkStop());
        QL_CHECK(writer.writeTensor(i));
    }
    return file.finish();
}

} // namespace

Result<std::vector<WrittenFile>> writeFolder(const ExportRequest& request, const std::filesystem::path& path,
                                             const JobContext& context)
{
    QL_TRY(layout, layOut(request.model, request.plan));
    QL_TRY(folder, OutputFolder::create(path, kPlanFile));
    context.progress().addTotal(layout.totalBytes());

    std::vector<WrittenFile> written{{std::string(kConfigFile), layout.configBytes},
                                     {std::string(kWeightsFile), layout.headerBytes + layout.dataBytes},
                                     {std::string(kPlanFile), layout.planBytes}};
    QL_CHECK(writeText(folder.temporaryPath() / kConfigFile, configText(layout), context));
    QL_CHECK(writeText(folder.temporaryPath() / kPlanFile, planText(request.model, request.plan), context));
    for (const Parts::Copy& copy : layout.parts->copies) {
        QL_TRY(source, MappedFile::open(layout.parts->folder / copy.name));
        if (source->sizeBytes() != copy.sizeBytes)
            return ioError("changed since the model was opened; open it again", source->path().string());
        QL_CHECK(writeWhole(folder.temporaryPath() / copy.name, source->bytes(), context));
        QL_CHECK(source->checkIntact());
        written.push_back({copy.name, copy.sizeBytes});
    }
    QL_CHECK(writeWeights(request, layout, folder.temporaryPath() / kWeightsFile, context));
    QL_CHECK(context.checkStop());
    QL_CHECK(request.model.checkpoint->checkIntact());
    QL_CHECK(folder.commit());
    return written;
}

Result<std::string> readPlan(const std::filesystem::path& path)
{
    std::error_code error;
    if (!std::filesystem::is_directory(path, error))
        return badInput("is not a folder", path.string());
    return readTextFile(path / kPlanFile, std::int64_t{256} << 20);
}

} // namespace ql::ct
