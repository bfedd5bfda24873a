// SPDX-License-Identifier: GPL-3.0-or-later
// The ten latest checkpoints and studies, newest first, in the settings. Missing ones stay: a disk may come back.
#pragma once

#include <QString>
#include <QStringList>

namespace ql::views {

constexpr int kRecentFiles = 10;

QStringList recentFiles();
void addRecentFile(const QString& path);
void clearRecentFiles();

} // namespace ql::views
