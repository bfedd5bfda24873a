// SPDX-License-Identifier: GPL-3.0-or-later
// Hessian-vector products of a tiny model against its whole Hessian, and what is made of such products.
#include "core/base/rng.h"
#include "core/checkpoint/reader.h"
#include "core/model/evaluation/hessian.h"
#include "core/model/frontends/frontend.h"
#include "core/sensitivity/curvature.h"

#include <Eigen/Eigenvalues>

#include <QTest>

using namespace ql;

namespace {

/// The model's weights with those of some layers, one after the other, replaced by a long vector's.
class Replaced final : public graph::WeightSource {
public:
    Replaced(const Model& model, std::vector<std::int64_t> layers, std::vector<double> values)
        : m_model(model),
          m_layers(std::move(layers)),
          m_values(std::make_shared<std::vector<double>>(std::move(values)))
    {}
    Result<TensorData> weights(std::int64_t layer, const JobContext& context) const override
    {
        QL_TRY(data, m_model.loadWeights(layer, context));
        std::int64_t offset = 0;
        for (const std::int64_t replaced : m_layers) {
            if (replaced == layer)
                return TensorData{.view = {.dtype = Dtype::f64,
                                           .shape = data.view.shape,
                                           .data = reinterpret_cast<const std::byte*>(m_values->data() + offset)},
                                  .owner = m_values};
            offset += m_model.layers[static_cast<std::size_t>(replaced)].numel();
        }
        return data;
    }

private:
    const Model& m_model;
    std::vector<std::int64_t> m_layers;
    std::shared_ptr<std::vector<double>> m_values;
};

} // namespace

class HessianTest : public QObject {
    Q_OBJECT
private:
    Executor m_executor{2};
    JobContext m_context{m_executor};

private Q_SLOTS:
    void productsAgainstTheWholeHessian()
    {
        const auto model = openModel(QL_TEST_DATA "/frontends/llama", m_context).value();
        const graph::Graph graph = buildGraph(*model).value();
        const Windows windows{9, {4, 9, 30, 11, 5, 5, 22, 17, 8, 33, 3, 14, 15, 9, 26, 5, 35, 8}};
        const std::vector<std::int64_t> layers{model->indexOf("model.layers.1.self_attn.k_proj.weight"),
                                               model->indexOf("model.layers.0.self_attn.v_proj.weight")};
        std::vector<double> w;
        for (const std::int64_t layer : layers) {
            const auto data = model->loadWeights(layer, m_context).value();
            w.resize(w.size() + static_cast<std::size_t>(data.view.numel()));
            decode(data.view.dtype, data.view.data, 0, data.view.numel(), &*w.end() - data.view.numel());
        }
        const auto n = std::ssize(w);
        QCOMPARE(n, 480);
        const graph::CheckpointWeights own(*model);
        const LossFunction loss{graph, own, windows, layers};
        QCOMPARE(weightCount(loss, m_context).value(), n);

        // Column by column, from exact gradients.
        constexpr double kStep = 1e-5;
        Eigen::MatrixXd hessian(n, n);
        for (std::ptrdiff_t j = 0; j < n; ++j) {
            std::vector<double> moved = w;
            const auto at = [&](double by) {
                moved[static_cast<std::size_t>(j)] = w[static_cast<std::size_t>(j)] + by;
                const Replaced weights(*model, layers, moved);
                return lossGradient<double>({graph, weights, windows, layers}, m_context).value();
            };
            const std::vector<double> ahead = at(kStep);
            const std::vector<double> behind = at(-kStep);
            for (std::ptrdiff_t i = 0; i < n; ++i)
                hessian(i, j) =
                    (ahead[static_cast<std::size_t>(i)] - behind[static_cast<std::size_t>(i)]) / (2 * kStep);
        }
        const double largest = hessian.cwiseAbs().maxCoeff();
        QVERIFY((hessian - hessian.transpose()).cwiseAbs().maxCoeff() < 1e-7 * largest);

        const auto product = [&](std::span<const double> v) {
            return hessianVectorProduct<double>(loss, v, m_context);
        };
        for (const double scale : {1e-3, 1.0, 50.0}) { // the step follows the length of v
            Eigen::VectorXd v(n);
            for (std::ptrdiff_t i = 0; i < n; ++i)
                v(i) = scale * CounterRng(9).normal(static_cast<std::uint64_t>(i));
            const auto made = product({v.data(), static_cast<std::size_t>(n)}).value();
            const Eigen::VectorXd expected = hessian * v;
            const auto difference = (Eigen::Map<const Eigen::VectorXd>(made.data(), n) - expected).norm();
            QVERIFY2(difference < 1e-6 * expected.norm(), qPrintable(QString::number(difference / expected.norm())));
            const auto inFloat =
                hessianVectorProduct<float>(loss, {v.data(), static_cast<std::size_t>(n)}, m_context).value();
            const auto coarse = (Eigen::Map<const Eigen::VectorXd>(inFloat.data(), n) - expected).norm();
            QVERIFY2(coarse < 2e-2 * expected.norm(), qPrintable(QString::number(coarse / expected.norm())));
        }
        const std::vector<double> nothing(static_cast<std::size_t>(n));
        QCOMPARE(product(nothing).value(), nothing);

        // By signs that are not held, layer by layer.
        for (std::uint64_t probe = 0; probe < 4; ++probe) {
            const CounterRng random(3, probe);
            Eigen::VectorXd v(n);
            for (std::ptrdiff_t i = 0; i < n; ++i)
                v(i) = random.bits(static_cast<std::uint64_t>(i)) >> 63U ? 1.0 : -1.0;
            const Eigen::VectorXd parts = v.cwiseProduct(hessian * v);
            const auto made = signedCurvature(loss, random, m_context).value();
            QCOMPARE(made.size(), layers.size());
            std::ptrdiff_t offset = 0;
            for (std::size_t i = 0; i < layers.size(); ++i) {
                const auto size =
                    static_cast<std::ptrdiff_t>(model->layers[static_cast<std::size_t>(layers[i])].numel());
                const double expected = parts.segment(offset, size).sum();
                QVERIFY2(std::fabs(made[i] - expected) <
                             2e-2 * (std::fabs(expected) + parts.segment(offset, size).norm()),
                         qPrintable(QString::number(made[i]) + QStringLiteral(" ") + QString::number(expected)));
                offset += size;
            }
            Executor one(1);
            QCOMPARE(signedCurvature(loss, random, JobContext(one)).value(), made);
        }

        // The loss itself rises along its gradient as that says.
        std::vector<double> along = lossGradient<double>(loss, m_context).value();
        const double slope = Eigen::Map<const Eigen::VectorXd>(along.data(), n).norm();
        constexpr double kBy = 0.03;
        for (double& value : along)
            value *= kBy / slope;
        const double ahead = lossAt(loss, along, m_context).value();
        for (double& value : along)
            value = -value;
        const double behind = lossAt(loss, along, m_context).value();
        const double middle = lossAt(loss, nothing, m_context).value();
        QVERIFY(std::fabs((ahead - behind) / (2 * kBy) - slope) < 5e-2 * slope);
        QVERIFY(behind < middle && middle < ahead);
        QVERIFY(std::fabs(weightNorm(loss, m_context).value() - Eigen::Map<const Eigen::VectorXd>(w.data(), n).norm()) <
                1e-12 * static_cast<double>(n));

        const auto top = topEigenvalue(product, n, 300, 1e-4, 1, m_context).value();
        const Eigen::VectorXd eigenvalues = Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd>(hessian).eigenvalues();
        const double wanted = eigenvalues(0) + eigenvalues(n - 1) < 0 ? eigenvalues(0) : eigenvalues(n - 1);
        QVERIFY(std::fabs(top.value - wanted) <= std::max(1e-6 * std::fabs(wanted), top.residual));
        const auto trace = hutchinsonTrace(product, n, 60, 0, 2, m_context).value();
        QCOMPARE(trace.probes, 60);
        QVERIFY(std::fabs(trace.trace - hessian.trace()) <= 4 * trace.standardError);
    }

