// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/runs/source_paths.h"

#include "views/document/document.h"

#include <QFileInfo>
#include <QSettings>

namespace ql::views {

namespace {

QString settingOf(SourceKind kind, SourceUse use)
{
    const QString group = isText(kind)                 ? QStringLiteral("texts")
                          : kind == SourceKind::arrays ? QStringLiteral("arrays")
                                                       : QStringLiteral("pictures");
    return group + (use == SourceUse::calibration ? QStringLiteral("/calibration") : QStringLiteral("/held-out"));
}

} // namespace

QString textBeside(const Document& document, SourceUse use)
{
    if (!document.isOpen())
        return {};
    const QFileInfo checkpoint(document.checkpointPath());
    const QString folder = checkpoint.isDir() ? checkpoint.filePath() : checkpoint.path();
    const QString path =
        folder + (use == SourceUse::calibration ? QStringLiteral("/calibration.txt") : QStringLiteral("/test.txt"));
    return QFileInfo::exists(path) ? path : QString();
}

QString lastSource(SourceKind kind, SourceUse use)
{
    const QString path = QSettings().value(settingOf(kind, use)).toString();
    return QFileInfo::exists(path) ? path : QString();
}

QString usualText(const Document& document, SourceUse use)
{
    if (!document.isOpen())
        return {};
    const QString beside = textBeside(document, use);
    return beside.isEmpty() ? lastSource(SourceKind::text, use) : beside;
}

void rememberSource(SourceKind kind, SourceUse use, const QString& path)
{
    QSettings().setValue(settingOf(kind, use), path);
}

} // namespace ql::views
