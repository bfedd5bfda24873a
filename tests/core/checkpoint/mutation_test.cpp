// SPDX-License-Identifier: GPL-3.0-or-later
// Random damage to small good files of every reader: whatever comes, opening and loading end in a value or an error,
// and what is listed is consistent. The seed is fixed, so a failure repeats. Seeds: the files and folders of
// tests/data/checkpoints; a reader without one fails the test.
#include "core/base/file.h"
#include "core/checkpoint/reader.h"
#include "tests/support/mutations.h"
#include "tests/support/temporary_folder.h"

#include <QTest>

#include <algorithm>
#include <chrono>
#include <map>
#include <set>

using namespace ql;

namespace {

/// Of each reader; QL_MUTANTS asks for a longer hunt. HDF5 starts a program for each, which also ends by a limit of 2 s
/// of processor time where libhdf5 would never end.
int mutantCount(const QByteArray& reader)
{
    const int asked = qEnvironmentVariableIntValue("QL_MUTANTS");
    return asked > 0 ? asked : reader == "hdf5" ? 400 : 1500;
}
double maxSeconds(const QByteArray& reader)
{
    return reader == "hdf5" ? 15 : 2;
}
constexpr std::int64_t kMaxSeedBytes = 128'000;

std::string contentOf(const std::filesystem::path& path)
{
    const auto file = MappedFile::open(path);
    if (!file)
        return {};
    return {reinterpret_cast<const char*>((*file)->bytes().data()), (*file)->bytes().size()};
}

/// A seed file, or the file of a folder that is to be damaged.
struct Seed {
    std::filesystem::path root; // what is opened
    std::filesystem::path file; // what is damaged
};

} // namespace

class MutationTest : public QObject {
    Q_OBJECT
    Executor m_executor{1};
    JobContext m_context{m_executor};
    std::map<std::string, std::vector<Seed>> m_seeds;
    std::vector<std::filesystem::path> m_companions; // folders that seeds refer to (external data)

    /// Loads all and checks what every reader promises; the text says what is broken.
    std::string broken(const Checkpoint& checkpoint)
    {
        std::set<std::string_view> names;
        std::int64_t total = 0;
        for (std::int64_t i = 0; i < std::ssize(checkpoint.tensors()); ++i) {
            const TensorInfo& tensor = checkpoint.tensors()[static_cast<std::size_t>(i)];
            if (!names.insert(tensor.name).second || checkpoint.indexOf(tensor.name) != i)
                return "name '" + tensor.name + "'";
            if (!checkedNumel(tensor.shape) || tensor.sizeBytes < 0)
                return "shape of " + tensor.name;
            const auto data = checkpoint.load(i, m_context);
            if (!data)
                continue;
            if (data->view.shape != tensor.shape || data->view.dtype != tensor.dtype)
                return "view of " + tensor.name;
            const auto bytes = storedBytes(tensor.dtype, tensor.numel());
            if (!bytes)
                return "size of " + tensor.name;
            unsigned sum = 0; // touches every byte
            for (std::int64_t k = 0; k < *bytes; ++k)
                sum += static_cast<unsigned>(data->view.data[k]);
            total += sum;
            if (isDecodable(tensor.dtype) && *bytes > 0) {
                const int block = info(tensor.dtype).blockElements;
                std::vector<double> values(static_cast<std::size_t>(block));
                decode(tensor.dtype, data->view.data, tensor.numel() - block, block, values.data());
            }
        }
        return total < 0 ? "unreachable" : "";
    }

private Q_SLOTS:
    void initTestCase()
    {
        for (const auto& entry : std::filesystem::directory_iterator(QL_TEST_DATA "/checkpoints")) {
            const auto opened = openCheckpoint(entry.path(), m_context);
            if (!opened) {
                if (entry.is_directory())
                    m_companions.push_back(entry.path());
                continue;
            }
            // Readers share classes ("numpy"), so seeds belong to whoever recognises them.
            const std::string content = entry.is_directory() ? std::string() : contentOf(entry.path());
            const auto head = std::as_bytes(std::span(content.data(), std::min<std::size_t>(content.size(), 4096)));
            const auto reader =
                std::ranges::find_if(allReaders(), [&](const Reader* r) { return r->sniff(entry.path(), head); });
            std::vector<Seed>& seeds = m_seeds[std::string((*reader)->id)];
            if (!entry.is_directory()) {
                if (std::ssize(content) <= kMaxSeedBytes)
                    seeds.push_back({entry.path(), entry.path()});
                continue;
            }
            for (const auto& part : std::filesystem::directory_iterator(entry.path()))
                seeds.push_back({entry.path(), part.path()});
        }
        for (auto& [reader, seeds] : m_seeds)
            std::ranges::sort(seeds, {}, &Seed::file);
    }

    void readers_data()
    {
        QTest::addColumn<QByteArray>("reader");
        for (const Reader* reader : allReaders())
            QTest::newRow(std::string(reader->id).c_str()) << QByteArray(reader->id.data());
    }
    void readers()
    {
        QFETCH(QByteArray, reader);
        const std::vector<Seed>& seeds = m_seeds[reader.toStdString()];
        QVERIFY2(!seeds.empty(), "add a small good file to tests/data/checkpoints");
        const test::TemporaryFolder folder(test::TemporaryFolder::inMemory());
        for (const auto& companion : m_companions)
            std::filesystem::copy(companion, folder.path() / companion.filename(),
                                  std::filesystem::copy_options::recursive);
        const int mutants = mutantCount(reader);
        int opened = 0;
        for (int i = 0; i < mutants; ++i) {
            const Seed& seed = seeds[static_cast<std::size_t>(i) % seeds.size()];
            test::Random random(static_cast<std::uint64_t>(i));
            std::string content = contentOf(seed.file);
            if (i >= std::ssize(seeds)) // the first round is undamaged
                test::mutate(content, random);
            const std::string name = seed.root.filename().string();
            std::filesystem::path path;
            if (seed.root == seed.file) {
                path = folder.write(name, content);
            } else {
                path = folder.path() / name;
                if (!std::filesystem::exists(path))
                    std::filesystem::copy(seed.root, path, std::filesystem::copy_options::recursive);
                folder.write(name + "/" + seed.file.filename().string(), content);
            }
            const auto start = std::chrono::steady_clock::now();
            const auto checkpoint = openCheckpoint(path, m_context);
            const std::string problem = checkpoint ? broken(**checkpoint) : "";
            if (seed.root != seed.file) // the next mutant damages another file
                folder.write(name + "/" + seed.file.filename().string(), contentOf(seed.file));
            const auto seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
            const QByteArray which = "mutant " + QByteArray::number(i) + " of " + seed.file.c_str();
            QVERIFY2(problem.empty(), (which + ": " + problem.c_str()).constData());
            QVERIFY2(seconds < maxSeconds(reader), which.constData());
            if (!checkpoint)
                QVERIFY2(!checkpoint.error().what.empty() && !checkpoint.error().where.empty(), which.constData());
            QVERIFY2(i >= std::ssize(seeds) || checkpoint, which.constData());
            opened += checkpoint ? 1 : 0;
        }
        // Damage must reach both ends: some files still open, some are refused.
        QVERIFY(opened > 10 && opened < mutants - 10);
    }
};

QTEST_APPLESS_MAIN(MutationTest)
#include "mutation_test.moc"
