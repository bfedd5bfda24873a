// SPDX-License-Identifier: GPL-3.0-or-later
// Published numbers of formats that are laid out over the whole matrix, and their bytes read by hand.
#include "core/base/truncated_svd.h"
#include "core/formats/matrix_format.h"
#include "core/jobs/tiles.h"
#include "core/tensor/half.h"
#include "tests/support/acceptance.h"
#include "tests/support/layer_inputs.h"
#include "tests/support/quantize_support.h"

#include <array>
#include <cmath>
#include <complex>

using namespace ql;
using namespace ql::tests;

namespace {

std::vector<float> normal(std::int64_t n, std::uint64_t seed)
{
    const CounterRng rng(seed);
    std::vector<float> out(static_cast<std::size_t>(n));
    for (std::size_t i = 0; i < out.size(); ++i)
        out[i] = static_cast<float>(rng.normal(i));
    return out;
}

/// Student's t with 4 degrees of freedom times `size`.
std::vector<float> student4(std::int64_t n, std::uint64_t seed, double size)
{
    std::vector<float> out(static_cast<std::size_t>(n));
    for (std::size_t i = 0; i < out.size(); ++i) {
        double chi = 0;
        for (std::uint64_t k = 1; k <= 4; ++k)
            chi += std::pow(CounterRng(seed, k).normal(i), 2);
        out[i] = static_cast<float>(size * CounterRng(seed).normal(i) / std::sqrt(chi / 4));
    }
    return out;
}

double nmse(const std::vector<float>& w, const Shape& shape, const std::string& scheme)
{
    const TensorView view = viewOf(w, shape);
    const ErrorStats error = measureError(view, quantized(view, scheme), JobContext(sharedExecutor())).value();
    return error.sumSquaredError / error.sumSquares;
}

/// Σ xⱼ²·(w − ŵ)².
double weightedError(const std::vector<float>& w, const QuantizedTensor& q, const std::vector<double>& rms)
{
    const std::vector<float> back = restored(q);
    double error = 0;
    for (std::size_t i = 0; i < w.size(); ++i)
        error += std::pow(rms[i % rms.size()] * (static_cast<double>(w[i]) - static_cast<double>(back[i])), 2);
    return error;
}

ActivationStatistics inputsOf(std::int64_t cols, std::uint64_t seed)
{
    const CounterRng rng(seed);
    ActivationStatistics inputs;
    inputs.in = cols;
    inputs.tokens = 100;
    for (std::int64_t j = 0; j < cols; ++j)
        inputs.channelRms.push_back(std::exp(1.2 * rng.normal(static_cast<std::uint64_t>(j))));
    return inputs;
}

QuantizedTensor weighted(const TensorView& view, const std::string& scheme, const ActivationStatistics& inputs)
{
    const QuantizeTask task{.weights = view,
                            .scheme = parseScheme(scheme).value(),
                            .spec = parseQuantizerSpec("imatrix").value(),
                            .inputs = &inputs};
    return quantize(task, JobContext(sharedExecutor())).value();
}

float f16At(const std::byte* at)
{
    std::uint16_t bits = 0;
    std::memcpy(&bits, at, sizeof bits);
    return floatFromF16(bits);
}

float f32At(const std::byte* at)
{
    float value = 0;
    std::memcpy(&value, at, sizeof value);
    return value;
}

/// Whether the bytes of `fewer` are the first of those of `more`.
bool isPrefix(const QuantizedTensor& fewer, const QuantizedTensor& more)
{
    return fewer.codes.sizeBytes() < more.codes.sizeBytes() &&
           std::memcmp(fewer.codes.data(), more.codes.data(), static_cast<std::size_t>(fewer.codes.sizeBytes())) == 0;
}

/// Rank-k part of A[n, n] by the whole decomposition, A·V_k·V_kᵀ with eigenvectors of AᵀA by Jacobi rotations: ‖A −
/// A_k‖².
double restOfBestRank(const std::vector<float>& a, std::size_t n, std::size_t k)
{
    std::vector<double> m(n * n, 0.0);
    for (std::size_t r = 0; r < n; ++r)
        for (std::size_t i = 0; i < n; ++i)
            for (std::size_t j = 0; j < n; ++j)
                m[i * n + j] += static_cast<double>(a[r * n + i]) * static_cast<double>(a[r * n + j]);
    for (int sweep = 0; sweep < 12; ++sweep)
        for (std::size_t p = 0; p < n; ++p)
            for (std::size_t q = p + 1; q < n; ++q) {
                if (std::fabs(m[p * n + q]) < 1e-14)
                    continue;
                const double angle = 0.5 * std::atan2(2 * m[p * n + q], m[p * n + p] - m[q * n + q]);
                const double c = std::cos(angle);
                const double s = std::sin(angle);
                for (std::size_t i = 0; i < n; ++i) {
                    const double x = m[i * n + p];
                    const double y = m[i * n + q];
                    m[i * n + p] = c * x + s * y;
                    m[i * n + q] = c * y - s * x;
                }
                for (std::size_t i = 0; i < n; ++i) {
                    const double x = m[p * n + i];
                    const double y = m[q * n + i];
                    m[p * n + i] = c * x + s * y;
                    m[q * n + i] = c * y - s * x;
                }
            }
    std::vector<double> values;
    for (std::size_t i = 0; i < n; ++i)
        values.push_back(m[i * n + i]);
    std::ranges::sort(values, std::greater<>());
    double rest = 0;
    for (std::size_t i = k; i < n; ++i)
        rest += values[i];
    return rest;
}

} // namespace

class MatrixAcceptanceTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    // BitStack.
    void bitStackErrors()
    {
        const std::vector<float> w = normal(512 * 512, 11);
        struct Row {
            int blocks;
            double rank1, rank16;
        };
        double before1 = 1;
        double before16 = 1;
        for (const Row& row :
             {Row{1, .362, .323}, {2, .129, .105}, {3, .0576, .0393}, {4, .0323, .0170}, {8, .0125, .0021}}) {
            const std::string n = std::to_string(row.blocks);
            const double rank1 = nmse(w, {512, 512}, "bitstack" + n + "_1");
            const double rank16 = nmse(w, {512, 512}, "bitstack" + n + "_16");
            // The table has two or three digits.
            QL_NEAR("B9", ("NMSE of " + n + " blocks of rank 1, N(0,1) 512²").c_str(), rank1, row.rank1,
                    0.02 * row.rank1);
            QL_NEAR("B9", ("NMSE of " + n + " blocks of rank 16, N(0,1) 512²").c_str(), rank16, row.rank16,
                    0.02 * row.rank16 + (row.blocks == 8 ? 0.00003 : 0));
            QVERIFY(rank1 < before1 && rank16 < before16);
            before1 = rank1;
            before16 = rank16;
        }
        QL_NEAR("B9", "NMSE of one block of rank 1 is about 1 − 2/π", nmse(w, {512, 512}, "bitstack1_1"), 1 - 2 / M_PI,
                0.02 * (1 - 2 / M_PI));
    }

    /// Factors alone, as many bits of them as one block and two take, leave most of the weights out.
    void signsAreEssential()
    {
        const std::vector<float> w = normal(512 * 512, 11);
        double squares = 0;
        for (const float x : w)
            squares += static_cast<double>(x) * static_cast<double>(x);
        const auto restOfFactors = [&](std::int64_t k) {
            const std::vector<double> a(w.begin(), w.end());
            const TruncatedSvd svd =
                truncatedSvd(a.data(), 512, 512, k, parallelTiles(JobContext(sharedExecutor())), 1e-5).value();
            double error = squares;
            for (const double value : svd.values)
                error -= value * value;
            return error / squares;
        };
        QL_NEAR("B9", "NMSE of factors alone at the bits of one block of rank 16", restOfFactors(32), 0.79, 0.01);
        QL_NEAR("B9", "NMSE of factors alone at the bits of two blocks of rank 16", restOfFactors(64), 0.63, 0.01);
    }

    void bitStackBytes()
    {
        const auto bitsPerWeight = [](const char* scheme, std::int64_t rows, std::int64_t cols) {
            return static_cast<double>(payloadBits(parseScheme(scheme).value(), rows, cols)) /
                   static_cast<double>(rows * cols);
        };
        QL_NEAR("B9", "bits a weight and block, 4096 × 4096", bitsPerWeight("bitstack1_16", 4096, 4096), 1.125, 0);
        QL_NEAR("B9", "bits a weight and block, 4096 × 14336", bitsPerWeight("bitstack1_16", 4096, 14336), 1.0804,
                0.00005);
        QL_NEAR("B9", "bits a weight and block, 1024 × 4096", bitsPerWeight("bitstack1_16", 1024, 4096), 1.3125, 0);
        QL_NEAR("B9", "bits a weight and block, 512 × 512", bitsPerWeight("bitstack1_16", 512, 512), 2, 0);
        QCOMPARE(payloadBits(parseScheme("bitstack16_16").value(), 4096, 4096),
                 16 * payloadBits(parseScheme("bitstack1_16").value(), 4096, 4096));
    }

    void bitStackPrefixes()
    {
        const std::vector<float> w = normalSamples(48 * 200, 12);
        const TensorView view = viewOf(w, {48, 200});
        const QuantizedTensor all = quantized(view, "bitstack5_4");
        bool prefixes = true;
        for (const char* fewer : {"bitstack1_4", "bitstack2_4", "bitstack3_4", "bitstack4_4"}) {
            const QuantizedTensor few = quantized(view, fewer);
            prefixes = prefixes && isPrefix(few, all);
            // The first bytes of the longer one, loaded as the shorter scheme.
            std::vector<float> loaded(w.size());
            findMatrixFormat(few.scheme)->restore(all.codes.data(), {48, 200}, 0, 48 * 200, loaded.data());
            prefixes = prefixes && sameBits(loaded, restored(few));
        }
        QL_HOLDS("B9", "any prefix of the blocks loads", prefixes);
    }

    /// Signs, factors and sums by hand.
    void bitStackReadByHand()
    {
        constexpr std::int64_t kRows = 24;
        constexpr std::int64_t kCols = 37;
        const std::vector<float> w = normalSamples(kRows * kCols, 13);
        const QuantizedTensor q = quantized(viewOf(w, {kRows, kCols}), "bitstack3_5");
        const std::vector<float> x = restored(q);
        constexpr std::int64_t kSigns = 5 * kRows;
        constexpr std::int64_t kBlock = kSigns + 2 * 5 * (kRows + kCols);
        QCOMPARE(q.codes.sizeBytes(), 3 * kBlock);
        for (std::int64_t r = 0; r < kRows; ++r)
            for (std::int64_t c = 0; c < kCols; ++c) {
                float sum = 0;
                for (std::int64_t b = 0; b < 3; ++b) {
                    const std::byte* block = q.codes.data() + b * kBlock;
                    float product = 0;
                    for (std::int64_t k = 0; k < 5; ++k)
                        product += f16At(block + kSigns + 2 * (r * 5 + k)) *
                                   f16At(block + kSigns + 2 * (5 * kRows + k * kCols + c));
                    const bool plus = (static_cast<unsigned>(block[r * 5 + c / 8]) >> (7 - c % 8) & 1U) != 0;
                    if (b == 0) // the first signs are the weights' own
                        QCOMPARE(plus, !(w[static_cast<std::size_t>(r * kCols + c)] < 0));
                    sum += plus ? product : -product;
                }
                QCOMPARE(x[static_cast<std::size_t>(r * kCols + c)], sum);
            }
    }

    /// Of one block the magnitudes are the best of their rank: Eckart and Young, but for f16.
    void bitStackIsTheBestRank()
    {
        const std::vector<float> w = normal(40 * 40, 14);
        std::vector<float> magnitudes(w);
        for (float& x : magnitudes)
            x = std::fabs(x);
        for (const std::size_t k : {1U, 3U, 8U, 31U}) { // 31 and 8 more: all directions
            const double best = restOfBestRank(magnitudes, 40, k);
            const TensorView view = viewOf(w, {40, 40});
            const double reached = squaredError(view, quantized(view, "bitstack1_" + std::to_string(k)));
            QVERIFY2(reached >= best * (1 - 1e-3) && reached <= best * 1.02,
                     qPrintable(QString::number(reached / best)));
        }
        // Beyond the rank there is nothing left but the rounding of factors.
        const TensorView view = viewOf(w, {40, 40});
        QVERIFY(squaredError(view, quantized(view, "bitstack1_64")) < 1e-6 * 40 * 40);
    }

    /// Known inputs are W·diag(s) decomposed, with 1/s in V: the weighted error falls, and no byte is added.
    void bitStackScalesByInputs()
    {
        const std::vector<float> w = normal(96 * 160, 15);
        const TensorView view = viewOf(w, {96, 160});
        const ActivationStatistics inputs = inputsOf(160, 16);
        for (const char* scheme : {"bitstack1_8", "bitstack4_8"}) {
            const QuantizedTensor scaled = weighted(view, scheme, inputs);
            const double plain = weightedError(w, quantized(view, scheme), inputs.channelRms);
            const double reached = weightedError(w, scaled, inputs.channelRms);
            QVERIFY2(reached < 0.9 * plain, qPrintable(QString::number(reached / plain)));
            // The same as decomposing the scaled matrix itself.
            std::vector<float> product(w);
            const double most = *std::ranges::max_element(inputs.channelRms);
            for (std::size_t i = 0; i < w.size(); ++i)
                product[i] =
                    static_cast<float>(static_cast<double>(w[i]) * std::max(1e-3, inputs.channelRms[i % 160] / most));
            const std::vector<float> own = restored(quantized(viewOf(product, {96, 160}), scheme));
            double error = 0;
            for (std::size_t i = 0; i < w.size(); ++i)
                error += std::pow(static_cast<double>(product[i]) - static_cast<double>(own[i]), 2);
            QVERIFY(std::fabs(error * most * most / reached - 1) < 0.02);
        }
    }

    // Fairy2i.
    void fairyErrors()
    {
        const std::vector<float> w = normal(512 * 512, 17);
        const std::array<double, 4> expected{.3636, .1305, .0585, .0330};
        for (std::size_t t = 0; t < 4; ++t)
            QL_NEAR("B12", ("NMSE of " + std::to_string(t + 1) + " stages, N(0,1)").c_str(),
                    nmse(w, {512, 512}, "fairy2i" + std::to_string(t + 1)), expected[t], 0.01 * expected[t]);
        QL_NEAR("B12", "NMSE of one stage is 1 − 2/π", nmse(w, {512, 512}, "fairy2i1"), 1 - 2 / M_PI, 0.003);
        // The scale of a stage is 1.128 σ of a part: parts of U have σ = 1/√2.
        const QuantizedTensor q = quantized(viewOf(w, {512, 512}), "fairy2i1");
        QL_NEAR("B12", "scale over σ of a part", static_cast<double>(f32At(q.codes.data())) * std::sqrt(2.0), 1.128,
                0.01);
        QL_NEAR("B12", "bits a weight of two stages, 4096²",
                static_cast<double>(payloadBits(parseScheme("fairy2i2").value(), 4096, 4096)) / (4096.0 * 4096.0), 2,
                0.0001);
        const TensorView view = viewOf(w, {512, 512});
        QVERIFY(isPrefix(quantized(view, "fairy2i1"), quantized(view, "fairy2i3")));
        QVERIFY(isPrefix(quantized(view, "fairy2i3"), quantized(view, "fairy2i4")));
    }

    /// The complex form acts as the real matrix does: y = U·x + V·conj(x) with U and V read by hand from the bytes.
    void fairyIsWidelyLinear()
    {
        constexpr std::int64_t kN = 6;
        constexpr std::int64_t kM = 10;
        const std::vector<float> w = normal(4 * kN * kM, 18);
        const QuantizedTensor q = quantized(viewOf(w, {2 * kN, 2 * kM}), "fairy2i3");
        const std::vector<float> back = restored(q);
        constexpr std::int64_t kRow = 3; // bytes of ten codes
        constexpr std::int64_t kCodes = kRow * kN;
        using Complex = std::complex<double>;
        std::vector<Complex> x;
        const CounterRng rng(19);
        for (std::uint64_t j = 0; j < kM; ++j)
            x.emplace_back(rng.normal(2 * j), rng.normal(2 * j + 1));
        double worst = 0;
        for (std::int64_t r = 0; r < kN; ++r) {
            Complex y;
            for (std::int64_t c = 0; c < kM; ++c)
                for (std::int64_t s = 0; s < 3; ++s)
                    for (std::int64_t part = 0; part < 2; ++part) {
                        const std::byte* stage = q.codes.data() + s * (16 + 2 * kCodes);
                        const auto byte = static_cast<unsigned>(stage[16 + part * kCodes + r * kRow + c / 4]);
                        const unsigned code = byte >> (2 * (c % 4)) & 3U;
                        const auto re = static_cast<double>(f32At(stage + 8 * part));
                        const auto im = static_cast<double>(f32At(stage + 8 * part + 4));
                        const Complex value = code == 0   ? Complex(-re, 0)
                                              : code == 1 ? Complex(re, 0)
                                              : code == 2 ? Complex(0, -im)
                                                          : Complex(0, im);
                        const Complex in = x[static_cast<std::size_t>(c)];
                        y += value * (part == 0 ? in : std::conj(in));
                    }
            Complex real;
            for (std::int64_t c = 0; c < kM; ++c) {
                const Complex in = x[static_cast<std::size_t>(c)];
                const auto at = [&](std::int64_t row, std::int64_t col) {
                    return static_cast<double>(back[static_cast<std::size_t>(row * 2 * kM + col)]);
                };
                real += Complex(at(r, c) * in.real() + at(r, kM + c) * in.imag(),
                                at(kN + r, c) * in.real() + at(kN + r, kM + c) * in.imag());
            }
            worst = std::max(worst, std::abs(y - real));
        }
        QL_AT_MOST("B12", "the real matrix and U·x + V·conj(x) differ by", worst, 1e-5);
    }

    /// Every code is the cell of the angle, ties counterclockwise, the scales are the means: stage by stage by hand.
    void fairyByHand()
    {
        constexpr std::int64_t kN = 16;
        std::vector<float> w = normal(4 * kN * kN, 20);
        w[0] = w[static_cast<std::size_t>(kN * 2 * kN + kN)] = 2; // U11 = 2 + i·…
        std::vector<std::complex<double>> u(kN * kN);
        std::vector<std::complex<double>> v(kN * kN);
        for (std::size_t r = 0; r < kN; ++r)
            for (std::size_t c = 0; c < kN; ++c) {
                const auto at = [&](std::size_t row, std::size_t col) {
                    return static_cast<double>(w[row * 2 * kN + col]);
                };
                u[r * kN + c] = {(at(r, c) + at(kN + r, kN + c)) / 2, (at(kN + r, c) - at(r, kN + c)) / 2};
                v[r * kN + c] = {(at(r, c) - at(kN + r, kN + c)) / 2, (at(r, kN + c) + at(kN + r, c)) / 2};
            }
        std::vector<double> expected(w.size());
        for (int part = 0; part < 2; ++part) {
            auto& z = part == 0 ? u : v;
            std::vector<std::complex<double>> sum(z.size());
            for (int stage = 0; stage < 2; ++stage) {
                std::vector<int> code;
                std::array<double, 2> total{};
                std::array<double, 2> count{};
                for (const auto& value : z) {
                    const double quarter = std::atan2(value.imag(), value.real()) / (M_PI / 2);
                    const int k = (static_cast<int>(std::floor(quarter + 0.5)) + 4) % 4; // 0: +1, 1: +i, 2: −1, 3: −i
                    code.push_back(k);
                    total[static_cast<std::size_t>(k % 2)] += std::fabs(k % 2 == 0 ? value.real() : value.imag());
                    count[static_cast<std::size_t>(k % 2)] += 1;
                }
                for (std::size_t i = 0; i < z.size(); ++i) {
                    const double scale =
                        total[static_cast<std::size_t>(code[i] % 2)] / count[static_cast<std::size_t>(code[i] % 2)];
                    const std::complex<double> value = std::array<std::complex<double>, 4>{
                        {{scale, 0}, {0, scale}, {-scale, 0}, {0, -scale}}}[static_cast<std::size_t>(code[i])];
                    sum[i] += value;
                    z[i] -= value;
                }
            }
            z = sum;
        }
        const std::vector<float> x = restored(quantized(viewOf(w, {2 * kN, 2 * kN}), "fairy2i2"));
        for (std::size_t r = 0; r < kN; ++r)
            for (std::size_t c = 0; c < kN; ++c) {
                const auto uu = u[r * kN + c];
                const auto vv = v[r * kN + c];
                const auto near = [&](std::size_t row, std::size_t col, double value) {
                    return std::fabs(static_cast<double>(x[row * 2 * kN + col]) - value) < 1e-5;
                };
                QVERIFY(near(r, c, uu.real() + vv.real()) && near(r, kN + c, vv.imag() - uu.imag()));
                QVERIFY(near(kN + r, c, vv.imag() + uu.imag()) && near(kN + r, kN + c, uu.real() - vv.real()));
            }
    }

    /// i·W: the halves of the outputs change places with a sign. Codes turn, scales of ±1 and ±i change places, the
    /// error stays.
    void fairyTurns()
    {
        constexpr std::size_t kN = 32;
        const std::vector<float> w = normal(4 * kN * kN, 21);
        std::vector<float> turned(w.size());
        for (std::size_t r = 0; r < kN; ++r)
            for (std::size_t c = 0; c < 2 * kN; ++c) {
                turned[r * 2 * kN + c] = -w[(kN + r) * 2 * kN + c];
                turned[(kN + r) * 2 * kN + c] = w[r * 2 * kN + c];
            }
        const Shape shape{2 * kN, 2 * kN};
        const QuantizedTensor a = quantized(viewOf(w, shape), "fairy2i2");
        const QuantizedTensor b = quantized(viewOf(turned, shape), "fairy2i2");
        bool swapped = true;
        bool permuted = true;
        constexpr std::int64_t kStage = 16 + 2 * kN * kN / 4;
        constexpr std::array<unsigned, 4> kTurned{2, 3, 1, 0}; // −1 → −i, +1 → +i, −i → +1, +i → −1
        for (std::int64_t s = 0; s < 2; ++s) {
            for (std::int64_t part = 0; part < 2; ++part) {
                const std::int64_t at = s * kStage + 8 * part;
                swapped = swapped && f32At(a.codes.data() + at) == f32At(b.codes.data() + at + 4) &&
                          f32At(a.codes.data() + at + 4) == f32At(b.codes.data() + at);
            }
            for (std::int64_t i = s * kStage + 16; i < (s + 1) * kStage; ++i)
                for (unsigned k = 0; k < 4; ++k)
                    permuted = permuted && (static_cast<unsigned>(b.codes.data()[i]) >> (2 * k) & 3U) ==
                                               kTurned[static_cast<unsigned>(a.codes.data()[i]) >> (2 * k) & 3U];
        }
        QL_HOLDS("B12", "turning by i permutes the codes", permuted);
        QL_HOLDS("B12", "turning by i swaps the scales", swapped);
        QL_NEAR("B12", "turning by i changes the error by",
                squaredError(viewOf(turned, shape), b) / squaredError(viewOf(w, shape), a), 1, 1e-6);
    }

    void fairyRefusesOddSides()
    {
        const std::vector<float> w = normal(33 * 64, 22);
        for (const Shape& shape : {Shape{33, 64}, Shape{64, 33}}) {
            const QuantizeTask task{viewOf(w, shape), parseScheme("fairy2i2").value(), {}, nullptr};
            const auto refused = quantize(task, JobContext(sharedExecutor()));
            QVERIFY(!refused && refused.error().code == Errc::refused);
            QVERIFY(refused.error().what.find("even") != std::string::npos);
        }
    }

    // iFairy.
    void fairyBlocks()
    {
        using Complex = std::complex<double>;
        const MatrixFormat& format = *findMatrixFormat("ifairy");
        QL_HOLDS("B13", "256 complex weights take 68 bytes", format.sizeBytes({2, 256}) == 68);
        QL_NEAR("B13", "bits a complex weight", static_cast<double>(format.sizeBytes({2, 1024})) * 8 / 1024, 2.125, 0);
        // All four codes, by hand; a product with them needs no multiplication but by the scales.
        std::vector<std::byte> block(68);
        block[0] = std::byte{0b11100100}; // −s, s, −i t, i t
        const std::array<std::uint16_t, 2> scales{f16FromFloat(0.75F), f16FromFloat(2)};
        std::memcpy(block.data() + 64, scales.data(), sizeof scales);
        std::array<std::array<float, 4>, 2> parts{};
        format.restore(block.data(), {2, 256}, 0, 4, parts[0].data());
        format.restore(block.data(), {2, 256}, 256, 4, parts[1].data());
        QL_HOLDS("B13", "the four codes are −1, +1, −i and +i",
                 (parts[0] == std::array<float, 4>{-0.75F, 0.75F, 0, 0}) &&
                     (parts[1] == std::array<float, 4>{0, 0, -2, 2}));
        bool products = true;
        const CounterRng rng(28);
        for (std::uint64_t i = 0; i < 100; ++i) {
            const Complex x(rng.normal(2 * i), rng.normal(2 * i + 1));
            const std::array<Complex, 4> moved{Complex(-x.real(), -x.imag()), x, Complex(x.imag(), -x.real()),
                                               Complex(-x.imag(), x.real())}; // signs and places only
            for (std::size_t k = 0; k < 4; ++k) {
                const Complex w(static_cast<double>(parts[0][k]), static_cast<double>(parts[1][k]));
                products = products && std::abs(w * x - moved[k] * (k < 2 ? 0.75 : 2.0)) < 1e-12;
            }
        }
        QL_HOLDS("B13", "products without multiplications are the complex ones", products);
        const std::vector<float> w = normal(2 * 512 * 1024, 29);
        const QuantizedTensor q = quantized(viewOf(w, {1024, 1024}), "ifairy");
        std::array<double, 4> counts{};
        for (std::int64_t b = 0; b < 512 * 4; ++b)
            for (std::int64_t e = 0; e < 256; ++e)
                counts[static_cast<unsigned>(q.codes.data()[68 * b + e / 4]) >> (2 * (e % 4)) & 3U] += 1;
        double entropy = 0;
        for (const double count : counts)
            entropy -= count / (512 * 1024) * std::log2(count / (512 * 1024));
        QL_AT_LEAST("B13", "entropy of the codes of Gaussian weights, bits", entropy, 1.9999);
        QL_NEAR("B13", "NMSE of Gaussian weights", nmse(w, {1024, 1024}, "ifairy"), 0.3634, 0.002);
        for (const Shape& shape : {Shape{32, 100}, Shape{31, 256}}) {
            const QuantizeTask task{viewOf(w, shape), parseScheme("ifairy").value(), {}, nullptr};
            const auto refused = quantize(task, JobContext(sharedExecutor()));
            QVERIFY(!refused && refused.error().code == Errc::refused);
            QL_HOLDS("B13", "weights that are no complex pairs are refused and sent to fairy2i",
                     refused.error().what.find("fairy2i") != std::string::npos);
        }
    }

    // Dual grained.
    void dualIsInt8Exactly()
    {
        const std::vector<float> w = student4(32 * 400, 23, 0.02);
        const TensorView view = viewOf(w, {32, 400});
        const QuantizedTensor q = quantized(view, "dgq4:g128");
        const std::vector<float> x = restored(q);
        constexpr std::int64_t kGroups = 4; // the last of 16
        const std::byte* n = q.codes.data() + 32 * 200;
        const std::byte* z = n + 32 * kGroups;
        const std::byte* s = z + 32 * kGroups;
        QCOMPARE(q.codes.sizeBytes(), 32 * 200 + 2 * 32 * kGroups + 2 * 32);
        bool fits = true;
        std::vector<int> integers;
        for (std::int64_t r = 0; r < 32; ++r)
            for (std::int64_t c = 0; c < 400; ++c) {
                const auto pair = static_cast<unsigned>(q.codes.data()[r * 200 + c / 2]);
                const int code = static_cast<int>(c % 2 == 0 ? pair & 15U : pair >> 4U);
                const int value =
                    static_cast<int>(n[r * kGroups + c / 128]) * (code - static_cast<int>(z[r * kGroups + c / 128]));
                fits = fits && value >= -127 && value <= 127 && static_cast<int>(z[r * kGroups + c / 128]) < 16;
                QCOMPARE(x[static_cast<std::size_t>(r * 400 + c)], f16At(s + 2 * r) * static_cast<float>(value));
                integers.push_back(value);
            }
        QL_HOLDS("A8", "every n·(q − z) lies within ±127", fits);
        // Integer products of int8 inputs, scaled once, are the float products of what is restored.
        const CounterRng rng(24);
        double worst = 0;
        for (std::int64_t r = 0; r < 32; ++r) {
            std::int32_t sum = 0;
            double product = 0;
            double magnitude = 0;
            constexpr double kInputScale = 0.037;
            for (std::int64_t c = 0; c < 400; ++c) {
                const int input = static_cast<int>(rng.bits(static_cast<std::uint64_t>(c)) % 255) - 127;
                const auto i = static_cast<std::size_t>(r * 400 + c);
                sum += input * integers[i];
                product += kInputScale * input * static_cast<double>(x[i]);
                magnitude += std::fabs(kInputScale * input * static_cast<double>(x[i]));
            }
            const double byIntegers = sum * kInputScale * static_cast<double>(f16At(s + 2 * r));
            worst = std::max(worst, std::fabs(byIntegers - product) / magnitude);
        }
        QL_AT_MOST("A8", "int32 products times both scales against float ones, relative", worst, 1e-6);
    }

    /// Without any search, as the paper's first step has it.
    void dualAgainstRealScales()
    {
        constexpr std::int64_t kRows = 64;
        constexpr std::int64_t kCols = 1024;
        const std::vector<float> w = student4(kRows * kCols, 25, 0.02);
        double real = 0;
        double dual = 0;
        for (std::int64_t r = 0; r < kRows; ++r) {
            double largest = 0;
            for (std::int64_t c = 0; c < kCols; ++c)
                largest = std::max(largest, std::fabs(static_cast<double>(w[static_cast<std::size_t>(r * kCols + c)])));
            const double s8 = static_cast<double>(floatFromF16(f16FromFloat(static_cast<float>(largest / 127))));
            for (std::int64_t g = 0; g < kCols / 128; ++g) {
                const float* its = w.data() + r * kCols + g * 128;
                const double low = std::min(0.0, static_cast<double>(*std::min_element(its, its + 128)));
                const double high = std::max(0.0, static_cast<double>(*std::max_element(its, its + 128)));
                const double s4 = (high - low) / 15;
                const double z = std::nearbyint(-low / s4);
                const double n = std::max(1.0, std::nearbyint(s4 / s8));
                const double reach = std::floor(127 / n);
                for (int i = 0; i < 128; ++i) {
                    const auto x = static_cast<double>(its[i]);
                    real += std::pow(x - s4 * (std::clamp(std::nearbyint(x / s4) + z, 0.0, 15.0) - z), 2);
                    const double q = std::clamp(std::nearbyint(x / (n * s8)) + z, std::max(0.0, z - reach),
                                                std::min(15.0, z + reach));
                    dual += std::pow(x - n * s8 * (q - z), 2);
                }
            }
        }
        const TensorView view = viewOf(w, {kRows, kCols});
        const double searched = squaredError(view, quantized(view, "dgq4:g128"));
        const double channel = squaredError(view, quantized(view, "int4:restricted"));
        QL_AT_MOST("A8", "error of integer group scales over that of real ones, t(4), without search", dual / real,
                   1.03);
        QL_AT_MOST("A8", "error after both searches over that without", searched / dual, 1.0);
        QL_AT_LEAST("A8", "error of int4 rows over that of two grains", channel / dual, 4.0);
        QL_NEAR("A8", "bits a weight, 4096 × 4096",
                static_cast<double>(payloadBits(parseScheme("dgq4:g128").value(), 4096, 4096)) / (4096.0 * 4096.0),
                4 + 16 / 128.0 + 16 / 4096.0, 0);
    }

    void dualSearchesUnderImportance()
    {
        const std::vector<float> w = student4(16 * 512, 26, 0.02);
        const TensorView view = viewOf(w, {16, 512});
        const ActivationStatistics inputs = inputsOf(512, 27);
        const double plain = weightedError(w, quantized(view, "dgq4:g64"), inputs.channelRms);
        const double reached = weightedError(w, weighted(view, "dgq4:g64", inputs), inputs.channelRms);
        QVERIFY2(reached < plain, qPrintable(QString::number(reached / plain)));
    }
};

QTEST_APPLESS_MAIN(MatrixAcceptanceTest)
#include "matrix_acceptance_test.moc"
