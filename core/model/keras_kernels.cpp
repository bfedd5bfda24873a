// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/model/keras_kernels.h"

#include "core/base/text.h"
#include "core/model/name_rules.h"

#include <nlohmann/json.hpp>

#include <algorithm>

namespace ql {

namespace {

bool isOneOf(std::string_view word, std::initializer_list<std::string_view> words)
{
    return std::ranges::find(words, word) != words.end();
}

/// The axes given come first, the others follow in their order.
void putFirst(Layer& layer, std::initializer_list<std::size_t> first)
{
    StoredOrder order{layer.shape, {}};
    order.axes.assign(first.begin(), first.end());
    for (std::size_t axis = 0; axis < layer.shape.size(); ++axis)
        if (std::ranges::find(first, axis) == first.end())
            order.axes.push_back(static_cast<std::int64_t>(axis));
    for (std::size_t d = 0; d < order.axes.size(); ++d)
        layer.shape[d] = order.seenAs[static_cast<std::size_t>(order.axes[d])];
    layer.stored = std::move(order);
}

void collectClasses(const nlohmann::json& node, std::map<std::string, std::string, std::less<>>& classes)
{
    if (node.is_object()) {
        const auto name = node.find("class_name");
        const auto config = node.find("config");
        if (name != node.end() && name->is_string() && config != node.end() && config->is_object())
            if (const auto own = config->find("name"); own != config->end() && own->is_string())
                classes.emplace(own->get<std::string>(), toLower(name->get_ref<const std::string&>()));
    }
    if (node.is_structured())
        for (const nlohmann::json& child : node)
            collectClasses(child, classes);
}

} // namespace

KerasKernels::KerasKernels(const Checkpoint& checkpoint) : m_applies(checkpoint.reader() == "hdf5")
{
    if (m_applies)
        collectClasses(nlohmann::json::parse(checkpoint.configJson(), nullptr, false), m_classes);
}

std::string KerasKernels::classOf(std::string_view path) const
{
    while (true) {
        const auto slash = path.rfind('/');
        const std::string_view part = slash == std::string_view::npos ? path : path.substr(slash + 1);
        if (const auto found = m_classes.find(part); found != m_classes.end())
            return found->second;
        if (slash == std::string_view::npos)
            return {};
        path = path.substr(0, slash);
    }
}

void KerasKernels::describe(Layer& layer) const
{
    const std::size_t rank = layer.shape.size();
    if (!m_applies || !info(layer.op).quantizable || rank < 2 || layer.numel() == 0)
        return;
    if (layer.name.starts_with("optimizer/") ||
        layer.name.starts_with("optimizer_weights/")) { // moments of the training
        layer.op = Operator::other;
        return;
    }
    const NameParts parts = splitName(layer.name);
    const bool isNumbered = parts.kind == "vars";
    const bool isNamed = parts.kind == "kernel" || parts.module.ends_with("_kernel");
    if (!isNamed && (!isNumbered || layer.op == Operator::embedding))
        return;
    if (layer.op == Operator::embedding) // a kernel is none, whatever its layer is called
        layer.op = Operator::linear;
    const std::string known = classOf(parts.stem);
    const std::string kind = known.empty() ? toLower(parts.stem.substr(parts.stem.rfind('/') + 1)) : known;
    const auto says = [&](std::string_view word) { return kind.find(word) != std::string::npos; };
    const bool isFirst = layer.name.ends_with("/vars/0");

    if (isOneOf(parts.module, {"query", "key", "value", "query_dense", "key_dense", "value_dense"}) && rank == 3) {
        layer.op = Operator::linear; // [in, heads, size]
        putFirst(layer, {1, 2});
        layer.shape = {layer.shape[0] * layer.shape[1], layer.shape[2]};
    } else if (isOneOf(parts.module, {"attention_output", "output_dense"}) && rank == 3) {
        layer.op = Operator::linear; // [heads, size, out]
        putFirst(layer, {2});
        layer.shape = {layer.shape[0], layer.shape[1] * layer.shape[2]};
    } else if (parts.module.ends_with("_dense") && isNumbered && !isFirst) {
        layer.op = Operator::other; // biases of attention, [heads, size]
    } else if (rank == 2) {
        putFirst(layer, {1});
    } else if (says("transpose")) {
        putFirst(layer, {rank - 2, rank - 1});
    } else if (parts.module == "depthwise_kernel" || says("depthwise") ||
               (says("separable") && isNumbered && isFirst)) {
        putFirst(layer, {rank - 2, rank - 1}); // channel c·multiplier + m, of one input each
        layer.shape[0] *= layer.shape[1];
        layer.shape[1] = 1;
    } else {
        putFirst(layer, {rank - 1, rank - 2});
    }
}

} // namespace ql
