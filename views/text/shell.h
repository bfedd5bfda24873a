// SPDX-License-Identifier: GPL-3.0-or-later
// The same on the command line: what dialogs offer to copy.
#pragma once

#include <QString>

namespace ql::views {

/// Quoted for a POSIX shell where it needs to be.
QString shellQuoted(const QString& text);

} // namespace ql::views
