// SPDX-License-Identifier: GPL-3.0-or-later
// The filter line of the layer table: words separated by blanks, all of which must hold. A word with an operator
// compares a column — bits<4 outliers>0.1 role=q_proj size>=1MB name=*.down_proj.* — and any other word is looked for
// in the name. Operators: = != < <= > >=; text columns take = and != with * and ? as wildcards. Numbers are in the
// units of the column headers (outliers in %, params take k, M, G). A comparison with an unknown value does not hold.
#pragma once

#include <QString>
#include <QStringList>

#include <cstdint>
#include <limits>
#include <vector>

namespace ql::views {

/// What a filter may ask of a layer; unknown numbers are NaN.
struct LayerValues {
    static constexpr double kUnknown = std::numeric_limits<double>::quiet_NaN();
    QString name, role, op, dtype, candidate;
    double block = kUnknown, bits = kUnknown, size = kUnknown, params = kUnknown, loss = kUnknown, sqnr = kUnknown;
    double outliers = kUnknown, crest = kUnknown, kurtosis = kUnknown; // outliers in percent
};

class LayerFilter {
public:
    LayerFilter() = default;
    explicit LayerFilter(const QString& text);

    bool isEmpty() const { return m_terms.empty(); }
    /// What is wrong with the text, for people; the words understood still filter.
    const QString& problem() const { return m_problem; }
    bool matches(const LayerValues& values) const;
    static QStringList fields();

private:
    enum class Operator { contains, equal, unequal, less, lessEqual, greater, greaterEqual };
    struct Term {
        Operator op = Operator::contains;
        QString LayerValues::*text = nullptr;
        double LayerValues::*number = nullptr;
        QString word;
        double value = 0;
    };
    static bool holds(const Term& term, const LayerValues& values);

    std::vector<Term> m_terms;
    QString m_problem;
};

} // namespace ql::views
