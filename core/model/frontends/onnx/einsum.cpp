// SPDX-License-Identifier: GPL-3.0-or-later
// Einstein sums of one or two arrays: what is named in one of them only and not in the result is summed, the rest is
// one product of matrices. Axes of a kind (of all, of the left, of the right, of the sum) are merged to one for it.
#include "core/base/text.h"
#include "core/model/frontends/onnx/onnx_importer.h"
#include "core/model/frontends/onnx/onnx_operator.h"

#include <algorithm>

namespace ql {

namespace {

using graph::ValueId;
using Integers = std::vector<std::int64_t>;

struct Term {
    ValueId value = graph::kLeftOut;
    std::string labels; // of its axes
};

/// "ij,jk->ik" as {"ij", "jk"} and "ik".
struct Equation {
    std::vector<std::string> terms;
    std::string result;
};

/// Nothing where a label is no letter, or where an array has one twice.
std::optional<Equation> parseEquation(std::string text)
{
    std::erase(text, ' ');
    Equation equation;
    const auto arrow = text.find("->");
    for (const std::string_view term : split(std::string_view(text).substr(0, arrow), ','))
        equation.terms.emplace_back(term);
    if (arrow != std::string::npos) {
        equation.result = text.substr(arrow + 2);
    } else { // what stands once, in the order of the alphabet
        for (const char label : text)
            if (label != ',' && std::ranges::count(text, label) == 1)
                equation.result += label;
        std::ranges::sort(equation.result);
    }
    auto all = equation.terms;
    all.push_back(equation.result);
    for (std::string labels : all) {
        std::ranges::sort(labels);
        const bool isLetters =
            std::ranges::all_of(labels, [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); });
        if (!isLetters || std::ranges::adjacent_find(labels) != labels.end())
            return std::nullopt;
    }
    return equation;
}

std::string only(std::string labels, const std::string& in)
{
    std::erase_if(labels, [&](char label) { return in.find(label) == std::string::npos; });
    return labels;
}
std::string without(std::string labels, const std::string& others)
{
    std::erase_if(labels, [&](char label) { return others.find(label) != std::string::npos; });
    return labels;
}

Term inOrder(OnnxImporter& node, const Term& term, const std::string& labels)
{
    if (term.labels == labels)
        return term;
    Integers axes;
    for (const char label : labels)
        axes.push_back(static_cast<std::int64_t>(term.labels.find(label)));
    return {node.add("transpose", {term.value}, {{"axes", std::move(axes)}}), labels};
}

/// The sum over the axes that are named nowhere else.
Term summed(OnnxImporter& node, const Term& term, const std::string& elsewhere)
{
    const std::string kept = only(term.labels, elsewhere);
    if (kept == term.labels)
        return term;
    Integers axes;
    for (std::size_t axis = 0; axis < term.labels.size(); ++axis)
        if (elsewhere.find(term.labels[axis]) == std::string::npos)
            axes.push_back(static_cast<std::int64_t>(axis));
    return {node.add("reduce", {term.value},
                     {{"kind", std::string("sum")}, {"axes", std::move(axes)}, {"keep", std::int64_t{0}}}),
            kept};
}

/// All axes behind the first `kept` as one.
ValueId mergedBehind(OnnxImporter& node, ValueId value, std::size_t kept, std::size_t rank)
{
    if (rank == kept)
        return node.add("reshape", {value}, {{"unsqueeze", Integers{-1}}});
    Integers shape(kept, 0);
    shape.push_back(-1);
    return node.add("reshape", {value}, {{"shape", std::move(shape)}});
}

/// The term as [batch…, first, second], where the axes of each of the two are one.
ValueId matrix(OnnxImporter& node, const Term& term, const std::string& batch, const std::string& first,
               const std::string& second)
{
    const std::size_t before = batch.size() + second.size();
    const ValueId merged =
        mergedBehind(node, inOrder(node, term, batch + second + first).value, before, before + first.size());
    Integers axes;
    for (std::size_t axis = 0; axis < batch.size(); ++axis)
        axes.push_back(static_cast<std::int64_t>(axis));
    axes.push_back(static_cast<std::int64_t>(before));
    for (std::size_t axis = batch.size(); axis < before; ++axis)
        axes.push_back(static_cast<std::int64_t>(axis));
    return mergedBehind(node, node.add("transpose", {merged}, {{"axes", std::move(axes)}}), batch.size() + 1,
                        before + 1);
}

/// The sizes of the term's axes of these labels.
ValueId sizesOf(OnnxImporter& node, const Term& term, const std::string& labels)
{
    return node.add("shape_of", {inOrder(node, term, labels + without(term.labels, labels)).value},
                    {{"start", std::int64_t{0}}, {"end", std::ssize(labels)}});
}

Term product(OnnxImporter& node, const Term& a, const Term& b, const std::string& result)
{
    const std::string both = only(a.labels, b.labels);
    const std::string batch = only(both, result);
    const std::string summedOver = without(both, result);
    const std::string left = without(a.labels, both);
    const std::string right = without(b.labels, both);
    const ValueId y =
        node.add("matmul", {matrix(node, a, batch, left, summedOver), matrix(node, b, batch, summedOver, right)});
    const ValueId shape =
        node.add("concat", {sizesOf(node, a, batch + left), sizesOf(node, b, right)}, {{"axis", std::int64_t{0}}});
    return {node.add("reshape", {y, shape}, {{"keep_zeros", std::int64_t{1}}}), batch + left + right};
}

void importEinsum(OnnxImporter& node)
{
    const std::string text(node.node().text("equation", ""));
    const auto equation = parseEquation(text);
    const std::size_t count = node.node().inputs.size();
    const std::string labels = equation ? join(equation->terms, "") : std::string();
    if (!equation || count < 1 || count > 2 || equation->terms.size() != count ||
        !without(equation->result, labels).empty())
        return node.refuse("sums by '" + printable(text.substr(0, 100)) +
                           "', where one or two arrays with a letter for each axis are known");
    if (count == 1) {
        const Term sum = summed(node, {node.input(0), equation->terms[0]}, equation->result);
        const ValueId y = inOrder(node, sum, equation->result).value;
        return y == node.input(0) ? node.pass() : node.result(y);
    }
    const Term a = summed(node, {node.input(0), equation->terms[0]}, equation->terms[1] + equation->result);
    const Term b = summed(node, {node.input(1), equation->terms[1]}, equation->terms[0] + equation->result);
    node.result(inOrder(node, product(node, a, b, equation->result), equation->result).value);
}

constexpr OnnxOperator kOperators[] = {
    {"Einsum", importEinsum},
};

} // namespace

namespace onnx_families {
extern const OnnxFamily einsum;
const OnnxFamily einsum{"Einstein sums", kOperators};
} // namespace onnx_families

} // namespace ql
