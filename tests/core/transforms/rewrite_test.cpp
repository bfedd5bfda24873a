// SPDX-License-Identifier: GPL-3.0-or-later
// What follows of statistics and Fisher diagonals, against the definitions.
#include "core/base/rng.h"
#include "core/tensor/half.h"
#include "core/transforms/rewrite.h"

#include <QTest>

#include <cmath>

using namespace ql;

namespace {

std::vector<double> normals(std::size_t n, std::uint64_t stream)
{
    const CounterRng rng(41, stream);
    std::vector<double> values(n);
    for (std::size_t i = 0; i < n; ++i)
        values[i] = rng.normal(i);
    return values;
}

} // namespace

class RewriteTest : public QObject {
    Q_OBJECT
private:
    Executor m_executor{2};
    JobContext m_context{m_executor};

    std::vector<double> weightsAfter(const LayerRewrite& rewrite, const Layer& layer, const std::vector<double>& w)
    {
        const TensorView view{Dtype::f64, layer.shape, reinterpret_cast<const std::byte*>(w.data())};
        const Buffer made = rewritten(rewrite, layer, view, Dtype::f64, m_context).value();
        return {made.as<double>(), made.as<double>() + w.size()};
    }

private Q_SLOTS:
    /// W'·A(x) = B(W·x) for every kind of map on both sides.
    void productsStay()
    {
        Layer layer;
        layer.shape = {24, 20};
        std::vector<double> s = normals(20, 1);
        std::vector<std::int64_t> order(24);
        for (std::size_t i = 0; i < order.size(); ++i)
            order[i] = static_cast<std::int64_t>((5 * i + 3) % 24);
        LayerRewrite rewrite;
        rewrite.reads = {scaleMap(s), rotationMap(20, 8, 12, std::vector<double>(12, -1))};
        rewrite.writes = {permutationMap(order), scaleMap(normals(24, 2)), rotationMap(24, 0, 12, normals(24, 3))};
        // Signs of the last are arbitrary numbers: a map that is no rotation still acts on columns as it says.
        const std::vector<double> w = normals(24 * 20, 4);
        const std::vector<double> after = weightsAfter(rewrite, layer, w);
        std::vector<double> x = normals(20, 5);
        std::vector<double> y(24, 0);
        std::vector<double> scratch(24);
        for (std::size_t r = 0; r < 24; ++r)
            for (std::size_t c = 0; c < 20; ++c)
                y[r] += w[r * 20 + c] * x[c];
        for (const ChannelMapPtr& map : rewrite.reads)
            map->apply(x.data(), scratch.data());
        for (const ChannelMapPtr& map : rewrite.writes)
            map->apply(y.data(), scratch.data());
        for (std::size_t r = 0; r < 24; ++r) {
            double made = 0;
            for (std::size_t c = 0; c < 20; ++c)
                made += after[r * 20 + c] * x[c];
            QVERIFY(std::fabs(made - y[r]) < 1e-11);
        }
    }

    /// Σ F·ΔW² is the same before and after, as the model that the change acts on is.
    void fisherFollows()
    {
        Layer layer;
        layer.shape = {6, 10};
        LayerRewrite rewrite;
        rewrite.reads = {scaleMap(normals(10, 6)), permutationMap({9, 8, 7, 6, 5, 4, 3, 2, 1, 0})};
        rewrite.writes = {scaleMap(normals(6, 7)), permutationMap({1, 2, 3, 4, 5, 0})};
        QVERIFY(keepsFisher(rewrite));
        FisherDiagonal fisher;
        LayerFisher use{
            .source = "x", .windows = 1, .tokens = 4, .rows = 6, .columns = 10, .sums = {}, .outputSquares = {}};
        for (const double value : normals(60, 8))
            use.sums.push_back(bf16FromFloat(static_cast<float>(value * value)));
        use.outputSquares = {1, 2, 3, 4, 5, 6};
        fisher.uses = {use};
        const FisherDiagonal after = rewritten(rewrite, fisher, m_context).value();
        // One weight at a time: each term keeps its value.
        for (std::size_t i = 0; i < 60; ++i) {
            std::vector<double> change(60, 0);
            change[i] = 1;
            const std::vector<double> changed = weightsAfter(rewrite, layer, change);
            double before = 0;
            double made = 0;
            std::vector<double> f(60);
            fisher.read(0, 60, f.data());
            for (std::size_t k = 0; k < 60; ++k)
                before += f[k] * change[k] * change[k];
            after.read(0, 60, f.data());
            for (std::size_t k = 0; k < 60; ++k)
                made += f[k] * changed[k] * changed[k];
            QVERIFY(std::fabs(made - before) <= before / 128);
        }
        QVERIFY(keepsFisher(rewrite));
        rewrite.shift = normals(10, 11);
        QVERIFY(!keepsFisher(rewrite));
    }

