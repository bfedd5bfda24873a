// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/model/evaluation/generate.h"

#include "core/model/graph/first_name.h"
#include "core/model/graph/vector_math.h"

#include <nlohmann/json.hpp>

#include <cmath>

namespace ql {

namespace {

using graph::Array;
using graph::Segment;
using graph::Values;

/// The rows of the last token of every sequence [batch, tokens, width].
Array<float> lastRows(const Array<float>& x)
{
    const std::int64_t batch = x.shape().front();
    Array<float> last({batch, 1, x.width()});
    for (std::int64_t b = 0; b < batch; ++b)
        std::copy_n(x.data() + ((b + 1) * x.shape()[1] - 1) * x.width(), x.width(), last.write() + b * x.width());
    return last;
}

/// A sequence on its way through the graph.
class Sequence {
public:
    Sequence(const GenerationTask& task, std::int64_t tokens, const JobContext& context)
        : m_task(task), m_context(context)
    {
        m_state.expected = tokens;
    }

    /// Weights that several segments use (tied embeddings) are there once.
    Result<void> keepWeights()
    {
        const Segment all{.name = "model", .begin = 0, .end = m_task.graph.nodes.size()};
        QL_TRY(weights, graph::loadWeights<float>(m_task.graph, all, *m_task.version.weights, m_context,
                                                  graph::WeightForm::stored));
        m_weights = std::move(weights);
        return {};
    }

    /// Logits [vocabulary] of the token behind these.
    Result<Array<float>> push(std::span<const std::int64_t> ids)
    {
        const graph::Graph& graph = m_task.graph;
        Values<float> values;
        Array<std::int64_t> tokens({1, std::ssize(ids)});
        std::ranges::copy(ids, tokens.write());
        values[graph.inputs.front()].integers = std::move(tokens);
        for (const Segment& segment : graph.segments) {
            const bool lastRowsOnly = &segment == &graph.segments.back() && segment.rowwise && values.size() == 1;
            if (lastRowsOnly)
                for (auto& [id, value] : values)
                    value.real = lastRows(value.real);
            QL_CHECK(run(segment, m_state.position == 0 && !lastRowsOnly, values));
        }
        m_state.position += std::ssize(ids);
        const Array<float> logits = lastRows(values.at(graph.outputs.front()).real);
        return logits.reshaped({logits.width()});
    }

private:
    Result<void> run(const Segment& segment, bool beginsText, Values<float>& values)
    {
        const auto options = m_task.version.options(beginsText, &m_state);
        if (m_weights)
            return graph::forward(m_task.graph, segment, *m_weights, values, m_context, options);
        QL_TRY(weights, graph::loadWeights<float>(m_task.graph, segment, *m_task.version.weights, m_context,
                                                  graph::WeightForm::stored));
        return graph::forward(m_task.graph, segment, weights, values, m_context, options);
    }

