// SPDX-License-Identifier: GPL-3.0-or-later
// HAWQ-V3's tables of ResNet18 and its nine configurations: three limits at three levels.
#include "core/allocation/solver.h"
#include "tests/support/acceptance.h"

#include <array>
#include <cmath>

using namespace ql;
using namespace ql::tests;

namespace {

constexpr std::size_t kLayers = 19;
using Column = std::array<double, kLayers>;
constexpr Column kTrace{.06857826, .03162379, .03298575, .01205663, .02222431, .00596336, .06931772,
                        .00807129, .00372905, .00530698, .00209011, .00737569, .00210454, .00151197,
                        .00158041, .00078146, .00451841, .00098745, .00072944};
constexpr Column kError8{.0235, .0125, .0102, .0082, .0145, .0344, .0023, .0287, .0148, .0333,
                         .0682, .0027, .0448, .0336, .0576, .1130, .0102, .0947, .0532};
constexpr Column kError4{6.7430,  3.9691, 3.3281,  2.6796,  4.7277,  10.5966, .6827,  9.0942,  4.8857, 10.7599,
                         21.7546, .8603,  14.5324, 10.9651, 18.7706, 36.4044, 3.1572, 29.6994, 17.4016};
constexpr std::array<std::int64_t, kLayers> kWeights{36864,   36864,   36864,  36864,   73728,  147456, 8192,
                                                     147456,  147456,  294912, 589824,  32768,  589824, 589824,
                                                     1179648, 2359296, 131072, 2359296, 2359296};
/// Of 32-bit weights and activations, in units; 1/16 at 8 bits, 1/64 at 4.
constexpr std::array<std::int64_t, kLayers> kOperations{
    115605504, 115605504, 115605504, 115605504, 57802752, 115605504, 6422528, 115605504, 115605504, 57802752,
    115605504, 6422528,   115605504, 115605504, 57802752, 115605504, 6422528, 115605504, 115605504};
constexpr Column kLatency4{.21094404, .21092674, .21104113, .21086851, .13642465, .19167506, .02532183,
                           .19148203, .19142914, .11395316, .20556011, .01917474, .20566918, .20566509,
                           .13185102, .22287786, .01790088, .22304611, .22286099};
constexpr Column kLatency8{.36189111, .36211718, .31141909, .30454471, .19184896, .38948934, .0334169,
                           .38904905, .3892859,  .19134735, .34307431, .02802354, .34313329, .34310756,
                           .21117103, .37376585, .02896843, .37398187, .37405185};

/// Layers that feed the same sum are one item.
std::vector<std::vector<std::size_t>> items()
{
    std::vector<std::vector<std::size_t>> found;
    for (std::size_t layer = 0; layer < kLayers; ++layer) {
        if (layer == 6 || layer == 11 || layer == 16)
            continue; // with 4, 9, 14
        found.push_back({layer});
        if (layer == 4 || layer == 9 || layer == 14)
            found.back().push_back(layer + 2);
    }
    return found;
}

enum class Limit { size, operations, latency };

/// In units that are whole for each limit: bits, units of operations, 10⁻⁸ ms.
std::int64_t amount(Limit limit, std::size_t layer, int bits)
{
    switch (limit) {
    case Limit::size:
        return kWeights[layer] * bits;
    case Limit::operations:
        return kOperations[layer] / (bits == 8 ? 16 : 64);
    case Limit::latency:
        break;
    }
    return std::llround((bits == 8 ? kLatency8 : kLatency4)[layer] * 1e8);
}

AllocationProblem problemOf(Limit limit, double level)
{
    AllocationProblem problem;
    problem.offsets.push_back(0);
    std::int64_t least = 0;
    std::int64_t most = 0;
    for (const std::vector<std::size_t>& layers : items()) {
        for (const int bits : {4, 8}) {
            std::int64_t size = 0;
            double loss = 0;
            for (const std::size_t layer : layers) {
                size += amount(limit, layer, bits);
                loss += kTrace[layer] * (bits == 8 ? kError8 : kError4)[layer];
            }
            problem.sizes.push_back(size);
            problem.losses.push_back(loss);
            (bits == 8 ? most : least) += size;
        }
        problem.offsets.push_back(problem.sizes.size());
    }
    problem.budget = least + static_cast<std::int64_t>(std::floor(level * static_cast<double>(most - least)));
    return problem;
}

/// The same limit beside a budget that does not bind.
AllocationProblem asSide(AllocationProblem problem)
{
    SideConstraint side{.name = "limit", .amounts = {}, .atMost = static_cast<double>(problem.budget)};
    for (std::int64_t& size : problem.sizes) {
        side.amounts.push_back(static_cast<double>(size));
        size = 1;
    }
    problem.budget = 100;
    problem.sides.push_back(std::move(side));
    return problem;
}

Allocation solved(std::string_view solver, const AllocationProblem& problem)
{
    Executor executor(1);
    auto found = solveWith(*findSolver(solver).value(), problem, JobContext(executor));
    if (!found)
        qFatal("%s", describe(found.error()).c_str());
    return std::move(found).value();
}

double all4()
{
    double loss = 0;
    for (std::size_t layer = 0; layer < kLayers; ++layer)
        loss += kTrace[layer] * kError4[layer];
    return loss;
}

std::string bitString(const Allocation& found)
{
    std::string bits(kLayers, '?');
    const auto layers = items();
    for (std::size_t i = 0; i < layers.size(); ++i)
        for (const std::size_t layer : layers[i])
            bits[layer] = found.choice[i] == 1 ? '8' : '4';
    return bits;
}

struct Published {
    const char* name;
    Limit limit;
    std::array<double, 3> objectives; // levels 0.25, 0.5, 0.75
    const char* bits;                 // level 0.5
    double used;                      // likewise, in MiB, 10⁶ operations, ms
};
constexpr std::array<Published, 3> kPublished{{
    {"size", Limit::size, {-1.1894136, -1.2332072, -1.2742725}, "8888888888888884844", 7.265625},
    {"operations", Limit::operations, {-0.8472891, -1.0920238, -1.2277484}, "8884888848884444444", 65.028096},
    {"latency", Limit::latency, {-0.8472891, -1.1050393, -1.2277484}, "8888848848884484844", 4.220095},
}};

} // namespace

