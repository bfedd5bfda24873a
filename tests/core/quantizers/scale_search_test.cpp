// SPDX-License-Identifier: GPL-3.0-or-later
// The search against trying every candidate, and the bounds it rests on against the error itself.
#include "core/base/sum.h"
#include "core/quantizers/scale_search.h"
#include "core/quantizers/unit_quantizer.h"
#include "tests/support/quantize_support.h"
#include "tests/support/vector_targets.h"

using namespace ql;
using namespace ql::tests;

namespace {

constexpr std::int64_t kCount = 45;

/// Shrunk ranges and scales of both signs, some of them twice.
Candidates someCandidates()
{
    return {.count = kCount,
            .fill =
                [](const RunRange& range, const ScaleRule& rule, const RunParameters& own, std::int64_t first,
                   std::span<RunParameters> out) {
                    for (RunParameters& parameters : out) {
                        const std::int64_t i = first++;
                        parameters = rule.chooseShrunk(range, 1 - 0.02F * static_cast<float>(i / 2));
                        if (i % 5 == 4)
                            parameters = rule.withScale(range, -own.scale * (1 - 0.01F * static_cast<float>(i)));
                    }
                },
            .shrinking = 0};
}

std::vector<RunParameters> allOf(const RunRange& range, const ScaleRule& rule)
{
    std::vector<RunParameters> all(kCount + 1, rule.choose(range));
    someCandidates().fill(range, rule, all.front(), 0, std::span(all).subspan(1));
    return all;
}

std::vector<float> scaled(std::vector<float> values, float factor)
{
    for (float& value : values)
        value *= factor;
    return values;
}

} // namespace

class ScaleSearchTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void isTheChoiceOfTryingAll_data()
    {
        QTest::addColumn<QByteArray>("scheme");
        for (const std::string& text : scaledSchemes())
            QTest::newRow(text.c_str()) << QByteArray::fromStdString(text);
    }
    void isTheChoiceOfTryingAll()
    {
        QFETCH(QByteArray, scheme);
        const Scheme parsed = parseScheme(scheme.toStdString()).value();
        const ElementCoder coder(parsed);
        const Candidates candidates = someCandidates();
        for (const float factor : {1.0F, 1e-30F, 1e-36F, 1e25F, 1e37F})
            for (const std::int64_t n : {1, 5, 16, 33, 64, 200}) {
                std::vector<float> w = scaled(normalSamples(n, static_cast<std::uint64_t>(n)), factor);
                if (n == 33)
                    w[7] = std::numeric_limits<float>::quiet_NaN();
                const RunRange range = rangeOfRun(w.data(), n);
                const ScaleRule rule(parsed, RangeRule::standard, Dtype::f32, tensorScaleFor(parsed, range.absMax));
                std::vector<float> finite = w;
                for (float& x : finite)
                    x = std::isfinite(x) ? x : 0;
                const auto all = allOf(range, rule);
                std::vector<Affine> affines;
                std::vector<double> errors;
                for (const RunParameters& parameters : all) {
                    affines.push_back(rule.affine(parameters));
                    errors.push_back(squaredErrorOfRun(coder, affines.back(), finite.data(), n));
                }
                const auto least = std::ranges::min_element(errors) - errors.begin();
                test::forEachVectorTarget([&](const std::string& target) {
                    std::vector<float> rough(all.size());
                    roughErrorsOfRun(coder, affines, finite.data(), n, rough.data());
                    const RoughBounds bounds(coder, n, n, range.absMax);
                    for (std::size_t i = 0; i < all.size(); ++i) {
                        const ErrorBounds found = bounds.of(affines[i], static_cast<double>(rough[i]));
                        QVERIFY2(found.least <= errors[i] && errors[i] <= found.most, target.c_str());
                    }
                    ScaleSearch search(coder, rule, candidates);
                    QVERIFY2(search.best(range, w.data(), n) == all[static_cast<std::size_t>(least)], target.c_str());
                });
            }
    }

    void boundsAreNarrow()
    {
        const std::vector<float> w = normalSamples(128);
        const RunRange range = rangeOfRun(w.data(), 128);
        for (const char* text : {"int4:g128", "int8:g128", "int4:g128:asym", "gguf:q4_1", "e2m1:g128", "nf4:g128"}) {
            const Scheme scheme = parseScheme(text).value();
            const ElementCoder coder(scheme);
            const ScaleRule rule(scheme, RangeRule::standard, Dtype::f32, 1);
            const Affine affine = rule.affine(rule.choose(range));
            float rough = 0;
            roughErrorsOfRun(coder, std::span(&affine, 1), w.data(), 128, &rough);
            const ErrorBounds bounds =
                RoughBounds(coder, 128, 128, range.absMax).of(affine, static_cast<double>(rough));
            QVERIFY2(bounds.most < bounds.least * 1.02 && bounds.least > 0, text);
        }
    }

    void longRunsToo_data()
    {
        QTest::addColumn<QByteArray>("scheme");
        for (const char* text : {"int4:tensor", "int8:tensor:asym", "e2m1:tensor", "nf4:tensor"})
            QTest::newRow(text) << QByteArray(text);
    }
    void longRunsToo()
    {
        QFETCH(QByteArray, scheme);
        const Scheme parsed = parseScheme(scheme.toStdString()).value();
        const ElementCoder coder(parsed);
        const std::int64_t n = 2 * kRunChunk + 1000;
        const std::vector<float> w = normalSamples(n, 3);
        const RunRange range = rangeOfRun(w.data(), n);
        const ScaleRule rule(parsed, RangeRule::standard, Dtype::f32, 1);
        std::vector<double> errors;
        const auto all = allOf(range, rule);
        for (const RunParameters& parameters : all) {
            CompensatedSum sum;
            for (std::int64_t begin = 0; begin < n; begin += kRunChunk)
                sum.add(squaredErrorOfRun(coder, rule.affine(parameters), w.data() + begin,
                                          std::min(kRunChunk, n - begin)));
            errors.push_back(sum.value());
        }
        const auto least = std::ranges::min_element(errors) - errors.begin();
        const Candidates candidates = someCandidates();
        ScaleSearch search(coder, rule, candidates);
        const auto found = search.bestOfLong(range, viewOf(w, {1, n}), 0, n, JobContext(sharedExecutor()));
        QVERIFY(found.value() == all[static_cast<std::size_t>(least)]);
    }
};

QTEST_APPLESS_MAIN(ScaleSearchTest)
#include "scale_search_test.moc"
