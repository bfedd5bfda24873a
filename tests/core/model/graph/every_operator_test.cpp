// SPDX-License-Identifier: GPL-3.0-or-later
// Walks every operator over its cases: PyTorch's results and gradients, float against double, gradients against central
// differences, equal bits for any number of threads, sequences token by token, refusals. Prints a table of the gradient
// checks.
#include "tests/support/operator_case_list.h"
#include "tests/support/operator_goldens.h"

#include <QTest>

#include <cstring>
#include <set>

using namespace ql;
using namespace ql::test;

namespace {

const JobContext& oneThread()
{
    static Executor executor(1);
    static const JobContext context(executor);
    return context;
}

const std::vector<OperatorCase>& allCases()
{
    static const std::vector<OperatorCase> cases = [] {
        std::vector<OperatorCase> all = writtenCases();
        for (OperatorCase& c : goldenCases(oneThread()))
            all.push_back(std::move(c));
        return all;
    }();
    return cases;
}

template<typename T>
double largest(const Array<T>& array)
{
    double most = 0;
    for (std::int64_t i = 0; i < array.numel(); ++i)
        if (std::isfinite(array.data()[i]))
            most = std::max(most, std::fabs(static_cast<double>(array.data()[i])));
    return most;
}

/// Largest difference; equal infinities do not differ.
template<typename T, typename U>
double distance(const T* a, const U* b, std::int64_t n)
{
    double most = 0;
    for (std::int64_t i = 0; i < n; ++i) {
        const auto x = static_cast<double>(a[i]);
        const auto y = static_cast<double>(b[i]);
        if (!(x == y))
            most = std::isnan(x) || std::isnan(y) ? HUGE_VAL : std::max(most, std::fabs(x - y));
    }
    return most;
}

/// What rounding to float may cost: every element is made of at most n products and sums of float precision (sums run
/// in double or in blocks, so their errors grow like √n), and of functions within 4 ulps.
double floatTolerance(const OperatorCase& c, double magnitude)
{
    std::int64_t n = 1;
    for (const CaseInput& input : c.inputs)
        for (const std::int64_t dimension : input.shape)
            n = std::max(n, dimension);
    return 0x1p-23 * (4 + 2 * std::sqrt(static_cast<double>(n))) * magnitude + 1e-37;
}

/// Inputs as floats have them.
std::vector<CaseInput> rounded(std::vector<CaseInput> inputs)
{
    for (CaseInput& input : inputs)
        for (double& x : input.reals)
            x = static_cast<double>(static_cast<float>(x));
    return inputs;
}

template<typename T>
Array<T> weightsOf(const Value<T>& output)
{
    return arrayOf<T>(output.real.shape(), reals(output.real.shape(), -1, 1, 99).reals);
}

bool isDifferentiable(const OperatorCase& c)
{
    return findOperator(c.op)->gradientDouble != nullptr && std::ranges::any_of(c.inputs, [](const CaseInput& input) {
               return input.differentiable && !input.reals.empty() && input.integers.empty();
           });
}

template<typename T>
bool sameBits(const Array<T>& a, const Array<T>& b)
{
    return a.shape() == b.shape() &&
           (a.numel() == 0 || std::memcmp(a.data(), b.data(), static_cast<std::size_t>(a.numel()) * sizeof(T)) == 0);
}

/// Output and gradients on that pool.
template<typename T>
std::vector<Array<T>> everything(const OperatorCase& c, const JobContext& context, Array<std::int64_t>& integersOut)
{
    const Node node = nodeOf(c);
    const CaseValues<T> inputs(c.inputs);
    Value<T> output = runForward<T>(node, inputs, context).value();
    integersOut = output.integers;
    std::vector<Array<T>> all{output.real};
    if (isDifferentiable(c)) {
        auto gradients = runGradient<T>(node, inputs, output, weightsOf(output), context).value();
        for (Array<T>& gradient : gradients)
            all.push_back(std::move(gradient));
    }
    return all;
}

struct GradientCheck {
    int cases = 0;
    double worst = 0; // |gradient − difference quotient| over the largest gradient of that input
};
std::map<std::string, GradientCheck>& gradientChecks()
{
    static std::map<std::string, GradientCheck> checks;
    return checks;
}

} // namespace

