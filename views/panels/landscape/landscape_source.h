// SPDX-License-Identifier: GPL-3.0-or-later
// The text that the open model reads for a landscape, read by a job once it is asked for. GUI thread only.
#pragma once

#include "views/runs/prepared_source.h"

#include <QObject>

namespace ql::views {

class Document;
class JobRunner;

class LandscapeSource : public QObject {
    Q_OBJECT
public:
    LandscapeSource(Document& document, JobRunner& jobs, QObject* parent);

    /// Reads model and text unless they are there, on their way or cannot be read.
    void read();
    void setPath(const QString& path);
    const QString& path() const { return m_path; }
    /// Of the document's model; null while the text is not read, or cannot be.
    std::shared_ptr<const PreparedSource> source() const;
    /// Why nothing can be run on the model yet; empty once source() is there.
    QString obstacle() const;

Q_SIGNALS:
    void changed();

private:
    void forget();
    void readText();

    Document& m_document;
    JobRunner& m_jobs;
    QString m_path;
    QString m_problem;
    std::shared_ptr<const RunnableModel> m_runnable; // null until the model is read
    std::shared_ptr<const PreparedSource> m_source;
};

} // namespace ql::views
