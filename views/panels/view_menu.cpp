// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/panels/view_menu.h"

#include "core/base/text.h"
#include "views/text/format.h"

#include <QAction>
#include <QApplication>
#include <QClipboard>
#include <QFileDialog>
#include <QMessageBox>
#include <QPainter>
#include <QPixmap>
#include <QSaveFile>
#include <QSvgGenerator>
#include <QWidget>

namespace ql::views {

namespace {

QString tr(const char* text)
{
    return QCoreApplication::translate("ViewMenu", text);
}

QString joined(const ViewTable& table, const QString& separator, QString (*field)(const QString&))
{
    QString text;
    const auto addRow = [&](const QStringList& row) {
        for (qsizetype i = 0; i < row.size(); ++i)
            text += (i > 0 ? separator : QString()) + field(row[i]);
        text += QLatin1Char('\n');
    };
    addRow(table.header);
    for (const QStringList& row : table.rows)
        addRow(row);
    return text;
}

void savePicture(QWidget* view)
{
    const QString path = QFileDialog::getSaveFileName(view, tr("Save picture"), tr("picture.png"),
                                                      tr("PNG picture (*.png);;SVG drawing (*.svg)"));
    if (path.isEmpty())
        return;
    bool ok = false;
    if (path.endsWith(QLatin1String(".svg"), Qt::CaseInsensitive)) {
        QSvgGenerator svg;
        svg.setFileName(path);
        svg.setSize(view->size());
        svg.setViewBox(view->rect());
        svg.setTitle(view->accessibleName());
        QPainter painter;
        ok = painter.begin(&svg);
        if (ok)
            view->render(&painter);
    } else {
        ok = view->grab().save(path, "PNG");
    }
    if (!ok)
        QMessageBox::warning(view, tr("Save picture"), tr("Cannot write %1.").arg(path));
}

void saveData(QWidget* view, const ViewTable& table)
{
    const QString path =
        QFileDialog::getSaveFileName(view, tr("Save data"), tr("data.csv"), tr("Comma-separated values (*.csv)"));
    if (path.isEmpty())
        return;
    QSaveFile file(path);
    if (!file.open(QIODevice::WriteOnly) || file.write(toCsv(table).toUtf8()) < 0 || !file.commit())
        QMessageBox::warning(view, tr("Save data"), tr("Cannot write %1: %2").arg(path, file.errorString()));
}

} // namespace

void addViewMenu(QWidget* view, std::function<ViewTable()> table)
{
    view->setContextMenuPolicy(Qt::ActionsContextMenu);
    const auto add = [view](const QString& text, auto run) {
        auto* action = new QAction(text, view);
        QObject::connect(action, &QAction::triggered, view, run);
        view->addAction(action);
        return action;
    };
    add(tr("Copy picture"), [view] { QApplication::clipboard()->setPixmap(view->grab()); });
    QAction* copy = add(tr("Copy data"), [table] { QApplication::clipboard()->setText(toTsv(table())); });
    copy->setShortcut(QKeySequence::Copy);
    copy->setShortcutContext(Qt::WidgetWithChildrenShortcut);
    add(tr("Save picture…"), [view] { savePicture(view); });
    add(tr("Save data…"), [view, table] { saveData(view, table()); });
}

QString toTsv(const ViewTable& table)
{
    return joined(table, QStringLiteral("\t"), [](const QString& field) {
        QString plain = field;
        return plain.replace(QLatin1Char('\t'), QLatin1Char(' ')).replace(QLatin1Char('\n'), QLatin1Char(' '));
    });
}

QString toCsv(const ViewTable& table)
{
    return joined(table, QStringLiteral(","), [](const QString& field) {
        if (!field.contains(QLatin1Char(',')) && !field.contains(QLatin1Char('"')) &&
            !field.contains(QLatin1Char('\n')))
            return field;
        QString quoted = field;
        quoted.replace(QLatin1String("\""), QLatin1String("\"\""));
        return QStringLiteral("\"") + quoted + QStringLiteral("\"");
    });
}

QString plainNumber(double value)
{
    return toQString(std::string_view(formatDouble(value)));
}

} // namespace ql::views
