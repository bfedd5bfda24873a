// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/checkpoint/config_json.h"

#include "core/base/file.h"

#include <nlohmann/json.hpp>

namespace ql {

namespace {

constexpr std::int64_t kMaxConfigBytes = std::int64_t{4} << 20U;
constexpr int kMaxLevels = 64;

/// Deepest nesting of brackets outside strings.
int nesting(std::string_view text)
{
    int level = 0;
    int deepest = 0;
    bool quoted = false;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const char c = text[i];
        if (quoted) {
            if (c == '\\')
                ++i;
            else
                quoted = c != '"';
        } else if (c == '"') {
            quoted = true;
        } else if (c == '{' || c == '[') {
            deepest = std::max(deepest, ++level);
        } else if (c == '}' || c == ']') {
            --level;
        }
    }
    return deepest;
}

} // namespace

bool isHarmlessObject(std::string_view text)
{
    const auto first = text.find_first_not_of(" \t\r\n\xef\xbb\xbf");
    return first != std::string_view::npos && text[first] == '{' && nesting(text) <= kMaxLevels &&
           nlohmann::json::accept(text);
}

std::string readConfigJson(const std::filesystem::path& folder, std::vector<Warning>& warnings)
{
    const std::filesystem::path path = folder / "config.json";
    std::error_code error;
    if (std::filesystem::symlink_status(path, error).type() == std::filesystem::file_type::not_found)
        return {};
    auto text = readTextFile(path, kMaxConfigBytes);
    if (!text) {
        warnings.push_back({path.string(), text.error().what + "; roles are read from names alone"});
        return {};
    }
    if (!isHarmlessObject(*text)) {
        warnings.push_back({path.string(), "is not a JSON object, so it is ignored; roles are read from names alone"});
        return {};
    }
    return std::move(*text);
}

} // namespace ql
