// SPDX-License-Identifier: GPL-3.0-or-later
// Cells of blocks coded again: nearer than any other code that is there, the bits that a block restores to, scales and
// neighbours untouched.
#include "core/base/rng.h"
#include "core/formats/block_format.h"

#include <QTest>

#include <algorithm>
#include <cmath>

using namespace ql;

class CodeCellsTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void codesAreNearest_data()
    {
        QTest::addColumn<int>("index");
        for (int i = 0; i < static_cast<int>(allBlockFormats().size()); ++i)
            if (const BlockFormat* block = allBlockFormats()[static_cast<std::size_t>(i)]; block->codesCells())
                QTest::addRow("%s", std::string(block->id).c_str()) << i;
    }
    void codesAreNearest()
    {
        QFETCH(int, index);
        const BlockFormat& format = *allBlockFormats()[static_cast<std::size_t>(index)];
        QVERIFY(format.codeCell);
        const int cell = format.cellElements;
        QVERIFY(cell > 0 && 16 % cell == 0 && format.elements % cell == 0);
        const auto n = static_cast<std::size_t>(format.elements);
        const CounterRng rng(17, static_cast<std::uint64_t>(index));
        std::vector<float> weights(n);
        for (std::size_t i = 0; i < n; ++i)
            weights[i] = static_cast<float>(rng.normal(i));
        std::vector<std::byte> block(static_cast<std::size_t>(format.bytes));
        format.search(weights.data(), nullptr, block.data());
        std::vector<float> before(n);
        format.restore(block.data(), 0, format.elements, before.data());

        // What a cell may become: codes of many targets, near and far.
        constexpr std::size_t kTargets = 400;
        const int where = format.elements / cell - 2;
        const auto first = static_cast<std::size_t>(where * cell);
        const auto width = static_cast<std::size_t>(cell);
        std::vector<std::vector<float>> targets;
        std::vector<std::vector<float>> importances;
        std::vector<std::vector<float>> found;
        for (std::size_t t = 0; t < kTargets; ++t) {
            std::vector<float> target(width);
            std::vector<float> importance(width);
            std::vector<float> restored(width);
            for (std::size_t i = 0; i < width; ++i) {
                const std::uint64_t at = 2 * (1000 + t * width + i);
                target[i] = static_cast<float>(1.5 * rng.normal(at));
                importance[i] = static_cast<float>(0.1 + 0.9 * rng.uniform(2 * at + 1));
            }
            format.codeCell(block.data(), where, target.data(), importance.data(), restored.data());
            std::vector<float> after(n);
            format.restore(block.data(), 0, format.elements, after.data());
            for (std::size_t i = 0; i < n; ++i) {
                const bool isOurs = i >= first && i < first + width;
                QVERIFY(after[i] == (isOurs ? restored[i - first] : before[i]));
            }
            targets.push_back(target);
            importances.push_back(importance);
            found.push_back(restored);
        }
        std::vector<std::vector<float>> distinct = found;
        std::ranges::sort(distinct);
        QVERIFY(std::ranges::unique(distinct).begin() - distinct.begin() >= (cell == 1 ? 2 : 100));
        const auto error = [&](std::size_t t, const std::vector<float>& values) {
            double sum = 0;
            for (std::size_t i = 0; i < width; ++i) {
                const double away = static_cast<double>(targets[t][i]) - static_cast<double>(values[i]);
                sum += static_cast<double>(importances[t][i]) * away * away;
            }
            return sum;
        };
        for (std::size_t t = 0; t < kTargets; ++t)
            for (const std::vector<float>& other : found)
                QVERIFY(error(t, found[t]) <= error(t, other) * (1 + 1e-5));

        // The codes that are there are found again from what they restore to.
        for (int c = 0; c < format.elements / cell; ++c) {
            std::vector<float> restored(width);
            const std::vector<float> ones(width, 1.0F);
            std::vector<float> whole(n);
            format.restore(block.data(), 0, format.elements, whole.data());
            format.codeCell(block.data(), c, whole.data() + c * cell, ones.data(), restored.data());
            for (std::size_t i = 0; i < width; ++i)
                QVERIFY(restored[i] == whole[static_cast<std::size_t>(c * cell) + i]);
        }
    }
};

QTEST_APPLESS_MAIN(CodeCellsTest)
#include "code_cells_test.moc"
