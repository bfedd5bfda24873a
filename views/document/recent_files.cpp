// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/document/recent_files.h"

#include <QFileInfo>
#include <QSettings>

namespace ql::views {

namespace {
const QString kKey = QStringLiteral("recentFiles");
}

QStringList recentFiles()
{
    return QSettings().value(kKey).toStringList().mid(0, kRecentFiles);
}

void addRecentFile(const QString& path)
{
    const QString absolute = QFileInfo(path).absoluteFilePath();
    QStringList files = recentFiles();
    files.removeAll(absolute);
    files.prepend(absolute);
    QSettings().setValue(kKey, QStringList(files.mid(0, kRecentFiles)));
}

void clearRecentFiles()
{
    QSettings().remove(kKey);
}

} // namespace ql::views
