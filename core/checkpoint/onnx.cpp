// SPDX-License-Identifier: GPL-3.0-or-later
// Weights of ONNX models. Values in raw_data, in a packed float field or in an external file are views of a mapping;
// other fields and packed small integers (2 and 4 bit: as i8 and u8) are decoded when asked for.
#include "core/base/file.h"
#include "core/base/text.h"
#include "core/checkpoint/array_order.h"
#include "core/checkpoint/fingerprint.h"
#include "core/checkpoint/loader_checkpoint.h"
#include "core/checkpoint/onnx_graph.h"
#include "core/checkpoint/reader.h"
#include "core/jobs/parallel.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <limits>
#include <map>

namespace ql::readers {

namespace {

using wire::Bytes;

enum class Coding {
    plain,    // as in memory
    packed,   // several integers in a byte, the first in the lowest bits; decoded to i8 or u8
    fnuz,     // 8-bit floats with one zero and one NaN (0x80), bias one higher; decoded to f32
    halfByte, // e2m1, two in a byte; as in memory if their number is even, else decoded to f32
};

// Fields of TensorProto that hold values.
constexpr std::uint32_t kFloats = 4, kInts32 = 5, kInts64 = 7, kDoubles = 10, kUnsigned64 = 11;

struct TypeRow {
    int type;
    Dtype dtype; // in memory
    int bits;    // stored
    Coding coding;
    std::uint32_t field; // where values are unless raw
    int perValue = 1;    // values of the field per element (complex), or elements per value as a negative number
};
constexpr std::array<TypeRow, 25> kTypes{
    {{1, Dtype::f32, 32, Coding::plain, kFloats},      {2, Dtype::u8, 8, Coding::plain, kInts32},
     {3, Dtype::i8, 8, Coding::plain, kInts32},        {4, Dtype::u16, 16, Coding::plain, kInts32},
     {5, Dtype::i16, 16, Coding::plain, kInts32},      {6, Dtype::i32, 32, Coding::plain, kInts32},
     {7, Dtype::i64, 64, Coding::plain, kInts64},      {9, Dtype::boolean, 8, Coding::plain, kInts32},
     {10, Dtype::f16, 16, Coding::plain, kInts32},     {11, Dtype::f64, 64, Coding::plain, kDoubles},
     {12, Dtype::u32, 32, Coding::plain, kUnsigned64}, {13, Dtype::u64, 64, Coding::plain, kUnsigned64},
     {14, Dtype::c64, 64, Coding::plain, kFloats, 2},  {15, Dtype::c128, 128, Coding::plain, kDoubles, 2},
     {16, Dtype::bf16, 16, Coding::plain, kInts32},    {17, Dtype::f8_e4m3, 8, Coding::plain, kInts32},
     {18, Dtype::f32, 8, Coding::fnuz, kInts32},       {19, Dtype::f8_e5m2, 8, Coding::plain, kInts32},
     {20, Dtype::f32, 8, Coding::fnuz, kInts32},       {21, Dtype::u8, 4, Coding::packed, kInts32, -2},
     {22, Dtype::i8, 4, Coding::packed, kInts32, -2},  {23, Dtype::f4_e2m1, 4, Coding::halfByte, kInts32, -2},
     {24, Dtype::f8_e8m0, 8, Coding::plain, kInts32},  {25, Dtype::u8, 2, Coding::packed, kInts32, -4},
     {26, Dtype::i8, 2, Coding::packed, kInts32, -4}}};

const TypeRow* rowOf(int type)
{
    const auto* row = std::ranges::find(kTypes, type, &TypeRow::type);
    return row == kTypes.end() ? nullptr : row;
}

/// One tensor, checked against its data.
struct Source {
    TypeRow row;
    Shape shape;
    std::int64_t elements = 0;
    std::int64_t storedBytes = 0;
    std::shared_ptr<const MappedFile> file;
    Bytes data;    // as stored; empty if the values are in a field
    Bytes message; // holds the field
    std::uint32_t field = 0;
};

bool isFixed(std::uint32_t field)
{
    return field == kFloats || field == kDoubles;
}

/// Calls visit(bytes) for every packed block, and for every single value, of a field.
template<typename Visit>
void forEachPart(Bytes message, std::uint32_t field, const Visit& visit)
{
    wire::Reader reader(message);
    while (const auto found = reader.next())
        if (found->number == field)
            visit(*found);
}

std::int64_t countValues(Bytes message, std::uint32_t field, std::int64_t fixedBytes)
{
    std::int64_t count = 0;
    forEachPart(message, field, [&](const wire::Field& part) {
        if (part.type != wire::Type::bytes)
            ++count;
        else if (fixedBytes > 0)
            count += std::ssize(part.bytes) / fixedBytes;
        else
            count += std::ranges::count_if(part.bytes, [](std::byte b) { return b < std::byte{0x80}; });
    });
    return count;
}

/// Values of a field to the layout that raw_data would have. Can be stopped.
Result<void> fieldToRaw(const Source& source, std::byte* out, const JobContext& context)
{
    std::byte* const end = out + source.storedBytes;
    const std::size_t size =
        source.row.perValue < 0 ? 1 : static_cast<std::size_t>(source.row.bits / 8 / source.row.perValue);
    Result<void> result;
    std::int64_t untilTest = 0;
    const auto put = [&](std::uint64_t value) {
        if (--untilTest < 0) {
            untilTest = 1 << 20;
            result = context.checkStop();
        }
        if (!result || end - out < static_cast<std::ptrdiff_t>(size))
            return false;
        std::memcpy(out, &value, size);
        out += size;
        return true;
    };
    forEachPart(source.message, source.field, [&](const wire::Field& part) {
        if (part.type != wire::Type::bytes) {
            put(part.value);
        } else if (isFixed(source.row.field)) {
            for (std::size_t i = 0; i + size <= part.bytes.size(); i += size) {
                std::uint64_t value = 0;
                std::memcpy(&value, part.bytes.data() + i, size);
                if (!put(value))
                    return;
            }
        } else {
            wire::Reader values(part.bytes);
            while (!values.atEnd()) {
                const auto value = values.varint();
                if (!value || !put(*value))
                    return;
            }
        }
    });
    if (result && out != end)
        return badInput("its values end too early; the file is damaged", {});
    return result;
}

float fromFnuz(unsigned code, bool e5m2)
{
    const unsigned mantissaBits = e5m2 ? 2 : 3;
    const int bias = e5m2 ? 16 : 8;
    if (code == 0x80)
        return std::numeric_limits<float>::quiet_NaN();
    const unsigned mantissa = code & ((1U << mantissaBits) - 1U);
    const unsigned exponent = (code & 0x7fU) >> mantissaBits;
    const float fraction = static_cast<float>(mantissa) / static_cast<float>(1U << mantissaBits);
    const float value =
        exponent == 0 ? std::ldexp(fraction, 1 - bias) : std::ldexp(1.0F + fraction, static_cast<int>(exponent) - bias);
    return code >= 0x80 ? -value : value;
}

/// Elements [begin, end) of stored bytes to memory.
void decodeStored(const Source& source, const std::byte* stored, std::byte* out, std::int64_t begin, std::int64_t end)
{
    const TypeRow& row = source.row;
    for (std::int64_t i = begin; i < end; ++i) {
        const std::int64_t bit = i * row.bits;
        const unsigned code = (static_cast<unsigned>(stored[bit / 8]) >> static_cast<unsigned>(bit % 8)) &
                              ((1U << static_cast<unsigned>(row.bits)) - 1U);
        if (row.coding == Coding::packed) {
            const bool negative = row.dtype == Dtype::i8 && (code >> static_cast<unsigned>(row.bits - 1)) != 0;
            out[i] = static_cast<std::byte>(negative ? code | ~((1U << static_cast<unsigned>(row.bits)) - 1U) : code);
            continue;
        }
        float value = 0;
        if (row.coding == Coding::fnuz)
            value = fromFnuz(code, row.type == 20);
        else {
            const std::byte pair{static_cast<unsigned char>(code)};
            std::array<float, 2> values{};
            decode(Dtype::f4_e2m1, &pair, 0, 2, values.data());
            value = values[0];
        }
        std::memcpy(out + i * 4, &value, 4);
    }
}

Result<TensorData> load(const Source& source, Dtype dtype, const JobContext& context)
{
    const bool asStored = source.row.coding == Coding::plain || dtype == Dtype::f4_e2m1;
    const std::byte* stored = source.data.data();
    std::shared_ptr<const void> owner = source.file;
    if (source.field != 0) {
        QL_TRY(raw, allocate(source.storedBytes, context));
        QL_CHECK(fieldToRaw(source, raw->data(), context));
        stored = raw->data();
        owner = raw;
    }
    if (asStored)
        return TensorData{{dtype, source.shape, stored}, owner};
    const std::int64_t elementBytes = info(dtype).blockBytes;
    QL_TRY(buffer, allocate(source.elements * elementBytes, context));
    QL_CHECK(parallelFor(context, source.elements, std::int64_t{1} << 18U, [&](std::int64_t begin, std::int64_t end) {
        decodeStored(source, stored, buffer->data(), begin, end);
    }));
    return TensorData{{dtype, source.shape, buffer->data()}, buffer};
}

class Opening {
public:
    Opening(std::filesystem::path path, std::shared_ptr<const MappedFile> file)
        : m_path(std::move(path)), m_file(std::move(file))
    {}

