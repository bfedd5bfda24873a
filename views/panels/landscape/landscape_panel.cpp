// SPDX-License-Identifier: GPL-3.0-or-later
// The loss about the current layer's weights, cut along the two eigenvectors of its Hessian with the largest
// eigenvalues: a heat map with how far the plan goes, and the cuts through the weights against what second order
// predicts.
#include "views/document/document.h"
#include "views/document/layer_names.h"
#include "views/panels/landscape/landscape_cuts.h"
#include "views/panels/landscape/landscape_form.h"
#include "views/panels/landscape/landscape_map.h"
#include "views/panels/landscape/landscape_run.h"
#include "views/panels/landscape/landscape_source.h"
#include "views/panels/landscape/landscape_words.h"
#include "views/panels/panel.h"
#include "views/panels/view_menu.h"
#include "views/runs/source_choice.h"
#include "views/text/elided_label.h"
#include "views/text/format.h"

#include <QScrollArea>
#include <QScrollBar>
#include <QSplitter>
#include <QVBoxLayout>

namespace ql::views {

namespace {

class LandscapePanel : public LayerPanel {
    Q_OBJECT
public:
    LandscapePanel(const PanelContext& context, QWidget* parent)
        : LayerPanel(context, parent),
          m_source(m_document, m_jobs, this),
          m_run(m_document, m_jobs, this),
          m_form(new LandscapeForm(this)),
          m_map(new LandscapeMap(this)),
          m_cuts(new LandscapeCuts(this)),
          m_cell(new ElidedLabel(this)),
          m_pictures(new QSplitter(this))
    {
        m_pictures->addWidget(m_map);
        m_pictures->addWidget(m_cuts);
        m_pictures->setChildrenCollapsible(false);
        m_pictures->setSizes({500, 500});
        auto* right = new QWidget(this);
        auto* column = new QVBoxLayout(right);
        column->setContentsMargins(0, 0, 0, 0);
        column->setSpacing(2);
        column->addWidget(m_pictures, 1);
        column->addWidget(m_cell);
        auto* scroll = new QScrollArea(this); // a low panel has no room for all of it
        scroll->setWidget(m_form);
        scroll->setWidgetResizable(true);
        scroll->setFrameShape(QFrame::NoFrame);
        scroll->setFocusPolicy(Qt::NoFocus);
        auto* parts = new QSplitter(this);
        parts->addWidget(scroll);
        parts->addWidget(right);
        parts->setChildrenCollapsible(false);
        parts->setStretchFactor(0, 0);
        parts->setStretchFactor(1, 1);
        parts->setSizes({m_form->sizeHint().width() + scroll->verticalScrollBar()->sizeHint().width(), 800});
        auto* whole = new QVBoxLayout(this);
        whole->setContentsMargins(0, 0, 0, 0);
        whole->addWidget(parts);
        m_cell->setObjectName(QStringLiteral("landscapeCell"));
        m_cell->setContentsMargins(8, 0, 8, 4);
        connect(m_map, &LandscapeMap::told, this, [this](const QString& text) {
            m_told = text;
            showCell();
        });
        connect(m_form, &LandscapeForm::changed, this, &LandscapePanel::showForm);
        connect(m_form, &LandscapeForm::startAsked, this, &LandscapePanel::start);
        connect(m_form, &LandscapeForm::stopAsked, this, [this] { m_run.stop(); });
        connect(m_form, &LandscapeForm::textAsked, this, &LandscapePanel::chooseText);
        connect(&m_source, &LandscapeSource::changed, this, &LandscapePanel::touch);
        connect(&m_run, &LandscapeRun::changed, this, &LandscapePanel::touch);
        connect(&m_jobs, &JobRunner::changed, this, &LandscapePanel::showProgress);
        for (QWidget* view : std::initializer_list<QWidget*>{m_map, m_cuts})
            addViewMenu(view, [this] { return landscapeTable(m_run.landscape(shownLayer())); });
        setFocusProxy(m_map);
        draw();
    }

protected:
    void showLayer(std::int64_t) override { draw(); }

    void refreshPlan() override { showPlan(); }

    void showEvent(QShowEvent* event) override
    {
        LayerPanel::showEvent(event);
        touch();
    }

    void resizeEvent(QResizeEvent* event) override
    {
        LayerPanel::resizeEvent(event);
        m_pictures->setOrientation(width() < height() * 3 / 2 ? Qt::Vertical : Qt::Horizontal);
    }

private:
    void touch()
    {
        if (isVisible()) // else when it is shown
            draw();
    }

    void draw()
    {
        if (isVisible() && layerObstacle().isEmpty())
            m_source.read();
        const Landscape* landscape = m_run.landscape(shownLayer());
        m_map->setLandscape(landscape);
        m_cuts->setVisible(landscape != nullptr);
        m_cuts->setLandscape(landscape);
        m_form->setWords(landscape ? landscapeWords(*landscape, nameWithBlock(m_document.layer(shownLayer())))
                                   : QString());
        showPlan();
        showForm();
    }

