// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/text/shell.h"

#include <algorithm>

namespace ql::views {

QString shellQuoted(const QString& text)
{
    const bool plain = std::all_of(text.begin(), text.end(), [](QChar c) {
        return c.isLetterOrNumber() || QStringLiteral("/._-+=:,@").contains(c);
    });
    if (plain && !text.isEmpty())
        return text;
    QString quoted = text;
    quoted.replace(QLatin1String("'"), QLatin1String("'\\''"));
    return QStringLiteral("'%1'").arg(quoted);
}

} // namespace ql::views
