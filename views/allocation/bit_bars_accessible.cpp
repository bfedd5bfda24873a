// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/allocation/bit_bars_accessible.h"

#include "views/allocation/bit_bars.h"
#include "views/text/format.h"

#include <QAccessible>
#include <QAccessibleWidget>

namespace ql::views {

namespace {

class BitBarsAccessible : public QAccessibleWidget, public QAccessibleValueInterface {
public:
    explicit BitBarsAccessible(BitBars* bars) : QAccessibleWidget(bars, QAccessible::Slider) {}

    void* interface_cast(QAccessible::InterfaceType type) override
    {
        if (type == QAccessible::ValueInterface)
            return static_cast<QAccessibleValueInterface*>(this);
        return QAccessibleWidget::interface_cast(type);
    }

    QString text(QAccessible::Text which) const override
    {
        const Bar* bar = current();
        if (which != QAccessible::Value || !bar)
            return QAccessibleWidget::text(which);
        const QString level = bar->level >= 0 ? bars().levels()[static_cast<std::size_t>(bar->level)].text : QString();
        return BitBars::tr("%1: %2, %3 bits%4")
            .arg(bar->name, level, numberText(bits(*bar), 4), bar->locked ? BitBars::tr(", locked") : QString());
    }

    QVariant currentValue() const override { return current() ? bits(*current()) : 0.0; }
    void setCurrentValue(const QVariant& value) override { bars().setBitsOfCurrent(value.toDouble()); }
    QVariant maximumValue() const override { return end(true); }
    QVariant minimumValue() const override { return end(false); }
    QVariant minimumStepSize() const override { return 1.0; }

private:
    BitBars& bars() const { return *static_cast<BitBars*>(widget()); }
    const Bar* current() const
    {
        const int index = bars().current();
        return index >= 0 ? &bars().bars()[static_cast<std::size_t>(index)] : nullptr;
    }
    double bits(const Bar& bar) const
    {
        return bar.level >= 0 ? bars().levels()[static_cast<std::size_t>(bar.level)].bits : bar.bits;
    }
    double end(bool highest) const
    {
        const Bar* bar = current();
        if (!bar || bar->ladder.empty())
            return 0;
        return bars().levels()[static_cast<std::size_t>(highest ? bar->ladder.back() : bar->ladder.front())].bits;
    }
};

QAccessibleInterface* make(const QString&, QObject* object)
{
    auto* bars = qobject_cast<BitBars*>(object);
    return bars ? new BitBarsAccessible(bars) : nullptr;
}

} // namespace

void installBitBarsAccessibility()
{
    static const bool kInstalled = [] {
        QAccessible::installFactory(make);
        return true;
    }();
    static_cast<void>(kInstalled);
}

} // namespace ql::views
