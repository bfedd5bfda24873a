// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/checkpoint/safetensors_header.h"

#include "core/base/text.h"
#include "core/checkpoint/byte_ranges.h"
#include "core/checkpoint/tensor_names.h"

#include <nlohmann/json.hpp>

#include <array>
#include <cstring>
#include <unordered_set>

namespace ql {

namespace {

constexpr std::int64_t kLengthBytes = 8;
constexpr std::int64_t kMaxHeaderBytes = 100'000'000; // the reference implementation's limit
constexpr std::size_t kMaxRank = 64;

struct Word {
    std::string_view text;
    Dtype dtype;
};
constexpr std::array<Word, 20> kWords{
    {{"F64", Dtype::f64},         {"F32", Dtype::f32},         {"F16", Dtype::f16},         {"BF16", Dtype::bf16},
     {"F8_E4M3", Dtype::f8_e4m3}, {"F8_E5M2", Dtype::f8_e5m2}, {"F8_E8M0", Dtype::f8_e8m0}, {"F6_E2M3", Dtype::f6_e2m3},
     {"F6_E3M2", Dtype::f6_e3m2}, {"F4", Dtype::f4_e2m1},      {"I64", Dtype::i64},         {"I32", Dtype::i32},
     {"I16", Dtype::i16},         {"I8", Dtype::i8},           {"U64", Dtype::u64},         {"U32", Dtype::u32},
     {"U16", Dtype::u16},         {"U8", Dtype::u8},           {"BOOL", Dtype::boolean},    {"C64", Dtype::c64}}};

std::optional<Dtype> dtypeFromSafetensors(std::string_view text)
{
    for (const Word& word : kWords)
        if (word.text == text)
            return word.dtype;
    return std::nullopt;
}

/// What the JSON says of one tensor, not yet believed.
struct Entry {
    std::string name;
    std::string dtype;
    Shape shape;
    std::vector<std::int64_t> offsets;
    bool hasDtype = false;
    bool hasShape = false;
    bool hasOffsets = false;
};

/// Collects entries from parser events; a DOM would hide duplicate keys and cost ten times the memory.
class HeaderEvents final : public nlohmann::json_sax<nlohmann::json> {
public:
    std::vector<Entry> entries;
    std::vector<std::pair<std::string, std::string>> metadata;
    std::string problem;

    bool null() override { return scalar("null"); }
    bool boolean(bool) override { return scalar("a boolean"); }
    bool number_integer(number_integer_t) override { return scalar("a negative number"); }
    bool number_unsigned(number_unsigned_t value) override
    {
        if (m_place != Place::list)
            return scalar("a number");
        if (value > static_cast<number_unsigned_t>(std::numeric_limits<std::int64_t>::max()))
            return fail("'" + m_key + "' holds a number above 2^63");
        std::vector<std::int64_t>& list = m_key == "shape" ? entries.back().shape : entries.back().offsets;
        if (list.size() == kMaxRank)
            return fail("'" + m_key + "' has more than 64 numbers");
        list.push_back(static_cast<std::int64_t>(value));
        return true;
    }
    bool number_float(number_float_t, const string_t&) override { return scalar("a fraction"); }
    bool binary(binary_t&) override { return scalar("binary data"); }
    bool string(string_t& value) override
    {
        if (m_place == Place::metadata) {
            metadata.back().second = std::move(value);
            return true;
        }
        if (m_place != Place::tensor || m_key != "dtype")
            return scalar("a text");
        entries.back().dtype = std::move(value);
        entries.back().hasDtype = true;
        return true;
    }
    bool start_object(std::size_t) override
    {
        switch (m_place) {
        case Place::outside:
            m_place = Place::top;
            return true;
        case Place::top:
            m_place = m_key == "__metadata__" ? Place::metadata : Place::tensor;
            return true;
        default:
            return scalar("an object");
        }
    }
    bool key(string_t& value) override
    {
        switch (m_place) {
        case Place::top:
            if (!m_names.insert(value).second)
                return fail("the key '" + printable(value) + "' appears twice");
            if (value != "__metadata__") {
                if (std::ssize(entries) == kMaxTensors)
                    return fail("more than 500000 tensors are listed");
                entries.emplace_back().name = value;
            }
            m_key = std::move(value);
            return true;
        case Place::tensor:
            m_key = std::move(value);
            if ((m_key == "dtype" && entries.back().hasDtype) || (m_key == "shape" && entries.back().hasShape) ||
                (m_key == "data_offsets" && entries.back().hasOffsets))
                return fail("'" + m_key + "' appears twice");
            return true;
        default:
            metadata.emplace_back(std::move(value), std::string());
            m_key = metadata.back().first;
            return true;
        }
    }
    bool end_object() override
    {
        m_place = m_place == Place::top ? Place::outside : Place::top;
        return true;
    }
    bool start_array(std::size_t) override
    {
        if (m_place != Place::tensor || (m_key != "shape" && m_key != "data_offsets"))
            return scalar("a list");
        (m_key == "shape" ? entries.back().hasShape : entries.back().hasOffsets) = true;
        m_place = Place::list;
        return true;
    }
    bool end_array() override
    {
        m_place = Place::tensor;
        return true;
    }
    bool parse_error(std::size_t position, const std::string&, const nlohmann::detail::exception&) override
    {
        return fail("its JSON is malformed or not UTF-8 at byte " + std::to_string(position));
    }

private:
    enum class Place { outside, top, metadata, tensor, list };

