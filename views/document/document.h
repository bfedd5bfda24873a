// SPDX-License-Identifier: GPL-3.0-or-later
// The open work: model, plan, measurements, undo. Views read it and ask it to change; it tells them what changed. GUI
// thread only; everything that takes time runs as a job, and cells measured in the background arrive in batches.
//
// Editing: beginEdit(), previewEdit() as often as the pointer moves, then commitEdit() — one undo step with the old and
// new candidates of all layers it touched — or cancelEdit(). Layers tied by the target or by locks follow or stay.
#pragma once

#include "core/allocation/plan_limits.h"
#include "core/calibration/activations.h"
#include "core/export/export.h"
#include "core/jobs/result_sink.h"
#include "core/plan/plan_totals.h"
#include "core/sensitivity/metric.h"
#include "core/transforms/variant.h"
#include "views/document/known_loss.h"
#include "views/document/layer_facts.h"
#include "views/document/named_plans.h"
#include "views/document/selection_model.h"

#include <QStringList>
#include <QTimer>
#include <QUndoStack>

#include <functional>
#include <memory>
#include <optional>

namespace ql {
class Study;
}

namespace ql::views {

class JobRunner;
class MemorySink;
struct OpenedWork;

/// A layer and a column of the cost table.
struct LayerColumn {
    std::int64_t layer = 0;
    std::size_t column = 0;
};

/// The limits that most plans have: of a size.
struct Budget {
    std::optional<std::int64_t> fileBytes;
    std::optional<double> bitsPerWeight;
    friend bool operator==(const Budget&, const Budget&) = default;
};
/// "90 MB", "1.5 GiB", "5.0", "4.25 bpw", or both with a plus between; nothing if it is neither.
std::optional<Budget> parseBudget(const QString& text);
QString printBudget(const Budget& budget);
/// The same with the locale's decimal sign, which parseBudget() reads as well.
QString budgetText(const Budget& budget);

/// What the summary shows of the plan.
struct Totals {
    std::int64_t payloadBits = 0;
    double bitsPerWeight = 0;
    double loss = 0;      // NaN while something is not measured
    double lossError = 0; // of the items whose loss was sampled, together
    std::int64_t unmeasured = 0;
    std::int64_t probed = 0;               // items whose loss rests on gradients along their change
    std::int64_t exact = 0;                // items whose loss was measured by running them; keep is none
    std::optional<std::int64_t> fileBytes; // exact, of the target's files
    QString refusal;                       // why the target takes the plan not
};

/// One layer's part of an undo step.
struct PlanChange {
    std::int64_t layer = 0;
    Candidate before, after;
    bool lockedBefore = false, lockedAfter = false;
};

class Document : public QObject {
    Q_OBJECT
public:
    explicit Document(JobRunner& jobs, QObject* parent = nullptr);
    ~Document() override;

    // What is open.
    bool isOpen() const { return m_model != nullptr; }
    /// What is shown and planned: the model as stored, or a variant of it.
    const std::shared_ptr<const Model>& model() const { return m_model; }
    const std::shared_ptr<const Activations>& activations() const { return m_activations; } // of model()
    const std::shared_ptr<const Model>& baseModel() const { return m_base; }                // as stored
    /// Null where the model is shown as stored.
    const std::shared_ptr<const Variant>& variant() const { return m_variant; }
    /// Its transforms; empty as stored.
    std::string variantText() const;
    /// Texts of the variants that have a plan, the one shown included; the empty text is the model as stored.
    std::vector<std::string> variants() const;
    const Layer& layer(std::int64_t index) const { return m_model->layers[static_cast<std::size_t>(index)]; }
    /// Layers a plan gives candidates, in the model's order.
    const std::vector<std::int64_t>& planLayers() const { return m_planLayers; }
    SelectionModel& selection() { return m_selection; }
    QUndoStack& undoStack() { return m_undo; }
    const QUndoStack& undoStack() const { return m_undo; }
    /// "study.qloupe", or "model + smooth + hadamard": the variant is always named.
    QString title() const;
    QString studyPath() const { return m_studyPath; }
    QString checkpointPath() const;
    /// Of a calibration the study that holds it; empty without activations.
    QString activationsPath() const;
    /// Whether the activations are a calibration that sink() holds, and not a file of their own.
    bool isCalibrated() const;
    /// Where results are kept: the open study, or memory until there is one.
    std::shared_ptr<ResultSink> sink() const;
    bool isModified() const;
    const std::map<std::string, std::string>& viewState() const { return m_viewState; }
    void setViewState(const std::string& key, const std::string& value);

