// SPDX-License-Identifier: GPL-3.0-or-later
// What is said of entries is true: storage adds up to what is counted and what closed forms say, formulas of levels
// give the levels, and every format, scheme and quantizer of the lists has something to say.
#include "core/formats/block_format.h"
#include "core/plan/explain.h"
#include "core/plan/plan.h"
#include "core/quantizers/options.h"

#include <QTest>

#include <algorithm>
#include <cmath>

using namespace ql;

namespace {

bool has(const Explanation& explanation, std::string_view what)
{
    return std::ranges::any_of(explanation.facts,
                               [&](const Fact& fact) { return fact.what == what && !fact.text.empty(); });
}

std::string textOf(const Explanation& explanation, std::string_view what)
{
    for (const Fact& fact : explanation.facts)
        if (fact.what == what)
            return fact.text;
    return {};
}

double bitsOf(const Explanation& explanation, std::string_view beginning)
{
    for (const StorageLine& line : explanation.storage)
        if (line.what.starts_with(beginning))
            return line.bitsPerWeight;
    return 0;
}

} // namespace

class ExplainTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void storageAddsUp_data()
    {
        QTest::addColumn<QString>("scheme");
        for (const std::string& text : exampleSchemes())
            QTest::newRow(text.c_str()) << QString::fromStdString(text);
    }
    void storageAddsUp()
    {
        QFETCH(QString, scheme);
        const Candidate candidate = parseCandidate(scheme.toStdString()).value();
        for (const Shape& shape : {Shape{4096, 4096}, Shape{3, 256}, Shape{5, 7, 1, 256}, Shape{1, 512}}) {
            const Explanation explained = explain(candidate, shape).value();
            QVERIFY(!explained.title.empty());
            QVERIFY(has(explained, "restored"));
            const MatrixShape matrix = matrixShape(shape);
            const auto weights = static_cast<double>(numel(shape));
            double sum = 0;
            std::int64_t bits = 0;
            for (const StorageLine& line : explained.storage) {
                QCOMPARE(line.bitsPerWeight, static_cast<double>(line.count * line.bitsEach) / weights);
                sum += line.bitsPerWeight;
                bits += line.count * line.bitsEach;
            }
            if (candidate.weights.isKeep()) {
                QVERIFY(explained.storage.empty());
                continue;
            }
            QCOMPARE(bits, payloadBits(candidate.weights, matrix.rows, matrix.cols));
            QCOMPARE(explained.bitsPerWeight, static_cast<double>(bits) / weights);
            QVERIFY(std::fabs(sum - explained.bitsPerWeight) < 1e-9);
        }
    }

    void storageIsTheClosedForm()
    {
        const auto of = [](const char* text, const Shape& shape) {
            return explain(*parseCandidate(text), shape).value();
        };
        const Explanation asym = of("int4:g64:asym:s=f16", {128, 256});
        QCOMPARE(bitsOf(asym, "codes"), 4.0);
        QCOMPARE(bitsOf(asym, "scales"), 16.0 / 64);
        QCOMPARE(bitsOf(asym, "zero points"), 4.0 / 64);
        QCOMPARE(asym.bitsPerWeight, 4.3125);
        const Explanation channel = of("int8:channel", {128, 256});
        QCOMPARE(bitsOf(channel, "scales, one for each row"), 32.0 / 256);
        QCOMPARE(of("int8:tensor", {128, 256}).storage[1].count, 1);
        const Explanation nv = of("nvfp4", {16, 32});
        QCOMPARE(nv.bitsPerWeight, 4 + 8.0 / 16 + 32.0 / 512);
        QCOMPARE(bitsOf(nv, "scale of the tensor"), 32.0 / 512);
        // A short last group has a scale in full.
        QCOMPARE(of("int4:g128", {10, 200}).storage[1].count, 20);
        QCOMPARE(of("gguf:q4_k", {2, 512}).bitsPerWeight, 8.0 * 144 / 256);
        QCOMPARE(of("bf16", {3, 5}).bitsPerWeight, 16.0);
    }

    void everyFormatHasItsLevels()
    {
        for (const FormatFamily* family : allFormatFamilies())
            for (const std::string& id : family->instances()) {
                const NumberFormatPtr format = findNumberFormat(id).value();
                const Explanation explained = explainFormat(*format);
                QCOMPARE(explained.name, id);
                QVERIFY2(!explained.title.empty() && has(explained, "source"), id.c_str());
                QVERIFY2(std::ranges::is_sorted(explained.levels), id.c_str());
                if (format->kind == FormatKind::integer || format->kind == FormatKind::minifloat ||
                    format->kind == FormatKind::codebook) {
                    QCOMPARE(explained.levels, format->grid.levels);
                    QVERIFY2(has(explained, "level") && has(explained, "levels"), id.c_str());
                }
            }
        QCOMPARE(textOf(explainFormat(**findNumberFormat("int4")), "levels"), std::string("16 levels from -8 to 7"));
        QCOMPARE(textOf(explainScheme(*parseScheme("int4:restricted")), "levels"),
                 std::string("15 levels from -7 to 7"));
    }

    /// The levels by the formula as it is printed.
    void theFormulaOfMinifloatsIsTrue()
    {
        for (const FormatFamily* family : allFormatFamilies())
            for (const std::string& id : family->instances()) {
                const NumberFormatPtr format = findNumberFormat(id).value();
                if (format->kind != FormatKind::minifloat)
                    continue;
                const std::string formula = textOf(explainFormat(*format), "level");
                int bias = -1;
                int mantissa = -1;
                int least = -1000;
                int leastMantissa = -1;
                QCOMPARE(std::sscanf(formula.c_str(), "±2^(e − %d)·(1 + m/2^%d), and ±2^%d·m/2^%d", &bias, &mantissa,
                                     &least, &leastMantissa),
                         4);
                QCOMPARE(leastMantissa, mantissa);
                const auto magnitudes = std::size_t{1} << static_cast<unsigned>(format->bits - 1);
                for (std::size_t code = 0; code < magnitudes; ++code) {
                    const int e = static_cast<int>(code >> static_cast<unsigned>(mantissa));
                    const double m = static_cast<double>(code % (std::size_t{1} << static_cast<unsigned>(mantissa))) /
                                     std::ldexp(1, mantissa);
                    const double level = e == 0 ? std::ldexp(m, least) : std::ldexp(1 + m, e - bias);
                    if (std::isfinite(format->levels[code]))
                        QCOMPARE(static_cast<double>(format->levels[code]), level);
                }
            }
    }

    void everyQuantizerHasItsOptions()
    {
        for (const Quantizer* quantizer : allQuantizers()) {
            const Explanation explained = explainQuantizer(*quantizer);
            QCOMPARE(explained.title, std::string(quantizer->title));
            QVERIFY(has(explained, "choice") && has(explained, "needs"));
            const auto words = quantizer->options();
            QCOMPARE(explained.options.size(), words.size() - 1 + quantizer->values.size());
            for (const QuantizerOption& option : quantizer->values)
                QVERIFY(std::ranges::any_of(explained.options, [&](const ExplainedOption& shown) {
                    return shown.text == printOption(option) && shown.meaning == option.meaning &&
                           shown.fallback == option.fallback;
                }));
            QVERIFY(explained.storage.empty());
        }
    }

    void aCandidateIsSchemeAndQuantizer()
    {
        const Explanation explained = explain(*parseCandidate("int4:g64+a:int8:token@mse"), {64, 128}).value();
        QCOMPARE(explained.name, std::string("int4:g64+a:int8@mse"));
        QVERIFY(has(explained, "restored") && has(explained, "choice") && has(explained, "inputs"));
        QVERIFY(!explained.options.empty());
        const Explanation cast = explain(*parseCandidate("bf16"), {64, 128}).value();
        QVERIFY(!has(cast, "choice") && cast.options.empty());
        QCOMPARE(textOf(explainScheme(*parseScheme("mxfp4")), "means"), std::string("e2m1:g32:s=e8m0"));
    }
};

QTEST_APPLESS_MAIN(ExplainTest)
#include "explain_test.moc"
