// SPDX-License-Identifier: GPL-3.0-or-later
// The window runs the model, by keyboard and mouse: calibrate, validate, trace; transforms it and compares the variant.
#include "app/main_window.h"
#include "tests/support/opened_sample.h"
#include "tests/support/textless_models.h"
#include "tests/support/tiny_model.h"
#include "views/charts/chart_view.h"
#include "views/dialogs/calibrate_dialog.h"
#include "views/dialogs/losses_dialog.h"
#include "views/dialogs/transform_dialog.h"
#include "views/dialogs/validate_dialog.h"
#include "views/panels/validation/validation_model.h"

#include <QAction>
#include <QCheckBox>
#include <QComboBox>
#include <QDockWidget>
#include <QJsonDocument>
#include <QJsonObject>
#include <QLabel>
#include <QLineEdit>
#include <QListWidget>
#include <QPlainTextEdit>
#include <QPushButton>
#include <QSettings>
#include <QSpinBox>
#include <QStandardPaths>
#include <QTableView>
#include <QTableWidget>
#include <QTemporaryDir>
#include <QToolButton>

#include <algorithm>

using namespace ql;
using namespace ql::views;

namespace {

/// The button of that text, mnemonic or not.
QPushButton* buttonOf(const QWidget& parent, const QString& text)
{
    for (QPushButton* button : parent.findChildren<QPushButton*>())
        if (button->text().remove(QLatin1Char('&')) == text)
            return button;
    qFatal("no button %s", qPrintable(text));
}

QDockWidget* dockOf(const MainWindow& window, const char* id)
{
    return window.findChild<QDockWidget*>(QStringLiteral("dock-%1").arg(QLatin1String(id)));
}

void write(QLineEdit* line, const QString& text)
{
    line->selectAll();
    QTest::keyClicks(line, text);
}

void click(QWidget* widget, const QPoint& at = {})
{
    QTest::mouseClick(widget, Qt::LeftButton, {}, at);
}

} // namespace

class WindowRunsTest : public QObject {
    Q_OBJECT

    Executor m_executor{2};
    QTemporaryDir m_folder;

    bool open(MainWindow& window, const QString& path = test::samplePath())
    {
        window.resize(1600, 950);
        window.show();
        if (!QTest::qWaitForWindowActive(&window))
            return false;
        QSignalSpy measured(&window.document(), &Document::measured);
        window.open(path);
        return measured.wait(60000) && QTest::qWaitFor([&] { return window.jobs().isIdle(); }, 60000);
    }
    static void lowerAll(Document& document)
    {
        std::vector<LayerColumn> changes;
        for (const std::int64_t layer : document.planLayers())
            changes.push_back({layer, document.ladder(layer).front()});
        document.assign(changes, QStringLiteral("lowest"));
    }
    /// The dialog that a key opens.
    template<typename Dialog>
    static Dialog* openBy(MainWindow& window, Qt::Key key)
    {
        QTest::keyClick(&window, key, Qt::ControlModifier);
        auto* dialog = window.findChild<Dialog*>();
        return dialog && QTest::qWaitForWindowActive(dialog) ? dialog : nullptr;
    }

    static QAction* actionOf(const MainWindow& window, const QString& text)
    {
        for (QAction* action : window.findChildren<QAction*>())
            if (action->text().remove(QLatin1Char('&')) == text)
                return action;
        qFatal("no action %s", qPrintable(text));
    }
    /// As a window manager does when a dialog goes.
    static bool activate(MainWindow& window)
    {
        window.activateWindow();
        return QTest::qWaitForWindowActive(&window);
    }
    /// Validates on so many windows of the text beside the model.
    static bool validate(MainWindow& window, const char* count)
    {
        if (!activate(window))
            return false;
        auto* dialog = openBy<ValidateDialog>(window, Qt::Key_T);
        if (!dialog)
            return false;
        QPushButton* start = buttonOf(*dialog, QStringLiteral("Start"));
        if (!QTest::qWaitFor([&] { return start->isEnabled(); }, 30000))
            return false;
        auto* windows = dialog->findChild<QSpinBox*>(QStringLiteral("windowCount"));
        windows->setFocus();
        windows->selectAll();
        QTest::keyClicks(windows, QLatin1String(count));
        click(start);
        const ValidationRuns& runs = window.runs().validations;
        return QTest::qWaitFor([&] { return !runs.isRunning() && window.jobs().isIdle(); }, 60000) &&
               runs.problem().isEmpty();
    }

