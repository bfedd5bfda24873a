// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/panels/layers/layer_delegate.h"

#include "views/document/document.h"
#include "views/panels/layers/layer_tree_model.h"
#include "views/theme/theme.h"

#include <QComboBox>
#include <QPainter>

namespace ql::views {

LayerDelegate::LayerDelegate(Document& document, QObject* parent) : QStyledItemDelegate(parent), m_document(document) {}

void LayerDelegate::paint(QPainter* painter, const QStyleOptionViewItem& option, const QModelIndex& index) const
{
    const QVariant bar = index.data(LayerTreeModel::kBarRole);
    if (bar.isValid() && !option.state.testFlag(QStyle::State_Selected)) {
        const QRect cell = option.rect.adjusted(2, 3, -2, -3);
        const auto width = static_cast<int>(bar.toDouble() * cell.width());
        QColor fill =
            index.column() == LayerTreeModel::kBits ? bitsColor(16 * bar.toDouble()) : colors(option.palette).series[0];
        fill.setAlpha(colors(option.palette).dark ? 90 : 70);
        painter->fillRect(QRect(cell.left(), cell.top(), width, cell.height()), fill);
    }
    QStyledItemDelegate::paint(painter, option, index);
}

QWidget* LayerDelegate::createEditor(QWidget* parent, const QStyleOptionViewItem& option,
                                     const QModelIndex& index) const
{
    if (index.column() != LayerTreeModel::kCandidate)
        return QStyledItemDelegate::createEditor(parent, option, index);
    auto* combo = new QComboBox(parent);
    combo->setAccessibleName(tr("Candidate"));
    const std::int64_t layer = index.data(LayerTreeModel::kLayerRole).toLongLong();
    for (const std::size_t column : m_document.ladder(layer))
        combo->addItem(m_document.columnText(column));
    // Choosing closes the editor; otherwise a choice would wait for Enter.
    connect(combo, &QComboBox::activated, this, [this, combo] {
        auto* self = const_cast<LayerDelegate*>(this);
        Q_EMIT self->commitData(combo);
        Q_EMIT self->closeEditor(combo);
    });
    return combo;
}

void LayerDelegate::setEditorData(QWidget* editor, const QModelIndex& index) const
{
    if (auto* combo = qobject_cast<QComboBox*>(editor)) {
        const std::int64_t layer = index.data(LayerTreeModel::kLayerRole).toLongLong();
        if (const auto column = m_document.columnOf(layer))
            combo->setCurrentText(m_document.columnText(*column));
    } else {
        QStyledItemDelegate::setEditorData(editor, index);
    }
}

void LayerDelegate::setModelData(QWidget* editor, QAbstractItemModel* model, const QModelIndex& index) const
{
    if (auto* combo = qobject_cast<QComboBox*>(editor))
        model->setData(index, combo->currentText(), Qt::EditRole);
    else
        QStyledItemDelegate::setModelData(editor, model, index);
}

} // namespace ql::views
