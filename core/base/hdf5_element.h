// SPDX-License-Identifier: GPL-3.0-or-later
// Types of elements of HDF5 datasets.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace ql::hdf5 {

using Extent = std::vector<std::int64_t>;

/// bf16 is a custom float type; boolean is h5py's enum of FALSE and TRUE.
enum class Element : std::uint8_t { f64, f32, f16, bf16, i64, i32, i16, i8, u64, u32, u16, u8, boolean };

struct ElementInfo {
    std::string_view word;
    int bytes;
};
inline constexpr std::array<ElementInfo, 13> kElements{{{"f64", 8},
                                                        {"f32", 4},
                                                        {"f16", 2},
                                                        {"bf16", 2},
                                                        {"i64", 8},
                                                        {"i32", 4},
                                                        {"i16", 2},
                                                        {"i8", 1},
                                                        {"u64", 8},
                                                        {"u32", 4},
                                                        {"u16", 2},
                                                        {"u8", 1},
                                                        {"bool", 1}}};

constexpr const ElementInfo& info(Element element)
{
    return kElements[static_cast<std::size_t>(element)];
}

} // namespace ql::hdf5
