// SPDX-License-Identifier: GPL-3.0-or-later
// Importance matrices of both forms, written by tests/data/imatrix/make_imatrix.py, read for a model and written again.
#include "core/base/file.h"
#include "core/calibration/imatrix_activations.h"
#include "core/model/gguf_names.h"
#include "core/sensitivity/metric.h"
#include "tests/support/temporary_folder.h"

#include <QTest>

#include <cmath>
#include <cstring>
#include <fstream>

using namespace ql;

namespace {

const std::filesystem::path kData = QL_TEST_DATA "/imatrix";
const std::filesystem::path kModels = QL_TEST_DATA "/frontends";

std::string contentOf(const std::filesystem::path& path)
{
    std::ifstream stream(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(stream), {}};
}

/// What the script wrote for channel `c` of a matrix.
double meanSquare(int matrix, std::size_t c)
{
    return (matrix + 1) * (static_cast<double>(c) + 1) / 8;
}

template<typename T>
std::string bytesOf(T value)
{
    return {reinterpret_cast<const char*>(&value), sizeof value};
}

} // namespace

class ImatrixTest : public QObject {
    Q_OBJECT
    Executor m_executor{2};
    JobContext m_context{m_executor};
    test::TemporaryFolder m_folder{test::TemporaryFolder::inMemory()};

    std::shared_ptr<const Model> open(const std::filesystem::path& path) { return openModel(path, m_context).value(); }
    std::shared_ptr<const ActivationStatistics> statistics(const Activations& activations, const Model& model,
                                                           std::string_view layer)
    {
        const auto index = model.indexOf(layer);
        return index < 0 ? nullptr : activations.statistics(index, m_context).value();
    }
    void compare(const ActivationStatistics* statistics, std::size_t in, double (*wanted)(std::size_t))
    {
        QVERIFY(statistics);
        QCOMPARE(statistics->channelRms.size(), in);
        QVERIFY(statistics->gram.empty() && statistics->channelMin.empty());
        for (std::size_t c = 0; c < in; ++c)
            QVERIFY(std::fabs(statistics->channelRms[c] - std::sqrt(wanted(c))) < 1e-6);
    }

private Q_SLOTS:
    void ofAFolderWhoseExpertsAreLayers_data()
    {
        QTest::addColumn<QString>("file");
        QTest::newRow("new form") << "new.gguf";
        QTest::newRow("old form") << "old.dat";
    }
    void ofAFolderWhoseExpertsAreLayers()
    {
        QFETCH(QString, file);
        const bool isOld = file == QLatin1String("old.dat");
        const auto model = open(kModels / "mixtral");
        const auto activations = openActivations(kData / file.toStdString(), *model, m_context).value();
        QVERIFY(activations->isDiagonal());
        const auto q = statistics(*activations, *model, "model.layers.0.self_attn.q_proj.weight");
        compare(q.get(), 20, [](std::size_t c) { return meanSquare(0, c); });
        QCOMPARE(q->tokens, isOld ? 0 : 1000);
        const std::string experts = "model.layers.1.block_sparse_moe.experts.";
        const auto third = statistics(*activations, *model, experts + "2.w2.weight"); // down_proj
        compare(third.get(), 9, [](std::size_t c) { return meanSquare(2, c); });
        QCOMPARE(third->tokens, isOld ? 0 : 400);
        const auto unseen = statistics(*activations, *model, experts + "1.w1.weight");
        if (isOld)
            compare(unseen.get(), 20, [](std::size_t) { return 1.0; });
        else
            QVERIFY(!unseen);
        QVERIFY(!statistics(*activations, *model, "model.layers.0.self_attn.k_proj.weight"));
        QCOMPARE(std::ssize(activations->layers()), isOld ? 2 + 2 * 3 : 2 + 2 * 2);
    }
    void ofAFileWhoseExpertsAreStacked()
    {
        const auto model = open(kModels / "mixtral/model.gguf");
        const auto activations = openActivations(kData / "new.gguf", *model, m_context).value();
        const auto stack = statistics(*activations, *model, "blk.1.ffn_down_exps.weight");
        compare(stack.get(), 9, [](std::size_t c) { return (600 * meanSquare(0, c) + 400 * meanSquare(2, c)) / 1000; });
        QCOMPARE(stack->tokens, 1000);
        QCOMPARE(stack->parts.size(), std::size_t{3});
        compare(&stack->parts[2], 9, [](std::size_t c) { return meanSquare(2, c); });
        QCOMPARE(stack->parts[2].tokens, 400);
        QVERIFY(stack->parts[1].isEmpty());
    }
    void writesWhatOthersWrite()
    {
        const Imatrix imatrix = readImatrix(kData / "new.gguf", m_context).value();
        QCOMPARE(imatrix.chunkSize, 512);
        QCOMPARE(imatrix.datasets, std::vector<std::string>{"calibration.txt"});
        for (const auto& [form, name] : {std::pair(ImatrixForm::gguf, "new.gguf"), {ImatrixForm::old, "old.dat"}}) {
            QVERIFY(writeImatrix(imatrix, form, m_folder.path() / name));
            QVERIFY2(contentOf(m_folder.path() / name) == contentOf(kData / name), name);
        }
    }
    void backAndForth_data()
    {
        QTest::addColumn<QString>("file");
        QTest::newRow("experts apart") << "mixtral";
        QTest::newRow("experts in a stack") << "mixtral/model.gguf";
    }
    void backAndForth()
    {
        QFETCH(QString, file);
        const auto model = open(kModels / file.toStdString());
        const auto activations = openActivations(kData / "new.gguf", *model, m_context).value();
        const Imatrix made = imatrixOf(*activations, *model, m_context).value();
        const Imatrix given = readImatrix(kData / "new.gguf", m_context).value();
        QCOMPARE(made.chunkCount, given.chunkCount);
        for (const ImatrixEntry& entry : given.entries) {
            const auto found = std::ranges::find(made.entries, entry.name, &ImatrixEntry::name);
            if (entry.name == "blk.0.ffn_gate_inp.weight") { // routers are no candidates
                QVERIFY(found == made.entries.end());
                continue;
            }
            QVERIFY2(found != made.entries.end(), entry.name.c_str());
            QCOMPARE(found->counts, entry.counts);
            for (std::size_t i = 0; i < entry.sums.size(); ++i)
                QVERIFY(std::fabs(found->sums[i] - entry.sums[i]) <= 1e-6F * entry.sums[i]);
        }
    }

