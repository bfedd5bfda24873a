// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/cli/case_options.h"

#include "app/cli/number_check.h"

namespace ql::cli {

void CaseOptions::declare(CLI::App& app)
{
    auto* arrays = app.add_option("--inputs", inputs,
                                  "for encoders and classifiers: .npz with arrays named as the inputs (pixels, tokens, "
                                  "…), [cases, …], and optionally labels [cases]");
    auto* pictures = app.add_option("--images", images,
                                    "for vision models: folder of PNG and JPEG pictures; subfolders are their labels");
    arrays->excludes(pictures);
    auto* limit =
        app.add_option("--cases", cases, "how many of the cases in the arrays, or pictures; 0: all")->check(atLeast(0));
    for (const char* other : {"--text", "--tokens"})
        for (auto* own : {arrays, pictures, limit})
            own->excludes(app.get_option(other));
}

Result<Cases> CaseOptions::open(const Model& model, const graph::Graph& graph, const JobContext& context) const
{
    QL_TRY(all,
           images.empty() ? arrayCases(graph, inputs, context) : imageCases(model, graph, images, labels, context));
    return firstOf(std::move(all), cases);
}

} // namespace ql::cli
