// SPDX-License-Identifier: GPL-3.0-or-later
// The activation panel says what an expert of a mixture saw, and that nothing is known of one that saw nothing.
#include "tests/support/opened_panel.h"

#include <QLabel>
#include <QSignalSpy>
#include <QTest>

#include <algorithm>

using namespace ql;
using namespace ql::views;

class ActivationsPanelTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void saysWhatExpertsSaw_data()
    {
        QTest::addColumn<QString>("file");
        QTest::addColumn<QString>("layer");
        QTest::addColumn<QString>("note");
        const QString expert = QStringLiteral("model.layers.1.block_sparse_moe.experts.%1.w2.weight");
        QTest::newRow("seen") << "mixtral" << expert.arg(2) << "expert 2 saw 400 tokens";
        QTest::newRow("not seen") << "mixtral" << expert.arg(1)
                                  << "Nothing is known of these inputs: expert 1 saw 0 tokens.";
        QTest::newRow("a stack") << "mixtral/model.gguf"
                                 << "blk.1.ffn_down_exps.weight"
                                 << "of 3 experts, expert 1 saw least: 0 tokens";
    }
    void saysWhatExpertsSaw()
    {
        QFETCH(QString, file);
        QFETCH(QString, layer);
        QFETCH(QString, note);
        Executor executor(2);
        JobRunner jobs(executor);
        Document document(jobs);
        Runs runs(document, jobs);
        QSignalSpy measured(&document, &Document::measured);
        document.open(QStringLiteral(QL_TEST_DATA "/frontends/") + file);
        QVERIFY(measured.wait(60000));
        QSignalSpy changed(&document, &Document::activationsChanged);
        document.openActivations(QStringLiteral(QL_TEST_DATA "/imatrix/new.gguf"));
        QVERIFY(changed.wait(60000));
        const auto widget = test::showPanel("activations", {document, jobs, runs}, {500, 400});
        QVERIFY(QTest::qWaitForWindowExposed(widget.get()));
        document.selection().setCurrent(document.model()->indexOf(layer.toStdString()));
        QTRY_VERIFY_WITH_TIMEOUT(std::ranges::any_of(widget->findChildren<QLabel*>(),
                                                     [&](const QLabel* label) { return label->text().contains(note); }),
                                 30000);
    }
};

QTEST_MAIN(ActivationsPanelTest)
#include "activations_test.moc"
