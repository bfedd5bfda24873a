// SPDX-License-Identifier: GPL-3.0-or-later
// Runs a program of our own that may crash, hang or talk without end, and collects what it prints.
#pragma once

#include "core/base/result.h"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <stop_token>
#include <string>
#include <vector>

namespace ql {

struct ChildLimits {
    std::chrono::milliseconds time{};
    std::int64_t outputBytes = 0;
};

struct ChildOutput {
    enum class Ending { exited, killed, outOfTime, tooMuch };
    Ending ending = Ending::exited;
    int code = 0;                 // exit code, or the signal that killed it
    std::vector<std::byte> bytes; // of its standard output
};

/// No shell; standard input and error are /dev/null, no other file is open in it, signals are as at start. After a stop
/// request, at its time limit and when it prints too much it and all it started are killed, within some 20 ms. Errors:
/// cancelled, and io where it cannot be started. Safe on any thread.
Result<ChildOutput> runProgram(const std::filesystem::path& program, const std::vector<std::string>& arguments,
                               const ChildLimits& limits, const std::stop_token& stop);

} // namespace ql
