// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/cli/command.h"
#include "core/analysis/analysis.h"
#include "core/base/text.h"

#include <CLI/CLI.hpp>
#include <fcntl.h>
#include <nlohmann/json.hpp>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <exception>
#include <fstream>
#include <iostream>
#include <new>

namespace ql::cli {

namespace commands {
#define COMMAND(id) extern const Command id##_;
#include "app/cli/commands.def"
#undef COMMAND
} // namespace commands

std::span<const Command* const> allCommands()
{
    static constexpr const Command* kAll[] = {
#define COMMAND(id) &commands::id##_,
#include "app/cli/commands.def"
#undef COMMAND
    };
    return kAll;
}

namespace {

/// Every analysis is a subcommand: ANALYSIS FILE --layer NAME.
CommandRun declareAnalysis(const Analysis& analysis, CLI::App& app)
{
    struct Options {
        std::string file;
        std::vector<std::string> layers;
    };
    const auto options = std::make_shared<Options>();
    app.add_option("FILE", options->file, "checkpoint file or folder")->required();
    app.add_option("--layer", options->layers, "layer name or glob; several may be given")->required();
    return [options, &analysis](Console& console) -> Result<int> {
        QL_TRY(model, openModelFor(console, options->file));
        auto results = nlohmann::ordered_json::array();
        for (const std::string& glob : options->layers) {
            QL_TRY(layers, model->match(glob));
            for (const std::int64_t layer : layers) {
                const std::string& name = model->layers[static_cast<std::size_t>(layer)].name;
                console.status(std::string(analysis.id) + " of " + name);
                QL_TRY(text, analysis.run(*model, layer, console.context()));
                results.push_back(nlohmann::ordered_json::parse(text));
            }
        }
        if (console.json()) {
            console.show({{"layers", results}});
        } else {
            for (const auto& result : results)
                console.show(result);
        }
        return 0;
    };
}

int run(int argc, char** argv)
{
    CLI::App app{
        "QuantLoupe on the command line: look at checkpoints, decide bit-widths, export and verify quantized models."};
    app.set_version_flag("--version", "qloupe " QL_VERSION);
    app.require_subcommand(1);
    app.fallthrough(); // --json and --threads may follow the subcommand
    app.footer("Exit codes: 0 ok, 1 a check failed, 2 usage, 3 bad input or refused by the target, 4 cancelled, 5 "
               "memory, disk or permission.");

    bool json = false;
    bool quiet = false;
    int threads = 0;
    app.add_flag("--json", json, "print the result as JSON");
    app.add_flag("--quiet", quiet, "no progress on stderr");
    app.add_option("--threads", threads, "worker threads; 0 = all cores")->check(CLI::Range(0, 1024));

    CommandRun chosen;
    const auto add = [&](const std::string& id, const std::string& title, const auto& declare) {
        CLI::App* sub = app.add_subcommand(id, title);
        const CommandRun subRun = declare(*sub);
        sub->callback([&chosen, subRun] { chosen = subRun; });
    };
    for (const Command* command : allCommands())
        add(command->id, command->title, command->declare);
    for (const Analysis* analysis : allAnalyses())
        add(std::string(analysis->id), std::string(analysis->description),
            [analysis](CLI::App& sub) { return declareAnalysis(*analysis, sub); });

    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        return app.exit(error) == 0 ? 0 : 2;
    }
    Console console(threads, json, quiet);
    const Result<int> result = chosen(console);
    if (result)
        return *result;
    Error error = result.error();
    if (error.where.empty() && (error.code == Errc::badInput || error.code == Errc::refused))
        error.where = console.model();
    std::cerr << "qloupe: " << printable(describe(error)) << '\n';
    return exitCode(error.code);
}

/// Where standard input, output or error is closed, a file opened later would take its number, and what is printed
/// would end in it.
void holdStandardStreams()
{
    int descriptor = -1;
    do
        descriptor = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
    while (descriptor >= 0 && descriptor <= STDERR_FILENO);
    ::close(descriptor);
}

/// What asks for more memory than there is left (a file may name any size) is an error then, where the system would
/// kill it or something else. Sanitizers map far more.
void limitMemory()
{
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    std::ifstream file("/proc/meminfo"); // "MemAvailable:   12345 kB"
    rlim_t left = 0;
    std::string key;
    for (rlim_t kilobytes = 0; file >> key >> kilobytes; file.ignore(256, '\n'))
        if (key == "MemAvailable:" || key == "SwapFree:")
            left += 1024 * kilobytes;
    struct rlimit limit {};
    if (left == 0 || ::getrlimit(RLIMIT_DATA, &limit) != 0)
        return;
    limit.rlim_cur = std::min(limit.rlim_cur, left);
    ::setrlimit(RLIMIT_DATA, &limit);
#endif
}

/// The exit code, unless what was printed was lost.
int printed(int code)
{
    std::cout.flush();
    if (std::cout || code != 0)
        return code;
    std::cerr << "qloupe: standard output cannot be written: it is closed or its disk is full\n";
    return exitCode(Errc::io);
}

} // namespace
} // namespace ql::cli

int main(int argc, char** argv)
{
    ql::cli::holdStandardStreams();
    ql::cli::limitMemory();
    try {
        return ql::cli::printed(ql::cli::run(argc, argv));
    } catch (const std::bad_alloc&) {
        std::cerr << "qloupe: out of memory\n";
        return 5;
    } catch (const std::exception& error) {
        std::cerr << "qloupe: internal error: " << error.what() << '\n';
        return 3;
    }
}
