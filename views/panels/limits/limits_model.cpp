// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/panels/limits/limits_model.h"

#include "views/document/document.h"
#include "views/text/format.h"
#include "views/theme/theme.h"

#include <QGuiApplication>
#include <QLocale>

#include <algorithm>
#include <cmath>

namespace ql::views {

namespace {

/// Whether the text is one number, with a unit or without.
bool isNumber(LimitKind kind)
{
    switch (kind) {
    case LimitKind::size:
    case LimitKind::bitsPerWeight:
    case LimitKind::loss:
    case LimitKind::memory:
    case LimitKind::secondMemory:
    case LimitKind::operations:
    case LimitKind::latency:
        return true;
    default:
        return false;
    }
}

/// Where in the text numbers begin: of a group behind its layers; npos: it has none.
std::size_t numbersAt(LimitKind kind, const std::string& words)
{
    return isNumber(kind) ? 0 : kind == LimitKind::group ? words.rfind('=') : std::string::npos;
}

/// Of a sum with that unit.
QString amountText(const std::string& unit, double amount)
{
    if (std::isnan(amount))
        return QStringLiteral("—");
    if (unit == "bytes")
        return bytesText(static_cast<std::int64_t>(std::llround(amount)));
    if (unit == "layers" || unit == "candidates")
        return countText(static_cast<std::int64_t>(amount));
    return LimitsModel::tr("%1 %2").arg(unit == "bits per weight" ? fixedText(amount, 3) : numberText(amount, 4),
                                        toQString(unit));
}

bool isCounted(const LimitUse& use)
{
    return use.unit == "layers" || use.unit == "candidates";
}

} // namespace

std::string limitWords(LimitKind kind, const QString& typed)
{
    std::string words = typed.trimmed().toStdString();
    const std::size_t from = numbersAt(kind, words);
    if (from == std::string::npos)
        return words;
    if (kind == LimitKind::bitsPerWeight && words.ends_with("bpw"))
        words.resize(words.size() - 3);
    if (words.find('.', from) == std::string::npos)
        std::replace(words.begin() + static_cast<std::ptrdiff_t>(from), words.end(), ',', '.');
    while (!words.empty() && words.back() == ' ')
        words.pop_back();
    return words;
}

QString limitText(const Limit& limit)
{
    const std::size_t from = std::min(numbersAt(limit.kind, limit.text), limit.text.size());
    return toQString(limit.text.substr(0, from)) +
           toQString(limit.text.substr(from)).replace(QLatin1Char('.'), QLocale().decimalPoint());
}

LimitsModel::LimitsModel(Document& document, QObject* parent) : QAbstractTableModel(parent), m_document(document) {}

void LimitsModel::refresh()
{
    std::vector<Limit> limits = m_document.isOpen() ? m_document.limits() : std::vector<Limit>();
    std::int64_t locked = 0;
    for (const std::int64_t layer : m_document.planLayers())
        locked += m_document.isLocked(layer) ? 1 : 0;
    const bool isOther =
        !std::ranges::equal(limits, m_limits, {}, &Limit::kind, &Limit::kind) || (locked > 0) != (m_locked > 0);
    if (!isOther) { // whoever types a bound at the moment goes on
        for (std::size_t i = 0; i < limits.size(); ++i)
            if (!(limits[i] == m_limits[i]))
                m_uses[i] = {};
        m_limits = std::move(limits);
        m_locked = locked;
        if (rowCount() > 0)
            Q_EMIT dataChanged(index(0, 0), index(rowCount() - 1, kColumns - 1));
        return;
    }
    beginResetModel();
    m_limits = std::move(limits);
    m_uses.assign(m_limits.size(), {});
    m_locked = locked;
    endResetModel();
}

void LimitsModel::setUses(std::vector<LimitUse> uses)
{
    if (uses.size() != m_limits.size() || uses.empty())
        return;
    m_uses = std::move(uses);
    Q_EMIT dataChanged(index(0, 0), index(static_cast<int>(m_uses.size()) - 1, kColumns - 1));
}

int LimitsModel::problems() const
{
    return static_cast<int>(
        std::ranges::count_if(m_uses, [](const LimitUse& use) { return !use.problem.empty() || use.excess() > 0; }));
}

int LimitsModel::rowCount(const QModelIndex& parent) const
{
    return parent.isValid() ? 0 : static_cast<int>(m_limits.size()) + (m_locked > 0 ? 1 : 0);
}

int LimitsModel::columnCount(const QModelIndex& parent) const
{
    return parent.isValid() ? 0 : kColumns;
}

QString LimitsModel::boundText(const Limit& limit) const
{
    const QString text = limitText(limit);
    switch (limit.kind) {
    case LimitKind::bitsPerWeight:
        return tr("%1 bits per weight").arg(text);
    case LimitKind::loss:
        return m_document.metric() ? tr("%1 %2").arg(text, toQString(m_document.metric()->unit)) : text;
    case LimitKind::context:
        return tr("%1 tokens").arg(text);
    case LimitKind::latency:
        return tr("%1 ms").arg(text);
    default:
        return text;
    }
}

QString LimitsModel::leftText(const LimitUse& use) const
{
    if (!use.problem.empty())
        return toQString(use.problem);
    if (std::isnan(use.used) || !std::isfinite(use.atMost))
        return {};
    const double excess = use.excess();
    if (isCounted(use))
        return excess > 0 ? tr("not kept") : tr("kept");
    if (excess > 0)
        return use.used > use.atMost ? tr("over by %1").arg(amountText(use.unit, excess))
                                     : tr("below by %1").arg(amountText(use.unit, excess));
    return tr("%1 left").arg(amountText(use.unit, std::max(use.atMost - use.used, 0.0)));
}

QString LimitsModel::textOf(int row, int column) const
{
    if (isLocks(row))
        return column == kLimit   ? tr("locked layers")
               : column == kBound ? (m_locked == 1 ? tr("one keeps its candidate")
                                                   : tr("%1 keep their candidate").arg(countText(m_locked)))
                                  : QString();
    const Limit& limit = m_limits[static_cast<std::size_t>(row)];
    const LimitUse& use = m_uses[static_cast<std::size_t>(row)];
    switch (column) {
    case kLimit:
        return toQString(limitInfo(limit.kind).title);
    case kBound:
        return boundText(limit);
    case kUsed:
        if (use.unit.empty())
            return {};
        return use.unit == "candidates" ? tr("%1 candidates").arg(amountText(use.unit, use.used))
               : use.unit == "layers"   ? tr("%1 layers have others").arg(amountText(use.unit, use.used))
                                        : amountText(use.unit, use.used);
    case kLeft:
        return leftText(use);
    default:
        return {};
    }
}

QString LimitsModel::tipOf(int row, int column) const
{
    if (isLocks(row))
        return tr("Balance leaves them as they are; Del unlocks them all");
    const LimitUse& use = m_uses[static_cast<std::size_t>(row)];
    if (column == kUsed && !std::isnan(use.used) && !isCounted(use))
        return tr("%1 %2").arg(use.unit == "bytes" ? countText(static_cast<std::int64_t>(std::llround(use.used)))
                                                   : numberText(use.used, 8),
                               toQString(use.unit));
    if (column == kLeft && !use.problem.empty())
        return toQString(use.problem);
    return toQString(limitInfo(m_limits[static_cast<std::size_t>(row)].kind).help);
}

QVariant LimitsModel::data(const QModelIndex& index, int role) const
{
    if (!index.isValid())
        return {};
    const int row = index.row();
    const int column = index.column();
    switch (role) {
    case Qt::DisplayRole:
        return textOf(row, column);
    case Qt::EditRole:
        return column == kBound && !isLocks(row) ? limitText(m_limits[static_cast<std::size_t>(row)])
                                                 : textOf(row, column);
    case Qt::ToolTipRole:
        return tipOf(row, column);
    case Qt::TextAlignmentRole:
        return static_cast<int>((column == kUsed ? Qt::AlignRight : Qt::AlignLeft) | Qt::AlignVCenter);
    default:
        break;
    }
    if (isLocks(row))
        return {};
    const LimitUse& use = m_uses[static_cast<std::size_t>(row)];
    switch (role) {
    case Qt::UserRole:
        if (column == kUsed)
            return std::isnan(use.used) ? QVariant() : QVariant(use.used);
        if (column == kLeft)
            return std::isnan(use.used) || !std::isfinite(use.atMost) ? QVariant() : QVariant(use.atMost - use.used);
        return textOf(row, column);
    case kShareRole:
        return column == kLeft && !isCounted(use) && !std::isnan(use.used) && std::isfinite(use.atMost) &&
                       use.atMost > 0
                   ? QVariant(use.used / use.atMost)
                   : QVariant();
    case Qt::ForegroundRole:
        return !use.problem.empty() || use.excess() > 0 ? QVariant(colors(QGuiApplication::palette()).bad) : QVariant();
    default:
        return {};
    }
}

QVariant LimitsModel::headerData(int section, Qt::Orientation orientation, int role) const
{
    if (orientation != Qt::Horizontal)
        return {};
    if (role == Qt::TextAlignmentRole)
        return static_cast<int>((section == kUsed ? Qt::AlignRight : Qt::AlignLeft) | Qt::AlignVCenter);
    if (role != Qt::DisplayRole)
        return {};
    switch (section) {
    case kLimit:
        return tr("limit");
    case kBound:
        return tr("bound");
    case kUsed:
        return tr("used now");
    case kLeft:
        return tr("left");
    default:
        return {};
    }
}

Qt::ItemFlags LimitsModel::flags(const QModelIndex& index) const
{
    const bool isBound = index.isValid() && index.column() == kBound && !isLocks(index.row());
    return QAbstractTableModel::flags(index) | (isBound ? Qt::ItemIsEditable : Qt::NoItemFlags);
}

bool LimitsModel::setData(const QModelIndex& index, const QVariant& value, int role)
{
    if (!index.isValid() || role != Qt::EditRole || index.column() != kBound || isLocks(index.row()))
        return false;
    std::vector<Limit> limits = m_limits;
    Limit& limit = limits[static_cast<std::size_t>(index.row())];
    limit.text = limitWords(limit.kind, value.toString());
    if (const auto checked = checkLimit(*m_document.model(), limit); !checked) {
        Q_EMIT refused(errorText(checked.error()));
        return false;
    }
    const QString text = tr("Change %1").arg(toQString(limitInfo(limit.kind).title));
    m_document.setLimits(std::move(limits), text); // the rows are refreshed
    return true;
}

} // namespace ql::views
