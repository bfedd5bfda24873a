// SPDX-License-Identifier: GPL-3.0-or-later
// Numbers for people and from people in a locale with a decimal comma; numbers for programs stay with a point.
#include "tests/support/tiny_model.h"
#include "views/document/document.h"
#include "views/jobs/job_runner.h"
#include "views/panels/layers/layer_filter.h"
#include "views/panels/view_menu.h"
#include "views/text/format.h"

#include <QLocale>
#include <QSignalSpy>
#include <QTemporaryDir>
#include <QTest>

#include <clocale>

using namespace ql;
using namespace ql::views;

class GermanTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void initTestCase()
    {
        QLocale::setDefault(QLocale(QLocale::German, QLocale::Germany));
        std::setlocale(LC_ALL, "de_DE.UTF-8"); // where there is one: third parties read numbers with it
    }

    void numbersForPeople()
    {
        QCOMPARE(fixedText(4.25, 2), QStringLiteral("4,25"));
        QCOMPARE(numberText(0.00123), QStringLiteral("0,00123"));
        QCOMPARE(countText(134515008), QStringLiteral("134.515.008"));
        QCOMPARE(bytesText(1500000), QStringLiteral("1,50\u00a0MB"));
        QCOMPARE(plainNumber(4.25), QStringLiteral("4.25")); // tables that are copied and saved
    }

    void budgetsAreReadInBothSpellings()
    {
        for (const char* text : {"4,25", "4.25", "4,25 bpw", "4.25 bits per weight"}) {
            const auto budget = parseBudget(QString::fromLatin1(text));
            QVERIFY2(budget && budget->bitsPerWeight == 4.25, text);
        }
        for (const char* text : {"1,5 MB", "1.5 MB", "1.5MB"}) {
            const auto budget = parseBudget(QString::fromLatin1(text));
            QVERIFY2(budget && budget->fileBytes == 1500000, text);
        }
        const Budget budget{.fileBytes = 1234567890, .bitsPerWeight = std::nullopt};
        QCOMPARE(budgetText(budget), QStringLiteral("1234,56789 MB"));
        QCOMPARE(parseBudget(budgetText(budget)), std::optional(budget));
        QCOMPARE(printBudget(budget), QStringLiteral("1234.56789 MB")); // in files
    }

    void filtersAreReadInBothSpellings()
    {
        LayerValues values;
        values.outliers = 0.2;
        for (const char* text : {"outliers>0,1", "outliers>0.1"}) {
            const LayerFilter filter(QString::fromLatin1(text));
            QVERIFY(filter.problem().isEmpty());
            QVERIFY(filter.matches(values));
        }
    }

    void plansAndSettingsKeepThePoint()
    {
        QTemporaryDir folder;
        QVERIFY(test::writeTinyModel(folder.path()));
        Executor executor(2);
        JobRunner jobs(executor);
        Document document(jobs);
        QSignalSpy measured(&document, &Document::measured);
        document.open(folder.path());
        QVERIFY(measured.wait(60000));
        document.setBudget({.fileBytes = std::nullopt, .bitsPerWeight = 4.25});
        QCOMPARE(document.settings().at("budget"), std::string("4.25 bpw"));
        const std::string plan = printPlan(document.plan(), *document.model());
        const auto again = parsePlan(plan, *document.model());
        QVERIFY(again);
        QCOMPARE(*again, document.plan());
    }
};

QTEST_MAIN(GermanTest)
#include "german_test.moc"
