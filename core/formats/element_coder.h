// SPDX-License-Identifier: GPL-3.0-or-later
// The inner loops of quantizing and restoring: runs of elements that share one scale. Vectorised with run-time
// dispatch; division, multiplication, addition and rounding only, each rounded once, so the bits are equal on any CPU
// and equal to those of nearestCode().
//
//   code  = nearest level of w/scale            symmetric; ties to the even code
//         = clamp(rint(w/scale) + zero)          integer zero point
//         = clamp(rint((w − minimum)/scale))     minimum: codes 0…2^b−1
//   value = level·scale, (code − zero)·scale or code·scale + minimum
// NaN counts as 0, infinities saturate. Minifloats code what rounds to zero as +0. Thread-safe: const data only.
#pragma once

#include "core/formats/scheme.h"

#include <array>
#include <span>

namespace ql {

/// What elements of one run share.
struct Affine {
    float scale = 1; // the factor of the level: the stored scale, times the tensor's
    int zero = 0;
    float minimum = 0;
};

/// A scheme's element, ready for loops.
struct ElementCoder {
    explicit ElementCoder(const Scheme& scheme);
    /// Codes 0…count−1 whose level is the code: the zero point and the minimum say the rest.
    static ElementCoder steps(int count);
    /// Codes of at most 256 ascending levels.
    static ElementCoder codebook(std::span<const float> levels);

    FormatKind kind;
    int bits = 0;
    // Integers: range of codes, level of code 1, and whether codes are 0…2^b−1 (minimum).
    int low = 0, high = 0;
    float step = 1;
    bool unsignedCodes = false;
    // Minifloats: magnitudes above lastFinite are NaN, except `infinite`, if there is one.
    int mantissaBits = 0, bias = 0;
    float minLevel = 0, maxLevel = 0, smallestNormal = 0;
    float magic = 0; // its last place is the smallest step
    int lastFinite = 0, infinite = -1;
    // Codebooks: thresholds[i] is the least float that is coded above the i-th level in ascending order; those there
    // are not are NaN, which nothing reaches. inOrder: that level's code is i, otherwise codes[i].
    int levelCount = 0;
    bool inOrder = true;
    std::array<float, 256> thresholds{};
    std::array<std::int32_t, 256> codes{};
    std::array<float, 256> levels{}; // by the byte of a code

private:
    explicit ElementCoder(FormatKind ofKind) : kind(ofKind) {}
    void takeLevels(std::span<const float> ascending, std::span<const std::uint8_t> codesOfThem);
};

/// How a quotient w/scale is rounded before the code is chosen: as a library that computes in that type does.
enum class QuotientType { f32, bf16, f16 };

/// Codes of n elements, one byte each.
void encodeRun(const ElementCoder& coder, const Affine& affine, const float* weights, std::int64_t n,
               std::uint8_t* codes);
/// The same as compressed-tensors does it, integers only: clamp(rint(T(T(w/scale) + zero))) with T the type the library
/// computes in.
void encodeRunRounded(const ElementCoder& coder, const Affine& affine, QuotientType type, const float* weights,
                      std::int64_t n, std::uint8_t* codes);
/// What each element of a column of W has: arrays of n; zero and minimum null where there are none.
struct AffineColumn {
    const float* scale = nullptr; // times the tensor's
    const std::int32_t* zero = nullptr;
    const float* minimum = nullptr;
};
/// Codes of n weights, each with a scale of its own, and what they restore to; n is a multiple of 16. Each is coded as
/// encodeRun would code it alone.
void encodeColumn(const ElementCoder& coder, const AffineColumn& column, const float* weights, std::int64_t n,
                  std::uint8_t* codes, float* restored);
/// What n codes restore to.
void decodeRun(const ElementCoder& coder, const Affine& affine, const std::uint8_t* codes, std::int64_t n, float* out);
/// f16FromFloat or bf16FromFloat of n values; dtype is f16 or bf16.
void narrowRun(Dtype dtype, const float* values, std::int64_t n, std::uint16_t* bits);
/// Σ (w − ŵ)² over n elements if they were coded so, in double, in a fixed tree of 16 partial sums. Weights are finite;
/// infinite if the scale is 0.
double squaredErrorOfRun(const ElementCoder& coder, const Affine& affine, const float* weights, std::int64_t n);

/// Σ importance·(w − ŵ)² likewise; importances are finite and not negative.
double weightedErrorOfRun(const ElementCoder& coder, const Affine& affine, const float* weights,
                          const float* importance, std::int64_t n);

/// About the same for several candidates, several times as fast: quotients by the inverse, sums in float. Not equal on
/// every CPU; only for RoughBounds.
void roughErrorsOfRun(const ElementCoder& coder, std::span<const Affine> candidates, const float* weights,
                      std::int64_t n, float* errors);

/// Between which Σ (w − ŵ)² surely lies, as squaredErrorOfRun would give it.
struct ErrorBounds {
    double least = 0;
    double most = 0;
};
class RoughBounds {
public:
    /// For sums of rough errors of n weights up to absMax in magnitude, taken in runs of at most runLength.
    RoughBounds(const ElementCoder& coder, std::int64_t n, std::int64_t runLength, float absMax);
    ErrorBounds of(const Affine& affine, double roughError) const;

private:
    double m_step, m_levels, m_absMax, m_apart, m_rounding;
};

/// Largest magnitude, minimum and maximum of the finite elements, 0 if there are none; whether all are finite.
struct RunRange {
    float absMax = 0;
    float min = 0;
    float max = 0;
    bool any = false;
    bool allFinite = true;
    void merge(const RunRange& other);
};
RunRange rangeOfRun(const float* weights, std::int64_t n);

/// Partial sums of an error: Σ (w − ŵ)², Σ w², max |w − ŵ| over elements with finite w, in a fixed tree of 16 partial
/// sums.
struct RunError {
    double squaredError = 0;
    double squares = 0;
    double maxAbsError = 0;
    std::int64_t count = 0;
};
RunError errorOfRun(const float* weights, const float* restored, std::int64_t n);

} // namespace ql
