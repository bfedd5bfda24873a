// SPDX-License-Identifier: GPL-3.0-or-later
// What the window shows before something is open: open, the sample, recent work, work left behind by a crash, and where
// to drop files. Failures of opening are told here.
#pragma once

#include "views/document/recovery.h"

#include <QWidget>

class QLabel;
class QPushButton;
class QVBoxLayout;

namespace ql::views {

class WelcomePage : public QWidget {
    Q_OBJECT
public:
    explicit WelcomePage(QWidget* parent = nullptr);
    /// Reads recent files and left-behind work anew.
    void refresh();
    void setProblem(const QString& text);
    /// "Opening …", or empty.
    void setBusy(const QString& text);

Q_SIGNALS:
    void openFileRequested();
    void openFolderRequested();
    void sampleRequested();
    void pathRequested(const QString& path);
    void recoverRequested(const ql::views::RecoveredWork& work);
    void discardRequested(const ql::views::RecoveredWork& work);

protected:
    void paintEvent(QPaintEvent* event) override;
    void changeEvent(QEvent* event) override;

private:
    QLabel* m_problem;
    QLabel* m_busy;
    QWidget* m_recent;
    QVBoxLayout* m_recentColumn;
};

} // namespace ql::views
