// SPDX-License-Identifier: GPL-3.0-or-later
// The whole program, from start to exit, on a model of 135 million bf16 weights (269 MB) in the page cache. Aim:
// `qloupe stats` takes at most 1.5 times as long as reading a mapping of the file once with the same threads. Ratios
// are medians of pairs; that of processor time is steadier where others use the machine.
#include "core/base/file.h"
#include "tests/bench/bench_support.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

using namespace ql;

namespace {

/// A safetensors file with the tensors of a Llama of 30 blocks and width 576; removed at the end.
class ModelFile {
public:
    ModelFile()
    {
        std::string header = "{";
        std::int64_t at = 0;
        const auto add = [&](const std::string& name, std::int64_t rows, std::int64_t cols) {
            const std::int64_t end = at + 2 * rows * cols;
            header += (at == 0 ? "\"" : ",\"") + name + R"(":{"dtype":"BF16","shape":[)" + std::to_string(rows) + "," +
                      std::to_string(cols) + R"(],"data_offsets":[)" + std::to_string(at) + "," + std::to_string(end) +
                      "]}";
            at = end;
        };
        add("embedding", 49152, 576);
        for (int block = 0; block < 30; ++block) {
            const std::string name = "blocks." + std::to_string(block) + ".";
            add(name + "norm", 1, 576);
            for (const char* matrix : {"q", "o"})
                add(name + matrix, 576, 576);
            for (const char* matrix : {"k", "v"})
                add(name + matrix, 192, 576);
            for (const char* matrix : {"gate", "up", "down"})
                add(name + matrix, 1536, 576);
        }
        header += "}";
        header.resize((header.size() + 7) / 8 * 8, ' ');
        const std::uint64_t size = header.size();
        const auto data = bench::weights(Dtype::bf16, at / 2);
        std::ofstream file(m_path, std::ios::binary);
        file.write(reinterpret_cast<const char*>(&size), sizeof size);
        file << header;
        file.write(reinterpret_cast<const char*>(data.data()), static_cast<std::streamsize>(data.size()));
    }
    ModelFile(const ModelFile&) = delete;
    ModelFile& operator=(const ModelFile&) = delete;
    ~ModelFile()
    {
        std::error_code ignored;
        std::filesystem::remove(m_path, ignored);
    }
    const std::string& path() const { return m_path; }

private:
    std::string m_path =
        (std::filesystem::temp_directory_path() / ("ql_bench_" + std::to_string(::getpid()) + ".safetensors")).string();
};

/// Maps the file, reads it and unmaps it.
void readOnce(const std::string& path, const JobContext& context)
{
    const auto file = MappedFile::open(path).value();
    benchmark::DoNotOptimize(bench::sumWords(file->bytes().first(file->bytes().size() / 64 * 64), context));
}

/// Exit code of qloupe with its output thrown away.
int qloupe(const char* command, const std::string& path)
{
    const std::string threads = std::to_string(bench::kThreads);
    const char* const arguments[] = {QL_QLOUPE, command,     path.c_str(),    "--json",
                                     "--quiet", "--threads", threads.c_str(), nullptr};
    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    pid_t child = 0;
    int status = -1;
    if (::posix_spawn(&child, QL_QLOUPE, &actions, nullptr, const_cast<char* const*>(arguments), environ) == 0)
        ::waitpid(child, &status, 0);
    ::posix_spawn_file_actions_destroy(&actions);
    return status;
}

/// Seconds on the clock and on processors, of this process or of its children that ended.
struct Times {
    double wall = 0, processor = 0;
};
template<typename Work>
Times times(int whose, const Work& work)
{
    const auto processor = [whose] {
        rusage usage{};
        ::getrusage(whose, &usage);
        return static_cast<double>(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
               1e-6 * static_cast<double>(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
    };
    const double before = processor();
    const double wall = bench::seconds(work);
    return {wall, processor() - before};
}

double median(std::vector<double> values)
{
    std::ranges::sort(values);
    return values[values.size() / 2];
}

void stats(benchmark::State& state)
{
    const ModelFile file;
    const JobContext context(bench::executor());
    std::vector<double> wall;
    std::vector<double> processor;
    readOnce(file.path(), context);
    for (auto _ : state) {
        const Times reading = times(RUSAGE_SELF, [&] { readOnce(file.path(), context); });
        int status = 0;
        const Times time = times(RUSAGE_CHILDREN, [&] { status = qloupe("stats", file.path()); });
        if (status != 0)
            state.SkipWithError("qloupe failed");
        wall.push_back(time.wall / reading.wall);
        processor.push_back(time.processor / reading.processor);
        state.SetIterationTime(time.wall);
    }
    state.counters["ratio_to_reading"] = median(wall);
    state.counters["processor_ratio"] = median(processor);
}

BENCHMARK(stats)->UseManualTime()->Unit(benchmark::kMillisecond)->Iterations(21);

} // namespace

BENCHMARK_MAIN();
