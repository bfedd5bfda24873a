// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/document/layer_names.h"

#include "views/text/format.h"

namespace ql::views {

QString nameInBlock(const Layer& layer)
{
    QString name = toQString(layer.name);
    if (layer.block >= 0) {
        const QString number = QStringLiteral(".%1.").arg(layer.block);
        const qsizetype at = name.indexOf(number);
        if (at >= 0)
            name = name.mid(at + number.size());
    }
    if (name.endsWith(QLatin1String(".weight")))
        name.chop(7);
    return name;
}

QString nameWithBlock(const Layer& layer)
{
    return layer.block < 0 ? nameInBlock(layer)
                           : QStringLiteral("%1 \u00b7 %2").arg(layer.block).arg(nameInBlock(layer));
}

} // namespace ql::views
