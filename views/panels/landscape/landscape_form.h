// SPDX-License-Identifier: GPL-3.0-or-later
// What a landscape is measured on and how finely, the button that starts and stops it, and what is said of it.
#pragma once

#include "views/panels/landscape/landscape_run.h"

#include <QWidget>

class QDoubleSpinBox;
class QFormLayout;
class QLabel;
class QLineEdit;
class QProgressBar;
class QPushButton;
class QSpinBox;

namespace ql::views {

class ElidedLabel;

class LandscapeForm : public QWidget {
    Q_OBJECT
public:
    explicit LandscapeForm(QWidget* parent);

    Portion portion() const;
    /// Of ‖W‖.
    double span() const;
    std::int64_t points() const;
    std::int64_t iterations() const;
    /// "--context … --span …" for the command line.
    QString arguments() const;

    void setText(const QString& path);
    /// What it takes, or why it cannot be started.
    void setCost(const QString& text, bool isProblem);
    void setCommand(const QString& text, const QString& whyNone);
    /// Whether Measure, or Stop, can be pressed.
    void setState(bool isRunning, bool isPossible, bool isOpen);
    /// What is running, or went wrong; empty: nothing.
    void setStatus(const QString& text, bool isProblem);
    void setProgress(double fraction);
    /// What was measured.
    void setWords(const QString& text);

Q_SIGNALS:
    void changed();
    void textAsked();
    void startAsked();
    void stopAsked();

private:
    void buildForm();
    /// The second may be null.
    void addRow(QFormLayout& form, const QString& title, QWidget* field, const QString& secondTitle, QWidget* second);

    ElidedLabel* m_text;
    QPushButton* m_choose;
    QSpinBox* m_windows;
    QSpinBox* m_tokens;
    QDoubleSpinBox* m_span;
    QSpinBox* m_points;
    QSpinBox* m_iterations;
    QLabel* m_cost;
    QPushButton* m_start;
    QProgressBar* m_progress;
    QLabel* m_status;
    QLabel* m_words;
    QLineEdit* m_command;
    bool m_isRunning = false;
};

} // namespace ql::views
