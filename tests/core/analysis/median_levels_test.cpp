// SPDX-License-Identifier: GPL-3.0-or-later
// Levels at the median scale: where there is one scale they are exactly what weights restore to.
#include "core/analysis/median_levels.h"
#include "core/base/rng.h"
#include "core/formats/block_format.h"
#include "core/quantizers/quantizer.h"

#include <QTest>

#include <algorithm>
#include <cmath>
#include <cstring>

using namespace ql;

namespace {

std::vector<float> normal(std::int64_t count)
{
    const CounterRng rng(3, 1);
    std::vector<float> values(static_cast<std::size_t>(count));
    for (std::size_t i = 0; i < values.size(); ++i)
        values[i] = static_cast<float>(0.1 * rng.normal(i));
    return values;
}

} // namespace

class MedianLevelsTest : public QObject {
    Q_OBJECT

    Executor m_executor{2};
    QuantizedTensor quantized(const std::vector<float>& values, const Shape& shape, const std::string& scheme)
    {
        const TensorView view{
            .dtype = Dtype::f32, .shape = shape, .data = reinterpret_cast<const std::byte*>(values.data())};
        const QuantizeTask task{.weights = view, .scheme = parseScheme(scheme).value(), .spec = {}};
        return quantize(task, JobContext(m_executor)).value();
    }

private Q_SLOTS:
    void oneScaleGivesWhatIsRestored_data()
    {
        QTest::addColumn<QString>("scheme");
        for (const std::string& text : exampleSchemes()) {
            const Scheme scheme = parseScheme(text).value();
            if (!scheme.isCast() && !scheme.isKeep() && scheme.additions.empty())
                QTest::newRow(text.c_str()) << QString::fromStdString(text);
        }
    }
    void oneScaleGivesWhatIsRestored()
    {
        QFETCH(QString, scheme);
        const Scheme parsed = parseScheme(scheme.toStdString()).value();
        const BlockFormat* block = findBlockFormat(parsed);
        // A row that has one scale; of blocks with scales inside only that levels rise.
        const std::int64_t cols = block ? block->elements : parsed.groupSize > 0 ? parsed.groupSize : 64;
        const std::vector<float> values = normal(cols);
        if (!checkWholeBlocks(parsed, {1, cols}))
            QSKIP("takes no single row");
        const QuantizedTensor tensor = quantized(values, {1, cols}, scheme.toStdString());
        const std::vector<double> levels = medianLevels(tensor);
        QVERIFY(std::ranges::is_sorted(levels));
        if (parsed.isPacked() && !(block && block->codesElements())) {
            QVERIFY(levels.empty());
            return;
        }
        QVERIFY(levels.size() > 1);
        if (block) {
            QCOMPARE(levels.size(), block->levels.size());
            if (block->elements > 32)
                return;
        }
        std::vector<float> restored(values.size());
        tensor.restoreRows(0, 1, restored.data());
        const double range = levels.back() - levels.front();
        for (const float value : restored) {
            const auto nearest = std::ranges::min_element(levels, {}, [&](double level) {
                return std::fabs(std::fabs(level) - std::fabs(static_cast<double>(value)));
            });
            QVERIFY2(std::fabs(std::fabs(*nearest) - std::fabs(static_cast<double>(value))) < 1e-6 * range,
                     qPrintable(QString::number(static_cast<double>(value))));
        }
    }

    void theMiddleOfThreeScales()
    {
        // Rows of scales 1, 2 and 100 (absmax 7): int4 restricted to its symmetric levels.
        std::vector<float> values;
        for (const float scale : {100.0F, 1.0F, 2.0F})
            for (int i = -7; i <= 7; ++i)
                values.push_back(scale * static_cast<float>(i));
        const std::vector<double> levels = medianLevels(quantized(values, {3, 15}, "int4:restricted"));
        QCOMPARE(levels.size(), 15U);
        for (int i = -7; i <= 7; ++i)
            QCOMPARE(levels[static_cast<std::size_t>(i + 7)], 2.0 * i);
    }

    void nothingIsScaled()
    {
        const std::vector<float> values = normal(8);
        QVERIFY(medianLevels(quantized(values, {2, 4}, "bf16")).empty());
        QVERIFY(medianLevels(quantized({}, {0, 4}, "int4")).empty());
    }
};

QTEST_APPLESS_MAIN(MedianLevelsTest)
#include "median_levels_test.moc"
