// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/document/known_loss.h"

#include "views/document/document.h"
#include "views/text/format.h"

#include <QDateTime>

#include <algorithm>

namespace ql::views {

QString ageText(const KnownLoss& loss)
{
    if (loss.time == 0)
        return {};
    const std::int64_t minutes = std::max<std::int64_t>(0, QDateTime::currentSecsSinceEpoch() - loss.time) / 60;
    if (minutes < 1)
        return Document::tr("just now");
    if (minutes < 120)
        return Document::tr("%1 min ago").arg(minutes);
    return minutes < 48 * 60 ? Document::tr("%1 h ago").arg(minutes / 60)
                             : Document::tr("%1 days ago").arg(minutes / (24 * 60));
}

QString lossNumber(const KnownLoss& loss, int digits)
{
    const QString number = numberText(loss.loss, digits);
    return loss.isMeasured() && loss.standardError > 0
               ? Document::tr("%1 ± %2").arg(number, numberText(loss.standardError, 2))
               : number;
}

QString lossInWords(const KnownLoss& loss, const QString& unit)
{
    QString text = Document::tr("%1 %2, %3").arg(lossNumber(loss, 6), unit, toQString(word(loss.evidence)));
    if (loss.tokens > 0)
        text += Document::tr(", %1 tokens scored").arg(countText(loss.tokens));
    if (const QString age = ageText(loss); !age.isEmpty())
        text += QStringLiteral(", ") + age;
    return text;
}

QString coverageInWords(const Document& document, std::int64_t layer)
{
    const auto seen = document.activations() ? document.activations()->seenTokens(layer) : std::vector<std::int64_t>();
    if (seen.empty())
        return {};
    if (seen.size() == 1)
        return Document::tr("Calibration: %1 tokens").arg(countText(seen.front()));
    const auto [least, most] = std::ranges::minmax(seen);
    const auto none = std::ranges::count(seen, 0);
    QString text = Document::tr("Calibration: %1 to %2 tokens for each of %3 experts")
                       .arg(countText(least), countText(most), countText(std::ssize(seen)));
    if (none > 0)
        text += Document::tr("; %1 saw none, so nothing is known of those").arg(countText(none));
    return text;
}

} // namespace ql::views
