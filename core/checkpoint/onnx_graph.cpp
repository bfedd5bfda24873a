// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/checkpoint/onnx_graph.h"

#include "core/base/text.h"
#include "core/checkpoint/onnx_uses.h"
#include "core/checkpoint/tensor_names.h"

#include <algorithm>
#include <array>
#include <bit>
#include <set>

namespace ql {

namespace {

using wire::Bytes;
using wire::Field;
using wire::Type;

constexpr int kMaxDepth = 64; // of graphs inside graphs
constexpr std::size_t kMaxRank = 64;
constexpr std::size_t kMaxGraphs = 100'000;
constexpr std::size_t kMaxNodes = 500'000;

// Field numbers of onnx.proto3.
namespace model {
constexpr std::uint32_t irVersion = 1, producerName = 2, producerVersion = 3, domain = 4, version = 5, doc = 6,
                        graph = 7, opset = 8, properties = 14, training = 20, functions = 25, configuration = 26;
}
namespace graph {
constexpr std::uint32_t node = 1, initializer = 5, input = 11, output = 12, sparseInitializer = 15;
}
namespace node {
constexpr std::uint32_t input = 1, output = 2, name = 3, op = 4, attribute = 5, domain = 7;
}
namespace function {
constexpr std::uint32_t name = 1, node = 7;
}
namespace attribute {
constexpr std::uint32_t name = 1, oneFloat = 2, oneInt = 3, oneString = 4, tensor = 5, graph = 6, floats = 7, ints = 8,
                        strings = 9, graphs = 11, sparse = 22;
}
namespace value {
constexpr std::uint32_t name = 1, type = 2;
constexpr std::uint32_t tensorType = 1, shape = 2, dimension = 1, size = 1; // one inside the other
} // namespace value
namespace tensor {
constexpr std::uint32_t dims = 1, type = 2, floats = 4, ints32 = 5, ints64 = 7, name = 8, raw = 9, doubles = 10,
                        unsigned64 = 11, external = 13, location = 14;
constexpr std::array values{raw, floats, ints32, ints64, doubles, unsigned64};
} // namespace tensor

std::string_view textOf(const Field& field)
{
    return field.type == Type::bytes ? field.text() : std::string_view();
}

std::string pathOf(const OnnxGraph& scope)
{
    const std::string around = scope.parent ? pathOf(*scope.parent) : std::string();
    return around.empty() ? scope.step : around + "/" + scope.step;
}

class Parser {
public:
    Parser(OnnxModel& model, std::string where) : m_model(model), m_where(std::move(where)) {}

    /// The graph, which stays where it is.
    Result<const OnnxGraph*> graphMessage(Bytes bytes, std::string step, const OnnxGraph* parent, int depth)
    {
        if (depth > kMaxDepth)
            return badInput("has graphs nested more than " + std::to_string(kMaxDepth) + " deep", m_where);
        QL_CHECK(checkGraphs());
        OnnxGraph& scope = m_model.graphs.emplace_back(OnnxGraph{std::move(step), parent, {}});
        wire::Reader reader(bytes);
        while (const auto field = reader.next()) {
            if (field->type != Type::bytes)
                continue;
            if (field->number == graph::node) {
                QL_CHECK(nodeMessage(field->bytes, scope, depth));
            } else if (field->number == graph::initializer) {
                QL_TRY(found, tensorMessage(field->bytes));
                QL_CHECK(keep(std::move(found), scope));
            } else if (field->number == graph::input) {
                scope.inputs.push_back(nameOf(field->bytes));
                scope.inputShapes.push_back(shapeOf(field->bytes));
            } else if (field->number == graph::output) {
                scope.outputs.push_back(nameOf(field->bytes));
            } else if (field->number == graph::sparseInitializer) {
                m_model.warnings.push_back(
                    {m_where, "holds a sparse initializer, which is left out; write it as a dense one"});
            }
        }
        if (reader.failed())
            return damaged();
        return &scope;
    }

    Result<void> functionMessage(Bytes bytes)
    {
        std::string name;
        std::vector<Bytes> nodes;
        wire::Reader reader(bytes);
        while (const auto field = reader.next()) {
            if (field->number == function::name)
                name = textOf(*field);
            else if (field->number == function::node && field->type == Type::bytes)
                nodes.push_back(field->bytes);
        }
        if (reader.failed())
            return damaged();
        QL_CHECK(checkGraphs());
        OnnxGraph& scope = m_model.graphs.emplace_back(OnnxGraph{std::move(name), nullptr, {}});
        for (const Bytes part : nodes)
            QL_CHECK(nodeMessage(part, scope, 1));
        return {};
    }

