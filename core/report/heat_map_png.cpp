// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/report/heat_map_png.h"

#include <png.h>

#include <algorithm>
#include <array>
#include <cmath>

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

} // namespace

Result<std::string> heatMapPng(const OutlierPyramid& pyramid, int maxWidth, int maxHeight)
{
    const PyramidLevel level = chooseLevel(pyramid, maxWidth, maxHeight);
    if (level.rows == 0 || level.cols == 0 || level.maxAbs.empty())
        return badInput("a tensor without elements has no picture");
    const double top = pyramid.absmax > 0 ? static_cast<double>(pyramid.absmax) : 1;
    // A palette and little effort on compressing: encoding cannot be stopped and must take less than 50 ms.
    constexpr int kShades = 256;
    std::array<png_byte, 3 * kShades> palette{};
    for (int shade = 0; shade < kShades; ++shade) {
        const auto rgb = colour(static_cast<double>(shade) / (kShades - 1));
        std::copy(rgb.begin(), rgb.end(), palette.begin() + 3 * shade);
    }
    std::vector<png_byte> pixels(static_cast<std::size_t>(level.rows * level.cols));
    for (std::size_t i = 0; i < level.maxAbs.size(); ++i) {
        const double magnitude = std::fabs(static_cast<double>(level.maxAbs[i]));
        const double place = magnitude > 0 ? 1 + std::log10(magnitude / top) / 3 : 0;
        pixels[i] = static_cast<png_byte>(std::lround((kShades - 1) * std::clamp(place, 0.0, 1.0)));
    }
    png_image image{};
    image.version = PNG_IMAGE_VERSION;
    image.width = static_cast<png_uint_32>(level.cols);
    image.height = static_cast<png_uint_32>(level.rows);
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