    // The plan.
    const Plan& plan() const { return m_plan; }
    const Candidate& candidate(std::int64_t layer) const { return m_plan.candidates[static_cast<std::size_t>(layer)]; }
    bool isLocked(std::int64_t layer) const { return m_plan.locked[static_cast<std::size_t>(layer)]; }
    double layerBits(std::int64_t layer) const; // per weight, of the plan's candidate
    std::int64_t layerBytes(std::int64_t layer) const;
    const Totals& totals() const { return m_totals; }

    // What may be chosen, and what it costs.
    const CostTable& table() const { return *m_table; }
    std::shared_ptr<const CostTable> tableSnapshot() const { return std::make_shared<CostTable>(*m_table); }
    std::optional<std::size_t> itemOf(std::int64_t layer) const;
    /// Columns the layer may take, by rising bits.
    const std::vector<std::size_t>& ladder(std::int64_t layer) const;
    std::optional<std::size_t> columnOf(std::int64_t layer) const;
    QString columnText(std::size_t column) const { return m_columnTexts[column]; }
    double columnBits(std::size_t column) const { return m_columnBits[column]; }
    /// The layer's measurement for a column, null while there is none.
    const Measurement* cell(std::int64_t layer, std::size_t column) const;
    /// Of the plan's candidate; keep has an exact one without error.
    std::optional<Measurement> plannedCell(std::int64_t layer) const;
    /// The metric's loss in a measurement; NaN of one that was not measured there.
    double lossOf(const Measurement& cell) const;
    static double lossOf(const Measurement& cell, const Metric& metric);
    /// What probes measured of the layer under a column, in nats per token whatever the metric is; null: nothing.
    const KnownLoss* probedLoss(std::int64_t layer, std::size_t column) const;
    /// The better of what the metric and probes say of the layer under a column.
    KnownLoss knownLoss(std::int64_t layer, std::size_t column) const;
    /// Of the plan's candidate; keep loses nothing.
    KnownLoss plannedLoss(std::int64_t layer) const;
    /// Whether the chosen metric is in nats per token, so that losses by probes stand beside its own.
    bool countsProbes() const;
    /// What the sum of a plan's losses is of, as records of predictions name it: the metric, or kProbedLosses where any
    /// of them rests on a probe.
    std::string lossSource(const Plan& plan) const;
    /// The same of plan(), at once.
    std::string lossSource() const;
    /// The table under that name, if it is kProbedLosses and tells all losses of the plan; else null.
    std::shared_ptr<const CostTable> probedTable(const Plan& plan) const;
    /// All that probes measured with these activations.
    LayerLosses losses() const;
    /// Of what is known of a cell the better stays. Those of other activations are not taken.
    void addLosses(const LayerLosses& losses);
    /// Which activations they are of (inputsFingerprint()).
    const std::string& lossInputs() const { return m_lossInputs; }
    const LayerFacts& facts(std::int64_t layer) const { return m_facts[static_cast<std::size_t>(layer)]; }
    const Target* target() const { return m_target; }
    const Metric* metric() const;
    /// Metrics that can be measured with what is loaded.
    std::vector<const Metric*> usableMetrics() const;
    /// What Balance keeps, the budget included.
    const std::vector<Limit>& limits() const { return m_limits; }
    Budget budget() const;
    /// Whether cells are still being measured.
    bool isMeasuring() const { return m_measuring; }

