// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/base/text.h"
#include "core/calibration/activations.h"
#include "core/formats/block_format.h"
#include "core/formats/element_coder.h"
#include "core/formats/weight_tile.h"
#include "core/jobs/parallel.h"
#include "core/quantizers/quantizer.h"
#include "core/quantizers/sum_of_parts.h"
#include "core/quantizers/unit_quantizer.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <limits>

namespace ql {

namespace quantizers {
#define QUANTIZER(id) extern const Quantizer id;
#include "core/quantizers/quantizers.def"
#undef QUANTIZER
} // namespace quantizers

std::span<const Quantizer* const> allQuantizers()
{
    static constexpr const Quantizer* kAll[] = {
#define QUANTIZER(id) &quantizers::id,
#include "core/quantizers/quantizers.def"
#undef QUANTIZER
    };
    return kAll;
}

Result<const Quantizer*> findQuantizer(std::string_view id)
{
    std::vector<std::string> ids;
    for (const Quantizer* quantizer : allQuantizers()) {
        if (quantizer->id == id)
            return quantizer;
        ids.emplace_back(quantizer->id);
    }
    return usageError("unknown quantizer \"" + printable(id) + "\"; there are " + join(ids, ", "));
}

Result<QuantizerSpec> parseQuantizerSpec(std::string_view text)
{
    const std::vector<std::string_view> parts = split(trim(text), ':');
    QL_TRY(quantizer, findQuantizer(trim(parts.front())));
    QuantizerSpec spec;
    spec.id = quantizer->id;
    const std::vector<std::string> options = quantizer->options();
    for (std::size_t i = 1; i < parts.size(); ++i) {
        const std::string_view part = trim(parts[i]);
        const std::string where = "quantizer \"" + printable(text) + "\": ";
        if (const std::size_t equals = part.find('='); equals != std::string_view::npos) {
            const bool added =
                spec.values.emplace(std::string(part.substr(0, equals)), std::string(part.substr(equals + 1))).second;
            if (!added)
                return usageError(where + "\"" + printable(part.substr(0, equals)) + "=\" is given twice");
            continue;
        }
        if (!spec.option.empty())
            return usageError(where + "more than one option word");
        if (part.empty() || std::find(options.begin(), options.end(), part) == options.end()) {
            std::vector<std::string> words(options.begin() + 1, options.end());
            return usageError(where + "no option \"" + printable(part) + "\"; " + spec.id +
                              (words.empty() ? " has none" : " has " + join(words, ", ")));
        }
        spec.option = part;
    }
    return spec;
}

std::string printQuantizerSpec(const QuantizerSpec& spec)
{
    std::string text = spec.id;
    if (!spec.option.empty())
        text += ":" + spec.option;
    for (const auto& [key, value] : spec.values)
        text += ":" + key + "=" + value;
    return text;
}

namespace {

/// Finite weights stay finite: what a narrower type cannot hold becomes its largest value. NaN and infinities are kept.
Result<QuantizedTensor> castTensor(const QuantizeTask& task, const JobContext& context)
{
    QL_TRY(out, allocateQuantized(task, context));
    const std::int64_t n = task.weights.numel();
    const std::string& id = task.scheme.element->id;
    const float largest = task.scheme.element->maxLevel;
    constexpr float kInfinity = std::numeric_limits<float>::infinity();
    const double bytes = info(task.weights.dtype).bitsPerElement() / 8;
    context.progress().addTotal(static_cast<std::int64_t>(bytes * static_cast<double>(n)));
    QL_CHECK(parallelFor(context, n, kRunChunk, [&](std::int64_t begin, std::int64_t end) {
        WeightTile tile(task.weights);
        const float* weights = tile.read(begin, end - begin);
        if (id == "f32") {
            std::memcpy(out.codes.as<float>() + begin, weights, static_cast<std::size_t>(end - begin) * sizeof(float));
        } else {
            auto* codes = out.codes.as<std::uint16_t>() + begin;
            constexpr std::int64_t kTile = 4096;
            std::array<float, kTile> held;
            for (std::int64_t at = 0; at < end - begin; at += kTile) {
                const std::int64_t count = std::min(kTile, end - begin - at);
                for (std::int64_t i = 0; i < count; ++i) {
                    const float w = weights[at + i];
                    // Comparisons with NaN fail, infinities are no larger than themselves: both stay.
                    const bool tooLarge = std::fabs(w) > largest && std::fabs(w) < kInfinity;
                    held[static_cast<std::size_t>(i)] = tooLarge ? std::copysign(largest, w) : w;
                }
                narrowRun(id == "f16" ? Dtype::f16 : Dtype::bf16, held.data(), count, codes + at);
            }
        }
        context.progress().addDone(static_cast<std::int64_t>(bytes * static_cast<double>(end - begin)));
    }));
    return out;
}

} // namespace

Result<QuantizedTensor> quantize(const QuantizeTask& task, const JobContext& context)
{
    if (task.scheme.isKeep())
        return usageError("keep is not quantized: the tensor stays as the checkpoint stores it");
    if (!isDecodable(task.weights.dtype))
        return badInput("weights of type " + std::string(info(task.weights.dtype).word) +
                        " cannot be decoded, so they cannot be quantized; keep them");
    if (task.scheme.isCast())
        return castTensor(task, context);
    if (!task.scheme.additions.empty())
        return quantizeSum(task, context);
    QL_TRY(quantizer, findQuantizer(task.spec.id));
    QL_CHECK(quantizer->accepts(task.scheme, task.spec));
    QL_CHECK(checkWholeBlocks(task.scheme, task.weights.shape));
    const bool empty = !task.inputs || task.inputs->isEmpty();
    if ((quantizer->needs == InputNeeds::diagonal && empty) ||
        (quantizer->needs == InputNeeds::gram && (empty || !task.inputs->knowsGram())))
        return usageError(std::string(quantizer->id) +
                          " needs captured activations of the layer; give them or use rtn");
    return quantizer->quantize(task, context);
}

} // namespace ql
