// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/realize/runtime_activations.h"

#include "core/jobs/parallel.h"
#include "core/tensor/half.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace ql {

namespace {

float throughF16(float x)
{
    return floatFromF16(f16FromFloat(x));
}

/// ggml's Q8_0 and Q8_1: blocks of 32 with the scale absmax / 127, stored in f16 after the codes were chosen.
void roundQ8(float* row, std::int64_t width)
{
    constexpr std::int64_t kBlock = 32;
    for (std::int64_t begin = 0; begin < width; begin += kBlock) {
        float* x = row + begin;
        float absmax = 0;
        for (std::int64_t i = 0; i < kBlock; ++i)
            absmax = std::max(absmax, std::fabs(x[i]));
        const float inverse = absmax > 0 ? 127 / absmax : 0;
        const float scale = throughF16(absmax / 127);
        for (std::int64_t i = 0; i < kBlock; ++i)
            x[i] = std::nearbyint(x[i] * inverse) * scale;
    }
}

/// ggml's Q8_K: blocks of 256 with a float scale that takes the largest element to −127.
void roundQ8K(float* row, std::int64_t width)
{
    constexpr std::int64_t kBlock = 256;
    for (std::int64_t begin = 0; begin < width; begin += kBlock) {
        float* x = row + begin;
        const float largest =
            *std::max_element(x, x + kBlock, [](float a, float b) { return std::fabs(a) < std::fabs(b); });
        if (largest == 0)
            continue;
        const float inverse = -127 / largest;
        const float scale = 1 / inverse;
        for (std::int64_t i = 0; i < kBlock; ++i)
            x[i] = std::min(127.0F, std::nearbyint(x[i] * inverse)) * scale;
    }
}

void roundF16(float* row, std::int64_t width)
{
    std::transform(row, row + width, row, throughF16);
}

void roundBf16(float* row, std::int64_t width)
{
    std::transform(row, row + width, row, [](float x) { return floatFromBf16(bf16FromFloat(x)); });
}

/// ggml-cpu's table of vec_dot types.
Runtime::Round llamaRounding(Dtype weights, std::int64_t width)
{
    if (weights == Dtype::f16)
        return roundF16;
    if (weights == Dtype::bf16)
        return roundBf16;
    const DtypeInfo& type = info(weights);
    if (!type.isGgml)
        return nullptr;
    return type.blockElements == 256 ? (width % 256 == 0 ? roundQ8K : nullptr) : (width % 32 == 0 ? roundQ8 : nullptr);
}

Dtype typeOf(const Layer& layer, const Candidate& candidate)
{
    if (candidate.weights.isKeep())
        return layer.dtype;
    const std::string text = printScheme(candidate.weights);
    const auto word = text.starts_with("gguf:") ? std::string_view(text).substr(5) : std::string_view(text);
    return dtypeFromWord(word).value_or(Dtype::f32);
}

} // namespace

std::span<const Runtime> allRuntimes()
{
    static constexpr std::array kAll{
        Runtime{"llama.cpp", "llama.cpp on a CPU: Q8_0, Q8_1 or Q8_K blocks, F16 or BF16 as the weights' type asks",
                "ggml/src/ggml-cpu/ggml-cpu.c, type_traits_cpu", llamaRounding},
    };
    return kAll;
}

Result<const Runtime*> findRuntime(std::string_view id)
{
    std::string known;
    for (const Runtime& runtime : allRuntimes()) {
        if (runtime.id == id)
            return &runtime;
        known += (known.empty() ? "" : ", ") + std::string(runtime.id);
    }
    return usageError("there is no runtime '" + std::string(id) +
                      "' whose rounding of activations is known; there is " + known);
}

Runtime::Round roundingOf(const Runtime& runtime, const Layer& layer, const Candidate& candidate, std::int64_t width)
{
    return runtime.roundingFor(typeOf(layer, candidate), width);
}

Runtime::Round roundingOf(const Runtime& runtime, const Model& model, const Plan* plan, std::int64_t layer,
                          std::int64_t width)
{
    const auto index = static_cast<std::size_t>(layer);
    const Layer& its = model.layers[index];
    return plan ? roundingOf(runtime, its, plan->candidates[index], width) : runtime.roundingFor(its.dtype, width);
}

graph::LayerInputHook<float> runtimeActivations(const Runtime& runtime, const Model& model, const Plan* plan,
                                                const JobContext& context)
{
    return [&runtime, &model, plan, &context](const graph::Node&, std::int64_t layer,
                                              graph::Array<float>& input) -> Result<void> {
        const std::int64_t width = input.width();
        const Runtime::Round round = roundingOf(runtime, model, plan, layer, width);
        if (!round)
            return {};
        float* data = input.write();
        return parallelFor(context, input.rows(), graph::rowGrain(width), [&](std::int64_t begin, std::int64_t end) {
            for (std::int64_t r = begin; r < end; ++r)
                round(data + r * width, width);
        });
    };
}

} // namespace ql
