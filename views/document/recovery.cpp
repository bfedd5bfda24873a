// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/document/recovery.h"

#include "views/text/format.h"

#include <QCoreApplication>
#include <QDateTime>
#include <QDir>
#include <QJsonDocument>
#include <QJsonObject>
#include <QLocale>
#include <QSaveFile>
#include <QStandardPaths>

#include <cerrno>
#include <csignal>

namespace ql::views {

namespace {

bool isRunning(qint64 process)
{
    return ::kill(static_cast<pid_t>(process), 0) == 0 || errno == EPERM;
}

} // namespace

Recovery::Recovery(Document& document, int intervalMs, QObject* parent) : QObject(parent), m_document(document)
{
    m_timer.setSingleShot(true);
    m_timer.setInterval(intervalMs);
    connect(&m_timer, &QTimer::timeout, this, &Recovery::write);
    connect(&document, &Document::planChanged, this, &Recovery::documentChanged);
    connect(&document, &Document::settingsChanged, this, &Recovery::documentChanged);
    connect(&document, &Document::saved, this, &Recovery::discard);
    connect(&document, &Document::modelChanged, this, [this] {
        if (!m_document.isModified()) // not merely another variant
            discard();
    });
}

Recovery::~Recovery()
{
    discard();
}

QString Recovery::folder()
{
    return QStandardPaths::writableLocation(QStandardPaths::AppDataLocation) + QStringLiteral("/recovery");
}

QString Recovery::file() const
{
    return folder() + QStringLiteral("/%1.json").arg(QCoreApplication::applicationPid());
}

void Recovery::documentChanged()
{
    if (!m_timer.isActive())
        m_timer.start();
}

void Recovery::write()
{
    if (!m_document.isModified())
        return;
    QJsonObject object;
    object[QStringLiteral("checkpoint")] = m_document.checkpointPath();
    object[QStringLiteral("study")] = m_document.studyPath();
    if (!m_document.isCalibrated()) // a calibration is in its study
        object[QStringLiteral("activations")] = m_document.activationsPath();
    object[QStringLiteral("time")] = QDateTime::currentDateTime().toString(Qt::ISODate);
    object[QStringLiteral("plan")] = toQString(printPlan(m_document.plan(), *m_document.model()));
    QJsonObject settings;
    for (const auto& [key, value] : m_document.settings())
        settings[toQString(key)] = toQString(value);
    object[QStringLiteral("settings")] = settings;
    QDir().mkpath(folder());
    QSaveFile out(file());
    if (out.open(QIODevice::WriteOnly)) {
        out.write(QJsonDocument(object).toJson());
        out.commit();
    }
}

void Recovery::discard()
{
    m_timer.stop();
    QFile::remove(file());
}

std::vector<RecoveredWork> Recovery::leftBehind()
{
    std::vector<RecoveredWork> found;
    const QDir dir(folder());
    for (const QString& name : dir.entryList({QStringLiteral("*.json")}, QDir::Files, QDir::Time)) {
        bool isNumber = false;
        const qint64 process = name.chopped(5).toLongLong(&isNumber);
        if (!isNumber || process == QCoreApplication::applicationPid() || isRunning(process))
            continue;
        QFile in(dir.filePath(name));
        if (!in.open(QIODevice::ReadOnly) || in.size() > 64 * 1024 * 1024)
            continue;
        const QJsonObject object = QJsonDocument::fromJson(in.readAll()).object();
        RecoveredWork work;
        work.file = dir.filePath(name);
        work.checkpoint = object[QStringLiteral("checkpoint")].toString();
        work.study = object[QStringLiteral("study")].toString();
        work.activations = object[QStringLiteral("activations")].toString();
        const QJsonObject settings = object[QStringLiteral("settings")].toObject();
        for (auto setting = settings.begin(); setting != settings.end(); ++setting)
            work.settings[setting.key().toStdString()] = setting.value().toString().toStdString();
        work.planJson = object[QStringLiteral("plan")].toString().toStdString();
        const auto time = QDateTime::fromString(object[QStringLiteral("time")].toString(), Qt::ISODate);
        work.time = QLocale().toString(time, QLocale::ShortFormat);
        if (!work.checkpoint.isEmpty() && !work.planJson.empty())
            found.push_back(work);
    }
    return found;
}

void Recovery::restore(const RecoveredWork& work, Document& document, std::function<void(const Result<void>&)> done)
{
    const auto adopt = [&document, work, done = std::move(done)] {
        document.restoreSettings(work.settings);
        document.adoptPlanText(work.planJson, tr("Recovered plan"), done);
    };
    // A variant may be made from the activations, so they come first.
    if (!work.activations.isEmpty() && work.activations != document.activationsPath())
        document.openActivations(work.activations, adopt);
    else
        adopt();
}

void Recovery::remove(const RecoveredWork& work)
{
    QFile::remove(work.file);
}

} // namespace ql::views
