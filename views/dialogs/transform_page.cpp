// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/dialogs/transform_page.h"

#include "core/transforms/transform.h"
#include "views/text/format.h"

#include <QDialogButtonBox>
#include <QTextBrowser>
#include <QVBoxLayout>

namespace ql::views {

namespace {

QString row(const QString& what, const QString& text)
{
    return QStringLiteral("<tr><td>%1</td><td>%2</td></tr>").arg(what.toHtmlEscaped(), text.toHtmlEscaped());
}

} // namespace

TransformPage::TransformPage(const Transform& transform, QWidget* parent) : QDialog(parent)
{
    setWindowTitle(toQString(transform.id));
    resize(640, 420);
    auto* text = new QTextBrowser(this);
    text->setAccessibleName(tr("Explanation"));
    text->setFrameShape(QFrame::NoFrame);
    text->setHtml(transformHtml(transform));
    auto* buttons = new QDialogButtonBox(QDialogButtonBox::Close, this);
    connect(buttons, &QDialogButtonBox::rejected, this, &QDialog::reject);
    auto* column = new QVBoxLayout(this);
    column->addWidget(text, 1);
    column->addWidget(buttons);
    text->setFocus(); // arrows scroll
}

QString transformHtml(const Transform& transform)
{
    QString text = QStringLiteral("<h3>%1</h3><p>%2</p><table cellspacing=\"0\" cellpadding=\"3\">")
                       .arg(toQString(transform.id).toHtmlEscaped(), toQString(transform.title).toHtmlEscaped());
    text += row(TransformPage::tr("formula"), toQString(transform.formula));
    text += row(TransformPage::tr("reach"), toQString(reachOf(transform)));
    text += row(TransformPage::tr("needs"), toQString(describeNeeds(transform)));
    text += row(TransformPage::tr("source"), toQString(transform.source));
    text += QStringLiteral("</table>");
    text += QStringLiteral("<p>%1</p>")
                .arg(TransformPage::tr("An exact rewrite: the unquantized model computes the same, up to rounding in "
                                       "float32, and can be quantized better. A local one changes a value between "
                                       "the layer that makes it and those that read it."));
    QString options;
    for (const TransformOption& option : transform.words)
        options += row(toQString(option.key), TransformPage::tr("a word"));
    for (const TransformOption& option : transform.keys)
        options += row(toQString(option.key) + QLatin1Char('='), toQString(option.help));
    if (!options.isEmpty())
        text += QStringLiteral("<h4>%1</h4><table cellspacing=\"0\" cellpadding=\"3\">%2</table>")
                    .arg(TransformPage::tr("Options, after a colon each").toHtmlEscaped(), options);
    return text;
}

QString aboutTransform(const Transform& transform)
{
    QStringList lines{toQString(transform.title), toQString(transform.formula),
                      TransformPage::tr("reach: %1").arg(toQString(reachOf(transform))),
                      TransformPage::tr("needs: %1").arg(toQString(describeNeeds(transform))),
                      TransformPage::tr("source: %1").arg(toQString(transform.source))};
    for (const TransformOption& option : transform.words)
        lines << QStringLiteral(":%1").arg(toQString(option.key));
    for (const TransformOption& option : transform.keys)
        lines << QStringLiteral(":%1=  %2").arg(toQString(option.key), toQString(option.help));
    return lines.join(QLatin1Char('\n'));
}

QString missingFor(TransformNeeds needs, const Activations* activations)
{
    if (activations || needs == TransformNeeds::nothing)
        return {};
    return TransformPage::tr("Needs %1, which are not known: Calibrate… finds them.").arg(toQString(word(needs)));
}

} // namespace ql::views
