// SPDX-License-Identifier: GPL-3.0-or-later
// Shapes and views. A view never owns; whoever hands it out says what keeps it alive.
#pragma once

#include "core/base/checked.h"
#include "core/tensor/dtype.h"

#include <memory>
#include <string>
#include <vector>

namespace ql {

/// Row-major dimensions, NumPy order (the last is contiguous). No dimensions: a scalar with one element.
using Shape = std::vector<std::int64_t>;

/// Number of elements; nothing on overflow or a negative dimension.
inline std::optional<std::int64_t> checkedNumel(const Shape& shape)
{
    std::int64_t n = 1;
    for (const std::int64_t dimension : shape) {
        const auto product = dimension < 0 ? std::nullopt : mulChecked(n, dimension);
        if (!product)
            return std::nullopt;
        n = *product;
    }
    return n;
}
/// Number of elements of a shape a reader has already checked.
inline std::int64_t numel(const Shape& shape)
{
    return checkedNumel(shape).value();
}

/// "[4096, 11008]"
std::string formatShape(const Shape& shape);

/// A contiguous row-major array in the machine's byte order.
struct TensorView {
    Dtype dtype = Dtype::f32;
    Shape shape;
    const std::byte* data = nullptr; // possibly unaligned

    std::int64_t numel() const { return ql::numel(shape); }
};

/// A view and what keeps its bytes alive (a mapping or a decoded buffer).
struct TensorData {
    TensorView view;
    std::shared_ptr<const void> owner;
};

/// Uninitialised bytes, aligned to 64.
class Buffer {
public:
    Buffer() = default;
    explicit Buffer(std::int64_t sizeBytes);
    std::byte* data() { return m_data.get(); }
    const std::byte* data() const { return m_data.get(); }
    std::int64_t sizeBytes() const { return static_cast<std::int64_t>(m_data.get_deleter().bytes); }
    template<typename T>
    T* as()
    {
        return reinterpret_cast<T*>(m_data.get());
    }
    template<typename T>
    const T* as() const
    {
        return reinterpret_cast<const T*>(m_data.get());
    }

private:
    struct Free {
        std::size_t bytes; // 0 of none
        void operator()(std::byte* p) const;
    };
    std::unique_ptr<std::byte[], Free> m_data;
};

} // namespace ql
