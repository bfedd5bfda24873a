// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/checkpoint/onnx_uses.h"

#include <algorithm>
#include <array>

namespace ql {

namespace {

using Operation = TensorUse::Operation;

struct Row {
    std::string_view op;
    Operation operation; // none: its output is its input
    std::size_t first;   // inputs that are weights
    std::size_t last;
    bool outIn = false; // of a product: they are [out, in] as they stand
};
constexpr std::array kOperators{
    Row{"MatMul", Operation::product, 0, 1},
    Row{"FusedMatMul", Operation::product, 0, 1},
    Row{"Gemm", Operation::product, 0, 1},
    Row{"Attention", Operation::product, 1, 1},
    Row{"RNN", Operation::product, 1, 2, true},
    Row{"GRU", Operation::product, 1, 2, true},
    Row{"LSTM", Operation::product, 1, 2, true},
    Row{"Conv", Operation::convolution, 1, 1},
    Row{"ConvTranspose", Operation::transposedConvolution, 1, 1},
    Row{"Gather", Operation::lookup, 0, 0},
    Row{"Transpose", Operation::none, 0, 0},
    Row{"Identity", Operation::none, 0, 0},
    Row{"Cast", Operation::none, 0, 0},
};

const Row* rowOf(std::string_view op)
{
    const auto* row = std::ranges::find(kOperators, op, &Row::op);
    return row == kOperators.end() ? nullptr : row;
}

/// A tensor as a node sees it.
struct Value {
    std::size_t tensor = 0;
    bool swapped = false; // its last two axes
};

class Search {
public:
    explicit Search(std::span<OnnxTensor> tensors) : m_tensors(tensors) {}

    /// Subgraphs first: nothing after their node is known in them.
    void graph(const OnnxGraph& graph)
    {
        for (const OnnxNode& part : graph.nodes) {
            for (const OnnxAttribute& attribute : part.attributes)
                for (const OnnxGraph* inner : attribute.graphs)
                    this->graph(*inner);
            node(part, graph);
        }
    }

private:
    void node(const OnnxNode& node, const OnnxGraph& graph)
    {
        const Row* row = rowOf(node.op);
        if (!row)
            return;
        for (std::size_t i = row->first; i <= row->last && i < node.inputs.size(); ++i)
            if (const auto value = find(graph, node.inputs[i]))
                row->operation == Operation::none ? pass(node, graph, *value) : use(node, *row, i, *value);
    }

    std::optional<Value> find(const OnnxGraph& own, std::string_view name) const
    {
        for (const OnnxGraph* scope = &own; scope; scope = scope->parent) {
            if (const auto found = scope->tensors.find(name); found != scope->tensors.end())
                return Value{found->second, false};
            if (const auto found = m_made.find({scope, name}); found != m_made.end())
                return found->second;
        }
        return std::nullopt;
    }

    void pass(const OnnxNode& node, const OnnxGraph& graph, Value value)
    {
        if (node.op == "Transpose") {
            if (!swapsLastTwo(node, m_tensors[value.tensor].shape.size()))
                return;
            value.swapped = !value.swapped;
        }
        if (!node.outputs.empty())
            m_made.emplace(std::pair{&graph, node.outputs.front()}, value);
    }

    void use(const OnnxNode& node, const Row& row, std::size_t input, const Value& value)
    {
        TensorUse& use = m_tensors[value.tensor].use;
        if (use.operation != Operation::none)
            return;
        bool inOut = value.swapped;
        if (row.operation == Operation::product && !row.outIn) {
            const bool turned = node.integer(input == 0 ? "transA" : "transB", 0) != 0;
            inOut ^= input == 0 ? turned : !turned; // Y = W·x, or x·W
        }
        if (row.operation == Operation::lookup && node.integer("axis", 0) != (value.swapped ? 1 : 0))
            return; // not of rows
        if (row.operation != Operation::product && row.operation != Operation::lookup && value.swapped)
            return; // a kernel with its axes in another order
        use = {row.operation, inOut, node.integer("group", 1)};
    }

    std::span<OnnxTensor> m_tensors;
    std::map<std::pair<const OnnxGraph*, std::string_view>, Value> m_made;
};

} // namespace

bool swapsLastTwo(const OnnxNode& node, std::size_t rank)
{
    auto axes = node.integers("perm");
    if (!axes || axes->empty())
        return rank == 2; // the default reverses all
    if (axes->size() != rank || rank < 2)
        return false;
    std::swap((*axes)[rank - 1], (*axes)[rank - 2]);
    for (std::size_t d = 0; d < rank; ++d)
        if ((*axes)[d] != static_cast<std::int64_t>(d))
            return false;
    return true;
}

void findUses(OnnxModel& model)
{
    Search search(model.tensors);
    for (const OnnxGraph& graph : model.graphs)
        if (!graph.parent)
            search.graph(graph);
}

} // namespace ql
