// SPDX-License-Identifier: GPL-3.0-or-later
// The bytes of each target against their specification: packed words, blocks, config.json, GGUF keys, row order, HDF5
// datasets.
#include "core/base/hdf5_file.h"
#include "core/checkpoint/gguf_file.h"
#include "core/checkpoint/reader.h"
#include "core/export/gguf_blocks.h"
#include "core/quantizers/quantizer.h"
#include "core/realize/realize.h"
#include "tests/support/export_support.h"
#include "tests/support/tiny_llama.h"

#include <QTest>

#include <cmath>
#include <numbers>

using namespace ql;
using namespace ql::test;

class WrittenBytesTest : public QObject {
    Q_OBJECT

    Executor m_executor{2};
    JobContext m_context{m_executor};
    TemporaryFolder m_folder;

    std::shared_ptr<const Model> open(const TinyLlama& tiny, const std::string& name)
    {
        const bool gguf = name.ends_with(".gguf");
        gguf ? tiny.writeGguf(m_folder / name) : tiny.writeFolder(m_folder / name);
        return openModel(m_folder / name, m_context).value();
    }
    std::filesystem::path write(const Model& model, const char* id, const std::vector<std::string>& plan,
                                const std::string& name)
    {
        const auto written =
            exportPlan(*findTarget(id).value(), {model, planOf(model, plan), nullptr}, m_folder / name, m_context);
        if (!written)
            throw std::runtime_error(describe(written.error()));
        return m_folder / name;
    }
    GgufFile gguf(const std::filesystem::path& path)
    {
        return parseGguf(MappedFile::open(path).value(), m_context).value();
    }

private Q_SLOTS:
    void ggufBlocksAreThoseOfGgml_data()
    {
        QTest::addColumn<QByteArray>("scheme");
        QTest::addColumn<QByteArray>("hex");
        // quantize_row_*_ref of ggml d99724f on x[i] = (((37 i) mod 101) − 50)/64
        QTest::newRow("q4_0") << QByteArray("gguf:q4_0") << QByteArray("402ee046acf258bd1379df358be046acf268");
        QTest::newRow("q4_1") << QByteArray("gguf:q4_1") << QByteArray("ab2e40bad0369bf257bd1369ce258ae0469cf258");
        QTest::newRow("q5_0") << QByteArray("gguf:q5_0") << QByteArray("402aa4a52d6dc07c38f3bf6b26e2ae5a15d18d49f4c0");
        QTest::newRow("q5_1") << QByteArray("gguf:q5_1")
                              << QByteArray("742a40baa4a52d6db07b37e3af6a26d29d5905c18c48f4b0");
        QTest::newRow("q8_0") << QByteArray("gguf:q8_0")
                              << QByteArray("4d1e81df3d9af856b41270cd2b89e745a2005ebb1977d53390ee4caa0866c3217fdc");
    }
    void ggufBlocksAreThoseOfGgml()
    {
        QFETCH(QByteArray, scheme);
        QFETCH(QByteArray, hex);
        std::vector<float> x;
        for (int i = 0; i < 32; ++i)
            x.push_back(static_cast<float>((37 * i) % 101 - 50) / 64);
        const Candidate candidate = parseCandidate(scheme.toStdString() + "@rtn:ggml").value();
        const TensorView view{Dtype::f32, {1, 32}, reinterpret_cast<const std::byte*>(x.data())};
        const auto quantized = realize(view, candidate, nullptr, m_context);
        QVERIFY(quantized.has_value());
        const Dtype type = dtypeFromWord(scheme.mid(5).toStdString()).value();
        QByteArray block(info(type).blockBytes, '\0');
        ggufout::packBlocks(*quantized, type, 0, 1, reinterpret_cast<std::byte*>(block.data()));
        QCOMPARE(block.toHex(), hex);
    }

