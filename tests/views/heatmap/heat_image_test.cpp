// SPDX-License-Identifier: GPL-3.0-or-later
// No outlier may disappear at any zoom, whatever the sizes; and the widget around it.
#include "core/base/rng.h"
#include "views/heatmap/heat_map.h"

#include <QImage>
#include <QSignalSpy>
#include <QTest>

#include <algorithm>
#include <cmath>

using namespace ql;
using namespace ql::views;

namespace {

/// Built by its definition, independently of the engine's.
std::shared_ptr<OutlierPyramid> makePyramid(std::int64_t rows, std::int64_t cols,
                                            const std::vector<std::pair<std::int64_t, std::int64_t>>& outliers)
{
    auto pyramid = std::make_shared<OutlierPyramid>();
    pyramid->rows = rows;
    pyramid->cols = cols;
    pyramid->values.resize(static_cast<std::size_t>(rows * cols));
    const CounterRng rng(3);
    for (std::size_t i = 0; i < pyramid->values.size(); ++i)
        pyramid->values[i] = static_cast<float>(0.001 * (rng.uniform(i) - 0.5));
    for (const auto& [row, col] : outliers)
        pyramid->values[static_cast<std::size_t>(row * cols + col)] = -1.0F;
    pyramid->absmax = 1;
    pyramid->rowMax.assign(static_cast<std::size_t>(rows), 0);
    pyramid->colMax.assign(static_cast<std::size_t>(cols), 0);
    PyramidLevel below{rows, cols, {}};
    for (const float value : pyramid->values)
        below.maxAbs.push_back(std::fabs(value));
    for (std::int64_t r = 0; r < rows; ++r) {
        for (std::int64_t c = 0; c < cols; ++c) {
            float& row = pyramid->rowMax[static_cast<std::size_t>(r)];
            float& col = pyramid->colMax[static_cast<std::size_t>(c)];
            row = std::max(row, below.at(r, c));
            col = std::max(col, below.at(r, c));
        }
    }
    while (below.rows > 64 || below.cols > 64) {
        PyramidLevel next{(below.rows + 1) / 2, (below.cols + 1) / 2, {}};
        next.maxAbs.assign(static_cast<std::size_t>(next.rows * next.cols), 0);
        for (std::int64_t r = 0; r < below.rows; ++r) {
            for (std::int64_t c = 0; c < below.cols; ++c) {
                float& cell = next.maxAbs[static_cast<std::size_t>(r / 2 * next.cols + c / 2)];
                cell = std::max(cell, below.at(r, c));
            }
        }
        pyramid->levels.push_back(next);
        below = std::move(next);
    }
    return pyramid;
}

bool shows(const QImage& image, QRgb color)
{
    for (int y = 0; y < image.height(); ++y) {
        const auto* line = reinterpret_cast<const QRgb*>(image.constScanLine(y));
        if (std::any_of(line, line + image.width(), [color](QRgb pixel) { return (pixel | 0xff000000U) == color; }))
            return true;
    }
    return false;
}

} // namespace

class HeatImageTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void aSingleOutlierIsSeenAtEveryZoom_data()
    {
        QTest::addColumn<int>("rows");
        QTest::addColumn<int>("cols");
        QTest::newRow("odd") << 257 << 511;
        QTest::newRow("power of two") << 256 << 512;
        QTest::newRow("tall") << 1531 << 37;
        QTest::newRow("wide") << 31 << 2049;
        QTest::newRow("small") << 5 << 3;
        QTest::newRow("one row") << 1 << 999;
        QTest::newRow("one cell") << 1 << 1;
    }
    void aSingleOutlierIsSeenAtEveryZoom()
    {
        QFETCH(int, rows);
        QFETCH(int, cols);
        const CounterRng rng(static_cast<std::uint64_t>(rows * 7919 + cols));
        std::uint64_t draw = 0;
        for (int trial = 0; trial < 40; ++trial) {
            // Corners and edges first: partial texels are where others lose them.
            std::int64_t row =
                trial < 4 ? (trial & 1 ? rows - 1 : 0) : static_cast<std::int64_t>(rng.uniform(draw++) * rows);
            std::int64_t col =
                trial < 4 ? (trial & 2 ? cols - 1 : 0) : static_cast<std::int64_t>(rng.uniform(draw++) * cols);
            HeatImage image;
            HeatScale scale;
            scale.low = 1e-3;
            scale.high = 1;
            image.setScale(scale);
            image.setPyramid(makePyramid(rows, cols, {{row, col}}));
            const QRgb wanted = scale.color(1.0);
            for (int zoom = 0; zoom < 12; ++zoom) {
                // A part that contains the whole cell, at scales that are no powers of two.
                const double w = std::min<double>(cols, 1 + rng.uniform(draw++) * cols);
                const double h = std::min<double>(rows, 1 + rng.uniform(draw++) * rows);
                const double x = std::clamp(static_cast<double>(col) - rng.uniform(draw++) * (w - 1), 0.0, cols - w);
                const double y = std::clamp(static_cast<double>(row) - rng.uniform(draw++) * (h - 1), 0.0, rows - h);
                const int width = 1 + static_cast<int>(rng.uniform(draw++) * 300);
                const int height = 1 + static_cast<int>(rng.uniform(draw++) * 200);
                const QSize pixels(width, height);
                const CellRect part{x, y, w, h};
                QVERIFY2(shows(image.render(part, pixels), wanted),
                         qPrintable(QStringLiteral("outlier (%1, %2) lost: part %3 %4 %5 %6 in %7x%8 pixels")
                                        .arg(row)
                                        .arg(col)
                                        .arg(x)
                                        .arg(y)
                                        .arg(w)
                                        .arg(h)
                                        .arg(pixels.width())
                                        .arg(pixels.height())));
            }
            const CellRect all{0, 0, static_cast<double>(cols), static_cast<double>(rows)};
            QVERIFY(shows(image.render(all, QSize(97, 61)), wanted));
            QVERIFY(shows(image.render(all, QSize(1, 1)), wanted));
        }
    }

    void zoomedInEveryCellIsItsOwnColour()
    {
        const auto pyramid = makePyramid(40, 60, {{7, 9}});
        HeatImage image;
        HeatScale scale;
        scale.low = 1e-6;
        image.setScale(scale);
        image.setPyramid(pyramid);
        const QImage& picture = image.render({5, 6, 8, 4}, QSize(80, 40)); // ten pixels a cell
        for (int row = 0; row < 4; ++row) {
            for (int col = 0; col < 8; ++col) {
                const float value = pyramid->values[static_cast<std::size_t>((6 + row) * 60 + 5 + col)];
                const QColor expected = QColor::fromRgb(scale.color(static_cast<double>(std::fabs(value))));
                const QColor shown = picture.pixelColor(col * 10 + 5, row * 10 + 5);
                // The table has 128 steps an octave.
                QVERIFY(std::abs(expected.red() - shown.red()) <= 3 &&
                        std::abs(expected.green() - shown.green()) <= 3 &&
                        std::abs(expected.blue() - shown.blue()) <= 3);
            }
        }
    }

    void aPixelShowsTheLargestOfItsCellsWhateverTheirNumber()
    {
        constexpr int kRows = 3;
        constexpr int kCols = 3000;
        const auto pyramid = makePyramid(kRows, kCols, {});
        HeatImage image;
        HeatScale scale;
        scale.low = 1e-6;
        scale.high = 1e-3;
        image.setScale(scale);
        image.setPyramid(pyramid);
        for (const int width : {2900, 1700, 1100, 433, 431, 97}) { // 1 … 31 cells a pixel
            const double from = 17.3;
            const double step = (kCols - from) / width;
            const QImage& picture = image.render({from, 0, kCols - from, kRows}, QSize(width, kRows)); // all of level 0
            for (int x = 0; x < width; ++x) {
                const auto first = static_cast<std::size_t>(from + x * step);
                const auto last =
                    std::min<std::size_t>(kCols - 1, static_cast<std::size_t>(std::ceil(from + (x + 1) * step)) - 1);
                double largest = 0;
                for (std::size_t c = first; c <= last; ++c)
                    largest = std::max(largest, std::fabs(static_cast<double>(pyramid->values[kCols + c])));
                const QColor expected = QColor::fromRgb(scale.color(largest));
                const QColor shown = picture.pixelColor(x, 1);
                QVERIFY2(std::abs(expected.red() - shown.red()) <= 3 &&
                             std::abs(expected.green() - shown.green()) <= 3 &&
                             std::abs(expected.blue() - shown.blue()) <= 3,
                         qPrintable(QStringLiteral("%1 pixels, pixel %2").arg(width).arg(x)));
            }
        }
    }

    void zeroAndNonFiniteHaveColoursOfTheirOwn()
    {
        auto pyramid = makePyramid(4, 4, {});
        pyramid->values[0] = 0;
        pyramid->values[1] = NAN;
        pyramid->values[2] = -INFINITY;
        HeatImage image;
        HeatScale scale;
        scale.low = 1e-6;
        image.setScale(scale);
        image.setPyramid(pyramid);
        const QImage& picture = image.render({0, 0, 4, 4}, QSize(4, 4));
        QCOMPARE(picture.pixel(0, 0), kZeroColor);
        QCOMPARE(picture.pixel(1, 0), kNonFiniteColor);
        QCOMPARE(picture.pixel(2, 0), kNonFiniteColor);
    }

    void withoutLevelZeroTheCoarserOnesServe()
    {
        auto pyramid = makePyramid(300, 200, {{123, 45}});
        pyramid->values.clear();
        HeatImage image;
        HeatScale scale;
        scale.low = 1e-3;
        image.setScale(scale);
        image.setPyramid(pyramid);
        QVERIFY(shows(image.render({40, 120, 10, 10}, QSize(200, 200)), scale.color(1.0)));
    }

    void theWidgetZoomsPansAndFindsOutliers()
    {
        HeatMap map;
        map.resize(700, 500);
        map.show();
        QVERIFY(QTest::qWaitForWindowExposed(&map));
        QVERIFY(!map.grab().isNull()); // empty
        map.setPyramid(makePyramid(301, 203, {{250, 17}}));
        const CellRect all = map.part();
        QCOMPARE(all, (CellRect{0, 0, 203, 301}));
        QTest::keyClick(&map, Qt::Key_Plus);
        QVERIFY(map.part().w < all.w);
        const double x = map.part().x;
        QTest::keyClick(&map, Qt::Key_Left);
        QVERIFY(map.part().x < x);
        QSignalSpy hovered(&map, &HeatMap::hovered);
        map.setOutliers({{250, 17, -1.0}});
        for (int i = 0; i < 6; ++i)
            QTest::keyClick(&map, Qt::Key_Plus);
        QTest::keyClick(&map, Qt::Key_N);
        QVERIFY(map.part().x <= 17 && 18 <= map.part().x + map.part().w);
        QVERIFY(map.part().y <= 250 && 251 <= map.part().y + map.part().h);
        QCOMPARE(hovered.back().at(0).toLongLong(), 250);
        QTest::keyClick(&map, Qt::Key_0);
        QCOMPARE(map.part(), all);
        QVERIFY(map.isLogarithmic());
        const QImage log = map.grab().toImage();
        QTest::keyClick(&map, Qt::Key_L);
        QVERIFY(!map.isLogarithmic());
        QVERIFY(map.grab().toImage() != log);
        QTest::mouseMove(&map, map.plotRect().center());
        QVERIFY(std::abs(hovered.back().at(0).toInt() - 150) <= 1);
        for (const QSize size : {QSize(1, 1), QSize(2, 300), QSize(300, 2)}) {
            map.resize(size);
            QVERIFY(!map.grab().isNull());
        }
    }
};

QTEST_MAIN(HeatImageTest)
#include "heat_image_test.moc"
