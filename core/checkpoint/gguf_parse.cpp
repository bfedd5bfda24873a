// SPDX-License-Identifier: GPL-3.0-or-later
// Parsing of GGUF headers. Every count is held against the bytes that are left before anything is allocated for it.
#include "core/base/text.h"
#include "core/checkpoint/byte_ranges.h"
#include "core/checkpoint/gguf_file.h"
#include "core/checkpoint/tensor_names.h"

#include <algorithm>
#include <cstring>

namespace ql {

namespace {

constexpr std::int64_t kMaxHeaderBytes = std::int64_t{256} << 20U; // the largest vocabularies take 20 MB
constexpr std::uint64_t kMaxKeys = 100'000;
constexpr std::size_t kMaxKeyBytes = 65'535;
constexpr std::uint32_t kMaxDims = 4;
constexpr std::uint64_t kMinKeyBytes = 8 + 4 + 1;
constexpr std::uint64_t kMinInfoBytes = 8 + 4 + 4 + 8;
constexpr std::int64_t kStringsBetweenStopTests = 100'000;

const char* const kDamaged = "; the file is truncated or damaged, get it again";

class Parser {
public:
    Parser(std::shared_ptr<const MappedFile> file, const JobContext& context)
        : m_context(context), m_where(file->path().string())
    {
        m_gguf.file = std::move(file);
        m_bytes = m_gguf.file->bytes();
        m_end = std::min(std::ssize(m_bytes), kMaxHeaderBytes);
    }

    Result<GgufFile> run()
    {
        QL_CHECK(readStart());
        for (std::uint64_t i = 0; i < m_keyCount; ++i)
            QL_CHECK(readEntry());
        QL_CHECK(checkKeys());
        QL_CHECK(readAlignment());
        std::vector<std::uint64_t> offsets;
        for (std::uint64_t i = 0; i < m_tensorCount; ++i)
            QL_CHECK(readTensor(offsets));
        QL_CHECK(placeTensors(offsets));
        return std::move(m_gguf);
    }

private:
    Error bad(const std::string& what) const { return badInput(what + kDamaged, m_where); }

    Error endsInside(const std::string& what) const
    {
        if (m_end < std::ssize(m_bytes))
            return badInput("its header is larger than 256 MiB (at " + what + ")" + kDamaged, m_where);
        return bad("ends inside " + what);
    }

    std::uint64_t left() const { return static_cast<std::uint64_t>(m_end - m_at); }

    template<typename T>
    bool take(T& value)
    {
        if (left() < sizeof value)
            return false;
        std::memcpy(&value, m_bytes.data() + m_at, sizeof value);
        m_at += static_cast<std::int64_t>(sizeof value);
        return true;
    }

    bool takeString(std::string_view& text)
    {
        std::uint64_t length = 0;
        if (!take(length) || length > left())
            return false;
        text = {reinterpret_cast<const char*>(m_bytes.data()) + m_at, static_cast<std::size_t>(length)};
        m_at += static_cast<std::int64_t>(length);
        return true;
    }

    Result<void> readStart()
    {
        m_at = 4;
        std::uint32_t version = 0;
        if (!take(version) || !take(m_tensorCount) || !take(m_keyCount))
            return endsInside("its first 24 bytes");
        if (version != 0 && (version & 0xffffU) == 0)
            return badInput("is a big-endian GGUF file; convert it to little-endian with gguf-py's gguf_convert_endian",
                            m_where);
        if (version != 2 && version != 3)
            return badInput("is GGUF version " + std::to_string(version) +
                                "; versions 2 and 3 can be read, so convert it with a current llama.cpp",
                            m_where);
        m_gguf.version = version;
        if (m_keyCount > kMaxKeys || m_keyCount > left() / kMinKeyBytes)
            return bad("announces " + std::to_string(m_keyCount) + " keys, more than it can hold");
        if (m_tensorCount > static_cast<std::uint64_t>(kMaxTensors) || m_tensorCount > left() / kMinInfoBytes)
            return bad("announces " + std::to_string(m_tensorCount) + " tensors, more than it can hold");
        return {};
    }

