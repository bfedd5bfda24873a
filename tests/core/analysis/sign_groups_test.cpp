// SPDX-License-Identifier: GPL-3.0-or-later
// Use of sign codes against a softmax over all codes of all groups.
#include "core/analysis/sign_groups.h"
#include "tests/support/acceptance.h"
#include "tests/support/quantize_support.h"

#include <cmath>
#include <limits>
#include <map>

using namespace ql;
using namespace ql::tests;

namespace {

SignUse useOf(const std::vector<float>& x, std::int64_t cols, int dims, double temperature = 1)
{
    return signUse(viewOf(x, {std::ssize(x) / cols, cols}), dims, temperature, JobContext(sharedExecutor())).value();
}

/// Rows of dims numbers that hang together: neighbours share a part.
std::vector<float> correlated(std::int64_t vectors, int dims)
{
    const CounterRng rng(91);
    std::vector<float> x;
    for (std::int64_t v = 0; v < vectors; ++v)
        for (int i = 0; i < dims; ++i) {
            const auto at = static_cast<std::uint64_t>(v * (dims + 1));
            x.push_back(static_cast<float>(rng.normal(at) + 0.7 * rng.normal(at + 1 + static_cast<std::uint64_t>(i))));
        }
    return x;
}

double term(double p)
{
    return p > 0 ? -p * std::log2(p) : 0;
}

struct Soft {
    double sample = 0, batch = 0, usage = 0, utilisation = 0;
};

/// All codes of every group, each with its logit.
Soft bySoftmax(const std::vector<float>& x, int dims, int groups, double temperature)
{
    double squares = 0;
    for (const float value : x)
        squares += static_cast<double>(value) * static_cast<double>(value);
    const double rms = std::sqrt(squares / static_cast<double>(x.size()));
    const int width = dims / groups;
    const unsigned codes = 1U << width;
    const std::int64_t vectors = std::ssize(x) / dims;
    Soft all;
    for (int g = 0; g < groups; ++g) {
        std::vector<double> mean(codes);
        std::map<unsigned, double> counts;
        for (std::int64_t v = 0; v < vectors; ++v) {
            const float* values = x.data() + v * dims + g * width;
            std::vector<double> p(codes);
            double total = 0;
            unsigned best = 0;
            for (unsigned c = 0; c < codes; ++c) {
                double dot = 0;
                for (int i = 0; i < width; ++i)
                    dot += static_cast<double>(values[i]) / rms * ((c >> i) & 1U ? 1 : -1);
                p[c] = std::exp(2 * dot / temperature);
                total += p[c];
                best = p[c] > p[best] ? c : best; // the code of the signs has the largest logit
            }
            for (unsigned c = 0; c < codes; ++c) {
                all.sample += term(p[c] / total) / static_cast<double>(vectors);
                mean[c] += p[c] / total / static_cast<double>(vectors);
            }
            counts[best] += 1 / static_cast<double>(vectors);
        }
        for (const double p : mean)
            all.batch += term(p);
        for (const auto& [code, share] : counts)
            all.usage += term(share);
        all.utilisation += static_cast<double>(counts.size()) / codes / groups;
    }
    return all;
}

} // namespace

class SignGroupsTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void equalsTheSoftmaxOverAllCodes()
    {
        constexpr int kDims = 8;
        const std::vector<float> x = correlated(300, kDims);
        for (const double temperature : {1.0, 0.3}) {
            const SignUse use = useOf(x, kDims, kDims, temperature);
            QCOMPARE(use.vectors, 300);
            QCOMPARE(use.byGroups.size(), 4U);
            for (const SignGroups& groups : use.byGroups) {
                const Soft soft = bySoftmax(x, kDims, groups.groups, temperature);
                const std::string where =
                    ", G = " + std::to_string(groups.groups) + ", T = " + formatSignificant(temperature, 2);
                QL_NEAR("A18", "sample entropy factorises" + where, use.sampleBits, soft.sample, 1e-6);
                QL_NEAR("A18", "batch entropy" + where, groups.batchBits, soft.batch, 1e-9);
                QL_NEAR("A18", "codes of every group are those of the whole" + where, groups.usageBits, soft.usage,
                        1e-9);
                QVERIFY(std::fabs(groups.utilisation - soft.utilisation) < 1e-12);
            }
        }
    }

    void groupsAreNoBetterThanTheWhole()
    {
        const SignUse use = useOf(correlated(2000, 8), 8, 8);
        for (std::size_t i = 1; i < use.byGroups.size(); ++i) {
            const std::string where = ", G = " + std::to_string(use.byGroups[i].groups);
            QL_AT_LEAST("A18", "batch entropy over groups less that of the whole" + where,
                        use.byGroups[i].batchBits - use.byGroups[0].batchBits, 0.1);
            QVERIFY(use.byGroups[i].usageBits - use.byGroups[0].usageBits > 0.1);
        }
        // All patterns once: signs are independent, all codes are in use.
        std::vector<float> all;
        for (unsigned code = 0; code < 256; ++code)
            for (unsigned bit = 0; bit < 8; ++bit)
                all.push_back((code >> bit) & 1U ? 0.7F : -0.7F);
        for (const SignGroups& groups : useOf(all, 8, 8).byGroups) {
            QL_NEAR("A18", "batch entropy of independent groups", groups.batchBits, 8, 1e-12);
            QVERIFY(std::fabs(groups.usageBits - 8) < 1e-12 && groups.utilisation == 1);
        }
    }

    void closedForms()
    {
        QL_NEAR("A18", "compression at f = 32, d = 32", signCompression(32, 32), 768, 0);
        // One code: nothing to tell; ± 1 are rms 1.
        const SignUse one = useOf({1, -1, 1, 1, -1, 1}, 6, 3);
        QCOMPARE(one.vectors, 2);
        QVERIFY(one.byGroups.size() == 1 && one.byGroups[0].usageBits == 0 && one.byGroups[0].utilisation == 0.125);
        const double p = 1 / (1 + std::exp(-4.0));
        QVERIFY(std::fabs(one.sampleBits - 3 * (term(p) + term(1 - p))) < 1e-12);
        // Zeros are −1 and as likely 1; NaN and infinities count as zeros, those above as signs.
        constexpr float kInfinity = std::numeric_limits<float>::infinity();
        const SignUse odd = useOf({0, std::numeric_limits<float>::quiet_NaN(), kInfinity, -kInfinity}, 2, 2);
        QVERIFY(odd.sampleBits == 2 && odd.byGroups[0].usageBits == 1 && odd.byGroups[0].utilisation == 0.5);
        QCOMPARE(useOf({1, 2, 3}, 3, 2).vectors, 1); // the rest of the row is left out
        QCOMPARE(useOf({1, 2, 3}, 3, 4).vectors, 0);
        QVERIFY(!signUse(viewOf({1, 2}, {1, 2}), 11, 1, JobContext(sharedExecutor())));
        QVERIFY(!signUse(viewOf({1, 2}, {1, 2}), 2, 0, JobContext(sharedExecutor())));
    }

    void equalForAnyThreadCount()
    {
        const std::vector<float> x = correlated(40000, 8);
        Executor alone(1);
        const SignUse one = signUse(viewOf(x, {40000, 8}), 8, 1, JobContext(alone)).value();
        const SignUse two = useOf(x, 8, 8);
        QVERIFY(one.sampleBits == two.sampleBits);
        for (std::size_t i = 0; i < one.byGroups.size(); ++i)
            QVERIFY(one.byGroups[i].batchBits == two.byGroups[i].batchBits &&
                    one.byGroups[i].usageBits == two.byGroups[i].usageBits);
    }
};

QTEST_APPLESS_MAIN(SignGroupsTest)
#include "sign_groups_test.moc"
