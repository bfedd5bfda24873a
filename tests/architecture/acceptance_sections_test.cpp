// SPDX-License-Identifier: GPL-3.0-or-later
// Every section of tests/data/acceptance_unreached.tsv's first line is named by a test that leaves rows, or has a
// reason there. `./dev acceptance` asks the same of the rows themselves.
#include <QRegularExpression>
#include <QTest>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <string>

namespace fs = std::filesystem;

namespace {

std::string readAll(const fs::path& path)
{
    std::ifstream file(path);
    std::stringstream text;
    text << file.rdbuf();
    return text.str();
}

} // namespace

class AcceptanceSectionsTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void everySectionHasARowOrAReason()
    {
        const fs::path tests = fs::path(QL_SOURCE_DIR) / "tests";
        std::set<std::string> named;
        for (const auto& entry : fs::recursive_directory_iterator(tests)) {
            if (!entry.path().string().ends_with("_test.cpp"))
                continue;
            const std::string text = readAll(entry.path());
            if (text.find("#include \"tests/support/acceptance.h\"") == std::string::npos)
                continue;
            static const QRegularExpression kSection(QStringLiteral("\"([ABC][0-9]{1,2})\""));
            for (const QRegularExpressionMatch& match : kSection.globalMatch(QString::fromStdString(text)))
                named.insert(match.captured(1).toStdString());
        }
        std::ifstream table(tests / "data/acceptance_unreached.tsv");
        const std::string opening = "# sections: ";
        std::string line;
        std::getline(table, line);
        QVERIFY(line.starts_with(opening));
        std::set<std::string> sections;
        std::istringstream words(line.substr(opening.size()));
        for (std::string word; words >> word;)
            sections.insert(word);
        QVERIFY(sections.size() > 40);
        while (std::getline(table, line)) {
            if (line.starts_with('#'))
                continue;
            QVERIFY2(std::ranges::count(line, '\t') == 2 && !line.ends_with('\t'), line.c_str());
            named.insert(line.substr(0, line.find('\t')));
        }
        for (const std::string& section : sections)
            QVERIFY2(named.contains(section), section.c_str());
    }
};

QTEST_APPLESS_MAIN(AcceptanceSectionsTest)
#include "acceptance_sections_test.moc"
