// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/base/file.h"

#include "core/base/disk_output.h"
#include "core/base/mapping_guard.h"
#include "core/base/text.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cassert>
#include <cerrno>
#include <utility>

namespace ql {

namespace {

class Descriptor {
public:
    explicit Descriptor(int value) : m_value(value) {}
    ~Descriptor()
    {
        if (m_value >= 0)
            ::close(m_value);
    }
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;
    int get() const { return m_value; }

private:
    int m_value;
};

std::string kindOf(mode_t mode)
{
    if (S_ISDIR(mode))
        return "a directory";
    if (S_ISFIFO(mode))
        return "a pipe";
    if (S_ISSOCK(mode))
        return "a socket";
    return "a device";
}

} // namespace

Result<std::shared_ptr<const MappedFile>> MappedFile::open(const std::filesystem::path& path)
{
    // O_NONBLOCK: opening a FIFO without a writer must not hang.
    const Descriptor descriptor(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
    if (descriptor.get() < 0)
        return systemError("cannot open", path.string(), errno);
    struct stat status {};
    if (::fstat(descriptor.get(), &status) != 0)
        return systemError("cannot read its status", path.string(), errno);
    if (!S_ISREG(status.st_mode))
        return badInput("is " + kindOf(status.st_mode) + ", not a regular file", path.string());

    std::shared_ptr<MappedFile> file(new MappedFile);
    file->m_path = path;
    file->m_size = status.st_size;
    file->m_inode = status.st_ino;
    if (status.st_size > 0) {
        void* data =
            ::mmap(nullptr, static_cast<std::size_t>(status.st_size), PROT_READ, MAP_PRIVATE, descriptor.get(), 0);
        if (data == MAP_FAILED)
            return systemError("cannot map", path.string(), errno);
        file->m_data = static_cast<const std::byte*>(data);
        file->m_guard = std::make_unique<MappingGuard>(file->bytes());
    }
    return std::shared_ptr<const MappedFile>(std::move(file));
}

MappedFile::~MappedFile()
{
    m_guard.reset();
    if (m_data)
        ::munmap(const_cast<std::byte*>(m_data), static_cast<std::size_t>(m_size));
}

void MappedFile::release(std::span<const std::byte> bytes) const
{
    static const auto page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
    const auto begin = (reinterpret_cast<std::uintptr_t>(bytes.data()) + page - 1) / page * page;
    const auto end = reinterpret_cast<std::uintptr_t>(bytes.data() + bytes.size()) / page * page;
    if (begin < end)
        ::madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
}

Result<void> MappedFile::checkIntact() const
{
    // What is missing of the last page raises no signal.
    struct stat now {};
    const bool shorter = ::stat(m_path.c_str(), &now) == 0 && now.st_ino == m_inode && now.st_size < m_size;
    if (shorter || (m_guard && m_guard->damaged()))
        return badInput("was cut short while it was open, or its disk failed; get the file again and open it anew",
                        m_path.string());
    return {};
}

Result<AtomicFile> AtomicFile::create(const std::filesystem::path& path)
{
    // A rename would put a file in the place of /dev/null.
    struct stat status {};
    if (::stat(path.c_str(), &status) == 0 && !S_ISREG(status.st_mode))
        return ioError("is " + kindOf(status.st_mode) + "; give a file name", path.string());
    AtomicFile file;
    file.m_path = path;
    std::string name = (path.parent_path() / ("." + path.filename().string() + ".XXXXXX")).string();
    file.m_descriptor = ::mkostemp(name.data(), O_CLOEXEC);
    if (file.m_descriptor < 0)
        return systemError("cannot create a file beside it", path.string(), errno);
    file.m_temporary = name;
    ::fchmod(file.m_descriptor, 0666 & ~currentMask());
    return file;
}

AtomicFile::AtomicFile(AtomicFile&& other) noexcept
    : m_path(std::move(other.m_path)),
      m_temporary(std::exchange(other.m_temporary, {})),
      m_descriptor(std::exchange(other.m_descriptor, -1)),
      m_written(other.m_written),
      m_buffer(std::move(other.m_buffer))
{}

AtomicFile::~AtomicFile()
{
    if (!m_temporary.empty())
        ::unlink(m_temporary.c_str());
    if (m_descriptor >= 0)
        closeAside(m_descriptor);
}

Result<void> AtomicFile::append(std::span<const std::byte> bytes)
{
    QL_CHECK(writeAllAt(m_descriptor, m_written, bytes, m_path));
    constexpr std::int64_t kPiece = std::int64_t{1} << 22U;
    const std::int64_t begun = m_written / kPiece;
    m_written += std::ssize(bytes);
    if (const std::int64_t whole = m_written / kPiece; whole > begun)
        startWriteBack(m_descriptor, begun * kPiece, (whole - begun) * kPiece);
    return {};
}

Result<void> AtomicFile::flush()
{
    QL_CHECK(append(std::as_bytes(std::span(m_buffer))));
    m_buffer.clear();
    return {};
}

Result<void> AtomicFile::write(std::span<const std::byte> bytes)
{
    constexpr std::size_t kBufferBytes = std::size_t{1} << 16U;
    if (m_buffer.size() + bytes.size() > kBufferBytes)
        QL_CHECK(flush());
    if (bytes.size() > kBufferBytes)
        return append(bytes);
    m_buffer.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    return {};
}

Result<void> AtomicFile::writeZeros(std::int64_t n)
{
    static constexpr std::array<std::byte, 4096> kZeros{};
    while (n > 0) {
        const auto part = std::min<std::int64_t>(n, std::ssize(kZeros));
        QL_CHECK(write(std::span(kZeros).first(static_cast<std::size_t>(part))));
        n -= part;
    }
    return {};
}

Result<void> AtomicFile::overwrite(std::int64_t offset, std::span<const std::byte> bytes)
{
    assert(offset >= 0 && offset + std::ssize(bytes) <= sizeBytes());
    QL_CHECK(flush());
    return writeAllAt(m_descriptor, offset, bytes, m_path);
}

Result<void> AtomicFile::commit()
{
    QL_CHECK(flush());
    if (::fsync(m_descriptor) != 0)
        return systemError("cannot write", m_path.string(), errno);
    ::close(std::exchange(m_descriptor, -1));
    const int replaced =
        ::open(m_path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK); // so that rename takes back no pages
    const bool isRenamed = ::rename(m_temporary.c_str(), m_path.c_str()) == 0;
    const int error = errno;
    if (replaced >= 0)
        closeAside(replaced);
    if (!isRenamed)
        return systemError("cannot replace", m_path.string(), error);
    m_temporary.clear();
    syncFolder(m_path.parent_path());
    return {};
}

Result<std::string> readTextFile(const std::filesystem::path& path, std::int64_t limitBytes)
{
    QL_TRY(file, MappedFile::open(path));
    if (file->sizeBytes() > limitBytes)
        return badInput("has " + formatBytes(file->sizeBytes()) + "; at most " + formatBytes(limitBytes) +
                            " make sense here",
                        path.string());
    const auto bytes = file->bytes();
    std::string text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    QL_CHECK(file->checkIntact());
    return text;
}

Result<std::filesystem::path> pathInside(const std::filesystem::path& folder, std::string_view relative)
{
    const std::filesystem::path path(relative);
    const bool climbs = std::any_of(path.begin(), path.end(), [](const auto& part) { return part == ".."; });
    if (relative.empty() || path.is_absolute() || climbs || relative.find('\0') != std::string_view::npos)
        return badInput("names the file '" + printable(relative) + "', which is not inside the checkpoint's folder",
                        folder.string());
    return folder / path;
}

} // namespace ql
