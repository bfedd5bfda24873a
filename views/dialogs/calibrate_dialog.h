// SPDX-License-Identifier: GPL-3.0-or-later
// Calibrating the open model: on what, how much of XᵀX is kept, whether it goes backward, too, where it goes, and what
// that will take, told before it starts; then progress, pause and resume. It may be closed meanwhile; opened again it
// shows the run under way.
#pragma once

#include "views/runs/calibration_run.h"

#include <QDialog>

class QCheckBox;
class QComboBox;
class QLabel;
class QLineEdit;
class QProgressBar;
class QPushButton;
class QSpinBox;

namespace ql::views {

class Document;
class JobRunner;
class SourceChoice;
struct Runs;

class CalibrateDialog : public QDialog {
    Q_OBJECT
public:
    CalibrateDialog(Document& document, JobRunner& jobs, Runs& runs, QWidget* parent = nullptr);

private:
    GramKind gram() const;
    /// An error where no layer has the name whose XᵀX is asked for.
    Result<CalibrationSettings> settings() const;
    /// Nothing where it is not asked for, or the model is no language model.
    std::optional<FisherSettings> fisherSettings() const;
    bool isDepthAskedFor() const;
    std::optional<CurvatureChoice> curvature() const;
    bool readsLanguage() const;
    void buildForm();
    QLayout* gradientRows();
    void refresh();
    QString costText(const CalibrationSettings& settings) const;
    QString runningText() const;
    QString wentBackwardText() const;
    void showProgress();
    void browseStudy();
    /// Saves a study to put the results into, if there is none yet, then runs.
    void start();
    void run();

    Document& m_document;
    JobRunner& m_jobs;
    Runs& m_runs;
    SourceChoice* m_source;
    QComboBox* m_gram;
    QLineEdit* m_full; // name or glob of layers
    QCheckBox* m_fisher;
    QSpinBox* m_fisherWindows;
    QCheckBox* m_outputGram;
    QCheckBox* m_depth;
    QCheckBox* m_curvature;
    QSpinBox* m_probes;
    QSpinBox* m_curvatureWindows;
    QLineEdit* m_study;
    QPushButton* m_browse;
    QLabel* m_cost;
    QLineEdit* m_command;
    QProgressBar* m_progress;
    QLabel* m_status;
    QPushButton* m_start;
    QPushButton* m_pause;
    bool m_startWhenSaved = false;
};

} // namespace ql::views
