// SPDX-License-Identifier: GPL-3.0-or-later
// Errors as values. Result<T> holds a value or an Error; it is spelled like std::expected so that a later switch is one
// alias. Expected outcomes (bad file, bad user input, cancelled, refused by a target) are Results; bugs are asserts;
// exceptions come only from third parties and are caught once, in the job runner and in the command line's main.
#pragma once

#include <cassert>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace ql {

/// What kind of thing went wrong; the command line's exit code follows from it.
enum class Errc {
    usage,       // the user's words (unknown name, malformed scheme or expression)
    badInput,    // the file or its content
    refused,     // a target cannot hold what was asked
    checkFailed, // a verification found a difference
    cancelled,
    outOfMemory,
    io, // disk full, permission, vanished file
};

struct Error {
    Errc code = Errc::badInput;
    std::string what;  // a sentence for people that says the mend
    std::string where; // file, tensor or layer; may be empty
};

/// "where: what", or just what.
std::string describe(const Error& error);

/// Something odd about one item of many; the value beside it is still useful.
struct Warning {
    std::string where;
    std::string what;
};

template<typename T>
class [[nodiscard]] Result {
public:
    Result(T value) : m_state(std::in_place_index<0>, std::move(value)) {}
    Result(Error error) : m_state(std::in_place_index<1>, std::move(error)) {}

    bool has_value() const { return m_state.index() == 0; }
    explicit operator bool() const { return has_value(); }
    T& value() &
    {
        assert(has_value());
        return *std::get_if<0>(&m_state);
    }
    const T& value() const&
    {
        assert(has_value());
        return *std::get_if<0>(&m_state);
    }
    T&& value() &&
    {
        assert(has_value());
        return std::move(*std::get_if<0>(&m_state));
    }
    T& operator*() & { return value(); }
    const T& operator*() const& { return value(); }
    T&& operator*() && { return std::move(*this).value(); }
    T* operator->() { return &value(); }
    const T* operator->() const { return &value(); }
    const Error& error() const
    {
        assert(!has_value());
        return *std::get_if<1>(&m_state);
    }

private:
    std::variant<T, Error> m_state;
};

template<>
class [[nodiscard]] Result<void> {
public:
    Result() = default;
    Result(Error error) : m_error(std::move(error)), m_failed(true) {}
    bool has_value() const { return !m_failed; }
    explicit operator bool() const { return has_value(); }
    const Error& error() const
    {
        assert(m_failed);
        return m_error;
    }

private:
    Error m_error;
    bool m_failed = false;
};

inline Error usageError(std::string what, std::string where = {})
{
    return {Errc::usage, std::move(what), std::move(where)};
}
inline Error badInput(std::string what, std::string where = {})
{
    return {Errc::badInput, std::move(what), std::move(where)};
}
inline Error refused(std::string what, std::string where = {})
{
    return {Errc::refused, std::move(what), std::move(where)};
}
inline Error ioError(std::string what, std::string where = {})
{
    return {Errc::io, std::move(what), std::move(where)};
}
inline Error cancelledError()
{
    return {Errc::cancelled, "cancelled", {}};
}
/// An I/O error with the system's reason for errno.
Error systemError(const std::string& doing, const std::string& where, int errnoValue);

} // namespace ql

#define QL_CONCAT_(a, b) a##b
#define QL_CONCAT(a, b) QL_CONCAT_(a, b)
/// QL_TRY(value, expression): declares value from a Result or returns its error.
#define QL_TRY(name, ...)                                                                                              \
    auto QL_CONCAT(ql_try_, __LINE__) = (__VA_ARGS__);                                                                 \
    if (!QL_CONCAT(ql_try_, __LINE__))                                                                                 \
        return QL_CONCAT(ql_try_, __LINE__).error();                                                                   \
    auto name = std::move(QL_CONCAT(ql_try_, __LINE__)).value()
/// QL_CHECK(expression): returns the error of a Result, if any.
#define QL_CHECK(...)                                                                                                  \
    if (auto ql_check_result = (__VA_ARGS__); !ql_check_result)                                                        \
    return ql_check_result.error()
