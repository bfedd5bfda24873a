// SPDX-License-Identifier: GPL-3.0-or-later
// Groups or columns of different widths: SliM-LLM's ladder, 2-bit groups with promoted ones, PTQ1.61's columns.
#include "core/formats/group_ladder.h"
#include "core/tensor/half.h"
#include "tests/support/acceptance.h"
#include "tests/support/layer_inputs.h"
#include "tests/support/quantize_support.h"

#include <array>
#include <cmath>
#include <numeric>

using namespace ql;
using namespace ql::tests;

namespace {

QuantizedTensor withInputs(const TensorView& view, const std::string& scheme, const std::string& spec,
                           const ActivationStatistics& inputs, QuantizerReport* report = nullptr,
                           Executor& executor = sharedExecutor())
{
    const QuantizeTask task{.weights = view,
                            .scheme = parseScheme(scheme).value(),
                            .spec = parseQuantizerSpec(spec).value(),
                            .inputs = &inputs,
                            .report = report};
    auto result = quantize(task, JobContext(executor));
    if (!result)
        qFatal("%s@%s: %s", scheme.c_str(), spec.c_str(), describe(result.error()).c_str());
    return std::move(result).value();
}

float f16At(const std::byte* bytes)
{
    std::uint16_t bits = 0;
    std::memcpy(&bits, bytes, sizeof bits);
    return floatFromF16(bits);
}

unsigned bitsAt(const std::byte* bytes, std::int64_t at, int width)
{
    unsigned value = 0;
    for (int b = 0; b < width; ++b)
        value |= (static_cast<unsigned>(bytes[(at + b) / 8]) >> ((at + b) % 8) & 1U) << b;
    return value;
}

/// The synthetic layer of the published check: 8 groups of 128, group 1 ×8, group 5 ×4, group 7 ×0.1.
struct TestLayer {
    static constexpr std::int64_t kRows = 128;
    static constexpr std::int64_t kCols = 1024;
    static constexpr std::int64_t kTokens = 256;
    std::vector<float> w, x;
    ActivationStatistics inputs;

    explicit TestLayer(std::uint64_t seed)
    {
        const CounterRng weights(seed, 1);
        const CounterRng values(seed, 2);
        const CounterRng channels(seed, 3);
        w.resize(kRows * kCols);
        for (std::size_t i = 0; i < w.size(); ++i)
            w[i] = static_cast<float>(0.02 * weights.normal(i));
        x.resize(kTokens * kCols);
        for (std::size_t i = 0; i < x.size(); ++i) {
            const std::size_t c = i % kCols;
            const std::size_t group = c / 128;
            const double factor = group == 1 ? 8 : group == 5 ? 4 : group == 7 ? 0.1 : 1;
            x[i] = static_cast<float>(values.normal(i) * std::exp(0.3 * channels.normal(c)) * factor);
        }
        inputs = statisticsOf(x, kCols);
    }

    std::vector<double> outputs(const std::vector<float>& weights) const
    {
        std::vector<double> y(static_cast<std::size_t>(kTokens * kRows));
        for (std::size_t t = 0; t < kTokens; ++t)
            for (std::size_t r = 0; r < kRows; ++r) {
                double sum = 0;
                for (std::size_t c = 0; c < kCols; ++c)
                    sum += static_cast<double>(x[t * kCols + c]) * static_cast<double>(weights[r * kCols + c]);
                y[t * kRows + r] = sum;
            }
        return y;
    }

    /// Mean KL(softmax(Y_q)‖softmax(Y)) and mean squared difference.
    std::pair<double, double> compare(const QuantizedTensor& q) const
    {
        const std::vector<double> exact = outputs(w);
        const std::vector<double> its = outputs(restored(q));
        double divergence = 0;
        double squares = 0;
        for (std::size_t t = 0; t < kTokens; ++t) {
            const auto softmax = [&](const std::vector<double>& y) {
                std::vector<double> p(y.begin() + static_cast<std::ptrdiff_t>(t * kRows),
                                      y.begin() + static_cast<std::ptrdiff_t>((t + 1) * kRows));
                const double most = *std::ranges::max_element(p);
                double sum = 0;
                for (double& v : p) {
                    v = std::exp(v - most);
                    sum += v;
                }
                for (double& v : p)
                    v = std::max(1e-6, v / sum);
                return p;
            };
            const std::vector<double> a = softmax(its);
            const std::vector<double> b = softmax(exact);
            for (std::size_t i = 0; i < a.size(); ++i)
                divergence += a[i] * std::log(a[i] / b[i]);
            for (std::size_t r = 0; r < kRows; ++r)
                squares += std::pow(its[t * kRows + r] - exact[t * kRows + r], 2);
        }
        return {divergence / kTokens, squares / (kTokens * kRows)};
    }

