// SPDX-License-Identifier: GPL-3.0-or-later
// What GPTQ's columns lose at three bits: what error feedback cannot make good.
#include "core/sensitivity/column_losses.h"

namespace ql::metrics {

extern const Metric column_loss;
const Metric column_loss{
    .id = "column_loss",
    .title = "Losses of columns under error feedback",
    .unit = "output² · NMSE",
    .formula = "Σ_j ℓ_j · NMSE, ℓ_j = Σ_rows (w − ŵ)²/(2·U_jj²) of GPTQ at 3 bits",
    .source = "Frantar et al., GPTQ, ICLR 2023; Zhang et al., BAQ, 2025, section 3",
    .needs = MetricNeeds::gram,
    .ofLayer = columnLoss,
    .isProxy = true,
    .isSlow = true,
};

} // namespace ql::metrics
