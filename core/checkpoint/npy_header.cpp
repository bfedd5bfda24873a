// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/checkpoint/npy_header.h"

#include "core/base/text.h"

#include <array>

namespace ql {

namespace {

constexpr std::string_view kMagic = "\x93NUMPY";

unsigned byteAt(std::span<const std::byte> bytes, std::size_t i)
{
    return static_cast<unsigned>(bytes[i]);
}

/// Reads the few Python literals that a header is made of.
class Literals {
public:
    explicit Literals(std::string_view text) : m_text(text) {}

    bool take(char c)
    {
        skipSpace();
        if (m_at >= m_text.size() || m_text[m_at] != c)
            return false;
        ++m_at;
        return true;
    }
    std::optional<std::string_view> string()
    {
        skipSpace();
        const char quote = m_at < m_text.size() ? m_text[m_at] : '\0';
        if (quote != '\'' && quote != '"')
            return std::nullopt;
        const auto end = m_text.find_first_of(quote == '"' ? "\"\\" : "'\\", m_at + 1);
        if (end == std::string_view::npos || m_text[end] == '\\')
            return std::nullopt;
        const std::string_view value = m_text.substr(m_at + 1, end - m_at - 1);
        m_at = end + 1;
        return value;
    }
    std::optional<bool> boolean()
    {
        skipSpace();
        for (const bool value : {true, false}) {
            const std::string_view word = value ? "True" : "False";
            if (m_text.substr(m_at).starts_with(word)) {
                m_at += word.size();
                return value;
            }
        }
        return std::nullopt;
    }
    /// "(3, 4)", "(3,)", "()", also with the L that Python 2 wrote.
    std::optional<Shape> tuple()
    {
        if (!take('('))
            return std::nullopt;
        Shape shape;
        while (!take(')')) {
            skipSpace();
            std::size_t end = m_at;
            while (end < m_text.size() && m_text[end] >= '0' && m_text[end] <= '9')
                ++end;
            const auto value = parseInt(m_text.substr(m_at, end - m_at));
            if (!value || shape.size() >= 64)
                return std::nullopt;
            shape.push_back(*value);
            m_at = end;
            if (m_at < m_text.size() && m_text[m_at] == 'L')
                ++m_at;
            if (!take(',')) {
                if (!take(')'))
                    return std::nullopt;
                break;
            }
        }
        return shape;
    }
    bool atList()
    {
        skipSpace();
        return m_at < m_text.size() && (m_text[m_at] == '[' || m_text[m_at] == '(');
    }
    bool atEnd()
    {
        skipSpace();
        return m_at == m_text.size();
    }

private:
    void skipSpace()
    {
        while (m_at < m_text.size() && (m_text[m_at] == ' ' || m_text[m_at] == '\n' || m_text[m_at] == '\t'))
            ++m_at;
    }
    std::string_view m_text;
    std::size_t m_at = 0;
};

struct Word {
    std::string_view word; // without byte order
    Dtype dtype;
};
constexpr std::array<Word, 15> kWords{{{"b1", Dtype::boolean},
                                       {"i1", Dtype::i8},
                                       {"i2", Dtype::i16},
                                       {"i4", Dtype::i32},
                                       {"i8", Dtype::i64},
                                       {"u1", Dtype::u8},
                                       {"u2", Dtype::u16},
                                       {"u4", Dtype::u32},
                                       {"u8", Dtype::u64},
                                       {"f2", Dtype::f16},
                                       {"f4", Dtype::f32},
                                       {"f8", Dtype::f64},
                                       {"c8", Dtype::c64},
                                       {"c16", Dtype::c128},
                                       {"V2", Dtype::bf16}}};

void applyDescr(std::string_view descr, NpyHeader& header)
{
    const bool ordered = !descr.empty() && std::string_view("<>|=").find(descr[0]) != std::string_view::npos;
    const std::string_view word = ordered ? descr.substr(1) : descr;
    const std::string shown = "'" + printable(descr.substr(0, 40)) + "'";
    for (const Word& row : kWords) {
        if (row.word != word)
            continue;
        header.dtype = row.dtype;
        header.order.elementBytes = info(row.dtype).blockBytes;
        const bool complex = row.dtype == Dtype::c64 || row.dtype == Dtype::c128;
        if (descr[0] == '>')
            header.order.swapBytes = header.order.elementBytes / (complex ? 2 : 1);
        if (row.dtype == Dtype::bf16)
            header.note = "its type is " + shown +
                          ", 2 bytes without a meaning, which is how NumPy stores bfloat16; read as bfloat16";
        return;
    }
    const char kind = word.empty() ? '?' : word[0];
    if (kind == 'O') {
        header.refusal = "holds Python objects (type " + shown +
                         "); reading them would run code, so they are never read. Save plain numbers";
        return;
    }
    const char* meaning = kind == 'S' || kind == 'U' || kind == 'a' ? "text"
                          : kind == 'M' || kind == 'm'              ? "dates"
                          : kind == 'f' || kind == 'c'              ? "floats of a machine-dependent size"
                          : kind == 'V'                             ? "bytes without a meaning"
                                                                    : "an unknown type";
    header.refusal = "holds " + std::string(meaning) + " (type " + shown + "); save it as float32 or float64";
}

} // namespace

bool looksLikeNpy(std::span<const std::byte> head)
{
    return head.size() >= kMagic.size() &&
           std::string_view(reinterpret_cast<const char*>(head.data()), kMagic.size()) == kMagic;
}

Result<std::int64_t> npyHeaderBytes(std::span<const std::byte> start, const std::string& where)
{
    if (!looksLikeNpy(start))
        return badInput("is no NumPy array: it does not begin with \\x93NUMPY", where);
    if (start.size() < 12)
        return badInput("is truncated: it ends inside the header", where);
    const unsigned version = byteAt(start, 6);
    if (version < 1 || version > 3)
        return badInput("has version " + std::to_string(version) + " of the NumPy format; 1, 2 and 3 are known", where);
    const std::int64_t length = version == 1 ? std::int64_t{byteAt(start, 8)} | std::int64_t{byteAt(start, 9)} << 8U
                                             : std::int64_t{byteAt(start, 8)} | std::int64_t{byteAt(start, 9)} << 8U |
                                                   std::int64_t{byteAt(start, 10)} << 16U |
                                                   std::int64_t{byteAt(start, 11)} << 24U;
    if (length > kMaxNpyHeaderBytes)
        return badInput("claims a header of " + formatBytes(length) + "; the file is damaged", where);
    return length + (version == 1 ? 10 : 12);
}

Result<NpyHeader> parseNpyHeader(std::span<const std::byte> start, const std::string& where)
{
    QL_TRY(dataOffset, npyHeaderBytes(start, where));
    if (dataOffset > std::ssize(start))
        return badInput("is truncated: it ends inside the header", where);
    const std::size_t textAt = byteAt(start, 6) == 1 ? 10 : 12;
    const Error malformed =
        badInput("has a header that is no dictionary of descr, fortran_order and shape; the file is "
                 "damaged, save it again",
                 where);
    NpyHeader header;
    header.dataOffset = dataOffset;
    Literals text(std::string_view(reinterpret_cast<const char*>(start.data()) + textAt,
                                   static_cast<std::size_t>(dataOffset) - textAt));
    std::optional<std::string_view> descr;
    std::optional<bool> columns;
    std::optional<Shape> shape;
    bool more = text.take('{');
    while (more && !text.take('}')) {
        const auto key = text.string();
        if (!key || !text.take(':'))
            return malformed;
        if (*key == "descr" && !descr) {
            if (text.atList()) {
                header.refusal = "holds records with several fields; save one plain array per field";
                return header;
            }
            descr = text.string();
        } else if (*key == "fortran_order" && !columns) {
            columns = text.boolean();
        } else if (*key == "shape" && !shape) {
            shape = text.tuple();
        } else {
            return malformed;
        }
        more = text.take(',');
        if (!more && !text.take('}'))
            return malformed;
    }
    if (!descr || !columns || !shape || !text.atEnd())
        return malformed;
    applyDescr(*descr, header);
    if (!header.refusal.empty())
        return header;
    header.shape = std::move(*shape);
    header.order.columns = *columns && header.shape.size() > 1;
    const auto elements = checkedNumel(header.shape);
    const auto bytes = elements ? mulChecked(*elements, header.order.elementBytes) : std::nullopt;
    if (!bytes)
        return badInput("claims the shape " + formatShape(header.shape) + ", which overflows; the file is damaged",
                        where);
    header.sizeBytes = *bytes;
    return header;
}

} // namespace ql