    TensorView view() const { return viewOf(w, {kRows, kCols}); }
};

/// How many of the groups have the fewest bits.
int stepsOf(const QuantizedTensor& q, int groups)
{
    int least = 0;
    for (int g = 0; g < groups; ++g)
        least += bitsAt(q.codes.data(), 2 * g, 2) == 0 ? 1 : 0;
    return least;
}

} // namespace

class GroupWidthsTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    // SliM-LLM.
    void ladderMeansAreExact()
    {
        bool exact = true;
        for (const int bits : {2, 3}) {
            const MatrixShape shape{4, 1024};
            const LadderBytes layout(bits, 64, shape);
            std::vector<double> salience(16);
            std::iota(salience.begin(), salience.end(), 0.5);
            std::swap(salience[3], salience[11]);
            for (std::int64_t k = 0; k <= 8; ++k) {
                const std::vector<int> widths = ladderWidths(layout, salience, k);
                exact = exact && std::accumulate(widths.begin(), widths.end(), 0) == 16 * bits;
                for (std::size_t a = 0; a < 16; ++a)
                    for (std::size_t b = 0; b < 16; ++b)
                        exact = exact && (salience[a] > salience[b] || widths[a] <= widths[b]);
            }
        }
        QL_HOLDS("A3", "mean bits are N for every k, and rise with salience", exact);
        const auto bits = [](const char* scheme, std::int64_t rows, std::int64_t cols) {
            return static_cast<double>(payloadBits(parseScheme(scheme).value(), rows, cols)) /
                   static_cast<double>(rows * cols);
        };
        QL_NEAR("A3", "bits a weight of slim2:g128, 4096²", bits("slim2:g128", 4096, 4096),
                2 + (16 + 2) / 128.0 + 2 / (128.0 * 4096), 1e-12);
        QL_NEAR("A3", "bits a weight of slim3:g128, 128 × 1024", bits("slim3:g128", 128, 1024),
                3 + (16 + 3) / 128.0 + 2 / (128.0 * 128), 1e-12);
    }

    /// Plain rounding in one width is the affine scheme of that width.
    void ladderWithoutStepsIsAffine()
    {
        const std::vector<float> w = normalSamples(8 * 128, 41); // one group: no ladder
        for (const auto& [ladder, affine] :
             {std::pair("slim2:g128", "int2:asym:s=f16"), std::pair("slim3:g128", "int3:asym:s=f16")}) {
            const std::vector<float> a = restored(quantized(viewOf(w, {8, 128}), ladder));
            const std::vector<float> b = restored(quantized(viewOf(w, {8, 128}), affine));
            double difference = 0;
            double size = 0;
            for (std::size_t i = 0; i < a.size(); ++i) {
                difference += std::pow(static_cast<double>(a[i]) - static_cast<double>(b[i]), 2);
                size += std::pow(static_cast<double>(b[i]), 2);
            }
            QVERIFY2(difference <= 1e-3 * size, qPrintable(QString::number(difference / size)));
        }
    }

    /// Widths, codes, scales and zero points by hand, signs with their mean included.
    void ladderByHand()
    {
        const TestLayer layer(1);
        const QuantizedTensor q = withInputs(layer.view(), "slim2:g128", "imatrix", layer.inputs);
        const std::vector<float> x = restored(q);
        QVERIFY(stepsOf(q, 8) > 0);
        constexpr std::int64_t kCodeRow = 256;
        const std::byte* codes = q.codes.data() + 2;
        const std::byte* scales = codes + 128 * kCodeRow;
        const std::byte* zeros = scales + 2 * 128 * 8;
        QCOMPARE(q.codes.sizeBytes(), 2 + 128 * (kCodeRow + 16 + 2));
        for (std::int64_t r = 0; r < 128; ++r) {
            std::int64_t at = 0;
            std::int64_t zeroAt = 0;
            for (std::int64_t g = 0; g < 8; ++g) {
                const int width = 1 + static_cast<int>(bitsAt(q.codes.data(), 2 * g, 2));
                const unsigned zero = bitsAt(zeros + 2 * r, zeroAt, width);
                const std::byte* slot = scales + 2 * (8 * r + g);
                std::uint16_t bits = 0;
                std::memcpy(&bits, slot, sizeof bits);
                for (std::int64_t c = 128 * g; c < 128 * (g + 1); ++c, at += width) {
                    const auto code = static_cast<float>(bitsAt(codes + r * kCodeRow, at, width));
                    const auto i = static_cast<std::size_t>(1024 * r + c);
                    if (width > 1) {
                        QCOMPARE(x[i], f16At(slot) * (code - static_cast<float>(zero)));
                        continue;
                    }
                    const float a = floatFromF16(static_cast<std::uint16_t>((bits & 0xffe0U) >> 1U));
                    const int mean = static_cast<int>((bits & 31U) + 32 * zero);
                    const float m = a * (static_cast<float>(mean >= 32 ? mean - 64 : mean) / 64);
                    QVERIFY(std::fabs(x[i] - (m + (code != 0 ? a : -a))) <= 1e-6F * a);
                    // The published rule: the mean of magnitudes, about the mean.
                    double sum = 0;
                    double magnitude = 0;
                    for (std::int64_t e = 128 * g; e < 128 * (g + 1); ++e) {
                        sum += static_cast<double>(layer.w[static_cast<std::size_t>(1024 * r + e)]) / 128;
                        magnitude +=
                            std::fabs(static_cast<double>(layer.w[static_cast<std::size_t>(1024 * r + e)])) / 128;
                    }
                    QVERIFY(std::fabs(static_cast<double>(a) / magnitude - 1) < 0.01);
                    QVERIFY(std::fabs(static_cast<double>(m) - sum) < 0.009 * magnitude);
                }
                zeroAt += width;
            }
        }
    }

    /// The published gain: five layers, weights rounded plainly, the ladder by salience and KL.
    void ladderGains()
    {
        for (std::uint64_t seed = 1; seed <= 5; ++seed) {
            const TestLayer layer(seed);
            const std::string of = ", layer " + std::to_string(seed);
            const std::string plainly = "slim:feedback=no:ranges=plain";
            const auto [kl2, mse2] = layer.compare(quantized(layer.view(), "int2:g128:asym:s=f16"));
            const QuantizedTensor slim2 = withInputs(layer.view(), "slim2:g128", plainly, layer.inputs);
            const auto [klSlim2, mseSlim2] = layer.compare(slim2);
            QL_NEAR("A3", ("KL at 2 bits without a ladder" + of).c_str(), kl2, 0.53, 0.05);
            QL_NEAR("A3", ("KL at 2 bits with the best ladder" + of).c_str(), klSlim2, 0.1325, 0.016);
            QL_AT_MOST("A3", ("output error at 2 bits over that without a ladder" + of).c_str(), mseSlim2 / mse2, 0.3);
            const auto [kl3, mse3] = layer.compare(quantized(layer.view(), "int3:g128:asym:s=f16"));
            const QuantizedTensor slim3 = withInputs(layer.view(), "slim3:g128", plainly, layer.inputs);
            const auto [klSlim3, mseSlim3] = layer.compare(slim3);
            QL_NEAR("A3", ("KL at 3 bits without a ladder" + of).c_str(), kl3, 0.10, 0.015);
            QL_NEAR("A3", ("KL at 3 bits with the best ladder" + of).c_str(), klSlim3, 0.0325, 0.004);
            QL_HOLDS("A3", ("the best k at 3 bits is 2" + of).c_str(), stepsOf(slim3, 8) == 2);
            QVERIFY(mseSlim3 < mse3);
            // With the saliences of other groups the gain is lost.
            ActivationStatistics wrong = layer.inputs;
            for (std::size_t i = 0; i < 1024; ++i) {
                wrong.channelRms[i] = layer.inputs.channelRms[(i + 384) % 1024];
                for (std::size_t j = 0; j < 1024; ++j)
                    wrong.gram[i * 1024 + j] = layer.inputs.gram[(i + 384) % 1024 * 1024 + (j + 384) % 1024];
            }
            const auto [klWrong, mseWrong] = layer.compare(withInputs(layer.view(), "slim2:g128", plainly, wrong));
            QL_AT_LEAST("A3", ("KL with saliences of other groups over that without a ladder" + of).c_str(),
                        klWrong / kl2, 0.9);
        }
    }

    /// The search of ranges never raises its objective; with a larger lambda salient errors fall.
    void rangesAreSearched()
    {
        const TestLayer layer(2);
        const auto objectives = [&](const std::string& spec) {
            const std::vector<float> x = restored(withInputs(layer.view(), "slim2:g128", spec, layer.inputs));
            const std::vector<int> widths = [&] {
                std::vector<int> found;
                const QuantizedTensor q = withInputs(layer.view(), "slim2:g128", spec, layer.inputs);
                for (int g = 0; g < 8; ++g)
                    found.push_back(static_cast<int>(bitsAt(q.codes.data(), 2 * g, 2)));
                return found;
            }();
            double all = 0;
            for (std::size_t i = 0; i < x.size(); ++i)
                all += std::pow(std::fabs(static_cast<double>(layer.w[i]) - static_cast<double>(x[i])), 2.4);
            return std::pair(all, widths);
        };
        const auto [plain, plainWidths] = objectives("slim:feedback=no:ranges=plain");
        const auto [searched, searchedWidths] = objectives("slim:feedback=no");
        QVERIFY(plainWidths == searchedWidths);
        QL_AT_MOST("A3", "Σ|w − ŵ|^2.4 with searched ranges over that with plain ones", searched / plain, 1.0);
        // Salient: the weights of a row's group whose δ = w²·D lies far from the mean; D is nearly the same in a group,
        // so they are the largest ones.
        const auto salientError = [&](const std::string& spec) {
            const std::vector<float> x = restored(withInputs(layer.view(), "slim2:g128", spec, layer.inputs));
            double error = 0;
            for (std::size_t i = 0; i < x.size(); ++i)
                if (std::fabs(layer.w[i]) > 0.05F)
                    error += std::pow(std::fabs(static_cast<double>(layer.w[i]) - static_cast<double>(x[i])), 2.4);
            return error;
        };
        const double light = salientError("slim:feedback=no:lambda=1");
        const double heavy = salientError("slim:feedback=no:lambda=20");
        QL_AT_MOST("A3", "error of salient weights at λ = 20 over that at λ = 1", heavy / light, 0.999);
    }

    void feedbackLowersTheOutputError()
    {
        const TestLayer layer(7);
        QuantizerReport report;
        const QuantizedTensor with = withInputs(layer.view(), "slim2:g128", "slim", layer.inputs, &report);
        QVERIFY(!report.keptRtn && report.reached < report.rtn);
        const QuantizedTensor without = withInputs(layer.view(), "slim2:g128", "slim:feedback=no", layer.inputs);
        QVERIFY(layer.compare(with).second < layer.compare(without).second);
        double exact = 0;
        const auto y = layer.outputs(layer.w);
        const auto z = layer.outputs(restored(with));
        for (std::size_t i = 0; i < y.size(); ++i)
            exact += (y[i] - z[i]) * (y[i] - z[i]);
        QVERIFY(std::fabs(report.reached / exact - 1) < 1e-6);
        // Ranges that may shrink further have a lower error of the weights, and here of the output too.
        QuantizerReport wider;
        withInputs(layer.view(), "slim2:g128", "slim:shrink=0.6", layer.inputs, &wider);
        QVERIFY(wider.reached < report.reached);
        static Executor one(1);
        static Executor three(3, Executor::Backend::threads);
        QVERIFY(sameBits(with, withInputs(layer.view(), "slim2:g128", "slim", layer.inputs, nullptr, one)));
        QVERIFY(sameBits(with, withInputs(layer.view(), "slim2:g128", "slim", layer.inputs, nullptr, three)));
    }

    void slimRefuses()
    {
        const auto accepts = [](const char* scheme) {
            return findQuantizer("slim")
                .value()
                ->accepts(parseScheme(scheme).value(), parseQuantizerSpec("slim").value())
                .has_value();
        };
        QVERIFY(accepts("slim2:g128") && accepts("slim3:g32"));
        QVERIFY(!accepts("int2:g128:asym") && !accepts("dgq4:g128") && !accepts("gguf:q2_k"));
        const std::vector<float> w = normalSamples(4 * 256, 42);
        const QuantizeTask task{viewOf(w, {4, 256}), parseScheme("slim2:g64").value(),
                                parseQuantizerSpec("slim").value(), nullptr};
        const auto without = quantize(task, JobContext(sharedExecutor()));
        QVERIFY(!without && without.error().code == Errc::usage);
        ActivationStatistics zeros;
        zeros.in = 256;
        zeros.tokens = 3;
        zeros.gram.assign(256 * 256, 0);
        zeros.channelRms.assign(256, 0);
        QVERIFY(sameBits(withInputs(viewOf(w, {4, 256}), "slim2:g64", "slim", zeros),
                         quantized(viewOf(w, {4, 256}), "slim2:g64")));
    }

    // 2-bit groups with promoted ones.
    void promotedByRange()
    {
        constexpr std::int64_t kRows = 64;
        constexpr std::int64_t kCols = 4096;
        std::vector<float> w(kRows * kCols);
        for (std::size_t i = 0; i < w.size(); ++i) {
            double chi = 0;
            for (std::uint64_t k = 1; k <= 4; ++k)
                chi += std::pow(CounterRng(43, k).normal(i), 2);
            w[i] = static_cast<float>(CounterRng(43).normal(i) / std::sqrt(chi / 4) *
                                      std::exp(0.5 * CounterRng(44).normal(i / 16)));
        }
        const TensorView view = viewOf(w, {kRows, kCols});
        const auto sqnr = [&](const char* scheme) {
            return measureError(view, quantized(view, scheme), JobContext(sharedExecutor())).value().sqnrDb();
        };
        QL_NEAR("C7", "QSNR in dB of 2-bit groups of 16, t(4) with log-normal groups", sqnr("mix24_0:g16"), 8.8, 0.2);
        // The published figures are of real minima in place of 4-bit zero points: schemes of these, put together by the
        // mask of the layout.
        const std::vector<float> narrow = restored(quantized(view, "int2:g16:min"));
        const std::vector<float> broad = restored(quantized(view, "int4:g16:min"));
        const auto picked = [&](const char* scheme) {
            const QuantizedTensor q = quantized(view, scheme);
            double error = 0;
            double squares = 0;
            for (std::size_t i = 0; i < w.size(); ++i) {
                const auto group = static_cast<std::int64_t>(i % kCols / 16);
                const bool wide = bitsAt(q.codes.data() + 32 * (i / kCols), group, 1) != 0;
                const auto x = static_cast<double>(w[i]);
                error += std::pow(x - static_cast<double>(wide ? broad[i] : narrow[i]), 2);
                squares += x * x;
            }
            return 10 * std::log10(squares / error);
        };
        QL_NEAR("C7", "QSNR in dB with a tenth promoted by range", picked("mix24_10:g16"), 11.7, 0.15);
        QL_NEAR("C7", "QSNR in dB with a quarter promoted by range", picked("mix24_25:g16"), 14.0, 0.15);
        QVERIFY(sqnr("mix24_10:g16") > 11.0 && sqnr("mix24_25:g16") > 13.2);
        // The same with groups picked at random: reals for scales.
        const auto random = [&](double share) {
            double error = 0;
            double squares = 0;
            for (std::size_t g = 0; g < w.size() / 16; ++g) {
                const float* its = w.data() + 16 * g;
                const double low = std::min(0.0, static_cast<double>(*std::min_element(its, its + 16)));
                const double high = std::max(0.0, static_cast<double>(*std::max_element(its, its + 16)));
                const double top = CounterRng(45).uniform(g) < share ? 15 : 3;
                const double s = (high - low) / top;
                const double z = std::clamp(std::nearbyint(-low / s), 0.0, top);
                for (int i = 0; i < 16; ++i) {
                    const auto x = static_cast<double>(its[i]);
                    error += std::pow(x - s * (std::clamp(std::nearbyint(x / s) + z, 0.0, top) - z), 2);
                    squares += x * x;
                }
            }
            return 10 * std::log10(squares / error);
        };
        QL_NEAR("C7", "QSNR in dB with a tenth promoted at random", random(0.1), 9.2, 0.2);
        QL_NEAR("C7", "QSNR in dB with a quarter promoted at random", random(0.25), 10.0, 0.25);
        // The set is the first of the criterion, in every row the same number.
        const QuantizedTensor q = quantized(view, "mix24_10:g16");
        bool exact = true;
        for (std::int64_t r = 0; r < kRows; ++r) {
            std::vector<std::pair<double, std::int64_t>> ranges;
            for (std::int64_t g = 0; g < 256; ++g) {
                const float* its = w.data() + r * kCols + 16 * g;
                ranges.emplace_back(static_cast<double>(std::max(0.0F, *std::max_element(its, its + 16))) -
                                        static_cast<double>(std::min(0.0F, *std::min_element(its, its + 16))),
                                    -g);
            }
            std::ranges::sort(ranges, std::greater<>());
            for (std::size_t i = 0; i < 256; ++i)
                exact = exact && (bitsAt(q.codes.data() + 32 * r, -ranges[i].second, 1) != 0) == (i < 26);
        }
        QL_HOLDS("C7", "promoted are the first ⌈f·groups⌉ of a row by range", exact);
        QL_NEAR("C7", "bits a weight are the bytes times 8 over the weights",
                static_cast<double>(q.payloadBits()) / (kRows * kCols),
                static_cast<double>(q.codes.sizeBytes()) * 8 / (kRows * kCols), 1e-6);
        QL_NEAR("C7", "bits a weight of a tenth promoted", static_cast<double>(q.payloadBits()) / (kRows * kCols),
                2 + 2 * 26 / 256.0 + 13 / 16.0 + 16 / 4096.0, 1e-9);
    }

    void promotedByHand()
    {
        const std::vector<float> w = normalSamples(7 * 333, 46);
        const QuantizedTensor q = quantized(viewOf(w, {7, 333}), "mix24_30:g10");
        const std::vector<float> x = restored(q);
        constexpr std::int64_t kGroups = 34; // 33 whole ones, of which ten are promoted
        const std::byte* mask = q.codes.data();
        const std::byte* low = mask + 7 * 5;
        const std::byte* high = low + 7 * 84;
        const std::byte* steps = high + 7 * 25;
        const std::byte* zeros = steps + 7 * kGroups;
        const std::byte* units = zeros + 7 * 17;
        QCOMPARE(q.codes.sizeBytes(), units + 14 - mask);
        for (std::int64_t r = 0; r < 7; ++r) {
            std::int64_t before = 0;
            for (std::int64_t g = 0; g < kGroups; ++g) {
                const bool wide = bitsAt(mask + 5 * r, g, 1) != 0;
                const float scale =
                    f16At(units + 2 * r) * static_cast<float>(static_cast<unsigned>(steps[r * kGroups + g]));
                for (std::int64_t c = 10 * g; c < std::min<std::int64_t>(333, 10 * g + 10); ++c) {
                    unsigned code = bitsAt(low + 84 * r, 2 * c, 2);
                    if (wide)
                        code += 4 * bitsAt(high + 25 * r, 2 * (10 * before + c - 10 * g), 2);
                    QCOMPARE(x[static_cast<std::size_t>(333 * r + c)],
                             scale * static_cast<float>(static_cast<int>(code) -
                                                        static_cast<int>(bitsAt(zeros + 17 * r, 4 * g, 4))));
                }
                before += wide ? 1 : 0;
            }
            QCOMPARE(before, std::int64_t{10});
        }
    }

    // PTQ1.61.
    void salientColumns()
    {
        const auto bits = [](std::int64_t n) {
            return static_cast<double>(payloadBits(parseScheme("ptq1_61").value(), n, n));
        };
        constexpr double kWeights = 4096.0 * 4096.0;
        const auto parts = findMatrixFormat("ptq1_61")->parts({4096, 4096});
        const double mask = static_cast<double>(parts[0].bits()) / kWeights;
        const double codes = static_cast<double>(parts[1].bits() + parts[2].bits()) / kWeights;
        const double sides = 4 * 16 / 4096.0; // a, μ, r and t; s and z of the salient columns are all that is left
        QL_NEAR("C11", "bits a weight of codes, 4096²", codes, 1.600, 0.002);
        QL_NEAR("C11", "with the mask and the vectors of signs", codes + mask + sides, 1.6159, 0.002);
        QL_NEAR("C11", "with everything", bits(4096) / kWeights, 1.6207, 0.002);
        // 512 inputs, a fifth of them six times as large.
        constexpr std::int64_t kRows = 256;
        constexpr std::int64_t kCols = 512;
        constexpr std::size_t kTokens = 300;
        std::vector<float> w(kRows * kCols);
        for (std::size_t i = 0; i < w.size(); ++i)
            w[i] = static_cast<float>(0.02 * CounterRng(47).normal(i));
        const auto hot = [](std::size_t c) { return c % 5 == 2; };
        std::vector<float> x(kTokens * kCols);
        for (std::size_t i = 0; i < x.size(); ++i)
            x[i] = static_cast<float>(CounterRng(48).normal(i) * (hot(i % kCols) ? 6 : 1));
        const ActivationStatistics inputs = statisticsOf(x, kCols);
        ActivationStatistics random = inputs;
        for (std::size_t c = 0; c < kCols; ++c)
            random.channelRms[c] = CounterRng(49).uniform(c);
        const auto outputError = [&](const QuantizedTensor& q) {
            const std::vector<float> back = restored(q);
            double error = 0;
            double energy = 0;
            for (std::size_t r = 0; r < kRows; ++r)
                for (std::size_t t = 0; t < kTokens; ++t) {
                    double y = 0;
                    double difference = 0;
                    for (std::size_t c = 0; c < kCols; ++c) {
                        const auto in = static_cast<double>(x[t * kCols + c]);
                        const auto exact = static_cast<double>(w[r * kCols + c]);
                        y += in * exact;
                        difference += in * (exact - static_cast<double>(back[r * kCols + c]));
                    }
                    error += difference * difference;
                    energy += y * y;
                }
            return error / energy;
        };
        const QuantizedTensor q = withInputs(viewOf(w, {kRows, kCols}), "ptq1_61", "imatrix", inputs);
        int salient = 0;
        int found = 0;
        for (std::size_t c = 0; c < kCols; ++c) {
            const bool chosen = bitsAt(q.codes.data(), static_cast<std::int64_t>(c), 1) != 0;
            salient += chosen ? 1 : 0;
            found += chosen && hot(c) ? 1 : 0;
        }
        QL_HOLDS("C11", "the mask has ⌊0.2·d⌋ + 1 channels", salient == 103);
        QVERIFY(found == 102);
        QL_NEAR("C11", "output error over energy, mask by activations", outputError(q), 0.049, 0.006);
        QL_NEAR("C11", "output error over energy, random mask",
                outputError(withInputs(viewOf(w, {kRows, kCols}), "ptq1_61", "imatrix", random)), 0.30, 0.03);
    }

    /// Codes, signs and vectors by hand; fitted vectors are never worse than ones.
    void salientByHand()
    {
        constexpr std::int64_t kRows = 11;
        constexpr std::int64_t kCols = 73; // 15 salient, 58 others
        const std::vector<float> w = normalSamples(kRows * kCols, 50);
        const TensorView view = viewOf(w, {kRows, kCols});
        const QuantizedTensor q = quantized(view, "ptq1_61");
        const std::vector<float> x = restored(q);
        const std::byte* codes = q.codes.data() + 10;
        const std::byte* signs = codes + kRows * 8;
        const std::byte* zeros = signs + kRows * 8;
        const std::byte* s = zeros + 6;
        QCOMPARE(q.codes.sizeBytes(), s + 8 * kRows + 2 * kCols - q.codes.data());
        double withOnes = 0;
        for (std::int64_t r = 0; r < kRows; ++r) {
            const float a = f16At(s + 2 * (kRows + r));
            const float mean = f16At(s + 2 * (2 * kRows + r));
            std::int64_t salient = 0;
            for (std::int64_t c = 0; c < kCols; ++c) {
                const auto i = static_cast<std::size_t>(r * kCols + c);
                if (bitsAt(q.codes.data(), c, 1) != 0) {
                    const auto code = static_cast<int>(bitsAt(codes + 8 * r, 4 * salient, 4));
                    QCOMPARE(x[i],
                             f16At(s + 2 * r) * static_cast<float>(code - static_cast<int>(bitsAt(zeros, 4 * r, 4))));
                    withOnes += std::pow(static_cast<double>(w[i]) - static_cast<double>(x[i]), 2);
                    ++salient;
                    continue;
                }
                const bool plus = bitsAt(signs + 8 * r, c - salient, 1) != 0;
                QCOMPARE(plus, w[i] >= mean);
                const float plain = (plus ? a : -a) + mean;
                QCOMPARE(x[i], f16At(s + 2 * (3 * kRows + r)) * f16At(s + 2 * (4 * kRows + c)) * plain);
                withOnes += std::pow(static_cast<double>(w[i]) - static_cast<double>(plain), 2);
            }
            QCOMPARE(salient, std::int64_t{15});
        }
        QL_AT_MOST("C11", "error with the rank-1 scales refit over that with ones", squaredError(view, q) / withOnes,
                   0.999);
    }
};

QTEST_APPLESS_MAIN(GroupWidthsTest)
#include "group_widths_test.moc"
