// SPDX-License-Identifier: GPL-3.0-or-later
// How one Linear W[N, K] is stored, by the formats of compressed-tensors. Tensors of the module, groups of g along K:
//   pack-quantized         weight_packed I32 [N, ceil(K·b/32)], codes q + 2^(b−1) running on from word to word;
//                          weight_scale [N, groups], weight_shape I64 [2]; with zero points
//                          weight_zero_point I32 [ceil(N·b/32), groups], packed down the columns
//   int-quantized          weight I8 [N, K], weight_scale [N, 1]; inputs are rounded by token
//   float-quantized        weight F8_E4M3 [N, K], weight_scale [N, 1] or [1]; inputs are rounded by token
//   naive-quantized        the same for weights alone
//   nvfp4-pack-quantized   weight_packed U8 [N, K/2], the even column in the low half; weight_scale F8_E4M3 [N, K/16],
//                          weight_global_scale F32 [1] = 1/t: w = level·(scale/global)
//   mxfp4-pack-quantized   weight_packed likewise; weight_scale U8 [N, K/32], the exponent + 127
// weight_scale has the layer's dtype where nothing else is said.
// Source: vllm-project/compressed-tensors, compressors/{pack_quantized,naive_quantized,nvfp4,mxfp4}.
#pragma once

#include "core/plan/candidate.h"

#include <array>

namespace ql::ct {

enum class Storage { kept, packed, bytes, fp8, fp4 };

/// Members in the order in which config.json lists groups.
struct Coding {
    int bits = 0;                                    // 0: stays as the model stores it
    std::int64_t groupSize = 0;                      // 0: one scale for a row or the tensor
    Storage storage = Storage::kept;                 // packed and bytes: integers
    Granularity granularity = Granularity::channel;  // tensor, channel or group
    bool zeroPoint = false;                          // beside the scale
    bool inputs = false;                             // the layer's inputs are rounded, too, each token by itself
    std::optional<ScaleCoding> scale = std::nullopt; // none: the layer's dtype
    friend auto operator<=>(const Coding&, const Coding&) = default;
};
/// Of a candidate that the target accepts.
Coding codingOf(const Candidate& candidate);
/// "pack-quantized"
std::string_view formatOf(const Coding& coding);

enum class Part { kept, codes, scale, zeroPoint, globalScale, shape };
constexpr int kPartCount = 6;

/// A tensor of the file.
struct Stored {
    std::string_view suffix; // ".weight_packed"
    std::string_view dtype;  // safetensors' word; empty: that of the layer
    int elementBytes = 0;    // 0: those of the layer
    std::array<std::int64_t, 2> dims{};
    std::size_t rank = 0; // 0: the module has no such tensor
};
/// Of a coded W[rows, cols]; not for Part::kept.
Stored storedPart(const Coding& coding, Part part, std::int64_t rows, std::int64_t cols);

} // namespace ql::ct
