// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/model/frontends/frontend.h"
#include "core/model/frontends/model_config.h"

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
    const std::string type = ModelConfig(model).type();
    for (const Frontend* frontend : allFrontends())
        if (std::ranges::find(frontend->types, type) != frontend->types.end())
            return frontend->build(model);
    const std::string where = model.checkpoint->path().string();
    if (type.empty())
        return refused(
            "says nowhere what model it is (no config.json with a model_type), so it cannot be run; its weights "
            "can be analysed",
            where);
    return refused("is a model of type '" + type + "', which cannot be run yet; its weights can be analysed", where);
}

} // namespace ql