    /// Every layer in the blocks of a folder has the name that its GGUF file gives it.
    void names_data()
    {
        QTest::addColumn<QString>("name");
        for (const auto& entry : std::filesystem::directory_iterator(kModels))
            if (std::filesystem::exists(entry.path() / "model.gguf"))
                QTest::newRow(entry.path().filename().c_str()) << QString::fromStdString(entry.path().filename());
    }
    void names()
    {
        QFETCH(QString, name);
        const auto folder = open(kModels / name.toStdString());
        const auto file = open(kModels / name.toStdString() / "model.gguf");
        for (const std::int64_t layer : folder->quantizableLayers()) {
            const std::string wanted = ggufName(*folder, folder->layers[static_cast<std::size_t>(layer)]);
            QVERIFY2(file->indexOf(wanted) >= 0 || folder->layers[static_cast<std::size_t>(layer)].block < 0,
                     (folder->layers[static_cast<std::size_t>(layer)].name + " is no " + wanted).c_str());
        }
        for (const Layer& layer : file->layers)
            QCOMPARE(ggufName(*file, layer), layer.name);
    }

    void metrics()
    {
        const auto model = open(kModels / "mixtral");
        const auto activations = openActivations(kData / "new.gguf", *model, m_context).value();
        MeasureRequest request{.layers = {model->indexOf("model.layers.0.self_attn.q_proj.weight")},
                               .candidates = {parseCandidate("int3").value()},
                               .metrics = {findMetric("diagonal_error").value()},
                               .activations = activations.get()};
        double loss = 0;
        QVERIFY(measure(
            *model, request, [&](const Measurement& cell) { loss = cell.losses.front(); }, m_context));
        const auto data = model->loadWeights(request.layers.front(), m_context).value();
        const auto quantized =
            quantize({.weights = data.view, .scheme = request.candidates.front().weights, .spec = {}}, m_context)
                .value();
        std::vector<float> restored(24 * 20);
        std::vector<double> weights(24 * 20);
        quantized.restoreRows(0, 24, restored.data());
        decode(data.view.dtype, data.view.data, 0, 24 * 20, weights.data());
        double wanted = 0;
        for (std::size_t i = 0; i < weights.size(); ++i)
            wanted += std::pow(weights[i] - static_cast<double>(restored[i]), 2) * 1000 * meanSquare(0, i % 20);
        QVERIFY(wanted > 0 && std::fabs(loss - wanted) < 1e-5 * wanted);

        const auto refused = checkUsable(*findMetric("output_error").value(), activations.get());
        QVERIFY(!refused);
        QVERIFY2(refused.error().what.find("diagonal") != std::string::npos, refused.error().what.c_str());
    }

