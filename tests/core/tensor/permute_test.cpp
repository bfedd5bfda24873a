// SPDX-License-Identifier: GPL-3.0-or-later
// Axes against an element-by-element reference, for every order of axes and size of element.
#include "core/base/rng.h"
#include "core/tensor/permute.h"

#include <QTest>

#include <algorithm>
#include <cstring>
#include <numeric>

using namespace ql;

namespace {

using Axes = std::vector<std::int64_t>;

std::vector<std::byte> reference(const std::vector<std::byte>& in, const Shape& shape, const Axes& axes,
                                 std::int64_t elementBytes)
{
    std::vector<std::byte> out(in.size());
    const std::int64_t n = numel(shape);
    Shape index(shape.size(), 0); // of an element of out
    for (std::int64_t i = 0; i < n; ++i) {
        Shape from(shape.size());
        for (std::size_t d = 0; d < axes.size(); ++d)
            from[static_cast<std::size_t>(axes[d])] = index[d];
        std::int64_t at = 0;
        for (std::size_t d = 0; d < shape.size(); ++d)
            at = at * shape[d] + from[d];
        std::memcpy(out.data() + i * elementBytes, in.data() + at * elementBytes,
                    static_cast<std::size_t>(elementBytes));
        for (std::size_t d = axes.size(); d-- > 0;) {
            if (++index[d] < shape[static_cast<std::size_t>(axes[d])])
                break;
            index[d] = 0;
        }
    }
    return out;
}

std::vector<std::byte> noise(std::int64_t bytes)
{
    const CounterRng rng(3);
    std::vector<std::byte> data(static_cast<std::size_t>(bytes));
    for (std::size_t i = 0; i < data.size(); ++i)
        data[i] = static_cast<std::byte>(rng.bits(i) & 0xffU);
    return data;
}

} // namespace

class PermuteTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void everyOrder_data()
    {
        QTest::addColumn<Shape>("shape");
        QTest::addColumn<int>("elementBytes");
        int row = 0;
        for (const Shape& shape : {Shape{},
                                   {7},
                                   {1, 1},
                                   {3, 5},
                                   {64, 64},
                                   {65, 130},
                                   {1, 200},
                                   {3, 1, 70},
                                   {67, 4, 66},
                                   {0, 5, 3},
                                   {2, 3, 4, 5},
                                   {3, 3, 65, 70},
                                   {2, 1, 3, 2, 4}})
            for (const int bytes : {1, 2, 3, 4, 8, 16})
                QTest::addRow("%d", row++) << shape << bytes;
    }
    void everyOrder()
    {
        QFETCH(Shape, shape);
        QFETCH(int, elementBytes);
        Executor executor(3);
        const JobContext context(executor);
        const std::vector<std::byte> in = noise(numel(shape) * elementBytes);
        Axes axes(shape.size());
        std::iota(axes.begin(), axes.end(), std::int64_t{0});
        do {
            std::vector<std::byte> out(in.size() + 1); // one byte off: nothing is aligned
            QVERIFY(permuteAxes(in.data(), shape, axes, elementBytes, out.data() + 1, context));
            QVERIFY2(std::equal(out.begin() + 1, out.end(), reference(in, shape, axes, elementBytes).begin()),
                     qPrintable(QString::fromStdString(formatShape(axes))));
        } while (std::ranges::next_permutation(axes).found);
    }
    void canBeStopped()
    {
        Executor executor(2);
        std::stop_source stop;
        stop.request_stop();
        const Shape shape{2000, 2000};
        const std::vector<std::byte> in = noise(numel(shape));
        std::vector<std::byte> out(in.size());
        const auto result =
            permuteAxes(in.data(), shape, Axes{1, 0}, 1, out.data(), JobContext(executor, stop.get_token()));
        QVERIFY(!result);
        QCOMPARE(result.error().code, Errc::cancelled);
    }
};

QTEST_APPLESS_MAIN(PermuteTest)
#include "permute_test.moc"
