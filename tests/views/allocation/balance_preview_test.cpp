// SPDX-License-Identifier: GPL-3.0-or-later
// What Balance proposes is shown beside the best single candidate, where there is one.
#include "tests/support/tiny_model.h"
#include "views/document/document.h"
#include "views/jobs/job_runner.h"
#include "views/panels/allocation/balance_preview.h"

#include <QLabel>
#include <QSignalSpy>
#include <QTemporaryDir>
#include <QTest>

using namespace ql;
using namespace ql::views;

class BalancePreviewTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void namesTheBestSingleCandidate()
    {
        QTemporaryDir folder;
        QVERIFY(test::writeTinyModel(folder.path()));
        Executor executor(2);
        JobRunner jobs(executor);
        Document document(jobs);
        QSignalSpy measured(&document, &Document::measured);
        document.open(folder.path());
        QVERIFY(measured.wait(60000) || measured.size() > 0);
        const auto table = document.tableSnapshot();
        BalanceRequest request;
        request.table = table.get();
        request.start = document.plan();
        request.target = document.target() ? &document.target()->profile : nullptr;
        BalancePreview preview(document);
        const auto says = [&](const QString& text) {
            const auto labels = preview.findChildren<QLabel*>();
            return std::any_of(labels.begin(), labels.end(),
                               [&](const QLabel* label) { return label->text().contains(text); });
        };
        int named = 0;
        for (const double budget : {4.5, 6.0, 8.5, 20.0}) {
            request.bitsPerWeight = budget;
            const auto proposal = propose(*document.model(), request, JobContext(executor));
            QVERIFY(proposal);
            preview.show(*proposal);
            QCOMPARE(says(QStringLiteral("best single candidate")), proposal->uniform.has_value());
            if (!proposal->uniform)
                continue;
            ++named;
            QVERIFY(proposal->uniform->predictedLoss >= proposal->balanced.predictedLoss);
            QVERIFY(says(QString::fromStdString(printCandidate(table->candidates[proposal->uniform->column]))));
        }
        QVERIFY(named > 0);
    }
};

QTEST_MAIN(BalancePreviewTest)
#include "balance_preview_test.moc"