    /// Whether the command line that a dialog offers has those words.
    static bool hasCommand(const QDialog& dialog, const QString& words)
    {
        const auto lines = dialog.findChildren<QLineEdit*>();
        return std::any_of(lines.begin(), lines.end(), [&](const QLineEdit* line) {
            return line->text().startsWith(QLatin1String("qloupe ")) && line->text().contains(words);
        });
    }

private Q_SLOTS:
    void initTestCase()
    {
        QStandardPaths::setTestModeEnabled(true);
        QCoreApplication::setOrganizationName(QStringLiteral("QuantLoupe"));
        QCoreApplication::setApplicationName(QStringLiteral("window-runs-test"));
        QSettings().clear();
    }

    void calibrates()
    {
        MainWindow window(m_executor);
        QVERIFY(open(window));
        Document& d = window.document();
        auto* dialog = openBy<CalibrateDialog>(window, Qt::Key_K);
        QVERIFY(dialog);
        auto* path = dialog->findChild<QLineEdit*>(QStringLiteral("sourcePath"));
        QCOMPARE(path->text(), test::samplePath(QStringLiteral("calibration.txt"))); // beside the model
        QPushButton* start = buttonOf(*dialog, QStringLiteral("Start"));
        QVERIFY(!start->isEnabled()); // until the text is read
        QTRY_VERIFY_WITH_TIMEOUT(start->isEnabled(), 30000);

        // What it takes follows the choices.
        const auto* cost = dialog->findChild<QLabel*>(QStringLiteral("cost"));
        const QString full = cost->text();
        auto* gram = dialog->findChild<QComboBox*>();
        gram->setFocus();
        QTest::keyClick(gram, Qt::Key_Home);
        const QString diagonal = cost->text();
        QVERIFY(diagonal != full);
        QTest::keyClick(gram, Qt::Key_End);
        QCOMPARE(cost->text(), full);
        auto* windows = dialog->findChild<QSpinBox*>(QStringLiteral("windowCount"));
        windows->setFocus();
        windows->selectAll();
        QTest::keyClicks(windows, QStringLiteral("8"));
        QVERIFY(cost->text() != full);
        auto* context = dialog->findChild<QSpinBox*>(QStringLiteral("contextTokens"));
        context->setFocus();
        context->selectAll();
        QTest::keyClicks(context, QStringLiteral("900000"));
        QVERIFY(!start->isEnabled());
        QVERIFY(dialog->findChild<QLabel*>(QStringLiteral("sourceNote"))
                    ->text()
                    .contains(QLatin1String("smaller context")));
        context->selectAll();
        QTest::keyClicks(context, QStringLiteral("128"));
        QVERIFY(start->isEnabled());

        auto* all = dialog->findChild<QLineEdit*>(QStringLiteral("fullLayers"));
        all->setFocus();
        write(all, QStringLiteral("*.99.*"));
        QVERIFY(!start->isEnabled());
        QVERIFY(cost->text().contains(QLatin1String("no layer is called")));
        all->clear();
        QVERIFY(start->isEnabled());

        // Going backward is an offer, with its price.
        auto* fisher = dialog->findChild<QCheckBox*>(QStringLiteral("fisher"));
        auto* backward = dialog->findChild<QSpinBox*>(QStringLiteral("fisherWindows"));
        QVERIFY(!fisher->isChecked() && !backward->isEnabled());
        fisher->setFocus();
        QTest::keyClick(fisher, Qt::Key_Space);
        QVERIFY2(cost->text().contains(QLatin1String("Fisher information: about")), qPrintable(cost->text()));
        backward->setFocus();
        backward->selectAll();
        QTest::keyClicks(backward, QStringLiteral("2"));
        QVERIFY2(cost->text().contains(QLatin1String("for 256 tokens")), qPrintable(cost->text()));
        gram->setFocus();
        QTest::keyClick(gram, Qt::Key_Home);
        QVERIFY(cost->text().contains(QLatin1String("kfac")));
        QTest::keyClick(gram, Qt::Key_End);
        QVERIFY(!cost->text().contains(QLatin1String("kfac")));
        const auto isSaid = [&](QLatin1String words) { // by the shell's line
            return std::ranges::any_of(dialog->findChildren<QLineEdit*>(),
                                       [&](const QLineEdit* line) { return line->text().contains(words); });
        };
        QVERIFY(isSaid(QLatin1String("--gram full --fisher --fisher-windows 2 --out")));
        QVERIFY(!isSaid(QLatin1String("curvature")));
        auto* curvature = dialog->findChild<QCheckBox*>(QStringLiteral("curvature"));
        curvature->setFocus();
        QTest::keyClick(curvature, Qt::Key_Space);
        QVERIFY2(cost->text().contains(QLatin1String("curvature: about")), qPrintable(cost->text()));
        for (const auto& [name, text] :
             {std::pair("probes", QStringLiteral("2")), std::pair("curvatureWindows", QStringLiteral("1"))}) {
            auto* box = dialog->findChild<QSpinBox*>(QLatin1String(name));
            box->setFocus();
            box->selectAll();
            QTest::keyClicks(box, text);
        }
        QVERIFY(isSaid(QLatin1String("--context 128 --windows 1 --together --probes 2 --tolerance 0 --study")));

        auto* study = dialog->findChild<QLineEdit*>(QStringLiteral("studyPath"));
        study->setFocus();
        write(study, m_folder.filePath(QStringLiteral("sample.qloupe")));
        QTest::keyClick(study, Qt::Key_Return);
        QTRY_VERIFY_WITH_TIMEOUT(window.runs().calibration.state() == CalibrationRun::State::finished, 60000);
        QVERIFY(d.isCalibrated());
        QCOMPARE(d.studyPath(), m_folder.filePath(QStringLiteral("sample.qloupe")));
        QCOMPARE(d.metric()->id, std::string_view("kfac"));
        QVERIFY(checkUsable(**findMetric("hessian_trace"), d.activations().get()));
        QTest::keyClick(dialog, Qt::Key_Escape);
        QTRY_VERIFY(!window.findChild<CalibrateDialog*>());

        // The activation panel shows them, and the output error of the plan's candidate.
        lowerAll(d);
        const std::int64_t layer = d.model()->indexOf("model.layers.1.mlp.down_proj.weight");
        d.selection().setCurrent(layer);
        QDockWidget* activations = dockOf(window, "activations");
        activations->raise();
        const auto shows = [&](const QString& text) {
            for (const QLabel* label : activations->findChildren<QLabel*>())
                if (label->text().contains(text))
                    return true;
            return false;
        };
        QTRY_VERIFY_WITH_TIMEOUT(shows(QStringLiteral("tokens, 512 input channels")), 10000);
        QTRY_VERIFY_WITH_TIMEOUT(shows(QStringLiteral("squared output error of int4")), 10000);
        QTRY_VERIFY_WITH_TIMEOUT(window.jobs().isIdle(), 60000);
        QVERIFY(window.jobs().failures().empty());
    }

