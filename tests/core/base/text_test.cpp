// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/base/text.h"

#include <QTest>

#include <cmath>

using namespace ql;

class TextTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void doublesRoundTrip()
    {
        for (const double value : {0.1, 1e300, -2.5e-310, 1.0 / 3, 12345678.9})
            QCOMPARE(parseDouble(formatDouble(value)).value(), value);
        QVERIFY(std::isnan(parseDouble("nan").value()));
        QCOMPARE(formatDouble(-INFINITY), std::string("-inf"));
        QVERIFY(!parseDouble("1,5"));
        QVERIFY(!parseDouble("1.5x"));
        QVERIFY(!parseDouble(""));
    }
    void bytesHaveUnits()
    {
        QCOMPARE(parseBytes("90MB").value(), 90'000'000);
        QCOMPARE(parseBytes("1.5 GiB").value(), 1'610'612'736);
        QCOMPARE(parseBytes("17").value(), 17);
        QVERIFY(!parseBytes("-1MB"));
        QVERIFY(!parseBytes("MB"));
        QVERIFY(!parseBytes("1e300GB"));
        QCOMPARE(formatBytes(999), std::string("999 B"));
        QCOMPARE(formatBytes(88'088'832), std::string("88.1 MB"));
        QCOMPARE(formatBytes(999'999), std::string("1.00 MB"));
    }
    void globs_data()
    {
        QTest::addColumn<QByteArray>("pattern");
        QTest::addColumn<QByteArray>("name");
        QTest::addColumn<bool>("matches");
        QTest::newRow("exact") << QByteArray("abc") << QByteArray("abc") << true;
        QTest::newRow("star") << QByteArray("*.q_proj.*") << QByteArray("layers.0.q_proj.weight") << true;
        QTest::newRow("star back") << QByteArray("a*b*c") << QByteArray("aXbYbZc") << true;
        QTest::newRow("class") << QByteArray("l[0-3].w") << QByteArray("l2.w") << true;
        QTest::newRow("not class") << QByteArray("l[!0-3].w") << QByteArray("l2.w") << false;
        QTest::newRow("question") << QByteArray("l?.w") << QByteArray("l.w") << false;
        QTest::newRow("open bracket is itself") << QByteArray("a[b") << QByteArray("a[b") << true;
        QTest::newRow("empty") << QByteArray("") << QByteArray("x") << false;
        QTest::newRow("long") << QByteArray("*a*a*a*a*a*a*b") << QByteArray(200, 'a') << false;
    }
    void globs()
    {
        QFETCH(QByteArray, pattern);
        QFETCH(QByteArray, name);
        QTEST(globMatch(pattern.toStdString(), name.toStdString()), "matches");
    }
    void strangersNamesBecomePrintable() { QCOMPARE(printable("a\xff\x01z\xc3\xa9"), std::string("a\uFFFD z\u00e9")); }
};

QTEST_APPLESS_MAIN(TextTest)
#include "text_test.moc"
