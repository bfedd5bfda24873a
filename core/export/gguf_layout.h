// SPDX-License-Identifier: GPL-3.0-or-later
// The GGUF v3 file that the gguf target writes, laid out without writing it.
//   header, keys, tensor infos, zeros up to the alignment, then each tensor at a multiple of the alignment with zeros
//   behind it. Dimensions are reversed against NumPy order: dims[0] is the contiguous one.
// From a GGUF file every key and tensor is taken over as it is; from a Llama-family folder they are made anew
// (gguf_from_folder.h). Source: ggml-org/ggml, docs/gguf.md.
#pragma once

#include "core/checkpoint/gguf_file.h"
#include "core/plan/target.h"

#include <string>
#include <vector>

namespace ql::ggufout {

constexpr std::string_view kPlanKey = "quantloupe.plan";
constexpr std::string_view kFileTypeKey = "general.file_type";
constexpr std::string_view kVersionKey = "general.quantization_version";

struct Key {
    std::string name;
    GgufType type = GgufType::u32;
    std::string value; // as in the file, without the type
    std::int64_t sizeBytes() const { return 8 + std::ssize(name) + 4 + std::ssize(value); }
};

struct TensorPart {
    std::string name;               // in the file that is written
    std::vector<std::int64_t> dims; // GGUF order
    Dtype stored = Dtype::f32;      // where the layer is kept
    std::int64_t numel = 0;
    std::int64_t layer = -1;        // index into model.layers
    std::int64_t tensor = -1;       // index into checkpoint.tensors(); -1: generated
    std::int64_t permutedHeads = 0; // rows are interleaved per head, see permuteRows()
    std::vector<float> generated;   // rope factors

    bool isMatrix() const { return dims.size() > 1; }
    /// Written as float32 whatever it was.
    bool toFloat32 = false;
};

/// What depends on the model alone.
struct Parts {
    bool fromGguf = false;
    std::vector<Key> keys; // in order, without kPlanKey
    std::vector<TensorPart> tensors;
    std::int64_t alignment = 32;
    std::int64_t keyBytes = 0;  // of keys
    std::int64_t infoBytes = 0; // of the tensor infos
    bool hasFileType = false;
    bool hasVersion = false;
};
/// Kept per checkpoint. An error says why the model cannot be exported.
Result<std::shared_ptr<const Parts>> parts(const Model& model);

struct Layout {
    std::shared_ptr<const Parts> parts;
    std::vector<Dtype> types;          // of every tensor as written
    std::vector<std::int64_t> sizes;   // bytes without padding
    std::vector<std::int64_t> offsets; // in the data area
    bool quantized = false;            // some tensor is of a block type
    std::string plan;                  // text
    std::int64_t headerBytes = 0;      // up to the data area
    std::int64_t dataBytes = 0;

    std::int64_t totalBytes() const { return headerBytes + dataBytes; }
};
/// The plan is complete and admitted.
Result<Layout> layOut(const Model& model, const Plan& plan);

/// Everything before the data area, padded.
std::string headerText(const Layout& layout);
/// llama.cpp's number for files mostly of the type; nothing if it has none.
std::optional<std::uint32_t> fileTypeOf(Dtype type);
/// The type that codes a candidate; nothing for keep and for schemes GGUF does not have.
std::optional<Dtype> blockTypeOf(const Scheme& scheme);

Key textKey(std::string name, std::string_view value);
Key numberKey(std::string name, GgufType type, std::uint64_t bits, int bytes);
Key u32Key(std::string name, std::uint32_t value);

/// Rows of q and k as llama.cpp wants them: for each head of D rows, new row 2i+h = old row h·D/2+i.
std::int64_t permutedRow(std::int64_t row, std::int64_t rowsPerHead);

} // namespace ql::ggufout