    // Editing.
    void beginEdit();
    void previewEdit(std::span<const LayerColumn> changes);
    void commitEdit(const QString& text, bool mergeable = false);
    void cancelEdit();
    /// begin, preview and commit.
    void assign(std::span<const LayerColumn> changes, const QString& text);
    void setLocked(std::span<const std::int64_t> layers, bool locked);
    void adoptPlan(const Plan& plan, const QString& text);
    void setTarget(const Target* target); // undoable: candidates become the nearest the target takes
    void setMetric(const Metric* metric);
    /// Those that are shown beside the chosen one: the slow ones of them are measured, too.
    void setShownMetrics(std::vector<const Metric*> metrics);
    /// Undoable, as all limits are.
    void setBudget(const Budget& budget);
    void setLimits(std::vector<Limit> limits, const QString& text);
    /// Offers these instead of the target's own menu; empty: the menu. Undoable.
    Result<void> setCandidates(const QString& text);
    /// Offers one more than now. Undoable; nothing happens if it is offered already.
    void addCandidate(const Candidate& candidate);
    /// Target, metric, limits and own candidates as words, for studies and recovery.
    std::map<std::string, std::string> settings() const;
    /// Puts back metric, limits and own candidates; what is not there, or not usable here, stays.
    void restoreSettings(const std::map<std::string, std::string>& settings);
    const std::vector<Candidate>& ownCandidates() const { return m_ownCandidates; }

    // Named plans of the variant shown, see named_plans.h; every change is a step.
    const NamedPlans& namedPlans() const { return m_named; }
    /// The current one is plan(); an error where the text does not fit the model.
    Result<Plan> namedPlan(std::size_t index) const;
    /// A copy of the plan, which is current from then on.
    void branchPlan(const QString& name);
    /// One more that is not current.
    void addPlan(const QString& name, const Plan& plan);
    void renamePlan(std::size_t index, const QString& name);
    /// Of the current one its neighbour takes the place; the last plan stays.
    void removePlan(std::size_t index);
    /// Makes it current, with its target.
    void switchPlan(std::size_t index);
    /// Gives the layers, and those tied to them, what another plan of the variant has there; locked ones stay. Returns
    /// why the target refuses some; those stay, too.
    QStringList takeLayers(const Plan& from, std::span<const std::int64_t> layers, const QString& text);

    // Variants, by jobs; transformed() or transformFailed() follows.
    /// Shows the variant of the model as stored, an undo step. Its plan is the one it had, or else the present one,
    /// carried over layer by layer. No transforms: the model as stored, at once.
    void transform(const TransformSpecs& specs);
    void stopTransforming();
    std::uint64_t transformJob() const { return m_transformJob; } // 0: none
    /// A plan as text, of whatever variant: that is made and shown first. done gets what was wrong.
    void adoptPlanText(const std::string& json, const QString& text, std::function<void(const Result<void>&)> done);

    // Files, by jobs; opened() or openFailed() follows.
    void open(const QString& path);
    /// A file or another calibrated study; of the model as stored, refused while a variant is shown. then() is called
    /// once they are there, or refused.
    void openActivations(const QString& path, std::function<void()> then = {});
    /// Shows what a calibration has so far.
    void showActivations(std::shared_ptr<const Activations> activations);
    /// Measures what needs activations anew, with those that are there now.
    void measureWithActivations();
    /// Activations where the file fits the open model as such, else another checkpoint or study: otherwise() is called.
    void openActivationsOr(const QString& path, std::function<void()> otherwise);
    void save(const QString& path);
    void close();

    // For undo commands.
    void applyChanges(std::span<const PlanChange> changes, bool forward);
    void applyTarget(const Target* target, const Plan& plan);
    void applyCandidates(const std::vector<Candidate>& candidates);
    void applyLimits(const std::vector<Limit>& limits);
    void applyVariant(std::shared_ptr<const Variant> variant, const Plan& plan);
    void applyPlans(const NamedPlans& plans, const Target* target, const Plan& plan);

Q_SIGNALS:
    void opening(const QString& path);
    void opened();
    void openFailed(const QString& path, const QString& reason);
    void modelChanged(); // another model, another variant of it, or none
    void tableChanged(); // other columns, items or target
    void planChanged(const std::vector<std::int64_t>& layers);
    void plansChanged();                                        // names, number or choice of the named plans
    void factsChanged(const std::vector<std::int64_t>& layers); // statistics or measurements arrived
    void measured();                                            // every cell of the table is there, or was given up
    void lossesChanged();                                       // probes tell more; factsChanged() says of which layers
    void totalsChanged();
    void settingsChanged(); // metric or limits
    void activationsChanged();
    void titleChanged();
    void transformed(const std::vector<Warning>& notes); // what was not done and why
    void transformFailed(const QString& reason);         // empty: it was stopped
    void saved(const QString& path);
    void saveFailed(const QString& path, const QString& reason);

private:
    friend struct OpenedWork;
    struct Mailbox;

