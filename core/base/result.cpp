// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/base/result.h"

#include <cerrno>
#include <system_error>

namespace ql {

std::string describe(const Error& error)
{
    return error.where.empty() ? error.what : error.where + ": " + error.what;
}

Error systemError(const std::string& doing, const std::string& where, int errnoValue)
{
    const std::string reason = std::generic_category().message(errnoValue);
    const Errc code = errnoValue == ENOMEM ? Errc::outOfMemory : Errc::io;
    return {code, doing + ": " + reason, where};
}

} // namespace ql
