// SPDX-License-Identifier: GPL-3.0-or-later
// GPTQ and coordinate descent: equal to elimination with the inverse Hessian, objectives by brute force, published
// factors, shapes and values that are odd.
#include "core/formats/block_format.h"
#include "tests/support/acceptance.h"
#include "tests/support/layer_case.h"

#include <Eigen/Dense>

#include <array>
#include <cmath>
#include <limits>
#include <numeric>

using namespace ql;
using namespace ql::tests;

namespace {

/// Optimal brain quantization of one row, columns in the given order: each is rounded by `round`, the others make up
/// for it with the inverse of H, from which the column is then eliminated.
template<typename Round>
std::vector<double> eliminate(const std::vector<float>& row, Eigen::MatrixXd h, const Round& round)
{
    const auto n = static_cast<Eigen::Index>(row.size());
    std::vector<double> w(row.begin(), row.end());
    std::vector<double> out(row.size());
    Eigen::MatrixXd inverse = h.inverse();
    for (Eigen::Index j = 0; j < n; ++j) {
        const auto at = static_cast<std::size_t>(j);
        out[at] = round(w[at], at);
        const double error = (w[at] - out[at]) / inverse(j, j);
        for (Eigen::Index k = j + 1; k < n; ++k)
            w[static_cast<std::size_t>(k)] -= error * inverse(j, k);
        inverse -= inverse.col(j) * inverse.row(j) / inverse(j, j);
    }
    return out;
}

} // namespace

class GptqTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void equalsElimination()
    {
        const LayerCase c = layerCase(6, 40);
        const QuantizedTensor q = c.quantize("int4", "gptq:order=natural:scales=range").value();
        const std::vector<float> found = restored(q);
        Eigen::MatrixXd h = Eigen::Map<const Eigen::MatrixXd>(c.inputs.gram.data(), 40, 40);
        h.diagonal().array() += 0.01 * h.diagonal().mean();
        for (std::int64_t r = 0; r < c.rows; ++r) {
            const std::vector<float> row(c.weights.begin() + r * 40, c.weights.begin() + (r + 1) * 40);
            const auto scale = static_cast<double>(q.scales[static_cast<std::size_t>(r)]);
            const std::vector<double> expected = eliminate(row, h, [&](double w, std::size_t) {
                return std::clamp(std::nearbyint(w / scale), -8.0, 7.0) * scale;
            });
            for (std::size_t j = 0; j < row.size(); ++j)
                QVERIFY(std::fabs(expected[j] - static_cast<double>(found[static_cast<std::size_t>(r * 40) + j])) <=
                        1e-6);
        }
    }

    void equalsEliminationInFallingOrder()
    {
        // Columns with very different inputs: the order is by their squares.
        LayerCase c = layerCase(4, 24);
        std::vector<float> x = correlatedInputs(300, 24);
        for (std::size_t i = 0; i < x.size(); ++i)
            x[i] *= static_cast<float>(1 + (i % 24 * 7) % 24);
        c.inputs = statisticsOf(x, 24);
        const QuantizedTensor q = c.quantize("e2m1", "gptq:order=act:scales=range").value();
        const std::vector<float> found = restored(q);
        std::vector<std::size_t> order(24);
        for (std::size_t i = 0; i < 24; ++i)
            order[i] = i;
        std::ranges::sort(order, std::greater<>(), [&](std::size_t i) { return c.inputs.gram[i * 24 + i]; });
        Eigen::MatrixXd h(24, 24);
        for (std::size_t i = 0; i < 24; ++i)
            for (std::size_t j = 0; j < 24; ++j)
                h(static_cast<Eigen::Index>(i), static_cast<Eigen::Index>(j)) = c.inputs.gram[order[i] * 24 + order[j]];
        h.diagonal().array() += 0.01 * h.diagonal().mean();
        const NumberFormatPtr e2m1 = findNumberFormat("e2m1").value();
        for (std::size_t r = 0; r < 4; ++r) {
            std::vector<float> row;
            for (const std::size_t j : order)
                row.push_back(c.weights[r * 24 + j]);
            const float scale = q.scales[r];
            const std::vector<double> expected = eliminate(row, h, [&](double w, std::size_t) {
                const std::uint8_t code = nearestCode(*e2m1, static_cast<float>(w) / scale);
                return static_cast<double>(e2m1->levels[code] * scale);
            });
            for (std::size_t j = 0; j < 24; ++j)
                QVERIFY(std::fabs(expected[j] - static_cast<double>(found[r * 24 + order[j]])) <= 1e-6);
        }
    }

    void objectivesAreTrue_data()
    {
        QTest::addColumn<QByteArray>("scheme");
        QTest::addColumn<QByteArray>("spec");
        for (const char* scheme : {"int3:g32", "int4:g64:asym:s=f16", "int2", "int4:tensor", "e2m1:g32", "mxfp4",
                                   "nvfp4", "nf4:g64", "gguf:q4_0", "gguf:q4_1", "mxint8", "int8:g128"})
            for (const char* spec : {"gptq", "gptq:order=natural", "gptq:order=act:groups=static", "gptq:scales=range",
                                     "gptq:scales=mse", "gptq:polish=3", "gptq:damp=0.1:polish=2"})
                QTest::addRow("%s@%s", scheme, spec) << QByteArray(scheme) << QByteArray(spec);
        for (const BlockFormat* block : allBlockFormats())
            for (const char* spec : {"gptq", "gptq:order=act:groups=static", "gptq:scales=range:polish=3"}) {
                const QByteArray scheme(block->id.data(), static_cast<qsizetype>(block->id.size()));
                if (block->codesElements() || block->codesCells())
                    QTest::addRow("%s@%s", scheme.constData(), spec) << scheme << QByteArray(spec);
            }
    }
    void objectivesAreTrue()
    {
        QFETCH(QByteArray, scheme);
        QFETCH(QByteArray, spec);
        static const LayerCase kPlain = layerCase(20, 200);
        static const LayerCase kWide = layerCase(20, 512);
        const LayerCase& theCase = parseScheme(scheme.toStdString()).value().isPacked() ? kWide : kPlain;
        QuantizerReport report;
        const QuantizedTensor q = theCase.quantize(scheme.toStdString(), spec.toStdString(), &report).value();
        const double rtn = theCase.error(theCase.quantize(scheme.toStdString(), "rtn").value());
        const double reached = theCase.error(q);
        QVERIFY2(std::fabs(report.rtn - rtn) <= 1e-4 * rtn, qPrintable(QString::number(report.rtn / rtn)));
        QVERIFY2(std::fabs(report.reached - reached) <= 1e-3 * reached,
                 qPrintable(QString::number(report.reached / reached)));
        QVERIFY(reached < rtn && !report.keptRtn);
        QCOMPARE(report.objective, std::string("tr(ΔW·H·ΔWᵀ)"));
    }

    /// Methods B1, acceptance iii: three times less output error at 3 bits while the weights' error rises.
    void publishedFactor()
    {
        const LayerCase c = layerCase(64, 128, 3, 2048);
        const QuantizedTensor rtn = c.quantize("int3", "rtn").value();
        for (const char* spec : {"gptq", "gptq:scales=range", "gptq:polish=4"}) {
            const QuantizedTensor q = c.quantize("int3", spec).value();
            QL_AT_LEAST("B1", std::string("int3@") + spec + ", correlated inputs, output error of rtn over its own",
                        c.error(rtn) / c.error(q), 3);
            if (std::string(spec) == "gptq:scales=range")
                QL_AT_LEAST("B1", std::string("int3@") + spec + ", correlated inputs, weight error over rtn's",
                            squaredError(c.view(), q) / squaredError(c.view(), rtn), 1);
        }
        // On inputs of the same law that were not seen, too.
        LayerCase unseen = c;
        unseen.inputs = statisticsOf(correlatedInputs(4096, 128, 32, 0.3, 3), 128);
        QL_AT_LEAST("B1", "int3@gptq, inputs not seen, output error of rtn over its own",
                    unseen.error(rtn) / unseen.error(c.quantize("int3", "gptq").value()), 3);
    }

    /// Methods B14: inputs of domain B are a half of the channels that those of A hardly use. What was calibrated on a
    /// domain is best on it, on both together in between.
    void calibrationDomains()
    {
        constexpr std::int64_t kCols = 128;
        const auto inputsOf = [](double first, double second, std::uint64_t seed) {
            std::vector<float> x = correlatedInputs(2048, kCols, 32, 0.3, seed);
            for (std::size_t i = 0; i < x.size(); ++i)
                x[i] *= static_cast<float>(i % kCols < kCols / 2 ? first : second);
            return x;
        };
        const std::vector<float> a = inputsOf(1, 0.1, 11);
        const std::vector<float> b = inputsOf(0.1, 1, 12);
        std::vector<float> both(a.begin(), a.begin() + std::ssize(a) / 2);
        both.insert(both.end(), b.begin(), b.begin() + std::ssize(b) / 2);
        const std::array<ActivationStatistics, 3> known{statisticsOf(a, kCols), statisticsOf(both, kCols),
                                                        statisticsOf(b, kCols)};
        // Errors on a domain of what was calibrated on A, on both, on B: of several layers.
        std::array<double, 3> onA{};
        std::array<double, 3> onB{};
        for (std::uint64_t seed = 1; seed <= 4; ++seed) {
            LayerCase layer = layerCase(32, kCols, seed);
            std::array<QuantizedTensor, 3> made;
            for (std::size_t i = 0; i < 3; ++i) {
                layer.inputs = known[i];
                made[i] = layer.quantize("int3", "gptq:polish=2").value();
            }
            for (std::size_t i = 0; i < 3; ++i) {
                layer.inputs = known[0];
                onA[i] += layer.error(made[i]);
                layer.inputs = known[2];
                onB[i] += layer.error(made[i]);
            }
        }
        QL_HOLDS("B14", "error on domain A: calibrated on A < on both < on B", onA[0] < onA[1] && onA[1] < onA[2]);
        QL_HOLDS("B14", "error on domain B: calibrated on B < on both < on A", onB[2] < onB[1] && onB[1] < onB[0]);
        QL_AT_LEAST("B14", "error on domain A, calibrated on B over calibrated on A", onA[2] / onA[0], 1.2);
    }

    void polishingHelps()
    {
        const LayerCase c = layerCase(40, 192, 9);
        for (const char* scheme : {"int3:g64", "int4", "int3:g64:asym", "nf4:g64", "gguf:q4_1", "mxfp4"}) {
            const double before = c.error(c.quantize(scheme, "gptq").value());
            const double once = c.error(c.quantize(scheme, "gptq:polish=1").value());
            const double often = c.error(c.quantize(scheme, "gptq:polish=8").value());
            QVERIFY2(once < before, scheme);
            QVERIFY2(often <= once, scheme);
        }
    }

    /// hessian=loss works under G where it is known, both under the mean of G and XᵀX at one trace.
    void theLossWeighsInputs()
    {
        LayerCase c = layerCase(24, 96, 31);
        const LayerCase other = layerCase(24, 96, 32);
        for (const char* quantizer : {"gptq:polish=1", "decoupleq"}) {
            const std::string id(quantizer);
            c.inputs.lossGram.clear();
            const QuantizedTensor plain = c.quantize("int3:g32", id).value();
            QVERIFY(sameBits(plain, c.quantize("int3:g32", id + ":hessian=inputs").value()));
            QVERIFY(sameBits(plain, c.quantize("int3:g32", id + ":hessian=both").value()));
            const auto unknown = c.quantize("int3:g32", id + ":hessian=loss");
            QVERIFY(!unknown && unknown.error().code == Errc::usage &&
                    QByteArray::fromStdString(unknown.error().what).contains("--fisher"));
            c.inputs.lossGram.assign(c.inputs.gram.size(), 0.0F); // no token matters to the loss
            QVERIFY(sameBits(plain, c.quantize("int3:g32", id).value()));

            constexpr double kUnits = 1e-6;
            LayerCase loss = c; // whose XᵀX is G
            LayerCase mean = c;
            double trace = 0;
            double otherTrace = 0;
            for (std::size_t i = 0; i < 96 * 97; i += 97) {
                trace += c.inputs.gram[i];
                otherTrace += other.inputs.gram[i];
            }
            for (std::size_t i = 0; i < c.inputs.gram.size(); ++i) {
                c.inputs.lossGram[i] = static_cast<float>(kUnits * other.inputs.gram[i]);
                loss.inputs.gram[i] = other.inputs.gram[i] * trace / otherTrace;
                mean.inputs.gram[i] = (c.inputs.gram[i] + loss.inputs.gram[i]) / 2;
            }
            loss.inputs.lossGram.clear();
            mean.inputs.lossGram.clear();
            for (const auto& [word, same] : {std::pair("loss", &loss), {"both", &mean}}) {
                QuantizerReport report;
                const QuantizedTensor q = c.quantize("int3:g32", id + ":hessian=" + word, &report).value();
                const double reached = same->error(q);
                const double expected = same->error(same->quantize("int3:g32", id).value());
                QVERIFY2(std::fabs(reached - expected) <= 1e-3 * expected, word); // G is in float
                QVERIFY2(std::fabs(report.reached - reached) <= 1e-3 * reached, word);
                QVERIFY2(reached < 0.9 * same->error(plain), word);
            }
        }
    }

    /// Rows in the order of S's falling diagonal, 16 at a time: those of the second group B are coded by themselves to
    /// make up for the errors of the first, W_B + (S + λI)_BB⁻¹·S_BA·Δ_A; objectives by brute force.
    void rowsMakeUpForEachOther()
    {
        constexpr std::int64_t kRows = 32;
        constexpr std::int64_t kCols = 64;
        LayerCase c = layerCase(kRows, kCols, 41);
        const ActivationStatistics outputs = statisticsOf(correlatedInputs(400, kRows, 4, 0.2, 42), kRows);
        c.inputs.outputGram.assign(outputs.gram.begin(), outputs.gram.end());
        Eigen::MatrixXd s = Eigen::Map<const Eigen::MatrixXd>(outputs.gram.data(), kRows, kRows);
        s /= s.diagonal().mean();
        std::vector<Eigen::Index> order(kRows);
        std::iota(order.begin(), order.end(), Eigen::Index{0});
        std::ranges::stable_sort(order, std::greater<>(), [&](Eigen::Index r) { return s(r, r); });
        Eigen::MatrixXd damped(kRows, kRows);
        for (Eigen::Index i = 0; i < kRows; ++i)
            for (Eigen::Index j = 0; j < kRows; ++j)
                damped(i, j) =
                    s(order[static_cast<std::size_t>(i)], order[static_cast<std::size_t>(j)]) + (i == j ? 0.05 : 0.0);
        // The errors of the last rows that are best for those of the first, with the sign turned.
        const Eigen::MatrixXd share = damped.bottomRightCorner(16, 16).llt().solve(damped.bottomLeftCorner(16, 16));
        const auto differences = [&](const std::vector<float>& values) {
            Eigen::MatrixXd d(kRows, kCols);
            for (Eigen::Index r = 0; r < kRows; ++r)
                for (Eigen::Index j = 0; j < kCols; ++j) {
                    const auto at = static_cast<std::size_t>(r * kCols + j);
                    d(r, j) = static_cast<double>(c.weights[at]) - static_cast<double>(values[at]);
                }
            return d;
        };
        const Eigen::MatrixXd h = Eigen::Map<const Eigen::MatrixXd>(c.inputs.gram.data(), kCols, kCols);
        const auto objective = [&](const QuantizedTensor& tensor) {
            const Eigen::MatrixXd d = differences(restored(tensor));
            return (s * d * h * d.transpose()).trace();
        };
        for (const char* scheme : {"int3:g32", "int4:asym:s=f16", "gguf:q4_0", "gguf:iq4_nl"})
            for (const std::string spec : {"gptq", "gptq:polish=2"}) {
                QuantizerReport report;
                const QuantizedTensor together =
                    c.quantize(scheme, spec + ":rows=together:rowdamp=0.05", &report).value();
                QCOMPARE(report.objective, std::string("tr(S·ΔW·H·ΔWᵀ)"));
                const double reached = objective(together);
                const double rtn = objective(c.quantize(scheme, "rtn").value());
                const QuantizedTensor alone = c.quantize(scheme, spec).value();
                QVERIFY2(std::fabs(report.reached - reached) <= 1e-6 * reached, scheme);
                QVERIFY2(std::fabs(report.rtn - rtn) <= 1e-6 * rtn, scheme);
                QVERIFY2(reached < 0.8 * objective(alone), qPrintable(QString::number(reached / objective(alone))));

                const std::vector<float> found = restored(together);
                const Eigen::MatrixXd errors = differences(found);
                LayerCase shifted = c;
                shifted.inputs.outputGram.clear();
                for (Eigen::Index place = 16; place < kRows; ++place) {
                    const Eigen::Index r = order[static_cast<std::size_t>(place)];
                    for (Eigen::Index j = 0; j < kCols; ++j) {
                        double target = static_cast<double>(c.weights[static_cast<std::size_t>(r * kCols + j)]);
                        for (Eigen::Index k = 0; k < 16; ++k)
                            target += share(place - 16, k) * errors(order[static_cast<std::size_t>(k)], j);
                        shifted.weights[static_cast<std::size_t>(r * kCols + j)] = static_cast<float>(target);
                    }
                }
                const std::vector<float> expected = restored(shifted.quantize(scheme, spec).value());
                int other = 0;
                for (std::size_t i = 0; i < found.size(); ++i)
                    other += std::fabs(found[i] - expected[i]) > 1e-5F ? 1 : 0;
                QVERIFY2(other <= kRows * kCols / 100,
                         qPrintable(QStringLiteral("%1 %2").arg(QLatin1String(scheme)).arg(other)));
            }
        // Where no output depends on another, or none matters, rows are as by themselves, but for ties that the
        // rounding of sums over other tiles decides.
        for (std::size_t i = 0; i < c.inputs.outputGram.size(); ++i)
            c.inputs.outputGram[i] = i % (kRows + 1) == 0 ? 1.0F : 0.0F;
        const std::vector<float> alone = restored(c.quantize("int3:g32", "gptq:rows=alone").value());
        const auto asAlone = [&] {
            const std::vector<float> together = restored(c.quantize("int3:g32", "gptq:rows=together").value());
            int other = 0;
            for (std::size_t i = 0; i < alone.size(); ++i)
                other += std::fabs(together[i] - alone[i]) > 1e-5F ? 1 : 0;
            return other <= kRows * kCols / 100;
        };
        QVERIFY(asAlone());
        c.inputs.outputGram.assign(c.inputs.outputGram.size(), 0.0F);
        QVERIFY(asAlone());
        c.inputs.outputGram.resize(7);
        QVERIFY(!c.quantize("int3:g32", "gptq:rows=together"));
        c.inputs.outputGram.clear(); // not known: the error says how to get it
        const auto lacking = c.quantize("int3:g32", "gptq:rows=together");
        QVERIFY(!lacking && lacking.error().what.find("--output-gram") != std::string::npos);
    }

    void rowsTogetherAreTheSameForEveryThreadCount()
    {
        LayerCase c = layerCase(130, 96, 43);
        const ActivationStatistics outputs = statisticsOf(correlatedInputs(400, 130, 4, 0.2, 44), 130);
        c.inputs.outputGram.assign(outputs.gram.begin(), outputs.gram.end());
        c.weights[5] = std::numeric_limits<float>::infinity();
        c.weights[77] = std::numeric_limits<float>::quiet_NaN();
        Executor one(1);
        Executor three(3);
        for (const char* scheme : {"int4:g32", "gguf:iq4_nl", "int4:tensor"}) {
            const QuantizedTensor q = c.quantize(scheme, "gptq:polish=1:rows=together", nullptr, one).value();
            QVERIFY(sameBits(q, c.quantize(scheme, "gptq:polish=1:rows=together", nullptr, three).value()));
            const std::vector<float> values = restored(q);
            QVERIFY(std::ranges::all_of(values, [](float x) { return std::isfinite(x); }));
        }
    }

    void everyThreadCountGivesTheSame()
    {
        const LayerCase c = layerCase(300, 256);
        Executor one(1);
        Executor three(3);
        for (const char* scheme : {"int4:g64", "int3:asym", "e2m1:tensor", "gguf:q5_1", "gguf:iq2_xs", "bcq3"})
            for (const char* spec : {"gptq:polish=2", "gptq:order=act:groups=static"}) {
                QuantizerReport first;
                QuantizerReport second;
                const QuantizedTensor a = c.quantize(scheme, spec, &first, one).value();
                const QuantizedTensor b = c.quantize(scheme, spec, &second, three).value();
                QVERIFY(sameBits(a, b));
                QCOMPARE(first.reached, second.reached);
            }
    }

    void oddShapesAndValues()
    {
        constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
        constexpr float kInf = std::numeric_limits<float>::infinity();
        for (const auto& [rows, cols] : {std::pair{1, 1}, {1, 5}, {3, 33}, {17, 1}, {129, 70}}) {
            LayerCase c = layerCase(rows, cols);
            for (const char* scheme : {"int4:g32", "int4", "e2m1:g16", "int4:g32:asym", "int3:tensor"})
                for (const char* spec : {"gptq:polish=1", "gptq:order=act:groups=static"}) {
                    c.weights.assign(c.weights.size(), 0);
                    for (const float x : restored(c.quantize(scheme, spec).value()))
                        QCOMPARE(x, 0.0F);
                    c.weights.assign(c.weights.size(), 0.75F);
                    for (const float x : restored(c.quantize(scheme, spec).value()))
                        QVERIFY(std::fabs(x - 0.75F) < 0.15F);
                    c.weights = layerCase(rows, cols).weights;
                    c.weights.front() = kNan;
                    c.weights.back() = -kInf;
                    const std::vector<float> values = restored(c.quantize(scheme, spec).value());
                    for (const float x : values)
                        QVERIFY(std::isfinite(x));
                    if (values.size() > 1)
                        QVERIFY(values.back() <= 0);
                }
        }
    }

    void inputsThatSayLittle()
    {
        LayerCase c = layerCase(8, 64);
        // A channel that is always 0, and one that repeats another: H is singular.
        for (std::size_t i = 0; i < 64; ++i) {
            c.inputs.gram[7 * 64 + i] = c.inputs.gram[i * 64 + 7] = 0;
            c.inputs.gram[i * 64 + 9] = c.inputs.gram[i * 64 + 8];
        }
        for (std::size_t i = 0; i < 64; ++i)
            c.inputs.gram[9 * 64 + i] = c.inputs.gram[8 * 64 + i];
        c.inputs.gram[9 * 64 + 9] = c.inputs.gram[8 * 64 + 8];
        QVERIFY(c.error(c.quantize("int4:g32", "gptq:damp=0").value()) <
                c.error(c.quantize("int4:g32", "rtn").value()));
        // Nothing at all: rtn's codes, and it is said.
        c.inputs.gram.assign(c.inputs.gram.size(), 0);
        QuantizerReport report;
        const QuantizedTensor q = c.quantize("int4:g32", "gptq", &report).value();
        QVERIFY(report.keptRtn);
        QVERIFY(sameBits(q, c.quantize("int4:g32", "rtn").value()));
        // Not numbers.
        c.inputs.gram.assign(c.inputs.gram.size(), std::numeric_limits<double>::quiet_NaN());
        QVERIFY(!c.quantize("int4:g32", "gptq"));
        c.inputs.gram.clear();
        QCOMPARE(c.quantize("int4:g32", "gptq").error().code, Errc::usage);
    }

    /// Ranges of rows that see inputs of their own are coded as if each were a layer.
    void stacksOfExperts()
    {
        const LayerCase first = layerCase(12, 64, 21);
        const LayerCase second = layerCase(12, 64, 22);
        LayerCase both{36, 64, first.weights, {}};
        both.weights.insert(both.weights.end(), second.weights.begin(), second.weights.end());
        both.weights.insert(both.weights.end(), first.weights.begin(), first.weights.end());
        both.inputs = first.inputs;
        both.inputs.gram.clear();
        both.inputs.parts = {first.inputs, second.inputs, ActivationStatistics{}};
        const std::vector<float> found = restored(both.quantize("int4:g32", "gptq").value());
        std::vector<float> expected = restored(first.quantize("int4:g32", "gptq").value());
        for (const float x : restored(second.quantize("int4:g32", "gptq").value()))
            expected.push_back(x);
        for (const float x : restored(first.quantize("int4:g32", "rtn").value())) // no token went there
            expected.push_back(x);
        QVERIFY(sameBits(found, expected));
    }

    /// Blocks whose codes are of eight or four weights, or whose levels are their own: feedback beats the search under
    /// the importance of inputs by far, and descent what feedback found.
    void cellsAreCodedTogether()
    {
        const LayerCase c = layerCase(16, 512, 41);
        int formats = 0;
        for (const BlockFormat* block : allBlockFormats()) {
            if (!block->codesCells()) {
                QCOMPARE(c.quantize(std::string(block->id), "gptq").has_value(), block->codesElements());
                continue;
            }
            ++formats;
            const std::string id(block->id);
            const double searched = c.error(c.quantize(id, "imatrix").value());
            const double fed = c.error(c.quantize(id, "gptq").value());
            const double natural = c.error(c.quantize(id, "gptq:order=natural").value());
            const double polished = c.error(c.quantize(id, "gptq:polish=2").value());
            QVERIFY2(fed < 0.7 * searched, (id + " " + std::to_string(fed / searched)).c_str());
            QVERIFY2(natural < 0.7 * searched, (id + " " + std::to_string(natural / searched)).c_str());
            QVERIFY2(polished < fed, (id + " " + std::to_string(polished / fed)).c_str());
        }
        QVERIFY(formats >= 5);
    }

    void oddValuesInCells()
    {
        constexpr float kInf = std::numeric_limits<float>::infinity();
        LayerCase c = layerCase(3, 512, 43);
        c.weights[5] = std::numeric_limits<float>::quiet_NaN();
        c.weights[300] = kInf;
        c.weights[1023] = -kInf;
        for (const BlockFormat* block : allBlockFormats())
            for (const char* spec : {"gptq", "gptq:polish=1"}) {
                if (!block->codesElements() && !block->codesCells())
                    continue;
                const std::vector<float> values = restored(c.quantize(std::string(block->id), spec).value());
                for (const float x : values)
                    QVERIFY2(std::isfinite(x), std::string(block->id).c_str());
                if (block->codesCells()) {
                    QVERIFY2(values[300] > 0, std::string(block->id).c_str());
                    QVERIFY2(values[1023] < 0, std::string(block->id).c_str());
                }
                c.weights.assign(c.weights.size(), 0);
                for (const float x : restored(c.quantize(std::string(block->id), spec).value()))
                    QCOMPARE(x, 0.0F);
                c.weights = layerCase(3, 512, 43).weights;
                c.weights[5] = std::numeric_limits<float>::quiet_NaN();
                c.weights[300] = kInf;
                c.weights[1023] = -kInf;
            }
    }

    void stopsWhenAsked()
    {
        const LayerCase c = layerCase(256, 256);
        std::stop_source stop;
        stop.request_stop();
        const auto result = ql::quantize({.weights = c.view(),
                                          .scheme = parseScheme("int4").value(),
                                          .spec = parseQuantizerSpec("gptq").value(),
                                          .inputs = &c.inputs},
                                         JobContext(sharedExecutor(), stop.get_token()));
        QVERIFY(!result);
        QCOMPARE(result.error().code, Errc::cancelled);
    }
};

QTEST_APPLESS_MAIN(GptqTest)
#include "gptq_test.moc"
