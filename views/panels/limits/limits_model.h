// SPDX-License-Identifier: GPL-3.0-or-later
// The document's limits, a row each: what is stated, what the plan takes of it and what is left; after them, while
// there are any, the locked layers as one row. Bounds are edited in place. Qt::UserRole is the number behind a text.
#pragma once

#include "core/allocation/plan_limits.h"

#include <QAbstractTableModel>

namespace ql::views {

class Document;

/// As a user types it in any locale, in core's words: a decimal point, no unit that is known.
std::string limitWords(LimitKind kind, const QString& typed);
/// The other way round, with the locale's decimal point.
QString limitText(const Limit& limit);

class LimitsModel : public QAbstractTableModel {
    Q_OBJECT
public:
    enum Column { kLimit, kBound, kUsed, kLeft, kColumns };
    static constexpr int kShareRole = Qt::UserRole + 1; // used ÷ limit, of kLeft; invalid where it is not known

    explicit LimitsModel(Document& document, QObject* parent = nullptr);

    /// Other limits, or another number of locked layers.
    void refresh();
    /// Of the limits in the rows, in their order.
    void setUses(std::vector<LimitUse> uses);
    /// How many limits are passed or cannot be told.
    int problems() const;
    bool isLocks(int row) const { return row == static_cast<int>(m_limits.size()); }
    const std::vector<Limit>& limits() const { return m_limits; }

    int rowCount(const QModelIndex& parent = {}) const override;
    int columnCount(const QModelIndex& parent = {}) const override;
    QVariant data(const QModelIndex& index, int role = Qt::DisplayRole) const override;
    QVariant headerData(int section, Qt::Orientation orientation, int role = Qt::DisplayRole) const override;
    Qt::ItemFlags flags(const QModelIndex& index) const override;
    bool setData(const QModelIndex& index, const QVariant& value, int role = Qt::EditRole) override;

Q_SIGNALS:
    void refused(const QString& reason); // what was typed is no such limit

private:
    QString textOf(int row, int column) const;
    QString boundText(const Limit& limit) const;
    QString leftText(const LimitUse& use) const;
    QString tipOf(int row, int column) const;

    Document& m_document;
    std::vector<Limit> m_limits;
    std::vector<LimitUse> m_uses; // as many
    std::int64_t m_locked = 0;
};

} // namespace ql::views