    /// Why there is nothing to measure in what is selected; empty if there is.
    QString layerObstacle() const
    {
        if (!m_document.isOpen())
            return tr("Open a checkpoint first.");
        if (shownLayer() < 0)
            return tr("Select a layer.");
        return m_document.layer(shownLayer()).quantizable ? QString()
                                                          : tr("This tensor is not quantized: select a layer that is.");
    }

    /// The same, or why it cannot be run.
    QString anyObstacle() const
    {
        const QString its = layerObstacle();
        const auto source = m_source.source();
        if (!its.isEmpty() || !source)
            return its.isEmpty() ? m_source.obstacle() : its;
        if (source->count(m_form->portion()) > 0)
            return {};
        return tr("The text has %1 tokens, less than one window of %2: choose a longer one, or shorter windows.")
            .arg(countText(std::ssize(source->text()->ids)), countText(m_form->portion().length));
    }

    /// In place of the picture.
    QString message() const
    {
        if (const QString obstacle = anyObstacle(); !obstacle.isEmpty())
            return obstacle;
        if (m_run.isRunning() && m_run.layer() == shownLayer())
            return tr("Looking at the weights…");
        return tr("Measure cuts the loss about the layer's weights along the two eigenvectors of its Hessian with the "
                  "largest eigenvalues, and shows how far predictions of second order hold.");
    }

    LandscapeChoice choice() const
    {
        return {.source = m_source.source(),
                .portion = m_form->portion(),
                .layer = shownLayer(),
                .span = m_form->span(),
                .points = m_form->points(),
                .iterations = m_form->iterations()};
    }

    bool isPossible() const { return m_source.source() && anyObstacle().isEmpty(); }

    void start()
    {
        if (!isPossible())
            return;
        m_running = nameWithBlock(m_document.layer(shownLayer()));
        m_run.start(choice());
    }

    void chooseText()
    {
        const QString path = askForText(this, m_source.path());
        if (!path.isEmpty())
            m_source.setPath(path);
    }

    void showForm()
    {
        m_form->setText(m_source.path());
        m_form->setState(m_run.isRunning(), isPossible(), m_document.isOpen());
        const QString obstacle = anyObstacle();
        const bool isToldByMap = !m_run.landscape(shownLayer());
        if (isToldByMap)
            m_map->setMessage(message());
        m_form->setCost(isPossible() ? landscapeCost(choice()) : isToldByMap ? QString() : obstacle, !isPossible());
        const bool hasCommand = layerObstacle().isEmpty() && !m_source.path().isEmpty() && !m_document.variant();
        m_form->setCommand(
            hasCommand ? landscapeCommand(m_document, shownLayer(), m_source.path(), m_form->arguments()) : QString(),
            m_document.variant() ? tr("The command line measures the model as it is stored.") : QString());
        showProgress();
    }

    void showProgress()
    {
        if (!isVisible())
            return;
        if (!m_run.isRunning()) {
            const bool isIts = m_run.layer() == shownLayer() && !m_run.problem().isEmpty();
            m_form->setStatus(isIts ? m_run.problem() : QString(), isIts);
            return;
        }
        QString text = tr("Measuring %1").arg(m_running);
        for (const JobState& state : m_jobs.running())
            if (state.id == m_run.job()) {
                m_form->setProgress(state.fraction);
                text += tr(", %1").arg(percentText(state.fraction));
                if (state.remainingSeconds >= 0)
                    text += tr(", %1 left").arg(durationText(state.remainingSeconds));
            }
        m_form->setStatus(text, false);
    }

    void showPlan()
    {
        const Landscape* landscape = m_run.landscape(shownLayer());
        const double distance = landscape ? planDistance(m_document, shownLayer()) : 0;
        m_map->setPlanDistance(landscape && distance <= landscape->steps.back() ? distance : 0);
        m_plan = landscape ? planDistanceText(*landscape, distance) : QString();
        showCell();
    }

    /// The cell that is told of, else what the circle is.
    void showCell()
    {
        if (!m_told.isEmpty() || !m_run.landscape(shownLayer())) {
            m_cell->setText(m_told);
            return;
        }
        const QString hint = tr("Pointer and arrow keys tell a cell; Home goes to the middle.");
        m_cell->setText(m_plan.isEmpty() ? hint : tr("%1. %2").arg(m_plan, hint));
    }

    LandscapeSource m_source;
    LandscapeRun m_run;
    LandscapeForm* m_form;
    LandscapeMap* m_map;
    LandscapeCuts* m_cuts;
    ElidedLabel* m_cell;
    QSplitter* m_pictures;
    QString m_running; // name of the layer that is measured
    QString m_told;    // of a cell
    QString m_plan;    // how far it goes
};

} // namespace

namespace panels {
extern const Panel landscape;
const Panel landscape{
    "landscape", QT_TRANSLATE_NOOP("Panel", "Landscape"), PanelPlace::bottom,
    [](const PanelContext& context, QWidget* parent) -> QWidget* { return new LandscapePanel(context, parent); }};
} // namespace panels

} // namespace ql::views

#include "landscape_panel.moc"
