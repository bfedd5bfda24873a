// SPDX-License-Identifier: GPL-3.0-or-later
// Pictures as inputs of a vision model: PNG and JPEG files of a folder, each resized by a triangle filter over the
// pixels it covers (as Pillow's bilinear does), scaled to 0…1, and (x − mean) / deviation for each of red, green, blue.
// Transparency is laid over black.
#pragma once

#include "core/model/graph/array.h"
#include "core/model/model.h"

#include <array>

namespace ql {

struct ImageSettings {
    std::int64_t height = 224, width = 224;
    std::array<double, 3> mean{0.5, 0.5, 0.5}, deviation{0.5, 0.5, 0.5};
    bool channelsLast = false; // [height, width, 3] instead of [3, height, width]
};

/// Of the model's preprocessor_config.json (size, image_mean, image_std), with config.json's image_size where that says
/// nothing.
Result<ImageSettings> imageSettingsOf(const Model& model);

struct ImageFolder {
    std::vector<std::filesystem::path> files; // by name
    std::vector<std::int64_t> labels;         // of each; −1: none
};

/// PNG and JPEG files of the folder and of its subfolders. A label is the subfolder's number, if it is one, or its
/// place in config.json's label2id, or else among the subfolders by name; with `csv` it is what a line "file,number"
/// there says. Errors name lines that are not understood, and a CSV that names no picture.
Result<ImageFolder> listImages(const std::filesystem::path& folder, const std::filesystem::path& csv,
                               const Model& model);

/// One picture, of at most 2²⁶ pixels, into the elements of one case of the model's input. Refused: files that end too
/// early.
Result<void> readImage(const std::filesystem::path& path, const ImageSettings& settings, float* out,
                       const JobContext& context);

} // namespace ql
