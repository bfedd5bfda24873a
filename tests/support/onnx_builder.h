// SPDX-License-Identifier: GPL-3.0-or-later
// Bytes of small ONNX files, right or wrong as the test wants them. Field numbers: onnx/onnx.proto3.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

namespace ql::test {

using Texts = std::vector<std::string>;

inline std::string onnxVarint(std::uint64_t value)
{
    std::string bytes;
    for (; value >= 0x80; value >>= 7U)
        bytes += static_cast<char>(value | 0x80U);
    return bytes + static_cast<char>(value);
}
inline std::string onnxField(std::uint32_t number, std::string_view bytes)
{
    return onnxVarint(number << 3U | 2U) + onnxVarint(bytes.size()) + std::string(bytes);
}
inline std::string onnxField(std::uint32_t number, std::int64_t value)
{
    return onnxVarint(number << 3U) + onnxVarint(static_cast<std::uint64_t>(value));
}

/// Attributes of nodes.
inline std::string onnxInts(std::string_view name, const std::vector<std::int64_t>& values)
{
    std::string attribute = onnxField(1, name);
    for (const std::int64_t value : values)
        attribute += onnxField(8, value);
    return onnxField(5, attribute + onnxField(20, std::int64_t{7}));
}
inline std::string onnxInt(std::string_view name, std::int64_t value)
{
    return onnxField(5, onnxField(1, name) + onnxField(3, value) + onnxField(20, std::int64_t{2}));
}
inline std::string onnxText(std::string_view name, std::string_view value)
{
    return onnxField(5, onnxField(1, name) + onnxField(4, value) + onnxField(20, std::int64_t{3}));
}
inline std::string onnxGraphAttribute(std::string_view name, std::string_view graph)
{
    return onnxField(5, onnxField(1, name) + onnxField(6, graph) + onnxField(20, std::int64_t{5}));
}

inline std::string onnxNode(std::string_view op, const Texts& inputs, const Texts& outputs, std::string_view more = {})
{
    std::string node;
    for (const std::string& input : inputs)
        node += onnxField(1, input);
    for (const std::string& output : outputs)
        node += onnxField(2, output);
    return onnxField(1, node + onnxField(3, "the " + std::string(op)) + onnxField(4, op) + std::string(more));
}
/// An initializer: floats, or integers.
inline std::string onnxTensor(std::string_view name, const std::vector<std::int64_t>& shape,
                              const std::vector<float>& values)
{
    std::string tensor;
    for (const std::int64_t dimension : shape)
        tensor += onnxField(1, dimension);
    std::string raw(values.size() * 4, '\0');
    std::memcpy(raw.data(), values.data(), raw.size());
    return onnxField(5, tensor + onnxField(2, std::int64_t{1}) + onnxField(8, name) + onnxField(9, raw));
}
inline std::string onnxIntegers(std::string_view name, const std::vector<std::int64_t>& values)
{
    std::string raw(values.size() * 8, '\0');
    std::memcpy(raw.data(), values.data(), raw.size());
    return onnxField(5, onnxField(1, std::ssize(values)) + onnxField(2, std::int64_t{7}) + onnxField(8, name) +
                            onnxField(9, raw));
}
/// A graph of nodes and initializers, in that order.
inline std::string onnxGraph(std::string_view parts, const Texts& inputs, const Texts& outputs)
{
    std::string graph(parts);
    for (const std::string& input : inputs)
        graph += onnxField(11, onnxField(1, input));
    for (const std::string& output : outputs)
        graph += onnxField(12, onnxField(1, output));
    return graph;
}
/// An input of a known shape, as a part of a graph; sizes below 0 are left open.
inline std::string onnxShapedInput(std::string_view name, const std::vector<std::int64_t>& shape)
{
    std::string dimensions;
    for (const std::int64_t size : shape)
        dimensions += onnxField(1, size < 0 ? onnxField(2, "some") : onnxField(1, size));
    return onnxField(11, onnxField(1, name) +
                             onnxField(2, onnxField(1, onnxField(1, std::int64_t{1}) + onnxField(2, dimensions))));
}
inline std::string onnxModel(std::string_view graph, std::int64_t opset = 18)
{
    return onnxField(1, std::int64_t{9}) + onnxField(7, graph) + onnxField(8, onnxField(2, opset));
}

} // namespace ql::test
