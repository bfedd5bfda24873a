// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/cli/loss_slice_option.h"

#include "app/cli/command.h"
#include "app/cli/number_check.h"
#include "core/base/file.h"
#include "core/report/heat_map_png.h"

namespace ql::cli {

namespace {

bool isPicture(const std::string& path)
{
    return path.ends_with(".png");
}

/// A line for each point: a, b, loss.
std::string csvOf(const LossSlice& slice)
{
    std::string text = "a,b,loss\n";
    for (std::size_t a = 0; a < slice.steps.size(); ++a)
        for (std::size_t b = 0; b < slice.steps.size(); ++b)
            text += formatDouble(slice.steps[a]) + "," + formatDouble(slice.steps[b]) + "," +
                    formatDouble(slice.at(a, b)) + "\n";
    return text;
}

Result<std::string> contentsOf(const std::string& path, const LossSlice& slice)
{
    constexpr std::int64_t kPixels = 440; // of a side, about
    const auto points = std::ssize(slice.steps);
    if (isPicture(path))
        return gridPng(slice.loss, points, points, std::max<std::int64_t>(1, kPixels / points));
    return csvOf(slice);
}

Result<void> write(const std::string& path, const LossSlice& slice)
{
    QL_TRY(contents, contentsOf(path, slice));
    QL_TRY(file, AtomicFile::create(path));
    QL_CHECK(file.write(std::string_view(contents)));
    return file.commit();
}

} // namespace

void LossSliceOption::declare(CLI::App& app)
{
    auto* slice = app.add_flag(
        "--slice", isGiven, "instead: the loss on a grid along the two top eigenvectors of all these layers together");
    app.add_option("--span", span, "how far the grid goes from the weights, in their norm")
        ->capture_default_str()
        ->check(above(0))
        ->needs(slice);
    app.add_option("--points", points, "of the grid along each of the two, an odd number")
        ->capture_default_str()
        ->check(atLeast(3))
        ->needs(slice);
    app.add_option("--out", out, "also writes the grid: .csv, or .png as a heat map; may be repeated")->needs(slice);
}

Result<void> LossSliceOption::check() const
{
    if (points % 2 == 0)
        return usageError("--points takes an odd number, so that the weights themselves are in the middle");
    for (const std::string& path : out)
        if (!isPicture(path) && !path.ends_with(".csv"))
            return usageError("the grid is written as .csv or .png", path);
    return {};
}

Result<nlohmann::ordered_json> LossSliceOption::run(Console& console, const Model& model, const LossFunction& loss,
                                                    LossSliceSettings settings) const
{
    const JobContext& context = console.context();
    QL_TRY(size, weightCount(loss, context));
    QL_TRY(norm, weightNorm(loss, context));
    settings.radius = span * norm;
    settings.points = points;
    const std::string windows = " over " + std::to_string(loss.windows.count()) + " windows";
    console.status("two eigenvectors of " + std::to_string(size) + " weights, at most " +
                   std::to_string(4 * settings.iterations) + " passes forward and backward" + windows + ", and " +
                   std::to_string(points * points) + " forward");
    QL_TRY(slice, sliceLoss(loss, settings, {}, {}, context));
    QL_CHECK(model.checkpoint->checkIntact());
    for (const std::string& path : out)
        QL_CHECK(write(path, slice));
    auto layers = nlohmann::ordered_json::array();
    for (const std::int64_t layer : loss.layers)
        layers.push_back(model.layers[static_cast<std::size_t>(layer)].name);
    auto axes = nlohmann::ordered_json::array();
    for (const TopEigenvalue& axis : slice.axes)
        axes.push_back({{"eigenvalue", numberOrNull(axis.value)},
                        {"residual", numberOrNull(axis.residual)},
                        {"iterations", axis.iterations}});
    auto grid = nlohmann::ordered_json::array();
    for (std::size_t a = 0; a < slice.steps.size(); ++a)
        for (std::size_t b = 0; b < slice.steps.size(); ++b)
            grid.push_back({{"a", slice.steps[a]}, {"b", slice.steps[b]}, {"loss", numberOrNull(slice.at(a, b))}});
    const std::size_t middle = slice.steps.size() / 2;
    return nlohmann::ordered_json{{"windows", loss.windows.count()},
                                  {"tokens", loss.windows.count() * loss.windows.length},
                                  {"layers", std::move(layers)},
                                  {"weight_norm", norm},
                                  {"loss", numberOrNull(slice.at(middle, middle))},
                                  {"axes", std::move(axes)},
                                  {"grid", std::move(grid)}};
}

} // namespace ql::cli
