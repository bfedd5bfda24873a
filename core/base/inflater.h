// SPDX-License-Identifier: GPL-3.0-or-later
// zlib's inflate over bytes in memory, piece by piece.
#pragma once

#include <cstddef>
#include <memory>
#include <span>

namespace ql {

class Inflater {
public:
    enum class Format { raw /* members of archives */, zlib /* with header and checksum */ };
    Inflater(std::span<const std::byte> input, Format format);
    ~Inflater();
    Inflater(const Inflater&) = delete;
    Inflater& operator=(const Inflater&) = delete;

    /// Unpacks as much as fits; the number of bytes, fewer at the end or where the data are damaged.
    std::size_t read(std::span<std::byte> out);
    /// Whether nothing more comes.
    bool exhausted();
    /// Whether the end has been met, with the right checksum if the format has one.
    bool finished() const;

private:
    struct State;
    std::unique_ptr<State> m_state;
};

} // namespace ql
