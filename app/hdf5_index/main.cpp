// SPDX-License-Identifier: GPL-3.0-or-later
// quantloupe-hdf5-index FILE…: prints what is in HDF5 files and where, as core/base/hdf5_index.h encodes it. The
// programs that people use start it, since libhdf5 can crash on damaged files, take all memory or never end: it limits
// itself and dies with them.
#include "core/base/hdf5_scan.h"

#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <new>

namespace {

void limit(decltype(RLIMIT_CPU) resource, std::uint64_t soft)
{
    const rlimit limits{soft, soft + 1}; // the signal of the soft one says why
    ::setrlimit(resource, &limits);
}

void limitMyself(std::int64_t fileBytes)
{
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    limit(RLIMIT_CORE, 0);
    // A megabyte of headers takes some 0.1 s.
    limit(RLIMIT_CPU, static_cast<std::uint64_t>(2 + std::min<std::int64_t>(fileBytes / 1'000'000, 118)));
#ifndef __SANITIZE_ADDRESS__ // which reserves more addresses than there is memory
    limit(RLIMIT_AS, std::uint64_t{4} << 30U);
#endif
}

bool print(std::string_view bytes)
{
    while (!bytes.empty()) {
        const ssize_t written = ::write(STDOUT_FILENO, bytes.data(), bytes.size());
        if (written < 0)
            return false;
        bytes.remove_prefix(static_cast<std::size_t>(written));
    }
    return true;
}

} // namespace

int main(int argc, char** argv)
{
    std::int64_t bytes = 0;
    for (int i = 1; i < argc; ++i) {
        std::error_code error;
        const auto size = std::filesystem::file_size(argv[i], error);
        bytes += error ? 0 : static_cast<std::int64_t>(size);
    }
    limitMyself(bytes);
    try {
        for (int i = 1; i < argc; ++i)
            if (!print(ql::hdf5::encode(ql::hdf5::scan(argv[i]))))
                ::_exit(1);
    } catch (const std::bad_alloc&) {
        ::_exit(ql::hdf5::kExitOutOfMemory);
    }
    ::_exit(0); // the library is not asked to clean up after a damaged file
}