    /// Of F = E[g·gᵀ] in full, the mean of its rotated diagonal over many signs is what is said of one rotation.
    void fisherBehindARotationIsItsExpectation()
    {
        constexpr std::size_t kSize = 8;
        const std::vector<double> a = normals(kSize * kSize, 12);
        std::vector<double> squares(kSize, 0); // diagonal of a·aᵀ
        for (std::size_t i = 0; i < kSize; ++i)
            for (std::size_t k = 0; k < kSize; ++k)
                squares[i] += a[i * kSize + k] * a[i * kSize + k];
        std::vector<double> mean(kSize, 0);
        std::vector<double> scratch(kSize);
        constexpr unsigned kSigns = 256; // all there are
        for (unsigned number = 0; number < kSigns; ++number) {
            std::vector<double> signs;
            for (unsigned i = 0; i < kSize; ++i)
                signs.push_back(number >> i & 1U ? -1 : 1);
            const ChannelMapPtr map = rotationMap(kSize, 0, 4, signs);
            for (std::size_t k = 0; k < kSize; ++k) { // columns of a are samples of g
                std::vector<double> g(kSize);
                for (std::size_t i = 0; i < kSize; ++i)
                    g[i] = a[i * kSize + k];
                map->applyToReader(g.data(), scratch.data());
                for (std::size_t i = 0; i < kSize; ++i)
                    mean[i] += g[i] * g[i] / kSigns;
            }
        }
        LayerRewrite rewrite;
        rewrite.writes = {rotationMap(kSize, 0, 4, std::vector<double>(kSize, 1))};
        const std::vector<double> said = rewrittenOutputSquares(rewrite, squares);
        for (std::size_t i = 0; i < kSize; ++i)
            QVERIFY(std::fabs(said[i] - mean[i]) <= 1e-12 * mean[i]);
    }

    /// Products of derivatives by outputs: those of the derivatives that the chain rule gives.
    void outputGramsFollow()
    {
        constexpr std::size_t kSize = 12;
        LayerRewrite rewrite;
        rewrite.writes = {scaleMap(normals(kSize, 13)), permutationMap({1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10}),
                          rotationMap(kSize, 0, 4, std::vector<double>{1, -1, 1, 1, -1, 1, 1, 1, -1, -1, 1, -1})};
        const std::vector<double> g = normals(kSize, 14);
        // y' = A(y) and d = ⟨g, y⟩ for every y: g' with ⟨g', A(y)⟩ = ⟨g, y⟩, from the unit vectors' images.
        std::vector<double> after = g;
        std::vector<double> scratch(kSize);
        for (const ChannelMapPtr& map : rewrite.writes)
            map->applyToReader(after.data(), scratch.data());
        const std::vector<double> y = normals(kSize, 15);
        std::vector<double> image = y;
        for (const ChannelMapPtr& map : rewrite.writes)
            map->apply(image.data(), scratch.data());
        double before = 0;
        double made = 0;
        for (std::size_t i = 0; i < kSize; ++i) {
            before += g[i] * y[i];
            made += after[i] * image[i];
        }
        QVERIFY(std::fabs(before - made) <= 1e-12);
        ActivationStatistics statistics;
        statistics.in = 1;
        statistics.tokens = 1;
        statistics.gram = {1};
        statistics.channelRms = {1};
        for (std::size_t i = 0; i < kSize; ++i)
            for (std::size_t j = 0; j < kSize; ++j)
                statistics.outputGram.push_back(static_cast<float>(g[i] * g[j]));
        const ActivationStatistics mapped = rewritten(rewrite, statistics, m_context).value();
        QCOMPARE(mapped.outputGram.size(), kSize * kSize);
        for (std::size_t i = 0; i < kSize; ++i)
            for (std::size_t j = 0; j < kSize; ++j)
                QVERIFY(std::fabs(static_cast<double>(mapped.outputGram[i * kSize + j]) - after[i] * after[j]) <= 1e-5);
        rewrite.values = {1};
        QVERIFY(rewritten(rewrite, statistics, m_context).value().outputGram.empty());
    }

