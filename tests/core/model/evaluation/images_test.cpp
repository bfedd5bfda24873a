// SPDX-License-Identifier: GPL-3.0-or-later
// Pictures of tests/data/images as Pillow resizes them, their labels, and files that are none.
#include "core/checkpoint/reader.h"
#include "core/model/evaluation/images.h"
#include "tests/support/memory_model.h"
#include "tests/support/temporary_folder.h"

#include <png.h>
#include <sys/resource.h>

#include <QScopeGuard>
#include <QTest>

#include <cmath>

using namespace ql;

namespace {

const std::filesystem::path kImages = QL_TEST_DATA "/images";

struct Configured : test::MemoryCheckpoint {
    Configured(std::string folder, std::string config) : MemoryCheckpoint(std::move(folder), {})
    {
        m_contents.configJson = std::move(config);
    }
};

Model configured(const std::filesystem::path& folder, const std::string& config)
{
    Model model;
    model.checkpoint = std::make_shared<Configured>(folder.string(), config);
    return model;
}

} // namespace

class ImagesTest : public QObject {
    Q_OBJECT
    Executor m_executor{2};
    JobContext m_context{m_executor};
    test::TemporaryFolder m_folder;

private Q_SLOTS:
    void likePillow_data()
    {
        QTest::addColumn<QString>("picture");
        for (const char* name : {"cat/large.png", "cat/small.png", "dog/grey.png", "dog/photo.jpg"})
            QTest::newRow(name) << QString::fromLatin1(name);
    }
    void likePillow()
    {
        QFETCH(QString, picture);
        const std::string name = picture.toStdString();
        const auto golden = openCheckpoint(kImages / "golden.npz", m_context).value();
        const auto data = golden->load(golden->indexOf(name), m_context).value();
        QCOMPARE(data.view.shape, (Shape{12, 18, 3}));
        ImageSettings settings{
            .height = 12, .width = 18, .mean = {0.1, 0.2, 0.3}, .deviation = {0.5, 1, 2}, .channelsLast = true};
        std::vector<double> wanted(12 * 18 * 3);
        std::vector<float> last(wanted.size()), first(wanted.size());
        decode(data.view.dtype, data.view.data, 0, data.view.numel(), wanted.data());
        QVERIFY(readImage(kImages / name, settings, last.data(), m_context));
        settings.channelsLast = false;
        QVERIFY(readImage(kImages / name, settings, first.data(), m_context));
        for (std::size_t i = 0; i < wanted.size(); ++i) {
            const std::size_t c = i % 3;
            const double level = (static_cast<double>(last[i]) * settings.deviation[c] + settings.mean[c]) * 255;
            QVERIFY2(std::fabs(level - wanted[i]) <= 1.5, // Pillow rounds to 8 bits twice
                     qPrintable(QStringLiteral("%1: %2, not %3").arg(i).arg(level).arg(wanted[i])));
            QCOMPARE(first[c * 12 * 18 + i / 3], last[i]);
        }
    }

    void labels()
    {
        const auto labelsOf = [](const Model& model, const std::filesystem::path& folder,
                                 const std::filesystem::path& csv = {}) {
            return listImages(folder, csv, model).value().labels;
        };
        using Labels = std::vector<std::int64_t>;
        const Model plain = configured("model", "{}");
        QCOMPARE(labelsOf(plain, kImages), (Labels{0, 0, 1, 1})); // by name
        const Model named = configured("model", R"({"label2id": {"dog": 7, "cat": 9, "cow": 2}})");
        QCOMPARE(labelsOf(named, kImages), (Labels{9, 9, 7, 7}));
        const Model others = configured("model", R"({"label2id": {"cat": 9}})"); // does not know the dog
        QCOMPARE(labelsOf(others, kImages), (Labels{0, 0, 1, 1}));
        QCOMPARE(labelsOf(plain, kImages / "dog"), (Labels{-1, -1}));
        const auto csv = m_folder.write("labels.csv", "file,label\ndog/grey.png,4\n\ncat/small.png , 3\r\n");
        QCOMPARE(labelsOf(plain, kImages, csv), (Labels{-1, 3, 4, -1}));
        QVERIFY(!listImages(kImages, m_folder.write("bad.csv", "file,label\ndog/grey.png,four\n"), plain));
        const auto strangers = listImages(kImages, m_folder.write("strangers.csv", "horse/grey.png,4\n"), plain);
        QVERIFY(!strangers);
        QVERIFY2(strangers.error().what.starts_with("names none of the 4 pictures"), strangers.error().what.c_str());
        std::filesystem::create_directories(m_folder.path() / "numbered/12");
        std::filesystem::copy_file(kImages / "cat/small.png", m_folder.path() / "numbered/12/a.PNG");
        QCOMPARE(labelsOf(named, m_folder.path() / "numbered"), Labels{12});
        QVERIFY(!listImages(m_folder.path() / "nowhere", {}, plain));
        QVERIFY(!listImages(QL_TEST_DATA "/statistics", {}, plain)); // no pictures
    }

