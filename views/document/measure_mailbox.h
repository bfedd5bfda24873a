// SPDX-License-Identifier: GPL-3.0-or-later
// Where background jobs of the document leave finished pieces; the GUI thread empties it every 60 ms, so that a
// thousand cells a second cost as many repaints as ten.
#pragma once

#include "views/document/document.h"

#include <mutex>

namespace ql::views {

struct Document::Mailbox {
    std::mutex mutex;
    std::vector<Measurement> cells;
    std::vector<std::pair<std::int64_t, LayerFacts>> facts;
};

} // namespace ql::views
