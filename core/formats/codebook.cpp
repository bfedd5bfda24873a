// SPDX-License-Identifier: GPL-3.0-or-later
// Formats whose levels are a fixed list. nf4: NormalFloat, quantiles of N(0, 1) scaled to [−1, 1] with an exact zero;
// the sixteen float32 values are those every implementation shares (QLoRA, Dettmers et al. 2023, appendix E).
#include "core/formats/format_build.h"

namespace ql {

namespace {

NumberFormatPtr parseCodebook(std::string_view text)
{
    if (text != "nf4")
        return nullptr;
    NumberFormat format;
    format.id = "nf4";
    format.title = "4-bit NormalFloat";
    format.source = "Dettmers et al., QLoRA, 2023, appendix E";
    format.kind = FormatKind::codebook;
    format.bits = 4;
    format.levels = {-1.0F,
                     -0.6961928009986877F,
                     -0.5250730514526367F,
                     -0.39491748809814453F,
                     -0.28444138169288635F,
                     -0.18477343022823334F,
                     -0.09105003625154495F,
                     0.0F,
                     0.07958029955625534F,
                     0.16093020141124725F,
                     0.24611230194568634F,
                     0.33791524171829224F,
                     0.44070982933044434F,
                     0.5626170039176941F,
                     0.7229568362236023F,
                     1.0F};
    return finishFormat(std::move(format));
}

std::vector<std::string> codebooks()
{
    return {"nf4"};
}

} // namespace

namespace formats {
extern const FormatFamily codebook;
const FormatFamily codebook{.id = "codebook", .title = "Codebooks", .parse = parseCodebook, .instances = codebooks};
} // namespace formats

} // namespace ql
