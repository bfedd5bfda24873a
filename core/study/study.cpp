// SPDX-License-Identifier: GPL-3.0-or-later
// Order of writing: segments first, then the main file that lists them, then the removal of what nothing lists. A crash
// between any two leaves the old study or the new one; segments kept since the last save are found again by the study's
// id that they carry.
#include "core/study/study.h"

#include "core/base/file.h"
#include "core/base/hash.h"
#include "core/base/hdf5.h"
#include "core/base/hdf5_file.h"
#include "core/base/text.h"
#include "core/study/lock_file.h"
#include "core/study/segment.h"
#include "core/study/text_table.h"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <limits>
#include <mutex>
#include <random>
#include <set>
#include <thread>
#include <utility>

namespace ql {

namespace {

constexpr std::string_view kFormat = "quantloupe study";
constexpr std::int64_t kVersion = 1;
constexpr std::size_t kBatchBytes = std::size_t{1} << 20U;
constexpr std::chrono::seconds kBatchTime{1};

std::filesystem::path beside(const std::filesystem::path& path, const char* suffix)
{
    return path.string() + suffix;
}

/// One name for one file, so that a study opened twice in this process is seen to be.
std::filesystem::path uniquePath(const std::filesystem::path& path)
{
    std::error_code error;
    auto found = std::filesystem::weakly_canonical(path, error);
    return error || found.empty() ? path : found;
}

std::string newId()
{
    std::random_device random;
    Hasher hasher;
    for (int i = 0; i < 8; ++i)
        hasher.add(std::to_string(random()) + "\n");
    hasher.add(std::to_string(std::chrono::system_clock::now().time_since_epoch().count()));
    return hasher.hex();
}

Result<void> writeText(hdf5::Id file, const std::string& name, std::string_view text)
{
    return hdf5::writeDataset(file, name, hdf5::Element::u8, {std::ssize(text)}, text.data());
}

Result<std::string> readText(const hdf5::File& file, const std::string& name)
{
    QL_TRY(dataset, file.dataset(file.root(), name));
    QL_TRY(bytes, file.read(*dataset, hdf5::Element::u8, file.mapped()->sizeBytes()));
    return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

TextTable tableOf(const std::map<std::string, std::string>& texts)
{
    TextTable rows;
    for (const auto& [key, value] : texts)
        rows.push_back({key, value});
    return rows;
}

Result<std::map<std::string, std::string>> readTexts(const hdf5::File& file, const std::string& name)
{
    QL_TRY(text, readText(file, name));
    QL_TRY(rows, parseTable(text, 2));
    std::map<std::string, std::string> texts;
    for (auto& row : rows)
        texts[row[0]] = std::move(row[1]);
    return texts;
}

/// A path as seen from the study, and where it was; either finds it again when one of the two has moved.
Result<void> writePath(hdf5::Id file, const std::string& name, const std::filesystem::path& path,
                       const std::filesystem::path& study)
{
    const auto absolute = path.empty() ? path : std::filesystem::absolute(path).lexically_normal();
    const auto folder = std::filesystem::absolute(study).parent_path().lexically_normal();
    QL_CHECK(hdf5::writeAttribute(file, name, absolute.lexically_relative(folder).generic_string()));
    return hdf5::writeAttribute(file, name + "_absolute", absolute.generic_string());
}

Result<std::filesystem::path> readPath(const hdf5::File& file, const std::string& name,
                                       const std::filesystem::path& study)
{
    QL_TRY(relative, file.text(file.root(), name));
    QL_TRY(absolute, file.text(file.root(), name + "_absolute"));
    if (absolute.empty())
        return std::filesystem::path();
    const auto near = (std::filesystem::absolute(study).parent_path() / relative).lexically_normal();
    std::error_code error;
    const bool useNear =
        !relative.empty() && (std::filesystem::exists(near, error) || !std::filesystem::exists(absolute, error));
    return useNear ? near : std::filesystem::path(absolute);
}

class StoredStudy final : public Study {
public:
    explicit StoredStudy(const std::filesystem::path& path)
        : m_path(path), m_folder(beside(path, ".d")), m_lock(beside(uniquePath(path), ".lock")), m_id(newId())
    {}

    ~StoredStudy() override
    {
        m_flusher = {}; // stopped and joined
        if (!m_lock.held())
            return;
        const std::lock_guard lock(m_mutex);
        if (!m_isNew) {
            static_cast<void>(flush());
            return;
        }
        std::error_code error; // never saved: nothing would ever find its segments
        for (const auto& [name, segment] : m_segments)
            std::filesystem::remove(m_folder / name, error);
        std::filesystem::remove(m_folder, error); // only if it is empty
    }

    Result<void> open(std::vector<Warning>& warnings)
    {
        QL_TRY(h5, hdf5::File::open(m_path));
        const hdf5::Group& root = h5->root();
        const auto* format = root.attribute<std::string>("format");
        if (!format || *format != kFormat)
            return badInput("is no study of this program", m_path.string());
        QL_TRY(version, h5->integer(root, "version"));
        if (version != kVersion)
            return badInput("is a study of version " + std::to_string(version) + "; this program knows version " +
                                std::to_string(kVersion) + ". Use a newer program",
                            m_path.string());
        QL_TRY(id, h5->text(root, "id"));
        QL_TRY(fingerprint, h5->text(root, "fingerprint"));
        QL_TRY(checkpoint, readPath(*h5, "checkpoint", m_path));
        QL_TRY(activations, readPath(*h5, "activations", m_path));
        QL_TRY(plan, readText(*h5, "plan"));
        QL_TRY(view, readTexts(*h5, "view"));
        QL_TRY(settings, readTexts(*h5, "settings"));
        QL_TRY(segments, readText(*h5, "segments"));
        QL_TRY(rows, parseTable(segments, 3));
        m_id = std::move(id);
        m_document = {std::move(checkpoint), std::move(fingerprint), std::move(activations),
                      std::move(plan),       std::move(view),        std::move(settings)};
        std::set<std::string> listed;
        std::vector<SegmentFile> files;
        for (const auto& row : rows) {
            // The name comes from the file: nothing but a segment's name is looked up.
            if (!isSegmentName(row[0]) || !listed.insert(row[0]).second)
                return badInput("lists a segment of an impossible name", m_path.string());
            files.push_back({m_folder / row[0], row[2], parseInt(row[1]).value_or(0)});
        }
        std::vector<Result<Segment>> found = readSegments(files);
        for (std::size_t i = 0; i < found.size(); ++i)
            add(std::move(found[i]), rows[i][0], warnings);
        if (root.link("packed")) {
            QL_TRY(packed, h5->group(root, "packed"));
            for (const hdf5::Link& link : packed->links)
                if (listed.insert(link.name).second)
                    add(readPackedSegment(*h5, link.name), link.name, warnings);
        }
        adoptUnlisted(listed);
        m_isNew = false;
        return {};
    }

    const std::filesystem::path& path() const override { return m_path; }
    const StudyDocument& document() const override { return m_document; }
    const std::string& lockedBy() const override { return m_lock.owner(); }

    Result<void> keep(const std::string& key, std::span<const std::byte> bytes) override
    {
        QL_CHECK(checkLock());
        const std::lock_guard lock(m_mutex);
        if (bytes.size() >= kBatchBytes) { // at once, and not copied unless it has to wait: it may be gigabytes
            auto written = flush({{key, bytes}});
            if (!written)
                m_pending[key].assign(bytes.begin(), bytes.end());
            return written;
        }
        m_pending[key].assign(bytes.begin(), bytes.end());
        m_pendingBytes += key.size() + bytes.size();
        if (m_pendingBytes >= kBatchBytes || isDue())
            return flush();
        if (!m_flusher.joinable())
            m_flusher = std::jthread([this](const std::stop_token& stop) { flushWhenDue(stop); });
        m_kept.notify_one();
        return {};
    }

    std::optional<std::vector<std::byte>> find(const std::string& key) const override
    {
        const std::lock_guard lock(m_mutex);
        if (const auto found = m_keys.find(key); found != m_keys.end() && !m_pending.contains(key)) {
            Segment& segment = m_segments.at(found->second);
            if (!segment.isChecked && !checkContent(segment))
                return std::nullopt; // what it held is measured again
            segment.isChecked = true;
        }
        return read(key, std::numeric_limits<std::size_t>::max());
    }

    std::optional<std::vector<std::byte>> findHead(const std::string& key, std::size_t bytes) const override
    {
        const std::lock_guard lock(m_mutex);
        return read(key, bytes);
    }

    Result<void> save(const StudyDocument& document) override
    {
        QL_CHECK(checkLock());
        const std::lock_guard lock(m_mutex);
        QL_CHECK(flush());
        QL_CHECK(unpack());
        // Before anything is removed: a segment all of whose keys were kept anew is not listed any more.
        std::set<std::string> listed;
        for (const auto& [key, name] : m_keys)
            listed.insert(name);
        TextTable rows;
        for (const std::string& name : listed) {
            const Segment& segment = m_segments.at(name);
            rows.push_back({name, std::to_string(segment.sizeBytes), segment.checksum});
        }
        QL_TRY(h5, hdf5::createImage());
        QL_CHECK(writeDocument(h5.get(), document, m_path, rows));
        QL_TRY(image, hdf5::finishImage(std::move(h5)));
        QL_TRY(file, AtomicFile::create(m_path));
        QL_CHECK(file.write(image));
        QL_CHECK(file.commit());
        m_document = document;
        m_isNew = false;
        std::erase_if(m_segments, [&](const auto& entry) { return !listed.contains(entry.first); });
        removeUnlisted(listed);
        return {};
    }

    Result<void> pack(const std::filesystem::path& path)
    {
        const std::lock_guard lock(m_mutex);
        if (m_lock.held())
            QL_CHECK(flush());
        QL_TRY(file, AtomicFile::create(path));
        QL_TRY(h5, hdf5::createFile(file.temporaryPath()));
        QL_CHECK(writeDocument(h5.get(), m_document, path, {}));
        std::set<std::string> used;
        for (const auto& [key, name] : m_keys)
            if (used.insert(name).second)
                QL_CHECK(packSegment(h5.get(), m_segments.at(name)));
        QL_CHECK(hdf5::closeFile(std::move(h5)));
        return file.commit();
    }

private:
    /// At most that many bytes of a piece. The mutex is held.
    std::optional<std::vector<std::byte>> read(const std::string& key, std::size_t most) const
    {
        if (const auto pending = m_pending.find(key); pending != m_pending.end()) {
            const auto bytes = std::span(pending->second).first(std::min(most, pending->second.size()));
            return std::vector(bytes.begin(), bytes.end());
        }
        const auto found = m_keys.find(key);
        if (found == m_keys.end())
            return std::nullopt;
        const Segment& segment = m_segments.at(found->second);
        Piece piece = segment.pieces.at(key);
        if (std::cmp_greater(piece.sizeBytes, most))
            piece.sizeBytes = static_cast<std::int64_t>(most);
        auto bytes = readPiece(segment, piece);
        return bytes ? std::optional(std::move(*bytes)) : std::nullopt;
    }

    Result<void> checkLock() const
    {
        if (m_lock.held())
            return {};
        if (!m_lock.owner().empty())
            return refused("is open in another program (" + m_lock.owner() +
                               "); close it there, or save under another name",
                           m_path.string());
        return ioError("its folder cannot be written; save the study elsewhere", m_path.string());
    }

    Result<void> writeDocument(hdf5::Id h5, const StudyDocument& document, const std::filesystem::path& path,
                               const TextTable& segments) const
    {
        QL_CHECK(hdf5::writeAttribute(h5, "format", kFormat));
        QL_CHECK(hdf5::writeAttribute(h5, "version", kVersion));
        QL_CHECK(hdf5::writeAttribute(h5, "id", m_id));
        QL_CHECK(hdf5::writeAttribute(h5, "fingerprint", document.fingerprint));
        QL_CHECK(writePath(h5, "checkpoint", document.checkpoint, path));
        QL_CHECK(writePath(h5, "activations", document.activations, path));
        QL_CHECK(writeText(h5, "plan", document.planJson));
        QL_CHECK(writeText(h5, "view", printTable(tableOf(document.viewState))));
        QL_CHECK(writeText(h5, "settings", printTable(tableOf(document.settings))));
        return writeText(h5, "segments", printTable(segments));
    }

    /// Writes what was kept since the last segment, and more. The mutex is held.
    Result<void> flush(PieceViews pieces = {})
    {
        pieces.insert(m_pending.begin(), m_pending.end());
        if (pieces.empty())
            return {};
        std::error_code error;
        std::filesystem::create_directories(m_folder, error);
        if (error)
            return systemError("cannot create the folder of its segments", m_folder.string(), error.value());
        QL_TRY(segment, writeSegment(m_folder, m_id, m_nextSequence, pieces));
        take(std::move(segment));
        m_pending.clear();
        m_pendingBytes = 0;
        m_lastFlush = std::chrono::steady_clock::now();
        return {};
    }

    bool isDue() const { return std::chrono::steady_clock::now() - m_lastFlush >= kBatchTime; }

    /// What is kept is in a file a second later, whether more follows or not. A failure is the next keep()'s to tell.
    void flushWhenDue(const std::stop_token& stop)
    {
        std::unique_lock lock(m_mutex);
        while (m_kept.wait(lock, stop, [&] { return !m_pending.empty(); }) && !stop.stop_requested()) {
            m_kept.wait_until(lock, stop, m_lastFlush + kBatchTime, [] { return false; });
            if (!stop.stop_requested() && isDue() && !flush())
                m_lastFlush = std::chrono::steady_clock::now();
        }
    }

    /// Segments inside the main file become files, as the main file is written anew without them.
    Result<void> unpack()
    {
        std::vector<std::string> names;
        for (const auto& [name, segment] : m_segments)
            if (segment.packed)
                names.push_back(name);
        for (const std::string& name : names) {
            const Segment& packed = m_segments.at(name);
            Pieces pieces;
            for (const auto& [key, piece] : packed.pieces) {
                QL_TRY(bytes, readPiece(packed, piece));
                pieces[key] = std::move(bytes);
            }
            std::error_code error;
            std::filesystem::create_directories(m_folder, error);
            QL_TRY(segment,
                   writeSegment(m_folder, packed.study, packed.sequence, PieceViews(pieces.begin(), pieces.end())));
            m_segments[name] = std::move(segment); // the same name: it is the hash of the same content
        }
        return {};
    }

    /// Of two pieces with one key the later one counts.
    void take(Segment segment)
    {
        m_nextSequence = std::max(m_nextSequence, segment.sequence + 1);
        for (const auto& [key, piece] : segment.pieces) {
            const auto found = m_keys.find(key);
            if (found == m_keys.end() || m_segments.at(found->second).sequence < segment.sequence)
                m_keys[key] = segment.name;
        }
        const std::string name = segment.name;
        m_segments.insert_or_assign(name, std::move(segment));
    }

    void add(Result<Segment> segment, const std::string& name, std::vector<Warning>& warnings)
    {
        if (segment)
            take(std::move(*segment));
        else
            warnings.push_back({(m_folder / name).string(), segment.error().what + "; what it held is measured again"});
    }

    /// Segments finished after the last save, by this study.
    void adoptUnlisted(const std::set<std::string>& listed)
    {
        std::vector<SegmentFile> files;
        for (const std::string& name : segmentFiles())
            if (!listed.contains(name) && !name.starts_with('.'))
                files.push_back({m_folder / name});
        for (auto& segment : readSegments(files))
            if (segment && segment->study == m_id)
                take(std::move(*segment));
    }

    void removeUnlisted(const std::set<std::string>& listed)
    {
        std::error_code error;
        for (const std::string& name : segmentFiles())
            if (!listed.contains(name))
                std::filesystem::remove(m_folder / name, error);
        std::filesystem::remove(m_folder, error); // only if it is empty
        // Temporary main files of a process that was killed; only the holder of the lock writes any.
        const std::string temporary = "." + m_path.filename().string() + ".";
        const auto folder = m_path.parent_path().empty() ? std::filesystem::path(".") : m_path.parent_path();
        std::vector<std::filesystem::path> left;
        for (const auto& entry : std::filesystem::directory_iterator(folder, error)) {
            const std::string name = entry.path().filename().string();
            if (name.starts_with(temporary) && name.size() == temporary.size() + 6)
                left.push_back(entry.path());
        }
        for (const auto& path : left)
            std::filesystem::remove(path, error);
    }

    std::vector<std::string> segmentFiles() const
    {
        std::vector<std::string> names;
        std::error_code error;
        for (const auto& entry : std::filesystem::directory_iterator(m_folder, error))
            if (isSegmentName(entry.path().filename().string()))
                names.push_back(entry.path().filename().string());
        std::ranges::sort(names);
        return names;
    }

    std::filesystem::path m_path;
    std::filesystem::path m_folder;
    LockFile m_lock;
    std::string m_id;
    StudyDocument m_document;
    bool m_isNew = true; // no main file of this study exists yet

    mutable std::mutex m_mutex;
    mutable std::map<std::string, Segment> m_segments; // by name; large ones are checked when they are read first
    std::map<std::string, std::string> m_keys;         // key -> name of its segment
    std::int64_t m_nextSequence = 1;
    Pieces m_pending;
    std::size_t m_pendingBytes = 0;
    std::chrono::steady_clock::time_point m_lastFlush = std::chrono::steady_clock::now();
    std::condition_variable_any m_kept; // something is pending
    std::jthread m_flusher;             // started when something is first
};

} // namespace

Result<std::shared_ptr<Study>> openStudy(const std::filesystem::path& path, std::vector<Warning>& warnings)
{
    std::error_code error;
    if (!std::filesystem::exists(path, error))
        return createStudy(path);
    auto study = std::make_shared<StoredStudy>(path);
    if (auto opened = study->open(warnings); !opened) {
        Error failure = opened.error();
        failure.where = path.string();
        failure.what += ". The study cannot be opened; take its last copy";
        return failure;
    }
    return std::shared_ptr<Study>(std::move(study));
}

Result<std::shared_ptr<Study>> createStudy(const std::filesystem::path& path)
{
    std::error_code error;
    const auto folder = path.parent_path().empty() ? std::filesystem::path(".") : path.parent_path();
    if (!std::filesystem::is_directory(folder, error))
        return ioError("there is no such folder; create it first", folder.string());
    if (std::filesystem::is_directory(path, error))
        return ioError("is a directory; give a file name", path.string());
    auto study = std::make_shared<StoredStudy>(path);
    if (!study->lockedBy().empty())
        return refused("is open in another program (" + study->lockedBy() +
                           "); close it there, or save under another name",
                       path.string());
    return std::shared_ptr<Study>(std::move(study));
}

Result<void> packStudy(Study& study, const std::filesystem::path& path)
{
    auto* stored = dynamic_cast<StoredStudy*>(&study);
    if (!stored)
        return usageError("only a stored study can be packed", path.string());
    return stored->pack(path);
}

} // namespace ql
