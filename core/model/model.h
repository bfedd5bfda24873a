// SPDX-License-Identifier: GPL-3.0-or-later
// The computation a checkpoint belongs to, as far as names and config.json tell: layers with role, block and uses. One
// line in architectures.def and one file add a naming convention.
#pragma once

#include "core/checkpoint/checkpoint.h"

#include <map>
#include <optional>

namespace ql {

/// What kind of operator a tensor belongs to; operators.def lists them with title and whether their weights are
/// quantized. linear W[out,in]; embedding W[vocab,dim]; convolution W[out,in/groups,k…]; norm, bias, other are never
/// quantized.
enum class Operator {
#define OPERATOR(id, title, quantizable) id,
#include "core/model/operators.def"
#undef OPERATOR
};
struct OperatorInfo {
    std::string_view id;
    std::string_view title;
    bool quantizable;
};
const OperatorInfo& info(Operator op);
std::span<const OperatorInfo> allOperators();

/// How the array in the checkpoint becomes W[out, in…]: seen in the shape `seenAs`, its axes are put in the order
/// `axes` (axis d of the result is axis axes[d]), and the result is seen in the layer's shape. Without axes nothing
/// moves and at most the shape differs.
struct StoredOrder {
    Shape seenAs;
    std::vector<std::int64_t> axes;
    bool moves() const { return !axes.empty(); }
};

/// The unit one quantizes, or (for norms, biases, tables) a tensor shown beside them.
struct Layer {
    std::string name;         // the tensor's name in the checkpoint
    std::int64_t tensor = -1; // index into checkpoint.tensors()
    Operator op = Operator::other;
    std::string role; // "q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj", "embedding",
                      // "output", …; the field's words, equal across architectures
    std::int64_t block = -1; // -1: outside the blocks
    Shape shape; // W[out, in…] whatever the checkpoint stores, whose own shape is in checkpoint.tensors(); a stack of
                 // matrices (experts) is [stack · out, in]
    Dtype dtype = Dtype::f32;
    std::vector<std::string> aliases; // other names or uses of the same bytes (tied output head)
    StoredOrder stored;

    /// Whether a plan gives it a candidate: op quantizable, at least two dimensions, decodable dtype, not empty, and no
    /// router of experts (tiny, and kept in full precision by every runtime).
    bool quantizable = false;
    std::int64_t numel() const { return ql::numel(shape); }
};

struct Architecture {
    std::string_view id; // "llama"
    std::string_view title;
    std::string_view source;
    /// Whether the convention fits, judged by config.json / GGUF keys and tensor names.
    bool (*fits)(const Checkpoint& checkpoint);
    /// Fills op, role, block and stored order of a layer from its name; its shape comes as stored.
    void (*describe)(const Checkpoint& checkpoint, Layer& layer);
};
std::span<const Architecture* const> allArchitectures();

/// An opened model. Immutable and shared.
struct Model {
    std::shared_ptr<const Checkpoint> checkpoint;
    const Architecture* architecture = nullptr;
    /// Every tensor once (a shared weight is one layer with aliases), in the order of execution: embeddings, blocks
    /// (attention before MLP), the rest; what names do not order stays as in the checkpoint.
    std::vector<Layer> layers;
    std::int64_t blockCount = 0;
    bool tiedEmbedding = false;    // config.json or GGUF without an output tensor: the head uses the embedding
    std::vector<Warning> warnings; // the checkpoint's, and what is odd about the model
    /// Layer of each name and alias.
    std::map<std::string, std::int64_t, std::less<>> layerOfName;

    /// Index of the layer of that name or alias, -1 if none.
    std::int64_t indexOf(std::string_view name) const;
    /// Indices of layers whose name matches the glob; an error if none does.
    Result<std::vector<std::int64_t>> match(std::string_view glob) const;
    std::vector<std::int64_t> quantizableLayers() const;
    /// Layer of each tensor of the checkpoint, -1 where it is but an alias.
    std::vector<std::int64_t> layerOfTensor() const;
    /// One number of config.json, e.g. "num_attention_heads": at the top, in its text_config, under the name another
    /// family uses ("n_head"), or the GGUF key of the same meaning. What config.json may omit follows from the rest:
    /// "num_key_value_heads" is num_attention_heads, "head_dim" is hidden_size / num_attention_heads.
    std::optional<double> configNumber(std::string_view key) const;
    /// The weights in the order and shape of the layer: the checkpoint's own bytes, or a copy where axes move (float32
    /// where several elements share a byte).
    Result<TensorData> loadWeights(std::int64_t layer, const JobContext& context) const;
};

Result<std::shared_ptr<const Model>> openModel(const std::filesystem::path& path, const JobContext& context);
Result<std::shared_ptr<const Model>> makeModel(std::shared_ptr<const Checkpoint> checkpoint);

} // namespace ql
