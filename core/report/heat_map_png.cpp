// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/report/heat_map_png.h"

#include <png.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

namespace ql {

namespace {

/// Anchors of viridis (matplotlib, CC0), every 1/8.
constexpr std::array<std::array<double, 3>, 9> kViridis{{{68, 1, 84},
                                                         {71, 44, 122},
                                                         {59, 81, 139},
                                                         {44, 113, 142},
                                                         {33, 144, 141},
                                                         {39, 173, 129},
                                                         {92, 200, 99},
                                                         {170, 220, 50},
                                                         {253, 231, 37}}};

std::array<png_byte, 3> colour(double fraction)
{
    const double at = std::clamp(fraction, 0.0, 1.0) * (kViridis.size() - 1);
    const auto low = std::min(static_cast<std::size_t>(at), kViridis.size() - 2);
    const double rest = at - static_cast<double>(low);
    std::array<png_byte, 3> rgb{};
    for (std::size_t c = 0; c < 3; ++c)
        rgb[c] = static_cast<png_byte>(std::lround(kViridis[low][c] * (1 - rest) + kViridis[low + 1][c] * rest));
    return rgb;
}

/// The finest level that fits, or the coarsest.
PyramidLevel chooseLevel(const OutlierPyramid& pyramid, int maxWidth, int maxHeight)
{
    if (!pyramid.values.empty() && pyramid.rows <= maxHeight && pyramid.cols <= maxWidth)
        return {pyramid.rows, pyramid.cols, pyramid.values};
    for (const PyramidLevel& level : pyramid.levels)
        if (level.rows <= maxHeight && level.cols <= maxWidth)
            return level;
    if (!pyramid.levels.empty())
        return pyramid.levels.back();
    return {pyramid.rows, pyramid.cols, pyramid.values};
}

constexpr int kShades = 256;

png_byte shadeOf(double fraction)
{
    return static_cast<png_byte>(std::lround((kShades - 1) * std::clamp(fraction, 0.0, 1.0)));
}

/// Pixels are shades, [height, width].
Result<std::string> encode(const std::vector<png_byte>& pixels, std::int64_t width, std::int64_t height)
{
    // A palette and little effort on compressing: encoding cannot be stopped and must take less than 50 ms.
    std::array<png_byte, 3 * kShades> palette{};
    for (int shade = 0; shade < kShades; ++shade) {
        const auto rgb = colour(static_cast<double>(shade) / (kShades - 1));
        std::copy(rgb.begin(), rgb.end(), palette.begin() + 3 * shade);
    }
    png_image image{};
    image.version = PNG_IMAGE_VERSION;
    image.width = static_cast<png_uint_32>(width);
    image.height = static_cast<png_uint_32>(height);
    image.format = PNG_FORMAT_RGB_COLORMAP;
    image.colormap_entries = kShades;
    image.flags = PNG_IMAGE_FLAG_FAST;
    png_alloc_size_t size = PNG_IMAGE_PNG_SIZE_MAX(image);
    std::string bytes(size, '\0');
    if (png_image_write_to_memory(&image, bytes.data(), &size, 0, pixels.data(), 0, palette.data()) == 0)
        return ioError("cannot encode a picture: " + std::string(image.message));
    bytes.resize(size);
    return bytes;
}

} // namespace

Result<std::string> heatMapPng(const OutlierPyramid& pyramid, int maxWidth, int maxHeight)
{
    const PyramidLevel level = chooseLevel(pyramid, maxWidth, maxHeight);
    if (level.rows == 0 || level.cols == 0 || level.maxAbs.empty())
        return badInput("a tensor without elements has no picture");
    const double top = pyramid.absmax > 0 ? static_cast<double>(pyramid.absmax) : 1;
    std::vector<png_byte> pixels(static_cast<std::size_t>(level.rows * level.cols));
    for (std::size_t i = 0; i < level.maxAbs.size(); ++i) {
        const double magnitude = std::fabs(static_cast<double>(level.maxAbs[i]));
        const double place = magnitude > 0 ? 1 + std::log10(magnitude / top) / 3 : 0;
        pixels[i] = shadeOf(place);
    }
    return encode(pixels, level.cols, level.rows);
}

Result<std::string> gridPng(std::span<const double> values, std::int64_t rows, std::int64_t cols, std::int64_t cell)
{
    if (rows < 1 || cols < 1 || cell < 1 || std::ssize(values) != rows * cols)
        return badInput("a grid without values has no picture");
    double least = std::numeric_limits<double>::infinity();
    double most = -least;
    for (const double value : values)
        if (std::isfinite(value)) {
            least = std::min(least, value);
            most = std::max(most, value);
        }
    std::vector<png_byte> pixels;
    for (std::int64_t y = 0; y < rows * cell; ++y)
        for (std::int64_t x = 0; x < cols * cell; ++x) {
            const double value = values[static_cast<std::size_t>(y / cell * cols + x / cell)];
            pixels.push_back(std::isfinite(value) && most > least ? shadeOf((value - least) / (most - least)) : 0);
        }
    return encode(pixels, cols * cell, rows * cell);
}

std::string base64(std::string_view bytes)
{
    static constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    std::string text;
    text.reserve((bytes.size() + 2) / 3 * 4);
    for (std::size_t i = 0; i < bytes.size(); i += 3) {
        const auto byte = [&](std::size_t k) {
            return i + k < bytes.size() ? static_cast<unsigned>(static_cast<unsigned char>(bytes[i + k])) : 0U;
        };
        const unsigned word = byte(0) << 16U | byte(1) << 8U | byte(2);
        text += kDigits[word >> 18U];
        text += kDigits[(word >> 12U) & 63U];
        text += i + 1 < bytes.size() ? kDigits[(word >> 6U) & 63U] : '=';
        text += i + 2 < bytes.size() ? kDigits[word & 63U] : '=';
    }
    return text;
}

} // namespace ql
