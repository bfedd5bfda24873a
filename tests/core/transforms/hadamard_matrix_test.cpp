// SPDX-License-Identifier: GPL-3.0-or-later
// H·Hᵀ = n·I exactly for every order that is built, and fast products against the dense Kronecker product.
#include "core/base/rng.h"
#include "core/transforms/hadamard_matrix.h"

#include <QTest>

#include <cmath>

using namespace ql;

class HadamardMatrixTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void paleyMatricesAreHadamard()
    {
        for (const std::int64_t n : {12, 20, 28}) {
            const std::vector<double>& h = HadamardMatrix::paley(n);
            for (std::int64_t i = 0; i < n; ++i)
                for (std::int64_t j = 0; j < n; ++j) {
                    QCOMPARE(std::fabs(h[static_cast<std::size_t>(i * n + j)]), 1.0);
                    double product = 0;
                    for (std::int64_t c = 0; c < n; ++c)
                        product += h[static_cast<std::size_t>(i * n + c)] * h[static_cast<std::size_t>(j * n + c)];
                    QCOMPARE(product, i == j ? static_cast<double>(n) : 0.0);
                }
        }
    }

    void everyOrder_data()
    {
        QTest::addColumn<int>("order");
        for (const int order : {1, 2, 4, 12, 16, 20, 24, 28, 48, 80, 144, 240, 336, 560, 576, 960})
            QTest::addRow("%d", order) << order;
    }
    void everyOrder()
    {
        QFETCH(int, order);
        QVERIFY(HadamardMatrix::has(order));
        const HadamardMatrix h(order);
        const auto n = static_cast<std::size_t>(order);
        std::vector<double> dense(n * n, 0);
        std::vector<double> scratch(n);
        for (std::size_t i = 0; i < n; ++i) {
            dense[i * n + i] = 1;
            h.multiply(dense.data() + i * n, scratch.data());
        }
        for (std::size_t i = 0; i < n; ++i)
            for (std::size_t j = 0; j <= i; ++j) {
                double product = 0;
                for (std::size_t c = 0; c < n; ++c)
                    product += dense[i * n + c] * dense[j * n + c];
                QVERIFY(product == (i == j ? order : 0) && std::fabs(dense[i * n + j]) == 1);
            }
        // x·H is the sum of its rows.
        const CounterRng rng(3);
        std::vector<double> x(n);
        std::vector<double> expected(n, 0);
        for (std::size_t i = 0; i < n; ++i) {
            x[i] = rng.normal(i);
            for (std::size_t j = 0; j < n; ++j)
                expected[j] += x[i] * dense[i * n + j];
        }
        h.multiply(x.data(), scratch.data());
        for (std::size_t j = 0; j < n; ++j)
            QVERIFY(std::fabs(x[j] - expected[j]) < 1e-10);
    }

    /// 576 = 12 · 12 · 4, as the element-wise product of its factors says.
    void kroneckerOrder()
    {
        const HadamardMatrix h(576);
        std::vector<double> scratch(576);
        const std::vector<double>& p = HadamardMatrix::paley(12);
        for (const std::size_t i : {0U, 1U, 49U, 300U, 575U}) {
            std::vector<double> row(576, 0);
            row[i] = 1;
            h.multiply(row.data(), scratch.data());
            for (std::size_t j = 0; j < 576; ++j) {
                const int parity = __builtin_popcount(static_cast<unsigned>((i % 4) & (j % 4))) % 2;
                QCOMPARE(row[j], p[i / 48 * 12 + j / 48] * p[i / 4 % 12 * 12 + j / 4 % 12] * (parity ? -1 : 1));
            }
        }
    }

    void ordersThatAreNotBuilt()
    {
        for (const int order : {0, -4, 3, 6, 9, 36, 44, 100, 11})
            QVERIFY2(!HadamardMatrix::has(order), std::to_string(order).c_str());
    }
};

QTEST_APPLESS_MAIN(HadamardMatrixTest)
#include "hadamard_matrix_test.moc"