    void take(OpenedWork work);
    void takeActivations(std::shared_ptr<const Activations> activations);
    bool refuseActivations();
    using VariantDone = std::function<void(Result<std::shared_ptr<const Variant>>)>;
    void makeVariantThen(const TransformSpecs& specs, VariantDone done);
    void showVariant(std::shared_ptr<const Variant> variant, const Plan& plan, const QString& text);
    Result<Plan> planOf(const std::shared_ptr<const Variant>& variant) const;
    Plan carriedPlan(const std::shared_ptr<const Variant>& variant) const;
    void showNamed(NamedPlans after, const QString& text);
    void pushPlans(NamedPlans after, const Target* target, const Plan& plan, const QString& text);
    void showPlan(const Target* target, const Plan& plan);
    void takeNamedPlans();
    void stopMeasuring();
    void tellAll();
    void takeSettings(const std::map<std::string, std::string>& settings);
    void takeBestMetric(); // unless one was chosen that can be computed
    void buildTable();
    std::vector<Candidate> menuOf(const Target* target) const;
    static Plan planFor(const Model& model, Plan plan, const Target* target);
    double usualBudget() const;
    void startStatistics();
    void startMeasuring();
    void drainMailbox();
    void addCell(const Measurement& cell);
    void placeLosses();
    void placeLoss(const LayerLoss& loss);
    void refreshCost(std::size_t item, std::size_t column);
    void resetTotals();
    void refreshTotals();
    void refreshFileBytes();
    void setCandidateOf(std::int64_t layer, const Candidate& candidate);

    JobRunner& m_jobs;
    SelectionModel m_selection;
    QUndoStack m_undo;

    std::shared_ptr<const Model> m_base;                                 // as stored
    std::shared_ptr<const Model> m_model;                                // the variant's, or the base
    std::shared_ptr<const Activations> m_baseActivations, m_activations; // likewise
    std::shared_ptr<const Variant> m_variant;
    std::map<std::string, std::string> m_plans;      // as they were left, by variant
    std::map<std::string, std::string> m_plansNamed; // likewise
    NamedPlans m_named = firstPlan();                // of the variant shown
    std::uint64_t m_transformJob = 0;
    std::shared_ptr<Study> m_study;
    std::shared_ptr<MemorySink> m_sink;
    QString m_studyPath;
    std::map<std::string, std::string> m_viewState;
    std::vector<std::int64_t> m_planLayers;
    Plan m_plan;
    const Target* m_target = nullptr;
    std::size_t m_metric = 0;      // in allMetrics()
    bool m_isMetricChosen = false; // by the user or a study: else it is the best that can be computed
    std::vector<const Metric*> m_shownMetrics;
    std::vector<Limit> m_limits;
    std::vector<Candidate> m_ownCandidates;
    bool m_settingsModified = false;

    std::unique_ptr<CostTable> m_table;
    std::unique_ptr<PlanTotals> m_planTotals;
    std::vector<QString> m_columnTexts;
    std::vector<double> m_columnBits;
    std::vector<std::vector<std::size_t>> m_ladders;                    // by item
    std::vector<std::optional<Measurement>> m_cells;                    // [layers × columns]
    std::map<std::pair<std::int64_t, std::string>, LayerLoss> m_losses; // by layer and candidate
    std::shared_ptr<const Model> m_lossesOf;
    std::string m_lossInputs;
    std::vector<std::optional<KnownLoss>> m_probed; // those of the table's columns, as m_cells
    std::vector<LayerFacts> m_facts;
    Totals m_totals;

    bool m_measuring = false;
    bool m_editing = false;
    std::vector<PlanChange> m_edit;     // layers the edit touched, first state as before
    std::vector<std::int32_t> m_editAt; // by layer: index in m_edit, −1: untouched

    std::shared_ptr<Mailbox> m_factsMailbox, m_cellsMailbox;
    QTimer m_drain;
    QTimer m_bytesTimer;
};

} // namespace ql::views