    /// Nothing if the tensor is left out with a warning.
    Result<std::optional<Source>> check(const OnnxTensor& tensor, std::vector<Warning>& warnings)
    {
        const std::string where = m_path.string() + ": " + tensor.name;
        const TypeRow* row = rowOf(tensor.type);
        if (!row) {
            warnings.push_back({where, (tensor.type == 8 ? std::string("holds text")
                                                         : "has the unknown type " + std::to_string(tensor.type)) +
                                           "; left out"});
            return std::optional<Source>();
        }
        Source source{*row, tensor.shape, 0, 0, m_file, {}, tensor.message, 0};
        const auto elements = checkedNumel(tensor.shape);
        const auto bits = elements ? mulChecked(*elements, row->bits) : std::nullopt;
        if (!bits || !mulChecked(*elements, 16))
            return badInput(
                "claims the shape " + formatShape(tensor.shape) + ", which is impossible; the file is damaged", where);
        source.elements = *elements;
        source.storedBytes = ceilDiv(*bits, 8);
        if (tensor.isExternal) {
            QL_CHECK(external(tensor, source, where));
        } else if (tensor.hasRaw) {
            source.data = tensor.raw;
            if (std::ssize(tensor.raw) != source.storedBytes)
                return sizeError(std::ssize(tensor.raw), source, where);
        } else {
            QL_CHECK(field(tensor, source, where));
        }
        return std::optional<Source>(std::move(source));
    }

