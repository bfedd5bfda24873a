// SPDX-License-Identifier: GPL-3.0-or-later
// AdaQuant and OmniQuant's clipping: the published figures, clipping against all factors, never worse than what they
// start from, objectives term by term.
#include "core/formats/block_format.h"
#include "core/formats/element_coder.h"
#include "tests/support/acceptance.h"
#include "tests/support/layer_case.h"

#include <cmath>
#include <limits>

using namespace ql;
using namespace ql::tests;

namespace {

/// The objective of each row.
std::vector<double> errorsOfRows(const LayerCase& c, const QuantizedTensor& q)
{
    const std::vector<float> values = restored(q);
    std::vector<double> errors;
    for (std::int64_t r = 0; r < c.rows; ++r)
        errors.push_back(outputError({c.weights.begin() + r * c.cols, c.weights.begin() + (r + 1) * c.cols},
                                     {values.begin() + r * c.cols, values.begin() + (r + 1) * c.cols}, c.inputs));
    return errors;
}

} // namespace

class StraightThroughTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    /// Methods B1, acceptance iii and iv.
    void publishedFigures()
    {
        const LayerCase c = layerCase(64, 128, 3, 2048);
        LayerCase unseen = c;
        unseen.inputs = unseenInputs(2048, 128, 3);
        const std::string published = "adaquant:start=rtn:moment=weight:iterations=300:rate=0.01:rangerate=0.01";
        for (const std::string scheme : {"int3", "int3:asym"})
            for (const std::string& spec :
                 {published, std::string("adaquant:start=rtn:rate=0.01:rangerate=0.01"), std::string("adaquant")}) {
                const QuantizedTensor rtn = c.quantize(scheme, "rtn").value();
                const QuantizedTensor learned = c.quantize(scheme, spec).value();
                QL_AT_LEAST("B1", ("(iii) output error of rtn over that of " + spec + ", " + scheme).c_str(),
                            c.error(rtn) / c.error(learned), 3);
                QL_AT_LEAST("B1", ("(iv) the same on inputs that were not seen, " + spec + ", " + scheme).c_str(),
                            unseen.error(rtn) / unseen.error(learned), 3);
                if (scheme == "int3:asym" && spec == published)
                    QL_AT_LEAST("B1",
                                ("(iii) weights' squared error of " + spec + " over that of rtn, " + scheme).c_str(),
                                squaredError(c.view(), learned) / squaredError(c.view(), rtn), 1.05);
                if (spec != "adaquant")
                    QVERIFY(c.error(learned) < c.error(c.quantize(scheme, spec + ":ranges=fixed").value()));
            }
        QVERIFY(c.error(c.quantize("int3", "adaquant").value()) < 0.95 * c.error(c.quantize("int3", "gptq").value()));
    }

    /// One range a row: every clipping factor of 1000.
    void clippingIsCloseToTheBestOfAllFactors()
    {
        const LayerCase c = layerCase(24, 96, 5);
        for (const char* scheme : {"int3", "e2m1", "nf4"}) {
            const QuantizedTensor clipped = c.quantize(scheme, "omniquant:damp=0:iterations=400").value();
            std::vector<double> best(24, std::numeric_limits<double>::infinity());
            const QuantizedTensor rtn = c.quantize(scheme, "rtn").value();
            for (int i = 1; i <= 1000; ++i) {
                QuantizedTensor tried = c.quantize(scheme, "rtn").value();
                for (std::int64_t r = 0; r < c.rows; ++r) {
                    const auto row = static_cast<std::size_t>(r);
                    tried.scales[row] = rtn.scales[row] * static_cast<float>(i) / 1000;
                    const Affine affine{.scale = tried.scales[row]};
                    encodeRun(ElementCoder(tried.scheme), affine, c.weights.data() + r * c.cols, c.cols,
                              tried.codes.as<std::uint8_t>() + r * c.cols);
                }
                const std::vector<double> errors = errorsOfRows(c, tried);
                for (std::size_t r = 0; r < best.size(); ++r)
                    best[r] = std::min(best[r], errors[r]);
            }
            const std::vector<double> reached = errorsOfRows(c, clipped);
            double sumReached = 0;
            double sumOfBest = 0;
            for (std::size_t r = 0; r < best.size(); ++r) {
                sumReached += reached[r];
                sumOfBest += best[r];
            }
            QVERIFY2(sumReached <= 1.15 * sumOfBest, qPrintable(QString::number(sumReached / sumOfBest)));
            QVERIFY(sumReached < 0.8 * c.error(rtn));
        }
    }

    void noRowGetsWorse()
    {
        const LayerCase c = layerCase(40, 192, 9);
        for (const char* scheme : {"int3:g64", "int3:g64:asym:s=f16", "int4:g32:min", "e2m1:g32", "nf4:g64", "nvfp4",
                                   "int4:g32:s=e8m0", "int3:tensor", "gguf:q4_0"})
            for (const char* start : {"rtn", "mse", "gptq"}) {
                if (std::string_view(scheme) == "int3:tensor" && std::string_view(start) != "rtn")
                    continue; // the one scale is rtn's
                const std::vector<double> before = errorsOfRows(c, c.quantize(scheme, start).value());
                const std::string spec =
                    std::string("adaquant:damp=0:iterations=60:rate=0.02:rangerate=0.01:start=") + start;
                const std::vector<double> after = errorsOfRows(c, c.quantize(scheme, spec).value());
                double sumBefore = 0;
                double sumAfter = 0;
                for (std::size_t r = 0; r < before.size(); ++r) {
                    QVERIFY2(after[r] <= before[r] * 1.0001, scheme);
                    sumBefore += before[r];
                    sumAfter += after[r];
                }
                if (std::string_view(start) != "gptq")
                    QVERIFY2(sumAfter < 0.8 * sumBefore, scheme);
                else
                    QVERIFY2(sumAfter < sumBefore, scheme);
            }
    }

    void objectivesAreTrue_data()
    {
        QTest::addColumn<QByteArray>("scheme");
        for (const char* scheme : {"int3:g32", "int4:g64:asym:s=f16", "int4:g64:min", "int2", "int4:tensor", "e2m1:g32",
                                   "mxfp4", "nvfp4", "nf4:g64", "gguf:q4_0", "gguf:q4_1", "mxint8", "int8:g128"})
            QTest::newRow(scheme) << QByteArray(scheme);
        for (const BlockFormat* block : allBlockFormats())
            if (block->codesElements())
                QTest::newRow(std::string(block->id).c_str()) << QByteArray::fromStdString(std::string(block->id));
    }
    void objectivesAreTrue()
    {
        QFETCH(QByteArray, scheme);
        static const LayerCase kCase = layerCase(20, 256);
        for (const std::string spec : {"adaquant:iterations=80", "adaquant:iterations=40:start=gptq:polish=1",
                                       "adaquant:iterations=40:start=imatrix", "omniquant:iterations=80"}) {
            const auto result = kCase.quantize(scheme.toStdString(), spec);
            if (!result) {
                QVERIFY(spec.starts_with("omniquant") && result.error().code == Errc::usage);
                continue;
            }
            QuantizerReport report;
            const QuantizedTensor q = kCase.quantize(scheme.toStdString(), spec, &report).value();
            QVERIFY(sameBits(q, *result));
            const double rtn = kCase.error(kCase.quantize(scheme.toStdString(), "rtn").value());
            const double reached = kCase.error(q);
            QVERIFY2(std::fabs(report.rtn - rtn) <= 1e-3 * rtn, qPrintable(QString::number(report.rtn / rtn)));
            QVERIFY2(std::fabs(report.reached - reached) <= 1e-3 * reached,
                     qPrintable(QString::number(report.reached / reached)));
            QVERIFY(report.keptRtn ? reached == rtn : reached < rtn);
            QVERIFY(!report.keptRtn || spec.starts_with("omniquant"));
        }
    }

    void everyThreadCountGivesTheSame()
    {
        const LayerCase c = layerCase(300, 160);
        Executor one(1);
        Executor three(3);
        for (const char* scheme : {"int4:g64:asym", "e2m1:g32", "int4:g32:min"})
            for (const char* spec : {"adaquant:iterations=20:polish=1", "omniquant:iterations=20"}) {
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
        for (const auto& [rows, cols] : {std::pair{1, 1}, {1, 5}, {3, 33}, {17, 1}, {129, 70}})
            for (const char* scheme : {"int4:g32", "e2m1:g16", "int4:g32:asym", "int4:g32:min", "nvfp4"})
                for (const std::string spec : {"adaquant:iterations=10", "omniquant:iterations=10"}) {
                    LayerCase c = layerCase(rows, cols);
                    c.weights.assign(c.weights.size(), 0);
                    for (const float x : restored(c.quantize(scheme, spec).value()))
                        QCOMPARE(x, 0.0F);
                    c.weights = layerCase(rows, cols).weights;
                    const std::vector<float> plain = restored(c.quantize(scheme, spec).value());
                    for (const float size : {0x1p-60F, 0x1p60F}) { // learns alike
                        c.weights = layerCase(rows, cols).weights;
                        for (float& w : c.weights)
                            w *= size;
                        const std::vector<float> sized = restored(c.quantize(scheme, spec).value());
                        for (std::size_t i = 0; i < sized.size(); ++i)
                            QVERIFY(std::fabs(sized[i] / size - plain[i]) < 1.5F);
                    }
                    c.weights = layerCase(rows, cols).weights;
                    c.weights.front() = kNan;
                    c.weights.back() = -kInf;
                    const std::vector<float> values = restored(c.quantize(scheme, spec).value());
                    for (const float x : values)
                        QVERIFY(std::isfinite(x));
                    if (values.size() > 1 && std::string_view(scheme) != "int4:g32:min") // all may be above 0
                        QVERIFY(values.back() <= 0);
                }
    }

    /// Ranges of rows that see inputs of their own learn as if each were a layer.
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
        for (const char* spec :
             {"adaquant:iterations=30:start=mse", "omniquant:iterations=30", "adaround:iterations=30"}) {
            std::vector<float> expected = restored(first.quantize("int4:g32", spec).value());
            for (const float x : restored(second.quantize("int4:g32", spec).value()))
                expected.push_back(x);
            for (const float x : restored(first.quantize("int4:g32", "rtn").value())) // no token went there
                expected.push_back(x);
            QVERIFY2(sameBits(restored(both.quantize("int4:g32", spec).value()), expected), spec);
        }
    }

    void stopsAndRefuses()
    {
        const LayerCase c = layerCase(256, 256);
        std::stop_source stop;
        stop.request_stop();
        for (const char* spec : {"adaquant", "omniquant"}) {
            const auto stopped = ql::quantize({.weights = c.view(),
                                               .scheme = parseScheme("int4").value(),
                                               .spec = parseQuantizerSpec(spec).value(),
                                               .inputs = &c.inputs},
                                              JobContext(sharedExecutor(), stop.get_token()));
            QVERIFY(!stopped);
            QCOMPARE(stopped.error().code, Errc::cancelled);
        }
        for (const char* spec : {"adaquant:ranges=some", "adaquant:rangerate=2", "omniquant:rate=0"})
            QCOMPARE(c.quantize("int4", spec).error().code, Errc::usage);
        QVERIFY(c.quantize("int4:tensor", "omniquant").error().what.find("adaquant") != std::string::npos);
        QCOMPARE(c.quantize("gguf:q4_k", "omniquant").error().code, Errc::usage);
        const JobContext little(sharedExecutor(), {}, nullptr, 200'000);
        const auto large = ql::quantize({.weights = c.view(),
                                         .scheme = parseScheme("int4").value(),
                                         .spec = parseQuantizerSpec("adaquant:start=rtn").value(),
                                         .inputs = &c.inputs},
                                        little);
        QVERIFY(!large && large.error().what.find("learned") != std::string::npos);
    }
};

QTEST_APPLESS_MAIN(StraightThroughTest)
#include "straight_through_test.moc"
