// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/jobs/process_memory.h"

#include <unistd.h>

#include <fstream>

namespace ql::views {

std::int64_t residentBytes()
{
    std::ifstream file("/proc/self/statm");
    std::int64_t pages = 0;
    std::int64_t resident = 0;
    return file >> pages >> resident ? resident * ::sysconf(_SC_PAGESIZE) : 0;
}

} // namespace ql::views
