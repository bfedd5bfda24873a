// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/panels/layers/layer_columns.h"

#include "views/document/document.h"
#include "views/document/layer_names.h"
#include "views/text/format.h"

#include <algorithm>
#include <cmath>

namespace ql::views {

namespace {

constexpr double kBarSqnrDb = 60;     // a full bar
constexpr double kBarOutliers = 1e-3; // share of a full bar

QVariant number(double value)
{
    return std::isnan(value) ? QVariant() : QVariant(value);
}

} // namespace

int LayerColumns::count()
{
    return kColumnCount + static_cast<int>(allMetrics().size());
}

const Metric* LayerColumns::metricOf(int column)
{
    return column >= kColumnCount && column < count() ? allMetrics()[static_cast<std::size_t>(column - kColumnCount)]
                                                      : nullptr;
}

bool LayerColumns::isNumeric(int column)
{
    return column == kParameters || column >= kBits;
}

QString LayerColumns::title(int column)
{
    if (const Metric* metric = metricOf(column))
        return toQString(metric->id).replace(QLatin1Char('_'), QLatin1Char(' '));
    switch (column) {
    case kName:
        return tr("layer");
    case kRole:
        return tr("role");
    case kShape:
        return tr("shape");
    case kParameters:
        return tr("weights");
    case kDtype:
        return tr("dtype");
    case kCandidate:
        return tr("candidate");
    case kBits:
        return tr("bits");
    case kSize:
        return tr("size");
    case kLoss:
        return tr("loss");
    case kSqnr:
        return tr("SQNR/dB");
    case kOutliers:
        return tr("outliers");
    case kCrest:
        return tr("crest");
    case kKurtosis:
        return tr("kurtosis");
    default:
        return {};
    }
}

QString LayerColumns::titleTip(int column) const
{
    const Metric* metric = m_document.metric();
    if (const Metric* its = metricOf(column)) {
        const auto usable = checkUsable(*its, m_document.activations().get());
        return tr("%1, in %2: %3\nIt rests on: %4.")
                   .arg(toQString(its->title), toQString(its->unit), toQString(its->formula),
                        toQString(word(evidenceOf(its->needs)))) +
               (usable ? QString() : QLatin1Char('\n') + errorText(usable.error()));
    }
    switch (column) {
    case kShape:
        return tr("W[out, in…]: a row is an output, groups of a scheme lie along a row");
    case kCandidate:
        return tr("What the plan makes of the layer");
    case kBits:
        return tr("Bits per weight: codes, scales, zero points and padding ÷ weights");
    case kSize:
        return tr("Stored bytes under the plan (MB = 10⁶ bytes)");
    case kLoss:
        return metric
                   ? tr("%1, in %2: %3\nIt rests on: %4. Choose another loss above the bars.")
                             .arg(toQString(metric->title), toQString(metric->unit), toQString(metric->formula),
                                  toQString(word(evidenceOf(metric->needs)))) +
                         (m_document.countsProbes()
                              ? tr("\nWhere losses were measured (Model ▸ Measure losses…) those stand in its place.")
                              : QString())
                   : QString();
    case kSqnr:
        return tr("Signal to quantization noise, 10·log₁₀(Σw² ÷ Σ(w−ŵ)²) in dB; higher is better");
    case kOutliers:
        return tr("Share of weights beyond 6 standard deviations");
    case kCrest:
        return tr("Largest magnitude ÷ root mean square of the whole tensor");
    case kKurtosis:
        return tr("Pearson's kurtosis; a normal distribution has 3");
    default:
        return {};
    }
}

double LayerColumns::loss(std::int64_t layer, int column) const
{
    const Metric* metric = metricOf(column);
    if (!metric)
        return m_document.plannedLoss(layer).loss;
    const auto cell = m_document.plannedCell(layer);
    return cell ? Document::lossOf(*cell, *metric) : LayerValues::kUnknown;
}

double LayerColumns::sqnr(std::int64_t layer) const
{
    const auto cell = m_document.plannedCell(layer);
    return cell ? cell->error.sqnrDb() : LayerValues::kUnknown;
}

LayerValues LayerColumns::filterValues(std::int64_t layer) const
{
    const Layer& l = m_document.layer(layer);
    LayerValues values;
    values.name = toQString(l.name);
    values.role = toQString(l.role);
    values.op = toQString(info(l.op).id);
    values.dtype = toQString(info(l.dtype).word);
    values.block = l.block >= 0 ? static_cast<double>(l.block) : LayerValues::kUnknown;
    values.params = static_cast<double>(l.numel());
    values.size = static_cast<double>(m_document.layerBytes(layer));
    values.bits = m_document.layerBits(layer);
    if (l.quantizable) {
        values.candidate = toQString(printCandidate(m_document.candidate(layer)));
        values.loss = loss(layer);
        values.sqnr = sqnr(layer);
    }
    const LayerFacts& facts = m_document.facts(layer);
    if (facts.known) {
        values.outliers = facts.outlierShare * 100;
        values.crest = facts.statistics.crestFactor();
        values.kurtosis = facts.statistics.kurtosis;
    }
    return values;
}

QVariant LayerColumns::raw(std::int64_t layer, int column) const
{
    const Layer& l = m_document.layer(layer);
    const LayerFacts& facts = m_document.facts(layer);
    if (metricOf(column))
        return l.quantizable ? number(loss(layer, column)) : QVariant();
    switch (column) {
    case kName:
        return toQString(l.name);
    case kRole:
        return toQString(l.role.empty() ? info(l.op).id : std::string_view(l.role));
    case kShape:
        return toQString(formatShape(l.shape));
    case kParameters:
        return static_cast<qlonglong>(l.numel());
    case kDtype:
        return toQString(info(l.dtype).word);
    case kCandidate:
        return l.quantizable ? toQString(printCandidate(m_document.candidate(layer))) : QVariant();
    case kBits:
        return m_document.layerBits(layer);
    case kSize:
        return static_cast<qlonglong>(m_document.layerBytes(layer));
    case kLoss:
        return l.quantizable ? number(loss(layer)) : QVariant();
    case kSqnr:
        return l.quantizable ? number(sqnr(layer)) : QVariant();
    case kOutliers:
        return facts.known ? number(facts.outlierShare) : QVariant();
    case kCrest:
        return facts.known ? number(facts.statistics.crestFactor()) : QVariant();
    case kKurtosis:
        return facts.known ? number(facts.statistics.kurtosis) : QVariant();
    default:
        return {};
    }
}

QVariant LayerColumns::text(std::int64_t layer, int column) const
{
    const Layer& l = m_document.layer(layer);
    const QVariant value = raw(layer, column);
    // What is not measured is waited for, or never comes: candidates of a stopped job.
    const QString unknown = !l.quantizable ? QString() : m_document.isMeasuring() ? QStringLiteral("…") : tr("—");
    if (metricOf(column))
        return value.isValid() ? numberText(value.toDouble()) : unknown;
    switch (column) {
    case kName:
        return nameInBlock(l);
    case kRole:
    case kShape:
    case kDtype:
    case kCandidate:
        return value;
    case kParameters:
        return shortCountText(l.numel());
    case kBits:
        return fixedText(value.toDouble(), 2);
    case kSize:
        return bytesText(value.toLongLong());
    case kLoss:
        return value.isValid() ? lossNumber(m_document.plannedLoss(layer)) : unknown;
    case kSqnr:
        return value.isValid() ? fixedText(value.toDouble(), 1) : unknown;
    case kOutliers:
        return value.isValid() ? percentText(value.toDouble()) : QString();
    case kCrest:
    case kKurtosis:
        return value.isValid() ? numberText(value.toDouble()) : QString();
    default:
        return {};
    }
}

QVariant LayerColumns::bar(std::int64_t layer, int column) const
{
    const QVariant value = raw(layer, column);
    if (!value.isValid())
        return {};
    switch (column) {
    case kBits:
        return std::clamp(value.toDouble() / 16, 0.0, 1.0);
    case kSqnr:
        return std::isfinite(value.toDouble()) ? QVariant(std::clamp(value.toDouble() / kBarSqnrDb, 0.0, 1.0))
                                               : QVariant();
    case kOutliers:
        return std::clamp(value.toDouble() / kBarOutliers, 0.0, 1.0);
    default:
        return {};
    }
}

QString LayerColumns::tip(std::int64_t layer, int column) const
{
    const Layer& l = m_document.layer(layer);
    if (const Metric* metric = metricOf(column))
        return l.quantizable && !std::isnan(loss(layer, column))
                   ? tr("%1 %2, %3")
                         .arg(numberText(loss(layer, column), 6), toQString(metric->unit),
                              toQString(word(evidenceOf(metric->needs))))
                   : QString();
    switch (column) {
    case kName: {
        QString text = toQString(l.name);
        for (const std::string& alias : l.aliases)
            text += tr("\nalso used as %1").arg(toQString(alias));
        return text;
    }
    case kShape: {
        const Shape& stored = m_document.model()->checkpoint->tensors()[static_cast<std::size_t>(l.tensor)].shape;
        if (!l.stored.moves())
            return stored == l.shape ? QString() : tr("Stored as %1").arg(toQString(formatShape(stored)));
        return tr("Stored as %1, which is turned: axes %2 of %3")
            .arg(toQString(formatShape(stored)), toQString(formatShape(l.stored.axes)),
                 toQString(formatShape(l.stored.seenAs)));
    }
    case kParameters:
        return tr("%1 weights").arg(countText(l.numel()));
    case kSize:
        return tr("%1 bytes, %2 bits")
            .arg(countText(m_document.layerBytes(layer)), countText(layerPayloadBits(l, m_document.candidate(layer))));
    case kLoss: {
        const Metric* metric = m_document.metric();
        if (!l.quantizable || !metric)
            return {};
        const KnownLoss loss = m_document.plannedLoss(layer);
        const QString text = loss.isMeasured()          ? lossInWords(loss, toQString(metric->unit))
                             : m_document.isMeasuring() ? tr("Being measured")
                                                        : tr("Not measured: %1").arg(toQString(metric->title));
        const QString seen = coverageInWords(m_document, layer);
        return seen.isEmpty() ? text : text + QLatin1Char('\n') + seen;
    }
    case kCandidate:
        return l.quantizable ? tr("Double click or F2 to change it; the selection changes along") : QString();
    default:
        return {};
    }
}

} // namespace ql::views
