// SPDX-License-Identifier: GPL-3.0-or-later
// Processes are forked and killed: this program must not start threads of its own before.
#include "core/base/rng.h"
#include "core/base/text.h"
#include "core/study/study.h"
#include "core/study/text_table.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <QTemporaryDir>
#include <QTest>

#include <chrono>
#include <fstream>
#include <thread>

using namespace ql;

namespace {

std::vector<std::byte> bytes(std::size_t n, std::uint64_t seed)
{
    const CounterRng rng(seed);
    std::vector<std::byte> data(n);
    for (std::size_t i = 0; i < n; ++i)
        data[i] = static_cast<std::byte>(rng.bits(i) & 0xffU);
    return data;
}

StudyDocument document(int n)
{
    StudyDocument document;
    document.checkpoint = "model.safetensors";
    document.fingerprint = "print";
    document.planJson = "{\"n\": " + std::to_string(n) + "}";
    document.viewState["layout"] = std::string("a\0\xff\t\n%09", 8);
    document.settings["budget"] = std::to_string(n);
    return document;
}

std::vector<std::filesystem::path> filesIn(const std::filesystem::path& folder)
{
    std::vector<std::filesystem::path> files;
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator(folder, error))
        files.push_back(entry.path());
    return files;
}

std::shared_ptr<Study> opened(const std::filesystem::path& path, std::vector<Warning>& warnings)
{
    auto study = openStudy(path, warnings);
    if (!study)
        qWarning("%s", describe(study.error()).c_str());
    return study ? *study : nullptr;
}

void damage(const std::filesystem::path& path, std::uintmax_t at)
{
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekg(static_cast<std::streamoff>(at));
    const int old = file.get();
    file.seekp(static_cast<std::streamoff>(at));
    file.put(static_cast<char>(old ^ 0x55));
}

} // namespace

