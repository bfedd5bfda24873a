// SPDX-License-Identifier: GPL-3.0-or-later
// Runs the real qloupe.
#pragma once

#include <QJsonDocument>
#include <QJsonObject>
#include <QProcess>
#include <QString>
#include <QStringList>

namespace ql::test {

inline const QString kQloupe = QStringLiteral(QL_BINARY_DIR "/bin/qloupe");

struct Outcome {
    int exitCode = -1; // −2 after a crash
    QByteArray out, err;
    QJsonObject json() const { return QJsonDocument::fromJson(out).object(); }
};

inline Outcome runProgram(const QString& program, const QStringList& arguments)
{
    QProcess process;
    process.start(program, arguments);
    if (!process.waitForFinished(120'000))
        return {};
    return {process.exitStatus() == QProcess::NormalExit ? process.exitCode() : -2, process.readAllStandardOutput(),
            process.readAllStandardError()};
}

inline Outcome qloupe(const QStringList& arguments)
{
    return runProgram(kQloupe, arguments);
}

/// By a shell, which may change what is open and what is allowed before: `line` ends in "$@".
inline Outcome qloupeInShell(const QString& line, const QStringList& arguments)
{
    return runProgram(QStringLiteral("/bin/sh"),
                      QStringList{QStringLiteral("-c"), line, QStringLiteral("sh"), kQloupe} + arguments);
}

inline QString text(const char* utf8)
{
    return QString::fromUtf8(utf8);
}

} // namespace ql::test