class Resnet18Test : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void losses()
    {
        double all8 = 0;
        for (std::size_t layer = 0; layer < kLayers; ++layer)
            all8 += kTrace[layer] * kError8[layer];
        QL_NEAR("A1", "ResNet18: loss of 4 bits everywhere", all4(), 1.307713, 5e-7);
        QL_NEAR("A1", "ResNet18: loss of 8 bits everywhere", all8, 0.004258, 5e-7);
    }

    void nineConfigurations()
    {
        constexpr std::array<double, 3> kLevels{0.25, 0.5, 0.75};
        for (const Published& published : kPublished)
            for (std::size_t l = 0; l < kLevels.size(); ++l) {
                const std::string where =
                    std::string("ResNet18 within ") + published.name + " at level " + formatDouble(kLevels[l]);
                const AllocationProblem problem = problemOf(published.limit, kLevels[l]);
                const Allocation exact = solved("exact", problem);
                const Allocation program = solved("ilp", asSide(problem));
                QVERIFY(exact.optimal && program.optimal);
                QL_NEAR("A1", where + ": objective", exact.loss - all4(), published.objectives[l], 5e-8);
                QL_NEAR("A1", where + ": objective with a side constraint", program.loss - all4(),
                        published.objectives[l], 5e-8);
                if (kLevels[l] != 0.5)
                    continue;
                QL_HOLDS("A1", where + ": bits " + published.bits, bitString(exact) == published.bits);
                QL_HOLDS("A1", where + ": bits with a side constraint", bitString(program) == published.bits);
                const double unit = published.limit == Limit::size         ? 1.0 / (8 * 1048576)
                                    : published.limit == Limit::operations ? 1e-6
                                                                           : 1e-8;
                QL_NEAR("A1", where + ": used", static_cast<double>(exact.size) * unit, published.used, 5e-7);
            }
    }

    /// The rule that takes the best ratio of loss to cost first loses to the optimum.
    void greedyFailsOnOperations()
    {
        const Allocation found = solved("greedy", problemOf(Limit::operations, 0.5));
        QL_NEAR("A1", "ResNet18 within operations, best ratio first: objective", found.loss - all4(), -1.0904905, 5e-8);
        QL_HOLDS("A1", "ResNet18 within operations, best ratio first: bits 8884888848484484844",
                 bitString(found) == "8884888848484484844");
    }

    /// All three limits of level 0.5 at once: no better than under each alone, and what trying all 2^16 finds.
    void threeLimitsAtOnce()
    {
        AllocationProblem problem = problemOf(Limit::size, 0.5);
        for (const Limit limit : {Limit::operations, Limit::latency}) {
            const AllocationProblem other = problemOf(limit, 0.5);
            SideConstraint side{.name = "other", .amounts = {}, .atMost = static_cast<double>(other.budget)};
            for (const std::int64_t size : other.sizes)
                side.amounts.push_back(static_cast<double>(size));
            problem.sides.push_back(std::move(side));
        }
        double best = 1e9;
        const std::size_t count = problem.itemCount();
        for (std::size_t set = 0; set < std::size_t{1} << count; ++set) {
            std::int64_t size = 0;
            std::array<double, 2> others{};
            double loss = 0;
            for (std::size_t i = 0; i < count; ++i) {
                const std::size_t o = 2 * i + (set >> i & 1U);
                size += problem.sizes[o];
                loss += problem.losses[o];
                for (std::size_t k = 0; k < 2; ++k)
                    others[k] += problem.sides[k].amounts[o];
            }
            if (size <= problem.budget && others[0] <= problem.sides[0].atMost && others[1] <= problem.sides[1].atMost)
                best = std::min(best, loss);
        }
        const Allocation found = solved("ilp", problem);
        QVERIFY(found.optimal);
        QVERIFY(std::abs(found.loss - best) <= 1e-12);
        QVERIFY(found.loss - all4() >= -1.0920238 - 5e-8);
    }

    void operationsBookkeeping()
    {
        std::int64_t at8 = 0;
        std::int64_t at32 = 0;
        for (std::size_t layer = 0; layer < kLayers; ++layer) {
            at8 += amount(Limit::operations, layer, 8);
            at32 += kOperations[layer];
        }
        QL_NEAR("A1", "operations of 32-bit layers over those of 8-bit layers",
                static_cast<double>(at32) / static_cast<double>(at8), 16, 0);
    }
};

QTEST_APPLESS_MAIN(Resnet18Test)
#include "resnet18_test.moc"