    void measuresLosses()
    {
        MainWindow window(m_executor);
        QVERIFY(open(window));
        Document& d = window.document();
        {
            // Without gradients of a calibration there is no metric of that unit; the panel's button opens it, too.
            click(window.findChild<QToolButton*>(QStringLiteral("measureLosses")));
            auto* dialog = window.findChild<LossesDialog*>();
            QVERIFY(dialog && QTest::qWaitForWindowActive(dialog));
            QTRY_VERIFY_WITH_TIMEOUT(window.jobs().isIdle(), 30000);
            QVERIFY(!buttonOf(*dialog, QStringLiteral("Start"))->isEnabled());
            QVERIFY(dialog->findChild<QLabel*>(QStringLiteral("cost"))->text().contains(QLatin1String("Fisher")));
            QTest::keyClick(dialog, Qt::Key_Escape);
            QTRY_VERIFY(!window.findChild<LossesDialog*>());
        }
        LossRun& run = window.runs().losses;
        CalibrationSettings settings;
        const auto source =
            prepareSource(prepareModel(d.model()).value(), test::samplePath(QStringLiteral("calibration.txt")), {},
                          JobContext(m_executor))
                .value();
        window.runs().calibration.start({source, {32, 2}, settings, false, FisherSettings()});
        QTRY_VERIFY_WITH_TIMEOUT(window.runs().calibration.state() == CalibrationRun::State::finished, 60000);
        QVERIFY(d.setCandidates(QStringLiteral("int4:g64,int8:g64")));
        lowerAll(d);
        QTRY_VERIFY_WITH_TIMEOUT(window.jobs().isIdle(), 60000);
        QVERIFY(activate(window));
        auto* dialog = openBy<LossesDialog>(window, Qt::Key_L);
        QVERIFY(dialog);
        QPushButton* start = buttonOf(*dialog, QStringLiteral("Start"));
        QTRY_VERIFY_WITH_TIMEOUT(start->isEnabled(), 30000);
        QCOMPARE(dialog->findChild<QLineEdit*>(QStringLiteral("sourcePath"))->text(),
                 test::samplePath(QStringLiteral("test.txt")));
        for (const auto& [name, value] : {std::pair("contextTokens", "32"), {"windowCount", "2"}}) {
            auto* spin = dialog->findChild<QSpinBox*>(QLatin1String(name));
            spin->setFocus();
            spin->selectAll();
            QTest::keyClicks(spin, QLatin1String(value));
        }
        const QString cost = dialog->findChild<QLabel*>(QStringLiteral("cost"))->text();
        const auto cells = static_cast<qlonglong>(d.planLayers().size() * d.table().candidates.size());
        QVERIFY2(cost.contains(QStringLiteral("all %1 cells").arg(cells)), qPrintable(cost));
        click(start);
        QPushButton* stop = buttonOf(*dialog, QStringLiteral("Stop"));
        QVERIFY(stop->isEnabled());
        QTRY_VERIFY_WITH_TIMEOUT(run.cells() >= 2 || run.state() != LossRun::State::running, 60000);
        click(stop);
        QTRY_VERIFY_WITH_TIMEOUT(run.state() != LossRun::State::running, 60000);
        QCOMPARE(run.problem(), QString());
        QCOMPARE(run.windows(), 2);
        const auto* status = dialog->findChild<QLabel*>(QStringLiteral("status"));
        QVERIFY2(status->text().contains(QLatin1String("gradients of 2 windows")), qPrintable(status->text()));
        int exact = 0;
        for (const std::int64_t layer : d.planLayers())
            for (const std::size_t column : d.ladder(layer))
                exact += d.knownLoss(layer, column).evidence == Evidence::measured ? 1 : 0;
        QVERIFY(exact >= 2);
        QVERIFY(d.totals().probed + d.totals().exact > 1);
        QTRY_VERIFY_WITH_TIMEOUT(window.jobs().isIdle(), 60000);
        QVERIFY(window.jobs().failures().empty());
    }

