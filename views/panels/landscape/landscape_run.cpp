// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/panels/landscape/landscape_run.h"

#include "core/model/evaluation/hessian.h"
#include "core/sensitivity/loss_slice.h"
#include "views/document/document.h"
#include "views/text/format.h"

namespace ql::views {

namespace {

constexpr std::int64_t kForwardInProduct = 12; // two gradients, about three times forward, in double

std::int64_t productsAtMost(const LandscapeChoice& choice)
{
    return 2 * choice.iterations;
}

/// Runs of the model forward, what else is done counted as such.
std::int64_t runsAtMost(const LandscapeChoice& choice)
{
    return kForwardInProduct * productsAtMost(choice) + choice.points * choice.points + 1;
}

} // namespace

double landscapeSeconds(const LandscapeChoice& choice)
{
    return choice.source->runSeconds(choice.portion) * static_cast<double>(runsAtMost(choice));
}

Result<Landscape> measureLandscape(const LandscapeChoice& choice, const std::function<void(LandscapePiece)>& put,
                                   const JobContext& context)
{
    const PreparedSource& source = *choice.source;
    QL_TRY(windows, source.text()->windows(choice.portion.length, choice.portion.limit));
    const graph::CheckpointWeights weights(source.model());
    const LossFunction loss{source.graph(), weights, windows, {choice.layer}};
    const JobContext each(context.executor(), context.stopToken()); // a run counts its own progress
    Progress& progress = context.progress();
    progress.addTotal(runsAtMost(choice));
    QL_TRY(size, weightCount(loss, each));
    QL_TRY(norm, weightNorm(loss, each));
    LossSliceSettings settings;
    settings.radius = choice.span * norm;
    settings.points = choice.points;
    settings.iterations = choice.iterations;

    QL_TRY(own, lossAt(loss, std::vector<double>(static_cast<std::size_t>(size)), each));
    progress.addDone(1);
    Landscape landscape;
    landscape.windows = windows.count();
    landscape.tokens = windows.length;
    landscape.weightNorm = norm;
    landscape.ownLoss = own;
    landscape.steps = sliceSteps(settings);
    put(landscape);

    std::int64_t products = 0;
    const auto countProduct = [&] {
        ++products;
        progress.addDone(kForwardInProduct);
    };
    const auto take = [&](double value) {
        progress.addDone(kForwardInProduct * (productsAtMost(choice) - products)); // eigenvectors that settled earlier
        products = productsAtMost(choice);
        progress.addDone(1);
        put(value);
    };
    QL_TRY(slice, sliceLoss(loss, settings, countProduct, take, each));
    QL_CHECK(source.model().checkpoint->checkIntact());
    landscape.losses = slice.loss;
    for (const TopEigenvalue& axis : slice.axes)
        landscape.axes.push_back({.eigenvalue = axis.value, .residual = axis.residual, .iterations = axis.iterations});
    return landscape;
}

LandscapeRun::LandscapeRun(Document& document, JobRunner& jobs, QObject* parent)
    : QObject(parent), m_feed(jobs, this, QStringLiteral("landscape"), [this](std::vector<LandscapePiece> pieces) {
          take(std::move(pieces));
      })
{
    connect(&document, &Document::modelChanged, this, &LandscapeRun::clear);
}

void LandscapeRun::start(const LandscapeChoice& choice)
{
    m_layer = choice.layer;
    m_arriving = {};
    m_problem.clear();
    m_feed.start(
        tr("Measuring the landscape"),
        [choice](JobMailbox<LandscapePiece>& arrivals, const JobContext& context) {
            return measureLandscape(
                choice, [&](LandscapePiece piece) { arrivals.put(std::move(piece)); }, context);
        },
        [this](Result<Landscape> landscape) {
            m_arriving = {};
            if (landscape)
                m_whole[m_layer] = std::move(*landscape);
            else if (landscape.error().code != Errc::cancelled)
                m_problem = errorText(landscape.error());
            Q_EMIT changed();
        });
    Q_EMIT changed();
}

const Landscape* LandscapeRun::landscape(std::int64_t layer) const
{
    if (isRunning() && layer == m_layer && m_arriving.points() > 0)
        return &m_arriving;
    const auto found = m_whole.find(layer);
    return found == m_whole.end() ? nullptr : &found->second;
}

void LandscapeRun::take(std::vector<LandscapePiece> pieces)
{
    for (LandscapePiece& piece : pieces) {
        if (auto* begun = std::get_if<Landscape>(&piece))
            m_arriving = std::move(*begun);
        else
            m_arriving.losses.push_back(std::get<double>(piece));
    }
    Q_EMIT changed();
}

void LandscapeRun::clear()
{
    m_feed.drop();
    m_layer = -1;
    m_arriving = {};
    m_whole.clear();
    m_problem.clear();
    Q_EMIT changed();
}

} // namespace ql::views
