// SPDX-License-Identifier: GPL-3.0-or-later
// Cases beside PyTorch's: every option of every operator at least once, odd shapes, integers, inputs left out,
// sequences token by token, sizes of several tasks; and calls that must be refused.
#pragma once

#include "tests/support/operator_cases.h"

namespace ql::test {

using Ints = std::vector<std::int64_t>;
using Reals = std::vector<double>;

inline std::string word(const char* text)
{
    return text;
}
constexpr std::int64_t kOne = 1;
constexpr std::int64_t kZero = 0;

inline std::vector<OperatorCase> writtenCases()
{
    constexpr double kInf = std::numeric_limits<double>::infinity();
    std::vector<OperatorCase> all;
    const auto small = [&](const char* op, const char* name, std::vector<CaseInput> inputs,
                           Attributes attributes = {}) {
        all.push_back({.op = op,
                       .name = op + word(" ") + name,
                       .attributes = std::move(attributes),
                       .inputs = std::move(inputs),
                       .sequence = {},
                       .golden = {}});
    };
    const auto large = [&](const char* op, std::vector<CaseInput> inputs, Attributes attributes = {}) {
        small(op, "large", std::move(inputs), std::move(attributes));
        all.back().large = true;
    };
    const auto sequence = [&](const char* op, const char* name, std::vector<std::size_t> along,
                              std::vector<CaseInput> inputs, Attributes attributes = {}) {
        small(op, name, std::move(inputs), std::move(attributes));
        all.back().sequence = std::move(along);
    };

    small("linear", "expert", {reals({3, 4}), reals({2, 5, 4}), reals({2, 5})}, {{"expert", kOne}});
    small("linear", "expert, stored the other way", {reals({3, 4}), reals({2, 4, 5})},
          {{"expert", kZero}, {"transposed", kOne}});
    small("linear", "expert of a flat stack", {reals({3, 4}), reals({10, 4}), reals({2, 5})},
          {{"expert", kOne}, {"experts", std::int64_t{2}}});
    small("linear", "no tokens", {reals({0, 4}), reals({5, 4}), reals({5})});
    large("linear", {reals({300, 70}), reals({600, 70}), reals({600})});
    small("embedding", "unscaled", {integers({3}, {2, 2, 0}), reals({4, 5})});
    large("embedding", {integers({1, 300}, Ints(300, 2)), reals({5, 200})}, {{"scale", 3.0}});

    large("conv", {reals({2, 36, 40, 40}), reals({8, 36, 3, 3}), reals({8})}, {{"pads", Ints{1, 1, 1, 1}}});
    small("conv_transpose", "output of a given shape", {reals({1, 2, 3, 3}), reals({2, 3, 3, 3})},
          {{"strides", Ints{3, 2}}, {"output_shape", Ints{10, 8}}});
    small("conv_transpose", "same, lower", {reals({1, 2, 3, 4}), reals({2, 1, 2, 3})},
          {{"strides", Ints{2, 2}}, {"auto_pad", word("same_lower")}});
    small("conv_transpose", "same, upper", {reals({1, 1, 3}), reals({1, 2, 4}), reals({2})},
          {{"strides", Ints{1}}, {"auto_pad", word("same_upper")}});
    large("conv_transpose", {reals({2, 8, 20, 20}), reals({8, 36, 3, 3}), reals({36})}, {{"strides", Ints{2, 2}}});
    sequence("causal_conv", "sequence", {0}, {reals({2, 7, 3}), reals({3, 1, 4}), reals({3}, -1, 1, 5)});
    sequence("causal_conv", "one tap", {0}, {reals({1, 4, 2}), reals({2, 1})});
    large("causal_conv", {reals({2, 200, 100}), reals({100, 1, 4}), reals({100})});

    small("rms_norm", "no weights", {reals({2, 5})});
    large("rms_norm", {reals({300, 200}), reals({200})});
    small("layer_norm", "no bias", {reals({2, 3, 5}), reals({5})});
    small("layer_norm", "far from zero", {reals({2, 3, 17}, 4000, 4004), reals({17}), reals({17}, 0, 1)});
    large("layer_norm", {reals({300, 200}), reals({200}), reals({200}, 0, 1)});
    large("batch_norm", {reals({2, 20, 1000}), reals({20}), reals({20}), reals({20}), reals({20}, 0.5, 2)});

    sequence("positions", "offset", {0}, {integers({2, 5}, Ints(10, 7))}, {{"offset", std::int64_t{2}}});
    small("positions", "of features", {reals({2, 3, 4})});
    sequence("rope", "sequence", {0}, {reals({2, 7, 12})}, {{"head_size", std::int64_t{6}}});
    sequence("rope", "interleaved sequence", {0}, {reals({1, 6, 10})},
             {{"head_size", std::int64_t{10}}, {"rotary", std::int64_t{4}}, {"pairing", word("interleaved")}});
    small("rope", "nothing turns", {reals({1, 3, 4})}, {{"head_size", std::int64_t{4}}, {"rotary", kZero}});
    large("rope", {reals({2, 200, 192})}, {{"head_size", std::int64_t{64}}});
    const Attributes grouped{{"heads", std::int64_t{4}}, {"kv_heads", std::int64_t{2}}, {"causal", kOne}};
    const auto with = [](Attributes attributes, const Attributes& more) {
        attributes.insert(more.begin(), more.end());
        return attributes;
    };
    sequence("attention", "sequence", {0, 1, 2}, {reals({2, 7, 12}), reals({2, 7, 6}), reals({2, 7, 10})}, grouped);
    sequence("attention", "sequence with window and cap", {0, 1, 2},
             {reals({1, 9, 8}, -4, 4), reals({1, 9, 4}, -4, 4), reals({1, 9, 4})},
             with(grouped, {{"window", std::int64_t{3}}, {"softcap", 2.0}, {"scale", 0.7}}));
    small("attention", "mask for each head",
          {reals({2, 3, 4}), reals({2, 5, 4}), reals({2, 5, 4}),
           given({2, 1, 5}, {0, 1, -kInf, 2, 0, -1, 0, 0, -kInf, -kInf})},
          {{"heads", std::int64_t{2}}});
    small("attention", "nothing is padding",
          {reals({2, 3, 4}), reals({2, 3, 4}), reals({2, 3, 4}), integers({2, 3}, Ints(6, 1))},
          {{"heads", std::int64_t{2}}});
    small("attention", "one token", {reals({1, 1, 2}), reals({1, 1, 2}), reals({1, 1, 3})}, {{"heads", kOne}});
    large("attention", {reals({2, 300, 48}), reals({2, 300, 24}), reals({2, 300, 24})}, grouped);
    sequence("selective_scan", "sequence", {0, 1, 3, 4},
             {reals({2, 7, 19}), reals({2, 7, 19}, 0.01, 1), reals({19, 3}, -2, -0.1), reals({2, 7, 3}),
              reals({2, 7, 3}, -1, 1, 3), reals({19})});
    large("selective_scan", {reals({2, 50, 70}), reals({2, 50, 70}, 0.01, 1), reals({70, 16}, -2, -0.1),
                             reals({2, 50, 16}), reals({2, 50, 16}, -1, 1, 3)});
    small("moe_route", "all experts", {reals({3, 4})}, {{"top_k", std::int64_t{4}}});
    small("moe_route", "equal logits", {given({2, 3}, {1, 1, 1, 0, 2, 2})}, {{"top_k", kOne}});
    large("moe_route", {reals({2, 300, 60})}, {{"top_k", std::int64_t{4}}, {"normalize", kZero}});
    const CaseInput routing = given({1, 4, 3}, {0.25, 0.75, 0, 0, 1, 0, 0.5, 0.5, 0, 0.125, 0, 0.875});
    small("moe_dispatch", "some tokens", {reals({1, 4, 5}), routing}, {{"expert", std::int64_t{0}}});
    small("moe_dispatch", "no tokens", {reals({1, 2, 5}), given({2, 2}, {1, 0, 1, 0})}, {{"expert", kOne}});
    small("moe_combine", "some tokens", {routing, reals({3, 5}), reals({3, 5}, -1, 1), reals({1, 5})});
    small("moe_combine", "all tokens", {reals({3, 2}, 0.1, 1), reals({3, 4}), reals({3, 4}, -1, 1)});

    for (const char* name : {"swish", "gelu_python", "gelu_new", "gelu_fast", "gelu_pytorch_tanh", "squared_relu"})
        small("activation", name, {reals({3, 19}, -5, 5)}, {{"function", word(name)}});
    large("activation", {reals({300, 200}, -5, 5)}, {{"function", word("gelu")}});
    large("gated", {reals({300, 400})}, {{"function", word("silu")}});
    for (const char* name : {"log", "sqrt", "reciprocal", "mish"})
        small("unary", name, {reals({3, 5}, 0.5, 3)}, {{"function", word(name)}});
    for (const char* name : {"sin", "cos", "negate", "sign", "floor", "ceil", "round", "leaky_relu", "elu", "clip",
                             "hard_sigmoid", "hard_swish"})
        small("unary", name, {reals({3, 5}, -3, 3)}, {{"function", word(name)}});
    small("unary", "integers", {integers({3}, {-2, 0, 5})}, {{"function", word("abs")}});
    large("unary", {reals({300, 200})}, {{"function", word("erf")}});
    small("scale", "both", {reals({3, 5})}, {{"factor", -0.5}, {"offset", 3.0}});
    large("scale", {reals({300, 200})}, {{"factor", 3.0}});
    large("softcap", {reals({300, 200}, -90, 90)}, {{"cap", 30.0}});

    for (const char* op : {"add", "subtract", "multiply", "divide", "power", "minimum", "maximum"}) {
        const auto positive = [](Shape shape, std::uint64_t salt = 0) { return reals(std::move(shape), 0.5, 2, salt); };
        small(op, "equal shapes", {positive({2, 3}), positive({2, 3}, 1)});
        small(op, "row and scalar", {positive({2, 3, 19}), positive({19}, 1)});
        small(op, "both repeat", {positive({2, 1, 4}), positive({3, 1}, 1)});
        small(op, "scalars", {positive({}), positive({}, 1)});
        small(op, "scalar in front", {positive({}), positive({17}, 1)});
        small(op, "nothing", {positive({0, 3}), positive({3}, 1)});
        small(op, "integers", {integers({2, 2}, {7, -7, 2, 0}), integers({2}, {2, 3})});
        large(op, {positive({300, 200}), positive({300, 200}, 1)});
        large(op, {positive({300, 200}), positive({300, 1}, 1)});
    }
    for (const char* op : {"add", "subtract", "multiply"})
        small(op, "integers that wrap around", {integers({2}, {INT64_MAX, INT64_MIN}), integers({2}, {INT64_MAX, 2})});
    for (const std::int64_t truncated : {0, 1}) {
        small("remainder", "of both signs", {reals({4, 1}, -5, 5), reals({3}, 0.5, 2)}, {{"truncated", truncated}});
        small("remainder", "by negative numbers", {reals({7}, -5, 5), reals({}, -2, -1)}, {{"truncated", truncated}});
        small("remainder", "integers", {integers({5}, {7, -7, 6, 0, INT64_MIN}), integers({3, 1}, {3, -3, -1})},
              {{"truncated", truncated}});
    }
    small("divide", "integers that wrap around", {integers({2}, {INT64_MIN, 7}), integers({}, {-1})});
    small("power", "integers as exponents", {given({3}, {1.5, -2, 4}), integers({3}, {2, 3, -1})});
    for (const char* relation : {"equal", "less", "less_or_equal", "greater", "greater_or_equal"}) {
        small("compare", relation, {given({2, 3}, {1, 2, 3, 3, 2, 1}), given({3}, {2, 2, 2})},
              {{"relation", word(relation)}});
        small("compare", relation, {integers({3, 1}, {1, 2, 3}), integers({2}, {2, 3})},
              {{"relation", word(relation)}});
    }
    small("where", "repeating", {integers({3, 1}, {1, 0, -1}), reals({2, 3, 4}), reals({})});
    small("where", "integers", {integers({2}, {1, 0}), integers({2}, {5, 6}), integers({}, {9})});
    small("cast", "real from real", {reals({3})}, {{"to", word("real")}});
    small("cast", "real from integers", {integers({3}, {-1, 0, 4})}, {{"to", word("real")}});
    small("cast", "integers from real", {given({4}, {-1.7, 1.7, 0, 3})}, {{"to", word("integers")}});
    small("cast", "flags", {given({3}, {-0.5, 0, 3})}, {{"to", word("flags")}});

    small("matmul", "plain", {reals({3, 4}), reals({4, 2})});
    small("matmul", "dot", {reals({4}), reals({4}, -1, 1)});
    small("matmul", "transposed left", {reals({2, 4, 3}), reals({4, 5})}, {{"transpose_a", kOne}});
    small("matmul", "transposed right", {reals({2, 2, 3, 4}), reals({2, 1, 5, 4})}, {{"transpose_b", kOne}});
    large("matmul", {reals({2, 300, 40}), reals({2, 40, 600})});
    small("softmax", "first axis", {reals({3, 4}, -50, 50)}, {{"axis", kZero}});
    small("softmax", "hidden", {given({3, 3}, {-kInf, 0, 1, -kInf, -kInf, -kInf, 700, 0, -700})});
    large("softmax", {reals({300, 200}, -20, 20)});
    for (const char* kind : {"mean", "sum", "max", "min"}) {
        small("reduce", "all", {reals({2, 3, 4})}, {{"kind", word(kind)}});
        small("reduce", "middle", {reals({2, 3, 4})}, {{"kind", word(kind)}, {"axes", Ints{1}}, {"keep", kZero}});
        small("reduce", "two, by an input", {reals({2, 3, 4}), integers({2}, {-1, 0})}, {{"kind", word(kind)}});
        small("reduce", "integers", {integers({2, 2}, {5, -4, 3, 9})}, {{"kind", word(kind)}, {"axes", Ints{0}}});
    }
    large("reduce", {reals({300, 200})}, {{"axes", Ints{0}}});
    small("cumulative_sum", "backwards, exclusive", {reals({2, 5}), integers({}, {-1})},
          {{"reverse", kOne}, {"exclusive", kOne}});
    small("cumulative_sum", "integers", {integers({2, 3}, {1, 2, 3, -4, 5, 6})}, {{"axis", Ints{0}}});
    large("cumulative_sum", {reals({300, 200})}, {{"axis", Ints{0}}});
    const CaseInput equals = given({2, 5}, {1, 3, 3, 0, 3, -1, -1, 2, std::nan(""), 2});
    for (const std::int64_t largest : {kZero, kOne})
        for (const std::int64_t last : {kZero, kOne})
            small("top_k", "places of equals and NaN", {equals, integers({1}, {4})},
                  {{"part", word("places")}, {"largest", largest}, {"last", last}});
    small("top_k", "none", {reals({2, 3})}, {{"k", Ints{0}}});
    small("top_k", "integers", {integers({4}, {5, 8, -2, 7}), integers({1}, {2})}, {{"axis", kZero}});
    large("top_k", {reals({300, 200})}, {{"k", Ints{5}}, {"axis", kZero}});
    large("pool", {reals({4, 20, 40, 40})}, {{"kernel", Ints{3, 3}}});
    small("pool", "window far larger than the plane", {reals({1, 1, 2, 3})},
          {{"kernel", Ints{1 << 30, 1 << 30}}, {"pads", Ints{(1 << 30) - 1, (1 << 30) - 1, 0, 0}}});
    large("pool", {reals({4, 20, 40, 40})}, {{"kernel", Ints{3, 3}}, {"kind", word("average")}});
    small("pool", "same, lower", {reals({1, 2, 5, 6})},
          {{"kernel", Ints{2, 3}}, {"strides", Ints{2, 2}}, {"auto_pad", word("same_lower")}});
    for (const char* rounding : {"round_prefer_floor", "round_prefer_ceil", "floor", "ceil"})
        small("resize", rounding, {reals({1, 2, 4, 6})},
              {{"scales", Reals{1, 1, 1.5, 0.5}}, {"rounding", word(rounding)}, {"coordinates", word("half_pixel")}});
    for (const char* coordinates : {"half_pixel", "pytorch_half_pixel", "asymmetric", "align_corners"})
        small("resize", coordinates, {reals({1, 2, 3, 4}), integers({4}, {1, 2, 5, 1})},
              {{"kind", word("linear")}, {"coordinates", word(coordinates)}});
    small("resize", "scales by an input", {reals({2, 4}), leftOut(), given({2}, {1, 1.5})});
    large("resize", {reals({2, 8, 30, 30})}, {{"kind", word("linear")}, {"sizes", Ints{2, 8, 61, 61}}});

    small("reshape", "rest and copy", {reals({2, 3, 4})}, {{"shape", Ints{0, -1, 2}}});
    small("reshape", "by an input", {reals({2, 3}), integers({1}, {6})});
    small("reshape", "to a scalar", {reals({1, 1})}, {{"shape", Ints{}}});
    small("reshape", "flatten", {reals({2, 3, 4})}, {{"flatten", std::int64_t{-1}}});
    small("reshape", "squeeze", {reals({1, 3, 1})}, {{"squeeze", Ints{-1}}});
    small("reshape", "squeeze all", {reals({1, 3, 1})}, {{"squeeze", Ints{}}});
    small("reshape", "squeeze by an input", {reals({1, 3, 1}), integers({1}, {0})}, {{"squeeze", Ints{}}});
    small("reshape", "unsqueeze by an input", {reals({3}), integers({2}, {0, 2})}, {{"unsqueeze", Ints{}}});
    small("reshape", "keeps zeros", {reals({3, 0}), integers({2}, {0, 5})}, {{"keep_zeros", kOne}});
    small("reshape", "unsqueeze", {integers({3}, {1, 2, 3})}, {{"unsqueeze", Ints{-1, 0}}});
    small("transpose", "reverse", {reals({2, 3, 4})});
    small("transpose", "order", {reals({2, 3, 4})}, {{"axes", Ints{1, -1, 0}}});
    small("transpose", "integers", {integers({2, 2}, {1, 2, 3, 4})});
    large("transpose", {reals({300, 200})});
    small("expand", "in front and inside", {reals({3, 1})}, {{"shape", Ints{2, 1, 4}}});
    small("expand", "integers", {integers({1}, {7}), integers({2}, {2, 3})});
    large("expand", {reals({300, 1})}, {{"shape", Ints{300, 200}}});
    small("concat", "middle", {reals({2, 1, 3}), reals({2, 2, 3}, 0, 1), reals({2, 3, 3}, 2, 3)}, {{"axis", kOne}});
    small("concat", "integers", {integers({1}, {1}), integers({2}, {2, 3})});
    small("slice", "from the end", {reals({4, 5})}, {{"starts", Ints{-2}}, {"ends", Ints{9}}, {"axes", Ints{1}}});
    small("slice", "backwards", {reals({4, 5})},
          {{"starts", Ints{-1, 100}}, {"ends", Ints{0, -100}}, {"steps", Ints{-1, -2}}});
    small("slice", "by inputs",
          {integers({5}, {1, 2, 3, 4, 5}), integers({1}, {1}), integers({1}, {4}), integers({1}, {0}),
           integers({1}, {2})});
    small("slice", "nothing", {reals({4})}, {{"starts", Ints{3}}, {"ends", Ints{1}}});
    small("slice", "last part", {reals({2, 5})}, {{"parts", std::int64_t{3}}, {"part", std::int64_t{2}}});
    small("slice", "part of given sizes", {reals({2, 5}), integers({3}, {1, 0, 4})}, {{"part", std::int64_t{2}}});
    small("slice", "part of nothing", {reals({2, 0})}, {{"parts", std::int64_t{2}}, {"part", kOne}});
    large("slice", {reals({300, 400})}, {{"parts", std::int64_t{2}}, {"part", kOne}});
    small("gather", "repeats", {reals({3, 4}), integers({2, 2}, {0, -1, 1, 0})});
    small("gather", "one of an axis", {reals({2, 3, 2}), integers({}, {1})}, {{"axis", kOne}});
    small("gather", "integers", {integers({3}, {5, 6, 7}), integers({2}, {2, 0})});
    small("gather_nd", "elements", {reals({3, 4}), integers({2, 2}, {0, -1, 2, 1})});
    small("gather_nd", "rows", {reals({3, 4}), integers({2, 2, 1}, {0, -1, 2, 2})});
    small("gather_nd", "in each of a batch", {reals({2, 3, 2}), integers({2, 1, 1}, {2, 0})}, {{"batch", kOne}});
    small("gather_nd", "integers", {integers({3}, {5, 6, 7}), integers({1, 1}, {1})});
    small("pad", "around", {reals({2, 3})}, {{"pads", Ints{1, 0, 0, 2}}, {"value", 0.5}});
    small("pad", "integers", {integers({2}, {1, 2}), integers({2}, {1, 1})});
    small("pad", "by inputs", {reals({2, 3}), integers({2}, {1, 2}), given({}, {-7}), integers({1}, {-1})});
    small("triangle", "above a diagonal", {reals({2, 3, 4}), integers({}, {2})});
    small("triangle", "nothing left", {reals({3, 2}), integers({}, {INT64_MAX})});
    small("triangle", "integers", {integers({2, 2}, {1, 2, 3, 4})}, {{"upper", kZero}});
    large("triangle", {reals({2, 300, 200})});
    small("shape_of", "all", {reals({2, 3, 4})});
    small("shape_of", "part", {reals({2, 3, 4})}, {{"start", std::int64_t{-2}}, {"end", std::int64_t{-1}}});
    small("range", "integers", {integers({}, {1}), integers({}, {8}), integers({}, {3})});
    small("range", "down", {given({}, {1}), given({}, {-1}), given({}, {-0.5})});
    small("range", "nothing", {integers({}, {1}), integers({}, {0}), integers({}, {1})});
    small("fill", "integers", {integers({2}, {2, 3})}, {{"value", std::int64_t{7}}});
    small("fill", "real", {integers({1}, {3})}, {{"value", 0.5}});
    return all;
}

struct Refusal {
    std::string op;
    std::string says; // part of the error
    std::vector<CaseInput> inputs;
    Attributes attributes = {};
};

inline std::vector<Refusal> refusals()
{
    const Attributes heads{{"heads", std::int64_t{2}}};
    return {
        {"linear", "inputs of width 3 meet weights [5, 4]", {reals({2, 3}), reals({5, 4})}},
        {"linear", "weights [5]", {reals({2, 5}), reals({5})}},
        {"linear", "the bias has shape [4]", {reals({2, 4}), reals({5, 4}), reals({4})}},
        {"linear", "at 2", {reals({2, 4}), reals({2, 5, 4})}, {{"expert", std::int64_t{2}}}},
        {"embedding", "there is no row 5 in a table of 4", {integers({1, 2}, {0, 5}), reals({4, 3})}},
        {"embedding", "there is no row -1", {integers({1}, {-1}), reals({4, 3})}},
        {"embedding", "not [vocabulary, width]", {integers({1}, {0}), reals({4})}},
        {"conv", "meet weights [4, 3, 3]", {reals({1, 3, 5, 5}), reals({4, 3, 3})}},
        {"conv", "in 2 groups", {reals({1, 3, 5, 5}), reals({4, 3, 3, 3})}, {{"groups", std::int64_t{2}}}},
        {"conv", "reaches over 9 elements of 5", {reals({1, 3, 5, 5}), reals({4, 3, 9, 1})}},
        {"conv", "cannot slide", {reals({1, 3, 5, 5}), reals({4, 3, 3, 3})}, {{"strides", Ints{1}}}},
        {"conv", "that cannot be", {reals({1, 3, 5, 5}), reals({4, 3, 3, 3})}, {{"strides", Ints{0, 1}}}},
        {"conv_transpose", "meet weights [3, 4, 3, 3]", {reals({1, 4, 5, 5}), reals({3, 4, 3, 3})}},
        {"conv_transpose",
         "cannot make axis 2 of [1, 4, 1, 5] one of 0",
         {reals({1, 4, 1, 5}), reals({4, 2, 2, 2})},
         {{"pads", Ints{1, 0, 1, 0}}}},
        {"conv_transpose",
         "cannot make axis 2",
         {reals({1, 1, 2}), reals({1, 1, 2})},
         {{"strides", Ints{(1LL << 31) - 1}}}},
        {"conv_transpose",
         "cannot have an output of [1, 1, 9] from [1, 1, 2]",
         {reals({1, 1, 2}), reals({1, 1, 2})},
         {{"output_shape", Ints{9}}}},
        {"conv_transpose", "that cannot be", {reals({1, 1, 2}), reals({1, 1, 2})}, {{"dilations", Ints{0}}}},
        {"cumulative_sum", "along 0 axes", {reals({2})}},
        {"cumulative_sum", "no axis 1", {reals({2})}, {{"axis", Ints{1}}}},
        {"top_k", "cannot take [4] of the 3", {reals({2, 3})}, {{"k", Ints{4}}}},
        {"top_k", "cannot take nothing", {reals({2, 3})}},
        {"top_k", "no part 'rank'", {reals({3})}, {{"k", Ints{1}}, {"part", word("rank")}}},
        {"triangle", "there is no triangle in [3]", {reals({3})}},
        {"causal_conv", "meet weights [4, 1, 3]", {reals({1, 5, 3}), reals({4, 1, 3})}},
        {"rms_norm", "parts of 5", {reals({2, 5}), reals({4})}},
        {"rms_norm", "parts of 2", {reals({2, 5})}, {{"size", std::int64_t{2}}}},
        {"layer_norm", "meet weights [4]", {reals({2, 5}), reals({4})}},
        {"batch_norm", "each channel of [2, 3]", {reals({2, 3}), reals({3}), reals({3}), reals({2}), reals({3})}},
        {"positions", "not of [3]", {integers({3}, {0, 0, 0})}},
        {"rope", "cannot turn [2, 6]", {reals({2, 6})}, {{"head_size", std::int64_t{6}}}},
        {"rope", "5 of it rotary", {reals({1, 2, 6})}, {{"head_size", std::int64_t{6}}, {"rotary", std::int64_t{5}}}},
        {"rope", "has 2 factors for 3", {reals({1, 2, 6}), reals({2})}, {{"head_size", std::int64_t{6}}}},
        {"rope", "has 2 factors for 3", {reals({1, 2, 6}), reals({3}), reals({2})}, {{"head_size", std::int64_t{6}}}},
        {"attention", "2 heads over 2 do not fit", {reals({1, 3, 5}), reals({1, 3, 4}), reals({1, 3, 4})}, heads},
        {"attention",
         "a mask [4, 3] does not fit",
         {reals({1, 3, 4}), reals({1, 3, 4}), reals({1, 3, 4}), reals({4, 3})},
         heads},
        {"selective_scan",
         "[1, 3, 2], [1, 3, 2], [2, 4], [1, 3, 4], [1, 3, 5]",
         {reals({1, 3, 2}), reals({1, 3, 2}), reals({2, 4}), reals({1, 3, 4}), reals({1, 3, 5})}},
        {"moe_route", "cannot choose 4 experts", {reals({2, 3})}, {{"top_k", std::int64_t{4}}}},
        {"moe_dispatch", "there is no expert 3", {reals({2, 4}), reals({2, 3})}, {{"expert", std::int64_t{3}}}},
        {"moe_dispatch", "by weights [3, 2]", {reals({2, 4}), reals({3, 2})}, {{"expert", kZero}}},
        {"moe_combine", "combines 1 experts", {reals({2, 2}), reals({2, 4})}},
        {"moe_combine", "made [1, 4] of 2 tokens", {reals({2, 2}, 1, 2), reals({2, 4}), reals({1, 4})}},
        {"activation", "no activation function 'sine'", {reals({2})}, {{"function", word("sine")}}},
        {"gated", "cannot halve a width of 5", {reals({2, 5})}, {{"function", word("silu")}}},
        {"gated", "multiplies [2, 4] by [2, 5]", {reals({2, 4}), reals({2, 5})}, {{"function", word("silu")}}},
        {"unary", "no function ''", {reals({2})}},
        {"softcap", "needs a cap above 0", {reals({2})}},
        {"add", "[2, 3] and [2]", {reals({2, 3}), reals({2})}},
        {"subtract", "one holds integers", {reals({2}), integers({2}, {1, 2})}},
        {"multiply", "[2, 3] and [4, 3]", {reals({2, 3}), reals({4, 3})}},
        {"divide", "by zero", {integers({2}, {1, 2}), integers({2}, {1, 0})}},
        {"remainder", "by zero", {integers({2}, {1, 2}), integers({2}, {1, 0})}},
        {"remainder", "do not agree", {reals({2}), reals({3})}},
        {"divide", "do not agree", {reals({2}), reals({3})}},
        {"power", "do not agree", {reals({2}), reals({3})}},
        {"power", "do not agree", {reals({2}), integers({3}, {1, 2, 3})}},
        {"minimum", "do not agree", {reals({2}), reals({3})}},
        {"maximum", "do not agree", {reals({2}), reals({3})}},
        {"compare", "do not agree", {reals({2}), reals({3})}},
        {"compare", "no relation 'near'", {reals({2}), reals({2})}, {{"relation", word("near")}}},
        {"where", "[2] (integers), [3] and [3]", {integers({2}, {0, 1}), reals({3}), reals({3})}},
        {"where", "input 0 is of real numbers", {reals({2}), reals({2}), reals({2})}},
        {"where", "of one kind", {integers({2}, {0, 1}), reals({2}), integers({2}, {1, 2})}},
        {"scale", "input 0 is of integers", {integers({2}, {1, 2})}},
        {"slice",
         "names axis 0 twice",
         {reals({3})},
         {{"starts", Ints{0, 0}}, {"ends", Ints{3, 3}}, {"axes", Ints{0, -1}}}},
        {"conv", "reaches over", {reals({1, 3, 0}), reals({4, 3, 1})}, {{"pads", Ints{1, 1}}}},
        {"concat", "lacks an input between others", {reals({2}), leftOut(), reals({2})}},
        {"cast", "no kind of numbers 'bfloat16'", {reals({2})}, {{"to", word("bfloat16")}}},
        {"matmul", "cannot multiply [2, 3] by [2, 3]", {reals({2, 3}), reals({2, 3})}},
        {"matmul", "cannot multiply [2, 2, 3] by [3, 3, 2]", {reals({2, 2, 3}), reals({3, 3, 2})}},
        {"matmul", "cannot multiply [] by [3]", {reals({}), reals({3})}},
        {"softmax", "no axis 2 in [2, 3]", {reals({2, 3})}, {{"axis", std::int64_t{2}}}},
        {"reduce", "no axis -3 in [2, 3]", {reals({2, 3})}, {{"axes", Ints{-3}}}},
        {"reduce", "no reduction 'median'", {reals({2, 3})}, {{"kind", word("median")}}},
        {"reduce", "mean of no elements", {reals({0, 3})}},
        {"pool", "cannot pool [2, 3]", {reals({2, 3})}},
        {"pool", "more than 2³¹ windows", {reals({1, 2, 3, 3})}, {{"kernel", Ints{1, 1}}, {"pads", Ints(4, 1 << 20)}}},
        {"pool", "by 'mean'", {reals({1, 2, 3})}, {{"kind", word("mean")}}},
        {"pool", "cannot slide a window [2, 2]", {reals({1, 2, 3})}, {{"kernel", Ints{2, 2}}}},
        {"resize", "for each axis", {reals({1, 1, 4, 4})}, {{"sizes", Ints{8, 8}}}},
        {"resize", "by 'cubic'", {reals({4})}, {{"sizes", Ints{8}}, {"kind", word("cubic")}}},
        {"resize", "cannot give axis 0", {reals({4})}, {{"sizes", Ints{0}}}},
        {"reshape", "cannot give [2, 3] the shape it asks for, [4]", {reals({2, 3})}, {{"shape", Ints{4}}}},
        {"reshape", "asks for", {reals({2, 3})}, {{"shape", Ints{-1, -1}}}},
        {"reshape", "asks for", {reals({2, 3})}, {{"squeeze", Ints{0}}}},
        {"reshape", "asks for", {reals({2, 3})}, {{"unsqueeze", Ints{7}}}},
        {"reshape", "asks for", {reals({2, 3})}, {{"unsqueeze", Ints(65, 0)}}},
        {"reshape", "asks for", {reals({2, 3})}, {{"flatten", std::int64_t{3}}}},
        {"transpose", "no order of those of [2, 3]", {reals({2, 3})}, {{"axes", Ints{0, 0}}}},
        {"transpose", "no axis 2", {reals({2, 3})}, {{"axes", Ints{0, 2}}}},
        {"expand", "cannot expand [2] to [3]", {reals({2})}, {{"shape", Ints{3}}}},
        {"expand", "cannot expand", {reals({1})}, {{"shape", Ints{kZero, INT64_MAX, 3}}}},
        {"expand", "to no shape at all", {reals({2})}},
        {"concat", "cannot join [3, 4] to [2, 3]", {reals({2, 3}), reals({3, 4})}, {{"axis", kOne}}},
        {"concat", "cannot join", {reals({2}), integers({1}, {1})}},
        {"slice", "as many ends", {reals({3})}, {{"starts", Ints{0}}}},
        {"slice", "a step of 0", {reals({3})}, {{"starts", Ints{0}}, {"ends", Ints{1}}, {"steps", Ints{0}}}},
        {"slice", "no axis 1", {reals({3})}, {{"starts", Ints{0}}, {"ends", Ints{1}}, {"axes", Ints{1}}}},
        {"slice", "no part 2 of 2", {reals({3})}, {{"parts", std::int64_t{2}}, {"part", std::int64_t{2}}}},
        {"slice", "are not all of 3", {reals({3}), integers({2}, {1, 1})}, {{"part", kZero}}},
        {"slice", "are not all of 3", {reals({3}), integers({2}, {-1, 4})}, {{"part", kZero}}},
        {"gather", "no element 3 along axis 0", {reals({3, 2}), integers({1}, {3})}},
        {"gather_nd", "cannot find places [2, 3] in [3, 4]", {reals({3, 4}), integers({2, 3}, Ints(6, 0))}},
        {"gather_nd", "cannot find places", {reals({3, 4}), integers({}, {0})}},
        {"gather_nd", "cannot find places", {reals({3, 4}), integers({2, 1}, {0, 0})}, {{"batch", kOne}}},
        {"gather_nd", "no element 4 along axis 1", {reals({3, 4}), integers({1, 2}, {0, 4})}},
        {"gather", "no axis 2", {reals({3, 2}), integers({1}, {0})}, {{"axis", std::int64_t{2}}}},
        {"pad", "each axis of [2, 3]", {reals({2, 3})}, {{"pads", Ints{1, 1}}}},
        {"pad", "at least 0", {reals({2})}, {{"pads", Ints{-1, 0}}}},
        {"pad", "one number of the kind", {reals({2}), integers({2}, {1, 1}), integers({}, {1})}},
        {"pad", "no axis 1", {reals({2}), integers({2}, {1, 1}), leftOut(), integers({1}, {1})}},
        {"range", "three scalars", {reals({}), reals({2}), reals({})}},
        {"range", "more than 2³¹", {integers({}, {0}), integers({}, {1}), integers({}, {0})}},
        {"fill", "of shape [-1]", {integers({1}, {-1})}},
    };
}

} // namespace ql::test
