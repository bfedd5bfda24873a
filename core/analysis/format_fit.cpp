// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/analysis/format_fit.h"

#include "core/analysis/grid_cells.h"
#include "core/formats/quantized_tensor.h"
#include "core/formats/weight_tile.h"
#include "core/jobs/parallel.h"

#include <algorithm>
#include <cmath>
#include <map>

namespace ql {

namespace {

constexpr int kExponents = 71;

double exponentAt(int i)
{
    return PowerFit::kLeast + PowerFit::kStep * i;
}

double decibels(double squares, double error)
{
    return 10 * std::log10(squares / error);
}

/// A width's grids.
struct Grids {
    int bits;
    std::vector<std::string> elements;
    std::vector<GridCells> cells;
    std::vector<GridCells> powers;
};

Grids gridsOf(int bits)
{
    Grids grids{.bits = bits, .elements = {}, .cells = {}, .powers = {}};
    grids.elements.push_back("int" + std::to_string(bits) + ":restricted");
    grids.cells.push_back(GridCells::ofIntegers(bits));
    for (int exponentBits = 1; exponentBits < bits; ++exponentBits) {
        const std::string id = "e" + std::to_string(exponentBits) + "m" + std::to_string(bits - 1 - exponentBits);
        const auto format = findNumberFormat(id);
        if (!format)
            continue;
        grids.elements.push_back(id);
        grids.cells.push_back(GridCells::of(**format));
    }
    for (int i = 0; i < kExponents; ++i)
        grids.powers.push_back(GridCells::ofPower(bits, exponentAt(i), true));
    return grids;
}

/// One run under the grids of one width.
struct RunFit {
    double squares = 0;
    std::vector<double> errors, clips; // of each element, the best
    std::vector<double> powerErrors;
    double rms = 0;
    double largest = 0;
};

RunFit fitRun(const SortedMagnitudes& run, const Grids& grids, const std::vector<double>& clips)
{
    RunFit fit{.squares = run.sumOfSquares(),
               .errors = {},
               .clips = {},
               .powerErrors = {},
               .rms = std::sqrt(run.sumOfSquares() / static_cast<double>(run.count())),
               .largest = run.largest()};
    for (const GridCells& cells : grids.cells) {
        double best = 0;
        double bestClip = 0;
        for (const double clip : clips)
            if (const double error = run.squaredError(cells, clip * run.largest()); bestClip == 0 || error < best) {
                best = error;
                bestClip = clip;
            }
        fit.errors.push_back(best);
        fit.clips.push_back(bestClip);
    }
    for (const GridCells& cells : grids.powers)
        fit.powerErrors.push_back(run.squaredError(cells, run.largest()));
    return fit;
}

FormatFits joined(const Grids& grids, const std::vector<RunFit>& runs)
{
    FormatFits all{
        .bits = grids.bits, .runs = std::ssize(runs), .weights = 0, .fits = {}, .mostWanted = {}, .power = {}};
    const auto count = static_cast<double>(runs.size());
    double squares = 0;
    for (const RunFit& run : runs)
        squares += run.squares;
    for (std::size_t i = 0; i < grids.elements.size(); ++i) {
        FormatFit fit{.element = grids.elements[i]};
        double error = 0;
        for (const RunFit& run : runs) {
            error += run.errors[i];
            fit.clip += run.clips[i] / count;
            fit.clipSigmas += run.clips[i] * run.largest / run.rms / count;
            fit.runsWon += std::ranges::min_element(run.errors) - run.errors.begin() == static_cast<std::ptrdiff_t>(i)
                               ? 1 / count
                               : 0;
        }
        fit.sqnrDb = decibels(squares, error);
        all.fits.push_back(std::move(fit));
    }
    std::ranges::stable_sort(all.fits, std::ranges::greater(), &FormatFit::sqnrDb);
    // Votes of rows among minifloats alone: the integers are among them as e1m<y>.
    std::map<std::string, std::int64_t> votes;
    for (const RunFit& run : runs)
        ++votes[grids.elements[static_cast<std::size_t>(
            std::ranges::min_element(run.errors.begin() + 1, run.errors.end()) - run.errors.begin())]];
    std::int64_t most = 0;
    for (const FormatFit& fit : all.fits)
        if (const auto found = votes.find(fit.element); found != votes.end() && found->second > most) {
            most = found->second;
            all.mostWanted = fit.element;
        }
    for (int i = 0; i < kExponents; ++i) {
        double error = 0;
        for (const RunFit& run : runs)
            error += run.powerErrors[static_cast<std::size_t>(i)];
        all.power.sqnrDbCurve.push_back(decibels(squares, error));
        if (i == 0 || all.power.sqnrDbCurve.back() > all.power.sqnrDb) {
            all.power.sqnrDb = all.power.sqnrDbCurve.back();
            all.power.exponent = exponentAt(i);
        }
    }
    all.power.sqnrDbOfIntegers = all.power.sqnrDbCurve.back();
    return all;
}

} // namespace

std::vector<double> FitSettings::usualClips()
{
    std::vector<double> clips;
    for (int i = 10; i <= 120; ++i)
        clips.push_back(i / 100.0);
    return clips;
}

Result<std::vector<FormatFits>> fitFormats(const TensorView& weights, const std::vector<int>& bits,
                                           const FitSettings& settings, const JobContext& context)
{
    if (!isDecodable(weights.dtype))
        return badInput("weights of type " + std::string(info(weights.dtype).word) +
                        " cannot be decoded, so formats cannot be fitted to them");
    if (settings.clips.empty() || std::ranges::any_of(settings.clips, [](double clip) { return !(clip > 0); }))
        return usageError("clips to try must be positive, at least one");
    std::vector<Grids> grids;
    for (const int width : bits) {
        if (width < 3 || width > 8)
            return usageError("formats are fitted at 3 to 8 bits, not " + std::to_string(width));
        grids.push_back(gridsOf(width));
    }
    const MatrixShape matrix = matrixShape(weights.shape);
    if (matrix.rows == 0 || matrix.cols == 0)
        return badInput("a tensor without elements has no format that fits");
    const std::int64_t looked = std::clamp(settings.mostWeights / matrix.cols, std::int64_t{1}, matrix.rows);
    const std::int64_t length = std::min(matrix.cols, settings.mostWeights);
    QL_CHECK(context.checkMemory(20 * (settings.byRow ? length * context.executor().threadCount() : looked * length),
                                 "the sorted weights"));
    const auto read = [&](std::int64_t i, std::vector<float>& into) {
        WeightTile tile(weights);
        const float* row = tile.read(i * matrix.rows / looked * matrix.cols, length);
        into.insert(into.end(), row, row + length);
    };
    std::vector<std::vector<RunFit>> byRun(static_cast<std::size_t>(settings.byRow ? looked : 1));
    context.progress().addTotal(std::ssize(byRun) * std::ssize(grids));
    const auto fit = [&](std::size_t run, const std::vector<float>& its) -> Result<void> {
        const SortedMagnitudes sorted(its);
        for (const Grids& width : grids) {
            QL_CHECK(context.checkStop());
            if (sorted.largest() > 0)
                byRun[run].push_back(fitRun(sorted, width, settings.clips));
            context.progress().addDone(1);
        }
        return {};
    };
    if (settings.byRow) {
        const auto fitRow = [&](std::int64_t begin, std::int64_t) -> Result<void> {
            std::vector<float> row;
            read(begin, row);
            return fit(static_cast<std::size_t>(begin), row);
        };
        QL_CHECK(parallelFor(context, looked, 1, fitRow));
    } else {
        std::vector<float> all;
        for (std::int64_t i = 0; i < looked; ++i)
            read(i, all);
        QL_CHECK(fit(0, all));
    }
    std::vector<FormatFits> result;
    for (std::size_t width = 0; width < grids.size(); ++width) {
        std::vector<RunFit> runs;
        for (std::vector<RunFit>& run : byRun)
            if (!run.empty())
                runs.push_back(std::move(run[width]));
        result.push_back(runs.empty() ? FormatFits() : joined(grids[width], runs));
        result.back().bits = grids[width].bits;
        result.back().weights = looked * length;
    }
    return result;
}

} // namespace ql
