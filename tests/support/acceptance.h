// SPDX-License-Identifier: GPL-3.0-or-later
// Figures that a published system, or a computation kept outside of the project, says should come out. Each check fails
// the test where it does not hold, and leaves a row in build/<preset>/acceptance/<test>.tsv; `./dev acceptance` prints
// the rows of all tests as one table, and those of tests/data/acceptance_unreached.tsv that cannot be had, with the
// reason. Sections are those of the published systems: "A4", "B11", "C18".
#pragma once

#include "core/base/text.h"

#include <QTest>

#include <cerrno>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <string>
#include <unistd.h>
#include <vector>

namespace ql::tests {

inline bool leaveAcceptanceRow(std::string_view section, std::string_view what, const std::string& expected,
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
    return holds;
}

/// Whether got is within tolerance (absolute) of expected.
inline bool acceptNear(std::string_view section, std::string_view what, double got, double expected, double tolerance)
{
    return leaveAcceptanceRow(section, what, formatSignificant(expected, 7) + " ± " + formatSignificant(tolerance, 3),
                              formatSignificant(got, 7), std::fabs(got - expected) <= tolerance);
}

inline bool acceptAtMost(std::string_view section, std::string_view what, double got, double limit)
{
    return leaveAcceptanceRow(section, what, "≤ " + formatSignificant(limit, 7), formatSignificant(got, 7),
                              got <= limit);
}

inline bool acceptAtLeast(std::string_view section, std::string_view what, double got, double limit)
{
    return leaveAcceptanceRow(section, what, "≥ " + formatSignificant(limit, 7), formatSignificant(got, 7),
                              got >= limit);
}

/// For what is exact: counts, bits, orders.
inline bool acceptThat(std::string_view section, std::string_view what, bool holds)
{
    return leaveAcceptanceRow(section, what, "holds", holds ? "holds" : "does not hold", holds);
}

} // namespace ql::tests

#define QL_NEAR(section, what, got, expected, tolerance)                                                               \
    QVERIFY2(ql::tests::acceptNear(section, what, got, expected, tolerance), what)
#define QL_AT_MOST(section, what, got, limit) QVERIFY2(ql::tests::acceptAtMost(section, what, got, limit), what)
#define QL_AT_LEAST(section, what, got, limit) QVERIFY2(ql::tests::acceptAtLeast(section, what, got, limit), what)
#define QL_HOLDS(section, what, holds) QVERIFY2(ql::tests::acceptThat(section, what, holds), what)
