// SPDX-License-Identifier: GPL-3.0-or-later
// The sample, or another model, opened as a document, for tests of what runs it.
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
    /// What the document's model is run on.
    std::shared_ptr<const views::PreparedSource> source(const QString& path, const QString& labels = {})
    {
        return views::prepareSource(views::prepareModel(document.model()).value(), path, labels, JobContext(executor))
            .value();
    }
    std::shared_ptr<const views::PreparedSource> text(const QString& name) { return source(samplePath(name)); }
    /// With gradients of the model's loss, on three short windows.
    bool calibrate()
    {
        using State = views::CalibrationRun::State;
        const views::CalibrationRun& run = runs.calibration;
        runs.calibration.start({text(QStringLiteral("calibration.txt")), {64, 3}, {}, false, FisherSettings()});
        return QTest::qWaitFor([&] { return run.state() != State::running; }, 60000) && run.state() == State::finished;
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