    void saysWhatIsMissing()
    {
        const QString model = m_folder.filePath(QStringLiteral("model"));
        QVERIFY(test::writeTinyModel(model)); // it has no tokenizer
        QFile text(model + QStringLiteral("/calibration.txt"));
        QVERIFY(text.open(QIODevice::WriteOnly) && text.write("some words") > 0);
        text.close();
        MainWindow window(m_executor);
        QVERIFY(open(window, model));
        auto* dialog = openBy<CalibrateDialog>(window, Qt::Key_K);
        QVERIFY(dialog);
        const auto* note = dialog->findChild<QLabel*>(QStringLiteral("sourceNote"));
        QTRY_VERIFY(window.jobs().isIdle());
        QVERIFY2(!note->text().isEmpty() && !note->text().contains(QLatin1String("Reading")), qPrintable(note->text()));
        QVERIFY(!buttonOf(*dialog, QStringLiteral("Start"))->isEnabled());
        write(dialog->findChild<QLineEdit*>(QStringLiteral("sourcePath")), QStringLiteral("/no/such.txt"));
        QTRY_VERIFY(window.jobs().isIdle());
        QVERIFY(!buttonOf(*dialog, QStringLiteral("Start"))->isEnabled());
    }

    void validatesAndTakesAPlanBack()
    {
        MainWindow window(m_executor);
        QVERIFY(open(window));
        Document& d = window.document();
        lowerAll(d);
        const Plan low = d.plan();
        auto* dialog = openBy<ValidateDialog>(window, Qt::Key_T);
        QVERIFY(dialog);
        QPushButton* start = buttonOf(*dialog, QStringLiteral("Start"));
        QTRY_VERIFY_WITH_TIMEOUT(start->isEnabled(), 30000);
        auto* windows = dialog->findChild<QSpinBox*>(QStringLiteral("windowCount"));
        windows->setFocus();
        windows->selectAll();
        QTest::keyClicks(windows, QStringLiteral("4"));
        click(start);
        QDockWidget* dock = dockOf(window, "validation");
        QTRY_VERIFY(dock->widget()->isVisible() && !dock->visibleRegion().isEmpty()); // in front of its tabs
        QTRY_VERIFY_WITH_TIMEOUT(!window.runs().validations.isRunning(), 60000);
        auto* table = dock->findChild<QTableView*>();
        QCOMPARE(table->model()->rowCount(), 1);
        for (ChartView* chart : dock->findChildren<ChartView*>())
            QVERIFY(!chart->chart()->series().isEmpty());

        // Another plan, then the validated one again.
        d.undoStack().undo();
        QVERIFY(!(d.plan() == low));
        const QPoint row = table->visualRect(table->model()->index(0, 1)).center();
        QTest::mouseClick(table->viewport(), Qt::LeftButton, {}, row);
        QTest::mouseDClick(table->viewport(), Qt::LeftButton, {}, row);
        QVERIFY(d.plan().candidates == low.candidates);
        d.undoStack().undo();
        QVERIFY(!(d.plan() == low));
        QTRY_VERIFY_WITH_TIMEOUT(window.jobs().isIdle(), 60000);
        QVERIFY(window.jobs().failures().empty());
    }

