// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/model/frontends/frontend.h"

#include <algorithm>

namespace ql {

namespace frontends {
#define FRONTEND(id) extern const Frontend id;
#include "core/model/frontends/frontends.def"
#undef FRONTEND
} // namespace frontends

std::span<const Frontend* const> allFrontends()
{
    static constexpr const Frontend* kAll[] = {
#define FRONTEND(id) &frontends::id,
#include "core/model/frontends/frontends.def"
#undef FRONTEND
    };
    return kAll;
}

Result<graph::Graph> buildGraph(const Model& model)
{
    ModelConfig config(model);
    const std::string type = config.type();
    if (config.has("quantization_config"))
        return config.refusal("is already quantized (its config.json has a quantization_config)");
    for (const Frontend* frontend : allFrontends()) {
        const auto found = std::ranges::find(frontend->types, type, &ModelType::id);
        if (found == frontend->types.end())
            continue;
        config.setDefaults(found->defaults);
        ModelBuilder builder(model, config);
        const Outputs outputs = frontend->build(builder);
        return std::move(builder).finish(outputs);
    }
    if (type.empty())
        return config.refusal("says nowhere what model it is (no config.json with a model_type)");
    return config.refusal("is a model of type '" + type + "', which is not known");
}

} // namespace ql
