// SPDX-License-Identifier: GPL-3.0-or-later
// Bit allocation by hand: one bar per layer in the model's order, its height the bits per weight of its candidate. Drag
// paints levels across layers; with Shift a whole block; with Ctrl the selected layers move together; the right button
// selects by rubber band; Esc puts back what the drag changed. Levels snap to what each layer may become. Wheel zooms,
// the strip below the bars shows sensitivity, the one below that everything. Keys: Left/Right, Home/End, Shift to
// extend, Up/Down, 2…8 and 1 for 16 bits, Space locks, Ctrl+A, +/−, 0 fits.
//
// The widget knows plain structs only; whoever shows it answers its signals. A drag move repaints the changed columns
// only (0.05 ms for 300 layers).
#pragma once

#include "views/allocation/bar_axis.h"

#include <QPointF>
#include <QRect>
#include <QWidget>

#include <functional>
#include <limits>
#include <vector>

namespace ql::views {

struct Colors;

/// A height that bars may take: a candidate and what it costs.
struct BarLevel {
    QString text; // "int4:g64"
    double bits = 0;
};

struct Bar {
    QString name;
    qint64 block = -1;
    double share = 1;                                              // width when widths follow the number of weights
    double sensitivity = std::numeric_limits<double>::quiet_NaN(); // 0…1
    std::vector<int> ladder;                                       // allowed levels, by rising bits
    int level = -1;                                                // −1: something outside the list
    double bits = 0;                                               // of that something
    bool locked = false;
};

struct BarEdit {
    int bar = 0;
    int level = 0;
    friend bool operator==(const BarEdit&, const BarEdit&) = default;
};

class BitBars : public QWidget {
    Q_OBJECT
public:
    explicit BitBars(QWidget* parent = nullptr);

    void setBars(std::vector<BarLevel> levels, std::vector<Bar> bars);
    const std::vector<Bar>& bars() const { return m_bars; }
    const std::vector<BarLevel>& levels() const { return m_levels; }
    /// Changes one bar without a signal.
    void setLevel(int bar, int level, double bits);
    void setLocked(int bar, bool locked);
    /// 0…1 of every bar, NaN where nothing is known: drawn empty, with a line through it. Hatched: they rest on the
    /// weights alone.
    void setSensitivity(std::vector<double> values, bool hatched = false);
    /// Hollow bars of a proposal; empty: none.
    void setPreview(std::vector<int> levels);
    void setCurrent(int bar);
    /// Gives the current (or selected) layers the allowed level nearest to the bits, as a key would.
    void setBitsOfCurrent(double bits);
    int current() const { return m_current; }
    void setSelected(const std::vector<int>& bars);
    std::vector<int> selected() const;
    void setWidthsByShare(bool on);
    bool widthsByShare() const { return m_byShare; }
    void setMessage(const QString& text);
    void setToolTipSource(std::function<QString(int bar)> source) { m_tip = std::move(source); }
    bool isDragging() const { return m_drag != Drag::none && m_drag != Drag::pressed; }

    /// Geometry in widget coordinates.
    QRect plotRect() const;
    QRect columnRect(int bar) const;
    /// The y at which a level's top is drawn.
    int yOfBits(double bits) const;
    int barAt(double x) const { return m_axis.barAt(x); }
    /// The allowed level of the bar nearest to a number of bits; −1 if it has none.
    int nearestLevel(int bar, double bits) const;

    QSize sizeHint() const override { return {900, 220}; }
    QSize minimumSizeHint() const override { return {120, 90}; }

Q_SIGNALS:
    void editStarted();
    void levelsEdited(const std::vector<ql::views::BarEdit>& edits); // as the drag moves
    /// The edit is finished. Mergeable: a repeated key, one undo step with the one before.
    void editCommitted(const QString& text, bool mergeable);
    void editCancelled();
    void lockToggled(const std::vector<int>& bars, bool locked);
    void currentChanged(int bar);
    void selectionChanged();

protected:
    void paintEvent(QPaintEvent* event) override;
    void resizeEvent(QResizeEvent* event) override;
    void mousePressEvent(QMouseEvent* event) override;
    void mouseMoveEvent(QMouseEvent* event) override;
    void mouseReleaseEvent(QMouseEvent* event) override;
    void wheelEvent(QWheelEvent* event) override;
    void keyPressEvent(QKeyEvent* event) override;
    void contextMenuEvent(QContextMenuEvent* event) override;
    void changeEvent(QEvent* event) override;
    bool event(QEvent* event) override;

private:
    enum class Drag { none, pressed, paint, block, relative, band, overview };

    // Geometry.
    void measureFont();
    void layOut();
    void setSight(double from, double span);
    QRect overviewRect() const;
    QRect sensitivityRect() const;
    double bitsAt(double y) const;
    void zoom(double factor, double x);
    void updateBar(int bar);

    // Editing.
    void beginDrag(QPointF point, Qt::KeyboardModifiers modifiers);
    void moveDrag(QPointF point);
    void endDrag();
    void cancelDrag();
    void moveTag(QPointF point);
    void hideTag();
    void paintTo(QPointF point);
    void apply(std::vector<BarEdit> edits);
    void setFromKeys(const std::function<int(int bar)>& levelOf, const QString& text);
    std::vector<int> editedBars() const;
    void moveCurrent(int bar, bool extend);
    QString commitText() const;

    // Painting.
    void paintBackground(QPainter& painter, const QRect& dirty) const;
    void paintBars(QPainter& painter, const QRect& dirty) const;
    void paintBlocks(QPainter& painter, int first, int last, bool named) const;
    void paintBar(QPainter& painter, int bar, const Colors& c) const;
    void paintSensitivity(QPainter& painter, double sensitivity, const QRect& strip, const Colors& c) const;
    void paintOverview(QPainter& painter, const QRect& dirty) const;
    void paintTag(QPainter& painter) const;
    double bitsOf(int bar, int level) const;

    std::vector<BarLevel> m_levels;
    std::vector<Bar> m_bars;
    BarAxis m_axis;
    std::vector<bool> m_selected;
    std::vector<int> m_preview;
    std::vector<int> m_before; // levels when the drag began; drawn as ghost
    double m_axisMax = 16;
    int m_line = 0;       // height of a line of text
    int m_labelWidth = 0; // of the bits beside the plot
    int m_blockWidth = 0; // of "block 00"
    bool m_byShare = false;
    bool m_hatched = false; // the strip of sensitivities
    int m_current = -1;
    int m_anchor = -1;
    QString m_message;
    std::function<QString(int)> m_tip;

    Drag m_drag = Drag::none;
    Qt::KeyboardModifiers m_pressModifiers;
    QPointF m_pressPoint, m_lastPoint;
    int m_lastBar = -1;
    std::vector<int> m_dragBars; // of a relative drag
    QRect m_band;
    QRect m_tag; // beside the pointer of a drag: the level under it
    QString m_tagText;
};

} // namespace ql::views
