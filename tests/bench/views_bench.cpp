// SPDX-License-Identifier: GPL-3.0-or-later
// CPU time of the thread that paints: a drag move over 1,000 layers with totals and repaint (aim ≤ 2 ms), in the window
// as it opens and with every panel in sight, and a frame of the outlier map, 4096×11008 weights in 1600×900 pixels (aim
// ≤ 5 ms). Run with QT_QPA_PLATFORM=offscreen.
#include "app/main_window.h"
#include "tests/support/tiny_model.h"
#include "views/allocation/bit_bars.h"
#include "views/document/document.h"
#include "views/heatmap/heat_image.h"
#include "views/heatmap/heat_map.h"
#include "views/jobs/job_runner.h"
#include "views/panels/panel.h"
#include "views/runs/runs.h"

#include <benchmark/benchmark.h>

#include <QApplication>
#include <QMouseEvent>
#include <QStandardPaths>
#include <QTemporaryDir>

#include <cmath>
#include <ctime>

using namespace ql;
using namespace ql::views;

namespace {

double threadSeconds()
{
    timespec now{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

template<typename Work>
void timed(benchmark::State& state, const Work& work)
{
    for (auto step : state) {
        static_cast<void>(step);
        const double begin = threadSeconds();
        work();
        state.SetIterationTime(threadSeconds() - begin);
    }
}

/// One mouse move over new columns, the totals of 1,002 layers, and what the move makes all that is shown repaint.
void dragMoves(benchmark::State& state, Document& document, BitBars& bars)
{
    const QRect plot = bars.plotRect();
    const auto send = [&bars](QEvent::Type type, QPoint point) {
        QMouseEvent event(type, point, bars.mapToGlobal(point), Qt::LeftButton, Qt::LeftButton, Qt::NoModifier);
        QCoreApplication::sendEvent(&bars, &event);
    };
    send(QEvent::MouseButtonPress, plot.center());
    int edits = 0;
    QObject::connect(&document, &Document::planChanged, &bars, [&edits] { ++edits; });
    int step = 0;
    timed(state, [&] {
        // Four columns a move, up and down over the ladder.
        step += 7;
        const QPoint point(plot.left() + step % plot.width(), plot.top() + (step * 13) % plot.height());
        send(QEvent::MouseMove, point);
        QCoreApplication::processEvents(); // totals and repaints of the move
    });
    send(QEvent::MouseButtonRelease, plot.center());
    state.counters["edits_per_move"] = static_cast<double>(edits) / static_cast<double>(state.iterations());
    state.counters["layers"] = static_cast<double>(document.planLayers().size());
}

/// Opens 143·7 matrices and the embedding, and waits until all is measured.
bool openLargeModel(const QString& folder, Document& document, const JobRunner& jobs)
{
    if (!test::writeTinyModel(folder, 143, 64))
        return false;
    bool measured = false;
    QObject::connect(&document, &Document::measured, &document, [&measured] { measured = true; });
    document.open(folder);
    while (!measured || !jobs.isIdle())
        QCoreApplication::processEvents(QEventLoop::WaitForMoreEvents);
    return true;
}

void dragInWindow(benchmark::State& state)
{
    const QTemporaryDir folder;
    Executor executor(2);
    MainWindow window(executor);
    window.resize(1600, 950);
    window.show();
    if (!openLargeModel(folder.path(), window.document(), window.jobs()))
        state.SkipWithError("cannot write the model");
    else
        dragMoves(state, window.document(), *window.findChild<BitBars*>());
}

void dragWithEveryPanelInSight(benchmark::State& state)
{
    const QTemporaryDir folder;
    Executor executor(2);
    JobRunner jobs(executor);
    Document document(jobs);
    Runs runs(document, jobs);
    std::vector<std::unique_ptr<QWidget>> panels;
    BitBars* bars = nullptr;
    for (const Panel* panel : allPanels()) {
        panels.emplace_back(panel->create({document, jobs, runs}, nullptr));
        panels.back()->resize(1600, 300);
        panels.back()->show();
        if (auto* found = panels.back()->findChild<BitBars*>())
            bars = found;
    }
    if (!openLargeModel(folder.path(), document, jobs))
        state.SkipWithError("cannot write the model");
    else
        dragMoves(state, document, *bars);
}

std::shared_ptr<const OutlierPyramid> largePyramid(Executor& executor)
{
    constexpr std::int64_t kRows = 4096;
    constexpr std::int64_t kCols = 11008;
    std::vector<float> values(static_cast<std::size_t>(kRows * kCols));
    std::uint32_t state = 1;
    for (float& value : values) {
        state = state * 1664525U + 1013904223U;
        value = static_cast<float>(static_cast<std::int32_t>(state)) * 1e-11F;
    }
    const TensorView view{Dtype::f32, {kRows, kCols}, reinterpret_cast<const std::byte*>(values.data())};
    auto pyramid = computePyramid(view, JobContext(executor));
    return pyramid ? std::make_shared<const OutlierPyramid>(std::move(*pyramid)) : nullptr;
}

/// Every frame shows another part, so nothing is reused.
void heatFrame(benchmark::State& state, double zoom)
{
    Executor executor(2);
    const auto pyramid = largePyramid(executor);
    HeatImage image;
    image.setPyramid(pyramid);
    HeatScale scale;
    scale.low = 1e-5;
    scale.high = 0.03;
    image.setScale(scale);
    int step = 0;
    timed(state, [&] {
        ++step;
        const double w = 11008 / zoom;
        const double h = 4096 / zoom;
        const double shift = step % 2 == 0 ? 0 : 0.37;
        benchmark::DoNotOptimize(
            image.render({(11008 - w) / 2 + shift, (4096 - h) / 2 - shift, w, h}, QSize(1600, 900)));
    });
}

/// The whole widget: picture, profiles, axes, colour bar.
void heatWidget(benchmark::State& state)
{
    Executor executor(2);
    HeatMap map;
    map.resize(1600, 900);
    map.setPyramid(largePyramid(executor));
    QImage target(map.size(), QImage::Format_RGB32);
    int step = 0;
    timed(state, [&] {
        map.setPart({step++ % 2 == 0 ? 0.0 : 0.4, 0, 11000, 4090});
        map.render(&target);
    });
}

BENCHMARK(dragInWindow)->UseManualTime()->Unit(benchmark::kMillisecond);
BENCHMARK(dragWithEveryPanelInSight)->UseManualTime()->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(heatFrame, fit, 1.0)->UseManualTime()->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(heatFrame, zoom3, 3.3)->UseManualTime()->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(heatFrame, zoom20, 20.0)->UseManualTime()->Unit(benchmark::kMillisecond);
BENCHMARK(heatWidget)->UseManualTime()->Unit(benchmark::kMillisecond);

} // namespace

int main(int argc, char** argv)
{
    QStandardPaths::setTestModeEnabled(true); // the user's settings stay as they are
    const QApplication application(argc, argv);
    QCoreApplication::setApplicationName(QStringLiteral("views-bench"));
    benchmark::Initialize(&argc, argv);
    benchmark::RunSpecifiedBenchmarks();
    return 0;
}
