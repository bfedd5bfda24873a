// SPDX-License-Identifier: GPL-3.0-or-later
// Targets with their writers and independent read-back verifiers. One line in targets.def and one file add a target.
#pragma once

#include "core/calibration/activations.h"
#include "core/plan/target.h"

namespace ql {

struct ExportRequest {
    const Model& model;
    const Plan& plan; // admitted
    const Activations* activations = nullptr;
};

struct WrittenFile {
    std::string name; // relative to the export path; "" for a single file
    std::int64_t sizeBytes = 0;
};

/// One compared tensor.
struct VerifiedTensor {
    std::string name;
    std::string candidate;
    std::int64_t elements = 0;
    std::int64_t differing = 0; // elements whose restored bits differ in the target's restore dtype
    double maxAbsDifference = 0;
    std::string problem; // missing, wrong shape, …; empty if fine
    bool ok() const { return differing == 0 && problem.empty(); }
};
struct VerifyReport {
    std::vector<VerifiedTensor> tensors;
    std::vector<std::string> problems; // of the file as a whole
    bool ok() const;
};

struct Target {
    TargetProfile profile;
    std::string_view extension; // ".gguf", "" for a folder
    /// Writes to a temporary name beside path and renames; cancel and a full disk leave the old file or nothing.
    Result<std::vector<WrittenFile>> (*write)(const ExportRequest& request, const std::filesystem::path& path,
                                              const JobContext& context);
    /// The plan embedded in a written file, as text; an error if it has none or the path is not this target's.
    Result<std::string> (*embeddedPlan)(const std::filesystem::path& path);
    /// Decodes the written file with code independent of the writer and compares every tensor with what the plan
    /// realizes to, bit for bit in the profile's restoreDtype.
    Result<VerifyReport> (*verify)(const ExportRequest& request, const std::filesystem::path& path,
                                   const JobContext& context);
};

std::span<const Target* const> allTargets();
Result<const Target*> findTarget(std::string_view id);

/// Admits the plan, checks free disk space, writes.
Result<std::vector<WrittenFile>> exportPlan(const Target& target, const ExportRequest& request,
                                            const std::filesystem::path& path, const JobContext& context);
/// Finds the target that wrote path, reads the embedded plan and verifies against the model.
Result<VerifyReport> verifyExport(const Model& model, const std::filesystem::path& path, const Activations* activations,
                                  const JobContext& context);

} // namespace ql
