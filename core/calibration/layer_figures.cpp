// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/calibration/layer_figures.h"

#include "core/calibration/activations.h"
#include "core/calibration/byte_stream.h"

namespace ql {

namespace {

constexpr std::uint64_t kMark = 0x316572756769'6651; // "Qfigure1"

std::span<const char> charactersOf(const std::string& text)
{
    return {text.data(), text.size()};
}

bool readText(ByteReader& reader, std::string& text)
{
    std::vector<char> characters;
    if (!reader.array(characters))
        return false;
    text.assign(characters.begin(), characters.end());
    return true;
}

} // namespace

std::vector<std::byte> LayerFigures::encode() const
{
    ByteWriter writer;
    writer.value(kMark);
    writer.array(charactersOf(source));
    writer.value(static_cast<std::int64_t>(values.size()));
    for (const auto& [name, value] : values) {
        writer.array(charactersOf(name));
        writer.value(value);
    }
    return writer.take();
}

std::optional<LayerFigures> LayerFigures::decode(std::span<const std::byte> bytes)
{
    ByteReader reader(bytes);
    std::uint64_t mark = 0;
    LayerFigures figures;
    std::int64_t count = 0;
    if (!reader.value(mark) || mark != kMark || !readText(reader, figures.source) || !reader.value(count))
        return std::nullopt;
    for (; count > 0; --count) {
        std::string name;
        double value = 0;
        if (!readText(reader, name) || !reader.value(value))
            return std::nullopt;
        figures.values[name] = value;
    }
    return reader.atEnd() ? std::optional(std::move(figures)) : std::nullopt;
}

std::string figuresKey(FigureKind kind, const std::string& layerName)
{
    constexpr std::string_view kFolders[] = {"figures/depth/", "figures/traces/", "figures/curvature/"};
    return std::string(kFolders[static_cast<std::size_t>(kind)]) + layerName;
}

std::optional<double> figureOf(const Activations* activations, std::string_view name, std::int64_t layer)
{
    const auto* its = dynamic_cast<const KnowsFigures*>(activations);
    return its ? its->figure(name, layer) : std::nullopt;
}

bool knowsFigure(const Activations* activations, std::string_view name)
{
    const auto* its = dynamic_cast<const KnowsFigures*>(activations);
    return its && its->knowsFigure(name);
}

} // namespace ql
