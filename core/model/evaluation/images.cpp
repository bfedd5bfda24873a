// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/model/evaluation/images.h"

#include "core/base/file.h"
#include "core/base/text.h"

#include <jerror.h>
#include <jpeglib.h>
#include <nlohmann/json.hpp>
#include <png.h>

#include <algorithm>
#include <cmath>
#include <csetjmp>
#include <cstddef>
#include <cstdio> // jpeglib.h needs it
#include <cstring>
#include <memory>

namespace ql {

namespace {

using Json = nlohmann::json;

constexpr std::int64_t kMostPixels = std::int64_t{1} << 26;
constexpr std::int64_t kLargestText = std::int64_t{1} << 26;

/// Red, green and blue, 0…255, row by row.
struct Picture {
    std::int64_t height = 0, width = 0;
    std::unique_ptr<std::uint8_t[]> rgb;

    /// False if it is larger than what is taken.
    bool resize(std::int64_t rows, std::int64_t cols)
    {
        height = rows;
        width = cols;
        if (rows < 1 || cols < 1 || rows > kMostPixels / cols)
            return false;
        rgb = std::make_unique_for_overwrite<std::uint8_t[]>(static_cast<std::size_t>(3 * rows * cols));
        return true;
    }
};

/// libpng and libjpeg leave by a jump, so nothing between has a destructor.
struct Decoding {
    std::span<const std::byte> rest; // of the file
    const JobContext* context = nullptr;
    std::jmp_buf back;
};

void readPngBytes(png_structp png, png_bytep to, std::size_t n)
{
    auto& rest = static_cast<Decoding*>(png_get_io_ptr(png))->rest;
    if (n > rest.size())
        png_error(png, "");
    std::memcpy(to, rest.data(), n);
    rest = rest.subspan(n);
}

bool decodePng(std::span<const std::byte> bytes, Picture& picture, const JobContext& context)
{
    Decoding decoding{.rest = bytes, .context = &context, .back = {}};
    png_structp png = png_create_read_struct(
        PNG_LIBPNG_VER_STRING, &decoding,
        [](png_structp self, png_const_charp) {
            std::longjmp(static_cast<Decoding*>(png_get_error_ptr(self))->back, 1);
        },
        [](png_structp, png_const_charp) {});
    png_infop info = png ? png_create_info_struct(png) : nullptr;
    if (!info || setjmp(decoding.back) != 0) {
        png_destroy_read_struct(&png, &info, nullptr);
        return false;
    }
    png_set_read_fn(png, &decoding, readPngBytes);
    png_read_info(png, info);
    const bool fits = picture.resize(png_get_image_height(png, info), png_get_image_width(png, info));
    if (fits) {
        png_set_expand(png);
        png_set_scale_16(png);
        png_set_gray_to_rgb(png);
        const png_color_16 black{};
        png_set_background(png, &black, PNG_BACKGROUND_GAMMA_SCREEN, 0, 1);
        const int passes = png_set_interlace_handling(png);
        png_read_update_info(png, info);
        if (png_get_rowbytes(png, info) != 3 * static_cast<std::size_t>(picture.width))
            png_error(png, "");
        for (std::int64_t line = 0; line < passes * picture.height && !context.stopRequested(); ++line)
            png_read_row(png, picture.rgb.get() + line % picture.height * picture.width * 3, nullptr);
    }
    png_destroy_read_struct(&png, &info, nullptr);
    return fits;
}

[[noreturn]] void leaveJpeg(j_common_ptr jpeg)
{
    std::longjmp(static_cast<Decoding*>(jpeg->client_data)->back, 1);
}

bool decodeJpeg(std::span<const std::byte> bytes, Picture& picture, const JobContext& context)
{
    Decoding decoding{.rest = bytes, .context = &context, .back = {}};
    jpeg_decompress_struct jpeg{};
    jpeg_error_mgr errors;
    jpeg_progress_mgr progress{};
    jpeg.err = jpeg_std_error(&errors);
    jpeg.client_data = &decoding;
    errors.error_exit = leaveJpeg;
    errors.output_message = [](j_common_ptr) {};
    errors.emit_message = [](j_common_ptr self, int level) { // what is missing would be grey
        const int code = self->err->msg_code;
        if (level < 0 && (code == JWRN_JPEG_EOF || code == JWRN_HIT_MARKER || code == JWRN_HUFF_BAD_CODE))
            leaveJpeg(self);
    };
    progress.progress_monitor = [](j_common_ptr self) { // all scans of a progressive picture come before its first line
        if (static_cast<Decoding*>(self->client_data)->context->stopRequested())
            leaveJpeg(self);
    };
    if (setjmp(decoding.back) != 0) {
        jpeg_destroy_decompress(&jpeg);
        return false;
    }
    jpeg_create_decompress(&jpeg);
    jpeg.progress = &progress;
    jpeg_mem_src(&jpeg, reinterpret_cast<const unsigned char*>(bytes.data()), static_cast<unsigned long>(bytes.size()));
    jpeg_read_header(&jpeg, TRUE);
    jpeg.out_color_space = JCS_RGB;
    const bool fits = picture.resize(jpeg.image_height, jpeg.image_width);
    if (fits) {
        jpeg_start_decompress(&jpeg);
        while (jpeg.output_scanline < jpeg.output_height) {
            JSAMPROW row = picture.rgb.get() + std::size_t{3} * jpeg.output_scanline * jpeg.output_width;
            jpeg_read_scanlines(&jpeg, &row, 1);
        }
    }
    jpeg_destroy_decompress(&jpeg);
    return fits;
}

/// What one pixel of the result takes from those of a line.
struct Taps {
    std::int64_t first = 0;
    std::vector<double> weights;
};

std::vector<Taps> tapsFor(std::int64_t from, std::int64_t to)
{
    const double scale = static_cast<double>(from) / static_cast<double>(to);
    const double support = std::max(1.0, scale);
    std::vector<Taps> all;
    for (std::int64_t o = 0; o < to; ++o) {
        const double centre = (static_cast<double>(o) + 0.5) * scale;
        Taps taps;
        taps.first = std::max<std::int64_t>(0, static_cast<std::int64_t>(centre - support + 0.5));
        const std::int64_t last = std::min(from, static_cast<std::int64_t>(centre + support + 0.5));
        double sum = 0;
        for (std::int64_t i = taps.first; i < last; ++i) {
            taps.weights.push_back(std::max(0.0, 1 - std::fabs(static_cast<double>(i) + 0.5 - centre) / support));
            sum += taps.weights.back();
        }
        for (double& weight : taps.weights)
            weight /= sum;
        all.push_back(std::move(taps));
    }
    return all;
}

/// [height, width, 3] of another size, 0…255. In memory are the result and one line.
Result<std::vector<double>> resized(const Picture& picture, std::int64_t height, std::int64_t width,
                                    const JobContext& context)
{
    const auto across = tapsFor(picture.width, width);
    const auto down = tapsFor(picture.height, height);
    std::vector<double> line(static_cast<std::size_t>(3 * width));
    std::vector<double> out(static_cast<std::size_t>(3 * width * height), 0.0);
    auto firstDown = down.begin(); // that reaches the line
    for (std::int64_t y = 0; y < picture.height; ++y) {
        auto to = line.begin();
        for (const Taps& taps : across)
            for (std::int64_t c = 0; c < 3; ++c) {
                double sum = 0;
                for (std::size_t i = 0; i < taps.weights.size(); ++i) {
                    const std::int64_t x = taps.first + static_cast<std::int64_t>(i);
                    sum += taps.weights[i] * picture.rgb[static_cast<std::size_t>((y * picture.width + x) * 3 + c)];
                }
                *to++ = sum;
            }
        while (firstDown != down.end() && firstDown->first + std::ssize(firstDown->weights) <= y)
            ++firstDown;
        for (auto taps = firstDown; taps != down.end() && taps->first <= y; ++taps) {
            QL_CHECK(context.checkStop());
            const double weight = taps->weights[static_cast<std::size_t>(y - taps->first)];
            double* const row = out.data() + (taps - down.begin()) * 3 * width;
            for (std::size_t i = 0; i < line.size(); ++i)
                row[i] += weight * line[i];
        }
    }
    return out;
}

Json jsonBeside(const Model& model, const char* name)
{
    const auto text = readTextFile(model.checkpoint->path() / name, kLargestText);
    return text ? Json::parse(*text, nullptr, false) : Json();
}

Json configOf(const Model& model)
{
    return Json::parse(model.checkpoint->configJson(), nullptr, false);
}

/// A side of a picture, from a number or {"height", "width"}.
std::optional<std::int64_t> sideOf(const Json& size, const char* side)
{
    const Json& value = size.is_object() && size.contains(side) ? size[side] : size;
    const bool isSide =
        value.is_number_integer() && value.get<std::int64_t>() > 0 && value.get<std::int64_t>() < 1 << 12;
    return isSide ? std::optional(value.get<std::int64_t>()) : std::nullopt;
}

std::string lowerExtension(const std::filesystem::path& path)
{
    return toLower(path.extension().string());
}

/// Numbers of names: config.json's label2id.
std::map<std::string, std::int64_t> labelIds(const Model& model)
{
    std::map<std::string, std::int64_t> ids;
    const Json config = configOf(model);
    if (config.is_object() && config.contains("label2id") && config["label2id"].is_object())
        for (const auto& [name, id] : config["label2id"].items())
            if (id.is_number_integer())
                ids[name] = id.get<std::int64_t>();
    return ids;
}

/// "file,number" lines; a first line that has no number names the columns.
Result<std::map<std::string, std::int64_t>> readCsv(const std::filesystem::path& path)
{
    QL_TRY(text, readTextFile(path, kLargestText));
    std::map<std::string, std::int64_t> labels;
    std::int64_t number = 0;
    for (const std::string_view line : split(text, '\n')) {
        ++number;
        if (trim(line).empty())
            continue;
        const auto comma = line.rfind(',');
        const auto label = comma == std::string_view::npos ? std::nullopt : parseInt(trim(line.substr(comma + 1)));
        if (!label && number == 1)
            continue;
        if (!label)
            return badInput("line " + std::to_string(number) + " is not file,number", path.string());
        labels[std::string(trim(line.substr(0, comma)))] = *label;
    }
    return labels;
}

} // namespace

Result<ImageSettings> imageSettingsOf(const Model& model)
{
    ImageSettings settings;
    const Json processor = jsonBeside(model, "preprocessor_config.json");
    const Json config = configOf(model);
    Json size = processor.is_object() && processor.contains("size")   ? processor["size"]
                : config.is_object() && config.contains("image_size") ? config["image_size"]
                                                                      : Json();
    if (size.is_array() && size.size() == 2)
        size = {{"height", size[0]}, {"width", size[1]}};
    const auto height = sideOf(size, "height");
    const auto width = sideOf(size, "width");
    if (!height || !width)
        return refused("says of pictures no height and width that are known here (size in preprocessor_config.json, "
                       "image_size in config.json)",
                       model.checkpoint->path().string());
    settings.height = *height;
    settings.width = *width;
    for (const auto& [key, values] : {std::pair("image_mean", &settings.mean), {"image_std", &settings.deviation}}) {
        if (!processor.is_object() || !processor.contains(key))
            continue;
        const Json& given = processor[key];
        for (std::size_t c = 0; c < 3; ++c) {
            if (!given.is_array() || given.size() != 3 || !given[c].is_number())
                return refused("has a setting " + std::string(key) + " that is not three numbers",
                               model.checkpoint->path().string() + ": preprocessor_config.json");
            (*values)[c] = given[c].get<double>();
            if (values == &settings.deviation && !((*values)[c] > 0))
                return refused("has a setting " + std::string(key) + " that is not above 0",
                               model.checkpoint->path().string() + ": preprocessor_config.json");
        }
    }
    return settings;
}

Result<ImageFolder> listImages(const std::filesystem::path& folder, const std::filesystem::path& csv,
                               const Model& model)
{
    std::error_code error;
    ImageFolder images;
    for (std::filesystem::recursive_directory_iterator it(folder, error), end; !error && it != end;
         it.increment(error)) {
        const std::string extension = lowerExtension(it->path());
        if (it->is_regular_file() && (extension == ".png" || extension == ".jpg" || extension == ".jpeg"))
            images.files.push_back(it->path());
    }
    if (error)
        return ioError(error.message(), folder.string());
    if (images.files.empty())
        return usageError("has no PNG or JPEG files", folder.string());
    std::ranges::sort(images.files);
    std::map<std::string, std::int64_t> numbers;
    if (!csv.empty()) {
        QL_TRY(read, readCsv(csv));
        numbers = std::move(read);
    } else {
        numbers = labelIds(model);
        std::int64_t place = 0;
        std::map<std::string, std::int64_t> folders;
        for (const std::filesystem::path& file : images.files)
            if (file.parent_path() != folder)
                folders.try_emplace(file.parent_path().filename().string(), -1);
        const bool known =
            std::ranges::all_of(folders, [&](const auto& entry) { return numbers.contains(entry.first); });
        for (auto& [name, number] : folders) {
            number = parseInt(name).value_or(known ? numbers[name] : place);
            ++place;
        }
        numbers = std::move(folders);
    }
    for (const std::filesystem::path& file : images.files) {
        const std::string key = csv.empty()
                                    ? (file.parent_path() == folder ? "" : file.parent_path().filename().string())
                                    : file.lexically_relative(folder).string();
        const auto found = numbers.find(key);
        images.labels.push_back(found == numbers.end() ? -1 : found->second);
    }
    if (!csv.empty() && std::ranges::all_of(images.labels, [](std::int64_t label) { return label < 0; }))
        return usageError("names none of the " + std::to_string(images.files.size()) + " pictures in " +
                              folder.string() + "; names are relative to that folder, as " +
                              images.files.front().lexically_relative(folder).string(),
                          csv.string());
    return images;
}

Result<void> readImage(const std::filesystem::path& path, const ImageSettings& settings, float* out,
                       const JobContext& context)
{
    QL_TRY(file, MappedFile::open(path));
    Picture picture;
    const auto bytes = file->bytes();
    const bool isPng = bytes.size() > 8 && png_sig_cmp(reinterpret_cast<png_const_bytep>(bytes.data()), 0, 8) == 0;
    const bool isDecoded = isPng ? decodePng(bytes, picture, context) : decodeJpeg(bytes, picture, context);
    QL_CHECK(context.checkStop());
    if (!isDecoded)
        return badInput("is no PNG or JPEG picture of at most 2²⁶ pixels that can be read", path.string());
    QL_CHECK(file->checkIntact());
    QL_TRY(pixels, resized(picture, settings.height, settings.width, context));
    const std::int64_t count = settings.height * settings.width;
    for (std::int64_t i = 0; i < count; ++i)
        for (std::int64_t c = 0; c < 3; ++c) {
            const auto channel = static_cast<std::size_t>(c);
            const double value = pixels[static_cast<std::size_t>(3 * i + c)] / 255;
            out[settings.channelsLast ? 3 * i + c : c * count + i] =
                static_cast<float>((value - settings.mean[channel]) / settings.deviation[channel]);
        }
    return {};
}

} // namespace ql
