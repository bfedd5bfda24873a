// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/panels/landscape/landscape_words.h"

#include "views/document/document.h"
#include "views/text/format.h"
#include "views/text/shell.h"

#include <QFileInfo>

#include <cmath>

namespace ql::views {

QString landscapeCost(const LandscapeChoice& choice)
{
    constexpr std::int64_t kVectorBytes = 8 * 8; // of a weight in as many vectors as are held at once
    return Landscape::tr("At most %1: up to %2 passes forward and backward for the eigenvectors, then %3 forward, each "
                         "over %4; about %5 of memory beside the model")
        .arg(durationText(std::ceil(landscapeSeconds(choice))), countText(4 * choice.iterations),
             countText(choice.points * choice.points), countedCases(choice.source->count(choice.portion), true),
             bytesText(kVectorBytes * choice.source->model().layers[static_cast<std::size_t>(choice.layer)].numel()));
}

QString landscapeCommand(const Document& document, std::int64_t layer, const QString& text, const QString& arguments)
{
    const QString suffix = QFileInfo(text).suffix().toLower();
    const bool isIds = suffix == QLatin1String("npy") || suffix == QLatin1String("npz");
    return QStringLiteral("qloupe curvature %1 --layer %2 --%3 %4 %5")
        .arg(shellQuoted(document.checkpointPath()), shellQuoted(toQString(document.layer(layer).name)),
             isIds ? QStringLiteral("tokens") : QStringLiteral("text"), shellQuoted(text), arguments);
}

QString landscapeWords(const Landscape& landscape, const QString& layer)
{
    QStringList lines;
    lines << Landscape::tr("%1: %2 nats per token over %3 of %4 tokens; norm of the weights %5")
                 .arg(layer, numberText(landscape.ownLoss, 5), countedCases(landscape.windows, true),
                      countText(landscape.tokens), numberText(landscape.weightNorm));
    for (std::size_t axis = 0; axis < landscape.axes.size(); ++axis)
        lines << Landscape::tr("%1, in nats per token and weight²; residual %2")
                     .arg(landscape.axisText(axis), numberText(landscape.axes[axis].residual, 2));
    return lines.join(QLatin1Char('\n'));
}

double planDistance(const Document& document, std::int64_t layer)
{
    if (document.candidate(layer).weights.isKeep())
        return 0;
    const auto cell = document.plannedCell(layer);
    return cell && cell->error.count > 0 ? std::sqrt(cell->error.sumSquaredError) : std::nan("");
}

QString planDistanceText(const Landscape& landscape, double distance)
{
    if (!(distance > 0))
        return {};
    const QString far = percentText(landscape.share(distance));
    const double span = landscape.steps.back();
    return distance > span ? Landscape::tr("The plan moves the weights by %1 of their norm, beyond the span of %2")
                                 .arg(far, percentText(landscape.share(span)))
                           : Landscape::tr("Circle: the plan moves the weights by %1 of their norm").arg(far);
}

ViewTable landscapeTable(const Landscape* landscape)
{
    ViewTable table{{QStringLiteral("a"), QStringLiteral("b"), QStringLiteral("loss"), QStringLiteral("difference"),
                     QStringLiteral("parabola")},
                    {}};
    for (int a = 0; landscape && a < landscape->points(); ++a)
        for (int b = 0; b < landscape->points(); ++b) {
            const double atA = landscape->steps[static_cast<std::size_t>(a)];
            const double atB = landscape->steps[static_cast<std::size_t>(b)];
            const double parabola = landscape->parabola(atA, atB);
            if (!std::isnan(landscape->lossAt(a, b)))
                table.rows.push_back({plainNumber(atA), plainNumber(atB), plainNumber(landscape->lossAt(a, b)),
                                      plainNumber(landscape->difference(a, b)),
                                      std::isnan(parabola) ? QString() : plainNumber(parabola)});
        }
    return table;
}

} // namespace ql::views
