// SPDX-License-Identifier: GPL-3.0-or-later
// What a calibration left in a sink, as activations: metrics, quantizers and panels take them like captured ones.
#pragma once

#include "core/calibration/calibrate.h"

namespace ql {

/// Which layers a sink has statistics and Fisher diagonals of, and where. A run that is under way adds to it as pieces
/// are kept.
struct CalibratedSites {
    std::map<std::int64_t, std::string> keyOfLayer;
    std::string fingerprint;                        // of the source, with its number of tokens
    bool isDiagonal = true;                         // no site holds the whole of XᵀX
    std::map<std::int64_t, std::string> fisherName; // of layers with a Fisher diagonal
    std::int64_t fisherWindows = 0;                 // behind each of them, at least
    std::string fisherFingerprint;
    /// Takes notice of a piece; one that is no site's statistics (a Fisher diagonal's) changes nothing.
    void note(const Model& model, const std::string& key, std::span<const std::byte> piece);
};
/// What the sink holds for this model; every piece is read.
CalibratedSites findCalibration(const ResultSink& sink, const Model& model);
/// Hands it to another sink.
Result<void> copyCalibration(const ResultSink& from, ResultSink& to, const Model& model);

/// Statistics are decoded when asked for; a Gram matrix that was kept in part only gives ranges and histograms. Null if
/// there is nothing. `path` names where it is.
std::shared_ptr<const Activations> calibratedActivations(std::shared_ptr<const ResultSink> sink, CalibratedSites sites,
                                                         const std::filesystem::path& path);

/// As the rest of the engine takes statistics; XᵀX only if it is full.
ActivationStatistics activationStatistics(const SiteStatistics& site);

} // namespace ql
