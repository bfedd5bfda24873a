// SPDX-License-Identifier: GPL-3.0-or-later
// The text of activation schemes.
#include "core/formats/activation_scheme.h"

#include <QTest>

using namespace ql;

class ActivationSchemeTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void texts_data()
    {
        QTest::addColumn<QString>("printed");
        QTest::addColumn<bool>("byColumn");
        QTest::addColumn<bool>("isStatic");
        const auto row = [](const char* text, const char* printed, bool byColumn = false, bool isStatic = false) {
            QTest::newRow(text) << QString::fromLatin1(printed) << byColumn << isStatic;
        };
        row("int8", "int8");
        row("int8:token", "int8");
        row(" int8 : token : asym ", "int8:asym");
        row("int8:tensor", "int8:tensor");
        row("int8:static:tensor", "int8:tensor:static", false, true);
        row("int4:channel", "int4:channel", true);
        row("fp8_e4m3:channel:static", "fp8_e4m3:channel:static", true, true);
        row("int8:g128", "int8:g128");
        row("int8:g64:static", "int8:g64:static", false, true);
        row("mxfp4", "mxfp4");
        row("gguf:q8_0", "gguf:q8_0");
        row("gguf:q4_1:static", "gguf:q4_1:static", false, true);
        row("bf16", "bf16");
    }
    void texts()
    {
        QFETCH(QString, printed);
        QFETCH(bool, byColumn);
        QFETCH(bool, isStatic);
        const auto scheme = parseActivationScheme(QTest::currentDataTag());
        QVERIFY2(scheme.has_value(), scheme ? "" : describe(scheme.error()).c_str());
        QCOMPARE(QString::fromStdString(printActivationScheme(*scheme)), printed);
        QCOMPARE(scheme->byColumn, byColumn);
        QCOMPARE(scheme->isStatic, isStatic);
        QVERIFY(parseActivationScheme(printActivationScheme(*scheme)).value() == *scheme);
    }
    void refused_data()
    {
        QTest::addColumn<QString>("text");
        for (const char* text :
             {"keep", "int8:token:tensor", "int8:channel:tensor", "int8:token:channel", "int8:token:token",
              "int8:channel:g32", "mxfp4:channel", "int8:static", "int8:token:static", "int8:tensor:static:static",
              "bf16:static", "f16:token", "int8:column", "int9"})
            QTest::newRow(text) << QString::fromLatin1(text);
    }
    void refused()
    {
        QFETCH(QString, text);
        QVERIFY(!parseActivationScheme(text.toStdString()));
    }
};

QTEST_APPLESS_MAIN(ActivationSchemeTest)
#include "activation_scheme_test.moc"
