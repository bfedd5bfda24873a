// SPDX-License-Identifier: GPL-3.0-or-later
// Light and dark: the Fusion style with our own palettes, and the colours that own-drawn views and charts take from the
// palette in force. Every view asks colors(palette()) when it paints, so a change of theme needs no bookkeeping.
#pragma once

#include <QColor>
#include <QPalette>
#include <QString>

#include <array>

namespace ql::views {

enum class ThemeChoice { system, light, dark };

/// Sets style and palette of the application. System: as light or dark as the desktop's palette was at start.
void applyTheme(ThemeChoice choice);
ThemeChoice themeFromWord(const QString& word); // "light", "dark", anything else: system
QString themeWord(ThemeChoice choice);

struct Colors {
    bool dark = false;
    QColor surface;   // behind drawings
    QColor text, dim; // dim: secondary text, ≥ 4.5:1 on surface
    QColor grid, minorGrid;
    QColor accent; // current item
    QColor ghost;  // what was
    QColor good, warn, bad;
    std::array<QColor, 6> series; // charts; told apart by lightness too
};
Colors colors(const QPalette& palette);

/// Colour of a number of bits per weight (2 … 16): low is warm and dark-on-light readable with inkOn().
QColor bitsColor(double bits);
/// Black or white, whichever reads better on the colour.
QColor inkOn(const QColor& background);

} // namespace ql::views
