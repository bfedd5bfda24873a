// SPDX-License-Identifier: GPL-3.0-or-later
// Einstein sums of ONNX against the sum over all labels written out.
#include "core/base/rng.h"
#include "core/model/frontends/frontend.h"
#include "core/model/graph/run.h"
#include "tests/support/onnx_builder.h"
#include "tests/support/temporary_folder.h"

#include <QTest>

#include <cmath>

using namespace ql;

namespace {

using Sizes = std::map<char, std::int64_t>;

graph::Array<double> random(const std::string& labels, const Sizes& sizes, std::uint64_t seed)
{
    Shape shape;
    for (const char label : labels)
        shape.push_back(sizes.at(label));
    graph::Array<double> array(shape);
    const CounterRng rng(seed);
    for (std::int64_t i = 0; i < array.numel(); ++i)
        array.write()[i] = rng.uniform(static_cast<std::uint64_t>(i)) - 0.5;
    return array;
}

/// The element of an array at the values of its labels.
std::int64_t offsetOf(const std::string& labels, const Sizes& sizes, const Sizes& at)
{
    std::int64_t offset = 0;
    for (const char label : labels)
        offset = offset * sizes.at(label) + at.at(label);
    return offset;
}

} // namespace

class EinsumTest : public QObject {
    Q_OBJECT
    Executor m_executor{2};
    JobContext m_context{m_executor};
    test::TemporaryFolder m_folder{test::TemporaryFolder::inMemory()};

private Q_SLOTS:
    void sums_data()
    {
        QTest::addColumn<QString>("equation");
        QTest::addColumn<QString>("result"); // what the equation leaves unsaid
        for (const char* equation :
             {"ij,jk->ik", "ij,jk->ki", "bhid,bhjd->bhij", "bihd,bjhd->bhij", "bhij,bjhd->bihd", "abc,cd->dab",
              "ij,kl->kjil", "ij,kj->", "i,i->", "i,j->ji", "ij,ij->ij", "ij,i->i", "abcd,cd->ba", "abc,bcd->a"})
            QTest::newRow(equation) << QString::fromLatin1(equation) << QString();
        QTest::newRow("unsaid") << QStringLiteral("ij, jk") << QStringLiteral("ik");
        QTest::newRow("unsaid, sorted") << QStringLiteral("kj,ij") << QStringLiteral("ik");
        QTest::newRow("one, summed") << QStringLiteral("abc->ca") << QString();
        QTest::newRow("one, as it is") << QStringLiteral("ab->ab") << QString();
    }
    void sums()
    {
        QFETCH(QString, equation);
        QFETCH(QString, result);
        const QString sides = QString(equation).remove(u' ');
        const QStringList terms = sides.section(QStringLiteral("->"), 0, 0).split(u',');
        const std::string out = (result.isEmpty() ? sides.section(QStringLiteral("->"), 1) : result).toStdString();
        Sizes sizes;
        for (const QChar c : terms.join(QString()))
            sizes.try_emplace(c.toLatin1(), 2 + static_cast<std::int64_t>(sizes.size()) % 3);

        test::Texts names;
        for (int i = 0; i < terms.size(); ++i)
            names.push_back("x" + std::to_string(i));
        const auto file = m_folder.write(
            "model.onnx",
            test::onnxModel(test::onnxGraph(
                test::onnxNode("Einsum", names, {"y"}, test::onnxText("equation", equation.toStdString())), names,
                {"y"})));
        const auto model = openModel(file, m_context).value();
        const auto graph = buildGraph(*model);
        QVERIFY2(graph, graph ? "" : describe(graph.error()).c_str());
        graph::Values<double> values;
        std::vector<graph::Array<double>> inputs;
        for (int i = 0; i < terms.size(); ++i) {
            inputs.push_back(random(terms[i].toStdString(), sizes, static_cast<std::uint64_t>(i)));
            values[graph->inputs[static_cast<std::size_t>(i)]].real = inputs.back();
        }
        const auto done = graph::forwardAll<double>(*graph, graph::CheckpointWeights(*model), values, m_context);
        QVERIFY2(done, done ? "" : describe(done.error()).c_str());

        graph::Array<double> wanted = random(out, sizes, 0);
        std::fill_n(wanted.write(), wanted.numel(), 0.0);
        Sizes at;
        for (const auto& [label, size] : sizes)
            at[label] = 0;
        for (bool more = true; more;) {
            double product = 1;
            for (int i = 0; i < terms.size(); ++i)
                product *= inputs[static_cast<std::size_t>(i)].data()[offsetOf(terms[i].toStdString(), sizes, at)];
            wanted.write()[offsetOf(out, sizes, at)] += product;
            more = false;
            for (auto& [label, index] : at) {
                if (++index < sizes.at(label)) {
                    more = true;
                    break;
                }
                index = 0;
            }
        }
        const graph::Array<double>& made = values.at(graph->outputs.front()).real;
        QCOMPARE(made.shape(), wanted.shape());
        for (std::int64_t i = 0; i < wanted.numel(); ++i)
            QVERIFY(std::fabs(made.data()[i] - wanted.data()[i]) < 1e-12);
    }
};

QTEST_APPLESS_MAIN(EinsumTest)
#include "einsum_test.moc"