class EveryOperatorTest : public QObject {
    Q_OBJECT
private:
    template<typename Keep>
    static void rows(const Keep& keep)
    {
        QTest::addColumn<int>("index");
        int rows = 0;
        for (std::size_t i = 0; i < allCases().size(); ++i)
            if (keep(allCases()[i])) {
                QTest::addRow("%s #%zu", allCases()[i].name.c_str(), i) << static_cast<int>(i);
                ++rows;
            }
        QVERIFY(rows > 0);
    }
    static const OperatorCase& current()
    {
        QFETCH(int, index);
        return allCases()[static_cast<std::size_t>(index)];
    }

private Q_SLOTS:
    void everyOperatorHasCases()
    {
        std::set<std::string> cased;
        std::set<std::string> refusing;
        for (const OperatorCase& c : allCases()) {
            QVERIFY2(findOperator(c.op), c.op.c_str());
            cased.insert(c.op);
        }
        for (const Refusal& refusal : refusals())
            refusing.insert(refusal.op);
        for (const char* op : {"shape_of"}) // takes any array
            QVERIFY(refusing.insert(op).second);
        for (const Operator* op : allOperators()) {
            QVERIFY2(cased.contains(std::string(op->id)), op->id.data());
            QVERIFY2(refusing.contains(std::string(op->id)), op->id.data());
            QVERIFY2(!op->title.empty(), op->id.data());
        }
    }

    void equalsPyTorch_data()
    {
        rows([](const OperatorCase& c) { return c.golden.has_value(); });
    }
    void equalsPyTorch()
    {
        const OperatorCase& c = current();
        const Node node = nodeOf(c);
        const CaseValues<double> inputs(c.inputs);
        const auto output = runForward<double>(node, inputs, oneThread());
        QVERIFY2(output, output ? "" : describe(output.error()).c_str());
        QCOMPARE(static_cast<std::size_t>(output->real.numel()), c.golden->output.size());
        QVERIFY(distance(output->real.data(), c.golden->output.data(), output->real.numel()) <=
                1e-12 * (1 + largest(output->real)));
        const auto gradients = runGradient<double>(
            node, inputs, *output, arrayOf<double>(output->real.shape(), c.golden->outputGradient), oneThread());
        QVERIFY2(gradients, gradients ? "" : describe(gradients.error()).c_str());
        for (std::size_t i = 0; i < c.inputs.size(); ++i)
            if (const auto& golden = c.golden->inputGradients[i]; !golden.empty()) {
                const Array<double>& gradient = (*gradients)[i];
                QCOMPARE(static_cast<std::size_t>(gradient.numel()), golden.size());
                QVERIFY(distance(gradient.data(), golden.data(), gradient.numel()) <= 1e-11 * (1 + largest(gradient)));
            }
    }

    void floatFollowsDouble_data()
    {
        rows([](const OperatorCase&) { return true; });
    }
    void floatFollowsDouble()
    {
        OperatorCase c = current();
        c.inputs = rounded(c.inputs);
        const Node node = nodeOf(c);
        const CaseValues<double> inputs(c.inputs);
        const CaseValues<float> floatInputs(c.inputs);
        const auto output = runForward<double>(node, inputs, oneThread());
        const auto floatOutput = runForward<float>(node, floatInputs, oneThread());
        QVERIFY2(output, output ? "" : describe(output.error()).c_str());
        QVERIFY2(floatOutput, floatOutput ? "" : describe(floatOutput.error()).c_str());
        QVERIFY(output->shape() == floatOutput->shape());
        QVERIFY(static_cast<bool>(output->real) != static_cast<bool>(output->integers));
        if (output->integers) {
            QVERIFY(sameBits(output->integers, floatOutput->integers));
            return;
        }
        const double error = distance(output->real.data(), floatOutput->real.data(), output->real.numel());
        const double tolerance = floatTolerance(c, largest(output->real));
        QVERIFY2(error <= tolerance, qPrintable(QStringLiteral("%1 > %2").arg(error).arg(tolerance)));
        if (!isDifferentiable(c))
            return;
        const auto gradients = runGradient<double>(node, inputs, *output, weightsOf(*output), oneThread());
        const auto floatGradients =
            runGradient<float>(node, floatInputs, *floatOutput, weightsOf(*floatOutput), oneThread());
        QVERIFY(gradients && floatGradients);
        double magnitude = 0; // of all: what cancels in one input is large in another
        for (const Array<double>& gradient : *gradients)
            magnitude = std::max(magnitude, largest(gradient));
        for (std::size_t i = 0; i < gradients->size(); ++i) {
            const Array<double>& gradient = (*gradients)[i];
            const double off = distance(gradient.data(), (*floatGradients)[i].data(), gradient.numel());
            QVERIFY2(off <= floatTolerance(c, magnitude),
                     qPrintable(QStringLiteral("input %1: %2 > %3").arg(i).arg(off).arg(floatTolerance(c, magnitude))));
        }
    }