    void settings()
    {
        const auto sizes = [&](const std::string& config) -> std::string {
            const auto settings = imageSettingsOf(configured(m_folder.path() / "none", config));
            return settings ? std::to_string(settings->height) + "x" + std::to_string(settings->width) : "refused";
        };
        QCOMPARE(sizes(R"({"image_size": 32})"), std::string("32x32"));
        QCOMPARE(sizes(R"({"image_size": [12, 18]})"), std::string("12x18"));
        for (const char* config : {"", "{}", R"({"image_size": -3})", R"({"image_size": "big"})",
                                   R"({"image_size": [1, 2, 3]})", R"({"image_size": {"shortest_edge": 224}})"})
            QCOMPARE(sizes(config), std::string("refused"));
        m_folder.write("model/preprocessor_config.json",
                       R"({"size": {"height": 8, "width": 9}, "image_mean": [0.1, 0.2, 0.3], "image_std": [1, 2, 3]})");
        const auto settings = imageSettingsOf(configured(m_folder.path() / "model", R"({"image_size": 32})")).value();
        QCOMPARE(settings.height, 8);
        QCOMPARE(settings.width, 9);
        QCOMPARE(settings.mean[2], 0.3);
        QCOMPARE(settings.deviation[1], 2.0);
        m_folder.write("odd/preprocessor_config.json", R"({"size": 8, "image_mean": [0.1]})");
        QVERIFY(!imageSettingsOf(configured(m_folder.path() / "odd", "{}")));
        m_folder.write("flat/preprocessor_config.json", R"({"size": 8, "image_std": [1, 0, 1]})");
        QVERIFY(!imageSettingsOf(configured(m_folder.path() / "flat", "{}")));
    }

    void whatIsNoPicture()
    {
        std::vector<float> out(12 * 18 * 3);
        const ImageSettings settings{.height = 12, .width = 18};
        for (const char* name : {"cat/large.png", "dog/photo.jpg"}) {
            std::ifstream stream(kImages / name, std::ios::binary);
            const std::string whole(std::istreambuf_iterator<char>(stream), {});
            for (const std::size_t size : {std::size_t{0}, std::size_t{3}, std::size_t{20}, std::size_t{150},
                                           whole.size() / 2, whole.size() - 30})
                QVERIFY(!readImage(m_folder.write("cut", std::string_view(whole).substr(0, size)), settings, out.data(),
                                   m_context));
            for (std::size_t at = 4; at < whole.size(); at += 7) { // whatever comes out, nothing breaks
                std::string damaged = whole;
                damaged[at] = static_cast<char>(~damaged[at]);
                static_cast<void>(
                    readImage(m_folder.write("damaged", damaged), settings, out.data(), m_context).has_value());
            }
        }
        QVERIFY(!readImage(m_folder.path() / "missing", settings, out.data(), m_context));
    }

    /// A file of some kilobytes may hold a picture of a million lines; memory is that of the picture and the result.
    void tallPicturesTakeLittleMemory()
    {
        png_image image{};
        image.version = PNG_IMAGE_VERSION;
        image.width = 1;
        image.height = 900'000;
        image.format = PNG_FORMAT_GRAY;
        const std::vector<std::uint8_t> pixels(image.height, 51);
        const auto path = m_folder.path() / "tall.png";
        QVERIFY(png_image_write_to_file(&image, path.c_str(), 0, pixels.data(), 0, nullptr));
        const ImageSettings settings{.height = 4, .width = 64, .mean = {}, .deviation = {1, 1, 1}};
        std::vector<float> out(3 * 4 * 64);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
        rlimit usual{};
        QCOMPARE(::getrlimit(RLIMIT_DATA, &usual), 0);
        rlimit little = usual;
        little.rlim_cur = rlim_t{1} << 29U;
        QCOMPARE(::setrlimit(RLIMIT_DATA, &little), 0);
        const auto restore = qScopeGuard([&] { ::setrlimit(RLIMIT_DATA, &usual); });
#endif
        QVERIFY(readImage(path, settings, out.data(), m_context));
        QVERIFY(std::ranges::all_of(out, [](float x) { return std::fabs(x - 0.2F) < 1e-6F; }));
    }
};

QTEST_APPLESS_MAIN(ImagesTest)
#include "images_test.moc"