    Error damaged() const
    {
        return badInput("is truncated or damaged: its contents end too early. Get the file again", m_where);
    }

private:
    Result<void> checkGraphs() const
    {
        if (m_model.graphs.size() >= kMaxGraphs)
            return badInput("holds more than " + std::to_string(kMaxGraphs) + " graphs", m_where);
        return {};
    }

    Result<void> nodeMessage(Bytes bytes, OnnxGraph& scope, int depth)
    {
        if (++m_nodes > kMaxNodes)
            return badInput("has more than " + std::to_string(kMaxNodes) + " nodes", m_where);
        OnnxNode found;
        std::vector<Bytes> attributes;
        wire::Reader reader(bytes);
        while (const auto field = reader.next()) {
            if (field->type != Type::bytes)
                continue;
            if (field->number == node::input)
                found.inputs.push_back(field->text());
            else if (field->number == node::output)
                found.outputs.push_back(field->text());
            else if (field->number == node::name)
                found.name = field->text();
            else if (field->number == node::op)
                found.op = field->text();
            else if (field->number == node::domain)
                found.domain = field->text() == "ai.onnx" ? std::string_view() : field->text();
            else if (field->number == node::attribute)
                attributes.push_back(field->bytes);
        }
        if (reader.failed())
            return damaged();
        for (const Bytes part : attributes)
            QL_CHECK(attributeMessage(part, scope, depth, found));
        scope.nodes.push_back(std::move(found));
        return {};
    }

    Result<void> attributeMessage(Bytes bytes, OnnxGraph& scope, int depth, OnnxNode& into)
    {
        OnnxAttribute found{.name = {}, .message = bytes, .graphs = {}};
        std::vector<Bytes> graphs;
        std::optional<Bytes> value;
        wire::Reader reader(bytes);
        while (const auto field = reader.next()) {
            if (field->number == attribute::name)
                found.name = textOf(*field);
            else if ((field->number == attribute::graph || field->number == attribute::graphs) &&
                     field->type == Type::bytes)
                graphs.push_back(field->bytes);
            else if (field->number == attribute::tensor && field->type == Type::bytes)
                value = field->bytes;
        }
        if (reader.failed())
            return damaged();
        const std::string name(found.name);
        const std::string output(into.outputs.empty() ? std::string_view() : into.outputs.front());
        const std::string step(!into.name.empty() ? into.name : !output.empty() ? std::string_view(output) : into.op);
        for (const Bytes part : graphs) {
            QL_TRY(inner, graphMessage(part, step.substr(0, 200) + "." + name.substr(0, 100), &scope, depth + 1));
            found.graphs.push_back(inner);
        }
        into.attributes.push_back(std::move(found));
        if (into.op != "Constant" || output.empty())
            return {};
        if (name == "value" && value) {
            QL_TRY(constant, tensorMessage(*value));
            constant.name = output;
            return keep(std::move(constant), scope);
        }
        if (name == "sparse_value" || name == "value_string" || name == "value_strings") {
            m_model.warnings.push_back({m_where + ": " + printable(output), name == "sparse_value"
                                                                                ? "is a sparse constant; left out"
                                                                                : "is a text constant; left out"});
            return {};
        }
        return plainConstant(bytes, name, output, scope);
    }

    /// Of a ValueInfoProto.
    static std::string_view nameOf(Bytes bytes)
    {
        std::string_view name;
        wire::Reader reader(bytes);
        while (const auto field = reader.next())
            if (field->number == value::name)
                name = textOf(*field);
        return name;
    }

    /// The first message of that number; empty where there is none.
    static Bytes inside(Bytes bytes, std::uint32_t number)
    {
        wire::Reader reader(bytes);
        while (const auto field = reader.next())
            if (field->number == number && field->type == Type::bytes)
                return field->bytes;
        return {};
    }