    void packedWordsAreLittleEndianBitStrings()
    {
        const auto model = open({}, "words");
        const auto path = write(*model, "compressed-tensors", {"*mlp*=int4:g64", "*down*=int8:channel"}, "words-out");
        const auto file = openCheckpoint(path / "model.safetensors", m_context).value();
        const auto load = [&](const std::string& name) { return file->load(file->indexOf(name), m_context).value(); };
        for (const auto& [layer, bits] :
             {std::pair{"model.layers.1.mlp.up_proj", 4}, {"model.layers.0.mlp.down_proj", 8}}) {
            const std::int64_t index = model->indexOf(std::string(layer) + ".weight");
            const Shape shape = model->layers[static_cast<std::size_t>(index)].shape;
            const Candidate candidate = parseCandidate(bits == 4 ? "int4:g64:s=bf16" : "int8:channel:s=bf16").value();
            const auto quantized = realize(*model, index, candidate, nullptr, m_context).value();
            const TensorData words = load(std::string(layer) + ".weight_packed");
            QVERIFY(words.view.dtype == Dtype::i32);
            QCOMPARE(words.view.shape, (Shape{shape[0], shape[1] * bits / 32}));
            for (std::int64_t i = 0; i < numel(shape); ++i) {
                std::uint32_t word = 0;
                std::memcpy(&word, words.view.data + i * bits / 32 * 4, 4);
                const int stored = static_cast<int>((word >> (i * bits % 32)) & ((1U << bits) - 1U));
                QCOMPARE(stored - (1 << (bits - 1)), static_cast<int>(quantized.codes.as<std::int8_t>()[i]));
            }
            const TensorData scales = load(std::string(layer) + ".weight_scale");
            QVERIFY(scales.view.dtype == Dtype::bf16);
            QCOMPARE(scales.view.shape, (Shape{shape[0], bits == 4 ? shape[1] / 64 : 1}));
            for (std::size_t i = 0; i < quantized.scales.size(); ++i) {
                float scale = 0;
                decode(Dtype::bf16, scales.view.data, static_cast<std::int64_t>(i), 1, &scale);
                QCOMPARE(scale, quantized.scales[i]);
            }
            const TensorData dims = load(std::string(layer) + ".weight_shape");
            QVERIFY(dims.view.dtype == Dtype::i64);
            QCOMPARE(std::memcmp(dims.view.data, shape.data(), 16), 0);
            QVERIFY(file->indexOf(std::string(layer) + ".weight") < 0);
        }
        for (const TensorInfo& tensor : file->tensors()) // aligned to their elements, as readers that map need it
            QCOMPARE(tensor.offset % info(tensor.dtype).blockBytes, std::int64_t{0});
    }