class StudyTest : public QObject {
    Q_OBJECT
    std::unique_ptr<QTemporaryDir> m_folder;
    std::filesystem::path m_path;
    std::filesystem::path m_segments;

private Q_SLOTS:
    void init()
    {
        m_folder = std::make_unique<QTemporaryDir>();
        m_path = m_folder->path().toStdString() + "/work.qloupe";
        m_segments = m_path.string() + ".d";
    }
    void everythingComesBack()
    {
        const auto large = bytes(3'000'000, 1);
        const std::string key("layer\t1\n%", 9);
        {
            const auto study = createStudy(m_path);
            QVERIFY(study);
            QVERIFY(!std::filesystem::exists(m_path));
            QVERIFY((*study)->keep(key, bytes(100, 2)));
            QVERIFY((*study)->keep("large", large));
            QVERIFY((*study)->keep("empty", {}));
            QVERIFY((*study)->find(key) == bytes(100, 2));
            QVERIFY(!(*study)->find("none"));
            QVERIFY((*study)->save(document(7)));
            QVERIFY((*study)->keep("after", bytes(10, 3)));
            QVERIFY((*study)->keep(key, bytes(50, 4)));
        }
        std::vector<Warning> warnings;
        const auto study = opened(m_path, warnings);
        QVERIFY(study);
        QVERIFY(warnings.empty());
        QVERIFY(study->find(key) == bytes(50, 4)); // the later one
        QVERIFY(study->find("large") == large);
        QVERIFY(study->find("empty")->empty());
        QVERIFY(study->find("after") == bytes(10, 3)); // kept after the save
        const StudyDocument expected = document(7);
        QCOMPARE(study->document().planJson, expected.planJson);
        QVERIFY(study->document().viewState == expected.viewState);
        QVERIFY(study->document().settings == expected.settings);
        QCOMPARE(study->document().fingerprint, expected.fingerprint);
        QVERIFY(study->document().activations.empty());
        QVERIFY(study->lockedBy().empty());
    }
    void pathsFollowTheStudy()
    {
        const std::filesystem::path folder = m_folder->path().toStdString();
        std::filesystem::create_directories(folder / "old/models");
        std::ofstream(folder / "old/models/m.gguf") << "x";
        {
            const auto study = createStudy(folder / "old/a.qloupe");
            StudyDocument saved = document(1);
            saved.checkpoint = folder / "old/models/m.gguf";
            saved.activations = "/somewhere/else.npz";
            QVERIFY((*study)->save(saved));
        }
        std::vector<Warning> warnings;
        QCOMPARE(opened(folder / "old/a.qloupe", warnings)->document().checkpoint, folder / "old/models/m.gguf");
        std::filesystem::rename(folder / "old", folder / "new"); // together
        QCOMPARE(opened(folder / "new/a.qloupe", warnings)->document().checkpoint, folder / "new/models/m.gguf");
        std::filesystem::create_directories(folder / "old/models");
        std::filesystem::rename(folder / "new/models/m.gguf", folder / "old/models/m.gguf"); // the study alone
        QCOMPARE(opened(folder / "new/a.qloupe", warnings)->document().checkpoint, folder / "old/models/m.gguf");
    }
    void savingRemovesWhatNothingLists()
    {
        {
            const auto study = createStudy(m_path);
            QVERIFY((*study)->keep("a", bytes(2'000'000, 1)));
            QVERIFY((*study)->save(document(1)));
            QCOMPARE(filesIn(m_segments).size(), std::size_t{1});
            QVERIFY((*study)->keep("a", bytes(2'000'000, 2)));
            QCOMPARE(filesIn(m_segments).size(), std::size_t{2});
            std::ofstream(m_segments / ".0123456789abcdef0123456789abcdef.h5.AbCdEf") << "left by a kill";
            std::ofstream(m_segments / "notes.txt") << "somebody's";
            std::ofstream(m_path.parent_path() / ".work.qloupe.AbCdEf") << "left by a kill";
            QVERIFY((*study)->save(document(2)));
            QCOMPARE(filesIn(m_segments).size(), std::size_t{2}); // one segment, the notes
            QVERIFY(!std::filesystem::exists(m_path.parent_path() / ".work.qloupe.AbCdEf"));
        }
        QVERIFY(!std::filesystem::exists(m_path.string() + ".lock"));
        {
            const auto study = createStudy(m_path); // over the old one, then thought better of
            QVERIFY((*study)->keep("b", bytes(2'000'000, 3)));
        }
        std::vector<Warning> warnings;
        auto study = opened(m_path, warnings);
        QVERIFY(warnings.empty());
        QVERIFY(study->find("a") == bytes(2'000'000, 2));
        QVERIFY(!study->find("b"));
        study.reset();
        {
            const auto other = createStudy(m_path); // over the old one
            QVERIFY((*other)->save(document(9)));
        }
        study = opened(m_path, warnings);
        QVERIFY(!study->find("a"));
        QCOMPARE(study->document().planJson, document(9).planJson);
    }
    /// What was kept last is in a file soon, though nothing follows it and nobody saves.
    void theLastPieceIsWritten()
    {
        const std::filesystem::path copy = m_folder->path().toStdString() + "/copy.qloupe";
        std::vector<Warning> warnings;
        const auto study = opened(m_path, warnings);
        QVERIFY(study && study->save(document(1)));
        QVERIFY(study->keep("first", bytes(10, 1)) && study->keep("last", bytes(20, 2)));
        const auto isThere = [&] {
            std::error_code error;
            std::filesystem::remove_all(copy.string() + ".d", error);
            std::filesystem::copy_file(m_path, copy, std::filesystem::copy_options::overwrite_existing, error);
            std::filesystem::copy(m_segments, copy.string() + ".d", error);
            const auto killed = opened(copy, warnings);
            return killed && killed->find("last") == bytes(20, 2) && killed->find("first") == bytes(10, 1);
        };
        QTRY_VERIFY_WITH_TIMEOUT(isThere(), 10000);
    }
    void neverSavedLeavesNothing()
    {
        {
            const auto study = createStudy(m_path);
            QVERIFY((*study)->keep("a", bytes(2'000'000, 1)));
            QVERIFY(std::filesystem::exists(m_segments));
        }
        QVERIFY(filesIn(m_path.parent_path()).empty());
    }
    void packedIsOneFile()
    {
        const std::filesystem::path packed = m_path.string() + ".packed.qloupe";
        {
            const auto study = createStudy(m_path);
            QVERIFY((*study)->keep("a", bytes(2'000'000, 1)));
            QVERIFY((*study)->save(document(1)));
            QVERIFY((*study)->keep("b", bytes(10, 2)));
            QVERIFY(packStudy(**study, packed));
        }
        std::filesystem::remove_all(m_segments);
        std::filesystem::remove(m_path);
        for (int round = 0; round < 2; ++round) { // packed, then as files again
            std::vector<Warning> warnings;
            const auto study = opened(packed, warnings);
            QVERIFY(study);
            QVERIFY(warnings.empty());
            QVERIFY(study->find("a") == bytes(2'000'000, 1));
            QVERIFY(study->find("b") == bytes(10, 2));
            QCOMPARE(study->document().planJson, document(1).planJson);
            QVERIFY(study->save(document(1)));
        }
        QVERIFY(std::filesystem::file_size(packed) < 100'000);
    }
    void damagedSegmentsAreDropped()
    {
        {
            const auto study = createStudy(m_path);
            for (const char* key : {"a", "b", "c"}) {
                QVERIFY((*study)->keep(key, bytes(1'500'000, static_cast<std::uint64_t>(key[0]))));
                QVERIFY((*study)->save(document(1)));
            }
        }
        auto files = filesIn(m_segments);
        QCOMPARE(files.size(), std::size_t{3});
        std::filesystem::resize_file(files[0], 100'000);
        damage(files[1], std::filesystem::file_size(files[1]) / 2);
        std::vector<Warning> warnings;
        const auto study = opened(m_path, warnings);
        QVERIFY(study);
        QCOMPARE(warnings.size(), std::size_t{2});
        QVERIFY(warnings[0].where.ends_with(".h5"));
        int found = 0;
        for (const char* key : {"a", "b", "c"})
            if (const auto data = study->find(key)) {
                ++found;
                QVERIFY(*data == bytes(1'500'000, static_cast<std::uint64_t>(key[0])));
            }
        QCOMPARE(found, 1);
        QVERIFY(study->save(document(2)));
        QCOMPARE(filesIn(m_segments).size(), std::size_t{1});
    }
    void largePiecesAreCheckedWhenRead()
    {
        const auto large = bytes(17'000'000, 3);
        const std::vector<std::byte> head(large.begin(), large.begin() + 100);
        std::vector<Warning> warnings;
        {
            const auto study = opened(m_path, warnings);
            QVERIFY(study->keep("large", large));
            QVERIFY(study->save(document(1)));
            QVERIFY(study->find("large") == large);
        }
        {
            const auto study = opened(m_path, warnings);
            QVERIFY(study->findHead("large", 100) == head);
            QVERIFY(study->find("large") == large);
            QVERIFY(study->findHead("large", large.size() + 1) == large);
        }
        const auto files = filesIn(m_segments);
        QCOMPARE(files.size(), std::size_t{1});
        damage(files[0], std::filesystem::file_size(files[0]) - 100'000);
        const auto study = opened(m_path, warnings);
        QVERIFY(warnings.empty()); // opening reads what is large no further than its index
        QVERIFY(study->findHead("large", 100) == head);
        QVERIFY(!study->find("large"));
        QVERIFY(!packStudy(*study, m_folder->path().toStdString() + "/packed.qloupe"));
    }
    void damagedMainFilesAreErrors()
    {
        {
            const auto study = createStudy(m_path);
            QVERIFY((*study)->keep("a", bytes(1000, 1)));
            QVERIFY((*study)->save(document(1)));
        }
        std::ifstream in(m_path, std::ios::binary);
        const std::string whole((std::istreambuf_iterator<char>(in)), {});
        const CounterRng rng(1);
        int refusedCount = 0;
        for (std::uint64_t i = 0; i < 120; ++i) { // must not crash or hang; content that is no secret may differ
            std::string broken = whole;
            if (i % 4 == 0)
                broken.resize(rng.bits(i) % whole.size());
            else
                for (int k = 0; k < 3; ++k)
                    broken[rng.bits(1000 * i + static_cast<std::uint64_t>(k)) % whole.size()] =
                        static_cast<char>(rng.bits(i) >> 8U);
            std::ofstream(m_path, std::ios::binary | std::ios::trunc) << broken;
            std::vector<Warning> warnings;
            const auto study = openStudy(m_path, warnings);
            if (study)
                continue;
            ++refusedCount;
            QCOMPARE(study.error().where, m_path.string());
        }
        QVERIFY(refusedCount >= 30);
        std::ofstream(m_path, std::ios::trunc) << "no study";
        std::vector<Warning> warnings;
        QVERIFY(!openStudy(m_path, warnings));
        QVERIFY(!createStudy(m_path.parent_path() / "absent/a.qloupe"));
        QVERIFY(!createStudy(m_path.parent_path()));
    }
    void killedAtAnyMoment()
    {
        const CounterRng rng(5);
        int lastSaved = 0;
        int lastKept = 0;
        for (std::uint64_t round = 0; round < 20; ++round) {
            int pipe[2];
            QCOMPARE(::pipe(pipe), 0);
            const pid_t child = ::fork();
            if (child == 0) { // goes on where the last one was killed
                std::vector<Warning> warnings;
                const auto study = openStudy(m_path, warnings);
                if (!study || !warnings.empty())
                    ::_exit(1);
                for (int n = lastSaved + 1;; ++n) {
                    const bool good =
                        (*study)
                            ->keep("piece " + std::to_string(n), bytes(1'200'000, static_cast<std::uint64_t>(n)))
                            .has_value();
                    const int kept = -n;
                    if (!good || ::write(pipe[1], &kept, sizeof(kept)) < 0 || !(*study)->save(document(n)) ||
                        ::write(pipe[1], &n, sizeof(n)) < 0)
                        ::_exit(2);
                }
            }
            ::close(pipe[1]);
            std::this_thread::sleep_for(std::chrono::microseconds(5'000 + rng.bits(round) % 250'000));
            ::kill(child, SIGKILL);
            int status = 0;
            ::waitpid(child, &status, 0);
            QVERIFY(WIFSIGNALED(status)); // it did not end by itself
            int n = 0;
            while (::read(pipe[0], &n, sizeof(n)) == sizeof(n)) {
                lastKept = std::max(lastKept, -n);
                lastSaved = std::max(lastSaved, n);
            }
            ::close(pipe[0]);
            if (lastSaved == 0 && !std::filesystem::exists(m_path))
                continue; // killed before the first save
            std::vector<Warning> warnings;
            const auto study = opened(m_path, warnings);
            QVERIFY(study);
            QVERIFY2(warnings.empty(), warnings.empty() ? "" : warnings[0].what.c_str());
            QVERIFY(study->lockedBy().empty()); // the lock of a killed process is stale
            // The last save that was reported, or one that was finished but not reported any more.
            const int found = static_cast<int>(parseInt(study->document().settings.at("budget")).value());
            QVERIFY(found == lastSaved || found == lastSaved + 1);
            lastSaved = found;
            for (int k = 1; k <= std::max(lastSaved, lastKept); ++k)
                QVERIFY(study->find("piece " + std::to_string(k)) == bytes(1'200'000, static_cast<std::uint64_t>(k)));
        }
        QVERIFY(lastSaved >= 3);
    }
    void oneOwner()
    {
        {
            const auto study = createStudy(m_path);
            QVERIFY((*study)->save(document(1)));
            const auto twice = createStudy(m_path); // the same process
            QVERIFY(twice);
            QVERIFY((*twice)->lockedBy().empty());
        }
        int pipe[2];
        QCOMPARE(::pipe(pipe), 0);
        const pid_t child = ::fork();
        if (child == 0) {
            std::vector<Warning> warnings;
            const auto study = openStudy(m_path, warnings);
            const char ready = study ? 'y' : 'n';
            static_cast<void>(!::write(pipe[1], &ready, 1));
            ::pause();
            ::_exit(0);
        }
        char ready = 0;
        QCOMPARE(::read(pipe[0], &ready, 1), ssize_t{1});
        QCOMPARE(ready, 'y');
        {
            std::vector<Warning> warnings;
            const auto study = opened(m_path, warnings);
            QVERIFY(study->lockedBy().find("process " + std::to_string(child)) == 0);
            QCOMPARE(study->document().planJson, document(1).planJson);
            const auto kept = study->keep("a", {});
            QVERIFY(!kept);
            QCOMPARE(kept.error().code, Errc::refused);
            QVERIFY(!study->save(document(2)));
            QVERIFY(!createStudy(m_path));
        }
        ::kill(child, SIGKILL);
        ::waitpid(child, nullptr, 0);
        ::close(pipe[0]);
        ::close(pipe[1]);
        std::vector<Warning> warnings;
        const auto study = opened(m_path, warnings);
        QVERIFY(study->lockedBy().empty());
        QVERIFY(study->save(document(2)));
    }
    void fullDiskLeavesTheOldFile()
    {
        {
            const auto study = createStudy(m_path);
            QVERIFY((*study)->keep("a", bytes(1000, 1)));
            QVERIFY((*study)->save(document(1)));
        }
        const pid_t child = ::fork();
        if (child == 0) {
            ::signal(SIGXFSZ, SIG_IGN);
            const rlimit limit{30'000, 30'000};
            ::setrlimit(RLIMIT_FSIZE, &limit);
            std::vector<Warning> warnings;
            const auto study = openStudy(m_path, warnings);
            if (!study)
                ::_exit(1);
            const auto kept = (*study)->keep("b", bytes(2'000'000, 2));
            if (kept || kept.error().code != Errc::io)
                ::_exit(2);
            StudyDocument large = document(2);
            large.planJson = std::string(100'000, 'x');
            const auto saved = (*study)->save(large);
            if (saved || saved.error().code != Errc::io)
                ::_exit(3);
            if (packStudy(**study, m_path.string() + ".packed"))
                ::_exit(4);
            ::_exit(0);
        }
        int status = 0;
        ::waitpid(child, &status, 0);
        QVERIFY(WIFEXITED(status));
        QCOMPARE(WEXITSTATUS(status), 0);
        QVERIFY(!std::filesystem::exists(m_path.string() + ".packed"));
        std::vector<Warning> warnings;
        const auto study = opened(m_path, warnings);
        QVERIFY(warnings.empty());
        QCOMPARE(study->document().planJson, document(1).planJson);
        QVERIFY(study->find("a") == bytes(1000, 1));
    }
    void unwritableFoldersAreRead()
    {
        {
            const auto study = createStudy(m_path);
            QVERIFY((*study)->save(document(1)));
        }
        using std::filesystem::perms;
        const auto folder = m_path.parent_path();
        std::filesystem::permissions(folder, perms::owner_read | perms::owner_exec | perms::group_read |
                                                 perms::group_exec | perms::others_read | perms::others_exec);
        const pid_t child = ::fork();
        if (child == 0) {
            if (::geteuid() == 0 && ::setuid(65534) != 0) // root may write everywhere
                ::_exit(1);
            std::vector<Warning> warnings;
            const auto study = openStudy(m_path, warnings);
            if (!study) {
                qWarning("%s", describe(study.error()).c_str());
                ::_exit(2);
            }
            if ((*study)->document().planJson != document(1).planJson)
                ::_exit(4);
            const auto saved = (*study)->save(document(2));
            ::_exit(!saved && saved.error().code == Errc::io ? 0 : 3);
        }
        int status = 0;
        ::waitpid(child, &status, 0);
        std::filesystem::permissions(folder, perms::owner_all);
        QVERIFY(WIFEXITED(status));
        QCOMPARE(WEXITSTATUS(status), 0);
    }
    void tables()
    {
        const TextTable rows{{"a\tb", "%09", ""}, {std::string("\0\n\xff", 3), "%", "\n\t%0a"}};
        QVERIFY(*parseTable(printTable(rows), 3) == rows);
        QVERIFY(parseTable("", 3)->empty());
        QVERIFY(!parseTable("a\tb\n", 3));
        QVERIFY(!parseTable("a\tb\tc", 3));
    }
};

QTEST_APPLESS_MAIN(StudyTest)
#include "study_test.moc"
