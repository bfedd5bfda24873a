// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/cli/console.h"

#include "app/cli/text_table.h"
#include "core/base/text.h"

#include <nlohmann/json.hpp>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cmath>
#include <csignal>
#include <cstdio>
#include <iostream>
#include <mutex>
#include <thread>

namespace ql::cli {

namespace {
std::atomic<bool> interrupted = false; // lock-free, so allowed in a signal handler
void onInterrupt(int)
{
    interrupted = true;
}
} // namespace

struct Console::Impl {
    Impl(int threads, bool quietOutput)
        : executor(threads), context(executor, stop.get_token(), &progress), quiet(quietOutput)
    {}

    /// Turns an interrupt into a stop request and, on a terminal, keeps the status line alive.
    void watch(const std::stop_token& end)
    {
        const bool terminal = !quiet && ::isatty(STDERR_FILENO) != 0;
        bool drawn = false;
        while (!end.stop_requested()) {
            std::this_thread::sleep_for(std::chrono::milliseconds(20));
            if (interrupted)
                stop.request_stop();
            const std::lock_guard lock(mutex);
            if (terminal && !text.empty() &&
                std::chrono::steady_clock::now() - drawnAt > std::chrono::milliseconds(100)) {
                drawnAt = std::chrono::steady_clock::now();
                const double fraction = progress.fraction();
                std::string line = text;
                if (fraction > 0)
                    line += "  " + formatFixed(100 * fraction, 0) + " %" + remaining(fraction);
                std::fprintf(stderr, "\r\033[K%s", line.c_str());
                drawn = true;
            }
        }
        if (drawn)
            std::fputs("\r\033[K", stderr);
    }

    std::string remaining(double fraction) const
    {
        const double elapsed = std::chrono::duration<double>(std::chrono::steady_clock::now() - startedAt).count();
        if (fraction < 0.05 || elapsed < 2)
            return {};
        return ", " + formatFixed(elapsed / fraction - elapsed, 0) + " s left";
    }

    std::stop_source stop;
    Progress progress;
    Executor executor;
    JobContext context;
    bool quiet;
    std::mutex mutex; // text, drawnAt
    std::string text;
    std::chrono::steady_clock::time_point drawnAt{};
    std::chrono::steady_clock::time_point startedAt = std::chrono::steady_clock::now();
    std::jthread watcher{[this](const std::stop_token& end) { watch(end); }};
};

Console::Console(int threads, bool json, bool quiet) : m_impl(std::make_unique<Impl>(threads, quiet)), m_json(json)
{
    std::signal(SIGINT, onInterrupt);
    std::signal(SIGTERM, onInterrupt);
}

Console::~Console() = default;

const JobContext& Console::context() const
{
    return m_impl->context;
}

void Console::show(const nlohmann::ordered_json& document) const
{
    if (m_json)
        std::cout << document.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) << '\n';
    else
        std::cout << renderText(document);
    std::cout.flush();
}

void Console::status(const std::string& text)
{
    const std::lock_guard lock(m_impl->mutex);
    m_impl->text = printable(text);
    if (!m_impl->quiet && ::isatty(STDERR_FILENO) == 0)
        std::cerr << m_impl->text << '\n';
}

void Console::warn(std::span<const Warning> warnings) const
{
    for (const Warning& warning : warnings)
        std::cerr << "warning: "
                  << printable(warning.where.empty() ? warning.what : warning.where + ": " + warning.what) << '\n';
}

int exitCode(Errc code)
{
    switch (code) {
    case Errc::checkFailed:
        return 1;
    case Errc::usage:
        return 2;
    case Errc::badInput:
    case Errc::refused:
        return 3;
    case Errc::cancelled:
        return 4;
    case Errc::outOfMemory:
    case Errc::io:
        return 5;
    }
    return 3;
}

nlohmann::ordered_json numberOrNull(double value)
{
    return std::isfinite(value) ? nlohmann::ordered_json(value) : nlohmann::ordered_json();
}

Result<std::shared_ptr<const Model>> openModelFor(Console& console, const std::string& path)
{
    console.status("opening " + path);
    console.setModel(path);
    QL_TRY(model, openModel(path, console.context()));
    console.warn(model->checkpoint->warnings());
    return model;
}

} // namespace ql::cli
