// SPDX-License-Identifier: GPL-3.0-or-later
// The job that measures landscapes, a layer at a time: losses arrive one by one, the eigenvalues with the end. The
// latest whole landscape of each layer is kept until the model changes; one that was stopped is not. GUI thread only,
// measureLandscape() aside.
#pragma once

#include "views/jobs/job_feed.h"
#include "views/panels/landscape/landscape.h"
#include "views/runs/prepared_source.h"

#include <QObject>

#include <map>
#include <variant>

namespace ql::views {

class Document;

struct LandscapeChoice {
    std::shared_ptr<const PreparedSource> source; // text for a language model
    Portion portion;
    std::int64_t layer = -1;
    double span = 0.05; // how far a and b go, of ‖W‖
    std::int64_t points = 11;
    std::int64_t iterations = 20; // for each eigenvector, at most
};

/// About how long it takes at most: each iteration differentiates twice, forward and backward, which is as much as
/// three times forward.
double landscapeSeconds(const LandscapeChoice& choice);

/// One without losses, then each loss.
using LandscapePiece = std::variant<Landscape, double>;

/// As `qloupe curvature --slice` measures it. Any thread; equal bits for any number of them.
Result<Landscape> measureLandscape(const LandscapeChoice& choice, const std::function<void(LandscapePiece)>& put,
                                   const JobContext& context);

class LandscapeRun : public QObject {
    Q_OBJECT
public:
    LandscapeRun(Document& document, JobRunner& jobs, QObject* parent);

    void start(const LandscapeChoice& choice);
    void stop() { m_feed.cancel(); }
    bool isRunning() const { return m_feed.isRunning(); }
    std::uint64_t job() const { return m_feed.job(); }
    /// That is measured, or was last; −1: none.
    std::int64_t layer() const { return m_layer; }
    /// Of that layer: what has come while it is measured, else what was measured last; null where there is nothing.
    const Landscape* landscape(std::int64_t layer) const;
    /// Why the last one failed; empty if it did not.
    const QString& problem() const { return m_problem; }

Q_SIGNALS:
    void changed();

private:
    void take(std::vector<LandscapePiece> pieces);
    void clear();

    std::int64_t m_layer = -1;
    Landscape m_arriving;
    std::map<std::int64_t, Landscape> m_whole; // by layer
    QString m_problem;
    JobFeed<LandscapePiece> m_feed;
};

} // namespace ql::views
