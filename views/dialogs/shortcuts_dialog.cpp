// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/dialogs/shortcuts_dialog.h"

#include <QAction>
#include <QDialogButtonBox>
#include <QHeaderView>
#include <QMenu>
#include <QTreeWidget>
#include <QVBoxLayout>

#include <map>

namespace ql::views {

ShortcutsDialog::ShortcutsDialog(const QWidget& root, QWidget* parent) : QDialog(parent)
{
    setWindowTitle(tr("Keyboard shortcuts"));
    resize(560, 640);
    auto* tree = new QTreeWidget(this);
    tree->setHeaderLabels({tr("Key"), tr("What it does")});
    tree->setRootIsDecorated(false);
    tree->setAlternatingRowColors(true);
    tree->setAccessibleName(windowTitle());
    const auto group = [tree](const QString& title) {
        auto* item = new QTreeWidgetItem(tree, {title});
        QFont bold = tree->font();
        bold.setBold(true);
        item->setFont(0, bold);
        item->setFirstColumnSpanned(true);
        return item;
    };

    std::map<QString, QString> window; // key → text; actions shared by views appear once
    for (const QAction* action : root.findChildren<QAction*>()) {
        for (const QKeySequence& key : action->shortcuts()) {
            if (!key.isEmpty() && !action->text().isEmpty())
                window[key.toString(QKeySequence::NativeText)] =
                    action->text().remove(QLatin1Char('&')).remove(QChar(0x2026));
        }
    }
    auto* windowGroup = group(tr("Window"));
    for (const auto& [key, text] : window)
        new QTreeWidgetItem(windowGroup, {key, text});

    const std::pair<QString, QString> bars[] = {
        {tr("Drag"), tr("Paint bits across layers")},
        {tr("Shift+drag"), tr("Set a whole block")},
        {tr("Ctrl+drag"), tr("Move the selected layers together")},
        {tr("Right drag"), tr("Select layers")},
        {tr("Esc"), tr("Put back what the drag changed")},
        {tr("Left, Right, Home, End"), tr("Go to another layer; with Shift extend the selection")},
        {tr("Up, Down"), tr("More or fewer bits")},
        {tr("2 … 8, 1"), tr("About that many bits; 1 for 16")},
        {tr("Space"), tr("Lock or unlock")},
        {tr("Ctrl+A"), tr("Select all layers")},
        {tr("Wheel, +, −, 0"), tr("Zoom and fit; Shift+wheel scrolls")},
    };
    auto* barGroup = group(tr("Bit allocation"));
    for (const auto& [key, text] : bars)
        new QTreeWidgetItem(barGroup, {key, text});
    const std::pair<QString, QString> map[] = {
        {tr("Wheel, +, −, 0"), tr("Zoom and fit")},
        {tr("Drag, arrows"), tr("Pan")},
        {tr("N, Shift+N"), tr("Next and previous of the largest weights")},
        {tr("L"), tr("Logarithmic or linear colours")},
    };
    auto* mapGroup = group(tr("Outlier map"));
    for (const auto& [key, text] : map)
        new QTreeWidgetItem(mapGroup, {key, text});
    const std::pair<QString, QString> bench[] = {
        {tr("Space"), tr("Tick a scheme, a quantizer, or a whole group")},
        {tr("Enter"), tr("Explain the entry; in a line of text: run")},
        {tr("Ctrl+C"), tr("Copy the table")},
    };
    auto* benchGroup = group(tr("Bench"));
    for (const auto& [key, text] : bench)
        new QTreeWidgetItem(benchGroup, {key, text});
    const std::pair<QString, QString> plans[] = {
        {tr("Enter"), tr("Switch to the plan")},
        {tr("F2"), tr("Rename it")},
        {tr("Ctrl+click"), tr("Choose two plans to compare")},
    };
    auto* plansGroup = group(tr("Plans"));
    for (const auto& [key, text] : plans)
        new QTreeWidgetItem(plansGroup, {key, text});
    const std::pair<QString, QString> front[] = {
        {tr("Left, Right, Home, End"), tr("Walk along the front")},
        {tr("Enter, double click"), tr("Adopt the chosen plan")},
        {tr("Esc"), tr("Choose none")},
    };
    auto* frontGroup = group(tr("Pareto front"));
    for (const auto& [key, text] : front)
        new QTreeWidgetItem(frontGroup, {key, text});
    const std::pair<QString, QString> landscape[] = {
        {tr("Arrow keys"), tr("Tell the next cell")},
        {tr("Home"), tr("Go to the weights as they are, in the middle")},
        {tr("Esc"), tr("Tell none")},
    };
    auto* landscapeGroup = group(tr("Landscape"));
    for (const auto& [key, text] : landscape)
        new QTreeWidgetItem(landscapeGroup, {key, text});
    const std::pair<QString, QString> limits[] = {
        {tr("F2, double click"), tr("Change the bound")},
        {tr("Enter"), tr("In the line below: add the limit")},
        {tr("Del"), tr("Remove the limit")},
    };
    auto* limitsGroup = group(tr("Limits"));
    for (const auto& [key, text] : limits)
        new QTreeWidgetItem(limitsGroup, {key, text});
    tree->expandAll();
    tree->header()->setSectionResizeMode(0, QHeaderView::ResizeToContents);

    auto* buttons = new QDialogButtonBox(QDialogButtonBox::Close, this);
    connect(buttons, &QDialogButtonBox::rejected, this, &QDialog::reject);
    auto* column = new QVBoxLayout(this);
    column->addWidget(tree);
    column->addWidget(buttons);
}

} // namespace ql::views
