// SPDX-License-Identifier: GPL-3.0-or-later
// At most 50 ms of work lie between two stop tests of any long job. A pool that runs everything on the calling thread
// sees the stop test before every piece of work; a first run finds the widest gaps between them, then the job is run
// again and stopped just after the test that begins each of these, and at moments spread over the run: what it still
// does is measured as CPU time of its thread, so that a busy machine does not matter. It takes longer than other tests:
// only large inputs show work that grows with them, and each job is run six times.
#include "core/allocation/balance.h"
#include "core/allocation/pareto.h"
#include "core/analysis/error_curves.h"
#include "core/analysis/histogram.h"
#include "core/analysis/outliers.h"
#include "core/analysis/statistics.h"
#include "core/base/file.h"
#include "core/base/resources.h"
#include "core/base/rng.h"
#include "core/export/export.h"
#include "core/formats/element_coder.h"
#include "core/jobs/pool.h"
#include "core/model/evaluation/images.h"
#include "core/model/graph/operator.h"
#include "core/model/tokenizer/tokenizer.h"
#include "core/quantizers/quantizer.h"
#include "core/report/report.h"
#include "core/sensitivity/metric.h"
#include "tests/support/export_support.h"

#include <QImage>
#include <QImageWriter>
#include <QTest>

#include <ctime>
#include <fstream>
#include <set>
#include <thread>

using namespace ql;

namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr double kLimitMs = 50 * 40; // instrumented, and compiled at -O1
#else
constexpr double kLimitMs = 50;
#endif
constexpr double kProfiledMs = 300;      // of a job that takes longer, the first part is profiled
constexpr double kProfiledLongMs = 1000; // of one with several parts
constexpr std::size_t kWorstGaps = 2;
constexpr int kSpreadStops = 3;

double cpuMs(clockid_t clock)
{
    timespec now{};
    ::clock_gettime(clock, &now);
    return static_cast<double>(now.tv_sec) * 1e3 + static_cast<double>(now.tv_nsec) / 1e6;
}

double threadMs()
{
    return cpuMs(CLOCK_THREAD_CPUTIME_ID);
}

using Job = std::function<Result<void>(const JobContext&)>;

/// Counts the stop tests of one run, notes the CPU time at each, and can ask for the stop right after one of them.
struct Observed {
    std::stop_source source;
    std::int64_t stopAfter = -1;  // this test
    std::vector<double> testedAt; // CPU time of the thread
    double stoppedMs = -1;

    void tested()
    {
        const double now = threadMs();
        if (stopAfter == std::ssize(testedAt)) {
            stoppedMs = now;
            source.request_stop();
        }
        testedAt.push_back(now);
    }
};

struct ObservingPool : Executor::Pool {
    explicit ObservingPool(Observed& watched) : observed(watched) {}
    void forEach(std::int64_t n, const std::stop_token& stop, const std::function<void(std::int64_t)>& body) override
    {
        for (std::int64_t i = 0; i < n && !stop.stop_requested(); ++i) {
            observed.tested();
            body(i);
        }
    }
    Observed& observed;
};

struct Run {
    Observed observed;
    Result<void> result;
    double startedMs = 0, returnedMs = 0;

    double afterStopMs() const { return std::max(0.0, returnedMs - observed.stoppedMs); }
};

/// One run on this thread.
void run(const Job& job, Run& run)
{
    Executor executor(1, std::make_unique<ObservingPool>(run.observed));
    run.startedMs = threadMs();
    run.result = job(JobContext(executor, run.observed.source.get_token()));
    run.returnedMs = threadMs();
}

/// Stopped from outside after so much CPU time of the thread, wherever it is then.
void runStoppedAt(const Job& job, double afterMs, Run& watched)
{
    clockid_t clock{};
    ::pthread_getcpuclockid(::pthread_self(), &clock);
    const double started = threadMs();
    const std::jthread watcher([&](const std::stop_token& finished) {
        while (!finished.stop_requested() && cpuMs(clock) - started < afterMs)
            std::this_thread::sleep_for(std::chrono::microseconds(200));
        watched.observed.source.request_stop();
        // Read after the request: were this thread held up between the two, the job would be blamed for it.
        watched.observed.stoppedMs = cpuMs(clock);
    });
    run(job, watched);
}

