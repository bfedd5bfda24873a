// SPDX-License-Identifier: GPL-3.0-or-later
// Says who works on a study: a file with process id, host and the process's start time. It is stale, and taken over, if
// that process is gone from this host; of another host nothing is known, so it holds. Studies opened twice in one
// process share it.
#pragma once

#include "core/base/result.h"

#include <filesystem>
#include <string>

namespace ql {

class LockFile {
public:
    /// Tries to take the lock at path; see owner().
    explicit LockFile(std::filesystem::path path);
    ~LockFile();
    LockFile(const LockFile&) = delete;
    LockFile& operator=(const LockFile&) = delete;

    bool held() const { return m_held; }
    /// "process 123 on host" that holds it instead of this process; empty if it is held or cannot be made (a folder
    /// that is not writable).
    const std::string& owner() const { return m_owner; }

private:
    std::filesystem::path m_path;
    std::string m_owner;
    bool m_held = false;
};

} // namespace ql
