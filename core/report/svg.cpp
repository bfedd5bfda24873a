// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/report/svg.h"

#include "core/base/text.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace ql {

namespace {

constexpr double kLeft = 62, kRight = 12, kTop = 28, kBottom = 42;

/// A linear or logarithmic axis mapped to pixels.
struct Axis {
    double low = 0, high = 1;
    double pixelLow = 0, pixelHigh = 1;
    bool log = false;

    double map(double value) const
    {
        const double from = log ? std::log10(low) : low;
        const double to = log ? std::log10(high) : high;
        const double at = log ? std::log10(std::max(value, low)) : value;
        return pixelLow + (at - from) / (to - from) * (pixelHigh - pixelLow);
    }
    std::vector<double> ticks() const
    {
        std::vector<double> values;
        if (log) {
            const int first = static_cast<int>(std::ceil(std::log10(low) - 1e-9));
            const int last = static_cast<int>(std::floor(std::log10(high) + 1e-9));
            const int step = std::max(1, (last - first + 4) / 5);
            for (int power = first; power <= last; power += step)
                values.push_back(std::pow(10.0, power));
            return values;
        }
        const double raw = (high - low) / 5;
        const double base = std::pow(10.0, std::floor(std::log10(raw)));
        double step = base;
        for (const double factor : {1.0, 2.0, 5.0, 10.0})
            if (base * factor >= raw * 0.999) {
                step = base * factor;
                break;
            }
        for (double value = std::ceil(low / step - 1e-9) * step; value <= high + step * 1e-9; value += step)
            values.push_back(std::fabs(value) < step * 1e-9 ? 0 : value);
        return values;
    }
};

void include(double value, double& low, double& high)
{
    if (std::isfinite(value)) {
        low = std::min(low, value);
        high = std::max(high, value);
    }
}

std::string px(double value)
{
    return formatFixed(value, 1);
}

std::string text(double x, double y, std::string_view anchor, std::string_view content, std::string_view extra = {})
{
    return "<text x='" + px(x) + "' y='" + px(y) + "' text-anchor='" + std::string(anchor) + "' " + std::string(extra) +
           ">" + escapeHtml(content) + "</text>";
}

std::string tickLabel(double value)
{
    return formatSignificant(value, 4);
}

std::string path(const SvgSeries& series, const Axis& x, const Axis& y, std::size_t index)
{
    std::string points;
    const double floor = y.pixelLow;
    const std::string css = "class='s" + std::to_string(index % 8) + "'";
    if (series.kind == SvgSeries::Kind::bars) {
        const double spread = std::fabs(x.map(1) - x.map(0)); // bars stand at whole numbers
        std::string bars;
        for (std::size_t i = 0; i < series.x.size(); ++i) {
            const double top = y.map(series.y[i]);
            bars += "<rect x='" + px(x.map(series.x[i]) - 0.4 * spread) + "' y='" + px(top) + "' width='" +
                    px(std::max(0.8 * spread, 1.0)) + "' height='" + px(std::max(0.0, floor - top)) + "'/>";
        }
        return "<g class='bar s" + std::to_string(index % 8) + "'>" + bars + "</g>";
    }
    bool down = false;
    const auto add = [&](double px_, double py) {
        points += (down ? "L" : "M") + px(px_) + " " + px(py);
        down = true;
    };
    if (series.kind == SvgSeries::Kind::steps) {
        for (std::size_t i = 0; i < series.y.size(); ++i) {
            add(x.map(series.x[i]), y.map(series.y[i]));
            add(x.map(series.x[i + 1]), y.map(series.y[i]));
        }
        return "<path " + css + " fill='none' d='" + points + "'/>";
    }
    std::string dots;
    for (std::size_t i = 0; i < series.y.size(); ++i) {
        if (!std::isfinite(series.y[i])) {
            down = false;
            continue;
        }
        add(x.map(series.x[i]), y.map(series.y[i]));
        dots += "<circle cx='" + px(x.map(series.x[i])) + "' cy='" + px(y.map(series.y[i])) + "' r='2.5'/>";
    }
    return "<g " + css + "><path fill='none' d='" + points + "'/>" + dots + "</g>";
}

} // namespace