    /// Of a ValueInfoProto of a tensor: −1 where a size is a name or missing.
    static Shape shapeOf(Bytes bytes)
    {
        Shape shape;
        wire::Reader dimensions(inside(inside(inside(bytes, value::type), value::tensorType), value::shape));
        while (const auto dimension = dimensions.next()) {
            if (dimension->number != value::dimension || dimension->type != Type::bytes || shape.size() == kMaxRank)
                continue;
            std::int64_t size = -1;
            wire::Reader reader(dimension->bytes);
            while (const auto field = reader.next())
                if (field->number == value::size && field->type == Type::varint)
                    size = static_cast<std::int64_t>(field->value);
            shape.push_back(size);
        }
        return shape;
    }

    /// value_float, value_floats, value_int, value_ints.
    Result<void> plainConstant(Bytes bytes, const std::string& name, const std::string& constantName, OnnxGraph& scope)
    {
        const bool isFloat = name == "value_float" || name == "value_floats";
        const bool isList = name == "value_floats" || name == "value_ints";
        if (!isFloat && name != "value_int" && name != "value_ints")
            return {};
        const std::uint32_t wanted = name == "value_float"    ? attribute::oneFloat
                                     : name == "value_int"    ? attribute::oneInt
                                     : name == "value_floats" ? attribute::floats
                                                              : attribute::ints;
        std::int64_t count = 0;
        wire::Reader reader(bytes);
        while (const auto field = reader.next()) {
            if (field->number != wanted)
                continue;
            if (field->type != Type::bytes)
                ++count;
            else if (isFloat)
                count += std::ssize(field->bytes) / 4;
            else
                count += std::ranges::count_if(field->bytes, [](std::byte b) { return b < std::byte{0x80}; });
        }
        OnnxTensor found;
        found.name = constantName;
        found.type = isFloat ? 1 : 7;
        if (isList)
            found.shape = {count};
        found.message = bytes;
        found.isAttribute = true;
        return keep(std::move(found), scope);
    }

    Result<OnnxTensor> tensorMessage(Bytes bytes)
    {
        OnnxTensor found;
        found.message = bytes;
        wire::Reader reader(bytes);
        const auto addDimension = [&](std::uint64_t value) { found.shape.push_back(static_cast<std::int64_t>(value)); };
        while (const auto field = reader.next()) {
            if (found.shape.size() > kMaxRank)
                return badInput("has a tensor of more than " + std::to_string(kMaxRank) + " dimensions", m_where);
            if (field->number == tensor::dims && field->type == Type::varint) {
                addDimension(field->value);
            } else if (field->number == tensor::dims && field->type == Type::bytes) {
                wire::Reader packed(field->bytes);
                while (!packed.atEnd() && found.shape.size() <= kMaxRank) {
                    const auto value = packed.varint();
                    if (!value)
                        return damaged();
                    addDimension(*value);
                }
            } else if (field->number == tensor::type && field->type == Type::varint) {
                found.type = static_cast<int>(std::min<std::uint64_t>(field->value, 1000));
            } else if (field->number == tensor::name) {
                found.name = textOf(*field);
            } else if (field->number == tensor::raw && field->type == Type::bytes) {
                found.raw = field->bytes;
                found.hasRaw = true;
            } else if (field->number == tensor::location && field->type == Type::varint) {
                found.isExternal = field->value == 1;
            } else if (field->number == tensor::external && field->type == Type::bytes) {
                QL_CHECK(externalEntry(field->bytes, found));
            }
        }
        if (reader.failed())
            return damaged();
        return found;
    }

    Result<void> externalEntry(Bytes bytes, OnnxTensor& found)
    {
        std::string key;
        std::string value;
        wire::Reader reader(bytes);
        while (const auto field = reader.next())
            (field->number == 1 ? key : value) = textOf(*field);
        if (reader.failed())
            return damaged();
        if (key == "location") {
            found.location = value;
        } else if (key == "offset" || key == "length") {
            const auto number = parseInt(value);
            if (!number || *number < 0)
                return badInput("the " + key + " of its external data is '" + printable(value.substr(0, 40)) +
                                    "', which is no position in a file",
                                m_where + ": " + printable(found.name));
            if (key == "offset")
                found.offset = *number;
            else
                found.length = *number;
        }
        return {};
    }

