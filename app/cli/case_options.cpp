// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/cli/case_options.h"

namespace ql::cli {

void CaseOptions::declare(CLI::App& app)
{
    auto* arrays = app.add_option("--inputs", inputs,
                                  "for encoders and classifiers: .npz with arrays named as the inputs (pixels, tokens, "
                                  "…), [cases, …], and optionally labels [cases]");
    auto* pictures = app.add_option("--images", images,
                                    "for vision models: folder of PNG and JPEG pictures; subfolders are their labels");
    arrays->excludes(pictures);
    for (const char* other : {"--text", "--tokens"})
        for (auto* own : {arrays, pictures})
            own->excludes(app.get_option(other));
}

Result<Cases> CaseOptions::open(const Model& model, const graph::Graph& graph, const JobContext& context) const
{
    return images.empty() ? arrayCases(graph, inputs, context) : imageCases(model, graph, images, labels, context);
}

} // namespace ql::cli