/// The least of a few measurements once the first is over the limit: work between two stop tests is there every time,
/// the kernel writing back or reclaiming pages on this thread's account is not.
double confirmed(const std::function<double()>& measureMs)
{
    double least = measureMs();
    for (int again = 0; again < 3 && least > kLimitMs; ++again)
        least = std::min(least, measureMs());
    return least;
}

std::vector<float> normals(std::int64_t n)
{
    std::vector<float> values(static_cast<std::size_t>(n));
    std::uint64_t state = 1;
    for (float& value : values) { // a sum of uniform bytes is normal enough, and quick
        state = state * 6364136223846793005U + 1442695040888963407U;
        int sum = -4 * 255;
        for (int k = 0; k < 8; ++k)
            sum += static_cast<int>(state >> (8 * static_cast<unsigned>(k)) & 0xFFU);
        value = static_cast<float>(sum) * 1e-4F;
    }
    return values;
}

constexpr std::int64_t kRows = 4096;
constexpr std::int64_t kCols = 11008;

/// A Llama folder with one large matrix in bfloat16.
void writeLargeModel(const std::filesystem::path& folder)
{
    std::filesystem::create_directories(folder);
    std::ofstream(folder / "config.json")
        << R"({"architectures":["LlamaForCausalLM"],"model_type":"llama","hidden_size":4096,"torch_dtype":"bfloat16",)"
        << R"("intermediate_size":11008,"num_hidden_layers":1,"num_attention_heads":32,"vocab_size":32})";
    std::string header = R"({"model.layers.0.mlp.down_proj.weight":{"dtype":"BF16","shape":[)" + std::to_string(kRows) +
                         "," + std::to_string(kCols) + R"(],"data_offsets":[0,)" + std::to_string(kRows * kCols * 2) +
                         "]}}";
    header.append((8 - header.size() % 8) % 8, ' ');
    const std::vector<float> values = normals(kRows * kCols);
    std::vector<std::uint16_t> half(values.size());
    narrowRun(Dtype::bf16, values.data(), std::ssize(values), half.data());
    std::ofstream out(folder / "model.safetensors", std::ios::binary);
    const std::uint64_t length = header.size();
    out.write(reinterpret_cast<const char*>(&length), 8);
    out << header;
    out.write(reinterpret_cast<const char*>(half.data()), static_cast<std::streamsize>(half.size() * 2));
}

Result<void> quantizeLayer(const Model& model, std::int64_t layer, const char* scheme, const char* spec,
                           const JobContext& context)
{
    QL_TRY(weights, model.loadWeights(layer, context));
    QL_TRY(parsed, parseScheme(scheme));
    QL_TRY(quantizer, parseQuantizerSpec(spec));
    QL_TRY(quantized, quantize({weights.view, parsed, quantizer, nullptr}, context));
    QL_TRY(error, measureError(weights.view, quantized, context));
    QL_TRY(restored, restore(quantized, context));
    return error.count > 0 && restored.sizeBytes() > 0 ? Result<void>() : Result<void>(badInput("nothing done"));
}

template<typename T>
Result<void> done(const Result<T>& result)
{
    return result ? Result<void>() : Result<void>(result.error());
}

} // namespace

class StopLatencyTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void initTestCase()
    {
        Executor executor(2);
        const JobContext context(executor);
        const auto sample = findSampleBesideSources();
        m_sample = openModel(sample, context).value();
        m_activations = openActivations(sample / "activations.npz", *m_sample, context).value();
        writeLargeModel(m_folder / "large");
        m_large = openModel(m_folder / "large", context).value();
        m_largeLayer = m_large->indexOf("model.layers.0.mlp.down_proj.weight");
        m_sampleLayer = m_sample->quantizableLayers().back();
        m_row = normals(std::int64_t{1} << 25);
    }

    void everyJob_data()
    {
        QTest::addColumn<QString>("kind");
        std::vector<std::string> tags{
            "activations sample", "balance",         "solver",      "front",        "several limits", "row statistics",
            "row histogram",      "row outliers",    "row pyramid", "row curves",   "row quantize",   "text sample",
            "text bert",          "text gguf_llama", "picture png", "picture jpeg", "resize"};
        for (const std::string model : {"sample ", "large "}) {
            for (const char* kind : {"statistics", "histogram", "outliers", "pyramid", "curves", "measure",
                                     "quantize rtn", "quantize mse", "quantize mse tensor", "quantize nv",
                                     "quantize cast", "quantize sparse", "quantize low rank", "report"})
                tags.push_back(model + kind);
            for (const Target* target : allTargets())
                tags.push_back(model + "export " + std::string(target->profile.id));
        }
        for (const std::string& tag : tags)
            QTest::newRow(tag.c_str()) << QString::fromStdString(tag);
    }

    void cleanup() { std::filesystem::remove_all(m_folder / "exports"); }
    void init() { std::filesystem::create_directories(m_folder / "exports"); }

    void everyJob()
    {
        QFETCH(QString, kind);
        const Job job = jobOf(kind);
        if (!job)
            QSKIP("the target does not take this model");
        // Where are the gaps?
        Run profile;
        const bool hasParts = kind.contains(QLatin1String("export")) || kind.contains(QLatin1String("report"));
        runStoppedAt(job, hasParts ? kProfiledLongMs : kProfiledMs, profile);
        QVERIFY2(profile.result || profile.result.error().code == Errc::cancelled,
                 profile.result ? "" : describe(profile.result.error()).c_str());
        std::vector<double> times = profile.observed.testedAt;
        times.push_back(profile.returnedMs);
        std::vector<std::pair<double, std::int64_t>> gaps;
        for (std::size_t i = 0; i + 1 < times.size(); ++i)
            gaps.emplace_back(times[i + 1] - times[i], static_cast<std::int64_t>(i));
        std::sort(gaps.rbegin(), gaps.rend());
        gaps.resize(std::min(gaps.size(), kWorstGaps));

        double worst = 0;
        QString where;
        const auto note = [&](double ms, const QString& place) {
            if (ms > worst) {
                worst = ms;
                where = place;
            }
        };
        for (const auto& [gap, index] : gaps)
            note(confirmed([&, index = index] {
                     Run stopped;
                     stopped.observed.stopAfter = index;
                     run(job, stopped);
                     return stopped.observed.stoppedMs > 0 ? stopped.afterStopMs() : HUGE_VAL;
                 }),
                 QStringLiteral("after stop test %1 of %2").arg(index).arg(times.size() - 1));
        const double whole = profile.returnedMs - profile.startedMs;
        const CounterRng rng(7);
        for (int i = 0; i < kSpreadStops; ++i) {
            const double moment = whole * (i + rng.uniform(static_cast<std::uint64_t>(i))) / kSpreadStops;
            note(confirmed([&] {
                     Run stopped;
                     runStoppedAt(job, moment, stopped);
                     return stopped.afterStopMs();
                 }),
                 QStringLiteral("at %1 of %2 ms").arg(moment).arg(whole));
        }
        qInfo("%7.1f ms of work; stopped at the worst moment it took %5.1f ms more (%s)", whole, worst,
              qPrintable(where));
        QVERIFY2(worst <= kLimitMs, qPrintable(QStringLiteral("%1 ms %2").arg(worst).arg(where)));
    }

