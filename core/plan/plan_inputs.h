// SPDX-License-Identifier: GPL-3.0-or-later
// Which activations the quantizers of a plan looked at: the same candidates make other codes of other inputs, so a plan
// names them by their fingerprint.
#pragma once

#include "core/calibration/activations.h"
#include "core/plan/plan.h"

namespace ql {

/// Digits of a fingerprint in a plan.
constexpr std::size_t kFingerprintDigits = 32;

/// Whether any quantizer of the plan looks at the layers' inputs where they are known.
bool takesInputs(const Plan& plan);

/// The fingerprint of the layers' inputs as plans name it, without what else a study knows; empty for null.
std::string inputsFingerprint(const Activations* activations);

/// Writes down the activations that the plan's quantizers are given: none if they take none.
void nameActivations(Plan& plan, const Activations* activations);
/// The same by their fingerprint.
void nameActivations(Plan& plan, const std::string& inputs);

/// An error where the plan was made with other activations than these, or with none; it names both.
Result<void> checkActivations(const Plan& plan, const Activations* activations);

} // namespace ql