    void floatsAndZeroPointsAreStoredAsTheFormatsSay()
    {
        const auto model = open({}, "floats");
        const auto path = write(*model, "compressed-tensors",
                                {"*self_attn*=nvfp4", "*o_proj*=mxfp4", "*mlp*=fp8_e4m3:channel",
                                 "*down*=int4:g64:asym", "*1.mlp.down*=int8:channel+a:int8:token"},
                                "floats-out");
        const auto file = openCheckpoint(path / "model.safetensors", m_context).value();
        const auto load = [&](const std::string& name, Dtype dtype, const Shape& shape) {
            TensorData data = file->load(file->indexOf("model.layers." + name), m_context).value();
            const bool isSo = data.view.dtype == dtype && data.view.shape == shape;
            return isSo ? std::move(data) : throw std::runtime_error(name);
        };
        const auto realized = [&](const std::string& name, const char* candidate) {
            const std::int64_t index = model->indexOf("model.layers." + name + ".weight");
            return realize(*model, index, parseCandidate(candidate).value(), nullptr, m_context).value();
        };
        const auto byte = [](const TensorData& data, std::int64_t i) {
            return std::to_integer<unsigned>(data.view.data[i]);
        };
        const auto number = [](const TensorData& data, std::int64_t i) {
            float value = 0;
            decode(data.view.dtype, data.view.data, i, 1, &value);
            return value;
        };
        // NVFP4: the even column in the low half, scales of sixteen weights, and the factor as a divisor
        {
            const QuantizedTensor tensor = realized("0.self_attn.k_proj", "nvfp4");
            const auto [rows, cols] = tensor.matrix();
            const auto packed = load("0.self_attn.k_proj.weight_packed", Dtype::u8, {rows, cols / 2});
            for (std::int64_t i = 0; i < rows * cols; ++i)
                QCOMPARE((byte(packed, i / 2) >> (4 * (i % 2))) & 15U, unsigned{tensor.codes.as<std::uint8_t>()[i]});
            const auto scales = load("0.self_attn.k_proj.weight_scale", Dtype::f8_e4m3, {rows, cols / 16});
            const auto whole = load("0.self_attn.k_proj.weight_global_scale", Dtype::f32, {1});
            for (std::size_t i = 0; i < tensor.scales.size(); ++i)
                QCOMPARE(number(scales, static_cast<std::int64_t>(i)) / number(whole, 0),
                         tensor.scales[i] * tensor.tensorScale);
            // what runtimes fuse has one such factor, that of the largest magnitude in any of the three
            float largest = 0;
            for (const char* name : {"0.self_attn.q_proj", "0.self_attn.k_proj", "0.self_attn.v_proj"}) {
                const auto other = load(std::string(name) + ".weight_global_scale", Dtype::f32, {1});
                QCOMPARE(number(other, 0), number(whole, 0));
                const auto weights =
                    model->loadWeights(model->indexOf("model.layers." + std::string(name) + ".weight"), m_context)
                        .value();
                for (std::int64_t i = 0; i < weights.view.numel(); ++i)
                    largest = std::max(largest, std::fabs(number(weights, i)));
            }
            const float share = number(whole, 0) * largest / (448 * 6); // the factor is rounded up, by little
            QVERIFY(share <= 1 && share >= 1 - 4e-4F);
        }
        // MXFP4: exponents with a bias of 127
        {
            const QuantizedTensor tensor = realized("1.self_attn.o_proj", "mxfp4");
            const auto [rows, cols] = tensor.matrix();
            const auto packed = load("1.self_attn.o_proj.weight_packed", Dtype::u8, {rows, cols / 2});
            for (std::int64_t i = 0; i < rows * cols; ++i)
                QCOMPARE((byte(packed, i / 2) >> (4 * (i % 2))) & 15U, unsigned{tensor.codes.as<std::uint8_t>()[i]});
            const auto scales = load("1.self_attn.o_proj.weight_scale", Dtype::u8, {rows, cols / 32});
            for (std::size_t i = 0; i < tensor.scales.size(); ++i)
                QCOMPARE(std::ldexp(1.0F, static_cast<int>(byte(scales, static_cast<std::int64_t>(i))) - 127),
                         tensor.scales[i]);
        }
        // FP8: E4M3 as it is, one scale a row in the layer's dtype
        {
            const QuantizedTensor tensor = realized("0.mlp.up_proj", "fp8_e4m3:s=bf16");
            const auto [rows, cols] = tensor.matrix();
            const auto codes = load("0.mlp.up_proj.weight", Dtype::f8_e4m3, {rows, cols});
            QCOMPARE(std::memcmp(codes.view.data, tensor.codes.data(), static_cast<std::size_t>(rows * cols)), 0);
            const auto scales = load("0.mlp.up_proj.weight_scale", Dtype::bf16, {rows, 1});
            for (std::int64_t row = 0; row < rows; ++row)
                QCOMPARE(number(scales, row), tensor.scales[static_cast<std::size_t>(row)]);
        }
        // zero points run down the columns, offset like the codes
        {
            const QuantizedTensor tensor = realized("0.mlp.down_proj", "int4:g64:asym:s=bf16");
            const auto [rows, cols] = tensor.matrix();
            const std::int64_t groups = cols / 64;
            const auto zeros = load("0.mlp.down_proj.weight_zero_point", Dtype::i32, {rows / 8, groups});
            bool moved = false;
            for (std::int64_t row = 0; row < rows; ++row)
                for (std::int64_t group = 0; group < groups; ++group) {
                    const int zero = tensor.zeroPoints[static_cast<std::size_t>(row * groups + group)];
                    moved = moved || zero != 0;
                    std::uint32_t word = 0;
                    std::memcpy(&word, zeros.view.data + (row / 8 * groups + group) * 4, 4);
                    QCOMPARE(static_cast<int>((word >> (4 * (row % 8))) & 15U) - 8, zero);
                }
            QVERIFY(moved);
        }
        // with rounded inputs, eight bits stay bytes
        const QuantizedTensor bytes = realized("1.mlp.down_proj", "int8:channel:s=bf16");
        const auto codes = load("1.mlp.down_proj.weight", Dtype::i8, {bytes.matrix().rows, bytes.matrix().cols});
        QCOMPARE(std::memcmp(codes.view.data, bytes.codes.data(), static_cast<std::size_t>(bytes.codes.sizeBytes())),
                 0);
        for (const TensorInfo& tensor : file->tensors())
            QCOMPARE(tensor.offset % info(tensor.dtype).blockBytes, std::int64_t{0});

        const auto config = nlohmann::json::parse(contentOf(path / "config.json"));
        const auto& quantization = config["quantization_config"];
        QCOMPARE(quantization["format"].get<std::string>(), std::string("mixed-precision"));
        std::map<std::string, nlohmann::json> groups;
        for (const auto& [name, group] : quantization["config_groups"].items())
            groups[group["format"].get<std::string>()] = group;
        QCOMPARE(groups.size(), std::size_t{5});
        QCOMPARE(groups["nvfp4-pack-quantized"]["weights"].dump(),
                 nlohmann::json({{"num_bits", 4},
                                 {"type", "float"},
                                 {"symmetric", true},
                                 {"strategy", "tensor_group"},
                                 {"group_size", 16},
                                 {"scale_dtype", "torch.float8_e4m3fn"}})
                     .dump());
        QCOMPARE(groups["mxfp4-pack-quantized"]["weights"]["scale_dtype"].get<std::string>(),
                 std::string("torch.uint8"));
        QCOMPARE(groups["pack-quantized"]["weights"]["symmetric"].get<bool>(), false);
        QVERIFY(groups["naive-quantized"]["input_activations"].is_null());
        QCOMPARE(groups["int-quantized"]["input_activations"].dump(),
                 nlohmann::json(
                     {{"num_bits", 8}, {"type", "int"}, {"symmetric", true}, {"strategy", "token"}, {"dynamic", true}})
                     .dump());
    }

