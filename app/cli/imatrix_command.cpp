// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/cli/command.h"
#include "app/cli/study_options.h"
#include "core/calibration/imatrix_activations.h"

#include <nlohmann/json.hpp>

namespace ql::cli::commands {

namespace {

struct Options {
    std::string file;
    ActivationsOption activations;
    std::string out;
};

Result<int> run(Console& console, const Options& options)
{
    const auto extension = std::filesystem::path(options.out).extension();
    if (extension != ".gguf" && extension != ".dat")
        return usageError("ends in neither .gguf nor .dat (the old form)", options.out);
    QL_TRY(model, openModelFor(console, options.file));
    QL_TRY(activations, options.activations.open(console, *model));
    if (!activations)
        return usageError("give --activations");
    QL_TRY(imatrix, imatrixOf(*activations, *model, console.context()));
    QL_CHECK(writeImatrix(imatrix, extension == ".gguf" ? ImatrixForm::gguf : ImatrixForm::old, options.out));
    console.show({{"path", options.out}, {"entries", imatrix.entries.size()}, {"chunks", imatrix.chunkCount}});
    return 0;
}

} // namespace

extern const Command imatrix_;
const Command imatrix_{
    "imatrix", "write what is known of the layers' inputs as llama.cpp's importance matrix",
    [](CLI::App& app) -> CommandRun {
        const auto options = std::make_shared<Options>();
        app.add_option("FILE", options->file, "checkpoint file or folder")->required();
        options->activations.declare(app);
        app.add_option("--out", options->out, "file to write: .gguf, or .dat for the old form")->required();
        return [options](Console& console) { return run(console, *options); };
    }};

} // namespace ql::cli::commands
