// SPDX-License-Identifier: GPL-3.0-or-later
// Random damage to files, the same for the same seed.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>

namespace ql::test {

/// A stream of random numbers for one mutant.
class Random {
public:
    explicit Random(std::uint64_t seed) : m_state(seed) {}
    std::uint64_t next()
    {
        m_state += 0x9e3779b97f4a7c15U; // splitmix64
        std::uint64_t z = m_state;
        z = (z ^ (z >> 30U)) * 0xbf58476d1ce4e5b9U;
        z = (z ^ (z >> 27U)) * 0x94d049bb133111ebU;
        return z ^ (z >> 31U);
    }
    std::size_t below(std::size_t n) { return n == 0 ? 0 : static_cast<std::size_t>(next() % n); }

private:
    std::uint64_t m_state;
};

/// One to four changes, most of them near the start, where headers are.
inline void mutate(std::string& bytes, Random& random)
{
    const std::size_t changes = 1 + random.below(4);
    for (std::size_t change = 0; change < changes && !bytes.empty(); ++change) {
        const std::size_t span = random.below(3) == 0 ? bytes.size() : std::min<std::size_t>(bytes.size(), 1024);
        const std::size_t at = random.below(span);
        switch (random.below(8)) {
        case 0: // one bit
            bytes[at] = static_cast<char>(static_cast<unsigned char>(bytes[at]) ^ (1U << random.below(8)));
            break;
        case 1: // one byte
            bytes[at] = static_cast<char>(random.next());
            break;
        case 2: // cut off
            bytes.resize(at);
            break;
        case 3: { // a large or small integer
            static constexpr std::uint64_t kValues[] = {0,          1,     0xff,        0xffff,     0x7fffffff,
                                                        0xffffffff, ~0ULL, 1ULL << 62U, 1ULL << 40U};
            const std::uint64_t value = kValues[random.below(std::size(kValues))];
            for (std::size_t i = 0; i < 8 && at + i < bytes.size(); ++i)
                bytes[at + i] = static_cast<char>(value >> (8 * i));
            break;
        }
        case 4: // a piece away
            bytes.erase(at, 1 + random.below(32));
            break;
        case 5: // a piece twice
            bytes.insert(at, bytes.substr(random.below(bytes.size()), 1 + random.below(32)));
            break;
        case 6: // zeros
            std::fill_n(bytes.begin() + static_cast<std::ptrdiff_t>(at), std::min<std::size_t>(bytes.size() - at, 16),
                        '\0');
            break;
        default: { // a digit
            const auto digit = bytes.find_first_of("0123456789", at);
            if (digit != std::string::npos)
                bytes[digit] = static_cast<char>('0' + random.below(10));
            break;
        }
        }
    }
}

} // namespace ql::test