    bool fail(const std::string& what)
    {
        problem = what;
        if (m_place == Place::tensor || m_place == Place::list)
            problem = "of the tensor '" + printable(entries.back().name) + "', " + what;
        return false;
    }
    /// A value where another kind belongs. Fields of a tensor that this version does not know are skipped.
    bool scalar(const char* kind)
    {
        const bool known = m_key == "dtype" || m_key == "shape" || m_key == "data_offsets";
        if (m_place == Place::tensor && !known && std::strcmp(kind, "an object") != 0 &&
            std::strcmp(kind, "a list") != 0)
            return true;
        if (m_place == Place::outside)
            return fail("it is " + std::string(kind) + " where an object of tensors belongs");
        return fail("'" + printable(m_key) + "' holds " + kind + ", which does not belong there");
    }

    Place m_place = Place::outside;
    std::string m_key;
    std::unordered_set<std::string> m_names;
};

/// Tensors whose dtype this version does not know.
struct Unknown {
    std::int64_t count = 0;
    std::string first;
};

/// Checks one entry against the size of the data; where = the file.
Result<TensorInfo> believe(Entry&& entry, std::int64_t dataStart, std::int64_t dataBytes, const std::string& where,
                           Unknown& unknown)
{
    QL_CHECK(checkTensorName(entry.name, where));
    const std::string who = "the tensor '" + printable(entry.name) + "' ";
    if (!entry.hasDtype || !entry.hasShape || !entry.hasOffsets)
        return badInput(who + "lacks its dtype, shape or data_offsets; the file is damaged, get it again", where);
    if (entry.offsets.size() != 2 || entry.offsets[0] > entry.offsets[1])
        return badInput(who + "has data_offsets that are no range; the file is damaged, get it again", where);
    if (entry.offsets[1] > dataBytes)
        return badInput(who + "ends " + formatBytes(entry.offsets[1] - dataBytes) +
                            " behind the end of the file; it is truncated, get it again",
                        where);
    const auto elements = checkedNumel(entry.shape);
    if (!elements)
        return badInput(who + "has a shape with more than 2^63 elements: " + formatShape(entry.shape), where);

    TensorInfo tensor;
    tensor.offset = dataStart + entry.offsets[0];
    tensor.sizeBytes = entry.offsets[1] - entry.offsets[0];
    tensor.name = std::move(entry.name);
    tensor.shape = std::move(entry.shape);
    const auto dtype = dtypeFromSafetensors(entry.dtype);
    if (!dtype) {
        if (unknown.count++ == 0)
            unknown.first = tensor.name + ": " + printable(entry.dtype.substr(0, 40));
        tensor.dtype = Dtype::u8;
        if (*elements != tensor.sizeBytes)
            tensor.shape = {tensor.sizeBytes};
        return tensor;
    }
    tensor.dtype = *dtype;
    const auto expected = storedBytes(*dtype, *elements);
    if (!expected || *expected != tensor.sizeBytes)
        return badInput(who + "of shape " + formatShape(tensor.shape) + " and dtype " + entry.dtype +
                            " does not fill its " + std::to_string(tensor.sizeBytes) +
                            " bytes; the file is damaged, get it again",
                        where);
    return tensor;
}

} // namespace

bool looksLikeSafetensors(std::span<const std::byte> head)
{
    if (std::ssize(head) <= kLengthBytes || head[kLengthBytes] != std::byte{'{'})
        return false;
    for (const std::byte b : head.subspan(kLengthBytes + 1)) {
        const char c = static_cast<char>(b);
        if (c != ' ' && c != '\n' && c != '\t' && c != '\r')
            return c == '"' || c == '}';
    }
    return true;
}

Result<SafetensorsHeader> parseSafetensorsHeader(const MappedFile& file)
{
    const std::string where = file.path().string();
    const auto bytes = file.bytes();
    if (file.sizeBytes() < kLengthBytes)
        return badInput("has " + std::to_string(file.sizeBytes()) +
                            " bytes, too few for a safetensors header; get the file again",
                        where);
    std::uint64_t length = 0;
    std::memcpy(&length, bytes.data(), sizeof length);
    if (length > static_cast<std::uint64_t>(kMaxHeaderBytes))
        return badInput("announces a header of " + std::to_string(length) +
                            " bytes; safetensors allows 100 MB, so the file is damaged or of another kind",
                        where);
    const auto headerBytes = static_cast<std::int64_t>(length);
    if (headerBytes > file.sizeBytes() - kLengthBytes)
        return badInput("announces a header of " + formatBytes(headerBytes) + " but has only " +
                            formatBytes(file.sizeBytes()) + "; it is truncated, get it again",
                        where);

    HeaderEvents events;
    const auto* begin = reinterpret_cast<const char*>(bytes.data()) + kLengthBytes;
    if (!nlohmann::json::sax_parse(begin, begin + headerBytes, &events))
        return badInput("has a bad safetensors header: " + events.problem + "; get the file again or write it anew",
                        where);

    SafetensorsHeader header;
    header.dataStart = kLengthBytes + headerBytes;
    header.metadata = std::move(events.metadata);
    header.tensors.reserve(events.entries.size());
    Unknown unknown;
    for (Entry& entry : events.entries) {
        QL_TRY(tensor,
               believe(std::move(entry), header.dataStart, file.sizeBytes() - header.dataStart, where, unknown));
        header.tensors.push_back(std::move(tensor));
    }
    if (unknown.count > 0)
        header.warnings.push_back({where, std::to_string(unknown.count) + " tensor(s) have an unknown dtype (first: " +
                                              unknown.first + ") and are shown as raw bytes (u8)"});
    QL_CHECK(checkByteRanges(header.tensors, header.dataStart, file.sizeBytes(), 1, where, header.warnings));
    warnUndecodable(header.tensors, where, header.warnings);
    if (header.tensors.empty())
        header.warnings.push_back({where, "holds no tensors"});
    return header;
}

} // namespace ql
