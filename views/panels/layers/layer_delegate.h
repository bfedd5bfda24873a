// SPDX-License-Identifier: GPL-3.0-or-later
// Cells with a bar behind the number, and a combo box for the candidate.
#pragma once

#include <QStyledItemDelegate>

namespace ql::views {

class Document;

class LayerDelegate : public QStyledItemDelegate {
    Q_OBJECT
public:
    explicit LayerDelegate(Document& document, QObject* parent = nullptr);
    void paint(QPainter* painter, const QStyleOptionViewItem& option, const QModelIndex& index) const override;
    QWidget* createEditor(QWidget* parent, const QStyleOptionViewItem& option, const QModelIndex& index) const override;
    void setEditorData(QWidget* editor, const QModelIndex& index) const override;
    void setModelData(QWidget* editor, QAbstractItemModel* model, const QModelIndex& index) const override;

private:
    Document& m_document;
};

} // namespace ql::views