    /// Transform by keyboard, prove the variant against the model as stored, save, reopen, go back.
    void transformsAndCompares()
    {
        const QString study = m_folder.filePath(QStringLiteral("rotated.qloupe"));
        {
            MainWindow window(m_executor);
            QVERIFY(open(window));
            Document& d = window.document();
            QVERIFY(!actionOf(window, QStringLiteral("As stored"))->isEnabled());
            QVERIFY(validate(window, "2")); // everything kept
            QVERIFY(activate(window));
            QTest::keyClick(&window, Qt::Key_T, Qt::ControlModifier | Qt::ShiftModifier);
            auto* dialog = window.findChild<TransformDialog*>();
            QVERIFY(dialog && QTest::qWaitForWindowActive(dialog));
            auto* list = dialog->findChild<QListWidget*>(QStringLiteral("transforms"));
            auto* line = dialog->findChild<QLineEdit*>(QStringLiteral("transformText"));
            QCOMPARE(list->count(), static_cast<int>(allTransforms().size()));
            QCOMPARE(dialog->focusWidget(), list);
            QPushButton* start = buttonOf(*dialog, QStringLiteral("Transform"));
            QVERIFY(!start->isEnabled()); // as stored is what is shown
            // A tick is a word of the line, in the order of ticking; the line ticks, too.
            const auto tick = [&](const char* id) {
                list->setCurrentItem(list->findItems(QLatin1String(id), Qt::MatchExactly).front());
                QTest::keyClick(list, Qt::Key_Space);
            };
            tick("permute");
            tick("equalize");
            tick("permute");
            QCOMPARE(line->text(), QStringLiteral("equalize"));
            line->setFocus();
            write(line, QStringLiteral("magic"));
            QVERIFY(!start->isEnabled());
            const auto* result = dialog->findChild<QLabel*>(QStringLiteral("transformResult"));
            QVERIFY(result->text().contains(QLatin1String("unknown transform")));
            write(line, QStringLiteral("hadamard:heads"));
            QCOMPARE(list->findItems(QStringLiteral("hadamard"), Qt::MatchExactly).front()->checkState(), Qt::Checked);
            QVERIFY(result->text().contains(QStringLiteral("sample + hadamard:heads")));
            QTest::keyClick(line, Qt::Key_Return);
            QTRY_COMPARE_WITH_TIMEOUT(d.variantText(), std::string("hadamard:heads"), 60000);
            QTRY_VERIFY_WITH_TIMEOUT(window.jobs().isIdle(), 60000);
            QVERIFY2(window.windowTitle().contains(QStringLiteral("sample + hadamard:heads")),
                     qPrintable(window.windowTitle()));
            // The head is untied, which is told; the dialog stays until that is read.
            const auto* status = dialog->findChild<QLabel*>(QStringLiteral("transformStatus"));
            QVERIFY2(status->text().contains(QLatin1String("output head")), qPrintable(status->text()));
            QTest::keyClick(dialog, Qt::Key_Escape);
            QTRY_VERIFY(!window.findChild<TransformDialog*>());
            QVERIFY(actionOf(window, QStringLiteral("As stored"))->isEnabled());

            // Unquantized it is the model; quantized it is not. Both beside the model as stored, in one table.
            QVERIFY(validate(window, "2"));
            lowerAll(d);
            QVERIFY(validate(window, "2"));
            const auto& records = window.runs().validations.records();
            QCOMPARE(records.size(), std::size_t{3});
            QCOMPARE(records[0].variant, QString());
            QCOMPARE(records[1].variant, QStringLiteral("hadamard:heads"));
            for (const ValidationRecord& record : records) // all beside the same model
                QCOMPARE(record.last().perplexity.value, records[0].last().perplexity.value);
            QCOMPARE(records[0].last().kld.value, 0.0);
            // What is kept is rounded to the file's type once more.
            QVERIFY2(records[1].last().kld.value < 1e-2, qPrintable(QString::number(records[1].last().kld.value)));
            QVERIFY2(records[2].last().kld.value > 3 * records[1].last().kld.value,
                     qPrintable(QString::number(records[2].last().kld.value)));
            QCOMPARE(records[2].fileBytes, d.totals().fileBytes.value_or(-1));
            QSignalSpy saved(&d, &Document::saved);
            d.save(study);
            QVERIFY(saved.wait(60000));
            QTRY_VERIFY_WITH_TIMEOUT(window.jobs().isIdle(), 60000);
            for (const JobFailure& note : window.jobs().failures())
                QCOMPARE(note.title, QStringLiteral("Warning")); // what was untied
        }
        MainWindow window(m_executor);
        QVERIFY(open(window, study));
        Document& d = window.document();
        QVERIFY(window.windowTitle().contains(QStringLiteral("rotated.qloupe + hadamard:heads")));
        QCOMPARE(window.runs().validations.records().size(), std::size_t{3});
        QDockWidget* dock = dockOf(window, "validation");
        dock->raise();
        auto* table = dock->findChild<QTableView*>();
        QTRY_VERIFY(table->isVisible());
        QStringList variants;
        for (int i = 0; i < table->model()->rowCount(); ++i)
            variants << table->model()->index(i, ValidationModel::kVariant).data().toString();
        QCOMPARE(variants.count(QStringLiteral("hadamard:heads")), 2);
        QVERIFY(!table->isColumnHidden(ValidationModel::kVariant));
        QVERIFY(!table->isColumnHidden(ValidationModel::kSize));
        // The plan of the model as stored: a double click makes it the plan, and undo brings the variant back.
        const auto stored = static_cast<int>(variants.indexOf(QString()));
        QVERIFY(stored >= 0);
        table->scrollTo(table->model()->index(stored, ValidationModel::kPlan));
        const QPoint row = table->visualRect(table->model()->index(stored, ValidationModel::kPlan)).center();
        QTest::mouseClick(table->viewport(), Qt::LeftButton, {}, row);
        QTest::mouseDClick(table->viewport(), Qt::LeftButton, {}, row);
        QTRY_VERIFY(!d.variant());
        QVERIFY(!window.windowTitle().contains(QLatin1String("hadamard")));
        d.undoStack().undo();
        QCOMPARE(d.variantText(), std::string("hadamard:heads"));
        // Calibrating is of the model as stored, and says so.
        {
            auto* dialog = openBy<CalibrateDialog>(window, Qt::Key_K);
            QVERIFY(dialog);
            const auto* cost = dialog->findChild<QLabel*>(QStringLiteral("cost"));
            QVERIFY2(cost->text().contains(QStringLiteral("As stored")), qPrintable(cost->text()));
            QTest::keyClick(dialog, Qt::Key_Escape);
        }
        actionOf(window, QStringLiteral("As stored"))->trigger();
        QVERIFY(!d.variant());
        QTRY_VERIFY_WITH_TIMEOUT(window.jobs().isIdle(), 60000);
    }

