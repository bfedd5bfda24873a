// SPDX-License-Identifier: GPL-3.0-or-later
// The sample opened as a document, for tests of what runs it.
#pragma once

#include "views/document/document.h"
#include "views/jobs/job_runner.h"
#include "views/runs/runs.h"

#include <QSignalSpy>
#include <QTest>

namespace ql::test {

inline QString samplePath(const QString& name = {})
{
    return QStringLiteral(QL_SOURCE_DIR "/resources/sample") + (name.isEmpty() ? name : QLatin1Char('/') + name);
}

struct OpenedSample {
    Executor executor{2};
    views::JobRunner jobs{executor};
    views::Document document{jobs};
    views::Runs runs{document, jobs};

    bool open(const QString& path = samplePath())
    {
        QSignalSpy measured(&document, &views::Document::measured);
        document.open(path);
        return measured.wait(60000);
    }
    std::shared_ptr<const views::PreparedText> text(const QString& name)
    {
        return views::prepareText(document.model(), samplePath(name), JobContext(executor)).value();
    }
    /// Every layer that has a choice gets its lowest candidate.
    void lowerAll()
    {
        std::vector<views::LayerColumn> changes;
        for (const std::int64_t layer : document.planLayers())
            changes.push_back({layer, document.ladder(layer).front()});
        document.assign(changes, QStringLiteral("lowest"));
    }
    bool settle()
    {
        return QTest::qWaitFor([this] { return jobs.isIdle(); }, 60000);
    }
};

} // namespace ql::test
