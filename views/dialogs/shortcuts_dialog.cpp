// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/dialogs/shortcuts_dialog.h"

#include <QAction>
#include <QDialogButtonBox>
#include <QHeaderView>
#include <QMenu>
#include <QTreeWidget>
#include <QVBoxLayout>

#include <map>
#include <utility>
#include <vector>

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
    using Keys = std::vector<std::pair<QString, QString>>; // key and text
    const auto group = [tree](const QString& title, const Keys& keys) {
        auto* item = new QTreeWidgetItem(tree, {title});
        QFont bold = tree->font();
        bold.setBold(true);
        item->setFont(0, bold);
        item->setFirstColumnSpanned(true);
        for (const auto& [key, text] : keys)
            new QTreeWidgetItem(item, {key, text});
    };

    std::map<QString, QString> window; // key → text; actions shared by views appear once
    for (const QAction* action : root.findChildren<QAction*>()) {
        for (const QKeySequence& key : action->shortcuts()) {
            if (!key.isEmpty() && !action->text().isEmpty())
                window[key.toString(QKeySequence::NativeText)] =
                    action->text().remove(QLatin1Char('&')).remove(QChar(0x2026));
        }
    }
    group(tr("Window"), {window.begin(), window.end()});

    group(tr("Bit allocation"),
          {
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
          });
    group(tr("Outlier map"), {
                                 {tr("Wheel, +, −, 0"), tr("Zoom and fit")},
                                 {tr("Drag, arrows"), tr("Pan")},
                                 {tr("N, Shift+N"), tr("Next and previous of the largest weights")},
                                 {tr("L"), tr("Logarithmic or linear colours")},
                             });
    group(tr("Bench"), {
                           {tr("Space"), tr("Tick a scheme, a quantizer, or a whole group")},
                           {tr("Enter"), tr("Explain the entry; in a line of text: run")},
                           {tr("Ctrl+C"), tr("Copy the table")},
                       });
    group(tr("Plans"), {
                           {tr("Enter"), tr("Switch to the plan")},
                           {tr("F2"), tr("Rename it")},
                           {tr("Ctrl+click"), tr("Choose two plans to compare")},
                       });
    group(tr("Pareto front"), {
                                  {tr("Left, Right, Home, End"), tr("Walk along the front")},
                                  {tr("Enter, double click"), tr("Adopt the chosen plan")},
                                  {tr("Esc"), tr("Choose none")},
                              });
    group(tr("Landscape"), {
                               {tr("Arrow keys"), tr("Tell the next cell")},
                               {tr("Home"), tr("Go to the weights as they are, in the middle")},
                               {tr("Esc"), tr("Tell none")},
                           });
    group(tr("Limits"), {
                            {tr("F2, double click"), tr("Change the bound")},
                            {tr("Enter"), tr("In the line below: add the limit")},
                            {tr("Del"), tr("Remove the limit")},
                        });
    tree->expandAll();
    tree->header()->setSectionResizeMode(0, QHeaderView::ResizeToContents);

    auto* buttons = new QDialogButtonBox(QDialogButtonBox::Close, this);
    connect(buttons, &QDialogButtonBox::rejected, this, &QDialog::reject);
    auto* column = new QVBoxLayout(this);
    column->addWidget(tree);
    column->addWidget(buttons);
}

} // namespace ql::views
