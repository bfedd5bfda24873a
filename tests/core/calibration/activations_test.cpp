// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/base/hdf5.h"
#include "core/base/npz.h"
#include "core/base/rng.h"
#include "core/calibration/activations.h"

#include <QTemporaryDir>
#include <QTest>

#include <cmath>
#include <limits>

using namespace ql;

namespace {

using Floats = std::vector<float>;

Floats random(std::size_t n, std::uint64_t stream)
{
    const CounterRng rng(3, stream);
    Floats values(n);
    for (std::size_t i = 0; i < n; ++i)
        values[i] = static_cast<float>(rng.normal(i)) + 0.25F;
    return values;
}

template<typename T>
void add(NpzWriter& writer, std::string_view name, std::string_view dtype, const std::vector<std::int64_t>& shape,
         const std::vector<T>& values)
{
    const auto added = writer.add(name, dtype, shape, std::as_bytes(std::span(values)));
    QVERIFY2(added, added ? "" : describe(added.error()).c_str());
}

} // namespace

class ActivationsTest : public QObject {
    Q_OBJECT
    QTemporaryDir m_folder;
    Executor m_executor{2};
    JobContext m_context{m_executor};
    std::shared_ptr<const Model> m_model;
    std::filesystem::path file(const char* name) const { return m_folder.path().toStdString() + "/" + name; }

