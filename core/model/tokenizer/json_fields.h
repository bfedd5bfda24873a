// SPDX-License-Identifier: GPL-3.0-or-later
// Fields of a component of tokenizer.json, with errors that name the component.
#pragma once

#include "core/base/result.h"
#include "core/base/text.h"

#include <nlohmann/json.hpp>

#include <cmath>
#include <optional>

namespace ql::tok {

using Json = nlohmann::json;

class Fields {
public:
    /// `where` is the file; the component's "type" is added to it in errors.
    Fields(const Json& object, std::string where) : m_object(object), m_where(std::move(where)) {}

    const Json& operator[](const char* key) const
    {
        static const Json kNull;
        const auto found = m_object.is_object() ? m_object.find(key) : m_object.end();
        return m_object.is_object() && found != m_object.end() ? *found : kNull;
    }
    std::string type() const
    {
        const Json& value = (*this)["type"];
        return value.is_string() ? value.get<std::string>() : std::string();
    }
    Result<bool> boolean(const char* key, std::optional<bool> fallback = {}) const
    {
        const Json& value = (*this)[key];
        if (value.is_boolean())
            return value.get<bool>();
        return absent(value, key, fallback, "true or false");
    }
    Result<std::string> text(const char* key, std::optional<std::string> fallback = {}) const
    {
        const Json& value = (*this)[key];
        if (value.is_string())
            return value.get<std::string>();
        return absent(value, key, std::move(fallback), "a text");
    }
    Result<std::int64_t> count(const char* key, std::optional<std::int64_t> fallback = {}) const
    {
        const Json& value = (*this)[key];
        constexpr std::int64_t kMost = (std::int64_t{1} << 31) - 1;
        if (value.is_number_integer() && value.get<double>() >= 0 && value.get<double>() <= static_cast<double>(kMost))
            return value.get<std::int64_t>();
        return absent(value, key, fallback, "a whole number from 0 to 2147483647");
    }
    Result<const Json*> array(const char* key) const
    {
        const Json& value = (*this)[key];
        if (value.is_array())
            return &value;
        return absent<const Json*>(value, key, std::nullopt, "a list");
    }
    Error wrong(const std::string& what) const { return badInput("its " + part() + " " + what, m_where); }
    Error cannot(const std::string& what) const { return refused("its " + part() + " " + what, m_where); }
    const std::string& where() const { return m_where; }

private:
    std::string part() const { return type().empty() ? "component without a type" : printable(type()); }
    template<typename T>
    Result<T> absent(const Json& value, const char* key, std::optional<T> fallback, const char* wanted) const
    {
        if (value.is_null() && fallback)
            return std::move(*fallback);
        return wrong("needs '" + std::string(key) + "' to be " + wanted);
    }

    const Json& m_object;
    std::string m_where;
};

/// The members of a "Sequence" component under `key`, or the component itself, or none for null; sequences within
/// sequences are laid flat.
inline Result<std::vector<const Json*>> flatten(const Json& component, const char* key, const std::string& where)
{
    std::vector<const Json*> flat;
    if (component.is_null())
        return flat;
    std::vector<const Json*> todo{&component};
    while (!todo.empty()) {
        const Json* next = todo.back();
        todo.pop_back();
        const Fields fields(*next, where);
        if (!next->is_object())
            return badInput("has a component that is no JSON object", where);
        if (fields.type() != "Sequence") {
            flat.push_back(next);
            continue;
        }
        QL_TRY(members, fields.array(key));
        for (auto member = members->rbegin(); member != members->rend(); ++member)
            todo.push_back(&*member);
    }
    return flat;
}

} // namespace ql::tok
