// SPDX-License-Identifier: GPL-3.0-or-later
// Parses every #include of core, views and app and fails on an arrow that the architecture does not have.
#include <QTest>

#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <sstream>
#include <string>

namespace fs = std::filesystem;

namespace {

/// Which folders of core a folder may include, besides itself.
const std::map<std::string, std::set<std::string>>& allowedInCore()
{
    static const auto kAllowed = [] {
        std::map<std::string, std::set<std::string>> allowed;
        allowed["base"] = {};
        allowed["jobs"] = {"base"};
        allowed["tensor"] = {"base", "jobs"};
        const auto extend = [&](const std::string& folder, const std::string& lower,
                                const std::set<std::string>& more = {}) {
            allowed[folder] = allowed[lower];
            allowed[folder].insert(lower);
            allowed[folder].insert(more.begin(), more.end());
        };
        extend("checkpoint", "tensor");
        extend("formats", "tensor");
        extend("model", "checkpoint", {"formats"});
        extend("calibration", "model");
        extend("transforms", "calibration", {"quantizers"});
        extend("quantizers", "calibration");
        extend("plan", "transforms", {"quantizers"});
        extend("realize", "plan");
        extend("analysis", "plan");
        extend("sensitivity", "plan", {"realize", "analysis"});
        extend("allocation", "plan");
        extend("export", "realize");
        extend("report", "export", {"analysis", "sensitivity", "allocation"});
        allowed["study"] = {"base", "jobs"};
        return allowed;
    }();
    return kAllowed;
}

std::string firstPart(const std::string& path, std::size_t index)
{
    std::stringstream stream(path);
    std::string part;
    for (std::size_t i = 0; i <= index; ++i)
        if (!std::getline(stream, part, '/'))
            return {};
    return part;
}

/// Why the include is not allowed; empty if it is.
std::string objection(const std::string& file, const std::string& included)
{
    const std::string layer = firstPart(file, 0);
    const std::string folder = firstPart(file, 1);
    const std::string target = firstPart(included, 0);
    const bool isQt =
        included.size() > 1 && included[0] == 'Q' && std::isupper(static_cast<unsigned char>(included[1]));
    const bool isEngineLibrary = target == "tbb" || target == "oneapi" || target == "Eigen" || target == "hdf5.h" ||
                                 target == "cblas.h" || target == "lapacke.h" || target == "hwy";
    if (layer == "core") {
        if (isQt)
            return "core knows no Qt";
        if (target == "views" || target == "app")
            return "core does not know " + target;
        if ((target == "tbb" || target == "oneapi") && folder != "jobs")
            return "only core/jobs names TBB";
        if ((target == "cblas.h" || target == "lapacke.h") && folder != "base")
            return "only core/base names BLAS";
        if (target == "core" && firstPart(included, 1) != folder &&
            allowedInCore().at(folder).count(firstPart(included, 1)) == 0)
            return "core/" + folder + " may not include core/" + firstPart(included, 1);
        return {};
    }
    if (isEngineLibrary)
        return layer + " does not name the engine's libraries";
    if (layer == "views" && target == "app")
        return "views does not know app";
    if (layer == "app" && folder == "cli" && (isQt || target == "views"))
        return "the command line links no Qt";
    return {};
}

} // namespace

class IncludeArrowsTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void everyFolderHasItsArrows()
    {
        for (const auto& entry : fs::directory_iterator(fs::path(QL_SOURCE_DIR) / "core"))
            if (entry.is_directory() && entry.path().filename() != "decisions")
                QVERIFY2(allowedInCore().count(entry.path().filename().string()) == 1, entry.path().c_str());
    }
    void wrongArrowsAreSeen()
    {
        QVERIFY(!objection("core/base/x.cpp", "core/jobs/executor.h").empty());
        QVERIFY(!objection("core/formats/x.cpp", "QString").empty());
        QVERIFY(!objection("core/study/x.cpp", "core/plan/plan.h").empty());
        QVERIFY(!objection("views/x.cpp", "oneapi/tbb/parallel_for.h").empty());
        QVERIFY(!objection("app/cli/x.cpp", "views/theme.h").empty());
        QVERIFY(objection("core/export/x.cpp", "core/realize/realize.h").empty());
    }
    void sourcesFollowTheArrows()
    {
        int files = 0;
        for (const char* layer : {"core", "views", "app"}) {
            for (const auto& entry : fs::recursive_directory_iterator(fs::path(QL_SOURCE_DIR) / layer)) {
                const auto extension = entry.path().extension();
                if (!entry.is_regular_file() || (extension != ".h" && extension != ".cpp" && extension != ".def"))
                    continue;
                ++files;
                const std::string file = fs::relative(entry.path(), QL_SOURCE_DIR).generic_string();
                std::ifstream stream(entry.path());
                for (std::string line; std::getline(stream, line);) {
                    const auto start = line.find_first_of("<\"");
                    if (line.rfind("#include", 0) != 0 || start == std::string::npos)
                        continue;
                    const auto end = line.find_first_of(">\"", start + 1);
                    const std::string why = objection(file, line.substr(start + 1, end - start - 1));
                    QVERIFY2(why.empty(), qPrintable(QString::fromStdString(file + ": " + line + ": " + why)));
                }
            }
        }
        QVERIFY(files > 50);
    }
};

QTEST_APPLESS_MAIN(IncludeArrowsTest)
#include "include_arrows_test.moc"
