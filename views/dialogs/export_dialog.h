// SPDX-License-Identifier: GPL-3.0-or-later
// Exporting the plan: target (with the reason where one refuses), path, exact size, the same as a command line,
// progress, and what the read-back verification found. The document stays usable meanwhile; the plan exported is the
// one at the moment of pressing Export.
#pragma once

#include "core/export/export.h"

#include <QDialog>

class QComboBox;
class QLabel;
class QLineEdit;
class QProgressBar;
class QPushButton;
class QTableWidget;

namespace ql::views {

class Document;
class JobRunner;

class ExportDialog : public QDialog {
    Q_OBJECT
public:
    ExportDialog(Document& document, JobRunner& jobs, QWidget* parent = nullptr);
    ~ExportDialog() override;

    void setPath(const QString& path);
    QString command() const;
    /// Of the jobs that write.
    static QString channel();

Q_SIGNALS:
    void finishedExport(bool verified);

private:
    struct Outcome {
        std::vector<WrittenFile> files;
        VerifyReport report;
    };
    const Target* target() const;
    void fillTargets();
    void refresh();
    void browse();
    void start();
    void showOutcome(const Outcome& outcome);
    void setRunning(bool running);
    void say(const QString& text, bool bad);

    Document& m_document;
    JobRunner& m_jobs;
    QComboBox* m_target;
    QLabel* m_note;
    QLineEdit* m_path;
    QLabel* m_size;
    QLineEdit* m_command;
    QProgressBar* m_progress;
    QLabel* m_status;
    QTableWidget* m_tensors;
    QPushButton* m_export;
    QPushButton* m_close;
    std::uint64_t m_job = 0; // 0: none runs
};

} // namespace ql::views
