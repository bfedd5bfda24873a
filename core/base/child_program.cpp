// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/base/child_program.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <optional>
#include <thread>

extern char** environ;

namespace ql {

namespace {

using Clock = std::chrono::steady_clock;
constexpr std::chrono::milliseconds kTick{20}; // between two looks at the stop token and the clock

/// Own process group, so that it can be killed with what it started.
Result<pid_t> spawn(const std::filesystem::path& program, const std::vector<std::string>& arguments, int output)
{
    std::vector<char*> argv{const_cast<char*>(program.c_str())}; // posix_spawn lacks the const
    for (const std::string& argument : arguments)
        argv.push_back(const_cast<char*>(argument.c_str()));
    argv.push_back(nullptr);

    posix_spawn_file_actions_t files{};
    ::posix_spawn_file_actions_init(&files);
    ::posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    ::posix_spawn_file_actions_adddup2(&files, output, STDOUT_FILENO);
    ::posix_spawn_file_actions_addopen(&files, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
    ::posix_spawn_file_actions_addclosefrom_np(&files, STDERR_FILENO + 1);

    posix_spawnattr_t attributes{};
    ::posix_spawnattr_init(&attributes);
    ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    ::posix_spawnattr_setpgroup(&attributes, 0);
    sigset_t signals;
    ::sigemptyset(&signals);
    ::posix_spawnattr_setsigmask(&attributes, &signals);
    ::sigfillset(&signals);
    ::posix_spawnattr_setsigdefault(&attributes, &signals);

    pid_t process = -1;
    const int failure = ::posix_spawn(&process, program.c_str(), &files, &attributes, argv.data(), environ);
    ::posix_spawnattr_destroy(&attributes);
    ::posix_spawn_file_actions_destroy(&files);
    if (failure != 0)
        return systemError("cannot be started; reinstall QuantLoupe", program.string(), failure);
    return process;
}

/// The child and the reading end of its output; kills and reaps what is still there.
class Child {
public:
    Child(pid_t process, int output) : m_process(process), m_output(output) {}
    ~Child()
    {
        ::close(m_output);
        if (m_process > 0) {
            ::kill(-m_process, SIGKILL);
            while (::waitpid(m_process, nullptr, 0) < 0 && errno == EINTR) {
            }
        }
    }
    Child(const Child&) = delete;
    Child& operator=(const Child&) = delete;

    /// Appends what there is; false at the end.
    bool read(std::vector<std::byte>& bytes) const
    {
        pollfd wait{m_output, POLLIN, 0};
        if (::poll(&wait, 1, static_cast<int>(kTick.count())) <= 0)
            return true;
        constexpr std::size_t kPiece = std::size_t{1} << 16U;
        const std::size_t before = bytes.size();
        bytes.resize(before + kPiece);
        const ssize_t got = ::read(m_output, bytes.data() + before, kPiece);
        bytes.resize(before + static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
        return got > 0 || (got < 0 && errno == EINTR);
    }

    /// The status of waitpid once it has ended.
    std::optional<int> ended()
    {
        int status = 0;
        if (::waitpid(m_process, &status, WNOHANG) == 0)
            return std::nullopt;
        m_process = -1;
        return status;
    }

private:
    pid_t m_process;
    int m_output;
};

} // namespace

Result<ChildOutput> runProgram(const std::filesystem::path& program, const std::vector<std::string>& arguments,
                               const ChildLimits& limits, const std::stop_token& stop)
{
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0)
        return systemError("cannot be started", program.string(), errno);
    const auto process = spawn(program, arguments, ends[1]);
    ::close(ends[1]);
    if (!process) {
        ::close(ends[0]);
        return process.error();
    }
    Child child(*process, ends[0]);
    ChildOutput output;
    const auto end = Clock::now() + limits.time;
    bool more = true;
    while (true) {
        if (stop.stop_requested())
            return cancelledError();
        if (Clock::now() > end) {
            output.ending = ChildOutput::Ending::outOfTime;
            return output;
        }
        if (more) {
            more = child.read(output.bytes);
            if (static_cast<std::int64_t>(output.bytes.size()) > limits.outputBytes) {
                output.ending = ChildOutput::Ending::tooMuch;
                return output;
            }
        } else if (const auto status = child.ended()) {
            const bool killed = WIFSIGNALED(*status);
            output.ending = killed ? ChildOutput::Ending::killed : ChildOutput::Ending::exited;
            output.code = killed ? WTERMSIG(*status) : WEXITSTATUS(*status);
            return output;
        } else {
            std::this_thread::sleep_for(std::chrono::milliseconds(1)); // it has closed its output: it ends now
        }
    }
}

} // namespace ql
