// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/base/rng.h"
#include "core/sensitivity/loss_slice.h"
#include "tests/support/acceptance.h"

#include <Eigen/Eigenvalues>

using namespace ql;
using namespace ql::tests;

namespace {

Eigen::MatrixXd randomSymmetric(Eigen::Index n, std::uint64_t seed)
{
    const CounterRng rng(seed);
    Eigen::MatrixXd a(n, n);
    for (Eigen::Index i = 0; i < a.size(); ++i)
        a.data()[i] = rng.normal(static_cast<std::uint64_t>(i));
    return a + a.transpose();
}

ProductWith productWith(const Eigen::MatrixXd& a)
{
    return [&a](std::span<const double> v) -> Result<std::vector<double>> {
        const Eigen::VectorXd made = a * Eigen::Map<const Eigen::VectorXd>(v.data(), std::ssize(v));
        return std::vector<double>(made.begin(), made.end());
    };
}

} // namespace

class CurvatureTest : public QObject {
    Q_OBJECT
private:
    Executor m_executor{1};
    JobContext m_context{m_executor};

private Q_SLOTS:
    void oneProbeIsExactForADiagonal()
    {
        Eigen::MatrixXd a = Eigen::MatrixXd::Zero(200, 200);
        for (Eigen::Index i = 0; i < 200; ++i)
            a(i, i) = static_cast<double>(i * i % 37) - 11;
        const auto estimate = hutchinsonTrace(productWith(a), 200, 1, 0, 1, m_context).value();
        QL_NEAR("B8", "trace of a diagonal matrix by one probe", estimate.trace, a.trace(), 0);
        QCOMPARE(estimate.probes, 1);
        QCOMPARE(estimate.standardError, 0.0);
        // Every further probe says the same, so any tolerance ends it.
        QCOMPARE(hutchinsonTrace(productWith(a), 200, 100, 1e-3, 1, m_context).value().probes, 2);
    }

    void fourHundredProbesComeClose()
    {
        for (std::uint64_t seed = 1; seed <= 5; ++seed) {
            const Eigen::MatrixXd b = randomSymmetric(200, seed);
            const Eigen::MatrixXd a = b * b; // positive, as a Hessian at a minimum
            const auto estimate = hutchinsonTrace(productWith(a), 200, 400, 0, seed, m_context).value();
            QCOMPARE(estimate.probes, 400);
            const double deviation = std::sqrt(2 * (a.squaredNorm() - a.diagonal().squaredNorm()) / 1000);
            QL_AT_MOST(
                "B8", "trace by 1000 probes, error in standard deviations, seed " + std::to_string(seed),
                std::fabs(hutchinsonTrace(productWith(a), 200, 1000, 0, seed, m_context).value().trace - a.trace()) /
                    deviation,
                3);
            QL_NEAR("B8", "trace of 200 x 200 by 400 probes over the true one, seed " + std::to_string(seed),
                    estimate.trace / a.trace(), 1, 0.05);
            QVERIFY(std::fabs(estimate.trace - a.trace()) < 4 * estimate.standardError);
            // The variance of one probe is 2·(‖A‖² − Σ a_ii²).
            const double variance = 2 * (a.squaredNorm() - a.diagonal().squaredNorm());
            const double ratio = estimate.standardError / std::sqrt(variance / 400);
            QVERIFY(ratio > 0.8 && ratio < 1.25);
        }
    }

    void topEigenvalueAgainstEigen()
    {
        for (std::uint64_t seed = 1; seed <= 5; ++seed) {
            const Eigen::MatrixXd a = randomSymmetric(60, seed);
            const Eigen::VectorXd all = Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd>(a).eigenvalues();
            const double wanted = -all(0) > all(59) ? all(0) : all(59);
            const auto top = topEigenvalue(productWith(a), 60, 20000, 1e-7, seed, m_context).value();
            QVERIFY(top.residual <= 1e-7 * std::fabs(top.value));
            QL_NEAR("A6",
                    "eigenvalue of largest magnitude, with its sign, over the true one, seed " + std::to_string(seed),
                    top.value / wanted, 1, 1e-7);
            const Eigen::Map<const Eigen::VectorXd> v(top.vector.data(), 60);
            QVERIFY((a * v - top.value * v).norm() <= 2e-7 * std::fabs(top.value));
            // Cut short, the residual still bounds the distance to an eigenvalue.
            const auto early = topEigenvalue(productWith(a), 60, 5, 0, seed, m_context).value();
            QCOMPARE(early.iterations, 5);
            QVERIFY((all.array() - early.value).abs().minCoeff() <= early.residual);
        }
    }

