// SPDX-License-Identifier: GPL-3.0-or-later
// Limits of a plan: stated, edited and removed by mouse and keyboard, what the plan takes of them, and Balance within.
#include "core/model/evaluation/output_places.h"
#include "core/model/frontends/frontend.h"
#include "tests/support/opened_panel.h"
#include "tests/support/textless_models.h"
#include "views/panels/allocation/balance_preview.h"
#include "views/panels/limits/limits_model.h"
#include "views/panels/panel.h"
#include "views/text/format.h"
#include "views/theme/theme.h"

#include <QAbstractItemModelTester>
#include <QComboBox>
#include <QCompleter>
#include <QDockWidget>
#include <QLabel>
#include <QLineEdit>
#include <QLocale>
#include <QMainWindow>
#include <QPushButton>
#include <QScopeGuard>
#include <QTableView>
#include <QToolButton>

#include <algorithm>
#include <cmath>

using namespace ql;
using namespace ql::views;

namespace {

struct LimitsOfSample : test::OpenedPanel {
    QAbstractItemModelTester tester{model(), QAbstractItemModelTester::FailureReportingMode::QtTest};

    LimitsOfSample() : OpenedPanel("limits", {1200, 300}) {}
    LimitsModel* model() const { return widget->findChild<LimitsModel*>(); }
    QTableView* table() const { return widget->findChild<QTableView*>(); }
    QLabel* summary() const { return widget->findChild<QLabel*>(QStringLiteral("limitsSummary")); }
    QPushButton* button(const char* name) const { return widget->findChild<QPushButton*>(QLatin1String(name)); }
    QLineEdit* bound() const { return widget->findChild<QLineEdit*>(QStringLiteral("limitBound")); }
    void choose(int kind) const
    {
        auto* kinds = widget->findChild<QComboBox*>(QStringLiteral("limitKind"));
        kinds->setCurrentIndex(kinds->findData(kind));
    }
    /// Typed, and Enter.
    void add(LimitKind kind, const char* text) const
    {
        choose(static_cast<int>(kind));
        QTest::keyClicks(bound(), QLatin1String(text));
        QTest::keyClick(bound(), Qt::Key_Return);
    }
    QVariant value(int row, int column) const { return model()->index(row, column).data(Qt::UserRole); }
    bool isRed(int row) const
    {
        return model()->index(row, LimitsModel::kLeft).data(Qt::ForegroundRole).value<QColor>() ==
               colors(QGuiApplication::palette()).bad;
    }
    /// F2 on the bound, typed, Enter.
    void edit(int row, const char* text) const
    {
        table()->setFocus();
        table()->setCurrentIndex(model()->index(row, LimitsModel::kBound));
        QTest::keyClick(table(), Qt::Key_F2);
        auto* editor = table()->viewport()->findChild<QLineEdit*>();
        QVERIFY(editor);
        editor->selectAll();
        QTest::keyClicks(editor, QLatin1String(text));
        QTest::keyClick(editor, Qt::Key_Return);
        QCoreApplication::processEvents(); // committed and closed by a queued call
        QCoreApplication::sendPostedEvents(nullptr, QEvent::DeferredDelete);
    }
};

std::vector<std::int64_t> ofRole(const Model& model, std::string_view role)
{
    std::vector<std::int64_t> found;
    for (const std::int64_t layer : model.quantizableLayers())
        if (model.layers[static_cast<std::size_t>(layer)].role == role)
            found.push_back(layer);
    return found;
}

} // namespace

class LimitsTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void initTestCase() { applyTheme(ThemeChoice::light); }

    void statedEditedAndRemoved()
    {
        LimitsOfSample of;
        QCOMPARE(of.model()->rowCount(), 0);
        QVERIFY(!of.button("limitAdd")->isEnabled());
        QVERIFY(of.open() && of.settle());
        QVERIFY(of.activate());
        Document& d = of.document;
        QCOMPARE(of.model()->rowCount(), 1); // the budget that every work begins with
        QCOMPARE(of.value(0, LimitsModel::kUsed).toDouble(), d.totals().bitsPerWeight);

        of.add(LimitKind::memory, "6GB");
        QCOMPARE(d.limits().size(), std::size_t{2});
        QCOMPARE(d.undoStack().count(), 1);
        QVERIFY(of.bound()->text().isEmpty());
        QVERIFY(of.settle());
        // Weights, keys and values of 4096 tokens, and the buffer for activations, counted here.
        const Model& model = *d.model();
        double bytes = static_cast<double>(model.blockCount * keyValueBytes(model, MemoryLimits{}).value() +
                                           activationBytes(model).value());
        for (std::size_t i = 0; i < model.layers.size(); ++i)
            bytes += static_cast<double>(layerPayloadBits(model.layers[i], d.plan().candidates[i])) / 8;
        QVERIFY2(std::fabs(of.value(1, LimitsModel::kUsed).toDouble() - bytes) < 1,
                 qPrintable(of.value(1, LimitsModel::kUsed).toString()));
        QVERIFY(!of.isRed(1));

        of.edit(1, "1kB");
        QCOMPARE(d.limits()[1].text, std::string("1kB"));
        QVERIFY(of.settle());
        QVERIFY(of.isRed(1));
        QVERIFY(std::fabs(of.value(1, LimitsModel::kLeft).toDouble() - (1000 - bytes)) < 1);
        of.edit(1, "much");
        QCOMPARE(d.limits()[1].text, std::string("1kB"));
        QVERIFY(of.summary()->text().contains(QLatin1String("much")));

        of.add(LimitKind::memory, "7GB"); // there is one such limit
        QCOMPARE(d.limits().size(), std::size_t{2});
        of.add(LimitKind::group, "nothing*=4");
        QCOMPARE(d.limits().size(), std::size_t{2});
        QVERIFY(of.summary()->text().contains(QLatin1String("nothing")));
        of.bound()->clear();

        of.table()->setFocus();
        of.table()->setCurrentIndex(of.model()->index(1, LimitsModel::kBound));
        QTest::keyClick(of.table(), Qt::Key_Delete);
        QCOMPARE(d.limits().size(), std::size_t{1});
        d.undoStack().undo();
        QCOMPARE(d.limits()[1].text, std::string("7GB"));
        of.table()->setCurrentIndex(of.model()->index(0, LimitsModel::kBound));
        QTest::mouseClick(of.button("limitRemove"), Qt::LeftButton);
        QTest::mouseClick(of.button("limitRemove"), Qt::LeftButton);
        QVERIFY(d.limits().empty());
        QVERIFY(d.budget() == Budget());
        QVERIFY(of.settle());
        d.close();
        QCOMPARE(of.model()->rowCount(), 0);
        QVERIFY(of.jobs.failures().empty());
    }

    void numbersOfTheLocale()
    {
        QCOMPARE(limitWords(LimitKind::bitsPerWeight, QStringLiteral(" 4,5 bpw")), std::string("4.5"));
        QCOMPARE(limitWords(LimitKind::size, QStringLiteral("1,5 GB")), std::string("1.5 GB"));
        QCOMPARE(limitWords(LimitKind::group, QStringLiteral("a,b=4,5:0,1")), std::string("a,b=4.5:0.1"));
        QCOMPARE(limitWords(LimitKind::allow, QStringLiteral("q=int4,int8")), std::string("q=int4,int8"));
        const QLocale before;
        const auto restore = qScopeGuard([&] { QLocale::setDefault(before); });
        QLocale::setDefault(QLocale(QLocale::German, QLocale::Germany));
        const std::vector<std::pair<Limit, QString>> shown{
            {{LimitKind::bitsPerWeight, "4.5"}, QStringLiteral("4,5")},
            {{LimitKind::size, "1.5 GB"}, QStringLiteral("1,5 GB")},
            {{LimitKind::group, "model.layers.0.*=4.5:0.1"}, QStringLiteral("model.layers.0.*=4,5:0,1")},
            {{LimitKind::tie, "model.layers.0.*"}, QStringLiteral("model.layers.0.*")},
            {{LimitKind::latencyTable, "a.b.csv"}, QStringLiteral("a.b.csv")}};
        for (const auto& [limit, text] : shown) {
            QCOMPARE(limitText(limit), text);
            QCOMPARE(limitWords(limit.kind, text), limit.text);
        }
    }

    /// What is used and what is left say of what.
    void amountsHaveTheirUnit()
    {
        LimitsOfSample of;
        QVERIFY(of.open() && of.settle());
        QVERIFY(of.activate());
        Document& d = of.document;
        const auto texts = [&](int row) {
            return QStringList{of.model()->index(row, LimitsModel::kUsed).data().toString(),
                               of.model()->index(row, LimitsModel::kLeft).data().toString()};
        };
        d.setLimits({{LimitKind::bitsPerWeight, "40"}, {LimitKind::operations, "1"}}, QStringLiteral("limits"));
        QVERIFY(of.settle());
        const double bits = d.totals().bitsPerWeight;
        QCOMPARE(texts(0), (QStringList{fixedText(bits, 3) + QStringLiteral(" bits per weight"),
                                        fixedText(40 - bits, 3) + QStringLiteral(" bits per weight left")}));
        const double operations = of.value(1, LimitsModel::kUsed).toDouble();
        QCOMPARE(texts(1), (QStringList{numberText(operations, 4) + QStringLiteral(" operations"),
                                        QStringLiteral("over by ") + numberText(operations - 1, 4) +
                                            QStringLiteral(" operations")}));
        // Add without a bound leads to where it is typed.
        of.table()->setFocus();
        QTest::mouseClick(of.button("limitAdd"), Qt::LeftButton);
        QVERIFY(of.bound()->hasFocus());
        QCOMPARE(d.limits().size(), std::size_t{2});
    }

    void lockedLayersAreOne()
    {
        LimitsOfSample of;
        QVERIFY(of.open() && of.settle());
        QVERIFY(of.activate());
        Document& d = of.document;
        const std::int64_t layer = ofRole(*d.model(), "o_proj").front();
        const std::string candidate = d.columnText(d.ladder(layer).front()).toStdString();
        of.choose(-1);
        QTest::keyClicks(of.bound(), QString::fromStdString(d.layer(layer).name + "=" + candidate));
        QTest::mouseClick(of.button("limitAdd"), Qt::LeftButton);
        QVERIFY(d.isLocked(layer));
        QCOMPARE(d.columnOf(layer), std::optional(d.ladder(layer).front()));
        QCOMPARE(of.model()->rowCount(), 2);
        QVERIFY(of.model()->isLocks(1));
        QVERIFY(!of.model()->flags(of.model()->index(1, LimitsModel::kBound)).testFlag(Qt::ItemIsEditable));
        of.table()->setFocus();
        of.table()->setCurrentIndex(of.model()->index(1, LimitsModel::kBound));
        QTest::keyClick(of.table(), Qt::Key_Delete);
        QVERIFY(!d.isLocked(layer));
        QCOMPARE(of.model()->rowCount(), 1);
        // A role is offered, and means all of its layers.
        of.choose(-1);
        of.bound()->completer()->setCompletionPrefix(QStringLiteral("o_proj"));
        QCOMPARE(of.bound()->completer()->currentCompletion(), QStringLiteral("o_proj="));
        of.bound()->setText(QString::fromStdString("o_proj=" + candidate));
        QTest::mouseClick(of.button("limitAdd"), Qt::LeftButton);
        for (const std::int64_t each : ofRole(*d.model(), "o_proj"))
            QVERIFY(d.isLocked(each));
        QVERIFY(of.settle());
    }

    /// As often as a picture makes the model multiply by each layer, and Balance keeps that.
    void operationsAreThoseOfAPicture()
    {
        LimitsOfSample of;
        const auto allocation = of.beside("allocation");
        QVERIFY(of.open(test::vitPath()) && of.settle());
        Document& d = of.document;
        d.setTarget(nullptr); // rows of 20 weights are none's
        QVERIFY(d.setCandidates(QStringLiteral("int4:channel,int8:channel")) && of.settle());
        const Model& model = *d.model();
        const JobContext context(of.executor);
        const graph::Graph graph = buildGraph(model).value();
        const auto picture = pictureShapeOf(model, graph);
        QVERIFY(picture);
        const std::vector<double> places = outputPlaces(model, graph, *picture, context).value();
        const auto operations = [&](bool ofAPicture) {
            double sum = 0;
            for (const std::int64_t layer : model.quantizableLayers())
                sum += operationsOf(model, d.layer(layer), d.candidate(layer)) *
                       (ofAPicture ? places[static_cast<std::size_t>(layer)] : 1);
            return sum;
        };
        const double before = operations(true);
        QVERIFY(before > operations(false));
        QVERIFY(of.activate());
        d.setLimits({}, QStringLiteral("none"));
        of.add(LimitKind::operations, QByteArray::number(before / 2, 'g', 17).constData());
        QVERIFY(of.settle());
        QCOMPARE(of.value(0, LimitsModel::kUsed).toDouble(), before);
        QVERIFY(of.isRed(0));

        QPushButton* press = balanceButton(*allocation);
        QVERIFY(press && press->isEnabled());
        QTest::mouseClick(press, Qt::LeftButton);
        accept(*allocation);
        QVERIFY(operations(true) <= before / 2 * (1 + 1e-9));
        QVERIFY(of.settle());
        QCOMPARE(of.value(0, LimitsModel::kUsed).toDouble(), operations(true));
        QVERIFY(!of.isRed(0));
        d.undoStack().undo(); // counted again without running the model
        QVERIFY(of.settle());
        QCOMPARE(of.value(0, LimitsModel::kUsed).toDouble(), before);
        QVERIFY(of.jobs.failures().empty());
    }

    void balanceKeepsThem()
    {
        LimitsOfSample of;
        const auto allocation = of.beside("allocation");
        QVERIFY(of.open() && of.settle());
        Document& d = of.document;
        const auto down = ofRole(*d.model(), "down_proj");
        const std::string smallest = d.columnText(d.ladder(down.front()).front()).toStdString();
        d.setLimits({{LimitKind::bitsPerWeight, "7"},
                     {LimitKind::size, "1GB"},
                     {LimitKind::tie, "o_proj"},
                     {LimitKind::allow, "down_proj=" + smallest},
                     {LimitKind::context, "512"},
                     {LimitKind::memory, "1GB"}},
                    QStringLiteral("limits"));
        QPushButton* press = balanceButton(*allocation);
        QVERIFY(press);
        QVERIFY(of.settle());
        QTest::mouseClick(press, Qt::LeftButton);
        accept(*allocation);
        QVERIFY(d.totals().bitsPerWeight <= 7);
        for (const std::int64_t layer : down)
            QCOMPARE(d.columnOf(layer), std::optional(d.ladder(layer).front()));
        const auto outputs = ofRole(*d.model(), "o_proj");
        QVERIFY(outputs.size() > 1 && !d.candidate(outputs.front()).weights.isKeep());
        for (const std::int64_t layer : outputs)
            QVERIFY(d.candidate(layer) == d.candidate(outputs.front()));
        QVERIFY(of.settle());
        QCOMPARE(of.model()->rowCount(), 6);
        QCOMPARE(of.model()->problems(), 0);
        const auto* link = allocation->findChild<QToolButton*>(QStringLiteral("limitsPassed"));
        QVERIFY(link->isHidden());
        QVERIFY(of.value(4, LimitsModel::kUsed).toDouble() > 0); // bytes of keys and values

        // A plan by hand that does not keep them is told.
        const LayerColumn change{outputs.front(), d.ladder(outputs.front()).back()};
        d.assign(std::span(&change, 1), QStringLiteral("highest"));
        const LayerColumn other{outputs.back(), d.ladder(outputs.back()).front()};
        d.assign(std::span(&other, 1), QStringLiteral("lowest"));
        QVERIFY(of.settle());
        QCOMPARE(of.value(2, LimitsModel::kUsed).toInt() > 1, true);
        QVERIFY(of.isRed(2));
        QVERIFY(!link->isHidden());
        QVERIFY2(link->text().contains(QLatin1String("not kept")), qPrintable(link->text()));
        QCOMPARE(of.runs.limits.passed(), of.model()->problems());

        // It leads to them, and goes when they are kept again.
        QMainWindow window;
        auto* dock = new QDockWidget(&window);
        dock->setObjectName(dockName("limits"));
        window.addDockWidget(Qt::BottomDockWidgetArea, dock);
        auto* summary = of.beside("allocation").release();
        window.setCentralWidget(summary);
        window.show();
        dock->hide();
        auto* shown = summary->findChild<QToolButton*>(QStringLiteral("limitsPassed"));
        QVERIFY(shown->isVisible());
        QTest::mouseClick(shown, Qt::LeftButton);
        QVERIFY(dock->isVisible());
        d.undoStack().undo();
        d.undoStack().undo();
        QVERIFY(of.settle());
        QVERIFY(link->isHidden() && shown->isHidden());

        // They are part of what a study keeps.
        const auto settings = d.settings();
        LimitsOfSample later;
        QVERIFY(later.open() && later.settle());
        later.document.restoreSettings(settings);
        QVERIFY(later.document.isModified());
        QCOMPARE(later.document.limits().size(), d.limits().size());
        for (const Limit& limit : withNumbersOf(d))
            QVERIFY2(std::ranges::count(withNumbersOf(later.document), limit) == 1, limit.text.c_str());
        QVERIFY(later.settle());
    }

private:
    static QPushButton* buttonOf(const QWidget& parent, const QString& text)
    {
        for (QPushButton* each : parent.findChildren<QPushButton*>())
            if (each->text() == text)
                return each;
        return nullptr;
    }
    static QPushButton* balanceButton(const QWidget& allocation)
    {
        return buttonOf(allocation, QStringLiteral("&Balance"));
    }
    /// What Balance proposes, once it does.
    static void accept(const QWidget& allocation)
    {
        const auto* preview = allocation.findChild<BalancePreview*>();
        QTRY_VERIFY_WITH_TIMEOUT(preview->isVisible(), 30000);
        QTest::mouseClick(buttonOf(*preview, QStringLiteral("&Accept")), Qt::LeftButton);
    }
    /// The budget is kept as a number, the others as they were stated.
    static std::vector<Limit> withNumbersOf(const Document& document)
    {
        std::vector<Limit> limits = document.limits();
        for (Limit& limit : limits)
            if (limit.kind == LimitKind::size)
                limit.text = std::to_string(*document.budget().fileBytes);
        return limits;
    }
};

QTEST_MAIN(LimitsTest)
#include "limits_test.moc"
