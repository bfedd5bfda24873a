// SPDX-License-Identifier: GPL-3.0-or-later
// A model held in memory: layers of given shapes with random float weights, for tests that need no file.
#pragma once

#include "core/base/rng.h"
#include "core/model/model.h"

#include <atomic>

namespace ql::test {

class MemoryCheckpoint : public Checkpoint {
public:
    MemoryCheckpoint(std::string name, std::string fingerprint)
        : Checkpoint({.reader = "memory",
                      .path = std::move(name),
                      .tensors = {},
                      .metadata = {},
                      .configJson = {},
                      .warnings = {},
                      .fingerprint = std::move(fingerprint),
                      .files = {}})
    {}
    std::int64_t add(std::string name, Shape shape, std::vector<float> values)
    {
        TensorInfo tensor{
            .name = std::move(name), .dtype = Dtype::f32, .shape = std::move(shape), .sizeBytes = 0, .file = {}};
        tensor.sizeBytes = tensor.numel() * 4;
        m_contents.tensors.push_back(std::move(tensor));
        m_values.push_back(std::make_shared<std::vector<float>>(std::move(values)));
        return std::ssize(m_contents.tensors) - 1;
    }
    Result<TensorData> loadTensor(std::size_t index, const JobContext&) const override
    {
        ++loads;
        return TensorData{.view = {.dtype = Dtype::f32,
                                   .shape = m_contents.tensors[index].shape,
                                   .data = reinterpret_cast<const std::byte*>(m_values[index]->data())},
                          .owner = m_values[index]};
    }

    mutable std::atomic<int> loads = 0;

private:
    std::vector<std::shared_ptr<std::vector<float>>> m_values;
};

struct MemoryLayer {
    std::string name;
    Shape shape;
    Operator op = Operator::linear;
    std::string role = {};
    std::int64_t block = -1;
    double level = 1; // standard deviation of the weights
};

inline std::shared_ptr<MemoryCheckpoint> addLayers(Model& model, const std::vector<MemoryLayer>& layers)
{
    auto checkpoint = std::make_shared<MemoryCheckpoint>("tiny", "0123456789abcdef0123456789abcdef");
    for (const MemoryLayer& layer : layers) {
        const CounterRng rng(11, model.layers.size());
        std::vector<float> values(static_cast<std::size_t>(numel(layer.shape)));
        for (std::size_t i = 0; i < values.size(); ++i)
            values[i] = static_cast<float>(layer.level * rng.normal(i));
        Layer described;
        described.name = layer.name;
        described.tensor = checkpoint->add(layer.name, layer.shape, std::move(values));
        described.op = layer.op;
        described.role = layer.role;
        described.block = layer.block;
        described.shape = layer.shape;
        described.dtype = Dtype::f32;
        described.quantizable = info(layer.op).quantizable && layer.shape.size() >= 2 && numel(layer.shape) > 0;
        model.layerOfName.emplace(described.name, std::ssize(model.layers));
        model.layers.push_back(std::move(described));
    }
    model.checkpoint = checkpoint;
    return checkpoint;
}

/// Blocks of q, k, v, o, up and down, a norm each, between an embedding and an output head.
inline Model tinyModel(std::int64_t blocks = 3, std::int64_t width = 64)
{
    std::vector<MemoryLayer> layers{{"embed.weight", {96, width}, Operator::embedding, "embedding"}};
    for (std::int64_t b = 0; b < blocks; ++b) {
        const std::string prefix = "layers." + std::to_string(b) + ".";
        const double level = 0.05 * static_cast<double>(b + 1);
        layers.push_back({prefix + "norm.weight", {width}, Operator::norm, "norm", b});
        for (const char* role : {"q_proj", "k_proj", "v_proj", "o_proj"})
            layers.push_back({prefix + role + ".weight", {width, width}, Operator::linear, role, b, level});
        layers.push_back({prefix + "up_proj.weight", {3 * width, width}, Operator::linear, "up_proj", b, level});
        layers.push_back(
            {prefix + "down_proj.weight", {width, 3 * width}, Operator::linear, "down_proj", b, 2 * level});
    }
    layers.push_back({"head.weight", {96, width}, Operator::linear, "output", -1, 0.2});
    Model model;
    addLayers(model, layers);
    model.blockCount = blocks;
    return model;
}

} // namespace ql::test
