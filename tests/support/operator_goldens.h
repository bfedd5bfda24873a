// SPDX-License-Identifier: GPL-3.0-or-later
// Reads what tests/data/operators/make_operators.py wrote.
#pragma once

#include "core/checkpoint/reader.h"
#include "tests/support/operator_cases.h"

#include <nlohmann/json.hpp>

#include <filesystem>
#include <fstream>

namespace ql::test {

/// The cases PyTorch computed.
inline std::vector<OperatorCase> goldenCases(const JobContext& context)
{
    const std::filesystem::path folder = std::filesystem::path(QL_TEST_DATA) / "operators";
    const auto archive = openCheckpoint(folder / "operators.npz", context).value();
    std::map<std::string, std::pair<Shape, std::vector<double>>> arrays;
    for (std::size_t i = 0; i < archive->tensors().size(); ++i) {
        const TensorData data = archive->load(static_cast<std::int64_t>(i), context).value();
        auto& [shape, values] = arrays[archive->tensors()[i].name];
        shape = data.view.shape;
        values.resize(static_cast<std::size_t>(data.view.numel()));
        decode(data.view.dtype, data.view.data, 0, data.view.numel(), values.data());
    }
    const auto attribute = [](const nlohmann::json& value) -> Attribute {
        if (value.is_string())
            return value.get<std::string>();
        if (value.is_array() && value.front().is_number_float())
            return value.get<std::vector<double>>();
        if (value.is_array())
            return value.get<std::vector<std::int64_t>>();
        return value.is_number_float() ? Attribute(value.get<double>()) : Attribute(value.get<std::int64_t>());
    };
    std::vector<OperatorCase> cases;
    for (const auto& json : nlohmann::json::parse(std::ifstream(folder / "operators.json"))) {
        OperatorCase c{.op = json.at("op"),
                       .name = json.at("name"),
                       .attributes = {},
                       .inputs = {},
                       .sequence = {},
                       .golden = Golden()};
        for (const auto& [key, value] : json.at("attributes").items())
            c.attributes[key] = attribute(value);
        for (const auto& input : json.at("inputs")) {
            const std::string index = std::to_string(c.inputs.size());
            CaseInput& made = c.inputs.emplace_back();
            if (!input.is_null())
                made.shape = input.at("shape").get<Shape>();
            if (const auto found = arrays.find(c.name + "/in" + index); found != arrays.end())
                made.reals = found->second.second;
            else if (!input.is_null())
                made.integers = input.at("integers").get<std::vector<std::int64_t>>();
            const auto gradient = arrays.find(c.name + "/din" + index);
            made.differentiable = gradient != arrays.end();
            c.golden->inputGradients.push_back(made.differentiable ? gradient->second.second : std::vector<double>());
        }
        c.golden->output = arrays.at(c.name + "/out").second;
        c.golden->outputGradient = arrays.at(c.name + "/dout").second;
        cases.push_back(std::move(c));
    }
    return cases;
}

} // namespace ql::test