    /// Names must be unique in their own graph; across graphs a scope is added.
    Result<void> keep(OnnxTensor found, OnnxGraph& scope)
    {
        if (std::ssize(m_model.tensors) >= kMaxTensors)
            return badInput("holds more than " + std::to_string(kMaxTensors) + " tensors", m_where);
        QL_CHECK(checkTensorName(found.name, m_where));
        if (!scope.tensors.emplace(found.name, m_model.tensors.size()).second)
            return badInput(
                "the tensor '" + printable(found.name) +
                    "' is listed twice in one graph, so it is unclear which one is meant; write the file anew",
                m_where);
        if (m_names.contains(found.name)) {
            const std::string base = found.name + "@" + printable(pathOf(scope));
            found.name = base;
            for (int i = 2; m_names.contains(found.name); ++i)
                found.name = base + "#" + std::to_string(i);
            QL_CHECK(checkTensorName(found.name, m_where));
        }
        m_names.insert(found.name);
        m_model.tensors.push_back(std::move(found));
        return {};
    }

    OnnxModel& m_model;
    std::string m_where;
    std::set<std::string, std::less<>> m_names;
    std::size_t m_nodes = 0;
};

/// Calls visit(field) for the values of an attribute that are kept in one of two fields, one or a list.
template<typename Visit>
void forValues(const OnnxAttribute* found, std::uint32_t one, std::uint32_t list, const Visit& visit)
{
    wire::Reader reader(found ? found->message : Bytes());
    while (const auto field = reader.next())
        if (field->number == one || field->number == list)
            visit(*field);
}

double floatOf(std::uint64_t bits)
{
    return static_cast<double>(std::bit_cast<float>(static_cast<std::uint32_t>(bits)));
}

} // namespace

const OnnxAttribute* OnnxNode::find(std::string_view attribute) const
{
    const auto found = std::ranges::find(attributes, attribute, &OnnxAttribute::name);
    return found == attributes.end() ? nullptr : &*found;
}

std::int64_t OnnxNode::integer(std::string_view attribute, std::int64_t fallback) const
{
    const auto values = integers(attribute);
    return !values ? fallback : values->empty() ? 0 : values->front(); // writers may leave out zeros
}

double OnnxNode::number(std::string_view attribute, double fallback) const
{
    const auto values = numbers(attribute);
    return !values ? fallback : values->empty() ? 0 : values->front();
}

std::string_view OnnxNode::text(std::string_view attribute, std::string_view fallback) const
{
    forValues(find(attribute), attribute::oneString, attribute::strings,
              [&](const Field& field) { fallback = textOf(field); });
    return fallback;
}

std::optional<std::vector<std::int64_t>> OnnxNode::integers(std::string_view attribute) const
{
    const OnnxAttribute* found = find(attribute);
    if (!found)
        return std::nullopt;
    std::vector<std::int64_t> values;
    const auto add = [&](std::optional<std::uint64_t> value) {
        if (value && values.size() <= kMaxRank)
            values.push_back(static_cast<std::int64_t>(*value));
    };
    forValues(found, attribute::oneInt, attribute::ints, [&](const Field& field) {
        if (field.type == Type::varint)
            add(field.value);
        wire::Reader packed(field.bytes);
        while (!packed.atEnd() && !packed.failed() && values.size() <= kMaxRank)
            add(packed.varint());
    });
    return values;
}

std::optional<std::vector<double>> OnnxNode::numbers(std::string_view attribute) const
{
    const OnnxAttribute* found = find(attribute);
    if (!found)
        return std::nullopt;
    std::vector<double> values;
    forValues(found, attribute::oneFloat, attribute::floats, [&](const Field& field) {
        if (field.type == Type::fixed32 && values.size() <= kMaxRank)
            values.push_back(floatOf(field.value));
        for (std::size_t i = 0; i + 4 <= field.bytes.size() && values.size() <= kMaxRank; i += 4) {
            std::uint32_t bits = 0;
            std::memcpy(&bits, field.bytes.data() + i, 4);
            values.push_back(floatOf(bits));
        }
    });
    return values;
}

std::optional<std::variant<std::int64_t, double>> OnnxNode::element(std::string_view attribute) const
{
    int type = 0;
    std::optional<std::array<std::byte, 8>> bits; // of the first element, whichever field it is in
    const auto take = [&](Bytes bytes) {
        bits.emplace();
        std::ranges::copy(bytes.first(std::min(bytes.size(), bits->size())), bits->begin());
    };
    forValues(find(attribute), attribute::tensor, attribute::tensor, [&](const Field& tensor) {
        wire::Reader reader(tensor.bytes);
        while (const auto field = reader.next()) {
            if (field->number == tensor::type && field->type == Type::varint) {
                type = static_cast<int>(std::min<std::uint64_t>(field->value, 1000));
            } else if (std::ranges::find(tensor::values, field->number) == std::end(tensor::values) || bits) {
                continue;
            } else if (field->type != Type::bytes) {
                take(std::as_bytes(std::span(&field->value, 1)));
            } else if (field->number == tensor::raw || field->number == tensor::floats ||
                       field->number == tensor::doubles) {
                take(field->bytes);
            } else {
                wire::Reader packed(field->bytes);
                if (const auto value = packed.varint())
                    take(std::as_bytes(std::span(&*value, 1)));
            }
        }
    });
    const auto dtype = onnxDtype(type);
    if (!bits || !dtype)
        return std::nullopt;
    if (info(*dtype).isInteger) {
        std::int64_t value = 0;
        decodeIntegers(*dtype, bits->data(), 0, 1, &value);
        return value;
    }
    if (!info(*dtype).isFloat || info(*dtype).blockElements != 1)
        return std::nullopt;
    double value = 0;
    decode(*dtype, bits->data(), 0, 1, &value);
    return value;
}

bool looksLikeOnnx(wire::Bytes file)
{
    // Known fields with the right types only, a small version number, and a graph whose first field is a graph's.
    wire::Reader reader(file);
    bool hasVersion = false;
    bool hasGraph = false;
    for (int i = 0; i < 1000; ++i) {
        const auto field = reader.next();
        if (!field)
            break;
        const bool isNumber = field->number == model::irVersion || field->number == model::version;
        const bool known = (field->number >= model::irVersion && field->number <= model::opset) ||
                           field->number == model::properties || field->number == model::training ||
                           field->number == model::functions || field->number == model::configuration;
        if (!known || field->type != (isNumber ? Type::varint : Type::bytes))
            return false;
        if (field->number == model::irVersion) {
            if (field->value == 0 || field->value > 1000)
                return false;
            hasVersion = true;
        }
        hasGraph |= field->number == model::graph;
    }
    if (hasVersion && hasGraph)
        return true;
    // Cut off inside the graph: a version, texts, then the tag of a graph whose length passes the end.
    return hasVersion && reader.failed() &&
           std::ranges::find(file.first(std::min<std::size_t>(file.size(), 4096)),
                             std::byte{model::graph << 3U | 2U}) != file.end();
}

Result<OnnxModel> parseOnnx(wire::Bytes file, const std::string& where)
{
    OnnxModel found;
    Parser parser(found, where);
    std::vector<Bytes> functions;
    wire::Reader reader(file);
    const auto note = [&](const char* key, std::string_view value) {
        found.metadata.emplace_back(key, printable(value.substr(0, 1000)));
    };
    while (const auto field = reader.next()) {
        switch (field->number) {
        case model::irVersion:
            note("ir_version", std::to_string(field->value));
            break;
        case model::producerName:
            note("producer_name", textOf(*field));
            break;
        case model::producerVersion:
            note("producer_version", textOf(*field));
            break;
        case model::domain:
            note("domain", textOf(*field));
            break;
        case model::properties: {
            std::string key;
            std::string value;
            wire::Reader entry(field->bytes);
            while (const auto part = entry.next())
                (part->number == 1 ? key : value) = textOf(*part);
            note(printable(key.substr(0, 200)).c_str(), value);
            break;
        }
        case model::graph:
            if (field->type == Type::bytes) {
                QL_TRY(main, parser.graphMessage(field->bytes, {}, nullptr, 0));
                found.main = main;
            }
            break;
        case model::opset: {
            std::string domain;
            std::int64_t version = 0;
            wire::Reader entry(field->bytes);
            while (const auto part = entry.next()) {
                if (part->number == 1)
                    domain = textOf(*part);
                else if (part->number == 2)
                    version = static_cast<std::int64_t>(std::min<std::uint64_t>(part->value, 1'000'000));
            }
            found.opsets[domain == "ai.onnx" ? std::string() : domain] = version;
            break;
        }
        case model::functions:
            if (field->type == Type::bytes)
                functions.push_back(field->bytes);
            break;
        default:
            break;
        }
    }
    if (reader.failed())
        return parser.damaged();
    for (const Bytes part : functions)
        QL_CHECK(parser.functionMessage(part));
    findUses(found);
    return found;
}

} // namespace ql