    template<typename Fill>
    Result<std::shared_ptr<const Activations>> opened(const Fill& fill)
    {
        const auto path = file("activations.npz");
        auto writer = NpzWriter::create(path);
        fill(*writer);
        QL_CHECK(writer->commit());
        return openActivations(path, *m_model, m_context);
    }

private Q_SLOTS:
    void initTestCase()
    {
        const auto path = file("model.npz");
        auto writer = NpzWriter::create(path);
        QVERIFY(writer);
        add(*writer, "a.weight", "f4", {3, 40}, random(120, 1));
        add(*writer, "b.weight", "f4", {5, 600}, random(3000, 2));
        add(*writer, "conv.weight", "f4", {2, 3, 2, 2}, random(24, 3));
        add(*writer, "a.bias", "f4", {3}, random(3, 4));
        QVERIFY(writer->commit());
        const auto model = openModel(path, m_context);
        QVERIFY2(model, model ? "" : describe(model.error()).c_str());
        m_model = *model;
    }
    void inputsAreReduced()
    {
        constexpr std::size_t kTokens = 2500;
        const Floats x = random(kTokens * 600, 5);
        const auto activations = opened([&](NpzWriter& writer) {
            add(writer, "b", "f4", {5, 500, 600}, x);
            add(writer, "a.weight", "i2", {2, 40}, std::vector<std::int16_t>(80, 3));
            add(writer, "conv", "f4", {4, 12}, random(48, 6));
        });
        QVERIFY2(activations, activations ? "" : describe(activations.error()).c_str());
        QCOMPARE((*activations)->layers().size(), std::size_t{3});
        QVERIFY((*activations)->fingerprint().size() == 32);
        const std::int64_t layer = m_model->indexOf("b.weight");
        const auto found = (*activations)->statistics(layer, m_context);
        QVERIFY2(found, found ? "" : describe(found.error()).c_str());
        const ActivationStatistics& statistics = **found;
        QCOMPARE(statistics.in, 600);
        QCOMPARE(statistics.tokens, std::int64_t{kTokens});
        double low = 1e30;
        double high = -1e30;
        for (std::size_t c = 0; c < 600; ++c) {
            double channelLow = 1e30;
            double channelHigh = -1e30;
            double square = 0;
            double product = 0;
            for (std::size_t t = 0; t < kTokens; ++t) {
                const auto value = static_cast<double>(x[t * 600 + c]);
                channelLow = std::min(channelLow, value);
                channelHigh = std::max(channelHigh, value);
                square += value * value;
                product += value * static_cast<double>(x[t * 600 + 599 - c]);
            }
            QCOMPARE(statistics.channelMin[c], channelLow);
            QCOMPARE(statistics.channelMax[c], channelHigh);
            QVERIFY(std::fabs(statistics.channelRms[c] - std::sqrt(square / kTokens)) < 1e-12);
            QVERIFY(std::fabs(statistics.gram[c * 600 + 599 - c] - product) < 1e-10 * square);
            low = std::min(low, channelLow);
            high = std::max(high, channelHigh);
        }
        QCOMPARE(statistics.histogramMin, low);
        QCOMPARE(statistics.histogramMax, high);
        std::vector<std::int64_t> histogram(2048, 0);
        for (const float value : x)
            ++histogram[std::min<std::size_t>(
                2047, static_cast<std::size_t>((static_cast<double>(value) - low) * (2048 / (high - low))))];
        QVERIFY(statistics.histogram == histogram);
        QCOMPARE((*(*activations)->statistics(layer, m_context)).get(), found->get()); // cached
        QCOMPARE((*(*activations)->statistics(m_model->indexOf("a.weight"), m_context))->gram[41], 18.0);
        QVERIFY(!*(*activations)->statistics(m_model->indexOf("a.bias"), m_context));

        for (const int threads : {1, 5}) {
            Executor executor(threads);
            const JobContext context(executor);
            const auto again = openActivations(file("activations.npz"), *m_model, context);
            const auto same = (*again)->statistics(layer, context);
            QVERIFY((*same)->gram == statistics.gram);
            QVERIFY((*same)->histogram == statistics.histogram);
        }
    }
    void gramIsRecognised()
    {
        const Floats x = random(60 * 40, 7);
        std::vector<float> gram(1600);
        for (std::size_t i = 0; i < 40; ++i)
            for (std::size_t j = 0; j < 40; ++j) {
                double sum = 0;
                for (std::size_t t = 0; t < 60; ++t)
                    sum += static_cast<double>(x[t * 40 + i]) * static_cast<double>(x[t * 40 + j]);
                gram[i * 40 + j] = static_cast<float>(sum);
            }
        gram[1] += gram[1] * 1e-6F; // rounding of another library
        const auto activations = opened([&](NpzWriter& writer) { add(writer, "a.weight", "f4", {40, 40}, gram); });
        const auto found = (*activations)->statistics(m_model->indexOf("a.weight"), m_context);
        QVERIFY(found);
        QCOMPARE((*found)->tokens, 0);
        QVERIFY((*found)->channelMin.empty());
        QVERIFY((*found)->histogram.empty());
        QCOMPARE((*found)->gram[1], (*found)->gram[40]);
        QCOMPARE((*found)->gram[81], static_cast<double>(gram[81]));
        QCOMPARE((*found)->channelRms[2], std::sqrt(static_cast<double>(gram[82])));

        const Floats square = random(1600, 8); // 40 tokens that are no XᵀX
        const auto inputs = opened([&](NpzWriter& writer) { add(writer, "a", "f4", {40, 40}, square); });
        QCOMPARE((*(*inputs)->statistics(m_model->indexOf("a.weight"), m_context))->tokens, 40);
    }
    void hdf5Works()
    {
        const auto path = file("activations.h5");
        {
            auto h5 = hdf5::createFile(path);
            const Floats x = random(7 * 40, 9);
            QVERIFY(hdf5::writeDataset(h5->get(), "a.weight", hdf5::Element::f32, {7, 40}, x.data(),
                                       {.chunk = {2, 40}, .deflate = 4}));
            QVERIFY(hdf5::closeFile(std::move(*h5)));
        }
        const auto activations = openActivations(path, *m_model, m_context);
        QVERIFY2(activations, activations ? "" : describe(activations.error()).c_str());
        QCOMPARE((*(*activations)->statistics(m_model->indexOf("a.weight"), m_context))->tokens, 7);
    }
    void sampleWorks()
    {
        const auto model = openModel(QL_SOURCE_DIR "/resources/sample", m_context);
        QVERIFY2(model, model ? "" : describe(model.error()).c_str());
        const auto activations = openActivations(QL_SOURCE_DIR "/resources/sample/activations.npz", **model, m_context);
        QVERIFY2(activations, activations ? "" : describe(activations.error()).c_str());
        QVERIFY((*activations)->layers().size() >= 4 * 7); // every linear layer of at least four blocks
        for (const std::int64_t layer : (*activations)->layers()) {
            const auto found = (*activations)->statistics(layer, m_context);
            QVERIFY2(found, found ? "" : describe(found.error()).c_str());
            QCOMPARE((*found)->tokens, 0); // recognised as XᵀX
            QCOMPARE((*found)->in, (*model)->layers[static_cast<std::size_t>(layer)].shape.back());
            QVERIFY((*found)->channelRms[0] > 0);
        }
    }
    void mistakesAreNamed_data()
    {
        QTest::addColumn<QByteArray>("entry");
        QTest::addColumn<QByteArray>("dtype");
        QTest::addColumn<QList<int>>("shape");
        QTest::addColumn<QByteArray>("says");
        using Dims = QList<int>;
        QTest::newRow("no such layer") << QByteArray("c") << QByteArray("f4") << Dims{2, 40}
                                       << QByteArray("'a.weight'");
        QTest::newRow("width") << QByteArray("a") << QByteArray("f4") << Dims{2, 41} << QByteArray("takes 40 inputs");
        QTest::newRow("one dimension") << QByteArray("a") << QByteArray("f4") << Dims{40}
                                       << QByteArray("X[tokens, 40]");
        QTest::newRow("transposed") << QByteArray("a") << QByteArray("f4") << Dims{40, 7}
                                    << QByteArray("X[tokens, 40]");
        QTest::newRow("no tokens") << QByteArray("a") << QByteArray("f4") << Dims{0, 40} << QByteArray("X[tokens, 40]");
        QTest::newRow("bias") << QByteArray("a.bias") << QByteArray("f4") << Dims{3, 3} << QByteArray("no layer");
        QTest::newRow("complex") << QByteArray("a") << QByteArray("c8") << Dims{2, 40} << QByteArray("float32");
        QTest::newRow("twice") << QByteArray("b") << QByteArray("f4") << Dims{2, 600} << QByteArray("second entry");
    }
    void mistakesAreNamed()
    {
        QFETCH(QByteArray, entry);
        QFETCH(QByteArray, dtype);
        QFETCH(QList<int>, shape);
        QFETCH(QByteArray, says);
        const std::vector<std::int64_t> dims(shape.begin(), shape.end());
        const auto activations = opened([&](NpzWriter& writer) {
            add(writer, "b.weight", "f4", {1, 600}, random(600, 1));
            std::int64_t bytes = dtype == "c8" ? 8 : 4;
            for (const auto n : dims)
                bytes *= n;
            add(writer, entry.toStdString(), dtype.toStdString(), dims,
                std::vector<char>(static_cast<std::size_t>(bytes), 0));
        });
        QVERIFY(!activations);
        QCOMPARE(activations.error().code, Errc::badInput);
        QVERIFY2(activations.error().what.find(says.toStdString()) != std::string::npos,
                 activations.error().what.c_str());
        QVERIFY(activations.error().where.find(": " + entry.toStdString()) != std::string::npos);
    }
    void nonFiniteIsNamed()
    {
        for (const std::int64_t rows : {40, 41}) {
            std::vector<double> values(static_cast<std::size_t>(rows * 40), 1.0);
            values[85] =
                rows == 40 ? std::numeric_limits<double>::quiet_NaN() : std::numeric_limits<double>::infinity();
            const auto activations = opened([&](NpzWriter& writer) {
                add(writer, "a.weight", "f8", {rows, 40}, values);
            });
            const auto found = (*activations)->statistics(m_model->indexOf("a.weight"), m_context);
            QVERIFY(!found);
            QVERIFY(found.error().what.find("row 2, channel 5") != std::string::npos);
            QVERIFY(found.error().where.ends_with("a.weight"));
        }
    }
    void stops()
    {
        const auto activations = opened([&](NpzWriter& writer) { add(writer, "b", "f4", {2, 600}, random(1200, 1)); });
        std::stop_source source;
        source.request_stop();
        const auto found =
            (*activations)->statistics(m_model->indexOf("b.weight"), JobContext(m_executor, source.get_token()));
        QVERIFY(!found);
        QCOMPARE(found.error().code, Errc::cancelled);
    }
};

QTEST_APPLESS_MAIN(ActivationsTest)
#include "activations_test.moc"
