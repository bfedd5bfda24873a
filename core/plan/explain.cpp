// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/plan/explain.h"

#include "core/base/text.h"
#include "core/formats/block_format.h"
#include "core/formats/matrix_format.h"
#include "core/quantizers/options.h"

#include <algorithm>
#include <cmath>

namespace ql {

namespace {

std::string number(double value)
{
    return formatSignificant(value, 6);
}

/// "16 levels from −8 to 7".
std::string levelsInShort(std::span<const float> levels)
{
    return std::to_string(levels.size()) + " levels from " + number(static_cast<double>(levels.front())) + " to " +
           number(static_cast<double>(levels.back()));
}

std::string minifloatFormula(const NumberFormat& format)
{
    const int bias = format.exponentBits == 1 ? 0 : (1 << (format.exponentBits - 1)) - 1;
    const std::string m = std::to_string(format.mantissaBits);
    const std::string b = std::to_string(bias);
    return "±2^(e − " + b + ")·(1 + m/2^" + m + "), and ±2^" + std::to_string(1 - bias) + "·m/2^" + m + " for e = 0";
}

std::string levelFormula(const NumberFormat& format)
{
    switch (format.kind) {
    case FormatKind::integer:
        return format.levels[1] == 1 ? "q" : "q·" + number(static_cast<double>(format.levels[1]));
    case FormatKind::minifloat:
        return minifloatFormula(format);
    case FormatKind::codebook: {
        std::vector<std::string> values;
        for (const float level : format.grid.levels)
            values.push_back(formatSignificant(static_cast<double>(level), 4));
        return "a table: " + join(values, ", ");
    }
    default:
        return {};
    }
}

std::string whoShares(const Scheme& scheme)
{
    if (scheme.granularity == Granularity::group)
        return "one for each group of " + std::to_string(scheme.groupSize) + " along a row";
    return scheme.granularity == Granularity::channel ? "one for each row" : "one for the tensor";
}

std::string codesFormula(const Scheme& scheme)
{
    if (scheme.isKeep())
        return "ŵ = w, as the checkpoint stores it";
    if (scheme.isCast())
        return "ŵ = w rounded to the nearest " + scheme.element->id;
    if (const BlockFormat* block = findBlockFormat(scheme)) {
        const std::string blocks = "blocks of " + std::to_string(block->elements) + " weights of a row in " +
                                   std::to_string(block->bytes) + " bytes, with scales of their own";
        return block->codesElements() ? "ŵ = level(q)·s + o; " + blocks : blocks + "; a code is of several weights";
    }
    if (const MatrixFormat* matrix = findMatrixFormat(scheme))
        return "bytes of the whole matrix: " + matrix->layout;
    if (scheme.zeroPoint == ZeroPoint::integer)
        return "ŵ = (level(q) − z)·s";
    if (scheme.zeroPoint == ZeroPoint::minimum)
        return "ŵ = q·s + m, q from 0";
    return scheme.scale == ScaleCoding::ue4m3 ? "ŵ = level(q)·(s·S), S one for the tensor" : "ŵ = level(q)·s";
}

std::string restoredFormula(const Scheme& scheme)
{
    std::string formula = codesFormula(scheme);
    if (scheme.additions.empty())
        return formula;
    const std::string_view kCodes = "ŵ = ";
    const auto at = formula.find(kCodes);
    std::string sum = at == std::string::npos ? "ŵ = the codes' value" : "";
    if (scheme.additions.columns > 0)
        sum += " + the value of a kept column";
    if (scheme.additions.sparseMillionths > 0)
        sum += " + the value of a sparse weight";
    if (scheme.additions.rank > 0)
        sum += " + Σ_k A[row, k]·B[k, column]";
    // Before what a formula says in words.
    return at == std::string::npos ? sum + "; " + formula
                                   : formula.insert(std::min(formula.find("; "), formula.size()), sum);
}

/// How each addition is chosen.
void addAdditions(Explanation& explanation, const Additions& additions)
{
    if (additions.columns > 0)
        explanation.facts.push_back(
            {"kept columns",
             std::to_string(additions.columns) + " input columns in float16, " +
                 (additions.columnsOver > 0
                      ? "those with the largest |x| among those with |x| ≥ " + number(additions.columnsOver) +
                            "; the other places stay empty"
                      : "those with the largest |x| where ranges of the inputs are known, else the largest rms·‖w‖ or "
                        "‖w‖ of the column")});
    if (additions.sparseMillionths > 0)
        explanation.facts.push_back(
            {"sparse weights", number(static_cast<double>(additions.sparseMillionths) / 1e4) +
                                   " % of the weights in float16: those without which the others round best, weighted "
                                   "with mean x² where it is known"});
    if (additions.rank > 0)
        explanation.facts.push_back(
            {"low rank", "A·B of rank " + std::to_string(additions.rank) + " in float16, the singular vectors of " +
                             (additions.scaledRank ? "(W − Ŵ)·diag(rms of the inputs)" : "W − Ŵ") +
                             ", Ŵ what all else restores to"});
    for (const AdditionKind& kind : allAdditionKinds())
        if ((kind.text.starts_with("+cols") && additions.columns > 0) ||
            (kind.text.starts_with("+sparse") && additions.sparseMillionths > 0) ||
            (kind.text.starts_with("+lr") && additions.rank > 0))
            explanation.facts.push_back(
                {"source of " + std::string(kind.text.substr(0, kind.text.find('<'))), std::string(kind.source)});
}

std::string_view aboutCoding(ScaleCoding coding)
{
    switch (coding) {
    case ScaleCoding::e8m0:
        return "a power of two from 2^−127 to 2^127";
    case ScaleCoding::ue4m3:
        return "an FP8 E4M3 without sign, times one float32 of the tensor";
    default:
        return {};
    }
}

std::string baseTitle(const Scheme& scheme)
{
    for (const NamedScheme& named : allNamedSchemes())
        if (named.name == scheme.name)
            return std::string(named.title);
    if (scheme.isCast() || scheme.isKeep())
        return scheme.element->title;
    std::string title = scheme.element->title + ", a scale " + whoShares(scheme).substr(4);
    if (scheme.zeroPoint == ZeroPoint::integer)
        title += ", with zero point";
    if (scheme.restricted)
        title += ", without the most negative level";
    return title;
}

std::string schemeTitle(const Scheme& scheme)
{
    std::string title = baseTitle(scheme);
    std::vector<std::string> added;
    if (scheme.additions.columns > 0)
        added.push_back(std::to_string(scheme.additions.columns) + " columns in float16");
    if (scheme.additions.sparseMillionths > 0)
        added.push_back(number(static_cast<double>(scheme.additions.sparseMillionths) / 1e4) +
                        " % of the weights in float16");
    if (scheme.additions.rank > 0)
        added.push_back("factors of rank " + std::to_string(scheme.additions.rank));
    return added.empty() ? title : title + "; plus " + join(added, ", ");
}

std::vector<float> levelsOf(const Scheme& scheme)
{
    if (const BlockFormat* block = findBlockFormat(scheme))
        return {block->levels.begin(), block->levels.end()};
    std::vector<float> levels = scheme.element->grid.levels;
    if (scheme.restricted && scheme.element->hasNegativeExtreme)
        levels.erase(levels.begin());
    return levels;
}

void addLevels(Explanation& explanation, const NumberFormat& format)
{
    if (explanation.levels.empty())
        return;
    if (const std::string formula = levelFormula(format); !formula.empty())
        explanation.facts.push_back({"level", formula});
    explanation.facts.push_back({"levels", levelsInShort(explanation.levels)});
}

void addStorage(Explanation& explanation, const Scheme& scheme, const Shape& shape)
{
    explanation.shape = shape;
    if (scheme.isKeep())
        return;
    const MatrixShape matrix = matrixShape(shape);
    const auto weights = static_cast<double>(std::max<std::int64_t>(1, matrix.rows * matrix.cols));
    std::size_t index = 0;
    for (const PayloadPart& part : payloadParts(scheme, matrix.rows, matrix.cols)) {
        const bool isOfCodes = index++ < kCodeParts;
        if (part.count == 0)
            continue;
        std::string what(part.what);
        if (what == "codes")
            what += ", one for each weight";
        else if (isOfCodes && part.count > 1 && !scheme.isPacked())
            what += ", " + whoShares(scheme);
        explanation.storage.push_back(
            {std::move(what), part.count, part.bitsEach, static_cast<double>(part.bits()) / weights});
    }
    explanation.bitsPerWeight = static_cast<double>(payloadBits(scheme, matrix.rows, matrix.cols)) / weights;
}

void addChoice(Explanation& explanation, const Quantizer& quantizer)
{
    explanation.facts.push_back({"chosen by", std::string(quantizer.title)});
    explanation.facts.push_back({"choice", std::string(quantizer.formula)});
    explanation.facts.push_back({"needs", std::string(describe(quantizer.needs))});
    explanation.facts.push_back({"source of the choice", std::string(quantizer.source)});
    for (const std::string& word : quantizer.options())
        if (!word.empty())
            explanation.options.push_back({word, "another rule of " + std::string(quantizer.id), ""});
    for (const QuantizerOption& option : quantizer.values)
        explanation.options.push_back({printOption(option), std::string(option.meaning), std::string(option.fallback)});
}

} // namespace

const Shape& usualShape()
{
    static const Shape kShape{4096, 4096};
    return kShape;
}

std::string_view describe(InputNeeds needs)
{
    switch (needs) {
    case InputNeeds::diagonalIfKnown:
        return "Σx² of each input column, where it is known";
    case InputNeeds::diagonal:
        return "Σx² of each input column";
    case InputNeeds::gram:
        return "XᵀX of the layer's inputs";
    case InputNeeds::nothing:
        break;
    }
    return "nothing but the weights";
}

Explanation explainFormat(const NumberFormat& format)
{
    // Alone a format is its plainest scheme.
    Scheme scheme;
    scheme.element = std::make_shared<const NumberFormat>(format);
    if (format.kind == FormatKind::packed)
        scheme.name = format.id;
    Explanation explanation;
    explanation.name = format.id;
    explanation.title = format.title;
    explanation.levels = levelsOf(scheme);
    if (explanation.levels.empty())
        explanation.facts.push_back({"restored", restoredFormula(scheme)});
    addLevels(explanation, format);
    if (format.bits > 0)
        explanation.facts.push_back({"bits of a code", std::to_string(format.bits)});
    explanation.facts.push_back({"source", format.source});
    return explanation;
}

Explanation explainScheme(const Scheme& scheme, const Shape& shape)
{
    Explanation explanation;
    explanation.name = printScheme(scheme);
    explanation.title = schemeTitle(scheme);
    explanation.levels = levelsOf(scheme);
    explanation.facts.push_back({"restored", restoredFormula(scheme)});
    addLevels(explanation, *scheme.element);
    if (const std::string_view about = aboutCoding(scheme.scale); !about.empty() && !scheme.isPacked())
        explanation.facts.push_back({"scale", std::string(about)});
    for (const NamedScheme& named : allNamedSchemes())
        if (named.name == scheme.name && !named.text.empty())
            explanation.facts.push_back({"means", std::string(named.text)});
    explanation.facts.push_back({"source", scheme.element->source});
    addAdditions(explanation, scheme.additions);
    addStorage(explanation, scheme, shape);
    return explanation;
}

Explanation explainQuantizer(const Quantizer& quantizer)
{
    Explanation explanation;
    explanation.name = quantizer.id;
    explanation.title = quantizer.title;
    addChoice(explanation, quantizer);
    std::erase_if(explanation.facts, [](const Fact& fact) { return fact.what == "chosen by"; }); // its title
    return explanation;
}

Result<Explanation> explain(const Candidate& candidate, const Shape& shape)
{
    Explanation explanation = explainScheme(candidate.weights, shape);
    explanation.name = printCandidate(candidate);
    if (candidate.activations)
        explanation.facts.push_back(
            {"inputs", "rounded to " + printActivationScheme(*candidate.activations) + " when the plan runs"});
    if (candidate.weights.isKeep() || candidate.weights.isCast())
        return explanation;
    QL_TRY(quantizer, findQuantizer(candidate.quantizer.id));
    addChoice(explanation, *quantizer);
    return explanation;
}

} // namespace ql