    /// (L(x + h) − L(x − h)) / 2h of L = Σ weight·output with h = ∛(ε·max(1, |x|)): what x loses by rounding (ε·|x| /
    /// h) and the third derivative (h²) cost as much. Tolerance 1e-7 of the largest gradient.
    void gradientsAreDifferenceQuotients_data()
    {
        rows([](const OperatorCase& c) { return !c.large && isDifferentiable(c); });
    }
    void gradientsAreDifferenceQuotients()
    {
        const OperatorCase& c = current();
        const Node node = nodeOf(c);
        CaseValues<double> inputs(c.inputs);
        const Value<double> output = runForward<double>(node, inputs, oneThread()).value();
        const Array<double> weights = weightsOf(output);
        const auto gradients = runGradient<double>(node, inputs, output, weights, oneThread()).value();
        GradientCheck& check = gradientChecks()[c.op];
        ++check.cases;
        for (std::size_t i = 0; i < c.inputs.size(); ++i) {
            Array<double>& x = inputs.values[i].real;
            if (!x || !c.inputs[i].differentiable)
                continue;
            // Of stacked weights the gradient is that of one expert.
            const std::int64_t offset = node.integer("expert", 0) * gradients[i].numel();
            const bool isPart = gradients[i].numel() != x.numel();
            const double scale = std::max(1e-3, largest(gradients[i]));
            for (std::int64_t e = 0; e < x.numel(); ++e) {
                const double at = x.data()[e];
                const double h = std::cbrt(0x1p-52 * std::max(1.0, std::fabs(at)));
                const double ends[2] = {at - h, at + h};
                double loss[2] = {};
                for (const int side : {0, 1}) {
                    x.write()[e] = ends[side];
                    const Value<double> moved = runForward<double>(node, inputs, oneThread()).value();
                    for (std::int64_t o = 0; o < weights.numel(); ++o)
                        loss[side] += weights.data()[o] * (moved.real.data()[o] - output.real.data()[o]);
                }
                x.write()[e] = at;
                const std::int64_t own = isPart ? e - offset : e;
                const double gradient = own >= 0 && own < gradients[i].numel() ? gradients[i].data()[own] : 0;
                const double quotient = (loss[1] - loss[0]) / (ends[1] - ends[0]);
                const double deviation = std::fabs(gradient - quotient) / scale;
                check.worst = std::max(check.worst, deviation);
                QVERIFY2(deviation <= 1e-7, qPrintable(QStringLiteral("input %1, element %2: %3, quotient %4")
                                                           .arg(i)
                                                           .arg(e)
                                                           .arg(gradient)
                                                           .arg(quotient)));
            }
        }
    }

