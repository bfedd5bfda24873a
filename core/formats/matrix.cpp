// SPDX-License-Identifier: GPL-3.0-or-later
// Formats whose codes are the bytes of whole matrices; what they are stands in matrix_format.h.
#include "core/base/text.h"
#include "core/formats/format_build.h"
#include "core/formats/matrix_format.h"

#include <algorithm>
#include <map>
#include <mutex>

namespace ql {

namespace matrixformats {
#define MATRIX_FORMATS(id) extern const MatrixFormatFamily id;
#include "core/formats/matrix_formats.def"
#undef MATRIX_FORMATS
} // namespace matrixformats

std::span<const MatrixFormatFamily* const> allMatrixFormatFamilies()
{
    static constexpr const MatrixFormatFamily* kAll[] = {
#define MATRIX_FORMATS(id) &matrixformats::id,
#include "core/formats/matrix_formats.def"
#undef MATRIX_FORMATS
    };
    return kAll;
}

std::span<const std::string> allMatrixFormatIds()
{
    static const auto kAll = [] {
        std::vector<std::string> all;
        for (const MatrixFormatFamily* family : allMatrixFormatFamilies())
            std::ranges::copy(family->instances(), std::back_inserter(all));
        return all;
    }();
    return kAll;
}

const MatrixFormat* findMatrixFormat(std::string_view id)
{
    static std::mutex mutex;
    static std::map<std::string, std::unique_ptr<const MatrixFormat>, std::less<>> known;
    const std::lock_guard guard(mutex);
    if (const auto found = known.find(id); found != known.end())
        return found->second.get();
    for (const MatrixFormatFamily* family : allMatrixFormatFamilies())
        if (auto format = family->make(id))
            return known.emplace(id, std::move(format)).first->second.get();
    return nullptr;
}

const MatrixFormat* findMatrixFormat(const Scheme& scheme)
{
    return scheme.isPacked() ? findMatrixFormat(scheme.element->id) : nullptr;
}

const float* MatrixFill::importanceOf(std::int64_t row) const
{
    if (importance.empty())
        return nullptr;
    const std::int64_t inRange = std::max<std::int64_t>(1, shape().rows / std::ssize(importance));
    return importance[static_cast<std::size_t>(std::min(row / inRange, std::ssize(importance) - 1))].data();
}

Result<void> MatrixFormat::checkShape(MatrixShape) const
{
    return {};
}

std::int64_t MatrixFormat::sizeBytes(MatrixShape shape) const
{
    std::int64_t total = 0;
    for (const PayloadPart& part : parts(shape))
        total += part.bits();
    return total / 8;
}

void MatrixFormat::restore(const std::byte* bytes, MatrixShape shape, std::int64_t first, std::int64_t count,
                           float* out) const
{
    for (std::int64_t at = first; at < first + count;) {
        const std::int64_t row = at / shape.cols;
        const std::int64_t column = at - row * shape.cols;
        const std::int64_t run = std::min(first + count - at, shape.cols - column);
        restoreRun(bytes, shape, row, column, run, out + (at - first));
        at += run;
    }
}

namespace {

NumberFormatPtr parseMatrix(std::string_view text)
{
    const MatrixFormat* matrix = findMatrixFormat(text);
    if (!matrix)
        return nullptr;
    NumberFormat format;
    format.id = matrix->id;
    format.title = matrix->title;
    format.source = matrix->source;
    format.kind = FormatKind::packed;
    format.bits = matrix->bits;
    return finishFormat(std::move(format));
}

std::vector<std::string> matrixIds()
{
    const auto all = allMatrixFormatIds();
    return {all.begin(), all.end()};
}

std::string_view howIdsLook()
{
    static const std::string kText = [] {
        std::vector<std::string> looks;
        for (const MatrixFormatFamily* family : allMatrixFormatFamilies())
            looks.emplace_back(family->ids);
        return join(looks, ", ");
    }();
    return kText;
}

} // namespace

namespace formats {
extern const FormatFamily matrix;
const FormatFamily matrix{.id = "matrix",
                          .title = "Layouts over the whole matrix",
                          .parse = parseMatrix,
                          .instances = matrixIds,
                          .ids = howIdsLook()};
} // namespace formats

} // namespace ql
