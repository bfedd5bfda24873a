// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/model/frontends/rope_settings.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace ql {

namespace {

using graph::kLeftOut;

class Settings {
public:
    Settings(ModelBuilder& builder, std::int64_t headSize, const std::string& layerType)
        : m_builder(builder), m_config(builder.config()), m_isLocal(layerType == "sliding_attention")
    {
        // In order of precedence; transformers 4 wrote rope_scaling, which never concerned layers with a window.
        const std::string own = "rope_parameters." + layerType + ".";
        m_objects = m_config.has("rope_parameters." + layerType) ? std::vector<std::string>{own}
                    : m_isLocal                                  ? std::vector<std::string>{}
                                : std::vector<std::string>{"rope_scaling.", "rope_parameters."};
        const double factor = number("partial_rotary_factor").value_or(m_config.number("partial_rotary_factor", 1));
        m_rotary = static_cast<std::int64_t>(
            m_config.number("rope_dimension_count", std::floor(static_cast<double>(headSize) * factor)));
        m_theta =
            number("rope_theta").value_or(m_config.number(m_isLocal ? "rope_local_base_freq" : "rope_theta", 10000));
        m_rope.attributes = {{"head_size", headSize}, {"rotary", m_rotary}, {"theta", m_theta}};
    }

    Rope run()
    {
        const std::string type = this->type();
        if (type == "linear")
            m_rope.factors = factors([this](double) { return positive("factor"); });
        else if (type == "dynamic")
            dynamic();
        else if (type == "yarn")
            yarn();
        else if (type == "llama3")
            llama3();
        else if (type == "longrope")
            longRope();
        else if (type != "default" && type != "none")
            m_builder.refuse("scales its rotary positions by '" + type + "', which is not known");
        ggufFactors();
        return std::move(m_rope);
    }

private:
    std::optional<double> number(const std::string& key) const
    {
        for (const std::string& object : m_objects)
            if (const auto value = m_config.number(object + key))
                return value;
        return std::nullopt;
    }
    double positive(const std::string& key) const
    {
        const auto value = number(key);
        if (value && *value > 0)
            return *value;
        m_builder.refuse("scales its rotary positions but gives no usable " + key);
        return 1;
    }

    std::string type() const
    {
        for (const std::string& object : m_objects) {
            const auto newer = m_config.text(object + "rope_type");
            const auto older = m_config.text(object + "type");
            if (const auto& text = newer ? newer : older) {
                const bool isPhi3 = m_config.type() == "phi3"; // whose first files had other words
                return *text == "su" || (isPhi3 && *text == "yarn") ? "longrope" : *text;
            }
        }
        return "default";
    }

    /// The context before it was stretched; at the top of the configuration (Phi-3) it has precedence.
    double originalContext() const
    {
        if (const auto value = m_config.number("original_max_position_embeddings"))
            return *value;
        return number("original_max_position_embeddings").value_or(m_config.number("max_position_embeddings", 0));
    }

    /// A constant [rotary / 2] from what f makes of each frequency theta^(−2i/rotary).
    template<class F>
    graph::ValueId factors(const F& f) const
    {
        std::vector<double> values;
        for (std::int64_t i = 0; i < m_rotary / 2; ++i)
            values.push_back(f(std::pow(m_theta, -2 * static_cast<double>(i) / static_cast<double>(m_rotary))));
        return m_builder.constant("rope_factors", values);
    }

    void dynamic()
    {
        m_rope.attributes["dynamic"] = positive("factor");
        m_rope.attributes["context"] = m_builder.count("max_position_embeddings");
    }