    void equalBitsForAnyThreads_data()
    {
        rows([](const OperatorCase&) { return true; });
    }
    void equalBitsForAnyThreads()
    {
        const OperatorCase& c = current();
        Array<std::int64_t> expectedIntegers;
        Array<std::int64_t> actualIntegers;
        const auto expected = everything<float>(c, oneThread(), expectedIntegers);
        const auto expectedDouble = everything<double>(c, oneThread(), expectedIntegers);
        for (const auto backend : {Executor::Backend::tbb, Executor::Backend::threads})
            for (const int threads : {1, 2, 3}) {
                Executor executor(threads, backend);
                const JobContext context(executor);
                const auto actual = everything<float>(c, context, actualIntegers);
                QVERIFY(sameBits(actualIntegers, expectedIntegers));
                for (std::size_t i = 0; i < expected.size(); ++i)
                    QVERIFY(sameBits(actual[i], expected[i]));
                const auto actualDouble = everything<double>(c, context, actualIntegers);
                for (std::size_t i = 0; i < expected.size(); ++i)
                    QVERIFY(sameBits(actualDouble[i], expectedDouble[i]));
            }
    }

    void sequencesContinue_data()
    {
        rows([](const OperatorCase& c) { return !c.sequence.empty(); });
    }
    void sequencesContinue()
    {
        const OperatorCase& c = current();
        const Node node = nodeOf(c);
        const Value<double> whole = runForward<double>(node, CaseValues<double>(c.inputs), oneThread()).value();
        const std::int64_t tokens = c.inputs[c.sequence.front()].shape[1];
        SequenceState<double> state;
        for (const std::int64_t end : {std::int64_t{1}, std::int64_t{3}, tokens}) {
            const std::int64_t begin = state.position;
            CaseValues<double> part(c.inputs);
            for (const std::size_t i : c.sequence) {
                const OperatorCase slice{
                    .op = "slice",
                    .name = "slice",
                    .attributes = {{"starts", Ints{begin}}, {"ends", Ints{end}}, {"axes", Ints{1}}},
                    .inputs = {c.inputs[i]},
                    .sequence = {},
                    .golden = {}};
                part.values[i] =
                    runForward<double>(nodeOf(slice), CaseValues<double>(slice.inputs), oneThread()).value();
            }
            const auto output = runForward<double>(node, part, oneThread(), &state);
            QVERIFY2(output, output ? "" : describe(output.error()).c_str());
            const Shape& shape = output->shape();
            QCOMPARE(shape[1], end - begin);
            const std::int64_t row = numel(shape) / shape[0] / shape[1];
            for (std::int64_t b = 0; b < shape[0]; ++b)
                for (std::int64_t i = 0; i < (end - begin) * row; ++i) {
                    const std::int64_t at = (b * tokens + begin) * row + i;
                    const std::int64_t from = b * (end - begin) * row + i;
                    if (whole.integers)
                        QCOMPARE(output->integers.data()[from], whole.integers.data()[at]);
                    else
                        QVERIFY(std::fabs(output->real.data()[from] - whole.real.data()[at]) <=
                                1e-13 * (1 + largest(whole.real)));
                }
            state.position = end;
        }
    }

    void wrongCallsAreRefused()
    {
        for (const Refusal& refusal : refusals()) {
            const OperatorCase c{.op = refusal.op,
                                 .name = refusal.op,
                                 .attributes = refusal.attributes,
                                 .inputs = refusal.inputs,
                                 .sequence = {},
                                 .golden = {}};
            const auto output = runForward<float>(nodeOf(c), CaseValues<float>(c.inputs), oneThread());
            QVERIFY2(!output, (refusal.op + ": " + refusal.says).c_str());
            QVERIFY2(output.error().what.find(refusal.says) != std::string::npos, describe(output.error()).c_str());
            QCOMPARE(output.error().where, "test." + refusal.op + " (" + refusal.op + ")");
        }
        for (const Operator* op : allOperators()) {
            const OperatorCase c{
                .op = std::string(op->id), .name = "x", .attributes = {}, .inputs = {}, .sequence = {}, .golden = {}};
            const auto output = runForward<float>(nodeOf(c), CaseValues<float>(c.inputs), oneThread());
            QVERIFY2(!output && output.error().what == "lacks input 0", op->id.data());
        }
    }

    void cleanupTestCase()
    {
        qInfo("gradient check: operator, cases, largest deviation from central differences, relative");
        for (const auto& [op, check] : gradientChecks())
            qInfo("%-16s %3d  %.1e", op.c_str(), check.cases, check.worst);
    }
};

QTEST_APPLESS_MAIN(EveryOperatorTest)
#include "every_operator_test.moc"