    /// Of the parts of a stack each has its own, as a layer of its rows alone.
    void outputGramsOfPartsFollow()
    {
        constexpr std::size_t kParts = 3;
        constexpr std::size_t kRows = 4;
        constexpr auto kSize = static_cast<std::int64_t>(kParts * kRows);
        const std::vector<double> scales = normals(kParts * kRows, 21);
        const std::vector<double> signs{1, -1, 1, 1, -1, 1, 1, 1, -1, -1, 1, -1};
        ActivationStatistics stack;
        for (std::size_t p = 0; p < kParts; ++p) {
            const std::vector<double> g = normals(kRows, 22 + p);
            ActivationStatistics its;
            its.in = its.tokens = 1;
            its.gram = {1};
            its.channelRms = {1};
            for (const double a : g)
                for (const double b : g)
                    its.outputGram.push_back(static_cast<float>(a * b));
            stack.parts.push_back(std::move(its));
        }
        stack.parts[1].outputGram.clear(); // no token went there
        LayerRewrite rewrite;
        rewrite.writes = {scaleMap(scales), permutationMap({3, 2, 0, 1, 4, 6, 5, 7, 9, 8, 11, 10}),
                          rotationMap(kSize, 0, 2, signs), rotationMap(kSize, 4, 4, {1, -1, 1, 1, -1, -1, 1, 1})};
        const ActivationStatistics mapped = rewritten(rewrite, stack, m_context).value();
        QCOMPARE(mapped.parts.size(), kParts);
        QVERIFY(mapped.parts[1].outputGram.empty());
        for (const std::size_t p : {0U, 2U}) {
            LayerRewrite alone;
            const auto begin = static_cast<std::ptrdiff_t>(p * kRows);
            alone.writes = {
                scaleMap({scales.begin() + begin, scales.begin() + begin + 4}),
                permutationMap(p == 0 ? std::vector<std::int64_t>{3, 2, 0, 1} : std::vector<std::int64_t>{1, 0, 3, 2}),
                rotationMap(4, 0, 2, {signs.begin() + begin, signs.begin() + begin + 4})};
            if (p == 2)
                alone.writes.push_back(rotationMap(4, 0, 4, {-1, -1, 1, 1}));
            const auto wanted = rewritten(alone, stack.parts[p], m_context).value();
            QCOMPARE(wanted.outputGram.size(), kRows * kRows);
            QVERIFY(mapped.parts[p].outputGram == wanted.outputGram);
            QVERIFY(mapped.parts[p].outputGram != stack.parts[p].outputGram);
        }
        // What mixes the parts: an order across them, and a rotation of blocks that lie in two.
        for (const ChannelMapPtr& map : {permutationMap({4, 1, 2, 3, 0, 5, 6, 7, 8, 9, 10, 11}),
                                         rotationMap(kSize, 2, 4, {1, -1, 1, 1, 1, -1, 1, 1})}) {
            rewrite.writes = {map};
            const ActivationStatistics mixed = rewritten(rewrite, stack, m_context).value();
            QVERIFY(mixed.parts[0].outputGram.empty());
        }
    }

    void equalForAnyThreads()
    {
        Layer layer;
        layer.shape = {300, 240};
        LayerRewrite rewrite;
        rewrite.reads = {rotationMap(240, 0, 240, std::vector<double>(240, 1))};
        rewrite.writes = {scaleMap(normals(300, 9))};
        const std::vector<double> w = normals(300 * 240, 10);
        const std::vector<double> two = weightsAfter(rewrite, layer, w);
        Executor one(1);
        const TensorView view{Dtype::f64, layer.shape, reinterpret_cast<const std::byte*>(w.data())};
        const Buffer alone = rewritten(rewrite, layer, view, Dtype::f64, JobContext(one)).value();
        QVERIFY(std::equal(two.begin(), two.end(), alone.as<double>()));
    }
};

QTEST_APPLESS_MAIN(RewriteTest)
#include "rewrite_test.moc"
