// SPDX-License-Identifier: GPL-3.0-or-later
// What the plan weighs and is predicted to lose, in one line; the second gives way. They change with every move of a
// drag, so the line keeps the room of the widest it has shown: labels would have the whole window laid out anew.
#pragma once

#include <QWidget>

namespace ql::views {

class PlanNumbers : public QWidget {
    Q_OBJECT
public:
    explicit PlanNumbers(QWidget* parent = nullptr);
    void setTexts(const QString& size, const QString& loss);
    /// The second in the colour of problems.
    void setWarning(bool isWarning);
    void setToolTips(const QString& ofSize, const QString& ofLoss);
    /// The room is that of the texts that follow.
    void forgetRoom();

    QSize sizeHint() const override { return {m_room, lineHeight()}; }
    QSize minimumSizeHint() const override;

protected:
    void paintEvent(QPaintEvent* event) override;
    bool event(QEvent* event) override;

private:
    QFont bold() const;
    int sizeWidth() const;
    int lineHeight() const;

    QString m_size, m_loss;
    QString m_sizeTip, m_lossTip;
    bool m_isWarning = false;
    int m_room = 0; // pixels
};

} // namespace ql::views
