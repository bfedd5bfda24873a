// SPDX-License-Identifier: GPL-3.0-or-later
// Unusual models and sizes: the window fits 1024×700, texts give way, empty states say why, nothing fails.
#include "app/main_window.h"
#include "views/allocation/bit_bars.h"
#include "views/panels/allocation/summary_bar.h"
#include "views/text/elided_label.h"

#include <QDockWidget>
#include <QImage>
#include <QSettings>
#include <QSignalSpy>
#include <QStandardPaths>
#include <QStatusBar>
#include <QTableWidget>
#include <QTemporaryDir>
#include <QTest>
#include <QTreeView>

#include <cmath>

using namespace ql;
using namespace ql::views;

namespace {

struct Tensor {
    QString name;
    int rows, cols; // cols 0: one dimension
    float (*value)(int index) = [](int index) { return static_cast<float>(std::sin(index * 12.9898) * 0.05); };
};

bool writeSafetensors(const QString& path, const std::vector<Tensor>& tensors)
{
    QByteArray header = "{";
    QByteArray data;
    for (const Tensor& tensor : tensors) {
        const qsizetype begin = data.size();
        for (int i = 0; i < tensor.rows * std::max(1, tensor.cols); ++i) {
            const float value = tensor.value(i);
            data.append(reinterpret_cast<const char*>(&value), sizeof value);
        }
        header += (header.size() > 1 ? "," : "") +
                  QStringLiteral(R"("%1":{"dtype":"F32","shape":[%2%3],"data_offsets":[%4,%5]})")
                      .arg(tensor.name)
                      .arg(tensor.rows)
                      .arg(tensor.cols > 0 ? QStringLiteral(",%1").arg(tensor.cols) : QString())
                      .arg(begin)
                      .arg(data.size())
                      .toUtf8();
    }
    header += "}";
    header += QByteArray((8 - header.size() % 8) % 8, ' ');
    QFile file(path);
    const quint64 length = static_cast<quint64>(header.size());
    return file.open(QIODevice::WriteOnly) && file.write(reinterpret_cast<const char*>(&length), 8) == 8 &&
           file.write(header + data) == header.size() + data.size();
}

} // namespace

class WindowExtremesTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void initTestCase()
    {
        QStandardPaths::setTestModeEnabled(true);
        QCoreApplication::setOrganizationName(QStringLiteral("QuantLoupe"));
        QCoreApplication::setApplicationName(QStringLiteral("window-extremes-test"));
        QSettings().clear();
        const QString longName = QStringLiteral("encoder.very_long_module_name_that_somebody_generated.") +
                                 QString(200, QLatin1Char('x')) + QStringLiteral(".weight");
        QVERIFY(writeSafetensors(path("one"), {{QStringLiteral("weight"), 64, 64}}));
        QVERIFY(writeSafetensors(path("long"), {{longName, 64, 64}, {longName + QStringLiteral("2"), 32, 64}}));
        QVERIFY(
            writeSafetensors(path("vectors"), {{QStringLiteral("a.bias"), 64, 0}, {QStringLiteral("b.bias"), 8, 0}}));
        QVERIFY(writeSafetensors(path("nan"), {{QStringLiteral("some.weight"), 64, 64,
                                                [](int i) {
                                                    return i % 7 == 0 ? NAN : i % 11 == 0 ? INFINITY : 0.01F;
                                                }},
                                               {QStringLiteral("all.weight"), 64, 64, [](int) { return float(NAN); }},
                                               {QStringLiteral("zero.weight"), 64, 64, [](int) { return 0.0F; }}}));
        QVERIFY(writeSafetensors(path("row"),
                                 {{QStringLiteral("wide.weight"), 1, 4096}, {QStringLiteral("tall.weight"), 4096, 1}}));
    }

    void everyModelFitsASmallWindow_data()
    {
        QTest::addColumn<bool>("dark");
        for (const char* name : {"one", "long", "vectors", "nan", "row"}) {
            QTest::newRow(name) << false;
            QTest::newRow(qPrintable(QStringLiteral("%1 dark").arg(QLatin1String(name)))) << true;
        }
    }
    void everyModelFitsASmallWindow()
    {
        QFETCH(bool, dark);
        const QByteArray name = QByteArray(QTest::currentDataTag()).split(' ').front();
        Executor executor(2);
        MainWindow window(executor);
        window.setTheme(dark ? ThemeChoice::dark : ThemeChoice::light);
        window.resize(1024, 700);
        window.show();
        QVERIFY(QTest::qWaitForWindowExposed(&window));
        QSignalSpy opened(&window.document(), &Document::opened);
        window.open(path(name));
        QVERIFY(opened.wait(60000));
        for (QDockWidget* dock : window.findChildren<QDockWidget*>()) {
            dock->raise();
            QTRY_VERIFY_WITH_TIMEOUT(window.jobs().isIdle(), 60000);
        }
        for (const std::int64_t layer : window.document().planLayers()) {
            window.document().selection().setCurrent(layer);
            QTRY_VERIFY_WITH_TIMEOUT(window.jobs().isIdle(), 60000);
            QTest::qWait(250); // a candidate settles before its histogram is counted
            QTRY_VERIFY_WITH_TIMEOUT(window.jobs().isIdle(), 60000);
        }
        QVERIFY2(window.jobs().failures().empty(),
                 window.jobs().failures().empty() ? "" : describe(window.jobs().failures().front().error).c_str());
        QVERIFY2(
            window.minimumSizeHint().width() <= 1024 && window.minimumSizeHint().height() <= 700,
            qPrintable(
                QStringLiteral("%1×%2").arg(window.minimumSizeHint().width()).arg(window.minimumSizeHint().height())));
        QCOMPARE(window.size(), QSize(1024, 700));
        const QString pictures = qEnvironmentVariable("QL_PICTURES"); // to look at
        if (!pictures.isEmpty())
            window.grab().save(pictures + QLatin1Char('/') + QString::fromUtf8(QTest::currentDataTag()) +
                               QStringLiteral(".png"));
    }

    void everyBarOfANanModelCanBeEdited()
    {
        Executor executor(2);
        MainWindow window(executor);
        QSignalSpy measured(&window.document(), &Document::measured);
        window.open(path("nan"));
        QVERIFY(measured.wait(60000));
        Document& d = window.document();
        for (const std::int64_t layer : d.planLayers()) {
            const LayerColumn change{layer, d.ladder(layer).front()};
            d.assign(std::span(&change, 1), QStringLiteral("lowest"));
            QVERIFY(!d.candidate(layer).weights.isKeep());
        }
        QVERIFY(!std::isinf(d.totals().loss));
    }

    void aModelWithoutLayersSaysSo()
    {
        Executor executor(2);
        MainWindow window(executor);
        window.show();
        QSignalSpy opened(&window.document(), &Document::opened);
        window.open(path("vectors"));
        QVERIFY(opened.wait(60000));
        QVERIFY(window.document().planLayers().empty());
        QVERIFY(window.findChild<BitBars*>()->bars().empty());
        QTRY_VERIFY_WITH_TIMEOUT(window.jobs().isIdle(), 60000);
        QVERIFY(!window.document().isMeasuring());
    }

    void theSummaryTakesTwoLinesWhereOneIsTooNarrow()
    {
        Executor executor(2);
        MainWindow window(executor);
        window.show();
        QSignalSpy measured(&window.document(), &Document::measured);
        window.open(path("one"));
        QVERIFY(measured.wait(60000));
        auto* summary = window.findChild<SummaryBar*>();
        window.resize(1600, 900);
        QTRY_VERIFY(summary->width() > 1500);
        QTest::qWait(50); // the layout follows
        const int oneLine = summary->height();
        window.resize(window.minimumSizeHint().width(), 700);
        QTRY_VERIFY(summary->height() > oneLine);
        QVERIFY(summary->height() >= summary->minimumSizeHint().height());
        window.resize(1600, 900);
        QTRY_COMPARE(summary->height(), oneLine);
    }

    void aLongTextIsElidedAndToldInFull()
    {
        ElidedLabel label;
        label.setText(QString(300, QLatin1Char('w')));
        label.resize(120, 20);
        QVERIFY(label.minimumSizeHint().width() < 40);
        const QImage picture = label.grab().toImage();
        label.setText(QString(200, QLatin1Char('w')));
        QCOMPARE(label.grab().toImage(), picture); // both end in … at the same place
        label.setText(QStringLiteral("w"));
        QVERIFY(label.grab().toImage() != picture);
    }

private:
    QString path(const char* name) const
    {
        return m_folder.filePath(QString::fromLatin1(name) + QStringLiteral(".safetensors"));
    }
    QTemporaryDir m_folder;
};

QTEST_MAIN(WindowExtremesTest)
#include "window_extremes_test.moc"
