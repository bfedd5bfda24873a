// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/theme/theme.h"

#include "views/theme/color_map.h"

#include <QApplication>
#include <QStyleFactory>
#include <QToolTip>

#include <algorithm>
#include <cmath>

namespace ql::views {

namespace {

bool isDark(const QPalette& palette)
{
    return palette.color(QPalette::Window).lightness() < palette.color(QPalette::WindowText).lightness();
}

QPalette lightPalette()
{
    QPalette p;
    p.setColor(QPalette::Window, QColor(0xf3, 0xf4, 0xf6));
    p.setColor(QPalette::WindowText, QColor(0x1d, 0x23, 0x2b));
    p.setColor(QPalette::Base, QColor(0xff, 0xff, 0xff));
    p.setColor(QPalette::AlternateBase, QColor(0xf6, 0xf8, 0xfa));
    p.setColor(QPalette::Text, QColor(0x1d, 0x23, 0x2b));
    p.setColor(QPalette::Button, QColor(0xec, 0xee, 0xf1));
    p.setColor(QPalette::ButtonText, QColor(0x1d, 0x23, 0x2b));
    p.setColor(QPalette::BrightText, QColor(0xb4, 0x1e, 0x1e));
    p.setColor(QPalette::Highlight, QColor(0x1f, 0x6f, 0xc4));
    p.setColor(QPalette::HighlightedText, Qt::white);
    p.setColor(QPalette::Link, QColor(0x15, 0x5e, 0xab));
    p.setColor(QPalette::LinkVisited, QColor(0x6a, 0x3d, 0xa0));
    p.setColor(QPalette::ToolTipBase, QColor(0xff, 0xff, 0xff));
    p.setColor(QPalette::ToolTipText, QColor(0x1d, 0x23, 0x2b));
    p.setColor(QPalette::PlaceholderText, QColor(0x6b, 0x73, 0x7d));
    const QColor off(0x93, 0x9a, 0xa3);
    for (const auto role : {QPalette::WindowText, QPalette::Text, QPalette::ButtonText})
        p.setColor(QPalette::Disabled, role, off);
    return p;
}

QPalette darkPalette()
{
    QPalette p;
    p.setColor(QPalette::Window, QColor(0x20, 0x24, 0x2a));
    p.setColor(QPalette::WindowText, QColor(0xe4, 0xe7, 0xeb));
    p.setColor(QPalette::Base, QColor(0x17, 0x1a, 0x1f));
    p.setColor(QPalette::AlternateBase, QColor(0x1d, 0x21, 0x27));
    p.setColor(QPalette::Text, QColor(0xe4, 0xe7, 0xeb));
    p.setColor(QPalette::Button, QColor(0x2b, 0x30, 0x38));
    p.setColor(QPalette::ButtonText, QColor(0xe4, 0xe7, 0xeb));
    p.setColor(QPalette::BrightText, QColor(0xff, 0x8a, 0x80));
    p.setColor(QPalette::Light, QColor(0x3a, 0x40, 0x4a));
    p.setColor(QPalette::Midlight, QColor(0x32, 0x38, 0x41));
    p.setColor(QPalette::Mid, QColor(0x18, 0x1b, 0x20));
    p.setColor(QPalette::Dark, QColor(0x12, 0x14, 0x18));
    p.setColor(QPalette::Shadow, QColor(0x08, 0x09, 0x0b));
    p.setColor(QPalette::Highlight, QColor(0x2f, 0x7d, 0xd1));
    p.setColor(QPalette::HighlightedText, Qt::white);
    p.setColor(QPalette::Link, QColor(0x6f, 0xb1, 0xf5));
    p.setColor(QPalette::LinkVisited, QColor(0xb7, 0x95, 0xe6));
    p.setColor(QPalette::ToolTipBase, QColor(0x2b, 0x30, 0x38));
    p.setColor(QPalette::ToolTipText, QColor(0xe4, 0xe7, 0xeb));
    p.setColor(QPalette::PlaceholderText, QColor(0x94, 0x9c, 0xa8));
    const QColor off(0x6c, 0x74, 0x80);
    for (const auto role : {QPalette::WindowText, QPalette::Text, QPalette::ButtonText})
        p.setColor(QPalette::Disabled, role, off);
    return p;
}

} // namespace

void applyTheme(ThemeChoice choice)
{
    // Qt 6.4 has no QStyleHints::colorScheme: the palette the platform gave us at start is all there is to ask.
    static const bool kDesktopIsDark = isDark(QApplication::palette());
    QApplication::setStyle(QStyleFactory::create(QStringLiteral("Fusion")));
    const bool dark = choice == ThemeChoice::dark || (choice == ThemeChoice::system && kDesktopIsDark);
    const QPalette palette = dark ? darkPalette() : lightPalette();
    QApplication::setPalette(palette);
    QToolTip::setPalette(palette);
}

ThemeChoice themeFromWord(const QString& word)
{
    if (word == QLatin1String("light"))
        return ThemeChoice::light;
    return word == QLatin1String("dark") ? ThemeChoice::dark : ThemeChoice::system;
}

QString themeWord(ThemeChoice choice)
{
    switch (choice) {
    case ThemeChoice::light:
        return QStringLiteral("light");
    case ThemeChoice::dark:
        return QStringLiteral("dark");
    case ThemeChoice::system:
        break;
    }
    return QStringLiteral("system");
}

Colors colors(const QPalette& palette)
{
    Colors c;
    c.dark = isDark(palette);
    c.surface = palette.color(QPalette::Base);
    c.text = palette.color(QPalette::Text);
    c.dim = c.dark ? QColor(0x9a, 0xa3, 0xaf) : QColor(0x5c, 0x65, 0x70);
    c.grid = c.dark ? QColor(0x33, 0x39, 0x42) : QColor(0xdf, 0xe3, 0xe8);
    c.minorGrid = c.dark ? QColor(0x27, 0x2c, 0x33) : QColor(0xee, 0xf0, 0xf3);
    c.accent = palette.color(QPalette::Highlight);
    c.ghost = c.dark ? QColor(0xff, 0xff, 0xff, 150) : QColor(0x10, 0x14, 0x18, 150);
    c.good = c.dark ? QColor(0x5c, 0xc2, 0x8a) : QColor(0x1b, 0x7f, 0x4d);
    c.warn = c.dark ? QColor(0xf0, 0xb4, 0x4c) : QColor(0x9a, 0x62, 0x00);
    c.bad = c.dark ? QColor(0xff, 0x7d, 0x74) : QColor(0xba, 0x2a, 0x25);
    if (c.dark)
        c.series = {QColor(0x6f, 0xb1, 0xf5), QColor(0xf5, 0xa6, 0x4e), QColor(0x7e, 0xd0, 0x95),
                    QColor(0xe5, 0x86, 0xb8), QColor(0xd8, 0xd0, 0x6a), QColor(0xa8, 0x96, 0xe8)};
    else
        c.series = {QColor(0x1f, 0x6f, 0xc4), QColor(0xc2, 0x5d, 0x00), QColor(0x1c, 0x82, 0x44),
                    QColor(0xb0, 0x2f, 0x7c), QColor(0x80, 0x74, 0x00), QColor(0x62, 0x45, 0xb8)};
    return c;
}

QColor bitsColor(double bits)
{
    // Octaves from 2 to 16 bits over viridis; its darkest end is left out so that low bars keep an edge on dark ground.
    const double t = std::clamp(std::log2(std::max(bits, 1.0) / 2) / 3, 0.0, 1.0);
    return QColor::fromRgb(colorAt(ColorMap::viridis, 0.12 + 0.86 * t));
}

QColor inkOn(const QColor& background)
{
    const double luminance = 0.2126 * background.red() + 0.7152 * background.green() + 0.0722 * background.blue();
    return luminance > 115 ? QColor(0x10, 0x14, 0x18) : QColor(Qt::white);
}

} // namespace ql::views
