// SPDX-License-Identifier: GPL-3.0-or-later
// The patterns are those of the models' own tokenizer.json where llama.cpp's equal them; where llama.cpp cuts
// elsewhere, they are written to cut as it does.
#include "core/model/tokenizer/gguf_pre_tokenizers.h"

#include <algorithm>
#include <array>

#define CONTRACTIONS "'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD]"
#define LINES_AND_BLANKS R"(|\s*[\r\n]+|\s+(?!\S)|\s+)"
#define SIGNS R"(| ?[^\s\p{L}\p{N}]+[\r\n]*)"
// Letters that are upper case or have no case, and the contrary, by ASCII alone.
#define CASED_WORDS(TAIL)                                                                                              \
    R"([^\r\n\p{L}\p{N}]?[\p{L}--[a-z]]*[\p{L}--[A-Z]]+)" TAIL                                                         \
    R"(|[^\r\n\p{L}\p{N}]?[\p{L}--[a-z]]+[\p{L}--[A-Z]]*)" TAIL
#define BLOOM_WORDS " ?[^(\\s|.,!?\u2026\u3002\uff0c\u3001\u0964\u06d4\u060c)]+"

namespace ql::tok {

namespace {

using Names = std::string_view;
using Pattern = const char*;

constexpr Pattern kGpt2Words = R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
constexpr Pattern kLlama3Words = CONTRACTIONS R"(|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3})" SIGNS LINES_AND_BLANKS;
constexpr Pattern kQwen2Words = CONTRACTIONS R"(|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N})" SIGNS LINES_AND_BLANKS;

constexpr Pattern kDefault[] = {R"([\p{P}$+<=>^~|]+)", kGpt2Words, R"(\p{N}+)", "[0-9][0-9][0-9]"};
constexpr Pattern kGpt2[] = {kGpt2Words};
constexpr Pattern kDigitsGpt2[] = {R"(\p{N})", kGpt2Words};
constexpr Pattern kLlama3[] = {kLlama3Words};
constexpr Pattern kQwen2[] = {kQwen2Words};
constexpr Pattern kQwen35[] = {
    CONTRACTIONS R"(|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*)" LINES_AND_BLANKS};
constexpr Pattern kDeepseek3[] = {
    R"(\p{N}{1,3})", "[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+",
    R"([!-/:-@\[-`{-~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*)" LINES_AND_BLANKS};
constexpr Pattern kDeepseekCoder[] = {"[\r\n]", R"(\s?\p{L}+)", R"(\s?\p{P}+)",
                                      "[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+", R"(\p{N})"};
constexpr Pattern kFalcon[] = {R"([\p{P}$+<=>^~|`]+)", kGpt2Words, "[0-9][0-9][0-9]"};
constexpr Pattern kBloom[] = {BLOOM_WORDS};
constexpr Pattern kViking[] = {BLOOM_WORDS, R"(\p{N})"};
constexpr Pattern kTekken[] = {CASED_WORDS("") R"(|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*)" LINES_AND_BLANKS};
constexpr Pattern kGpt4o[] = {
    CASED_WORDS("(?:" CONTRACTIONS ")?") R"(|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*)" LINES_AND_BLANKS};
constexpr Pattern kBailing[] = {R"('(?:[sSdDmMtT]|[lL][lL]|[vV][eE]|[rR][eE])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N})" SIGNS
                                R"(|\s*[\r\n]|\s+(?!\S)|\s+)"};
constexpr Pattern kSeedCoder[] = {CONTRACTIONS
                                  R"(|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}\r\n]+)" LINES_AND_BLANKS};

constexpr Names kDefaultNames[] = {"default"};
constexpr Names kGpt2Names[] = {"gpt-2",      "phi-2",      "jina-es",      "jina-de",    "gigachat",
                                "jina-v2-es", "jina-v2-de", "a.x-4.0",      "mellum",     "modern-bert",
                                "mpt",        "olmo",       "jais",         "trillion",   "granite-docling",
                                "exaone4",    "jina-v1-en", "jina-v2-code", "roberta-bpe"};
constexpr Names kDigitsGpt2Names[] = {"starcoder", "refact", "command-r",  "smollm",
                                      "codeshell", "exaone", "minerva-7b", "mellum2"};
constexpr Names kLlama3Names[] = {"llama3",  "llama-v3", "llama-bpe", "falcon3",     "falcon-h1",
                                  "pixtral", "midm-2.0", "lfm2",      "jina-v5-nano"};
constexpr Names kDbrxNames[] = {"dbrx", "smaug-bpe", "chatglm-bpe"};
constexpr Names kGlmNames[] = {"glm4", "glm5"};
constexpr Names kQwen2Names[] = {"qwen2",     "deepseek-r1-qwen", "kormo",      "f2llmv2", "megrez",
                                 "stablelm2", "hunyuan",          "solar-open", "grok-2"};
constexpr Names kQwen35Names[] = {"qwen35"};
constexpr Names kDeepseek3Names[] = {"deepseek-v3", "hunyuan-dense", "joyai-llm", "hy_v4"};
constexpr Names kDeepseekCoderNames[] = {"deepseek-coder"};
constexpr Names kFalconNames[] = {"falcon"};
constexpr Names kBloomNames[] = {"bloom", "poro-chat", "gpt3-finnish"};
constexpr Names kVikingNames[] = {"viking"};
constexpr Names kTekkenNames[] = {"tekken"};
constexpr Names kGpt4oNames[] = {"gpt-4o", "llama4", "kanana2", "talkie", "minimax-m2"};
constexpr Names kBailingNames[] = {"bailingmoe", "bailingmoe2", "llada-moe"};
constexpr Names kSeedCoderNames[] = {"seed-coder"};

constexpr std::array kAll{
    GgufPreTokenizer{kDefaultNames, kDefault},       GgufPreTokenizer{kGpt2Names, kGpt2},
    GgufPreTokenizer{kDigitsGpt2Names, kDigitsGpt2}, GgufPreTokenizer{kLlama3Names, kLlama3, true, true},
    GgufPreTokenizer{kDbrxNames, kLlama3},           GgufPreTokenizer{kGlmNames, kLlama3, true},
    GgufPreTokenizer{kQwen2Names, kQwen2},           GgufPreTokenizer{kQwen35Names, kQwen35},
    GgufPreTokenizer{kDeepseek3Names, kDeepseek3},   GgufPreTokenizer{kDeepseekCoderNames, kDeepseekCoder},
    GgufPreTokenizer{kFalconNames, kFalcon},         GgufPreTokenizer{kBloomNames, kBloom},
    GgufPreTokenizer{kVikingNames, kViking},         GgufPreTokenizer{kTekkenNames, kTekken, true, true},
    GgufPreTokenizer{kGpt4oNames, kGpt4o},           GgufPreTokenizer{kBailingNames, kBailing},
    GgufPreTokenizer{kSeedCoderNames, kSeedCoder},
};

} // namespace

const GgufPreTokenizer* findGgufPreTokenizer(std::string_view name)
{
    const auto found = std::ranges::find_if(
        kAll, [&](const GgufPreTokenizer& one) { return std::ranges::find(one.names, name) != one.names.end(); });
    return found == kAll.end() ? nullptr : &*found;
}

} // namespace ql::tok