    std::vector<std::pair<std::string, std::shared_ptr<const MappedFile>>> externalFiles() const
    {
        return {m_external.begin(), m_external.end()};
    }

private:
    static Error sizeError(std::int64_t bytes, const Source& source, const std::string& where)
    {
        return badInput("the shape " + formatShape(source.shape) + " needs " + formatBytes(source.storedBytes) +
                            ", the file holds " + formatBytes(bytes) + ". Get the file again",
                        where);
    }

    Result<void> external(const OnnxTensor& tensor, Source& source, const std::string& where)
    {
        auto found = m_external.find(tensor.location);
        if (found == m_external.end()) {
            if (m_external.size() >= 10'000)
                return badInput("spreads its data over more than 10000 files", m_path.string());
            auto path = pathInside(m_path.parent_path(), tensor.location);
            if (!path)
                return badInput(path.error().what, where);
            auto file = MappedFile::open(*path);
            if (!file)
                return Error{file.error().code,
                             "its data are in the file '" + printable(tensor.location) + "', which " +
                                 file.error().what + ". Put it beside the model",
                             where};
            found = m_external.emplace(tensor.location, std::move(*file)).first;
        }
        source.file = found->second;
        const std::int64_t available = source.file->sizeBytes() - tensor.offset;
        if (available < source.storedBytes || (tensor.length && *tensor.length != source.storedBytes))
            return sizeError(std::min(available, tensor.length.value_or(available)), source, where);
        source.data = source.file->bytes().subspan(static_cast<std::size_t>(tensor.offset),
                                                   static_cast<std::size_t>(source.storedBytes));
        return {};
    }

    static Result<void> field(const OnnxTensor& tensor, Source& source, const std::string& where)
    {
        const TypeRow& row = source.row;
        // An attribute keeps floats in 2 or 7 and integers in 3 or 8; a tensor in the field of its type.
        source.field = row.field;
        if (tensor.isAttribute)
            source.field = row.field == kFloats ? (tensor.shape.empty() ? 2 : 7) : (tensor.shape.empty() ? 3 : 8);
        const std::int64_t fixedBytes = row.field == kFloats ? 4 : row.field == kDoubles ? 8 : 0;
        const std::int64_t wanted =
            row.perValue > 0 ? source.elements * row.perValue : ceilDiv(source.elements, -row.perValue);
        const std::int64_t count = countValues(tensor.message, source.field, fixedBytes);
        if (count != wanted)
            return badInput("the shape " + formatShape(source.shape) + " needs " + std::to_string(wanted) +
                                " values, the file holds " + std::to_string(count) + ". Get the file again",
                            where);
        // One packed block of floats is an array as it stands.
        if (fixedBytes > 0) {
            std::optional<Bytes> only;
            int parts = 0;
            forEachPart(tensor.message, source.field, [&](const wire::Field& part) {
                ++parts;
                if (part.type == wire::Type::bytes)
                    only = part.bytes;
            });
            if (parts == 1 && only && std::ssize(*only) == source.storedBytes) {
                source.data = *only;
                source.field = 0;
            }
        }
        if (source.elements == 0)
            source.field = 0;
        return {};
    }

    std::filesystem::path m_path;
    std::shared_ptr<const MappedFile> m_file;
    std::map<std::string, std::shared_ptr<const MappedFile>, std::less<>> m_external;
};

bool sniff(const std::filesystem::path& path, std::span<const std::byte> head)
{
    // The graph may be larger than the head: its length is compared with the file's.
    if (head.empty())
        return false;
    const auto file = MappedFile::open(path);
    return file && looksLikeOnnx((*file)->bytes());
}

Result<std::shared_ptr<const Checkpoint>> open(const std::filesystem::path& path, const JobContext& context)
{
    QL_CHECK(context.checkStop());
    QL_TRY(file, MappedFile::open(path));
    QL_TRY(model, parseOnnx(file->bytes(), path.string()));
    Checkpoint::Contents parts;
    std::vector<LoaderCheckpoint::Loader> loaders;
    parts.reader = "onnx";
    parts.path = path;
    parts.files = {file};
    parts.graph = file->bytes();
    parts.metadata = std::move(model.metadata);
    parts.warnings = std::move(model.warnings);
    Opening opening(path, file);
    for (const OnnxTensor& found : model.tensors) {
        QL_CHECK(context.checkStop());
        QL_TRY(source, opening.check(found, parts.warnings));
        if (!source)
            continue;
        TensorInfo tensor;
        tensor.name = found.name;
        tensor.dtype = source->row.dtype;
        if (tensor.dtype == Dtype::f4_e2m1 && source->elements % 2 != 0)
            tensor.dtype = Dtype::f32;
        tensor.shape = source->shape;
        tensor.use = found.use;
        tensor.sizeBytes = source->storedBytes;
        tensor.file = found.isExternal ? found.location : std::string();
        const bool mapped = source->field == 0 && source->storedBytes > 0 &&
                            (source->row.coding == Coding::plain || tensor.dtype == Dtype::f4_e2m1);
        if (mapped)
            tensor.offset = source->data.data() - source->file->bytes().data();
        loaders.emplace_back([dtype = tensor.dtype, kept = std::move(*source)](const JobContext& job) {
            return load(kept, dtype, job);
        });
        parts.tensors.push_back(std::move(tensor));
    }
    Fingerprint fingerprint;
    fingerprint.addFile(file->bytes(), std::int64_t{64} << 10U);
    for (const auto& [name, external] : opening.externalFiles()) {
        fingerprint.addFile(external->bytes(), 0);
        parts.files.push_back(external);
    }
    parts.fingerprint = fingerprint.hex();
    return std::shared_ptr<const Checkpoint>(std::make_shared<LoaderCheckpoint>(std::move(parts), std::move(loaders)));
}

} // namespace

extern const Reader onnx;
const Reader onnx{.id = "onnx", .title = "ONNX", .extensions = "*.onnx", .sniff = sniff, .open = open};

} // namespace ql::readers

std::optional<ql::Dtype> ql::onnxDtype(int type)
{
    const auto* row = readers::rowOf(type);
    return row && row->coding == readers::Coding::plain ? std::optional(row->dtype) : std::nullopt;
}
