// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/export/export.h"

#include "core/base/text.h"
#include "core/export/output_file.h"
#include "core/plan/plan_inputs.h"

#include <algorithm>

namespace ql {

namespace {

/// An export must not take the place of the files it reads.
Result<void> checkNotSource(const Model& model, const std::filesystem::path& path)
{
    const std::filesystem::path target = resolvedPath(path);
    const std::filesystem::path source = resolvedPath(model.checkpoint->path());
    bool same = target == source;
    for (const TensorInfo& tensor : model.checkpoint->tensors())
        if (!tensor.file.empty())
            same = same || target == resolvedPath(source / tensor.file);
    if (same)
        return refused("is the opened model itself; give another name", path.string());
    return {};
}

} // namespace

bool VerifyReport::ok() const
{
    return problems.empty() && std::all_of(tensors.begin(), tensors.end(), [](const auto& t) { return t.ok(); });
}

Result<std::vector<WrittenFile>> exportPlan(const Target& target, const ExportRequest& request,
                                            const std::filesystem::path& path, const JobContext& context)
{
    if (path.empty())
        return usageError("no name is given for the export");
    QL_CHECK(request.model.checkpoint->checkIntact());
    QL_TRY(plan, admit(target.profile, request.model, request.plan));
    nameActivations(plan, request.activations);
    QL_CHECK(checkNotSource(request.model, path));
    QL_TRY(bytes, target.profile.fileBytes(request.model, plan));
    QL_CHECK(checkDiskSpace(path, bytes, bytes));
    return target.write({request.model, plan, request.activations}, path, context);
}

Result<VerifyReport> verifyExport(const Model& model, const std::filesystem::path& path, const Activations* activations,
                                  const JobContext& context)
{
    std::string reasons;
    for (const Target* target : allTargets()) {
        const auto text = target->embeddedPlan(path);
        if (!text) {
            reasons += (reasons.empty() ? "" : "; ") + std::string(target->profile.id) + ": " + text.error().what;
            continue;
        }
        auto parsed = parsePlan(*text, model);
        if (!parsed)
            return badInput("its plan does not fit the model: " + describe(parsed.error()), path.string());
        QL_TRY(plan, admit(target->profile, model, *parsed));
        if (const auto same = checkActivations(plan, activations); !same)
            return Error{same.error().code, "cannot be compared with its plan: " + same.error().what, path.string()};
        QL_TRY(report, target->verify({model, plan, activations}, path, context));
        QL_CHECK(model.checkpoint->checkIntact());
        return report;
    }
    return badInput("is no export with a plan in it (" + reasons + ")", path.string());
}

} // namespace ql
