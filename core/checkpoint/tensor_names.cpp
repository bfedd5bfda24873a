// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/checkpoint/tensor_names.h"

#include "core/base/text.h"

#include <algorithm>
#include <map>

namespace ql {

namespace {

constexpr std::size_t kMaxNameBytes = 4096;

/// Bytes of the character that starts at text[at], or 0 if there is none.
std::size_t utf8Length(std::string_view text, std::size_t at)
{
    const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
    const unsigned first = byte(at);
    if (first < 0x80)
        return 1;
    const std::size_t length = first >= 0xc2 && first < 0xe0   ? 2
                               : first >= 0xe0 && first < 0xf0 ? 3
                               : first >= 0xf0 && first < 0xf5 ? 4
                                                               : 0;
    if (length == 0 || at + length > text.size())
        return 0;
    for (std::size_t k = 1; k < length; ++k)
        if ((byte(at + k) & 0xc0U) != 0x80)
            return 0;
    const unsigned second = byte(at + 1);
    const bool overlong = (first == 0xe0 && second < 0xa0) || (first == 0xf0 && second < 0x90);
    const bool outside = (first == 0xed && second >= 0xa0) || (first == 0xf4 && second >= 0x90);
    return overlong || outside ? 0 : length;
}

} // namespace

bool isUtf8(std::string_view text)
{
    for (std::size_t i = 0; i < text.size();) {
        const std::size_t length = utf8Length(text, i);
        if (length == 0)
            return false;
        i += length;
    }
    return true;
}

Result<void> checkTensorName(std::string_view name, const std::string& where)
{
    const char* problem = nullptr;
    if (name.empty())
        problem = "is empty";
    else if (name.size() > kMaxNameBytes)
        problem = "is longer than 4096 bytes";
    else if (name.find('\0') != std::string_view::npos)
        problem = "contains a NUL";
    else if (!isUtf8(name))
        problem = "is not valid UTF-8";
    if (!problem)
        return {};
    return badInput("a tensor's name " + std::string(problem) + " ('" + printable(name.substr(0, 80)) +
                        "'); the file is damaged, get it again or write it anew",
                    where);
}

Result<void> checkUniqueNames(std::span<const TensorInfo> tensors, const std::string& where)
{
    std::vector<std::string_view> names;
    names.reserve(tensors.size());
    for (const TensorInfo& tensor : tensors)
        names.push_back(tensor.name);
    std::ranges::sort(names);
    const auto twice = std::ranges::adjacent_find(names);
    if (twice == names.end())
        return {};
    return badInput("the tensor '" + printable(*twice) +
                        "' is listed twice, so it is unclear which one is meant; write the file anew",
                    where);
}

void warnUndecodable(std::span<const TensorInfo> tensors, const std::string& where, std::vector<Warning>& warnings)
{
    std::map<Dtype, std::pair<std::int64_t, const TensorInfo*>> unknown;
    for (const TensorInfo& tensor : tensors) {
        if (isDecodable(tensor.dtype))
            continue;
        auto& [count, first] = unknown[tensor.dtype];
        if (count++ == 0)
            first = &tensor;
    }
    for (const auto& [dtype, found] : unknown)
        warnings.push_back(
            {where, std::to_string(found.first) + (found.first == 1 ? " tensor is " : " tensors are ") +
                        std::string(info(dtype).word) + " (first: " + found.second->name +
                        "), which can be listed and sized but not decoded yet; for values, open the model in "
                        "another type"});
}

} // namespace ql