    void configKeepsItsTextAndListsEveryModule()
    {
        TinyLlama tiny;
        tiny.config["unknown_key"] = {1, 2.50, "text"};
        const auto model = open(tiny, "config");
        const auto path =
            write(*model, "compressed-tensors",
                  {"*self_attn.[qkv]_proj*=int8:g64", "*mlp*=int4:g64", "*1.mlp.down*=keep"}, "config-out");
        const std::string before = contentOf(m_folder / "config/config.json");
        const std::string after = contentOf(path / "config.json");
        const std::string head = before.substr(0, before.rfind('}') - 1);
        QVERIFY(after.starts_with(head));
        const auto config = nlohmann::json::parse(after);
        const auto& quantization = config["quantization_config"];
        QCOMPARE(quantization["quant_method"].get<std::string>(), std::string("compressed-tensors"));
        QCOMPARE(quantization["format"].get<std::string>(), std::string("pack-quantized"));
        const nlohmann::json ignored = {"model.layers.0.self_attn.o_proj", "model.layers.1.mlp.down_proj",
                                        "model.layers.1.self_attn.o_proj", "lm_head"};
        QCOMPARE(quantization["ignore"].dump(), ignored.dump());
        const auto& groups = quantization["config_groups"];
        QCOMPARE(groups.size(), std::size_t{2});
        // six modules of int8 against five of int4: the smaller group is listed, the larger takes the class
        QCOMPARE(groups["group_0"]["weights"]["num_bits"].get<int>(), 4);
        QCOMPARE(groups["group_0"]["targets"].size(), std::size_t{5});
        QCOMPARE(groups["group_1"]["weights"]["num_bits"].get<int>(), 8);
        QCOMPARE(groups["group_1"]["targets"].dump(), std::string("[\"Linear\"]"));
        QCOMPARE(groups["group_1"]["weights"]["group_size"].get<int>(), 64);
        for (const char* name : {"tokenizer.json", "tokenizer_config.json", "README.md"})
            QCOMPARE(contentOf(path / name), contentOf(m_folder / "config" / name));
        QVERIFY(contentOf(path / "quantloupe_plan.json").find("\"*") == std::string::npos);
        QVERIFY(parsePlan(contentOf(path / "quantloupe_plan.json"), *model).has_value());
    }

    void verifySeesWhatConfigSays()
    {
        const auto model = open({}, "says");
        const auto path = write(*model, "compressed-tensors", {"*mlp*=int4:g64"}, "says-out");
        const std::string good = contentOf(path / "config.json");
        const auto with = [&](const std::string& from, const std::string& to) {
            std::string text = good;
            text.replace(text.find(from), from.size(), to);
            std::ofstream(path / "config.json", std::ios::trunc) << text;
            const auto report = verifyExport(*model, path, nullptr, m_context);
            std::ofstream(path / "config.json", std::ios::trunc) << good;
            return report ? problemsOf(*report) : describe(report.error());
        };
        QVERIFY(with("\"num_bits\": 4", "\"num_bits\": 8").find("8 bits") != std::string::npos);
        QVERIFY(with("\"group_size\": 64", "\"group_size\": 32").find("groups of 32") != std::string::npos);
        QVERIFY(with("\"symmetric\": true", "\"symmetric\": false").find("symmetric") != std::string::npos);
        QVERIFY(with("\"model.layers.0.self_attn.q_proj\"", "\"model.layers.9.self_attn.q_proj\"").find("ignore") !=
                std::string::npos);
        QVERIFY(with("\"lm_head\"", "\"lm_hand\"").find("lm_head") != std::string::npos);
        QVERIFY(with("\"hidden_size\": 192", "\"hidden_size\": 193").find("other keys") != std::string::npos);
        QVERIFY(with("pack-quantized", "int-quantized").find("pack-quantized") != std::string::npos);
        QVERIFY(with("\"format\": \"pack-quantized\"\n      }", "\"format\": \"nvfp4-pack-quantized\"\n      }")
                    .find("nvfp4") != std::string::npos);
        QVERIFY(with("\"input_activations\": null",
                     "\"input_activations\": {\"num_bits\": 8, \"type\": \"int\", \"strategy\": \"token\"}")
                    .find("inputs int 8 token static") != std::string::npos);
        QVERIFY(verifyExport(*model, path, nullptr, m_context).value().ok());
        std::string tokenizer = contentOf(path / "tokenizer.json");
        std::ofstream(path / "tokenizer.json", std::ios::trunc) << tokenizer + " ";
        QVERIFY(problemsOf(verifyExport(*model, path, nullptr, m_context).value()).find("tokenizer.json") !=
                std::string::npos);
    }