    void picturesAndArrays()
    {
        MainWindow window(m_executor);
        QVERIFY(open(window, test::vitPath()));
        Document& d = window.document();
        {
            auto* dialog = openBy<CalibrateDialog>(window, Qt::Key_K);
            QVERIFY(dialog);
            auto* path = dialog->findChild<QLineEdit*>(QStringLiteral("sourcePath"));
            QTRY_VERIFY(path->placeholderText().contains(QLatin1String("pixels")));
            QVERIFY(!dialog->findChild<QSpinBox*>(QStringLiteral("contextTokens"))->isVisible());
            QVERIFY(!dialog->findChild<QLineEdit*>(QStringLiteral("labelsPath"))->isVisible());
            path->setFocus();
            write(path, m_folder.path()); // holds no pictures
            const auto* note = dialog->findChild<QLabel*>(QStringLiteral("sourceNote"));
            QTRY_VERIFY_WITH_TIMEOUT(note->text().contains(QLatin1String("no PNG")), 10000);
            QPushButton* start = buttonOf(*dialog, QStringLiteral("Start"));
            QVERIFY(!start->isEnabled());
            write(path, test::picturesPath());
            QTRY_VERIFY_WITH_TIMEOUT(start->isEnabled(), 10000);
            QCOMPARE(note->text(), QStringLiteral("4 pictures; 4 of them are taken"));
            const auto* cost = dialog->findChild<QLabel*>(QStringLiteral("cost"));
            QVERIFY2(cost->text().contains(QLatin1String("for 4 cases")), qPrintable(cost->text()));
            auto* count = dialog->findChild<QSpinBox*>(QStringLiteral("windowCount"));
            count->setFocus();
            count->selectAll();
            QTest::keyClicks(count, QStringLiteral("3"));
            QVERIFY2(cost->text().contains(QLatin1String("for 3 cases")), qPrintable(cost->text()));
            QVERIFY2(
                hasCommand(*dialog, QStringLiteral(" --images %1 --cases 3 --gram full").arg(test::picturesPath())),
                qPrintable(dialog->findChildren<QLineEdit*>().back()->text()));
            auto* study = dialog->findChild<QLineEdit*>(QStringLiteral("studyPath"));
            study->setFocus();
            write(study, m_folder.filePath(QStringLiteral("vit.qloupe")));
            click(start);
            QTRY_VERIFY_WITH_TIMEOUT(window.runs().calibration.state() == CalibrationRun::State::finished, 60000);
            QCOMPARE(window.runs().calibration.count(), 3);
            QVERIFY(d.isCalibrated());
            QTest::keyClick(dialog, Qt::Key_Escape);
            QTRY_VERIFY(!window.findChild<CalibrateDialog*>());
        }
        window.activateWindow();
        QVERIFY(QTest::qWaitForWindowActive(&window));
        lowerAll(d);
        auto* dialog = openBy<ValidateDialog>(window, Qt::Key_T);
        QVERIFY(dialog);
        auto* path = dialog->findChild<QLineEdit*>(QStringLiteral("sourcePath"));
        auto* labels = dialog->findChild<QLineEdit*>(QStringLiteral("labelsPath"));
        QTRY_VERIFY(labels->isVisible());
        QTRY_VERIFY(labels->height() >= path->height()); // and the dialog has room for it
        const QString pixels = m_folder.filePath(QStringLiteral("pixels.npz"));
        QVERIFY(test::writePixels(pixels, 16));
        path->setFocus();
        write(path, pixels);
        QVERIFY(!labels->isVisible()); // arrays bring their own
        QVERIFY(hasCommand(*dialog, QStringLiteral(" --inputs %1").arg(pixels)));
        QPushButton* start = buttonOf(*dialog, QStringLiteral("Start"));
        QTRY_VERIFY_WITH_TIMEOUT(start->isEnabled(), 10000);
        write(path, test::picturesPath());
        QVERIFY(labels->isVisible());
        QTRY_VERIFY_WITH_TIMEOUT(start->isEnabled(), 10000);
        const QString csv = m_folder.filePath(QStringLiteral("labels.csv"));
        QVERIFY(test::writeFile(csv, "cat/small.png,4\n"));
        labels->setFocus();
        write(labels, csv);
        QTRY_VERIFY_WITH_TIMEOUT(start->isEnabled(), 10000);
        QVERIFY(hasCommand(*dialog, QStringLiteral(" --images %1 --labels %2").arg(test::picturesPath(), csv)));
        click(start);
        QDockWidget* dock = dockOf(window, "validation");
        QTRY_VERIFY_WITH_TIMEOUT(!window.runs().validations.isRunning(), 60000);
        QCOMPARE(window.runs().validations.problem(), QString());
        QCOMPARE(window.runs().validations.records().size(), std::size_t{1});
        const OutputsPoint& point = *window.runs().validations.records().front().outputs;
        QCOMPARE(point.cases, 4);
        QCOMPARE(point.score.model.count, 1);
        auto* outputs = dock->findChild<QTableWidget*>();
        QTRY_VERIFY(outputs->isVisible());
        QCOMPARE(outputs->rowCount(), static_cast<int>(point.score.outputs.size()));
        for (const ChartView* chart : dock->findChildren<ChartView*>())
            QVERIFY(!chart->isVisible());
        QTRY_VERIFY_WITH_TIMEOUT(window.jobs().isIdle(), 60000);
        QVERIFY(window.jobs().failures().empty());
    }

