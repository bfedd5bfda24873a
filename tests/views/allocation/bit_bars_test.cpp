// SPDX-License-Identifier: GPL-3.0-or-later
// The bars under real mouse and key events.
#include "views/allocation/bit_bars.h"

#include <QAccessible>
#include <QApplication>
#include <QImage>
#include <QPaintEvent>
#include <QSignalSpy>
#include <QTest>
#include <QWheelEvent>

#include <limits>
#include <set>

using namespace ql::views;

namespace {

constexpr int kBars = 12;

/// Levels 0…4 of 2, 3, 4, 8, 16 bits; bars in blocks of four, all at 4 bits.
void fill(BitBars& bars, int count = kBars)
{
    const std::vector<BarLevel> levels = {{QStringLiteral("int2"), 2},
                                          {QStringLiteral("int3"), 3},
                                          {QStringLiteral("int4"), 4},
                                          {QStringLiteral("int8"), 8},
                                          {QStringLiteral("bf16"), 16}};
    std::vector<Bar> made;
    for (int i = 0; i < count; ++i) {
        Bar bar;
        bar.name = QStringLiteral("layer %1").arg(i);
        bar.block = i / 4;
        bar.ladder = {0, 1, 2, 3, 4};
        bar.level = 2;
        bar.bits = 4;
        bar.sensitivity = i / 12.0;
        made.push_back(bar);
    }
    bars.setBars(levels, made);
}

std::vector<int> levelsOf(const BitBars& bars)
{
    std::vector<int> levels;
    for (const Bar& bar : bars.bars())
        levels.push_back(bar.level);
    return levels;
}

QPoint at(const BitBars& bars, int bar, double bits)
{
    return {bars.columnRect(bar).center().x(), bars.yOfBits(bits)};
}

void drag(BitBars& bars, const std::vector<QPoint>& points, Qt::KeyboardModifiers modifiers = Qt::NoModifier,
          bool release = true)
{
    QTest::mousePress(&bars, Qt::LeftButton, modifiers, points.front());
    for (std::size_t i = 1; i < points.size(); ++i)
        QTest::mouseMove(&bars, points[i]);
    if (release)
        QTest::mouseRelease(&bars, Qt::LeftButton, modifiers, points.back());
}

/// What a widget was asked to paint.
class PaintWatch : public QObject {
public:
    explicit PaintWatch(QWidget& widget) : m_widget(widget) { widget.installEventFilter(this); }
    ~PaintWatch() override { m_widget.removeEventFilter(this); }
    QRegion region;

protected:
    bool eventFilter(QObject*, QEvent* event) override
    {
        if (event->type() == QEvent::Paint)
            region += static_cast<QPaintEvent*>(event)->region();
        return false;
    }

private:
    QWidget& m_widget;
};

} // namespace

Q_DECLARE_METATYPE(std::vector<ql::views::BarEdit>)

class BitBarsTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void init()
    {
        m_bars = std::make_unique<BitBars>();
        m_bars->resize(900, 260);
        fill(*m_bars);
        m_bars->show();
        QVERIFY(QTest::qWaitForWindowExposed(m_bars.get()));
    }

    void columnsPartitionThePlot()
    {
        for (const int count : {1, 7, 12, 333}) {
            fill(*m_bars, count);
            const QRect plot = m_bars->plotRect();
            for (int x = plot.left(); x <= plot.right(); ++x) {
                const QRect column = m_bars->columnRect(m_bars->barAt(x));
                QVERIFY2(column.left() <= x && x <= column.right(),
                         qPrintable(QStringLiteral("%1 bars, x %2").arg(count).arg(x)));
            }
        }
    }

    void aClickSelectsAndChangesNothing()
    {
        QSignalSpy started(m_bars.get(), &BitBars::editStarted);
        QSignalSpy current(m_bars.get(), &BitBars::currentChanged);
        QTest::mouseClick(m_bars.get(), Qt::LeftButton, Qt::NoModifier, at(*m_bars, 5, 15));
        QCOMPARE(m_bars->current(), 5);
        QCOMPARE(current.size(), 1);
        QCOMPARE(started.size(), 0);
        QCOMPARE(levelsOf(*m_bars), std::vector<int>(kBars, 2));
    }

    void aVerticalDragSetsOneBar()
    {
        QSignalSpy committed(m_bars.get(), &BitBars::editCommitted);
        drag(*m_bars, {at(*m_bars, 3, 4), at(*m_bars, 3, 6), at(*m_bars, 3, 8)});
        std::vector<int> expected(kBars, 2);
        expected[3] = 3;
        QCOMPARE(levelsOf(*m_bars), expected);
        QCOMPARE(committed.size(), 1);
        QVERIFY(committed.front().front().toString().contains(QStringLiteral("layer 3")));
    }

    void aDragAcrossPaintsEveryBarBetween()
    {
        QSignalSpy started(m_bars.get(), &BitBars::editStarted);
        QSignalSpy committed(m_bars.get(), &BitBars::editCommitted);
        // One jump over nine columns, as a fast pointer makes.
        drag(*m_bars, {at(*m_bars, 1, 8), at(*m_bars, 10, 8)});
        for (int i = 0; i < kBars; ++i)
            QCOMPARE(m_bars->bars()[static_cast<std::size_t>(i)].level, i >= 1 && i <= 10 ? 3 : 2);
        QCOMPARE(started.size(), 1);
        QCOMPARE(committed.size(), 1);
    }

    void interpolationFollowsTheSlopeAndLeavesTheLastColumnAlone()
    {
        std::vector<std::vector<BarEdit>> edits;
        connect(m_bars.get(), &BitBars::levelsEdited, this,
                [&edits](const std::vector<BarEdit>& made) { edits.push_back(made); });
        drag(*m_bars, {at(*m_bars, 0, 16), at(*m_bars, 8, 2)});
        const std::vector<int> levels = levelsOf(*m_bars);
        QCOMPARE(levels[0], 4);
        QCOMPARE(levels[8], 0);
        for (int i = 1; i <= 8; ++i)
            QVERIFY2(levels[static_cast<std::size_t>(i)] <= levels[static_cast<std::size_t>(i - 1)], "not monotone");
        QVERIFY(levels[4] == 3); // half way: 9 bits, nearest is 8
        // The column painted last must not be painted again by the next move.
        edits.clear();
        drag(*m_bars, {at(*m_bars, 2, 3), at(*m_bars, 3, 3), at(*m_bars, 4, 16)});
        QCOMPARE(m_bars->bars()[3].level, 1);
        for (const auto& move : edits) {
            std::set<int> seen;
            for (const BarEdit& edit : move)
                QVERIFY(seen.insert(edit.bar).second);
        }
    }

    void shiftSetsTheBlock()
    {
        drag(*m_bars, {at(*m_bars, 5, 4), at(*m_bars, 5, 3)}, Qt::ShiftModifier);
        for (int i = 0; i < kBars; ++i)
            QCOMPARE(m_bars->bars()[static_cast<std::size_t>(i)].level, i / 4 == 1 ? 1 : 2);
    }

    void ctrlMovesTheSelectionTogether()
    {
        drag(*m_bars, {at(*m_bars, 2, 4), at(*m_bars, 2, 8)}); // bar 2 is one step above the rest
        m_bars->setSelected({1, 2, 3});
        const QPoint from = at(*m_bars, 2, 4);
        drag(*m_bars, {from, from - QPoint(0, 17)}, Qt::ControlModifier);
        QCOMPARE(levelsOf(*m_bars), (std::vector<int>{2, 3, 4, 3, 2, 2, 2, 2, 2, 2, 2, 2}));
    }

    void escapePutsEverythingBack()
    {
        QSignalSpy cancelled(m_bars.get(), &BitBars::editCancelled);
        QSignalSpy committed(m_bars.get(), &BitBars::editCommitted);
        drag(*m_bars, {at(*m_bars, 0, 16), at(*m_bars, 11, 2)}, Qt::NoModifier, false);
        QVERIFY(levelsOf(*m_bars) != std::vector<int>(kBars, 2));
        QVERIFY(m_bars->isDragging());
        QTest::keyClick(m_bars.get(), Qt::Key_Escape);
        QCOMPARE(levelsOf(*m_bars), std::vector<int>(kBars, 2));
        QCOMPARE(cancelled.size(), 1);
        QTest::mouseMove(m_bars.get(), at(*m_bars, 5, 16));
        QTest::mouseRelease(m_bars.get(), Qt::LeftButton, Qt::NoModifier, at(*m_bars, 5, 16));
        QCOMPARE(levelsOf(*m_bars), std::vector<int>(kBars, 2));
        QCOMPARE(committed.size(), 0);
    }

    void aDragThatComesBackIsNoEdit()
    {
        QSignalSpy committed(m_bars.get(), &BitBars::editCommitted);
        QSignalSpy cancelled(m_bars.get(), &BitBars::editCancelled);
        drag(*m_bars, {at(*m_bars, 3, 4), at(*m_bars, 3, 16), at(*m_bars, 3, 4)});
        QCOMPARE(committed.size(), 0);
        QCOMPARE(cancelled.size(), 1);
    }

    void lockedBarsStay()
    {
        QSignalSpy toggled(m_bars.get(), &BitBars::lockToggled);
        QTest::mouseClick(m_bars.get(), Qt::LeftButton, Qt::NoModifier, at(*m_bars, 4, 15));
        QTest::keyClick(m_bars.get(), Qt::Key_Space);
        QCOMPARE(toggled.size(), 1);
        QCOMPARE(toggled.front().at(1).toBool(), true);
        m_bars->setLocked(4, true);
        drag(*m_bars, {at(*m_bars, 0, 8), at(*m_bars, 11, 8)});
        for (int i = 0; i < kBars; ++i)
            QCOMPARE(m_bars->bars()[static_cast<std::size_t>(i)].level, i == 4 ? 2 : 3);
        QTest::keyClick(m_bars.get(), Qt::Key_Up);
        QCOMPARE(m_bars->bars()[4].level, 2);
    }

    void levelsSnapToTheBarsOwnLadder()
    {
        std::vector<Bar> bars = m_bars->bars();
        bars[2].ladder = {2, 4}; // int4 and bf16 only
        m_bars->setBars(m_bars->levels(), bars);
        drag(*m_bars, {at(*m_bars, 0, 8), at(*m_bars, 11, 8)});
        QCOMPARE(m_bars->bars()[2].level, 2);
        QCOMPARE(m_bars->bars()[1].level, 3);
        drag(*m_bars, {at(*m_bars, 2, 4), at(*m_bars, 2, 12)});
        QCOMPARE(m_bars->bars()[2].level, 4);
    }

    void keysDoWhatTheMouseDoes()
    {
        QSignalSpy committed(m_bars.get(), &BitBars::editCommitted);
        m_bars->setFocus();
        QTest::keyClick(m_bars.get(), Qt::Key_Home);
        QCOMPARE(m_bars->current(), 0);
        QTest::keyClick(m_bars.get(), Qt::Key_Right);
        QCOMPARE(m_bars->current(), 1);
        QTest::keyClick(m_bars.get(), Qt::Key_Up);
        QCOMPARE(m_bars->bars()[1].level, 3);
        QTest::keyClick(m_bars.get(), Qt::Key_Down);
        QTest::keyClick(m_bars.get(), Qt::Key_Down);
        QCOMPARE(m_bars->bars()[1].level, 1);
        QTest::keyClick(m_bars.get(), Qt::Key_1);
        QCOMPARE(m_bars->bars()[1].level, 4);
        QTest::keyClick(m_bars.get(), Qt::Key_Up); // already the highest
        QCOMPARE(m_bars->bars()[1].level, 4);
        QCOMPARE(committed.size(), 4);
        QVERIFY(committed.front().at(1).toBool()); // mergeable
        QTest::keyClick(m_bars.get(), Qt::Key_End);
        QCOMPARE(m_bars->current(), kBars - 1);
        QTest::keyClick(m_bars.get(), Qt::Key_Left, Qt::ShiftModifier);
        QCOMPARE(m_bars->selected(), (std::vector<int>{kBars - 2, kBars - 1}));
        QTest::keyClick(m_bars.get(), Qt::Key_A, Qt::ControlModifier);
        QCOMPARE(m_bars->selected().size(), std::size_t{kBars});
        QTest::keyClick(m_bars.get(), Qt::Key_3);
        QCOMPARE(levelsOf(*m_bars), std::vector<int>(kBars, 1));
    }

    void theRightButtonSelectsByRubberBand()
    {
        QSignalSpy selection(m_bars.get(), &BitBars::selectionChanged);
        QTest::mousePress(m_bars.get(), Qt::RightButton, Qt::NoModifier, at(*m_bars, 2, 12));
        QTest::mouseMove(m_bars.get(), at(*m_bars, 4, 6));
        QTest::mouseMove(m_bars.get(), at(*m_bars, 6, 3));
        QTest::mouseRelease(m_bars.get(), Qt::RightButton, Qt::NoModifier, at(*m_bars, 6, 3));
        QCOMPARE(m_bars->selected(), (std::vector<int>{2, 3, 4, 5, 6}));
        QCOMPARE(selection.size(), 1);
        QCOMPARE(levelsOf(*m_bars), std::vector<int>(kBars, 2));
    }

    void theWheelZoomsAtThePointerAndZeroFits()
    {
        const QPoint pointer = at(*m_bars, 9, 4);
        const int width = m_bars->columnRect(9).width();
        QWheelEvent wheel(pointer, m_bars->mapToGlobal(pointer), {}, {0, 240}, Qt::NoButton, Qt::NoModifier,
                          Qt::NoScrollPhase, false);
        QCoreApplication::sendEvent(m_bars.get(), &wheel);
        QVERIFY(m_bars->columnRect(9).width() > width);
        QCOMPARE(m_bars->barAt(pointer.x()), 9);
        QTest::keyClick(m_bars.get(), Qt::Key_0);
        QCOMPARE(m_bars->columnRect(9).width(), width);
    }

    void pictureShowsTheBars()
    {
        // The top edge of a taller bar has the bar's colour where a lower one shows the ground.
        const QPoint above = at(*m_bars, 3, 7);
        const QImage before = m_bars->grab().toImage();
        drag(*m_bars, {at(*m_bars, 3, 4), at(*m_bars, 3, 8)});
        const QImage after = m_bars->grab().toImage();
        QVERIFY(before.pixel(above + QPoint(8, 0)) != after.pixel(above + QPoint(8, 0)));
    }

    void theStripTellsWhatIsKnownFromWhatIsNot()
    {
        const QRect column = m_bars->columnRect(2);
        const auto strip = [&] {
            const QImage picture = m_bars->grab().toImage();
            std::set<QRgb> inks;
            for (int y = m_bars->plotRect().bottom() + 3; y < m_bars->plotRect().bottom() + 12; ++y)
                for (int x = column.left() + 1; x < column.right(); ++x)
                    inks.insert(picture.pixel(x, y));
            return inks;
        };
        std::vector<double> values(m_bars->bars().size(), 0.5);
        m_bars->setSensitivity(values);
        const auto solid = strip();
        m_bars->setSensitivity(values, true);
        const auto hatched = strip();
        QVERIFY(hatched.size() > solid.size());
        values[2] = std::numeric_limits<double>::quiet_NaN();
        m_bars->setSensitivity(values, true);
        const auto unknown = strip();
        values[2] = 0;
        m_bars->setSensitivity(values);
        QVERIFY(unknown != hatched && unknown != strip()); // nothing known is not zero
    }

    void aMoveOfADragRepaintsWhatItChangesAndLittleElse()
    {
        fill(*m_bars, 700); // not all in sight: bars and overview move apart
        drag(*m_bars, {at(*m_bars, 300, 4), at(*m_bars, 304, 8)}, Qt::NoModifier, false);
        QCoreApplication::processEvents();
        QImage patched = m_bars->grab().toImage();
        QRegion painted;
        {
            PaintWatch watch(*m_bars);
            QTest::mouseMove(m_bars.get(), at(*m_bars, 310, 12));
            QCoreApplication::processEvents();
            painted = watch.region;
        }
        std::int64_t area = 0;
        for (const QRect& part : painted)
            area += part.width() * part.height();
        QVERIFY(area > 0 && area < m_bars->width() * m_bars->height() / 4);
        m_bars->render(&patched, painted.boundingRect().topLeft(), painted);
        QVERIFY(patched == m_bars->grab().toImage());
    }

    void anySizeIsSafe()
    {
        for (const QSize size : {QSize(1, 1), QSize(3, 400), QSize(400, 3), QSize(60, 60)}) {
            m_bars->resize(size);
            QVERIFY(!m_bars->grab().isNull());
            QTest::mouseClick(m_bars.get(), Qt::LeftButton, Qt::NoModifier, QPoint(0, 0));
            QTest::keyClick(m_bars.get(), Qt::Key_Right);
        }
        m_bars->setBars({}, {});
        QVERIFY(!m_bars->grab().isNull());
        QTest::keyClick(m_bars.get(), Qt::Key_Up);
    }

    void aScreenReaderFindsTheValue()
    {
        QAccessibleInterface* interface = QAccessible::queryAccessibleInterface(m_bars.get());
        QVERIFY(interface);
        QCOMPARE(interface->role(), QAccessible::Slider);
        QCOMPARE(interface->text(QAccessible::Name), m_bars->accessibleName());
        m_bars->setCurrent(3);
        QVERIFY(interface->valueInterface());
        QCOMPARE(interface->valueInterface()->currentValue().toDouble(), 4.0);
        interface->valueInterface()->setCurrentValue(8.0);
        QCOMPARE(m_bars->bars()[3].level, 3);
        QVERIFY(interface->text(QAccessible::Value).contains(QStringLiteral("int8")));
    }

    void aDragTellsTheLevelUnderThePointer()
    {
        const QImage before = m_bars->grab().toImage();
        drag(*m_bars, {at(*m_bars, 3, 4), at(*m_bars, 3, 8)}, Qt::NoModifier, false);
        const QImage during = m_bars->grab().toImage();
        QTest::keyClick(m_bars.get(), Qt::Key_Escape);
        QVERIFY(during != before);
        QCOMPARE(m_bars->grab().toImage(), before);             // the tag is gone with the drag
        const QPoint tip = at(*m_bars, 3, 8) + QPoint(18, -14); // above the pointer, over the ground
        QVERIFY(during.pixel(tip) != before.pixel(tip));
    }

private:
    std::unique_ptr<BitBars> m_bars;
};

QTEST_MAIN(BitBarsTest)
#include "bit_bars_test.moc"