std::string escapeHtml(std::string_view content)
{
    std::string escaped;
    for (const char c : printable(content)) {
        switch (c) {
        case '&':
            escaped += "&amp;";
            break;
        case '<':
            escaped += "&lt;";
            break;
        case '>':
            escaped += "&gt;";
            break;
        case '"':
            escaped += "&quot;";
            break;
        case '\'':
            escaped += "&#39;";
            break;
        default:
            escaped += c;
        }
    }
    return escaped;
}

std::string renderSvg(const SvgChart& chart)
{
    constexpr double kInfinity = std::numeric_limits<double>::infinity();
    Axis x{kInfinity, -kInfinity, kLeft, chart.width - kRight, false};
    Axis y{kInfinity, -kInfinity, chart.height - kBottom, kTop, chart.logY};
    double smallestPositive = kInfinity;
    for (const SvgSeries& series : chart.series) {
        for (const double value : series.x)
            include(value, x.low, x.high);
        for (const double value : series.y) {
            include(value, y.low, y.high);
            if (std::isfinite(value) && value > 0)
                smallestPositive = std::min(smallestPositive, value);
        }
        if (series.kind != SvgSeries::Kind::line && !chart.logY)
            include(0, y.low, y.high);
        if (series.kind == SvgSeries::Kind::bars && !series.x.empty()) {
            x.low -= 0.6;
            x.high += 0.6;
        }
    }
    for (const SvgMark& mark : chart.marks)
        include(mark.x, x.low, x.high);
    if (chart.logY) {
        if (!std::isfinite(smallestPositive))
            smallestPositive = 1;
        y.low = y.low > 0 ? smallestPositive : smallestPositive / 10;
        y.high = std::max(y.high, smallestPositive * 10);
    }
    if (!(x.low < x.high)) {
        x.low = std::isfinite(x.low) ? x.low - 1 : 0;
        x.high = x.low + 2;
    }
    if (!(y.low < y.high)) {
        y.low = std::isfinite(y.low) ? y.low : 0;
        y.high = y.low + 1;
    }

    std::string svg = "<svg viewBox='0 0 " + std::to_string(chart.width) + " " + std::to_string(chart.height) +
                      "' role='img' aria-label='" + escapeHtml(chart.title) + "'>";
    svg += text(kLeft, 16, "start", chart.title, "class='title'");
    for (const double tick : y.ticks()) {
        const double at = y.map(tick);
        svg += "<line class='grid' x1='" + px(kLeft) + "' x2='" + px(chart.width - kRight) + "' y1='" + px(at) +
               "' y2='" + px(at) + "'/>";
        svg += text(kLeft - 5, at + 3.5, "end", tickLabel(tick));
    }
    for (const double tick : x.ticks()) {
        svg += "<line class='axis' x1='" + px(x.map(tick)) + "' x2='" + px(x.map(tick)) + "' y1='" + px(y.pixelLow) +
               "' y2='" + px(y.pixelLow + 4) + "'/>";
        svg += text(x.map(tick), y.pixelLow + 15, "middle", tickLabel(tick));
    }
    svg += "<line class='axis' x1='" + px(kLeft) + "' x2='" + px(chart.width - kRight) + "' y1='" + px(y.pixelLow) +
           "' y2='" + px(y.pixelLow) + "'/>";
    svg += text((kLeft + chart.width - kRight) / 2, chart.height - 8.0, "middle", chart.xLabel);
    svg += text(13, (kTop + y.pixelLow) / 2, "middle", chart.yLabel,
                "transform='rotate(-90 13 " + px((kTop + y.pixelLow) / 2) + ")'");
    for (std::size_t i = 0; i < chart.series.size(); ++i)
        svg += path(chart.series[i], x, y, i);
    for (const SvgMark& mark : chart.marks) {
        svg += "<line class='mark' x1='" + px(x.map(mark.x)) + "' x2='" + px(x.map(mark.x)) + "' y1='" + px(kTop) +
               "' y2='" + px(y.pixelLow) + "'/>";
        svg += text(x.map(mark.x) + 4, kTop + 10, "start", mark.label);
    }
    if (chart.series.size() > 1) {
        double at = chart.width - kRight;
        for (std::size_t k = chart.series.size(); k-- > 0;) {
            const std::string& name = chart.series[k].name;
            at -= 7.0 * static_cast<double>(name.size()) + 22;
            svg += "<g class='legend s" + std::to_string(k % 8) + "'><rect x='" + px(at) +
                   "' y='9' width='10' height='8'/></g>" + text(at + 14, 17, "start", name);
        }
    }
    return svg + "</svg>";
}

} // namespace ql
