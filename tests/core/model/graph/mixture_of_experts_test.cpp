// SPDX-License-Identifier: GPL-3.0-or-later
// A mixture of experts as a graph: the sum over each token's experts, hooks that see an expert's tokens only, experts
// as layers of their own or stacked in one, and gradients through the router.
#include "core/base/rng.h"
#include "core/model/graph/run.h"
#include "tests/support/operator_cases.h"

#include <QTest>

using namespace ql;
using namespace ql::test;

namespace {

constexpr std::int64_t kTokens = 7, kWidth = 6, kInner = 5, kExperts = 4, kTopK = 2;
const char* const kRoles[] = {"gate", "up", "down"};

Shape shapeOf(std::size_t role)
{
    return role == 2 ? Shape{kWidth, kInner} : Shape{kInner, kWidth};
}

/// Layer 0 is the router; then three layers for each expert, or three stacks.
std::int64_t layerOf(bool stacked, std::int64_t expert, std::size_t role)
{
    return 1 + static_cast<std::int64_t>(role) + (stacked ? 0 : 3 * expert);
}

Graph mixture(bool stacked)
{
    GraphBuilder builder;
    const ValueId x = builder.input("x");
    const ValueId logits = builder.add("linear", "router", {x, builder.weights(0, "router")});
    const ValueId routing = builder.add("moe_route", "route", {logits}, {{"top_k", kTopK}});
    std::vector<ValueId> outputs{routing};
    for (std::int64_t e = 0; e < kExperts; ++e) {
        const ValueId own = builder.add("moe_dispatch", "dispatch", {x, routing}, {{"expert", e}});
        const auto linear = [&](std::size_t role, ValueId in) {
            return builder.add("linear", kRoles[role], {in, builder.weights(layerOf(stacked, e, role), kRoles[role])},
                               stacked ? Attributes{{"expert", e}} : Attributes());
        };
        const ValueId inner =
            builder.add("gated", "gated", {linear(0, own), linear(1, own)}, {{"function", std::string("silu")}});
        outputs.push_back(linear(2, inner));
    }
    return std::move(builder).finish({builder.add("moe_combine", "combine", outputs)});
}

Array<double> expertWeights(std::int64_t expert, std::size_t role)
{
    return arrayOf<double>(shapeOf(role),
                           reals(shapeOf(role), -1, 1, static_cast<std::uint64_t>(expert) * 3 + role).reals);
}

Values<double> weightsOf(const Graph& graph, bool stacked)
{
    Values<double> weights;
    for (std::size_t id = 0; id < graph.values.size(); ++id) {
        const std::int64_t layer = graph.values[id].layer;
        if (layer < 0)
            continue;
        Array<double>& array = weights[static_cast<ValueId>(id)].real;
        if (layer == 0) {
            array = arrayOf<double>({kExperts, kWidth}, reals({kExperts, kWidth}, -1, 1, 77).reals);
        } else if (!stacked) {
            array = expertWeights((layer - 1) / 3, static_cast<std::size_t>((layer - 1) % 3));
        } else {
            const auto role = static_cast<std::size_t>(layer - 1);
            array = Array<double>({kExperts, shapeOf(role)[0], shapeOf(role)[1]});
            double* to = array.write();
            for (std::int64_t e = 0; e < kExperts; ++e)
                to = std::copy_n(expertWeights(e, role).data(), kInner * kWidth, to);
        }
    }
    return weights;
}

Array<double> tokens()
{
    return arrayOf<double>({1, kTokens, kWidth}, reals({1, kTokens, kWidth}, -2, 2, 5).reals);
}

/// All values after a run that keeps them.
Values<double> run(const Graph& graph, const Values<double>& weights, const Array<double>& x, const JobContext& context,
                   const LayerInputHook<double>& hook = {})
{
    Values<double> values;
    values[graph.inputs[0]].real = x;
    const auto done =
        forward<double>(graph, graph.segments.front(), weights, values, context, {.layerInput = hook, .keepAll = true});
    return done ? values : Values<double>();
}

} // namespace

class MixtureOfExpertsTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void sumsTheChosenExperts()
    {
        Executor executor(2);
        const JobContext context(executor);
        const Graph graph = mixture(false);
        const Values<double> weights = weightsOf(graph, false);
        const Array<double> x = tokens();
        const Values<double> values = run(graph, weights, x, context);
        const Array<double>& y = values.at(graph.outputs[0]).real;
        QVERIFY((y.shape() == Shape{1, kTokens, kWidth}));
        const auto product = [](const Array<double>& w, const std::vector<double>& in) {
            std::vector<double> out;
            for (std::int64_t r = 0; r < w.shape()[0]; ++r) {
                double sum = 0;
                for (std::size_t c = 0; c < in.size(); ++c)
                    sum += w.data()[r * w.width() + static_cast<std::int64_t>(c)] * in[c];
                out.push_back(sum);
            }
            return out;
        };
        for (std::int64_t t = 0; t < kTokens; ++t) {
            const std::vector<double> in(x.data() + t * kWidth, x.data() + (t + 1) * kWidth);
            const std::vector<double> logits = product(weights.at(graph.nodes[0].inputs[1]).real, in);
            std::vector<std::size_t> order{0, 1, 2, 3};
            std::ranges::sort(order, [&](std::size_t a, std::size_t b) { return logits[a] > logits[b]; });
            const double total = std::exp(logits[order[0]]) + std::exp(logits[order[1]]);
            std::vector<double> expected(kWidth, 0.0);
            for (const std::size_t e : {order[0], order[1]}) {
                const auto expert = static_cast<std::int64_t>(e);
                std::vector<double> inner = product(expertWeights(expert, 0), in);
                const std::vector<double> up = product(expertWeights(expert, 1), in);
                for (std::size_t i = 0; i < inner.size(); ++i)
                    inner[i] *= up[i] / (1 + std::exp(-inner[i]));
                const std::vector<double> out = product(expertWeights(expert, 2), inner);
                for (std::size_t i = 0; i < out.size(); ++i)
                    expected[i] += std::exp(logits[e]) / total * out[i];
            }
            for (std::size_t i = 0; i < expected.size(); ++i)
                QVERIFY(std::fabs(y.data()[t * kWidth + static_cast<std::int64_t>(i)] - expected[i]) < 1e-12);
        }
    }

    void hooksSeeAnExpertsTokensOnly_data()
    {
        QTest::addColumn<bool>("stacked");
        QTest::newRow("a layer for each expert") << false;
        QTest::newRow("stacked in one layer") << true;
    }
    void hooksSeeAnExpertsTokensOnly()
    {
        QFETCH(bool, stacked);
        Executor executor(1);
        const JobContext context(executor);
        const Graph graph = mixture(stacked);
        std::map<std::pair<std::int64_t, std::int64_t>, std::int64_t> rows; // of (layer, expert)
        const Values<double> values =
            run(graph, weightsOf(graph, stacked), tokens(), context,
                [&](const Node& node, std::int64_t layer, Array<double>& input) -> Result<void> {
                    rows[{layer, node.integer("expert", -1)}] += input.rows();
                    return {};
                });
        const Array<double>& routing = values.at(graph.nodes[1].outputs[0]).real;
        std::int64_t all = 0;
        for (std::int64_t e = 0; e < kExperts; ++e) {
            std::int64_t chosen = 0;
            for (std::int64_t t = 0; t < kTokens; ++t)
                chosen += routing.data()[t * kExperts + e] != 0 ? 1 : 0;
            for (std::size_t role = 0; role < 3; ++role)
                QCOMPARE((rows.at({layerOf(stacked, e, role), stacked ? e : -1})), chosen);
            all += chosen;
        }
        QCOMPARE(all, kTokens * kTopK);
    }

    void stackedEqualsSeparate()
    {
        Executor executor(2);
        const JobContext context(executor);
        std::map<std::pair<std::int64_t, std::size_t>, std::vector<double>> gradients[2];
        std::vector<double> outputs[2];
        for (const bool stacked : {false, true}) {
            const Graph graph = mixture(stacked);
            const Values<double> weights = weightsOf(graph, stacked);
            const Values<double> values = run(graph, weights, tokens(), context);
            const Array<double>& y = values.at(graph.outputs[0]).real;
            outputs[stacked].assign(y.data(), y.data() + y.numel());
            Gradients<double> from{{graph.outputs[0], y}};
            const BackwardOptions<double> options{
                .wantsWeights = [](std::int64_t layer) { return layer > 0; },
                .weightGradient = [&](const Node& node, std::int64_t layer, Array<double> gradient) -> Result<void> {
                    const auto role = static_cast<std::size_t>((layer - 1) % 3);
                    const std::int64_t expert = stacked ? node.integer("expert", -1) : (layer - 1) / 3;
                    gradients[stacked][{expert, role}].assign(gradient.data(), gradient.data() + gradient.numel());
                    return {};
                },
                .outputGradient = {}};
            QVERIFY(backward<double>(graph, graph.segments.front(), weights, values, from, context, options));
        }
        QVERIFY(outputs[0] == outputs[1]);
        QCOMPARE(gradients[0].size(), std::size_t{3 * kExperts});
        QVERIFY(gradients[0] == gradients[1]);
    }

    void gradientsPassTheRouter()
    {
        Executor executor(1);
        const JobContext context(executor);
        const Graph graph = mixture(false);
        const Values<double> weights = weightsOf(graph, false);
        Array<double> x = tokens();
        const auto loss = [&] { // ½·Σ y²
            const Values<double> values = run(graph, weights, x, context);
            const Array<double>& y = values.at(graph.outputs[0]).real;
            double sum = 0;
            for (std::int64_t i = 0; i < y.numel(); ++i)
                sum += 0.5 * y.data()[i] * y.data()[i];
            return sum;
        };
        const Values<double> values = run(graph, weights, x, context);
        Gradients<double> gradients{{graph.outputs[0], values.at(graph.outputs[0]).real}};
        QVERIFY(backward<double>(graph, graph.segments.front(), weights, values, gradients, context));
        const Array<double> gradient = gradients.at(graph.inputs[0]);
        for (std::int64_t i = 0; i < x.numel(); ++i) {
            const double at = x.data()[i];
            constexpr double kStep = 6e-6;
            x.write()[i] = at + kStep;
            const double above = loss();
            x.write()[i] = at - kStep;
            const double below = loss();
            x.write()[i] = at;
            QVERIFY(std::fabs(gradient.data()[i] - (above - below) / (2 * kStep)) < 1e-7);
        }
    }
};

QTEST_APPLESS_MAIN(MixtureOfExpertsTest)
#include "mixture_of_experts_test.moc"