    void verifySeesRenamedTensors_data()
    {
        QTest::addColumn<QByteArray>("id");
        QTest::addColumn<QByteArray>("from");
        QTest::newRow("ct packed") << QByteArray("compressed-tensors") << QByteArray("0.mlp.up_proj.weight_packed");
        QTest::newRow("ct kept") << QByteArray("compressed-tensors") << QByteArray("model.norm.weight");
        QTest::newRow("gguf") << QByteArray("gguf") << QByteArray("blk.0.ffn_up.weight");
    }
    void verifySeesRenamedTensors()
    {
        QFETCH(QByteArray, id);
        QFETCH(QByteArray, from);
        const auto model = open({}, "names");
        const bool isGguf = id == "gguf";
        const auto path = write(*model, id.constData(), {isGguf ? "*mlp*=gguf:q4_0" : "*mlp*=int4:g64"},
                                "names-" + from.toStdString());
        const auto file = isGguf ? path : path / "model.safetensors";
        std::string content = contentOf(file);
        const auto at = content.find(from.toStdString());
        QVERIFY(at != std::string::npos);
        content[at + static_cast<std::size_t>(from.size()) - 1] = 'X';
        std::ofstream(file, std::ios::binary | std::ios::trunc) << content;
        const auto report = verifyExport(*model, path, nullptr, m_context);
        QVERIFY2(report.has_value(), report ? "" : describe(report.error()).c_str());
        const std::string text = problemsOf(*report);
        QVERIFY2(text.find("missing") != std::string::npos, text.c_str());
        QVERIFY2(text.find("does not give") != std::string::npos, text.c_str());
    }

    void ggufKeysAndKeptTensorsAreCopied()
    {
        TinyLlama tiny;
        tiny.dtype = "F16";
        const auto model = open(tiny, "source.gguf");
        const GgufFile source = gguf(m_folder / "source.gguf");
        const auto path = write(*model, "gguf", {"*ffn*=gguf:q4_0@rtn:ggml", "token_embd*=gguf:q8_0"}, "copy.gguf");
        const GgufFile copy = gguf(path);
        QCOMPARE(copy.version, 3U);
        QCOMPARE(copy.alignment, std::int64_t{64});
        for (std::size_t i = 0; i < source.entries.size(); ++i) {
            QCOMPARE(copy.entries[i].key, source.entries[i].key);
            const auto a = source.raw(source.entries[i]);
            const auto b = copy.raw(copy.entries[i]);
            const bool equal = std::equal(a.begin(), a.end(), b.begin(), b.end());
            QCOMPARE(equal, source.entries[i].key != "general.file_type");
        }
        QCOMPARE(copy.entries.size(), source.entries.size() + 2);
        QCOMPARE(copy.integer("general.file_type").value(), std::int64_t{2}); // mostly q4_0
        QCOMPARE(copy.integer("general.quantization_version").value(), std::int64_t{2});
        QVERIFY(parsePlan(copy.text("quantloupe.plan").value(), *model).has_value());
        QCOMPARE(copy.tensors.size(), source.tensors.size());
        for (std::size_t i = 0; i < source.tensors.size(); ++i) {
            const std::string& name = source.tensors[i].name;
            QCOMPARE(copy.tensors[i].name, name);
            QCOMPARE(copy.tensors[i].offset % 64, std::int64_t{0});
            const bool coded = (name.find("ffn") != std::string::npos && name.find("norm") == std::string::npos) ||
                               name.starts_with("token");
            const auto a = source.data(source.tensors[i]);
            const auto b = copy.data(copy.tensors[i]);
            QCOMPARE(std::equal(a.begin(), a.end(), b.begin(), b.end()), !coded);
        }
        // keeping everything changes nothing but the plan
        const auto kept = write(*model, "gguf", {}, "kept.gguf");
        const GgufFile same = gguf(kept);
        QCOMPARE(same.entries.size(), source.entries.size() + 1);
        const auto dataOf = [](const GgufFile& file) {
            return file.file->bytes().subspan(static_cast<std::size_t>(file.dataStart));
        };
        QVERIFY(std::ranges::equal(dataOf(same), dataOf(source)));
        // what is block-quantized already restores before it is coded anew
        const auto coded = openModel(path, m_context).value();
        const auto again = write(*coded, "gguf", {"*ffn_up*=gguf:q8_0@rtn:ggml"}, "again.gguf");
        QVERIFY(verifyExport(*coded, again, nullptr, m_context).value().ok());
        QCOMPARE(gguf(again).entries.size(), copy.entries.size());
    }

