// SPDX-License-Identifier: GPL-3.0-or-later
// The folder that the compressed-tensors target writes, laid out without writing it: every byte count follows from
// here.
//   config.json           the model's own text with a "quantization_config" spliced in before its last brace
//   model.safetensors     the tensors of every quantized Linear (compressed_tensors_coding.h); everything else as the
//                         model stores it. Tensors are sorted by element size, largest first, so that each is aligned
//                         as readers need it.
//   quantloupe_plan.json  the plan
//   other small files of the model's folder, copied
// Source: vllm-project/compressed-tensors, quantization/quant_config.py.
#pragma once

#include "core/export/compressed_tensors_coding.h"
#include "core/plan/target.h"

#include <string>
#include <vector>

namespace ql::ct {

constexpr std::string_view kPlanFile = "quantloupe_plan.json";
constexpr std::string_view kWeightsFile = "model.safetensors";
constexpr std::string_view kConfigFile = "config.json";

/// What depends on the model alone.
struct Parts {
    struct Tensor {
        std::string jsonName;   // with quotes
        std::string jsonModule; // with quotes: the name without ".weight"
        std::string_view dtype; // safetensors' word
        int elementBytes = 1;
        std::int64_t sizeBytes = 0;
        Shape shape;
        std::int64_t layer = -1; // index into model.layers
        bool linear = false;     // a Linear module of its own
    };
    std::vector<Tensor> tensors; // indexed like checkpoint.tensors()
    std::string configHead;      // the model's config.json up to and without the last brace
    bool untiedHead = false;     // a module lm_head exists although no tensor of the file says so
    struct Copy {
        std::string name;
        std::int64_t sizeBytes = 0;
    };
    std::vector<Copy> copies;
    std::filesystem::path folder; // the model's
};
/// Kept per checkpoint. An error says why the model cannot be exported.
Result<std::shared_ptr<const Parts>> parts(const Model& model);

struct Entry {
    std::int64_t tensor = 0; // index into Parts::tensors
    Part part = Part::kept;
    std::int64_t begin = 0; // in the data area
    std::int64_t sizeBytes = 0;
};

struct Layout {
    std::shared_ptr<const Parts> parts;
    std::vector<Coding> codings;  // indexed like Parts::tensors
    std::vector<Entry> entries;   // in the file's order, gap-free
    std::int64_t headerBytes = 0; // of model.safetensors, with its length field
    std::int64_t dataBytes = 0;
    std::int64_t configBytes = 0;
    std::int64_t planBytes = 0;
    std::int64_t copiedBytes = 0;

    std::int64_t totalBytes() const { return headerBytes + dataBytes + configBytes + planBytes + copiedBytes; }
};
/// The plan is complete and admitted.
Result<Layout> layOut(const Model& model, const Plan& plan);

std::string headerText(const Layout& layout); // length field, JSON and padding
/// Groups of equal coding; all that is quantized under the class Linear of the largest, what is not under "ignore".
std::string configText(const Layout& layout);
std::int64_t countConfigBytes(const Layout& layout);
std::string planText(const Model& model, const Plan& plan);

} // namespace ql::ct