    static bool isType(std::uint32_t type) { return type <= static_cast<std::uint32_t>(GgufType::f64); }

    /// Moves behind count values of a type that is no array; false if the file ends before.
    Result<bool> skipValues(GgufType type, std::uint64_t count)
    {
        if (type != GgufType::string) {
            static constexpr std::uint64_t kWidths[] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
            const std::uint64_t width = kWidths[static_cast<std::size_t>(type)];
            if (count > left() / width)
                return false;
            m_at += static_cast<std::int64_t>(count * width);
            return true;
        }
        if (count > left() / 8)
            return false;
        std::string_view text;
        for (std::uint64_t i = 0; i < count; ++i) {
            if (i % kStringsBetweenStopTests == 0)
                QL_CHECK(m_context.checkStop());
            if (!takeString(text))
                return false;
        }
        return true;
    }

    Result<void> readEntry()
    {
        GgufEntry entry;
        entry.begin = m_at;
        std::string_view key;
        if (!takeString(key))
            return endsInside("key " + std::to_string(m_gguf.entries.size()));
        if (key.empty() || key.size() > kMaxKeyBytes || !isUtf8(key))
            return bad("has a key that is empty, longer than 65535 bytes or not UTF-8 ('" +
                       printable(key.substr(0, 80)) + "')");
        entry.key = key;
        const std::string who = "the key '" + printable(key) + "'";
        std::uint32_t type = 0;
        if (!take(type))
            return endsInside(who);
        if (!isType(type))
            return bad(who + " has the unknown type " + std::to_string(type));
        entry.type = static_cast<GgufType>(type);
        entry.elementType = entry.type;
        std::uint64_t count = 1;
        if (entry.type == GgufType::array) {
            std::uint32_t elementType = 0;
            if (!take(elementType) || !take(count))
                return endsInside(who);
            if (!isType(elementType))
                return bad(who + " is an array of the unknown type " + std::to_string(elementType));
            entry.elementType = static_cast<GgufType>(elementType);
            if (entry.elementType == GgufType::array)
                return badInput(who + " is an array of arrays, which no GGUF program reads; write the file without it",
                                m_where);
        }
        entry.valueBegin = m_at;
        QL_TRY(whole, skipValues(entry.elementType, count));
        if (!whole)
            return endsInside(who);
        entry.count = static_cast<std::int64_t>(count);
        entry.end = m_at;
        m_gguf.entries.push_back(std::move(entry));
        return {};
    }

    Result<void> checkKeys() const
    {
        std::vector<std::string_view> keys;
        for (const GgufEntry& entry : m_gguf.entries)
            keys.push_back(entry.key);
        std::ranges::sort(keys);
        const auto twice = std::ranges::adjacent_find(keys);
        if (twice == keys.end())
            return {};
        return badInput("has the key '" + printable(*twice) + "' twice; write the file anew", m_where);
    }

    Result<void> readAlignment()
    {
        const GgufEntry* entry = m_gguf.find("general.alignment");
        if (!entry)
            return {};
        const auto value = m_gguf.integer("general.alignment");
        if (entry->type != GgufType::u32 || !value || *value <= 0 || (*value & (*value - 1)) != 0)
            return badInput("has a general.alignment that is no power of two of type u32; write the file anew",
                            m_where);
        m_gguf.alignment = *value;
        return {};
    }