private:
    static std::filesystem::path findSampleBesideSources()
    {
        return std::filesystem::path(QL_SOURCE_DIR) / "resources" / "sample";
    }

    Job jobOf(const QString& tag)
    {
        if (tag.startsWith(QLatin1String("row "))) {
            const QString kind = tag.mid(4);
            const TensorView row{Dtype::f32, {1, std::ssize(m_row)}, reinterpret_cast<const std::byte*>(m_row.data())};
            return viewJob(kind, row);
        }
        if (tag.startsWith(QLatin1String("activations")))
            return [this](const JobContext& context) -> Result<void> {
                QL_TRY(fresh, openActivations(m_activations->path(), *m_sample, context));
                for (const std::int64_t layer : fresh->layers())
                    QL_CHECK(done(fresh->statistics(layer, context)));
                return {};
            };
        if (tag.startsWith(QLatin1String("text ")))
            return textJob(tag.mid(5).toStdString());
        if (tag.startsWith(QLatin1String("picture ")))
            return pictureJob(tag.endsWith(QLatin1String("png")));
        if (tag == QLatin1String("resize"))
            return resizeJob();
        if (tag == QLatin1String("balance"))
            return balanceJob();
        if (tag == QLatin1String("solver") || tag == QLatin1String("front") || tag == QLatin1String("several limits"))
            return solverJob(tag);
        const bool large = tag.startsWith(QLatin1String("large "));
        const QString kind = tag.section(QLatin1Char(' '), 1);
        const Model& model = large ? *m_large : *m_sample;
        const std::int64_t layer = large ? m_largeLayer : m_sampleLayer;
        if (kind.startsWith(QLatin1String("export ")))
            return exportJob(model, kind.mid(7).toStdString(), large);
        if (kind == QLatin1String("measure"))
            return measureJob(model, large ? nullptr : m_activations.get());
        if (kind == QLatin1String("report"))
            return reportJob(model, layer, large ? nullptr : m_activations.get());
        const auto loaded = [&model, layer](auto analysis) -> Job {
            return [&model, layer, analysis](const JobContext& context) -> Result<void> {
                QL_TRY(weights, model.loadWeights(layer, context));
                return analysis(weights.view)(context);
            };
        };
        if (!kind.startsWith(QLatin1String("quantize")))
            return loaded([this, kind](const TensorView& view) { return viewJob(kind, view); });
        const bool mse = kind.contains(QLatin1String("mse"));
        const char* scheme = kind.endsWith(QLatin1String("tensor"))     ? "int4:tensor"
                             : kind.endsWith(QLatin1String("nv"))       ? "nvfp4"
                             : kind.endsWith(QLatin1String("cast"))     ? "bf16"
                             : kind.endsWith(QLatin1String("sparse"))   ? "int3:g64+cols8+sparse1"
                             : kind.endsWith(QLatin1String("low rank")) ? "int3:g64+lr64"
                             : mse                                      ? "int4:channel"
                                                                        : "int4:g64";
        return [&model, layer, scheme, mse](const JobContext& context) {
            return quantizeLayer(model, layer, scheme, mse ? "mse" : "rtn", context);
        };
    }

    static Job viewJob(const QString& kind, const TensorView& view)
    {
        if (kind == QLatin1String("statistics"))
            return [view](const JobContext& context) { return done(computeStatistics(view, context)); };
        if (kind == QLatin1String("histogram"))
            return [view](const JobContext& context) { return done(computeHistogram(view, context)); };
        if (kind == QLatin1String("outliers"))
            return [view](const JobContext& context) { return done(findOutliers(view, context)); };
        if (kind == QLatin1String("pyramid"))
            return [view](const JobContext& context) { return done(computePyramid(view, context)); };
        if (kind == QLatin1String("curves"))
            return [view](const JobContext& context) { return done(computeErrorCurves(view, 64, context)); };
        return [view](const JobContext& context) -> Result<void> {
            QL_TRY(scheme, parseScheme("int4:channel"));
            QL_TRY(spec, parseQuantizerSpec("mse"));
            return done(quantize({view, scheme, spec, nullptr}, context));
        };
    }

    /// 24 MB at once: a validation's text.
    Job textJob(const std::string& name)
    {
        const auto made = std::filesystem::path(QL_TEST_DATA) / "tokenizers" / name;
        const auto path = name == "sample"           ? findSampleBesideSources()
                          : name.starts_with("gguf") ? made / "tokenizer.gguf"
                                                     : made;
        Executor executor(1);
        const auto tokenizer = openTokenizer(path, JobContext(executor));
        if (!tokenizer)
            qFatal("%s", describe(tokenizer.error()).c_str());
        const std::string part = readTextFile(findSampleBesideSources() / "test.txt", 1 << 20).value();
        std::string text;
        while (text.size() < 24'000'000)
            text += part + "Straße, naïve, 東京\n";
        return [tokenizer = *tokenizer, text](const JobContext& context) {
            return done(tokenizer->encode(text, {}, context));
        };
    }

    /// 30 million pixels, the JPEG progressive: all of it is decoded before its first line.
    Job pictureJob(bool isPng)
    {
        const auto path = m_folder.path() / (isPng ? "large.png" : "large.jpg");
        QImage image(6000, 5000, QImage::Format_RGB32);
        for (int y = 0; y < image.height(); ++y) {
            auto* const line = reinterpret_cast<QRgb*>(image.scanLine(y));
            for (int x = 0; x < image.width(); ++x)
                line[x] = 0xff000000U | static_cast<unsigned>(x * 7 ^ y * 13);
        }
        QImageWriter writer(QString::fromStdString(path.string()));
        writer.setProgressiveScanWrite(true);
        writer.setCompression(isPng ? 10 : 0);
        if (!writer.write(image))
            qFatal("%s", qPrintable(writer.errorString()));
        return [path](const JobContext& context) {
            std::vector<float> out(3 * 224 * 224);
            return readImage(path, {}, out.data(), context);
        };
    }

    /// A size that a file may ask for: 20 million places along one axis, looked up before the first is filled.
    static Job resizeJob()
    {
        return [](const JobContext& context) {
            graph::Node node{graph::findOperator("resize"), "node", {}, {}, {}};
            node.attributes["sizes"] = std::vector<std::int64_t>{20'000'000};
            graph::Value<float> x;
            x.real = graph::Array<float>::filled({4}, 1);
            const graph::Value<float>* const inputs[] = {&x};
            graph::Value<float> y;
            graph::Call<float> call{node, inputs, {&y, 1}, context};
            return node.op->forwardFloat(call);
        };
    }

    static MeasureRequest requestOf(const Model& model, const Activations* activations)
    {
        MeasureRequest request;
        request.layers = model.quantizableLayers();
        request.candidates = parseCandidates("int4:g64,int8:g64@mse,mxfp4,nvfp4").value();
        const auto metrics = allMetrics();
        request.metrics.assign(metrics.begin(), metrics.end());
        request.activations = activations;
        return request;
    }

    static Job measureJob(const Model& model, const Activations* activations)
    {
        return [&model, request = requestOf(model, activations)](const JobContext& context) {
            return measure(
                model, request, [](const Measurement&) {}, context);
        };
    }

    Job balanceJob()
    {
        Executor executor(2);
        const MeasureRequest request = requestOf(*m_sample, nullptr);
        std::vector<Measurement> cells;
        const auto measured = measure(
            *m_sample, request, [&](const Measurement& cell) { cells.push_back(cell); }, JobContext(executor));
        if (!measured)
            qFatal("%s", describe(measured.error()).c_str());
        const auto table = std::make_shared<CostTable>(makeCostTable(*m_sample, request, 0, cells));
        return [this, table](const JobContext& context) {
            BalanceRequest balanced;
            balanced.table = table.get();
            balanced.start = keepPlan(*m_sample);
            balanced.bitsPerWeight = 5.0;
            return done(balance(*m_sample, balanced, context));
        };
    }

    /// Items that do not dominate each other and sizes without a common step: hard for the exact solver.
    static Job solverJob(const QString& tag)
    {
        AllocationProblem problem;
        const CounterRng rng(3);
        std::uint64_t at = 0;
        std::int64_t middle = 0;
        problem.offsets.push_back(0);
        for (int item = 0; item < 20'000; ++item) {
            const auto weights = static_cast<double>(1'000'000 + rng.bits(at++) % 1'000'000);
            for (int bits = 2; bits <= 8; ++bits) {
                problem.sizes.push_back(static_cast<std::int64_t>(weights * (bits + rng.uniform(at++) / 8)));
                problem.losses.push_back(weights * std::pow(4.0, -bits) * (0.5 + rng.uniform(at++)));
            }
            middle += problem.sizes[problem.sizes.size() - 4];
            problem.offsets.push_back(problem.sizes.size());
        }
        problem.budget = middle;
        if (tag == QLatin1String("front"))
            return [problem](const JobContext& context) { return done(paretoFront(problem, {}, context)); };
        if (tag == QLatin1String("several limits")) {
            SideConstraint squares{.name = "squares", .amounts = {}, .atMost = 0};
            for (std::size_t o = 0; o < problem.sizes.size(); ++o) {
                squares.amounts.push_back(static_cast<double>(1 + o % 7) * static_cast<double>(problem.sizes[o]));
                squares.atMost += o % 7 == 2 ? squares.amounts.back() : 0;
            }
            problem.sides.push_back(std::move(squares));
            return [problem](const JobContext& context) {
                return done(solveWith(*findSolver("ilp").value(), problem, context));
            };
        }
        return
            [problem](const JobContext& context) { return done(findSolver("exact").value()->solve(problem, context)); };
    }

    Job exportJob(const Model& model, const std::string& id, bool large)
    {
        const Target* target = findTarget(id).value();
        if (!target->profile.acceptsModel(model))
            return {};
        Plan plan = keepPlan(model);
        for (const std::int64_t layer : model.quantizableLayers()) {
            const auto menu = target->profile.menu(model, model.layers[static_cast<std::size_t>(layer)]);
            if (!menu.empty())
                plan.candidates[static_cast<std::size_t>(layer)] = menu.front();
        }
        const auto admitted = admit(target->profile, model, plan);
        if (!admitted)
            qFatal("%s", describe(admitted.error()).c_str());
        // A new name each time: replacing a large file keeps the kernel busy, and a rename cannot be stopped.
        const std::filesystem::path folder = m_folder / "exports";
        const std::string name = (large ? "large-" : "sample-") + id + std::string(target->extension);
        return [&model, target, folder, name, admitted = *admitted](const JobContext& context) -> Result<void> {
            const ExportRequest request{model, admitted, nullptr};
            const std::filesystem::path path =
                folder / std::to_string(std::distance(std::filesystem::directory_iterator(folder), {})) / name;
            std::filesystem::create_directories(path.parent_path());
            QL_CHECK(done(exportPlan(*target, request, path, context)));
            return done(target->verify(request, path, context));
        };
    }

    Job reportJob(const Model& model, std::int64_t layer, const Activations* activations)
    {
        return [&model, layer, activations, folder = m_folder / "report"](const JobContext& context) {
            std::filesystem::create_directories(folder);
            const Plan plan = keepPlan(model);
            ReportInput input{.model = model, .plan = plan};
            input.layers.push_back({.layer = layer, .statistics = {}, .outlierShare = 0, .error = {}});
            input.pictured = {layer};
            input.activations = activations;
            input.planLayers = model.quantizableLayers();
            return done(writeReport(input, folder, context));
        };
    }

    test::TemporaryFolder m_folder;
    std::shared_ptr<const Model> m_sample, m_large;
    std::shared_ptr<const Activations> m_activations;
    std::int64_t m_sampleLayer = -1, m_largeLayer = -1;
    std::vector<float> m_row;
};

QTEST_APPLESS_MAIN(StopLatencyTest)
#include "stop_latency_test.moc"