    void folderBecomesGguf()
    {
        TinyLlama tiny;
        tiny.biases = true;
        tiny.config["rope_scaling"] = {{"rope_type", "llama3"},
                                       {"factor", 8.0},
                                       {"low_freq_factor", 1.0},
                                       {"high_freq_factor", 4.0},
                                       {"original_max_position_embeddings", 256}};
        const auto model = open(tiny, "llama");
        const GgufFile file = gguf(write(*model, "gguf", {"*q_proj.weight=f32", "*k_proj*=bf16"}, "llama.gguf"));
        QCOMPARE(std::string(file.text("general.architecture").value()), std::string("llama"));
        const std::pair<const char*, std::int64_t> numbers[] = {
            {"llama.block_count", 2},           {"llama.context_length", 512},     {"llama.embedding_length", 192},
            {"llama.feed_forward_length", 256}, {"llama.attention.head_count", 6}, {"llama.attention.head_count_kv", 2},
            {"llama.rope.dimension_count", 32}, {"llama.vocab_size", 80},          {"tokenizer.ggml.bos_token_id", 0}};
        for (const auto& [key, value] : numbers)
            QCOMPARE(file.integer(key).value_or(-1), value);
        QCOMPARE(file.number("llama.rope.freq_base").value(), 10000.0);
        QCOMPARE(static_cast<float>(file.number("llama.attention.layer_norm_rms_epsilon").value()), 1e-5F);
        QCOMPARE(std::string(file.text("tokenizer.ggml.model").value()), std::string("gpt2"));
        QCOMPARE(std::string(file.text("tokenizer.ggml.pre").value()), std::string("smollm"));
        QCOMPARE(std::string(file.text("tokenizer.chat_template").value()), std::string("x{{y}}"));
        QCOMPARE(file.boolean("tokenizer.ggml.add_bos_token").value(), false);
        QCOMPARE(file.boolean("tokenizer.ggml.add_space_prefix").value(), false);
        const auto tokens = file.texts("tokenizer.ggml.tokens").value();
        QCOMPARE(tokens.size(), std::size_t{80});
        QCOMPARE(std::string(tokens[0]), std::string("<s>"));
        QCOMPARE(std::string(tokens[79]), std::string("[PAD79]"));
        const auto types = file.numbers("tokenizer.ggml.token_type").value();
        QCOMPARE(types[0], 3.0);
        QCOMPARE(types[5], 1.0);
        QCOMPARE(types[79], 5.0);
        QCOMPARE(std::string(file.texts("tokenizer.ggml.merges").value()[0]), std::string("\u0120 a"));

        const auto source = tiny.tensors();
        const auto tensorOf = [&](const std::string& name) {
            return *std::find_if(file.tensors.begin(), file.tensors.end(),
                                 [&](const auto& t) { return t.name == name; });
        };
        const auto valuesOf = [&](const std::string& name) {
            const GgufTensor& tensor = tensorOf(name);
            std::int64_t count = 1;
            for (const std::int64_t n : tensor.dims)
                count *= n;
            std::vector<float> values(static_cast<std::size_t>(count));
            decode(tensor.dtype, file.data(tensor).data(), 0, count, values.data());
            return values;
        };
        // the converter's rule, as it is written down: reshape [heads, 2, D/2, K], swap the middle axes
        const auto swapped = [&](const std::vector<float>& rows, std::int64_t heads, std::int64_t cols) {
            std::vector<float> out;
            const std::int64_t half = std::ssize(rows) / cols / heads / 2;
            for (std::int64_t h = 0; h < heads; ++h)
                for (std::int64_t i = 0; i < half; ++i)
                    for (std::int64_t two = 0; two < 2; ++two)
                        for (std::int64_t k = 0; k < cols; ++k)
                            out.push_back(rows[static_cast<std::size_t>(((h * 2 + two) * half + i) * cols + k)]);
            return out;
        };
        const auto hf = [&](const std::string& name) {
            return std::find_if(source.begin(), source.end(), [&](const auto& t) { return t.name == name; })->values;
        };
        QCOMPARE(valuesOf("blk.1.attn_q.weight"), swapped(hf("model.layers.1.self_attn.q_proj.weight"), 6, 192));
        QCOMPARE(valuesOf("blk.0.attn_k.weight"), swapped(hf("model.layers.0.self_attn.k_proj.weight"), 2, 192));
        QCOMPARE(valuesOf("blk.0.attn_q.bias"), swapped(hf("model.layers.0.self_attn.q_proj.bias"), 6, 1));
        QCOMPARE(valuesOf("blk.0.attn_v.weight"), hf("model.layers.0.self_attn.v_proj.weight"));
        QCOMPARE(valuesOf("blk.0.ffn_norm.weight"), hf("model.layers.0.post_attention_layernorm.weight"));
        QVERIFY(tensorOf("blk.0.ffn_norm.weight").dtype == Dtype::f32);
        QVERIFY(tensorOf("blk.0.attn_v.weight").dtype == Dtype::bf16);
        QVERIFY(std::none_of(file.tensors.begin(), file.tensors.end(),
                             [](const auto& t) { return t.name == "output.weight"; }));
        const auto factors = valuesOf("rope_freqs.weight");
        QCOMPARE(factors.size(), std::size_t{16});
        QCOMPARE(factors.front(), 1.0F); // wavelength 2π, far below the context
        QCOMPARE(factors.back(), 8.0F);
        const double wavelength = 2 * std::numbers::pi * std::pow(10000.0, 10.0 / 32);
        const double smooth = (256 / wavelength - 1) / 3;
        QVERIFY(wavelength > 64 && wavelength < 256);
        QVERIFY(std::fabs(static_cast<double>(factors[5]) - 1 / ((1 - smooth) / 8 + smooth)) < 1e-6);
    }

