// SPDX-License-Identifier: GPL-3.0-or-later
// BLAS and LAPACK run on the thread that calls them: tasks of our own keep the cores busy.
#pragma once

#include <cblas.h>

namespace ql {

inline void useOneBlasThread()
{
    static const bool done = [] {
        openblas_set_num_threads(1);
        return true;
    }();
    static_cast<void>(done);
}

} // namespace ql
