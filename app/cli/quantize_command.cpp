// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/cli/command.h"
#include "app/cli/variant_options.h"
#include "core/base/npz.h"
#include "core/base/text.h"
#include "core/formats/matrix_format.h"
#include "core/formats/tensor_additions.h"
#include "core/model/stored_order.h"
#include "core/realize/realize.h"

#include <nlohmann/json.hpp>

namespace ql::cli::commands {

namespace {

struct Options {
    std::string file;
    std::string scheme;
    std::string layer = "*";
    std::string npz;
    ActivationsOption activations;
    TransformsOption transforms;
};

template<typename T>
std::span<const std::byte> bytesOf(const std::vector<T>& values)
{
    return std::as_bytes(std::span(values));
}

/// Shape of scales and zero points: [1], [out, 1] or [out, groups].
Shape scaleShape(const QuantizedTensor& quantized)
{
    const auto [rows, cols] = quantized.matrix();
    if (quantized.scheme.granularity == Granularity::tensor)
        return {1};
    return {rows, quantized.scheme.groupsPerRow(cols)};
}

/// Codes widened to 16 bits: two's complement for integers, the bit pattern otherwise; those of casts as they are.
Result<Buffer> wideCodes(QuantizedTensor& quantized, const JobContext& context)
{
    if (quantized.scheme.isCast())
        return std::move(quantized.codes);
    const std::int64_t n = numel(quantized.shape);
    QL_CHECK(context.checkMemory(2 * n, "the codes"));
    Buffer wide(2 * n);
    const bool isInteger = quantized.scheme.element->kind == FormatKind::integer;
    for (std::int64_t i = 0; i < n; ++i)
        wide.as<std::uint16_t>()[i] = isInteger ? static_cast<std::uint16_t>(quantized.codes.as<std::int8_t>()[i])
                                                : quantized.codes.as<std::uint8_t>()[i];
    return wide;
}

/// One element a weight, in the order and shape of the checkpoint.
Result<void> addStored(NpzWriter& npz, const std::string& name, std::string_view word, const Layer& layer,
                       const Shape& shape, Buffer values, const JobContext& context)
{
    QL_TRY(stored, toStoredOrder(layer, std::move(values), context));
    return npz.add(name, word, shape, {stored.data(), static_cast<std::size_t>(stored.sizeBytes())});
}

/// All values are float16, held as float32.
Result<void> addAdditions(NpzWriter& npz, const std::string& name, const QuantizedTensor& quantized)
{
    if (!quantized.additions)
        return {};
    const TensorAdditions& additions = *quantized.additions;
    const auto [rows, cols] = quantized.matrix();
    if (!additions.columns.empty()) {
        const std::int64_t slots = std::ssize(additions.columns);
        QL_CHECK(npz.add(name + ".kept_columns", "i4", Shape{slots}, bytesOf(additions.columns)));
        QL_CHECK(npz.add(name + ".kept_values", "f4", Shape{rows, slots}, bytesOf(additions.columnValues)));
    }
    if (!additions.rowStarts.empty()) {
        const Shape count{std::ssize(additions.sparseColumns)};
        QL_CHECK(npz.add(name + ".sparse_starts", "u4", Shape{rows + 1}, bytesOf(additions.rowStarts)));
        QL_CHECK(npz.add(name + ".sparse_columns", "u4", count, bytesOf(additions.sparseColumns)));
        QL_CHECK(npz.add(name + ".sparse_values", "f4", count, bytesOf(additions.sparseValues)));
    }
    if (additions.rank > 0) {
        QL_CHECK(npz.add(name + ".left", "f4", Shape{rows, additions.rank}, bytesOf(additions.left)));
        QL_CHECK(npz.add(name + ".right", "f4", Shape{additions.rank, cols}, bytesOf(additions.right)));
    }
    return {};
}

Result<void> add(NpzWriter& npz, const Layer& layer, const Shape& stored, QuantizedTensor& quantized,
                 const JobContext& context)
{
    const std::string& name = layer.name;
    const Scheme& scheme = quantized.scheme;
    QL_TRY(restored, restore(quantized, context));
    QL_CHECK(addStored(npz, name, "f4", layer, stored, std::move(restored), context));
    QL_CHECK(addAdditions(npz, name, quantized));
    if (findMatrixFormat(scheme))
        return npz.add(name + ".packed", "u1", Shape{quantized.codes.sizeBytes()},
                       {quantized.codes.data(), static_cast<std::size_t>(quantized.codes.sizeBytes())});
    if (scheme.isPacked()) {
        const std::int64_t rows = quantized.matrix().rows;
        return npz.add(name + ".blocks", "u1", Shape{rows, rows > 0 ? quantized.codes.sizeBytes() / rows : 0},
                       {quantized.codes.data(), static_cast<std::size_t>(quantized.codes.sizeBytes())});
    }
    QL_TRY(codes, wideCodes(quantized, context));
    const bool isWide = scheme.isCast() && scheme.element->bits == 32;
    const bool isSigned = !scheme.isCast() && scheme.element->kind == FormatKind::integer;
    QL_CHECK(addStored(npz, name + ".codes",
                       isWide     ? "u4"
                       : isSigned ? "i2"
                                  : "u2",
                       layer, stored, std::move(codes), context));
    const Shape shape = scaleShape(quantized);
    if (!quantized.scales.empty())
        QL_CHECK(npz.add(name + ".scales", "f4", shape, bytesOf(quantized.scales)));
    if (!quantized.zeroPoints.empty())
        QL_CHECK(npz.add(name + ".zero_points", "i2", shape, bytesOf(quantized.zeroPoints)));
    if (!quantized.minima.empty())
        QL_CHECK(npz.add(name + ".minima", "f4", shape, bytesOf(quantized.minima)));
    if (scheme.scale == ScaleCoding::ue4m3)
        QL_CHECK(npz.add(name + ".tensor_scale", "f4", Shape{1}, std::as_bytes(std::span(&quantized.tensorScale, 1))));
    return {};
}

Result<int> run(Console& console, const Options& options)
{
    QL_TRY(candidate, parseCandidate(options.scheme));
    if (candidate.weights.isKeep())
        return usageError("'keep' has no codes; give a scheme such as int4:g64");
    QL_TRY(opened, openVariantFor(console, options.file, options.transforms, options.activations));
    const auto& [base, model, activations, variant] = opened;
    QL_TRY(npz, NpzWriter::create(options.npz));
    auto rows = nlohmann::ordered_json::array();
    for (const std::int64_t layer : model->quantizableLayers()) {
        const Layer& description = model->layers[static_cast<std::size_t>(layer)];
        if (!globMatch(options.layer, description.name))
            continue;
        console.status("quantizing " + description.name);
        QL_TRY(data, model->loadWeights(layer, console.context()));
        QL_TRY(quantized, realize(*model, layer, candidate, activations.get(), console.context()));
        QL_TRY(error, measureError(data.view, quantized, console.context()));
        QL_CHECK(model->checkpoint->checkIntact());
        const Shape& stored = model->checkpoint->tensors()[static_cast<std::size_t>(description.tensor)].shape;
        QL_CHECK(add(npz, description, stored, quantized, console.context()));
        rows.push_back({{"name", description.name},
                        {"candidate", printCandidate(candidate)},
                        {"payload_bits", quantized.payloadBits()},
                        {"bits_per_weight",
                         static_cast<double>(quantized.payloadBits()) / static_cast<double>(description.numel())},
                        {"sqnr_db", numberOrNull(error.sqnrDb())},
                        {"mse", error.mse()},
                        {"max_abs_error", error.maxAbsError}});
    }
    if (rows.empty())
        return usageError("no quantizable layer matches '" + options.layer + "'; qloupe info lists the names",
                          options.file);
    QL_CHECK(npz.commit());
    console.show({{"path", options.npz}, {"layers", std::move(rows)}});
    return 0;
}

} // namespace

extern const Command quantize_;
const Command quantize_{
    "quantize", "quantize layers with one scheme and write codes, scales and restored weights as .npz",
    [](CLI::App& app) -> CommandRun {
        const auto options = std::make_shared<Options>();
        app.add_option("FILE", options->file, "checkpoint file or folder")->required();
        app.add_option("--scheme", options->scheme, "scheme[@quantizer], e.g. int4:g64, mxfp4, int4:g128:asym@mse")
            ->required();
        app.add_option("--layer", options->layer, "layer name or glob")->capture_default_str();
        app.add_option("--npz", options->npz,
                       "archive to write: NAME restored and NAME.codes in the shape of the file; NAME.scales, "
                       ".zero_points and .minima one per row of W[out, in] or group of it, [out, groups]; of GGUF's "
                       "packed types "
                       "NAME.blocks, rows of whole blocks, in place of all these; of layouts over the whole matrix "
                       "NAME.packed, the bytes that list schemes --explain describes; of additions NAME.kept_columns "
                       "and .kept_values, .sparse_starts, .sparse_columns and .sparse_values, .left and .right, added "
                       "in this order")
            ->required();
        options->activations.declare(app);
        options->transforms.declare(app);
        return [options](Console& console) { return run(console, *options); };
    }};

} // namespace ql::cli::commands
