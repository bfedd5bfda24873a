// SPDX-License-Identifier: GPL-3.0-or-later
// Autosave: seconds after a change the plan and settings are written to a small file of this process in the data
// folder; it goes when the work is saved, closed or the program ends well. What a process that is gone left behind is
// offered at the next start, and when its model is opened again.
#pragma once

#include "views/document/document.h"

namespace ql::views {

/// Work that an earlier run did not save.
struct RecoveredWork {
    QString file; // of the recovery
    QString checkpoint, study, activations;
    QString time;
    std::string planJson;
    std::map<std::string, std::string> settings;
};

class Recovery : public QObject {
    Q_OBJECT
public:
    /// intervalMs: from a change to the writing.
    explicit Recovery(Document& document, int intervalMs = 10'000, QObject* parent = nullptr);
    ~Recovery() override;

    /// Writes now if there is something unsaved.
    void write();
    /// Removes this process's file.
    void discard();
    static QString folder();
    /// Files of processes that no longer run.
    static std::vector<RecoveredWork> leftBehind();
    static void remove(const RecoveredWork& work);
    /// Puts the work into the document, which has opened its checkpoint or study; an undoable step. done gets what was
    /// wrong with the plan.
    static void restore(const RecoveredWork& work, Document& document, std::function<void(const Result<void>&)> done);

private:
    void documentChanged();
    QString file() const;

    Document& m_document;
    QTimer m_timer;
};

} // namespace ql::views
