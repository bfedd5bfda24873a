// SPDX-License-Identifier: GPL-3.0-or-later
// What every subcommand gets: the pool, progress on stderr, Ctrl+C as a stop request, and one way to show a result: a
// JSON document, printed as it is with --json and as aligned text without.
#pragma once

#include "core/jobs/job_context.h"
#include "core/model/model.h"

#include <nlohmann/json_fwd.hpp>

#include <memory>
#include <optional>

namespace ql::cli {

class Console {
public:
    /// threads = 0: all cores.
    Console(int threads, bool json, bool quiet);
    ~Console();
    Console(const Console&) = delete;
    Console& operator=(const Console&) = delete;

    const JobContext& context() const;
    bool json() const { return m_json; }
    /// Prints the result on stdout.
    void show(const nlohmann::ordered_json& document) const;
    /// A line on stderr that says what is going on; replaced by the next one on a terminal.
    void status(const std::string& text);
    /// The model at hand: what errors are about that name nothing else.
    void setModel(const std::string& path) { m_model = path; }
    const std::string& model() const { return m_model; }
    /// "warning: …" lines on stderr.
    void warn(std::span<const Warning> warnings) const;

private:
    struct Impl;
    std::unique_ptr<Impl> m_impl;
    bool m_json;
    std::string m_model;
};

/// 0 ok, 1 a check failed, 2 usage, 3 bad input or refused, 4 cancelled, 5 memory, disk or permission.
int exitCode(Errc code);

/// A finite number, or null.
nlohmann::ordered_json numberOrNull(double value);

/// Opens a model, shows its warnings.
Result<std::shared_ptr<const Model>> openModelFor(Console& console, const std::string& path);

} // namespace ql::cli
