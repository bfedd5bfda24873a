// SPDX-License-Identifier: GPL-3.0-or-later
// quantloupe [PATH]: the window.
#include "app/main_window.h"

#include <QApplication>
#include <QCommandLineParser>

#include <clocale>
#include <cstdlib>
#include <memory>
#include <string_view>

namespace {

/// --help and --version work where there is no display.
std::unique_ptr<QCoreApplication> makeApplication(int& argc, char** argv)
{
    for (int i = 1; i < argc; ++i) {
        const std::string_view word = argv[i];
        if (word == "--help" || word == "-h" || word == "--version" || word == "-v" || word == "--help-all")
            return std::make_unique<QCoreApplication>(argc, argv);
    }
    return std::make_unique<QApplication>(argc, argv);
}

} // namespace

int main(int argc, char** argv)
{
    ::setenv("OPENBLAS_NUM_THREADS", "1",
             1); // before its threads start: products are parallel in the engine's own pool
    QCoreApplication::setApplicationName(QStringLiteral("QuantLoupe"));
    QCoreApplication::setOrganizationName(QStringLiteral("QuantLoupe"));
    QCoreApplication::setApplicationVersion(QStringLiteral(QL_VERSION));
    const std::unique_ptr<QCoreApplication> application = makeApplication(argc, argv);
    std::setlocale(LC_NUMERIC, "C"); // Qt set it from the environment; libraries read numbers with strtod

    QCommandLineParser parser;
    parser.setApplicationDescription(QCoreApplication::translate(
        "main", "Workbench for neural-network quantization. The same from the shell: qloupe."));
    parser.addHelpOption();
    parser.addVersionOption();
    parser.addPositionalArgument(
        QStringLiteral("path"),
        QCoreApplication::translate("main",
                                    "Model folder, checkpoint (safetensors, GGUF, ONNX, HDF5, NumPy) or study to open"),
        QStringLiteral("[PATH]"));
    parser.process(*application);

    QApplication::setDesktopFileName(QStringLiteral("io.github.quantloupe.QuantLoupe"));
    ql::Executor executor;
    ql::views::MainWindow window(executor);
    window.show();
    if (!parser.positionalArguments().isEmpty())
        window.open(parser.positionalArguments().constFirst());
    return QApplication::exec();
}
