// SPDX-License-Identifier: GPL-3.0-or-later
// Every type of blocks and of matrices through every target that takes it, and read back.
#include "core/formats/block_format.h"
#include "core/formats/matrix_format.h"
#include "tests/support/export_sources.h"

using namespace ql;
using namespace ql::test;

class PackedFormatsTest : public QObject {
    Q_OBJECT

    Executor m_executor{2};
    JobContext m_context{m_executor};

private Q_SLOTS:
    void sizesAreExactAndFilesVerify_data()
    {
        exportColumns();
        for (const BlockFormat* format : allBlockFormats()) {
            const std::string id(format->id);
            const auto plan = QByteArray::fromStdString("*proj*=" + id + "@imatrix *embed*=" + id);
            if (format->dtype)
                QTest::newRow(("gguf with " + id).c_str()) << QByteArray("folder wide") << QByteArray("gguf") << plan;
            QTest::newRow(("hdf5 with " + id).c_str()) << QByteArray("folder wide") << QByteArray("hdf5") << plan;
        }
        for (const std::string& id : allMatrixFormatIds())
            QTest::newRow(("hdf5 with " + id).c_str()) << QByteArray("folder wide") << QByteArray("hdf5")
                                                       << QByteArray::fromStdString("*proj*=" + id + "@imatrix");
    }
    void sizesAreExactAndFilesVerify()
    {
        QFETCH(QByteArray, source);
        QFETCH(QByteArray, id);
        QFETCH(QByteArray, plan);
        checkSizesAndFiles(source, id, plan, m_context);
    }
};

QTEST_APPLESS_MAIN(PackedFormatsTest)
#include "packed_formats_test.moc"