    void foreignFoldersAreRefusedByName_data()
    {
        QTest::addColumn<QByteArray>("key");
        QTest::addColumn<QByteArray>("json");
        QTest::addColumn<QByteArray>("says");
        QTest::newRow("architecture") << QByteArray("architectures") << QByteArray("[\"Qwen2ForCausalLM\"]")
                                      << QByteArray("Qwen2ForCausalLM");
        QTest::newRow("rope") << QByteArray("rope_scaling") << QByteArray("{\"type\": \"longrope\"}")
                              << QByteArray("longrope");
        QTest::newRow("quantized") << QByteArray("quantization_config") << QByteArray("{}")
                                   << QByteArray("quantized already");
        QTest::newRow("heads") << QByteArray("num_attention_heads") << QByteArray("5") << QByteArray("5 heads");
        QTest::newRow("missing") << QByteArray("hidden_size") << QByteArray("null") << QByteArray("hidden_size");
    }
    void foreignFoldersAreRefusedByName()
    {
        QFETCH(QByteArray, key);
        QFETCH(QByteArray, json);
        QFETCH(QByteArray, says);
        TinyLlama tiny;
        tiny.config[key.toStdString()] = nlohmann::json::parse(json.toStdString());
        const auto model = open(tiny, "foreign-" + key.toStdString());
        const auto accepted = findTarget("gguf").value()->profile.acceptsModel(*model);
        QVERIFY(!accepted);
        QVERIFY2(describe(accepted.error()).find(says.toStdString()) != std::string::npos,
                 describe(accepted.error()).c_str());
    }

    void preTokenizersAreRecognised_data()
    {
        QTest::addColumn<QByteArray>("json");
        QTest::addColumn<QByteArray>("name");
        const auto split = [](const char* regex) {
            return QByteArray(
                       "{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Split\",\"pattern\":{\"Regex\":\"") +
                   regex + "\"},\"behavior\":\"Isolated\"},{\"type\":\"ByteLevel\",\"use_regex\":false}]}";
        };
        QTest::newRow("gpt-2") << QByteArray("{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"use_regex\":true}")
                               << QByteArray("gpt-2");
        QTest::newRow("llama 3")
            << split("(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\\\r\\\\n\\\\p{L}\\\\p{N}]?\\\\p{L}+|\\\\p{N}{1,3}| ?")
            << QByteArray("llama-bpe");
        QTest::newRow("qwen 2")
            << split("(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\\\r\\\\n\\\\p{L}\\\\p{N}]?\\\\p{L}+|\\\\p{N}| ?")
            << QByteArray("qwen2");
        QTest::newRow("unknown") << split("\\\\w+") << QByteArray("default");
        QTest::newRow("none") << QByteArray("null") << QByteArray("default");
    }
    void preTokenizersAreRecognised()
    {
        QFETCH(QByteArray, json);
        QFETCH(QByteArray, name);
        const TinyLlama tiny;
        const std::string folder = std::string("pre-") + QTest::currentDataTag();
        tiny.writeFolder(m_folder / folder);
        auto tokenizer = tiny.tokenizerJson();
        tokenizer["pre_tokenizer"] = nlohmann::json::parse(json.toStdString());
        std::ofstream(m_folder / folder / "tokenizer.json", std::ios::trunc) << tokenizer.dump();
        const auto model = openModel(m_folder / folder, m_context).value();
        const GgufFile file = gguf(write(*model, "gguf", {}, folder + ".gguf"));
        QCOMPARE(std::string(file.text("tokenizer.ggml.pre").value()), name.toStdString());
    }