    Result<void> readTensor(std::vector<std::uint64_t>& offsets)
    {
        if (m_gguf.tensors.size() % 10'000 == 0)
            QL_CHECK(m_context.checkStop());
        std::string_view name;
        std::uint32_t nDims = 0;
        if (!takeString(name))
            return endsInside("the name of tensor " + std::to_string(m_gguf.tensors.size()));
        QL_CHECK(checkTensorName(name, m_where));
        GgufTensor tensor;
        tensor.name = name;
        const std::string who = "the tensor '" + printable(name) + "'";
        if (!take(nDims))
            return endsInside(who);
        if (nDims > kMaxDims)
            return bad(who + " has " + std::to_string(nDims) + " dimensions, and GGUF knows at most 4");
        Shape shape;
        for (std::uint32_t i = 0; i < nDims; ++i) {
            std::uint64_t dimension = 0;
            if (!take(dimension))
                return endsInside(who);
            if (!std::in_range<std::int64_t>(dimension))
                return bad(who + " has a dimension of " + std::to_string(dimension));
            tensor.dims.push_back(static_cast<std::int64_t>(dimension));
        }
        std::uint64_t offset = 0;
        if (!take(tensor.type) || !take(offset))
            return endsInside(who);
        const auto dtype = dtypeFromGgml(tensor.type);
        if (!dtype)
            return badInput(
                who + " has the type " + std::to_string(tensor.type) +
                    ", which is unknown or was removed from ggml; convert the model with a current llama.cpp",
                m_where);
        tensor.dtype = *dtype;
        const auto elements = checkedNumel(tensor.dims);
        const std::int64_t row = tensor.dims.empty() ? 1 : tensor.dims[0];
        const DtypeInfo& type = info(*dtype);
        if (elements && row % type.blockElements != 0)
            return bad(who + " has rows of " + std::to_string(row) + " elements, no multiple of the " +
                       std::to_string(type.blockElements) + " of a block of " + std::string(type.word));
        const auto size = elements ? storedBytes(*dtype, *elements) : std::nullopt;
        if (!size)
            return bad(who + " has a shape of more than 2^63 bytes: " + formatShape(tensor.dims));
        tensor.sizeBytes = *size;
        m_gguf.tensors.push_back(std::move(tensor));
        offsets.push_back(offset);
        return {};
    }

    Result<void> placeTensors(const std::vector<std::uint64_t>& offsets)
    {
        const std::int64_t fileBytes = std::ssize(m_bytes);
        m_gguf.dataStart = roundUp(m_at, m_gguf.alignment);
        std::vector<TensorInfo> infos(m_gguf.tensors.size());
        std::int64_t unaligned = 0;
        for (std::size_t i = 0; i < offsets.size(); ++i) {
            GgufTensor& tensor = m_gguf.tensors[i];
            // Anything beyond the file is as wrong as its end plus one; that cannot overflow.
            tensor.offset = offsets[i] > static_cast<std::uint64_t>(fileBytes)
                                ? fileBytes + 1
                                : m_gguf.dataStart + static_cast<std::int64_t>(offsets[i]);
            if (tensor.sizeBytes == 0)
                tensor.offset = std::min(tensor.offset, fileBytes);
            unaligned += offsets[i] % static_cast<std::uint64_t>(m_gguf.alignment) != 0 ? 1 : 0;
            infos[i].name = tensor.name;
            infos[i].dtype = tensor.dtype;
            infos[i].offset = tensor.offset;
            infos[i].sizeBytes = tensor.sizeBytes;
        }
        QL_CHECK(checkUniqueNames(infos, m_where));
        QL_CHECK(checkByteRanges(infos, std::min(m_gguf.dataStart, fileBytes), fileBytes, m_gguf.alignment, m_where,
                                 m_gguf.warnings));
        if (unaligned > 0)
            m_gguf.warnings.push_back({m_where, std::to_string(unaligned) +
                                                    " tensor(s) do not start at a multiple of the alignment; llama.cpp "
                                                    "refuses such a file"});
        warnUndecodable(infos, m_where, m_gguf.warnings);
        if (infos.empty())
            m_gguf.warnings.push_back({m_where, "holds no tensors"});
        return {};
    }

    GgufFile m_gguf;
    const JobContext& m_context;
    std::string m_where;
    std::span<const std::byte> m_bytes;
    std::int64_t m_at = 0;
    std::int64_t m_end = 0;
    std::uint64_t m_keyCount = 0;
    std::uint64_t m_tensorCount = 0;
};

} // namespace

Result<GgufFile> parseGguf(std::shared_ptr<const MappedFile> file, const JobContext& context)
{
    if (!looksLikeGguf(file->bytes()))
        return badInput("does not start with \"GGUF\", so it is no GGUF file", file->path().string());
    return Parser(std::move(file), context).run();
}

} // namespace ql
