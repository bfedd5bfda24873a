// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/plan/candidate.h"

#include "core/base/text.h"

#include <algorithm>

namespace ql {

namespace {
/// Says to which candidate an error belongs.
Error inCandidate(Error error, std::string_view text)
{
    if (error.where.empty())
        error.where = "candidate '" + printable(text) + "'";
    return error;
}

Result<Candidate> parseParts(std::string_view text)
{
    constexpr std::string_view kActivations = "+a:";
    std::string_view schemes = text;
    std::optional<std::string_view> quantizer;
    if (const auto at = text.find('@'); at != std::string_view::npos) {
        schemes = text.substr(0, at);
        quantizer = text.substr(at + 1);
    }
    const auto plus = schemes.find(kActivations);
    if (schemes.substr(0, plus).empty())
        return usageError("has no scheme; write e.g. int4:g128, gguf:q4_0, bf16 or keep");

    QL_TRY(weights, parseScheme(schemes.substr(0, plus)));
    Candidate candidate{.weights = std::move(weights), .activations = {}, .quantizer = {}};
    if (plus != std::string_view::npos) {
        QL_TRY(activations, parseActivationScheme(schemes.substr(plus + kActivations.size())));
        candidate.activations = std::move(activations);
    }
    if (quantizer) {
        QL_TRY(spec, parseQuantizerSpec(*quantizer));
        candidate.quantizer = std::move(spec);
    }
    if (candidate.weights.isKeep() || candidate.weights.isCast()) {
        if (candidate.quantizer != QuantizerSpec{})
            return usageError("a quantizer has nothing to choose for " + printScheme(candidate.weights) +
                              "; leave @ and what follows out");
        return candidate;
    }
    QL_TRY(found, findQuantizer(candidate.quantizer.id));
    QL_CHECK(found->accepts(candidate.weights, candidate.quantizer));
    return candidate;
}
} // namespace

Result<Candidate> parseCandidate(std::string_view text)
{
    text = trim(text);
    auto candidate = parseParts(text);
    if (!candidate)
        return inCandidate(candidate.error(), text);
    return candidate;
}

std::string printCandidate(const Candidate& candidate)
{
    std::string text = printScheme(candidate.weights);
    if (candidate.activations)
        text += "+a:" + printActivationScheme(*candidate.activations);
    if (candidate.quantizer != QuantizerSpec{})
        text += "@" + printQuantizerSpec(candidate.quantizer);
    return text;
}

Result<std::vector<Candidate>> parseCandidates(std::string_view text)
{
    std::vector<Candidate> candidates;
    std::size_t at = 0;
    constexpr std::string_view kSeparators = ", \t\r\n";
    while ((at = text.find_first_not_of(kSeparators, at)) != std::string_view::npos) {
        const auto end = std::min(text.find_first_of(kSeparators, at), text.size());
        QL_TRY(candidate, parseCandidate(text.substr(at, end - at)));
        if (std::find(candidates.begin(), candidates.end(), candidate) != candidates.end())
            return usageError("is given twice", "candidate '" + printCandidate(candidate) + "'");
        candidates.push_back(std::move(candidate));
        at = end;
    }
    if (candidates.empty())
        return usageError("no candidate is given; write e.g. int4:g128,int8:g128");
    return candidates;
}

} // namespace ql