    void badTokenizersAreRefused()
    {
        const TinyLlama tiny;
        tiny.writeFolder(m_folder / "tokens");
        const auto refusal = [&](const nlohmann::json& tokenizer) {
            std::ofstream(m_folder / "tokens/tokenizer.json", std::ios::trunc) << tokenizer.dump();
            const auto model = openModel(m_folder / "tokens", m_context).value();
            const auto accepted = findTarget("gguf").value()->profile.acceptsModel(*model);
            return accepted ? std::string() : describe(accepted.error());
        };
        auto json = tiny.tokenizerJson();
        json["model"]["vocab"]["far"] = 500;
        QVERIFY(refusal(json).find("500") != std::string::npos);
        json = tiny.tokenizerJson();
        json["model"]["merges"] = nlohmann::json::array({nlohmann::json::array({"a", "b"}), 7});
        QVERIFY(!refusal(json).empty());
        QVERIFY(!refusal(7).empty());
        json = tiny.tokenizerJson();
        json["model"]["merges"] =
            nlohmann::json::array({nlohmann::json::array({"a", "t5"})}); // pairs are read as well as joined texts
        QCOMPARE(refusal(json), std::string());
    }

    void hdf5RestoresByItsReadme()
    {
        const auto model = open({}, "plain");
        const auto path =
            write(*model, "hdf5", {"*q_proj*=int4:g50:asym", "*k_proj*=nvfp4", "*norm*=keep"}, "plain.h5");
        const auto file = hdf5::File::open(path).value();
        const auto read = [&](const std::string& name, hdf5::Element element) {
            return file->read(*file->dataset(file->root(), "tensors/" + name).value(), element, 1 << 24).value();
        };
        const auto at = [](const std::vector<std::byte>& bytes, std::int64_t i, auto value) {
            std::memcpy(&value, bytes.data() + i * static_cast<std::int64_t>(sizeof value), sizeof value);
            return value;
        };
        const std::string q = "model.layers.0.self_attn.q_proj.weight/";
        const auto codes = read(q + "codes", hdf5::Element::i8);
        const auto scales = read(q + "scales", hdf5::Element::f32);
        const auto zeros = read(q + "zero_points", hdf5::Element::i16);
        const auto weights = read(q + "weights", hdf5::Element::f32);
        for (std::int64_t i = 0; i < 192 * 192; ++i) {
            const std::int64_t unit = i / 192 * 4 + i % 192 / 50;
            const int level = at(codes, i, std::int8_t{}) - at(zeros, unit, std::int16_t{});
            QCOMPARE(static_cast<float>(level) * at(scales, unit, 0.0F), at(weights, i, 0.0F));
        }
        const std::string k = "model.layers.1.self_attn.k_proj.weight/";
        const auto patterns = read(k + "codes", hdf5::Element::u8);
        const auto levels = read(k + "levels", hdf5::Element::f32);
        const auto blocks = read(k + "scales", hdf5::Element::f32);
        const auto whole = read(k + "tensor_scale", hdf5::Element::f32);
        const auto restored = read(k + "weights", hdf5::Element::f32);
        QCOMPARE(levels.size(), std::size_t{64});
        for (std::int64_t i = 0; i < 64 * 192; ++i) {
            const float scale = at(blocks, i / 16, 0.0F) * at(whole, 0, 0.0F);
            QCOMPARE(at(levels, at(patterns, i, std::uint8_t{}), 0.0F) * scale, at(restored, i, 0.0F));
        }
        QCOMPARE(file->text(file->root(), "format").value(), std::string("quantloupe-export"));
        QVERIFY(file->text(file->root(), "README").value().find("tensor_scale") != std::string::npos);
        const auto norm = read("model.norm.weight/values", hdf5::Element::bf16);
        const auto source = model->checkpoint->load(model->checkpoint->indexOf("model.norm.weight"), m_context).value();
        QCOMPARE(std::memcmp(norm.data(), source.view.data, norm.size()), 0);
    }
};

QTEST_APPLESS_MAIN(WrittenBytesTest)
#include "written_bytes_test.moc"