    void tracesAndSelects()
    {
        MainWindow window(m_executor);
        QVERIFY(open(window));
        Document& d = window.document();
        lowerAll(d);
        d.selection().setCurrent(d.model()->indexOf("model.layers.0.mlp.up_proj.weight"));
        QDockWidget* dock = dockOf(window, "trace");
        dock->raise();
        QTRY_VERIFY(dock->widget()->isVisible());
        click(buttonOf(*dock, QStringLiteral("Trace")));
        const auto charts = dock->findChildren<ChartView*>();
        QCOMPARE(charts.size(), 2);
        QTRY_VERIFY_WITH_TIMEOUT(window.jobs().isIdle() && !charts[0]->chart()->series().isEmpty(), 60000);
        const QLabel* note = dock->findChild<QLabel*>();
        QVERIFY2(note->text().contains(QLatin1String("After block 3")), qPrintable(note->text()));

        // The same role, in the block that was clicked.
        ChartView* chart = charts[1];
        const QPointF place = chart->chart()->mapToPosition(QPointF(2, 1));
        click(chart->viewport(),
              QPoint(static_cast<int>(place.x()), static_cast<int>(chart->chart()->plotArea().center().y())));
        QCOMPARE(d.selection().current(), d.model()->indexOf("model.layers.2.mlp.up_proj.weight"));

        d.undoStack().undo();
        QVERIFY(note->text().contains(QLatin1String("trace again")));
    }

