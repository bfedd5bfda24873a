// SPDX-License-Identifier: GPL-3.0-or-later
// Compares an opened checkpoint with what the reference library that wrote the file said is in it (<file>.json).
#pragma once

#include "core/checkpoint/reader.h"

#include <nlohmann/json.hpp>

#include <cmath>
#include <cstring>
#include <fstream>
#include <limits>

namespace ql::test {

inline std::string hexOf(const std::byte* data, std::int64_t bytes)
{
    std::string text;
    for (std::int64_t i = 0; i < bytes; ++i) {
        text += "0123456789abcdef"[static_cast<unsigned>(data[i]) >> 4U];
        text += "0123456789abcdef"[static_cast<unsigned>(data[i]) & 15U];
    }
    return text;
}

inline double numberOf(const nlohmann::json& value)
{
    if (value.is_number())
        return value.get<double>();
    const auto text = value.get<std::string>();
    const double infinity = std::numeric_limits<double>::infinity();
    return text == "nan" ? std::numeric_limits<double>::quiet_NaN() : text == "inf" ? infinity : -infinity;
}

inline bool sameValue(double a, double b)
{
    return std::isnan(a) ? std::isnan(b) : a == b && std::signbit(a) == std::signbit(b);
}

/// The first difference, or an empty text.
inline std::string firstDifference(const Checkpoint& checkpoint, const std::filesystem::path& json,
                                   const JobContext& context)
{
    const nlohmann::json golden = nlohmann::json::parse(std::ifstream(json));
    const auto& tensors = golden["tensors"];
    if (checkpoint.tensors().size() != tensors.size())
        return std::to_string(checkpoint.tensors().size()) + " tensors";
    if (checkpoint.warnings().size() != golden["warnings"].get<std::size_t>()) {
        std::string text = std::to_string(checkpoint.warnings().size()) + " warnings";
        for (const Warning& warning : checkpoint.warnings())
            text += "\n" + warning.where + ": " + warning.what;
        return text;
    }
    for (const auto& [key, value] : golden["metadata"].items()) {
        bool found = false;
        for (const auto& [name, text] : checkpoint.metadata())
            found |= name == key && text == value.get<std::string>();
        if (!found)
            return "metadata " + key;
    }
    if (golden["config"].is_string() && golden["config"].get<std::string>() != checkpoint.configJson())
        return "config";
    for (const auto& [name, expected] : tensors.items()) {
        const std::int64_t index = checkpoint.indexOf(name);
        if (index < 0)
            return name + " is missing";
        const TensorInfo& tensor = checkpoint.tensors()[static_cast<std::size_t>(index)];
        if (info(tensor.dtype).word != expected["dtype"].get<std::string>())
            return name + " is " + std::string(info(tensor.dtype).word);
        if (tensor.shape != expected["shape"].get<Shape>())
            return name + " is " + formatShape(tensor.shape);
        const auto data = checkpoint.load(index, context);
        if (!data)
            return name + ": " + describe(data.error());
        const std::int64_t count = tensor.numel();
        if (data->view.shape != tensor.shape || data->view.dtype != tensor.dtype)
            return name + " loads differently";
        if (expected.contains("bytes") && expected["bytes"].get<std::string>() !=
                                              hexOf(data->view.data, storedBytes(tensor.dtype, count).value_or(-1)))
            return name + " has other bytes";
        if (!expected.contains("values"))
            continue;
        std::vector<double> values(static_cast<std::size_t>(count));
        decode(tensor.dtype, data->view.data, 0, count, values.data());
        if (values.size() != expected["values"].size())
            return name + " has other elements";
        for (std::size_t i = 0; i < values.size(); ++i)
            if (!sameValue(values[i], numberOf(expected["values"][i])))
                return name + "[" + std::to_string(i) + "] is " + std::to_string(values[i]);
    }
    return {};
}

} // namespace ql::test
