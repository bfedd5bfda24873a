// SPDX-License-Identifier: GPL-3.0-or-later
// The status bar's right end: what runs, how far, how long still, Cancel; and the list of problems behind a button.
#pragma once

#include <QWidget>

class QLabel;
class QProgressBar;
class QToolButton;

namespace ql::views {

class JobRunner;

class JobStatus : public QWidget {
    Q_OBJECT
public:
    explicit JobStatus(JobRunner& jobs, QWidget* parent = nullptr);

    /// Opens the list of problems; it stays beside the window, never in front of work.
    void showProblems();

private:
    void refresh();
    void refreshFailures();

    JobRunner& m_jobs;
    QLabel* m_text;
    QProgressBar* m_bar;
    QLabel* m_remaining;
    QToolButton* m_cancel;
    QToolButton* m_problems;
    QWidget* m_list = nullptr;
};

} // namespace ql::views
