// SPDX-License-Identifier: GPL-3.0-or-later
// The backend node tests of the onnx package, as tests/data/onnx_graphs/make_node_tests.py packed them.
#pragma once

#include "core/checkpoint/reader.h"
#include "core/model/graph/run.h"

#include <map>
#include <string>

namespace ql::test {

struct OnnxNodeTest {
    std::string model; // the file
    std::map<std::string, TensorData> inputs, outputs;
};

inline std::map<std::string, OnnxNodeTest> onnxNodeTests(const JobContext& context)
{
    std::map<std::string, OnnxNodeTest> tests;
    const auto opened = openCheckpoint(QL_TEST_DATA "/onnx_graphs/node_tests.safetensors", context);
    for (std::int64_t i = 0; opened && i < std::ssize((*opened)->tensors()); ++i) {
        const std::string& key = (*opened)->tensors()[static_cast<std::size_t>(i)].name;
        const auto data = (*opened)->load(i, context);
        const auto bar = key.find('|');
        const std::string kind = key.substr(bar + 1, key.find('|', bar + 1) - bar - 1);
        OnnxNodeTest& test = tests[key.substr(0, bar)];
        if (kind == "model")
            test.model.assign(reinterpret_cast<const char*>(data->view.data),
                              static_cast<std::size_t>(data->view.numel()));
        else
            (kind == "in" ? test.inputs : test.outputs)[key.substr(key.find('|', bar + 1) + 1)] = *data;
    }
    return tests;
}

/// As graphs take it.
template<typename T>
graph::Value<T> valueOf(const TensorView& view)
{
    graph::Value<T> value;
    if (info(view.dtype).isInteger) {
        value.integers = graph::Array<std::int64_t>(view.shape);
        decodeIntegers(view.dtype, view.data, 0, view.numel(), value.integers.write());
    } else {
        value.real = graph::Array<T>(view.shape);
        decode(view.dtype, view.data, 0, view.numel(), value.real.write());
    }
    return value;
}

/// Those of them that the graph has.
template<typename T>
graph::Values<T> inputsOf(const graph::Graph& graph, const std::map<std::string, TensorData>& arrays)
{
    graph::Values<T> values;
    for (const graph::ValueId id : graph.inputs)
        if (const auto found = arrays.find(graph.values[static_cast<std::size_t>(id)].name); found != arrays.end())
            values[id] = valueOf<T>(found->second.view);
    return values;
}

} // namespace ql::test
