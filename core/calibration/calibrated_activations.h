// SPDX-License-Identifier: GPL-3.0-or-later
// What a calibration left in a sink, as activations: metrics, quantizers and panels take them like captured ones.
#pragma once

#include "core/calibration/calibrate.h"
#include "core/calibration/layer_figures.h"

namespace ql {

/// Which statistics, Fisher diagonals and Gram matrices of the loss a sink has, by their heads. A run that is under
/// way adds to it as pieces are kept.
struct CalibratedSites {
    struct Site {
        std::vector<SiteReader> readers;
        std::int64_t tokens = 0;
        bool isFull = false;     // holds all of XᵀX
        std::string fingerprint; // of the source and how much of it
    };
    std::map<std::string, Site> sites;              // by key
    std::map<std::int64_t, std::string> fisherName; // of layers with a Fisher diagonal
    std::int64_t fisherWindows = 0;                 // behind each of them, at least
    std::string fisherFingerprint;
    std::map<std::int64_t, std::vector<std::string>> lossGramKeys; // of layers with such a matrix, one for each use
    std::string lossGramFingerprint;
    std::map<std::string, std::map<std::int64_t, double>, std::less<>> figures; // by name and layer
    std::string figuresFingerprint;
    std::map<std::int64_t, std::vector<std::string>> outputGramKeys; // likewise
    std::string outputGramFingerprint;
    /// Takes notice of a piece or its head; one that is no site's statistics (a Fisher diagonal's) changes nothing.
    void note(const Model& model, const std::string& key, std::span<const std::byte> piece);
};
/// What the sink holds for this model.
CalibratedSites findCalibration(const ResultSink& sink, const Model& model);
/// Hands it to another sink.
Result<void> copyCalibration(const ResultSink& from, ResultSink& to, const Model& model);

/// Statistics are decoded when asked for, and summed over the uses of a layer; a Gram matrix that was kept in part only
/// gives ranges and histograms. Null if there is nothing. `path` names where it is.
std::shared_ptr<const Activations> calibratedActivations(std::shared_ptr<const ResultSink> sink, CalibratedSites sites,
                                                         const std::filesystem::path& path);

} // namespace ql
