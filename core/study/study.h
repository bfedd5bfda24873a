// SPDX-License-Identifier: GPL-3.0-or-later
// The saved work. name.qloupe is a small HDF5 file (plan, view state, list of segments), always written to a temporary
// name, synced and renamed; name.qloupe.d/ holds one immutable HDF5 segment per finished piece. No file is ever
// modified in place, so any instant is a valid study. A lock file names the owner.
#pragma once

#include "core/base/result.h"
#include "core/jobs/result_sink.h"

#include <filesystem>
#include <map>
#include <memory>
#include <string>

namespace ql {

/// What the main file holds. Paths are stored relative to the study where possible.
struct StudyDocument {
    std::filesystem::path checkpoint;
    std::string fingerprint;           // of the checkpoint when it was saved
    std::filesystem::path activations; // empty if none
    std::string planJson;
    std::map<std::string, std::string> viewState; // free text per key: layout, selection, filter, …
    std::map<std::string, std::string> settings;  // target, metric, budget, candidates, …
};

class Study : public ResultSink {
public:
    ~Study() override = default;
    virtual const std::filesystem::path& path() const = 0;
    virtual const StudyDocument& document() const = 0;
    /// Writes the main file anew with every kept segment listed; unreferenced segments are removed.
    virtual Result<void> save(const StudyDocument& document) = 0;
    /// Who holds the lock if it is not this process; empty if this one does.
    virtual const std::string& lockedBy() const = 0;
};

/// Opens, or creates if it does not exist. Damaged segments are dropped with a warning; a damaged main file is an
/// error.
Result<std::shared_ptr<Study>> openStudy(const std::filesystem::path& path, std::vector<Warning>& warnings);
Result<std::shared_ptr<Study>> createStudy(const std::filesystem::path& path);
/// One self-contained file: main file with all segments inside.
Result<void> packStudy(Study& study, const std::filesystem::path& path);

} // namespace ql
