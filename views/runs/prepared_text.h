// SPDX-License-Identifier: GPL-3.0-or-later
// A model and a text made ready to run: graph, token ids, and how fast this machine is at it. Made once per text by a
// job; what a run will cost follows from it at once. Immutable and shared.
#pragma once

#include "core/calibration/calibrate.h"
#include "core/model/evaluation/text_tokens.h"

#include <QString>

#include <memory>

namespace ql::views {

class Document;

struct PreparedText {
    std::shared_ptr<const Model> model;
    QString path;
    graph::Graph graph;
    TextTokens tokens;
    double secondsPerMultiplyAdd = 0;

    std::int64_t tokenCount() const { return std::ssize(tokens.ids); }
    /// Windows of that length a run takes; limit 0: all.
    std::int64_t windowCount(std::int64_t length, std::int64_t limit) const;
    CalibrationCost calibrationCost(const CalibrationSettings& settings, std::int64_t length, std::int64_t limit) const;
    double calibrationSeconds(const CalibrationSettings& settings, std::int64_t length, std::int64_t limit) const;
    /// The model and a version of it, side by side.
    double validationSeconds(std::int64_t length, std::int64_t limit) const;
};

/// A .npy or .npz file holds token ids, any other text.
TextSource textSource(const QString& path);
/// Errors name what is missing: an architecture that runs, a tokenizer, a readable text.
Result<std::shared_ptr<const PreparedText>> prepareText(const std::shared_ptr<const Model>& model, const QString& path,
                                                        const JobContext& context);

enum class TextUse { calibration, heldOut };
/// calibration.txt or test.txt beside the model, else the one chosen last; empty if there is neither.
QString usualText(const Document& document, TextUse use);
void rememberText(const QString& path, TextUse use);
/// As long as the model's context, at most 512.
std::int64_t usualWindowLength(const Model& model);

} // namespace ql::views
