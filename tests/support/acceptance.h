// SPDX-License-Identifier: GPL-3.0-or-later
// Figures that a published system, or a computation kept outside of the project, says should come out. Each check fails
// the test where it does not hold, and leaves a row in build/<preset>/acceptance/<test>.tsv; `./dev acceptance` prints
// the rows of all tests as one table, and those of tests/data/acceptance_unreached.tsv that cannot be had, with the
// reason. Sections are those of the published systems: "A4", "B11", "C18".
#pragma once

#include "core/base/text.h"

#include <unistd.h>

#include <QTest>

#include <cerrno>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

namespace ql::tests {

/// A row of the table; as text what a failing test says.
struct AcceptanceRow {
    bool holds = false;
    std::string text;
    explicit operator bool() const { return holds; }
};

inline AcceptanceRow leaveAcceptanceRow(std::string_view section, std::string_view what, const std::string& expected,
                                        const std::string& got, bool holds)
{
    static std::vector<std::string> rows;
    rows.push_back(std::string(section) + '\t' + std::string(what) + '\t' + expected + '\t' + got + '\t' +
                   (holds ? "yes" : "NO"));
    const std::filesystem::path folder = std::filesystem::path(QL_BINARY_DIR) / "acceptance";
    std::filesystem::create_directories(folder);
    const std::string name = program_invocation_short_name + std::string(".tsv");
    const auto temporary = folder / (name + '.' + std::to_string(::getpid()));
    {
        std::ofstream out(temporary);
        for (const std::string& row : rows)
            out << row << '\n';
    }
    std::filesystem::rename(temporary, folder / name); // the same test may run in two locales at a time
    return {holds, std::string(section) + ", " + std::string(what) + ": expected " + expected + ", got " + got};
}

/// Whether got is within tolerance (absolute) of expected; 0: equal.
inline AcceptanceRow acceptNear(std::string_view section, std::string_view what, double got, double expected,
                                double tolerance)
{
    const int digits = tolerance > 0 ? 7 : 10;
    const std::string within = tolerance > 0 ? " ± " + formatSignificant(tolerance, 3) : "";
    return leaveAcceptanceRow(section, what, formatSignificant(expected, digits) + within,
                              formatSignificant(got, digits), std::fabs(got - expected) <= tolerance);
}

inline AcceptanceRow acceptAtMost(std::string_view section, std::string_view what, double got, double limit)
{
    return leaveAcceptanceRow(section, what, "≤ " + formatSignificant(limit, 7), formatSignificant(got, 7),
                              got <= limit);
}

inline AcceptanceRow acceptAtLeast(std::string_view section, std::string_view what, double got, double limit)
{
    return leaveAcceptanceRow(section, what, "≥ " + formatSignificant(limit, 7), formatSignificant(got, 7),
                              got >= limit);
}

/// For what is exact: counts, bits, orders.
inline AcceptanceRow acceptThat(std::string_view section, std::string_view what, bool holds)
{
    return leaveAcceptanceRow(section, what, "holds", holds ? "holds" : "does not hold", holds);
}

} // namespace ql::tests

#define QL_ACCEPT(row)                                                                                                 \
    do {                                                                                                               \
        const ql::tests::AcceptanceRow itsRow = row;                                                                   \
        QVERIFY2(itsRow.holds, itsRow.text.c_str());                                                                   \
    } while (false)
#define QL_NEAR(section, what, got, expected, tolerance)                                                               \
    QL_ACCEPT(ql::tests::acceptNear(section, what, got, expected, tolerance))
#define QL_AT_MOST(section, what, got, limit) QL_ACCEPT(ql::tests::acceptAtMost(section, what, got, limit))
#define QL_AT_LEAST(section, what, got, limit) QL_ACCEPT(ql::tests::acceptAtLeast(section, what, got, limit))
#define QL_HOLDS(section, what, holds) QL_ACCEPT(ql::tests::acceptThat(section, what, holds))
