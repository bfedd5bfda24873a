// SPDX-License-Identifier: GPL-3.0-or-later
// Where what models are run on usually is: beside the model, or where it was the last time.
#pragma once

#include "views/runs/runnable_model.h"

namespace ql::views {

class Document;

enum class SourceUse { calibration, heldOut, probing };

/// calibration.txt, or test.txt for what calibration must not see, beside the open model; empty if there is none.
QString textBeside(const Document& document, SourceUse use);
/// The one of that kind that was remembered last; empty if it is not there any more.
QString lastSource(SourceKind kind, SourceUse use);
/// textBeside(), or else the last text.
QString usualText(const Document& document, SourceUse use);
void rememberSource(SourceKind kind, SourceUse use, const QString& path);

} // namespace ql::views