    const GenerationTask& m_task;
    const JobContext& m_context;
    std::optional<Values<float>> m_weights;
    graph::SequenceState<float> m_state;
};

/// The token the logits lead to, without its text.
Result<GeneratedToken> choose(const Array<float>& logits, const Sampling& sampling, std::size_t index)
{
    const std::span<const float> all(logits.data(), static_cast<std::size_t>(logits.numel()));
    const double sum = graph::logSumExp(all.data(), logits.numel());
    if (!std::isfinite(sum))
        return badInput("the logits of new token " + std::to_string(index + 1) + " are not finite");
    GeneratedToken token;
    token.id = sampleToken(all, sampling, index);
    token.logProbability = static_cast<double>(all[static_cast<std::size_t>(token.id)]) - sum;
    return token;
}

} // namespace

bool isCausalLanguageModel(const graph::Graph& graph)
{
    return firstName(graph, graph.inputs) == "tokens" && firstName(graph, graph.outputs) == "logits" &&
           std::ranges::all_of(graph.nodes, [](const graph::Node& node) {
               return node.op->id != "attention" || node.integer("causal", 0) != 0;
           });
}

TextReader textReaderOf(const graph::Graph& graph)
{
    return isCausalLanguageModel(graph) ? TextReader::languageModel : TextReader::encoder;
}

std::string_view word(GenerationEnd end)
{
    switch (end) {
    case GenerationEnd::endToken:
        return "end token";
    case GenerationEnd::tokenLimit:
        return "token limit";
    case GenerationEnd::contextFull:
        return "context full";
    }
    return {};
}

std::string Generation::text() const
{
    std::string text;
    for (const GeneratedToken& token : tokens)
        text += token.text;
    return text;
}

GenerationCost generationCost(const GenerationTask& task)
{
    GenerationCost cost;
    const Model& model = task.model;
    std::vector<bool> counted(model.layers.size());
    for (std::size_t s = 0; s < task.graph.segments.size(); ++s) {
        std::int64_t segmentBytes = 0;
        for (const std::int64_t layer : task.graph.layersOf(s)) {
            const auto index = static_cast<std::size_t>(layer);
            const std::int64_t bytes = model.layers[index].numel() * std::int64_t{sizeof(float)};
            segmentBytes += bytes;
            cost.weightBytes += counted[index] ? 0 : bytes;
            counted[index] = true;
        }
        cost.segmentBytes = std::max(cost.segmentBytes, segmentBytes);
    }
    const double width =
        model.configNumber("num_key_value_heads").value_or(0) * model.configNumber("head_dim").value_or(0);
    const std::int64_t bytesPerToken = 2 * static_cast<std::int64_t>(width) * std::int64_t{sizeof(float)};
    for (const graph::Node& node : task.graph.nodes)
        if (node.op->id == "attention")
            cost.stateBytes += (std::ssize(task.prompt) + task.tokens) * bytesPerToken;
    return cost;
}

Result<void> checkGeneration(const GenerationTask& task)
{
    constexpr std::int64_t kMostTokens = std::int64_t{1} << 31;
    if (!isCausalLanguageModel(task.graph))
        return refused("is no causal language model, so it continues no text; `run` shows what it computes",
                       task.model.checkpoint->path().string());
    if (task.prompt.empty())
        return usageError("the prompt has no tokens; give some text");
    if (task.tokens < 1 || task.tokens > kMostTokens)
        return usageError("give 1 to " + std::to_string(kMostTokens) + " tokens to generate");
    if (task.contextLength > 0 && std::ssize(task.prompt) >= task.contextLength)
        return usageError("the prompt has " + std::to_string(task.prompt.size()) + " tokens and the model takes " +
                          std::to_string(task.contextLength) + "; give a shorter one");
    return checkSampling(task.sampling);
}

Result<Generation> generate(const GenerationTask& task, const JobContext& context)
{
    QL_CHECK(checkGeneration(task));
    const GenerationCost cost = generationCost(task);
    const std::int64_t room = task.contextLength > 0 ? task.contextLength - std::ssize(task.prompt) : task.tokens;
    const std::int64_t limit = std::min(task.tokens, room);
    context.progress().addTotal(limit + 1);
    Sequence sequence(task, std::ssize(task.prompt) + limit, context);
    if (context.checkMemory(cost.weightBytes + cost.stateBytes, "keeping decoded weights"))
        QL_CHECK(sequence.keepWeights());
    context.progress().addDone(1);
    std::optional<TextStream> stream;
    if (task.tokenizer) {
        stream.emplace(task.tokenizer, true);
        for (const std::int64_t id : task.prompt) // what a text is depends on what stands before it
            stream->push(id);
    }
    Generation generation;
    QL_TRY(logits, sequence.push(task.prompt));
    for (bool ends = false; !ends;) {
        QL_TRY(token, choose(logits, task.sampling, generation.tokens.size()));
        const bool isEnd = std::ranges::find(task.endIds, token.id) != task.endIds.end();
        ends = isEnd || std::ssize(generation.tokens) + 1 == limit;
        if (ends)
            generation.end = isEnd                 ? GenerationEnd::endToken
                             : limit < task.tokens ? GenerationEnd::contextFull
                                                   : GenerationEnd::tokenLimit;
        if (stream)
            token.text = stream->push(token.id) + (ends ? stream->finish() : "");
        generation.tokens.push_back(std::move(token));
        if (task.onToken)
            QL_CHECK(task.onToken(generation.tokens.back()));
        context.progress().addDone(1);
        if (!ends) {
            QL_TRY(next, sequence.push({&generation.tokens.back().id, 1}));
            logits = std::move(next);
        }
    }
    return generation;
}

Result<Encoded> encodePrompt(const Tokenizer& tokenizer, std::string_view text, const JobContext& context)
{
    QL_TRY(encoded, tokenizer.encode(text, {}, context));
    const auto prefix = tokenizer.prefixIds();
    encoded.ids.insert(encoded.ids.begin(), prefix.begin(), prefix.end());
    return encoded;
}

std::vector<std::int64_t> endIdsOf(const Checkpoint& checkpoint, const Tokenizer& tokenizer)
{
    std::vector<std::int64_t> ids;
    if (const auto eos = tokenizer.eosId())
        ids.push_back(*eos);
    const auto config = nlohmann::json::parse(checkpoint.configJson(), nullptr, false);
    const auto named = config.is_object() ? config.value("eos_token_id", nlohmann::json()) : nlohmann::json();
    for (const auto& id : named.is_array() ? named : nlohmann::json::array({named}))
        if (id.is_number_integer())
            ids.push_back(id.get<std::int64_t>());
    return ids;
}

} // namespace ql
