// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/model/tokenizer/decoder.h"

#include "core/model/tokenizer/json_fields.h"
#include "core/model/tokenizer/unicode_text.h"

#include <algorithm>
#include <array>

namespace ql::tok {

namespace {

using Texts = std::vector<std::string>;

std::string joined(const Texts& texts)
{
    std::string all;
    for (const std::string& text : texts)
        all += text;
    return all;
}

std::string repaired(const std::string& bytes)
{
    std::int64_t replaced = 0;
    return repairUtf8(bytes, replaced);
}

Result<DecoderStep> makeByteLevel(const Fields&)
{
    return DecoderStep([](Texts& tokens) {
        std::string bytes;
        for (const std::string& token : tokens)
            bytes += fromByteCharacters(token).value_or(token);
        tokens = {repaired(bytes)};
    });
}

Result<DecoderStep> makeByteFallback(const Fields&)
{
    return DecoderStep([](Texts& tokens) {
        Texts out;
        std::string bytes;
        const auto flush = [&] {
            std::int64_t replaced = 0;
            std::string text = repairUtf8(bytes, replaced);
            if (replaced > 0) { // one sign for each byte of the run
                text.clear();
                for (std::size_t i = 0; i < bytes.size(); ++i)
                    text += kReplacement;
            }
            if (!bytes.empty())
                out.push_back(std::move(text));
            bytes.clear();
        };
        for (std::string& token : tokens) {
            if (const auto byte = byteOfPiece(token)) {
                bytes += static_cast<char>(*byte);
                continue;
            }
            flush();
            out.push_back(std::move(token));
        }
        flush();
        tokens = std::move(out);
    });
}

Result<DecoderStep> makeFuse(const Fields&)
{
    return DecoderStep([](Texts& tokens) { tokens = {joined(tokens)}; });
}

Result<DecoderStep> makeReplace(const Fields& fields)
{
    const Fields pattern(fields["pattern"], fields.where());
    QL_TRY(content, fields.text("content"));
    if (!pattern["String"].is_string() || pattern["String"].get<std::string>().empty())
        return fields.cannot("replaces by a pattern, which QuantLoupe's decoder does not");
    return DecoderStep([from = pattern["String"].get<std::string>(), content = content](Texts& tokens) {
        for (std::string& token : tokens)
            token = replaceAll(token, from, content);
    });
}

Result<DecoderStep> makeStrip(const Fields& fields)
{
    QL_TRY(content, fields.text("content"));
    QL_TRY(start, fields.count("start"));
    QL_TRY(stop, fields.count("stop"));
    if (content.empty())
        return fields.wrong("needs a 'content' to strip");
    return DecoderStep([content = content, start = start, stop = stop](Texts& tokens) {
        for (std::string& token : tokens) {
            std::string_view rest = token;
            for (std::int64_t i = 0; i < start && rest.starts_with(content); ++i)
                rest.remove_prefix(content.size());
            for (std::int64_t i = 0; i < stop && rest.ends_with(content); ++i)
                rest.remove_suffix(content.size());
            token = std::string(rest);
        }
    });
}

Result<DecoderStep> makeMetaspace(const Fields& fields)
{
    QL_TRY(blank, fields.text("replacement"));
    const bool keepsFirst = fields["prepend_scheme"] == "never" || fields["add_prefix_space"] == false;
    if (blank.empty())
        return fields.wrong("needs a 'replacement'");
    return DecoderStep([blank = blank, keepsFirst](Texts& tokens) {
        for (std::size_t i = 0; i < tokens.size(); ++i)
            tokens[i] = replaceAll(tokens[i], blank, i == 0 && !keepsFirst ? "" : " ");
    });
}

Result<DecoderStep> makeWordPiece(const Fields& fields)
{
    QL_TRY(prefix, fields.text("prefix"));
    QL_TRY(cleans, fields.boolean("cleanup"));
    return DecoderStep([prefix = prefix, cleans = cleans](Texts& tokens) {
        static constexpr std::pair<std::string_view, std::string_view> kCleanUp[] = {
            {" .", "."},   {" ?", "?"},           {" !", "!"},   {" ,", ","},     {" ' ", "'"},   {" n't", "n't"},
            {" 'm", "'m"}, {" do not", " don't"}, {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"}};
        for (std::size_t i = 0; i < tokens.size(); ++i) {
            if (i > 0)
                tokens[i] = tokens[i].starts_with(prefix) ? tokens[i].substr(prefix.size()) : " " + tokens[i];
            if (cleans)
                for (const auto& [from, to] : kCleanUp)
                    tokens[i] = replaceAll(tokens[i], from, to);
        }
    });
}

Result<DecoderStep> makeBpe(const Fields& fields)
{
    QL_TRY(suffix, fields.text("suffix"));
    if (suffix.empty())
        return fields.wrong("needs a 'suffix'");
    return DecoderStep([suffix = suffix](Texts& tokens) {
        for (std::size_t i = 0; i < tokens.size(); ++i)
            tokens[i] = replaceAll(tokens[i], suffix, i + 1 == tokens.size() ? "" : " ");
    });
}

struct Maker {
    std::string_view type;
    Result<DecoderStep> (*make)(const Fields&);
};
constexpr std::array kMakers{Maker{"ByteLevel", makeByteLevel}, Maker{"ByteFallback", makeByteFallback},
                             Maker{"Fuse", makeFuse},           Maker{"Replace", makeReplace},
                             Maker{"Strip", makeStrip},         Maker{"Metaspace", makeMetaspace},
                             Maker{"WordPiece", makeWordPiece}, Maker{"BPEDecoder", makeBpe}};

} // namespace

Result<std::vector<DecoderStep>> makeDecoder(const Json& component, const std::string& where)
{
    if (component.is_null()) // tokens apart by blanks
        return std::vector<DecoderStep>{[](Texts& tokens) { tokens = {join(tokens, " ")}; }};
    QL_TRY(flat, flatten(component, "decoders", where));
    std::vector<DecoderStep> steps;
    for (const Json* each : flat) {
        const Fields fields(*each, where);
        const auto maker = std::ranges::find(kMakers, fields.type(), &Maker::type);
        if (maker == kMakers.end())
            return fields.cannot("is no decoder that QuantLoupe has");
        QL_TRY(step, maker->make(fields));
        steps.push_back(std::move(step));
    }
    return steps;
}

} // namespace ql::tok