    /// Along the top eigenvector of a trained layer the loss leaves its parabola at less than float's step.
    void eigenvalueOfATrainedLayer()
    {
        const std::filesystem::path sample = std::filesystem::path(QL_SOURCE_DIR) / "resources/sample";
        const auto model = openModel(sample, m_context).value();
        const graph::Graph graph = buildGraph(*model).value();
        const graph::CheckpointWeights own(*model);
        const auto file = openCheckpoint(sample / "golden/tokens.npy", m_context).value();
        const auto tokens = file->load(0, m_context).value();
        std::vector<double> ids(48);
        decode(tokens.view.dtype, tokens.view.data, 0, std::ssize(ids), ids.data());
        const Windows windows{std::ssize(ids), {ids.begin(), ids.end()}};
        const std::int64_t layer = model->indexOf("model.layers.0.self_attn.q_proj.weight");
        const LossFunction loss{graph, own, windows, {layer}};
        const auto product = [&](std::span<const double> v) {
            return hessianVectorProduct<double>(loss, v, m_context);
        };
        const std::int64_t n = weightCount(loss, m_context).value();
        const TopEigenvalue top = topEigenvalue(product, n, 40, 1e-3, 1, m_context).value();
        QVERIFY2(top.residual < 1e-2 * std::fabs(top.value), qPrintable(QString::number(top.residual)));

        // What the losses beside say of the curvature, in float, 0.02 % of the weights away.
        const double step = 2e-4 * weightNorm(loss, m_context).value();
        const auto at = [&](double by) {
            std::vector<double> shift = top.vector;
            for (double& value : shift)
                value *= by;
            return lossAt(loss, shift, m_context).value();
        };
        const double curvature = (at(step) + at(-step) - 2 * at(0)) / (step * step);
        QVERIFY2(std::fabs(curvature - top.value) < 0.1 * std::fabs(top.value),
                 qPrintable(QString::number(curvature) + QStringLiteral(" ") + QString::number(top.value)));
    }
};

QTEST_APPLESS_MAIN(HessianTest)
#include "hessian_test.moc"
