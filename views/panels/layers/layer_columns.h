// SPDX-License-Identifier: GPL-3.0-or-later
// What each column of the layer table says of a layer: as a text for people, as a number or text to sort by, as a bar,
// and as what the filter compares. The tree around it is LayerTreeModel.
#pragma once

#include "views/panels/layers/layer_filter.h"

#include <QCoreApplication>
#include <QVariant>

namespace ql {
struct Metric;
}

namespace ql::views {

class Document;

class LayerColumns {
    Q_DECLARE_TR_FUNCTIONS(LayerColumns)
public:
    enum Id {
        kName,
        kRole,
        kShape,
        kParameters,
        kDtype,
        kCandidate,
        kBits,
        kSize,
        kLoss,
        kSqnr,
        kOutliers,
        kCrest,
        kKurtosis,
        kColumnCount // and behind these one for each of allMetrics()
    };

    explicit LayerColumns(const Document& document) : m_document(document) {}

    static int count();
    /// The metric whose loss the column shows; null: it is one of those above.
    static const Metric* metricOf(int column);
    static QString title(int column);
    QString titleTip(int column) const;
    static bool isNumeric(int column);

    QVariant text(std::int64_t layer, int column) const;
    /// The raw number or text; invalid where there is none (yet).
    QVariant raw(std::int64_t layer, int column) const;
    /// 0…1 for the bar in the cell; invalid: no bar.
    QVariant bar(std::int64_t layer, int column) const;
    QString tip(std::int64_t layer, int column) const;
    LayerValues filterValues(std::int64_t layer) const;
    /// Of the plan's candidate under the column's metric, or the chosen one; NaN while it is not measured.
    double loss(std::int64_t layer, int column = kLoss) const;

private:
    double sqnr(std::int64_t layer) const;

    const Document& m_document;
};

} // namespace ql::views
