// SPDX-License-Identifier: GPL-3.0-or-later
// A checkpoint larger than memory is read tensor by tensor: what nobody holds any more takes no memory.
#include "core/checkpoint/reader.h"
#include "tests/support/temporary_folder.h"

#include <nlohmann/json.hpp>

#include <QTest>

#include <fstream>

using namespace ql;

namespace {

constexpr std::int64_t kRows = 4096;
constexpr std::int64_t kBytes = kRows * kRows; // 16 MiB, of int8
constexpr int kTensors = 4;

std::string safetensorsFile()
{
    nlohmann::json tensors;
    for (int i = 0; i < kTensors; ++i)
        tensors["t" + std::to_string(i)] = {
            {"dtype", "I8"}, {"shape", {kRows, kRows}}, {"data_offsets", {i * kBytes, (i + 1) * kBytes}}};
    const std::string header = tensors.dump();
    const std::uint64_t size = header.size();
    return std::string(reinterpret_cast<const char*>(&size), sizeof size) + header +
           std::string(static_cast<std::size_t>(kTensors * kBytes), 7);
}

/// Bytes of mapped files that are in this process's memory.
std::int64_t mappedBytes()
{
    std::ifstream status("/proc/self/status");
    std::string word;
    std::int64_t sum = 0; // files on disk and in memory
    std::int64_t kilobytes = 0;
    while (status >> word)
        if ((word == "RssFile:" || word == "RssShmem:") && status >> kilobytes)
            sum += 1024 * kilobytes;
    return sum;
}

std::int64_t sumOf(const TensorData& data)
{
    std::int64_t sum = 0;
    for (std::int64_t i = 0; i < kBytes; ++i)
        sum += static_cast<std::int64_t>(data.view.data[i]);
    return sum;
}

} // namespace

class MappedMemoryTest : public QObject {
    Q_OBJECT
    test::TemporaryFolder m_folder;
    Executor m_executor{1};
    const JobContext m_context{m_executor};

private Q_SLOTS:
    void goesWithTheLastOwner()
    {
        const auto checkpoint =
            openCheckpoint(m_folder.write("model.safetensors", safetensorsFile()), m_context).value();
        for (int i = 0; i < kTensors; ++i) // whatever opening has looked at goes, too
            QCOMPARE(sumOf(checkpoint->load(i, m_context).value()), 7 * kBytes);
        const std::int64_t before = mappedBytes();
        QVERIFY(before > 0);
        TensorData held = checkpoint->load(0, m_context).value();
        QCOMPARE(sumOf(held), 7 * kBytes);
        const std::int64_t one = mappedBytes() - before;
        QVERIFY2(one > kBytes * 9 / 10, std::to_string(one).c_str());
        for (int i = 1; i < kTensors; ++i)
            QCOMPARE(sumOf(checkpoint->load(i, m_context).value()), 7 * kBytes);
        const std::int64_t stillOne = mappedBytes() - before;
        QVERIFY2(stillOne < kBytes * 11 / 10, std::to_string(stillOne).c_str());
        QVERIFY2(stillOne > kBytes * 9 / 10, std::to_string(stillOne).c_str()); // what is held stays
        const TensorData copy = held; // the last owner
        held = {};
        QVERIFY(mappedBytes() - before > kBytes * 9 / 10);
        QCOMPARE(sumOf(copy), 7 * kBytes);
    }
};

QTEST_APPLESS_MAIN(MappedMemoryTest)
#include "mapped_memory_test.moc"
