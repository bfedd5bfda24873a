// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/report/heat_map_png.h"
#include "core/report/svg.h"

#include <QImage>
#include <QTest>
#include <QXmlStreamReader>

#include <cmath>
#include <limits>
#include <random>

using namespace ql;

namespace {

/// Reads the SVG with Qt's XML reader: the number of elements of that name, or -1 if it is not well-formed.
int countElements(const std::string& svg, const char* name)
{
    QXmlStreamReader xml(QString::fromStdString(svg));
    int count = 0;
    while (!xml.atEnd())
        if (xml.readNext() == QXmlStreamReader::StartElement && xml.name() == QLatin1String(name))
            ++count;
    return xml.hasError() ? -1 : count;
}

} // namespace

class ReportTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void textIsEscaped()
    {
        QCOMPARE(escapeHtml("<a href=\"x\">&'</a>\x01"),
                 std::string("&lt;a href=&quot;x&quot;&gt;&amp;&#39;&lt;/a&gt; "));
    }
    void chartsAreWellFormed()
    {
        SvgChart chart{"A <b> & 'c'", "x / unit", "y", false, {}, {{2, "mark"}}};
        chart.series.push_back({"line", SvgSeries::Kind::line, {1, 2, 3}, {1, NAN, 3}});
        chart.series.push_back({"steps", SvgSeries::Kind::steps, {1, 2, 3}, {5, 2}});
        chart.series.push_back({"bars", SvgSeries::Kind::bars, {1, 2, 3}, {1, 2, 3}});
        for (const bool log : {false, true}) {
            chart.logY = log;
            const std::string svg = renderSvg(chart);
            QCOMPARE(countElements(svg, "circle"), 2); // the point that is not finite is left out
            QVERIFY(svg.find("nan") == std::string::npos);
        }
    }
    void degenerateChartsAreDrawn()
    {
        const double inf = std::numeric_limits<double>::infinity();
        for (const auto& values : std::vector<std::vector<double>>{{}, {0, 0}, {-1, -1}, {inf, inf}, {1e-300, 1e300}}) {
            for (const bool log : {false, true}) {
                SvgChart chart{"t", "x", "y", log, {}, {}};
                SvgSeries series{"s", SvgSeries::Kind::line, {}, values};
                for (std::size_t i = 0; i < values.size(); ++i)
                    series.x.push_back(static_cast<double>(i));
                chart.series.push_back(series);
                const std::string svg = renderSvg(chart);
                QVERIFY(countElements(svg, "text") >= 3);
                QVERIFY(svg.find("inf") == std::string::npos && svg.find("nan") == std::string::npos);
            }
        }
    }
    void base64AsQt()
    {
        std::mt19937 random(5);
        for (int n = 0; n < 70; ++n) {
            std::string bytes;
            for (int i = 0; i < n; ++i)
                bytes += static_cast<char>(random());
            QCOMPARE(base64(bytes), QByteArray(bytes.data(), n).toBase64().toStdString());
        }
    }
    void anOutlierSurvivesReduction()
    {
        const std::int64_t rows = 333;
        const std::int64_t cols = 517;
        std::vector<float> values(static_cast<std::size_t>(rows * cols), 0.001F);
        values[200 * 517 + 301] = 50;
        const TensorView view{Dtype::f32, {rows, cols}, reinterpret_cast<const std::byte*>(values.data())};
        Executor executor(2);
        const auto pyramid = computePyramid(view, JobContext(executor));
        QVERIFY(pyramid);
        const auto png = heatMapPng(*pyramid, 100, 100);
        QVERIFY(png);
        QImage image;
        QVERIFY(image.loadFromData(reinterpret_cast<const uchar*>(png->data()), static_cast<int>(png->size()), "PNG"));
        QVERIFY(image.width() <= 100 && image.height() <= 100);
        int bright = 0;
        for (int y = 0; y < image.height(); ++y)
            for (int x = 0; x < image.width(); ++x)
                bright += image.pixelColor(x, y) == QColor(253, 231, 37) ? 1 : 0;
        QCOMPARE(bright, 1);
    }
    void aGridIsSquaresFromDarkToLight()
    {
        const std::vector<double> values{-2, 1, 3, 0.5, std::numeric_limits<double>::quiet_NaN(), 8};
        const auto png = gridPng(values, 2, 3, 7);
        QVERIFY(png);
        QImage image;
        QVERIFY(image.loadFromData(reinterpret_cast<const uchar*>(png->data()), static_cast<int>(png->size()), "PNG"));
        QCOMPARE(image.size(), QSize(21, 14));
        QCOMPARE(image.pixelColor(6, 6), QColor(68, 1, 84));      // the least
        QCOMPARE(image.pixelColor(20, 13), QColor(253, 231, 37)); // the largest
        QCOMPARE(image.pixelColor(14, 0), QColor(33, 144, 141));  // half way
        QCOMPARE(image.pixelColor(7, 7), QColor(68, 1, 84));      // none
        QVERIFY(!gridPng(values, 2, 2, 7));
    }
};

QTEST_GUILESS_MAIN(ReportTest)
#include "report_test.moc"
