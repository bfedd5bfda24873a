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

std::int64_t number(const OnnxNode& node, std::string_view name, std::int64_t otherwise)
{
    const auto found = node.numbers.find(name);
    return found == node.numbers.end() || found->second.empty() ? otherwise : found->second.front();
}

/// Whether a Transpose swaps the last two of `rank` axes and nothing else.
bool swapsLastTwo(const OnnxNode& node, std::size_t rank)
{
    const auto found = node.numbers.find("perm");
    if (found == node.numbers.end() || found->second.empty())
        return rank == 2; // the default reverses all
    std::vector<std::int64_t> axes = found->second;
    if (axes.size() != rank || rank < 2)
        return false;
    std::swap(axes[rank - 1], axes[rank - 2]);
    for (std::size_t d = 0; d < rank; ++d)
        if (axes[d] != static_cast<std::int64_t>(d))
            return false;
    return true;
}

/// A tensor as a node sees it.
struct Value {
    std::size_t tensor = 0;
    bool swapped = false; // its last two axes
};

class Search {
public:
    explicit Search(std::span<OnnxTensor> tensors) : m_tensors(tensors) {}

    void node(const OnnxNode& node)
    {
        const Row* row = rowOf(node.op);
        for (std::size_t i = row->first; i <= row->last && i < node.inputs.size(); ++i)
            if (const auto value = find(*node.scope, node.inputs[i]))
                row->operation == Operation::none ? pass(node, *value) : use(node, *row, i, *value);
    }

private:
    std::optional<Value> find(const OnnxScope& own, std::string_view name) const
    {
        for (const OnnxScope* scope = &own; scope; scope = scope->parent) {
            if (const auto found = scope->tensors.find(name); found != scope->tensors.end())
                return Value{found->second, false};
            if (const auto found = m_made.find({scope, name}); found != m_made.end())
                return found->second;
        }
        return std::nullopt;
    }

    void pass(const OnnxNode& node, Value value)
    {
        if (node.op == "Transpose") {
            if (!swapsLastTwo(node, m_tensors[value.tensor].shape.size()))
                return;
            value.swapped = !value.swapped;
        }
        m_made.emplace(std::pair{node.scope, node.output}, value);
    }

    void use(const OnnxNode& node, const Row& row, std::size_t input, const Value& value)
    {
        TensorUse& use = m_tensors[value.tensor].use;
        if (use.operation != Operation::none)
            return;
        bool inOut = value.swapped;
        if (row.operation == Operation::product && !row.outIn) {
            const bool turned = number(node, input == 0 ? "transA" : "transB", 0) != 0;
            inOut ^= input == 0 ? turned : !turned; // Y = W·x, or x·W
        }
        if (row.operation == Operation::lookup && number(node, "axis", 0) != (value.swapped ? 1 : 0))
            return; // not of rows
        if (row.operation != Operation::product && row.operation != Operation::lookup && value.swapped)
            return; // a kernel with its axes in another order
        use = {row.operation, inOut, number(node, "group", 1)};
    }

    std::span<OnnxTensor> m_tensors;
    std::map<std::pair<const OnnxScope*, std::string_view>, Value> m_made;
};

} // namespace

bool usesWeights(std::string_view op)
{
    return rowOf(op) != nullptr;
}

bool usesNumber(std::string_view attribute)
{
    constexpr std::array<std::string_view, 5> kNames{"transA", "transB", "perm", "axis", "group"};
    return std::ranges::find(kNames, attribute) != kNames.end();
}

void findUses(std::span<const OnnxNode> nodes, std::span<OnnxTensor> tensors)
{
    Search search(tensors);
    for (const OnnxNode& node : nodes)
        search.node(node);
}

} // namespace ql