    void generatesSideBySide()
    {
        QFile file(test::samplePath(QStringLiteral("golden/greedy.json")));
        QVERIFY(file.open(QIODevice::ReadOnly));
        const QJsonObject golden = QJsonDocument::fromJson(file.readAll()).object();
        MainWindow window(m_executor);
        QVERIFY(open(window));
        QDockWidget* dock = dockOf(window, "generation");
        dock->raise();
        QTRY_VERIFY(dock->widget()->isVisible());
        auto* prompt = dock->findChild<QLineEdit*>();
        prompt->setFocus();
        write(prompt, golden.value(QLatin1String("prompt")).toString());
        auto* count = dock->findChild<QSpinBox*>();
        count->setValue(48);
        const auto views = dock->findChildren<QPlainTextEdit*>();
        QCOMPARE(views.size(), 2);
        const auto run = [&] {
            QTest::keyClick(prompt, Qt::Key_Return);
            return !window.jobs().isIdle() && QTest::qWaitFor([&] { return window.jobs().isIdle(); }, 60000);
        };
        // Nothing is quantized: both as PyTorch.
        QVERIFY(run());
        QCOMPARE(views[0]->toPlainText(), golden.value(QLatin1String("continuation")).toString());
        QCOMPARE(views[1]->toPlainText(), views[0]->toPlainText());
        QVERIFY(views[0]->extraSelections().isEmpty());

        // Two bits lose the model; the first token that differs is marked in both.
        Document& d = window.document();
        d.setTarget(findTarget("hdf5").value()); // takes every scheme
        QVERIFY(d.setCandidates(QStringLiteral("int2:channel")));
        QTRY_VERIFY_WITH_TIMEOUT(window.jobs().isIdle(), 60000);
        lowerAll(d);
        QVERIFY(run());
        const QString a = views[0]->toPlainText();
        const QString b = views[1]->toPlainText();
        QCOMPARE(a, golden.value(QLatin1String("continuation")).toString());
        QVERIFY(a != b);
        QCOMPARE(views[0]->extraSelections().size(), 1);
        QCOMPARE(views[1]->extraSelections().size(), 1);
        const int from = views[0]->extraSelections().front().cursor.selectionStart();
        QCOMPARE(views[1]->extraSelections().front().cursor.selectionStart(), from);
        QCOMPARE(a.left(from), b.left(from));
        QVERIFY(views[0]->extraSelections().front().cursor.selectedText() !=
                views[1]->extraSelections().front().cursor.selectedText());
    }
};

QTEST_MAIN(WindowRunsTest)
#include "window_runs_test.moc"
