// SPDX-License-Identifier: GPL-3.0-or-later
// Names the content of a checkpoint without reading it all: XXH3 over each file's size, its header, and 64 samples of
// 4 KiB at fixed places of the rest (all of it up to 256 KiB). Names and dates do not matter. Reads < 300 kB a file
// beyond the header.
#pragma once

#include "core/base/hash.h"

#include <cstdint>

namespace ql {

class Fingerprint {
public:
    /// The next file's bytes, the first headerBytes of which are hashed whole.
    void addFile(std::span<const std::byte> bytes, std::int64_t headerBytes);
    /// 32 hexadecimal digits.
    std::string hex() const { return m_hasher.hex(); }

private:
    Hasher m_hasher;
};

} // namespace ql
