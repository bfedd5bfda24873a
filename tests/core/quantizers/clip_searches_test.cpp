// SPDX-License-Identifier: GPL-3.0-or-later
// Searches with objectives of their own, each beside the obvious way to the same figure.
#include "core/formats/element_coder.h"
#include "core/quantizers/scale_candidates.h"
#include "tests/support/acceptance.h"
#include "tests/support/layer_inputs.h"
#include "tests/support/quantize_support.h"

#include <algorithm>
#include <cmath>

using namespace ql;
using namespace ql::tests;

namespace {

struct Searched {
    QuantizedTensor tensor;
    QuantizerReport report;
};

Searched runSearch(const std::vector<float>& w, Shape shape, const std::string& scheme, const std::string& spec,
                   const ActivationStatistics* inputs = nullptr)
{
    Searched found;
    auto result = quantize({.weights = viewOf(w, std::move(shape)),
                            .scheme = parseScheme(scheme).value(),
                            .spec = parseQuantizerSpec(spec).value(),
                            .inputs = inputs,
                            .report = &found.report},
                           JobContext(sharedExecutor()));
    if (!result)
        qFatal("%s@%s: %s", scheme.c_str(), spec.c_str(), describe(result.error()).c_str());
    found.tensor = std::move(result).value();
    return found;
}

double powerOfErrors(const std::vector<float>& w, const std::vector<float>& restored, double p)
{
    double sum = 0;
    for (std::size_t i = 0; i < w.size(); ++i)
        sum += std::pow(std::fabs(static_cast<double>(w[i]) - static_cast<double>(restored[i])), p);
    return sum;
}

/// The least loss of one run among rtn's scale and the candidates, one after the other.
template<typename Loss>
double leastLoss(const std::vector<float>& w, const std::string& text, std::int64_t steps, const Loss& loss)
{
    const Scheme scheme = parseScheme(text).value();
    const ScaleRule rule(scheme, RangeRule::standard, Dtype::f32, 1);
    const ElementCoder coder(scheme);
    const RunRange range = rangeOfRun(w.data(), std::ssize(w));
    std::vector<RunParameters> tried{rule.choose(range)};
    const Candidates candidates = scaleCandidates(scheme, steps);
    tried.resize(static_cast<std::size_t>(candidates.count) + 1);
    candidates.fill(range, rule, tried.front(), 0, std::span(tried).subspan(1));
    double least = std::numeric_limits<double>::infinity();
    for (const RunParameters& parameters : tried) {
        std::vector<std::uint8_t> codes(w.size());
        std::vector<float> restored(w.size());
        encodeRun(coder, rule.affine(parameters), w.data(), std::ssize(w), codes.data());
        decodeRun(coder, rule.affine(parameters), codes.data(), std::ssize(w), restored.data());
        least = std::min(least, loss(restored));
    }
    return least;
}

} // namespace

class ClipSearchesTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void lpIsTheLeastOfItsCandidates()
    {
        const std::vector<float> w = normalSamples(300, 4);
        for (const char* scheme : {"int3", "int4:asym", "e2m1", "nf4", "int4:tensor", "mxint4:channel"}) {
            if (!parseScheme(scheme))
                continue;
            for (const double p : {0.5, 1.0, 2.4, 4.0}) {
                const Searched found = runSearch(w, {1, 300}, scheme, "lp:steps=40:p=" + std::to_string(p));
                const double reached = powerOfErrors(w, restored(found.tensor), p);
                const double least = leastLoss(
                    w, scheme, 40, [&](const std::vector<float>& values) { return powerOfErrors(w, values, p); });
                QVERIFY(std::fabs(reached - least) <= 1e-12 * least);
                QVERIFY(std::fabs(found.report.reached - reached) <= 1e-9 * reached);
                const double rtn = powerOfErrors(w, restored(quantized(viewOf(w, {1, 300}), scheme)), p);
                QVERIFY(std::fabs(found.report.rtn - rtn) <= 1e-9 * rtn);
            }
        }
        // p = 2 is what mse does.
        QVERIFY(
            sameBits(runSearch(w, {3, 100}, "int3", "lp:p=2").tensor, runSearch(w, {3, 100}, "int3", "mse").tensor));
    }

    void percentileIsTheRank()
    {
        std::vector<float> w(1001);
        for (std::size_t i = 0; i < w.size(); ++i)
            w[i] = static_cast<float>((i * 10) % 1001) * (i % 2 == 0 ? 1.0F : -1.0F);
        // |w| are 0…1000: the 99th percentile is 990.
        QCOMPARE(runSearch(w, {1, 1001}, "int8", "percentile:p=99").tensor.scales.front(), 990.0F / 127);
        QCOMPARE(runSearch(w, {1, 1001}, "int8", "percentile:p=100").tensor.scales.front(), 1000.0F / 127);
        std::vector<float> sorted = w;
        std::ranges::sort(sorted);
        const Searched asym = runSearch(w, {1, 1001}, "int8:asym", "percentile:p=90");
        QCOMPARE(asym.tensor.scales.front(), (sorted[900] - sorted[100]) / 255);
    }

    void entropyIsTheLeastDivergence()
    {
        const std::vector<float> w = normalSamples(20000, 6, 1);
        const float most = std::fabs(*std::ranges::max_element(w, {}, [](float x) { return std::fabs(x); }));
        const Searched found = runSearch(w, {1, 20000}, "int8", "entropy");
        std::vector<double> counts(2048);
        for (const float x : w)
            counts[std::min<std::size_t>(2047, static_cast<std::size_t>(std::fabs(x) / most * 2048))] += 1;
        double least = std::numeric_limits<double>::infinity();
        std::size_t best = 0;
        const auto divergence = [&](std::size_t bins) {
            std::vector<double> p(counts.begin(), counts.begin() + static_cast<std::ptrdiff_t>(bins));
            for (std::size_t i = bins; i < 2048; ++i)
                p.back() += counts[i];
            std::vector<double> q(bins);
            for (std::size_t level = 0; level < 128; ++level) {
                double sum = 0;
                double filled = 0;
                for (std::size_t i = level * bins / 128; i < (level + 1) * bins / 128; ++i) {
                    sum += counts[i];
                    filled += counts[i] > 0 ? 1 : 0;
                }
                for (std::size_t i = level * bins / 128; i < (level + 1) * bins / 128; ++i)
                    q[i] = counts[i] > 0 ? sum / filled : 0;
            }
            double sumP = 0;
            double sumQ = 0;
            for (std::size_t i = 0; i < bins; ++i) {
                sumP += p[i];
                sumQ += q[i];
            }
            double sum = 0;
            for (std::size_t i = 0; i < bins; ++i)
                if (p[i] > 0)
                    sum += q[i] > 0 ? p[i] / sumP * std::log(p[i] / sumP / (q[i] / sumQ))
                                    : std::numeric_limits<double>::infinity();
            return sum;
        };
        for (std::size_t bins = 128; bins < 2048 + 16; bins += 16)
            if (const double lost = divergence(std::min<std::size_t>(bins, 2048)); lost < least) {
                least = lost;
                best = std::min<std::size_t>(bins, 2048);
            }
        QVERIFY(best < 2048); // the samples have outliers: they are clipped
        QVERIFY(std::fabs(found.report.reached - least) <= 1e-9);
        QVERIFY(std::fabs(found.report.rtn - divergence(2048)) <= 1e-9);
        QCOMPARE(found.tensor.scales.front(), most * (static_cast<float>(best) / 2048) / 127);
    }

    void hqqLowersItsNorm()
    {
        const std::vector<float> w = normalSamples(64 * 256, 8);
        for (const char* scheme : {"int4:g64:asym", "int2:g64:min", "int3:g32:min:s=f16", "int3:asym"}) {
            const Searched found = runSearch(w, {64, 256}, scheme, "hqq");
            const double reached = powerOfErrors(w, restored(found.tensor), 0.7);
            const double rtn = powerOfErrors(w, restored(quantized(viewOf(w, {64, 256}), scheme)), 0.7);
            QVERIFY(std::fabs(found.report.reached - reached) <= 1e-9 * reached);
            QVERIFY(std::fabs(found.report.rtn - rtn) <= 1e-9 * rtn);
            QVERIFY2(reached <= rtn, scheme);
        }
        // A float zero point is found that the integer one cannot be.
        QVERIFY(runSearch(w, {64, 256}, "int2:g64:min", "hqq").report.reached <
                0.97 * runSearch(w, {64, 256}, "int2:g64:min", "hqq").report.rtn);
    }

    void importanceIsWhatCounts()
    {
        const std::int64_t cols = 96;
        std::vector<float> x = correlatedInputs(400, cols);
        for (std::size_t i = 0; i < x.size(); ++i)
            x[i] *= i % 11 == 0 ? 6.0F : 1.0F;
        const ActivationStatistics inputs = statisticsOf(x, cols);
        const std::vector<float> w = normalSamples(40 * cols, 12);
        const auto weighted = [&](const QuantizedTensor& tensor) {
            const std::vector<float> values = restored(tensor);
            double sum = 0;
            for (std::size_t i = 0; i < w.size(); ++i) {
                const double rms = inputs.channelRms[i % static_cast<std::size_t>(cols)];
                sum += rms * rms * std::pow(static_cast<double>(w[i]) - static_cast<double>(values[i]), 2);
            }
            return sum;
        };
        for (const char* scheme :
             {"int4:g32", "int3", "e2m1:g16:s=f16", "nf4:g32", "int4:g32:asym", "int3:g32:min", "mxfp4", "nvfp4"}) {
            const Searched found = runSearch(w, {40, cols}, scheme, "imatrix", &inputs);
            const double reached = weighted(found.tensor);
            QVERIFY(std::fabs(found.report.reached - reached) <= 1e-5 * reached);
            QVERIFY2(reached < weighted(quantized(viewOf(w, {40, cols}), scheme)), scheme);
            QVERIFY2(reached < weighted(runSearch(w, {40, cols}, scheme, "mse:steps=40").tensor), scheme);
        }
    }

    /// Methods C4: at 2 and 3 bits rtn > GPTQ on ranges > GPTQ on searched scales > decoupleQ, which is at most 0.92 of
    /// the one before it.
    void decoupleqOrder()
    {
        for (const int bits : {2, 3, 4}) {
            double worst = 0;
            bool isOrdered = true;
            for (std::uint64_t seed = 1; seed <= 10; ++seed) {
                const ActivationStatistics inputs = statisticsOf(correlatedInputs(2048, 128, 32, 0.3, seed), 128);
                const CounterRng rng(seed, 9);
                std::vector<float> w(64 * 128);
                for (std::size_t i = 0; i < w.size(); ++i)
                    w[i] = static_cast<float>(rng.normal(i));
                const std::string scheme = "int" + std::to_string(bits) + ":min";
                const auto error = [&](const char* spec) {
                    return outputError(w, restored(runSearch(w, {64, 128}, scheme, spec, &inputs).tensor), inputs);
                };
                const double rtn = error("rtn");
                const double ranges = error("gptq:scales=range");
                const double searched = error("gptq");
                const double decoupled = error("decoupleq");
                isOrdered = isOrdered && rtn > ranges && (bits == 4 || ranges > searched) && searched > decoupled;
                worst = std::max(worst, decoupled / searched);
                QVERIFY(std::fabs(runSearch(w, {64, 128}, scheme, "decoupleq", &inputs).report.reached - decoupled) <=
                        1e-3 * decoupled);
            }
            const std::string name = std::to_string(bits) + " bits, 10 seeds: ";
            QL_HOLDS("C4",
                     name + (bits == 4 ? "rtn > gptq > decoupleq in output error"
                                       : "rtn > gptq on ranges > gptq on searched scales > decoupleq in output error"),
                     isOrdered);
            QL_AT_MOST("C4", name + "output error of decoupleq over gptq's, worst seed", worst,
                       bits == 4 ? 0.93 : 0.92);
        }
    }

    /// Scales for codes and codes for scales: every step lowers the loss or changes nothing.
    void decoupleqNeverRises()
    {
        const ActivationStatistics inputs = statisticsOf(correlatedInputs(1024, 128, 32, 0.3, 3), 128);
        const std::vector<float> w = normalSamples(48 * 128, 31, 1);
        for (const char* scheme : {"int2:min", "int3:g64", "int3:g32:asym"}) {
            std::vector<double> losses;
            for (int iterations = 0; iterations <= 6; ++iterations)
                losses.push_back(
                    runSearch(w, {48, 128}, scheme, "decoupleq:iterations=" + std::to_string(iterations), &inputs)
                        .report.reached);
            QL_HOLDS("C4", std::string(scheme) + "@decoupleq: the loss does not rise over 0 to 6 iterations",
                     std::ranges::is_sorted(losses, std::greater<>()));
            QVERIFY(losses.back() < losses.front());
        }
    }

    void refusals_data()
    {
        QTest::addColumn<QByteArray>("scheme");
        QTest::addColumn<QByteArray>("spec");
        const auto row = [](const char* scheme, const char* spec) {
            QTest::addRow("%s@%s", scheme, spec) << QByteArray(scheme) << QByteArray(spec);
        };
        row("int4:g64", "hqq");
        row("gguf:q4_k", "hqq");
        row("gguf:q4_k", "lp");
        row("gguf:q4_k", "percentile");
        row("int4:asym", "entropy");
        row("gguf:q4_k", "decoupleq");
        row("int4:tensor", "decoupleq");
        row("int4", "lp:p=0");
        row("int4", "lp:p=nan");
        row("int4", "percentile:p=101");
        row("int4", "gptq:order=random");
        row("int4", "gptq:polish=1.5");
        row("int4", "gptq:polish=-1");
        row("int4:asym", "hqq:iterations=0");
        row("int4", "decoupleq:rounds=3");
    }
    void refusals()
    {
        QFETCH(QByteArray, scheme);
        QFETCH(QByteArray, spec);
        const QuantizerSpec parsed = parseQuantizerSpec(spec.toStdString()).value();
        const auto result =
            findQuantizer(parsed.id).value()->accepts(parseScheme(scheme.toStdString()).value(), parsed);
        QVERIFY(!result);
        QCOMPARE(result.error().code, Errc::usage);
        QVERIFY(!result.error().what.empty());
    }

    /// mse:clips=published against every clip from 0.1 to 1.2 of the largest magnitude.
    void publishedClips()
    {
        for (const char* text : {"e2m1", "e3m2:g64", "int4:restricted:g64", "int3:asym", "nf4:s=bf16"}) {
            const std::vector<float> w = normalSamples(4 * 256, 61, 1);
            const Scheme scheme = parseScheme(text).value();
            const Searched found = runSearch(w, {4, 256}, text, "mse:clips=published");
            const ScaleRule rule(scheme, RangeRule::standard, Dtype::f32, 1);
            const ElementCoder coder(scheme);
            const auto length = scheme.granularity == Granularity::group ? scheme.groupSize : 256;
            double least = 0;
            for (std::int64_t begin = 0; begin < std::ssize(w); begin += length) {
                const RunRange range = rangeOfRun(w.data() + begin, length);
                double best = squaredErrorOfRun(coder, rule.affine(rule.choose(range)), w.data() + begin, length);
                for (int clip = 10; clip <= 120; ++clip) {
                    const RunParameters tried = rule.chooseShrunk(range, static_cast<float>(clip) / 100);
                    best = std::min(best, squaredErrorOfRun(coder, rule.affine(tried), w.data() + begin, length));
                    if (text == std::string("e2m1")) { // the clip is where the largest level goes
                        const double to = static_cast<double>(range.absMax) * clip / 100;
                        QVERIFY(std::fabs(static_cast<double>(tried.scale) * 6 - to) < 1e-5 * to);
                    }
                }
                least += best;
            }
            QVERIFY2(std::fabs(squaredError(viewOf(w, {4, 256}), found.tensor) - least) <= 1e-9 * least, text);
        }
        for (const char* scheme : {"mxfp4", "nvfp4", "gguf:q4_0", "gguf:q4_k"})
            QVERIFY(!findQuantizer("mse").value()->accepts(parseScheme(scheme).value(),
                                                           parseQuantizerSpec("mse:clips=published").value()));
    }
};

QTEST_APPLESS_MAIN(ClipSearchesTest)
#include "clip_searches_test.moc"