    void otherModels()
    {
        const auto wider = open(kModels / "qwen2_moe_everywhere"); // 24 inputs, not 20
        const auto error = openActivations(kData / "new.gguf", *wider, m_context);
        QVERIFY(!error);
        QVERIFY2(error.error().where.find("blk.0.attn_q.weight") != std::string::npos, error.error().where.c_str());
        const auto none = openActivations(kData / "old.dat", *open(kModels / "mamba"), m_context);
        QVERIFY(!none);
        QVERIFY2(none.error().what.find("no layer") != std::string::npos, none.error().what.c_str());
        const auto noMatrix = openActivations(kModels / "mixtral/model.gguf", *wider, m_context);
        QVERIFY(!noMatrix);
        QVERIFY2(noMatrix.error().what.find("general.type") != std::string::npos, noMatrix.error().what.c_str());
    }

    void filesCutShort()
    {
        for (const char* name : {"old.dat", "new.gguf"}) {
            const std::string whole = contentOf(kData / name);
            const std::size_t entriesEnd = whole.size() - 4 - 4 - std::strlen("calibration.txt");
            for (std::size_t size = 0; size < whole.size(); ++size) {
                const auto path = m_folder.write("cut", std::string_view(whole).substr(0, size));
                const bool isWhole = whole.size() - size <= 20 && whole[0] == 'G';                   // padding
                const bool hasNoTrailer = size == entriesEnd && std::string_view(name) == "old.dat"; // optional
                if (!isWhole)
                    QCOMPARE(readImatrix(path, m_context).has_value(), hasNoTrailer);
            }
        }
    }
    void absurdNumbers()
    {
        const std::string name = bytesOf(std::int32_t{1}) + "a";
        const auto entry = [&](std::int32_t chunks, std::int32_t values, float value) {
            return bytesOf(std::int32_t{1}) + name + bytesOf(chunks) + bytesOf(values) + bytesOf(value);
        };
        QVERIFY(readImatrix(m_folder.write("sound", entry(1, 1, 2.0F)), m_context));
        for (const std::string& content :
             {bytesOf(std::int32_t{0x7fffffff}) + entry(1, 1, 2.0F).substr(4), bytesOf(std::int32_t{-1}),
              bytesOf(std::int32_t{1}) + bytesOf(std::int32_t{-5}),
              bytesOf(std::int32_t{1}) + bytesOf(std::int32_t{0x7fffffff}), entry(1, 0x7fffffff, 2.0F),
              entry(1, -1, 2.0F), entry(-1, 1, 2.0F), entry(1, 1, -2.0F), entry(1, 1, std::nanf("")),
              bytesOf(std::int32_t{2}) + entry(1, 1, 2.0F).substr(4) + entry(1, 1, 2.0F).substr(4)}) {
            const auto read = readImatrix(m_folder.write("absurd", content), m_context);
            QVERIFY(!read);
            QVERIFY(read.error().code == Errc::badInput);
        }
    }
};

QTEST_APPLESS_MAIN(ImatrixTest)
#include "imatrix_test.moc"
