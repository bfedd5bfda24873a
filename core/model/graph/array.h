// SPDX-License-Identifier: GPL-3.0-or-later
// A dense row-major array as the model computes with it: float, double or 64-bit integers. A value type: copies share
// their elements until one of them is written to. Distinct arrays may be used on distinct threads.
#pragma once

#include "core/tensor/tensor_view.h"

#include <algorithm>
#include <cassert>
#include <memory>

namespace ql::graph {

template<typename T>
class Array {
public:
    /// No elements and no shape: the value is not there.
    Array() = default;
    /// Not filled, aligned to 64 bytes.
    explicit Array(Shape shape) : m_shape(std::move(shape)), m_numel(ql::numel(m_shape)), m_mine(true)
    {
        const auto buffer = std::make_shared<Buffer>(m_numel * static_cast<std::int64_t>(sizeof(T)));
        m_data = std::shared_ptr<const T>(buffer, buffer->template as<T>());
    }
    /// Shares elements that never change, e.g. mapped weights.
    Array(Shape shape, std::shared_ptr<const T> elements)
        : m_shape(std::move(shape)), m_numel(ql::numel(m_shape)), m_data(std::move(elements))
    {}
    static Array filled(Shape shape, T value)
    {
        Array array(std::move(shape));
        std::fill_n(array.write(), array.numel(), value);
        return array;
    }

    explicit operator bool() const { return m_data != nullptr; }
    const Shape& shape() const { return m_shape; }
    std::int64_t numel() const { return m_numel; }
    /// Size of the last dimension; 1 for a scalar.
    std::int64_t width() const { return m_shape.empty() ? 1 : m_shape.back(); }
    /// All dimensions but the last.
    std::int64_t rows() const { return m_shape.empty() ? 1 : width() > 0 ? m_numel / width() : 0; }
    const T* data() const { return m_data.get(); }
    /// The elements, for writing; copied first where they are shared.
    T* write()
    {
        assert(m_data);
        if (!m_mine || m_data.use_count() != 1) {
            Array copy(m_shape);
            std::copy_n(data(), m_numel, const_cast<T*>(copy.data()));
            *this = std::move(copy);
        }
        return const_cast<T*>(m_data.get());
    }
    /// The same elements under another shape with as many.
    Array reshaped(Shape shape) const
    {
        assert(ql::numel(shape) == m_numel);
        Array other = *this;
        other.m_shape = std::move(shape);
        return other;
    }

private:
    Shape m_shape;
    std::int64_t m_numel = 0;
    std::shared_ptr<const T> m_data;
    bool m_mine = false;
};

/// What flows along an edge of the graph: real numbers, or integers (token ids, positions, indices).
template<typename T>
struct Value {
    Array<T> real;
    Array<std::int64_t> integers;
    TensorData stored = {}; // real numbers as a file has them: weights for operators that take them so
    bool isReal() const { return static_cast<bool>(real) || stored.view.data != nullptr; }
    explicit operator bool() const { return isReal() || static_cast<bool>(integers); }
    const Shape& shape() const { return real ? real.shape() : integers ? integers.shape() : stored.view.shape; }
};

} // namespace ql::graph
