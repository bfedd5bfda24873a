// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/study/lock_file.h"

#include "core/base/file.h"
#include "core/base/text.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <fstream>
#include <map>
#include <mutex>
#include <sstream>

namespace ql {

namespace {

std::mutex g_mutex;
std::map<std::filesystem::path, int> g_heldHere; // by this process, with the number of holders

std::string hostName()
{
    std::array<char, 256> name{};
    ::gethostname(name.data(), name.size() - 1);
    return name.data();
}

/// Start of a process in clock ticks since boot, so that a reused id is not taken for the owner; empty if it is gone.
std::string startOf(const std::string& process)
{
    std::ifstream file("/proc/" + process + "/stat");
    std::stringstream text;
    text << file.rdbuf();
    const std::string all = text.str();
    const auto behindName = all.rfind(')'); // the name may hold blanks
    if (behindName == std::string::npos)
        return {};
    const auto fields = split(std::string_view(all).substr(behindName + 1), ' ');
    constexpr std::size_t kStart = 20; // the first, empty one is field 2 of proc(5)
    return fields.size() > kStart ? std::string(fields[kStart]) : std::string();
}

struct Owner {
    std::string process, host, start;
};

Owner parse(const std::string& text)
{
    const auto lines = split(text, '\n');
    const auto line = [&](std::size_t i) { return i < lines.size() ? std::string(lines[i]) : std::string(); };
    return {line(0), line(1), line(2)};
}

bool isGone(const Owner& owner)
{
    if (owner.host != hostName())
        return false;
    const auto process = parseInt(owner.process);
    if (!process || *process <= 0)
        return true; // no lock of ours
    if (::kill(static_cast<pid_t>(*process), 0) != 0 && errno == ESRCH)
        return true;
    return startOf(owner.process) != owner.start;
}

} // namespace

LockFile::LockFile(std::filesystem::path path) : m_path(std::move(path))
{
    const std::lock_guard lock(g_mutex);
    if (const auto found = g_heldHere.find(m_path); found != g_heldHere.end()) {
        ++found->second;
        m_held = true;
        return;
    }
    const std::string process = std::to_string(::getpid());
    const std::string text = process + "\n" + hostName() + "\n" + startOf(process) + "\n";
    std::string temporary = m_path.string() + ".XXXXXX";
    const int descriptor = ::mkostemp(temporary.data(), O_CLOEXEC);
    if (descriptor < 0)
        return;
    const bool written = ::write(descriptor, text.data(), text.size()) == static_cast<ssize_t>(text.size());
    ::close(descriptor);
    // link() fails if the lock exists, so only one of several processes gets a free one.
    bool taken = written && ::link(temporary.c_str(), m_path.c_str()) == 0;
    if (written && !taken && errno == EEXIST) {
        const auto other = readTextFile(m_path, 4096);
        const Owner owner = parse(other ? *other : std::string());
        if (!other || isGone(owner)) {
            taken = ::rename(temporary.c_str(), m_path.c_str()) == 0;
            const auto now = readTextFile(m_path, 4096);
            taken = taken && now && *now == text; // another process may have been faster
        } else {
            m_owner = "process " + printable(owner.process) + " on " + printable(owner.host);
        }
    }
    ::unlink(temporary.c_str());
    m_held = taken;
    if (taken)
        g_heldHere[m_path] = 1;
}

LockFile::~LockFile()
{
    if (!m_held)
        return;
    const std::lock_guard lock(g_mutex);
    if (--g_heldHere[m_path] > 0)
        return;
    g_heldHere.erase(m_path);
    ::unlink(m_path.c_str());
}

} // namespace ql
