// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/export/tensor_compare.h"

#include "core/base/file.h"
#include "core/tensor/half.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <cstring>

namespace ql {

namespace {

template<typename Bits, typename ToFloat>
void compareBits(const std::byte* expected, const std::byte* actual, std::int64_t count, const ToFloat& toFloat,
                 VerifiedTensor& result)
{
    const auto size = static_cast<std::size_t>(count) * sizeof(Bits);
    if (std::memcmp(expected, actual, size) == 0)
        return;
    for (std::size_t at = 0; at < size; at += sizeof(Bits)) {
        Bits a{};
        Bits b{};
        std::memcpy(&a, expected + at, sizeof a);
        std::memcpy(&b, actual + at, sizeof b);
        if (a == b)
            continue;
        ++result.differing;
        const double difference = std::fabs(static_cast<double>(toFloat(a)) - static_cast<double>(toFloat(b)));
        // NaN on either side: no size of the difference can be given
        result.maxAbsDifference = std::isnan(difference) ? HUGE_VAL : std::max(result.maxAbsDifference, difference);
    }
}

} // namespace

void compareFloats(Dtype dtype, const std::byte* expected, const std::byte* actual, std::int64_t count,
                   VerifiedTensor& result)
{
    if (dtype == Dtype::f16)
        return compareBits<std::uint16_t>(expected, actual, count, floatFromF16, result);
    if (dtype == Dtype::bf16)
        return compareBits<std::uint16_t>(expected, actual, count, floatFromBf16, result);
    assert(dtype == Dtype::f32);
    compareBits<std::uint32_t>(
        expected, actual, count, [](std::uint32_t bits) { return std::bit_cast<float>(bits); }, result);
}

void addChunk(VerifiedTensor& into, const VerifiedTensor& next)
{
    into.differing += next.differing;
    into.maxAbsDifference = std::max(into.maxAbsDifference, next.maxAbsDifference);
    if (into.problem.empty())
        into.problem = next.problem;
}

Result<void> compareStored(const TensorView& expected, const TensorView& actual, VerifiedTensor& result,
                           const JobContext& context)
{
    result.elements = expected.numel();
    if (expected.dtype != actual.dtype) {
        result.problem =
            "is " + std::string(info(actual.dtype).word) + ", not " + std::string(info(expected.dtype).word);
        return {};
    }
    if (expected.shape != actual.shape) {
        result.problem = "has the shape " + formatShape(actual.shape) + ", not " + formatShape(expected.shape);
        return {};
    }
    const DtypeInfo& dtype = info(expected.dtype);
    const std::int64_t bytes = storedBytes(expected.dtype, expected.numel()).value();
    constexpr std::int64_t kPiece = std::int64_t{1} << 22;
    for (std::int64_t at = 0; at < bytes; at += kPiece) {
        QL_CHECK(context.checkStop());
        const auto size = static_cast<std::size_t>(std::min(kPiece, bytes - at));
        const std::byte* a = expected.data + at;
        const std::byte* b = actual.data + at;
        std::int64_t differing = 0;
        if (std::memcmp(a, b, size) != 0)
            for (std::size_t i = 0; i < size; ++i)
                differing += a[i] != b[i] ? 1 : 0;
        // bytes that differ, as an upper bound of the elements they belong to
        result.differing += dtype.blockElements > 1 ? differing * dtype.blockElements : differing;
        context.progress().addDone(static_cast<std::int64_t>(size));
    }
    result.differing = std::min(result.differing, result.elements);
    return {};
}

void compareFiles(const std::filesystem::path& expected, const std::filesystem::path& actual,
                  std::vector<std::string>& problems)
{
    const auto a = MappedFile::open(expected);
    const auto b = MappedFile::open(actual);
    const std::string name = actual.filename().string();
    if (!a || !b)
        return problems.push_back(name + " cannot be compared: " + describe(a ? b.error() : a.error()));
    const auto left = (*a)->bytes();
    const auto right = (*b)->bytes();
    if (!std::equal(left.begin(), left.end(), right.begin(), right.end()))
        problems.push_back(name + " differs from the model's");
}

} // namespace ql
