// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/plan/tied_table.h"
#include "tests/support/measured_model.h"

#include <QTest>

#include <algorithm>
#include <cmath>
#include <set>

using namespace ql;

namespace {

std::vector<std::int64_t> named(const Model& model, std::string_view glob)
{
    std::vector<std::int64_t> found = model.match(glob).value();
    std::erase_if(found,
                  [&](std::int64_t layer) { return !model.layers[static_cast<std::size_t>(layer)].quantizable; });
    return found;
}

} // namespace

class TiedTableTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void tiedItemsAddUp()
    {
        test::Measured measured = test::measured(3, 32, nullptr, "int3:g16 int5:g16 bf16");
        const auto layers = named(measured.model, "*down_proj*");
        QCOMPARE(layers.size(), std::size_t{3});
        CostTable& table = measured.table;
        const auto itemOf = [](const CostTable& in, std::int64_t layer) {
            return static_cast<std::size_t>(std::ranges::find_if(in.items,
                                                                 [&](const Item& item) {
                                                                     return std::ranges::find(item.layers, layer) !=
                                                                            item.layers.end();
                                                                 }) -
                                            in.items.begin());
        };
        table.at(itemOf(table, layers[1]), 2).allowed = false;
        table.at(itemOf(table, layers[2]), 0).evidence = Evidence::unmeasured;
        table.at(itemOf(table, layers[0]), 1).standardError = 3;
        table.at(itemOf(table, layers[2]), 1).standardError = 4;
        const CostTable tied = tieItems(measured.model, table, std::vector<Tie>{{.layers = layers, .reason = {}}});
        QCOMPARE(tied.items.size(), table.items.size() - 2);
        const std::size_t item = itemOf(tied, layers[2]);
        QCOMPARE(tied.items[item].layers, layers);
        for (std::size_t c = 0; c < table.candidates.size(); ++c) {
            double loss = 0;
            std::int64_t bits = 0;
            for (const std::int64_t layer : layers) {
                loss += table.at(itemOf(table, layer), c).loss;
                bits += table.at(itemOf(table, layer), c).payloadBits;
            }
            QVERIFY(std::abs(tied.at(item, c).loss - loss) <= 1e-12 * loss);
            QCOMPARE(tied.at(item, c).payloadBits, bits);
        }
        QVERIFY(!tied.at(item, 2).allowed && tied.at(item, 1).allowed);
        QCOMPARE(static_cast<int>(tied.at(item, 0).evidence), static_cast<int>(Evidence::unmeasured));
        QCOMPARE(tied.at(item, 1).standardError, 5.0);
        for (std::size_t i = 0; i < table.items.size(); ++i) // the others are as they were, in their order
            if (std::ranges::find(layers, table.items[i].layers.front()) == layers.end()) {
                const std::size_t there = itemOf(tied, table.items[i].layers.front());
                QCOMPARE(tied.items[there].layers, table.items[i].layers);
                QCOMPARE(tied.at(there, 0).loss, table.at(i, 0).loss);
            }
        BalanceRequest request = test::requestFor(measured);
        request.table = &tied;
        request.bitsPerWeight = 7;
        const auto solved = test::balanced(measured, request);
        QVERIFY(solved);
        std::set<std::string> candidates;
        for (const std::int64_t layer : layers)
            candidates.insert(printCandidate(solved->plan.candidates[static_cast<std::size_t>(layer)]));
        QCOMPARE(candidates.size(), std::size_t{1});
    }

    void onlyWhatIsAllowed()
    {
        test::Measured measured = test::measured(2, 32, nullptr, "int3:g16 int5:g16 bf16");
        const auto layers = named(measured.model, "*down_proj*");
        QVERIFY(allowOnly(measured.table, layers, parseCandidates("bf16").value()));
        BalanceRequest request = test::requestFor(measured);
        request.bitsPerWeight = 14;
        const auto solved = test::balanced(measured, request);
        QVERIFY(solved);
        for (const std::int64_t layer : layers)
            QCOMPARE(printCandidate(solved->plan.candidates[static_cast<std::size_t>(layer)]), std::string("bf16"));
        QCOMPARE(allowOnly(measured.table, layers, parseCandidates("int8").value()).error().code, Errc::usage);
        QCOMPARE(allowOnly(measured.table, layers, parseCandidates("int3:g16").value()).error().code, Errc::usage);
    }
};

QTEST_APPLESS_MAIN(TiedTableTest)
#include "tied_table_test.moc"
