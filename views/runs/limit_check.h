// SPDX-License-Identifier: GPL-3.0-or-later
// What the plan takes of the document's limits: at once where sizes and the loss are all that is limited, else by a
// job, one at a time, which looks again where the plan has changed meanwhile. GUI thread only.
#pragma once

#include "core/allocation/plan_limits.h"

#include <QObject>

namespace ql::views {

class Document;
class JobRunner;

class LimitCheck : public QObject {
    Q_OBJECT
public:
    LimitCheck(Document& document, JobRunner& jobs);

    /// The limits that were looked at last, and of each what the plan took of it then.
    const std::vector<Limit>& limits() const { return m_limits; }
    const std::vector<LimitUse>& uses() const { return m_uses; }
    /// Of the document's model, for all that solve within limits.
    std::shared_ptr<PlaceCount> places();
    /// How many of them the plan does not keep.
    int passed() const;

Q_SIGNALS:
    void changed();

private:
    void look();
    void take(const std::vector<Limit>& limits, std::vector<LimitUse> uses);

    Document& m_document;
    JobRunner& m_jobs;
    std::vector<Limit> m_limits;
    std::vector<LimitUse> m_uses;             // as many
    std::shared_ptr<LatencyFile> m_latencies; // of the job
    std::shared_ptr<PlaceCount> m_places;
    std::weak_ptr<const Model> m_placesOf;
    bool m_isStale = false;
};

} // namespace ql::views
