// SPDX-License-Identifier: GPL-3.0-or-later
// Named plans: branched, edited, switched, renamed, removed and undone; kept by studies and by each variant on its own;
// layers of one taken into another.
#include "tests/support/opened_sample.h"
#include "tests/support/tiny_model.h"
#include "views/document/named_plans.h"
#include "views/document/plan_figures.h"

#include <QTemporaryDir>

using namespace ql;
using namespace ql::views;

namespace {

QStringList namesOf(const Document& document)
{
    QStringList names;
    for (const NamedPlan& plan : document.namedPlans().plans)
        names << plan.name;
    return names;
}

} // namespace

class NamedPlansTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void initTestCase() { QVERIFY(test::writeTinyModel(m_model)); }

    void textsReturn()
    {
        const NamedPlans plans{.plans = {{.name = QStringLiteral("Größe \"1\""), .json = "{\"a\": 1}"},
                                         {.name = QStringLiteral("b"), .json = {}}},
                               .current = 1};
        QCOMPARE(parseNamedPlans(printNamedPlans(plans)), std::optional(plans));
        for (const char* wrong :
             {"", "{}", "[1]", R"({"current":1,"plans":[{"name":"a"}]})", R"({"current":0,"plans":[{"name":""}]})",
              R"({"current":0,"plans":[{"name":"a"},{"name":"b"}]})"})
            QVERIFY2(!parseNamedPlans(wrong), wrong);
    }

    void namesAreFree()
    {
        NamedPlans plans = firstPlan();
        QCOMPARE(freeName(plans, QStringLiteral("small")), QStringLiteral("small"));
        QCOMPARE(freeName(plans, QStringLiteral("Plan 1")), QStringLiteral("Plan 2"));
        plans.plans.push_back({.name = QStringLiteral("Plan 2"), .json = "{}"});
        plans.plans.push_back({.name = QStringLiteral("small"), .json = "{}"});
        QCOMPARE(freeName(plans, QStringLiteral("Plan 1")), QStringLiteral("Plan 3"));
        QCOMPARE(freeName(plans, QStringLiteral("small")), QStringLiteral("small 2"));
    }

    void branchesAreEditedApartAndUndone()
    {
        test::OpenedSample work;
        QVERIFY(work.open(m_model));
        Document& d = work.document;
        QSignalSpy changed(&d, &Document::plansChanged);
        const Plan first = d.plan();
        d.branchPlan({});
        QCOMPARE(namesOf(d), (QStringList{QStringLiteral("Plan 1"), QStringLiteral("Plan 2")}));
        QCOMPARE(d.namedPlans().current, std::size_t{1});
        QCOMPARE(d.plan(), first);
        work.lowerAll();
        const Plan second = d.plan();
        QVERIFY(!(second == first));
        QCOMPARE(*d.namedPlan(0), first);
        QCOMPARE(*d.namedPlan(1), second);
        d.switchPlan(0);
        QCOMPARE(d.plan(), first);
        QCOMPARE(*d.namedPlan(1), second);
        QCOMPARE(d.totals().loss, 0.0);
        QCOMPARE(changed.size(), 2);
        d.renamePlan(1, QStringLiteral("  small "));
        d.addPlan(QStringLiteral("small"), second);
        QCOMPARE(namesOf(d),
                 (QStringList{QStringLiteral("Plan 1"), QStringLiteral("small"), QStringLiteral("small 2")}));
        QVERIFY(d.isModified());
        while (d.undoStack().canUndo())
            d.undoStack().undo();
        QCOMPARE(d.namedPlans(), firstPlan());
        QCOMPARE(d.plan(), first);
        QVERIFY(!d.isModified());
        while (d.undoStack().canRedo())
            d.undoStack().redo();
        QCOMPARE(namesOf(d).size(), 3);
        QCOMPARE(d.plan(), first);
        QCOMPARE(*d.namedPlan(1), second);
        QCOMPARE(*d.namedPlan(2), second);
    }

    void theLastPlanStaysAndTheCurrentOneHasANeighbour()
    {
        test::OpenedSample work;
        QVERIFY(work.open(m_model));
        Document& d = work.document;
        d.removePlan(0);
        QCOMPARE(d.undoStack().count(), 0);
        const Plan first = d.plan();
        d.branchPlan(QStringLiteral("low"));
        work.lowerAll();
        const Plan low = d.plan();
        d.removePlan(1); // the one that is shown
        QCOMPARE(namesOf(d), QStringList{QStringLiteral("Plan 1")});
        QCOMPARE(d.plan(), first);
        d.undoStack().undo();
        QCOMPARE(d.plan(), low);
        QCOMPARE(d.namedPlans().current, std::size_t{1});
        d.removePlan(0);
        QCOMPARE(namesOf(d), QStringList{QStringLiteral("low")});
        QCOMPARE(d.plan(), low);
        d.undoStack().undo();
        QCOMPARE(*d.namedPlan(0), first);
    }

    void aPlanBringsItsTarget()
    {
        test::OpenedSample work;
        QVERIFY(work.open(m_model));
        Document& d = work.document;
        const Target* first = d.target();
        const Target* other = nullptr;
        for (const Target* target : allTargets())
            if (target != first && target->profile.acceptsModel(*d.model()))
                other = target;
        QVERIFY(other);
        d.branchPlan({});
        d.setTarget(other);
        work.lowerAll();
        const Plan there = d.plan();
        d.switchPlan(0);
        QCOMPARE(d.target(), first);
        d.switchPlan(1);
        QCOMPARE(d.target(), other);
        QCOMPARE(d.plan(), there);
        d.undoStack().undo();
        QCOMPARE(d.target(), first);
        QVERIFY(work.settle());
    }

    void studiesKeepThem()
    {
        const QString path = m_folder.filePath(QStringLiteral("plans.qloupe"));
        Plan first;
        Plan second;
        {
            test::OpenedSample work;
            QVERIFY(work.open(m_model));
            Document& d = work.document;
            QVERIFY(!d.settings().contains("plans:")); // as studies were before there were names
            first = d.plan();
            d.branchPlan(QStringLiteral("low"));
            work.lowerAll();
            second = d.plan();
            QSignalSpy done(&d, &Document::saved);
            d.save(path);
            QVERIFY(done.wait(30000));
        }
        test::OpenedSample work;
        QVERIFY(work.open(path));
        const Document& d = work.document;
        QCOMPARE(namesOf(d), (QStringList{QStringLiteral("Plan 1"), QStringLiteral("low")}));
        QCOMPARE(d.plan(), second);
        QCOMPARE(d.namedPlan(0)->candidates, first.candidates);
        QVERIFY(!d.isModified());
        work.document.close();
        QCOMPARE(d.namedPlans(), firstPlan());
    }

    void eachVariantHasItsOwn()
    {
        test::OpenedSample work;
        QVERIFY(work.open());
        Document& d = work.document;
        d.branchPlan(QStringLiteral("as stored"));
        QSignalSpy transformed(&d, &Document::transformed);
        d.transform(*parseTransforms("hadamard:heads"));
        QVERIFY(transformed.wait(60000) && work.settle());
        QCOMPARE(d.namedPlans(), firstPlan());
        d.renamePlan(0, QStringLiteral("turned"));
        const auto settings = d.settings();
        QVERIFY(settings.at("plans:").find("as stored") != std::string::npos);
        QVERIFY(settings.at("plans:hadamard:heads").find("turned") != std::string::npos);
        d.undoStack().undo();
        d.undoStack().undo();
        QCOMPARE(namesOf(d), (QStringList{QStringLiteral("Plan 1"), QStringLiteral("as stored")}));
        d.undoStack().redo();
        QCOMPARE(d.namedPlans(), firstPlan());
        QVERIFY(work.settle());
    }

    void layersAreTakenOver()
    {
        test::OpenedSample work;
        QVERIFY(work.open(m_model));
        Document& d = work.document;
        const Plan first = d.plan();
        d.branchPlan(QStringLiteral("low"));
        work.lowerAll();
        const Plan low = d.plan();
        d.switchPlan(0);
        const std::int64_t taken = d.model()->indexOf("model.layers.1.mlp.up_proj.weight");
        const std::int64_t locked = d.model()->indexOf("model.layers.0.mlp.down_proj.weight");
        const auto at = [](const Plan& plan, std::int64_t layer) {
            return plan.candidates[static_cast<std::size_t>(layer)];
        };
        d.setLocked(std::vector<std::int64_t>{locked}, true);
        const std::vector<std::int64_t> layers{taken, locked};
        const int steps = d.undoStack().index();
        QCOMPARE(d.takeLayers(low, layers, QStringLiteral("take")), QStringList());
        QCOMPARE(d.undoStack().index(), steps + 1);
        QVERIFY(d.candidate(taken) == at(low, taken));
        QVERIFY(d.candidate(locked) == at(first, locked));
        const auto& tied = d.table().items[*d.itemOf(taken)].layers;
        for (const std::int64_t layer : d.planLayers()) {
            const bool isTaken = std::ranges::find(tied, layer) != tied.end();
            QVERIFY(d.candidate(layer) == at(isTaken ? low : first, layer));
        }
        d.undoStack().undo();
        QVERIFY(d.candidate(taken) == at(first, taken));
        // What the target does not take stays, and is told.
        Plan wrong = first;
        wrong.candidates[static_cast<std::size_t>(taken)] = *parseCandidate("nf4:g32");
        d.setTarget(*findTarget("compressed-tensors"));
        QVERIFY(work.settle());
        const Plan before = d.plan();
        const QStringList refusals = d.takeLayers(wrong, layers, QStringLiteral("take"));
        QCOMPARE(refusals.size(), 1);
        QVERIFY(refusals.front().contains(QLatin1String("nf4")));
        QCOMPARE(d.plan(), before);
    }

    void figuresAreThoseOfTheSummary()
    {
        test::OpenedSample work;
        QVERIFY(work.open(m_model));
        Document& d = work.document;
        work.lowerAll();
        QTRY_VERIFY(d.totals().fileBytes.has_value());
        const PlanFigures figures = figuresOf(d, d.plan());
        QCOMPARE(figures.loss, d.totals().loss);
        QCOMPARE(figures.bitsPerWeight, d.totals().bitsPerWeight);
        QTRY_COMPARE(figures.fileBytes, d.totals().fileBytes);
        QVERIFY(figures.unknown.isEmpty());
        double sum = 0;
        for (const std::int64_t layer : d.planLayers())
            sum += lossOf(d, layer, d.candidate(layer));
        QVERIFY(std::fabs(sum - figures.loss) <= 1e-12 * figures.loss);
        // What was never offered is not measured, never zero.
        Plan other = d.plan();
        other.candidates[static_cast<std::size_t>(d.planLayers()[3])] = *parseCandidate("int7:g32@mse");
        QVERIFY(std::isnan(figuresOf(d, other).loss));
        QVERIFY(!figuresOf(d, other).unknown.isEmpty());
        QVERIFY(std::isnan(lossOf(d, d.planLayers()[3], *parseCandidate("int7:g32@mse"))));
    }

private:
    QTemporaryDir m_folder;
    QString m_model = m_folder.filePath(QStringLiteral("model"));
};

QTEST_MAIN(NamedPlansTest)
#include "named_plans_test.moc"