    /// Peng et al. 2023: frequencies that turn often keep their pace, slow ones are stretched, a ramp between.
    void yarn()
    {
        const double factor = positive("factor");
        const double context = originalContext();
        const auto width = static_cast<double>(m_rotary);
        const auto dimension = [&](double turns) {
            return width * std::log(context / (turns * 2 * std::numbers::pi)) / (2 * std::log(m_theta));
        };
        double low = dimension(number("beta_fast").value_or(32));
        double high = dimension(number("beta_slow").value_or(1));
        if (m_config.flag("rope_parameters.truncate", m_config.flag("rope_scaling.truncate", true))) {
            low = std::floor(low);
            high = std::ceil(high);
        }
        low = std::max(low, 0.0);
        high = std::min(high, width - 1);
        double i = 0;
        m_rope.factors = factors([&](double) {
            const double ramp = std::clamp((i++ - low) / (high == low ? 0.001 : high - low), 0.0, 1.0);
            return 1 / (ramp / factor + (1 - ramp));
        });
        m_rope.attributes["scale"] = yarnScale(factor);
    }

    double yarnScale(double factor) const
    {
        const auto magnitude = [factor](double m) { return factor <= 1 ? 1.0 : 0.1 * m * std::log(factor) + 1; };
        const auto given = number("attention_factor");
        const double m = number("mscale").value_or(0);
        const double all = number("mscale_all_dim").value_or(0);
        if (m_config.isGguf())
            return given.value_or(1) * magnitude(1);
        if (given)
            return *given;
        return m != 0 && all != 0 ? magnitude(m) / magnitude(all) : magnitude(1);
    }

    void llama3()
    {
        const double factor = positive("factor");
        const double low = positive("low_freq_factor");
        const double high = positive("high_freq_factor");
        const double context = originalContext();
        if (!(low < high))
            m_builder.refuse(
                "scales its rotary positions from low_freq_factor to a high_freq_factor that is not higher");
        m_rope.factors = factors([&](double frequency) {
            const double turns = context * frequency / (2 * std::numbers::pi); // in the original context
            const double smooth = std::clamp((turns - low) / (high - low), 0.0, 1.0);
            return 1 / ((1 - smooth) / factor + smooth);
        });
    }

    void longRope()
    {
        const double context = originalContext();
        const double factor = number("factor").value_or(m_config.number("max_position_embeddings", 0) / context);
        const double scale = factor <= 1 ? 1 : std::sqrt(1 + std::log(factor) / std::log(context));
        m_rope.attributes["scale"] = number("attention_factor").value_or(scale);
        m_rope.attributes["context"] = static_cast<std::int64_t>(context);
        m_rope.factors = given("short_factor");
        m_rope.longFactors = given("long_factor");
    }

    graph::ValueId given(const std::string& key) const
    {
        for (const std::string& object : m_objects)
            if (const auto values = m_config.numbers(object + key); std::ssize(values) == m_rotary / 2)
                return m_builder.constant("rope_" + key, values);
        m_builder.refuse("scales its rotary positions but gives no " + key + " of " + std::to_string(m_rotary / 2) +
                         " numbers");
        return kLeftOut;
    }

    /// Tensors outside the blocks: the factors of Llama 3, or both of LongRoPE.
    void ggufFactors()
    {
        if (!m_config.isGguf() || m_isLocal)
            return;
        if (const auto ready = m_builder.outsideIfAny("rope_freqs"); ready != kLeftOut)
            m_rope.factors = ready;
        if (const auto stretched = m_builder.outsideIfAny("rope_factors_long"); stretched != kLeftOut) {
            m_rope.factors = m_builder.outsideIfAny("rope_factors_short");
            m_rope.longFactors = stretched;
            m_rope.attributes["context"] = static_cast<std::int64_t>(originalContext());
            m_rope.attributes["scale"] = number("attention_factor").value_or(1);
        }
    }

    ModelBuilder& m_builder;
    const ModelConfig& m_config;
    bool m_isLocal;
    std::vector<std::string> m_objects;
    std::int64_t m_rotary = 0;
    double m_theta = 0;
    Rope m_rope;
};

} // namespace

Rope ropeOf(ModelBuilder& builder, std::int64_t headSize, const std::string& layerType)
{
    return Settings(builder, headSize, layerType).run();
}

} // namespace ql
