// SPDX-License-Identifier: GPL-3.0-or-later
// Walks every quantizer over every scheme it accepts.
#include "tests/support/layer_inputs.h"
#include "tests/support/quantize_support.h"

#include <cmath>

using namespace ql;
using namespace ql::tests;

class EveryQuantizerTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void isWhatItSays()
    {
        QVERIFY(allQuantizers().size() >= 2);
        for (const Quantizer* quantizer : allQuantizers()) {
            QCOMPARE(findQuantizer(quantizer->id).value(), quantizer);
            QVERIFY(!quantizer->title.empty() && !quantizer->formula.empty() && !quantizer->source.empty());
            const std::vector<std::string> options = quantizer->options();
            QVERIFY(!options.empty() && options.front().empty());
            for (const std::string& option : options) {
                const std::string text = std::string(quantizer->id) + (option.empty() ? "" : ":" + option);
                QCOMPARE(printQuantizerSpec(parseQuantizerSpec(text).value()), text);
            }
        }
    }

    void everySchemeItAccepts_data()
    {
        QTest::addColumn<QByteArray>("scheme");
        for (const std::string& text : scaledSchemes())
            QTest::newRow(text.c_str()) << QByteArray::fromStdString(text);
    }
    void everySchemeItAccepts()
    {
        QFETCH(QByteArray, scheme);
        const std::vector<float> w = normalSamples(12 * 300, 21);
        const TensorView view = viewOf(w, {12, 300});
        const Scheme parsed = parseScheme(scheme.toStdString()).value();
        const double plain = squaredError(view, quantized(view, scheme.toStdString()));
        static const ActivationStatistics inputs = statisticsOf(correlatedInputs(600, 300), 300);
        double squares = 0;
        for (const float x : w)
            squares += static_cast<double>(x) * static_cast<double>(x);
        // Without a level 0 the scale that reaches the largest weight may be worse than zeros everywhere.
        const bool rangesDo = parsed.element->hasZero();
        QVERIFY(plain < squares || !rangesDo);
        for (const Quantizer* quantizer : allQuantizers()) {
            for (const std::string& option : quantizer->options()) {
                QuantizerReport report;
                QuantizerSpec spec{std::string(quantizer->id), option, {}};
                for (const QuantizerOption& value : quantizer->values) // learners: as long as others take
                    if (value.key == "iterations" && value.most > 1000)
                        spec.values["iterations"] = "15";
                const QuantizeTask task{
                    .weights = view, .scheme = parsed, .spec = spec, .inputs = &inputs, .report = &report};
                const auto accepted = quantizer->accepts(parsed, task.spec);
                const auto result = quantize(task, JobContext(sharedExecutor()));
                QCOMPARE(result.has_value(), accepted.has_value());
                if (!accepted) {
                    QCOMPARE(accepted.error().code, Errc::usage);
                    QVERIFY(!accepted.error().what.empty());
                    continue;
                }
                const double error = squaredError(view, *result);
                // Chance keeps the mean of each weight, at the price of a larger error than nearest codes have.
                const bool meansToBeNear = quantizer->needs != InputNeeds::gram && option != "stochastic";
                QVERIFY(error < squares || !meansToBeNear || !rangesDo);
                if (!report.objective.empty())
                    QVERIFY(report.reached <= report.rtn && (report.reached < report.rtn || report.keptRtn));
                Executor three(3);
                QVERIFY(sameBits(quantize(task, JobContext(three)).value(), *result));
                if (quantizer->id == "mse")
                    QVERIFY(error <= plain);
            }
        }
    }

    void mseIsBetterWhereClippingHelps()
    {
        const std::vector<float> w = normalSamples(64 * 1024, 22);
        const TensorView view = viewOf(w, {64, 1024});
        for (const char* scheme : {"int3:g128", "int4", "int4:tensor", "int4:asym", "e2m1", "nf4", "mxint4", "nvfp4",
                                   "nvint4", "gguf:q4_0", "gguf:q4_1", "int4:g64:s=bf16", "e4m3"}) {
            const double plain = squaredError(view, quantized(view, scheme));
            const double searched = squaredError(view, quantized(view, scheme, "mse"));
            QVERIFY2(searched < plain, scheme);
            QVERIFY(searched <= squaredError(view, quantized(view, scheme, "mse:steps=1")));
        }
        // Finer grids that contain the coarser one are not worse.
        const double coarse = squaredError(view, quantized(view, "int4", "mse:steps=20"));
        QVERIFY(squaredError(view, quantized(view, "int4", "mse:steps=40")) <= coarse);
        for (const char* scheme : {"gguf:q4_0", "gguf:q5_0"})
            QVERIFY(squaredError(view, quantized(view, scheme, "mse")) <=
                    squaredError(view, quantized(view, scheme, "rtn:ggml")));
    }

    void specsSayTheMend_data()
    {
        QTest::addColumn<QByteArray>("text");
        QTest::addColumn<QByteArray>("hint");
        const auto row = [](const char* text, const char* hint) {
            QTest::newRow(text) << QByteArray(text) << QByteArray(hint);
        };
        row("gptp", "rtn, mse");
        row("", "rtn, mse");
        row("rtn:nearest", "ct, ocp, round, ggml, away, stochastic");
        row("rtn:ct:ocp", "more than one");
        row("rtn:", "no option");
        row("mse:fast", "has none");
        row("mse:steps=2:steps=3", "twice");
    }
    void specsSayTheMend()
    {
        QFETCH(QByteArray, text);
        QFETCH(QByteArray, hint);
        const auto spec = parseQuantizerSpec(text.toStdString());
        QVERIFY(!spec);
        QCOMPARE(spec.error().code, Errc::usage);
        QVERIFY2(QByteArray::fromStdString(spec.error().what).contains(hint), spec.error().what.c_str());
    }

    void acceptsRefuses_data()
    {
        QTest::addColumn<QByteArray>("scheme");
        QTest::addColumn<QByteArray>("spec");
        QTest::addColumn<bool>("accepted");
        const auto row = [](const char* scheme, const char* spec, bool accepted) {
            QTest::addRow("%s@%s", scheme, spec) << QByteArray(scheme) << QByteArray(spec) << accepted;
        };
        row("int4:g128", "rtn:ct", true);
        row("int8:s=bf16", "rtn:ct", true);
        row("int4:g128:asym:s=f16", "rtn:ct", true);
        row("e2m1", "rtn:ct", false);
        row("mxint8", "rtn:ct", false);
        row("gguf:q4_1", "rtn:ct", false);
        row("mxfp4", "rtn:ocp", true);
        row("mxfp4", "rtn:round", true);
        row("int8:g32:s=e8m0", "rtn:ocp", true);
        row("int4:g128", "rtn:ocp", false);
        row("nvfp4", "rtn:round", false);
        row("gguf:q8_0", "rtn:ggml", true);
        row("int8:g32:s=f16", "rtn:ggml", false);
        row("int4", "mse:steps=1", true);
        row("int4", "mse:steps=0", false);
        row("int4", "mse:steps=1001", false);
        row("int4", "mse:steps=many", false);
        row("int4", "mse:grid=3", false);
        row("int4", "rtn:steps=3", false);
        row("nf4:g64", "rtn:away", true);
        row("nvfp4", "rtn:stochastic:seed=3", true);
        row("int4", "rtn:stochastic:seed=-1", false);
        row("int4", "rtn:stochastic:seed=0.5", false);
        row("int4", "rtn:seed=3", false);
        row("int4", "rtn:away:seed=3", false);
        row("gguf:q4_k", "rtn:stochastic", false);
        row("gguf:q4_k", "rtn:away", false);
    }
    void acceptsRefuses()
    {
        QFETCH(QByteArray, scheme);
        QFETCH(QByteArray, spec);
        QFETCH(bool, accepted);
        const QuantizerSpec parsed = parseQuantizerSpec(spec.toStdString()).value();
        QCOMPARE(printQuantizerSpec(parsed), spec.toStdString());
        const auto result =
            findQuantizer(parsed.id).value()->accepts(parseScheme(scheme.toStdString()).value(), parsed);
        QCOMPARE(result.has_value(), accepted);
        if (!result)
            QVERIFY(result.error().code == Errc::usage && !result.error().what.empty());
    }
};

QTEST_APPLESS_MAIN(EveryQuantizerTest)
#include "every_quantizer_test.moc"
