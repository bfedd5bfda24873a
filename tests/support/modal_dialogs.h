// SPDX-License-Identifier: GPL-3.0-or-later
// Answers the modal dialogs of a test: what a static QMessageBox or QFileDialog call opens can only be reached from a
// timer.
#pragma once

#include <QAbstractButton>
#include <QApplication>
#include <QFileDialog>
#include <QLineEdit>
#include <QMessageBox>
#include <QTimer>

#include <functional>
#include <memory>

namespace ql::test {

/// Calls answer with the next modal dialog of the type; asked() tells whether there was one.
template<typename Dialog>
class AnswerNext {
public:
    explicit AnswerNext(std::function<void(Dialog&)> answer)
    {
        QObject::connect(&m_timer, &QTimer::timeout, &m_timer, [this, answer = std::move(answer)] {
            auto* dialog = qobject_cast<Dialog*>(QApplication::activeModalWidget());
            if (!dialog || m_asked)
                return;
            m_asked = true;
            m_timer.stop();
            answer(*dialog);
        });
        m_timer.start(5);
    }
    bool asked() const { return m_asked; }

private:
    QTimer m_timer;
    bool m_asked = false;
};

/// Presses a standard button of the next message box.
class PressNext : public AnswerNext<QMessageBox> {
public:
    explicit PressNext(QMessageBox::StandardButton button)
        : AnswerNext([button](QMessageBox& box) { box.button(button)->click(); })
    {}
};

/// Gives the next file dialog a path.
class ChooseNext : public AnswerNext<QFileDialog> {
public:
    explicit ChooseNext(const QString& path)
        : AnswerNext([path](QFileDialog& dialog) {
              auto* name = dialog.findChild<QLineEdit*>(QStringLiteral("fileNameEdit"));
              name->setText(path);
              QMetaObject::invokeMethod(&dialog, "accept");
          })
    {}
};

} // namespace ql::test