    void topEigenvaluesAgainstEigen()
    {
        const Eigen::MatrixXd a = randomSymmetric(60, 3);
        Eigen::VectorXd all = Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd>(a).eigenvalues();
        std::ranges::sort(all, [](double x, double y) { return std::fabs(x) > std::fabs(y); });
        const auto top = topEigenvalues(productWith(a), 60, 3, 50000, 1e-9, 1, m_context).value();
        for (std::size_t i = 0; i < 3; ++i) {
            QVERIFY(std::fabs(top[i].value - all(static_cast<Eigen::Index>(i))) <= 1e-7 * std::fabs(all(0)));
            const Eigen::Map<const Eigen::VectorXd> v(top[i].vector.data(), 60);
            for (std::size_t j = 0; j <= i; ++j)
                QVERIFY(std::fabs(v.dot(Eigen::Map<const Eigen::VectorXd>(top[j].vector.data(), 60)) -
                                  (i == j ? 1 : 0)) <= 1e-12);
        }
        // Cut short they are orthonormal, too.
        const auto early = topEigenvalues(productWith(a), 60, 2, 1, 0, 1, m_context).value();
        const Eigen::Map<const Eigen::VectorXd> u(early[0].vector.data(), 60);
        const Eigen::Map<const Eigen::VectorXd> v(early[1].vector.data(), 60);
        QVERIFY(std::fabs(u.dot(v)) <= 1e-12 && std::fabs(v.norm() - 1) <= 1e-12);
    }

    /// On g·x + ½·xᵀ·A·x the slice is its closed form: ½·(λ₁·a² + λ₂·b²), beside the slope along both vectors.
    void sliceOfAQuadratic()
    {
        const Eigen::MatrixXd b = randomSymmetric(40, 8);
        const Eigen::MatrixXd a = b * b;
        const Eigen::VectorXd all = Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd>(a).eigenvalues();
        Eigen::VectorXd g = Eigen::VectorXd::Zero(40);
        const LossAt loss = [&](std::span<const double> shift) -> Result<double> {
            const Eigen::Map<const Eigen::VectorXd> x(shift.data(), std::ssize(shift));
            return 2.5 + g.dot(x) + 0.5 * x.dot(a * x);
        };
        const LossSliceSettings settings{.radius = 0.3, .points = 5, .iterations = 20000, .tolerance = 1e-8, .seed = 2};
        for (const bool isSloped : {false, true}) {
            if (isSloped)
                g.setLinSpaced(40, -1, 3);
            const LossSlice slice = sliceLoss(loss, productWith(a), 40, settings, m_context).value();
            QCOMPARE(slice.steps, (std::vector<double>{-0.3, -0.15, 0, 0.15, 0.3}));
            QCOMPARE(slice.loss.size(), std::size_t{25});
            const double slopes[] = {g.dot(Eigen::Map<const Eigen::VectorXd>(slice.axes[0].vector.data(), 40)),
                                     g.dot(Eigen::Map<const Eigen::VectorXd>(slice.axes[1].vector.data(), 40))};
            for (std::size_t i = 0; i < 5; ++i)
                for (std::size_t j = 0; j < 5; ++j) {
                    const double x = slice.steps[i];
                    const double y = slice.steps[j];
                    const double expected =
                        2.5 + slopes[0] * x + slopes[1] * y + 0.5 * (all(39) * x * x + all(38) * y * y);
                    QVERIFY(std::fabs(slice.at(i, j) - expected) <= 1e-6 * all(39));
                }
        }
        QVERIFY(!sliceLoss(loss, productWith(a), 1, settings, m_context));
        QCOMPARE(sliceLoss(loss, productWith(a), 40, {.points = 4}, m_context).error().code, Errc::usage);
        const LossAt fails = [](std::span<const double>) -> Result<double> { return ioError("gone"); };
        QCOMPARE(sliceLoss(fails, productWith(a), 40, settings, m_context).error().code, Errc::io);
    }

    void errorsAndStopsPass()
    {
        const ProductWith fails = [](std::span<const double>) -> Result<std::vector<double>> {
            return ioError("gone");
        };
        QCOMPARE(hutchinsonTrace(fails, 3, 5, 0, 1, m_context).error().code, Errc::io);
        QCOMPARE(topEigenvalue(fails, 3, 5, 0, 1, m_context).error().code, Errc::io);
        std::stop_source stop;
        stop.request_stop();
        const JobContext stopped(m_executor, stop.get_token());
        QCOMPARE(hutchinsonTrace(fails, 3, 5, 0, 1, stopped).error().code, Errc::cancelled);
        QCOMPARE(topEigenvalue(fails, 3, 5, 0, 1, stopped).error().code, Errc::cancelled);
    }
};

QTEST_APPLESS_MAIN(CurvatureTest)
#include "curvature_test.moc"
