// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/cli/command.h"
#include "app/cli/study_options.h"

#include <nlohmann/json.hpp>

namespace ql::cli::commands {

namespace {

struct Options {
    std::string path;
    std::string against;
    ActivationsOption activations;
};

Result<int> run(Console& console, const Options& options)
{
    QL_TRY(model, openModelFor(console, options.against));
    QL_TRY(activations, options.activations.open(console, *model));
    console.status("verifying " + options.path);
    QL_TRY(report, verifyExport(*model, options.path, activations.get(), console.context()));
    auto failed = nlohmann::ordered_json::array();
    std::int64_t elements = 0;
    for (const VerifiedTensor& tensor : report.tensors) {
        elements += tensor.elements;
        if (!tensor.ok())
            failed.push_back({{"name", tensor.name},
                              {"candidate", tensor.candidate},
                              {"elements", tensor.elements},
                              {"differing", tensor.differing},
                              {"max_abs_difference", numberOrNull(tensor.maxAbsDifference)},
                              {"problem", tensor.problem}});
    }
    console.show({{"path", options.path},
                  {"ok", report.ok()},
                  {"tensors", report.tensors.size()},
                  {"elements", elements},
                  {"problems", report.problems},
                  {"failed", std::move(failed)}});
    return report.ok() ? 0 : 1;
}

} // namespace

extern const Command verify_;
const Command verify_{"verify", "read an exported model back and compare every tensor, bit for bit, with its plan",
                      [](CLI::App& app) -> CommandRun {
                          const auto options = std::make_shared<Options>();
                          app.add_option("PATH", options->path, "exported file or folder")->required();
                          app.add_option("--against", options->against, "the checkpoint it was made from")->required();
                          options->activations.declare(app);
                          return [options](Console& console) { return run(console, *options); };
                      }};

} // namespace ql::cli::commands
