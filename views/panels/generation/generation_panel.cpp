// SPDX-License-Identifier: GPL-3.0-or-later
// A prompt continued by the model and by the plan, side by side and token by token; the first token in which they
// differ is marked. Both draw with the same random numbers, so that they part where the plan changes something.
#include "core/model/evaluation/generate.h"
#include "core/model/frontends/frontend.h"
#include "core/realize/planned_version.h"
#include "views/document/document.h"
#include "views/jobs/job_feed.h"
#include "views/panels/panel.h"
#include "views/text/elided_label.h"
#include "views/text/format.h"
#include "views/theme/problem_color.h"
#include "views/theme/theme.h"

#include <QDoubleSpinBox>
#include <QGridLayout>
#include <QHBoxLayout>
#include <QLabel>
#include <QLineEdit>
#include <QPlainTextEdit>
#include <QPushButton>
#include <QScrollBar>
#include <QSettings>
#include <QSpinBox>
#include <QVBoxLayout>

#include <algorithm>
#include <array>

namespace ql::views {

namespace {

const QString kPromptKey = QStringLiteral("generation/prompt");

/// One of the two continuations, as far as it has come.
struct Column {
    QLabel* title = nullptr;
    QPlainTextEdit* view = nullptr;
    std::vector<GeneratedToken> tokens;
    QString end; // why it ended
};

/// From the job: a token of a column, or the end of one.
struct Arrival {
    std::size_t column = 0;
    std::optional<GeneratedToken> token;
    GenerationEnd end = GenerationEnd::tokenLimit;
};

class GenerationPanel : public QWidget {
    Q_OBJECT
public:
    GenerationPanel(const PanelContext& context, QWidget* parent)
        : QWidget(parent),
          m_document(context.document),
          m_prompt(new QLineEdit(this)),
          m_count(new QSpinBox(this)),
          m_temperature(new QDoubleSpinBox(this)),
          m_start(new QPushButton(tr("Ge&nerate"), this)),
          m_note(new ElidedLabel(this)),
          m_feed(context.jobs, this, QStringLiteral("generate"),
                 [this](const std::vector<Arrival>& arrivals) { take(arrivals); })
    {
        auto* top = new QHBoxLayout;
        top->setContentsMargins(8, 4, 8, 0);
        top->addWidget(m_prompt, 1);
        const auto addSpin = [&](const QString& text, QAbstractSpinBox* spin) {
            auto* label = new QLabel(text, this);
            label->setBuddy(spin);
            top->addWidget(label);
            top->addWidget(spin);
            spin->setAlignment(Qt::AlignRight);
            spin->setAccessibleName(text);
        };
        addSpin(tr("tokens"), m_count);
        addSpin(tr("temperature"), m_temperature);
        top->addWidget(m_start);
        auto* grid = new QGridLayout;
        grid->setContentsMargins(8, 0, 8, 4);
        grid->setHorizontalSpacing(8);
        grid->setVerticalSpacing(2);
        for (std::size_t i = 0; i < m_columns.size(); ++i) {
            Column& column = m_columns[i];
            column.title = new QLabel(this);
            column.view = new QPlainTextEdit(this);
            column.view->setReadOnly(true);
            column.view->setUndoRedoEnabled(false);
            column.view->setAccessibleName(i == 0 ? tr("Continued by the model") : tr("Continued by the plan"));
            column.view->setTabChangesFocus(true);
            grid->addWidget(column.title, 0, static_cast<int>(i));
            grid->addWidget(column.view, 1, static_cast<int>(i));
            grid->setColumnStretch(static_cast<int>(i), 1);
        }
        auto* layout = new QVBoxLayout(this);
        layout->setContentsMargins(0, 0, 0, 0);
        layout->setSpacing(4);
        layout->addLayout(top);
        layout->addLayout(grid, 1);
        m_note->setContentsMargins(8, 0, 8, 4);
        layout->addWidget(m_note);
        m_prompt->setPlaceholderText(tr("A text to continue"));
        m_prompt->setAccessibleName(tr("Prompt"));
        m_prompt->setText(QSettings().value(kPromptKey, QStringLiteral("The")).toString());
        m_count->setRange(1, 100'000);
        m_count->setValue(64);
        m_temperature->setRange(0, 10);
        m_temperature->setSingleStep(0.1);
        m_temperature->setDecimals(2);
        m_temperature->setToolTip(tr("0 takes the most likely token always; more draws among others too"));
        connect(m_start, &QPushButton::clicked, this, &GenerationPanel::startOrStop);
        connect(m_prompt, &QLineEdit::returnPressed, this, &GenerationPanel::start);
        connect(&m_document, &Document::modelChanged, this, &GenerationPanel::clear);
        connect(&m_document, &Document::totalsChanged, this, &GenerationPanel::showTitles);
        setFocusProxy(m_prompt);
        clear();
    }

protected:
    void changeEvent(QEvent* event) override
    {
        QWidget::changeEvent(event);
        if (event->type() == QEvent::PaletteChange) {
            mark();
            refresh();
        }
    }

private:
    static QString endText(GenerationEnd end)
    {
        switch (end) {
        case GenerationEnd::endToken:
            return tr("ended its text");
        case GenerationEnd::contextFull:
            return tr("the context is full");
        case GenerationEnd::tokenLimit:
            break;
        }
        return {};
    }

    void clear()
    {
        m_feed.drop();
        empty();
    }

    void empty()
    {
        m_problem.clear();
        for (Column& column : m_columns) {
            column.tokens.clear();
            column.end.clear();
            column.view->clear();
        }
        mark();
        refresh();
    }

    void startOrStop()
    {
        if (m_feed.isRunning())
            m_feed.cancel();
        else
            start();
    }

    void start()
    {
        if (m_feed.isRunning() || !m_document.isOpen() || m_prompt->text().isEmpty())
            return;
        QSettings().setValue(kPromptKey, m_prompt->text());
        empty();
        Sampling sampling;
        sampling.temperature = m_temperature->value();
        m_feed.start(
            tr("Generating"),
            [model = m_document.model(), plan = m_document.plan(), activations = m_document.activations(),
             target = m_document.target(), prompt = m_prompt->text().toStdString(), count = m_count->value(),
             sampling](JobMailbox<Arrival>& arrivals, const JobContext& context) -> Result<void> {
                QL_TRY(graph, buildGraph(*model));
                QL_TRY(tokenizer, openTokenizer(*model->checkpoint, context));
                QL_TRY(encoded, encodePrompt(*tokenizer, prompt, context));
                QL_TRY(planned, plannedVersion(*model,
                                               {.plan = &plan,
                                                .target = target ? &target->profile : nullptr,
                                                .activations = activations.get()},
                                               context));
                GenerationTask task{.model = *model,
                                    .graph = graph,
                                    .version = {},
                                    .prompt = std::move(encoded.ids),
                                    .tokens = count,
                                    .sampling = sampling,
                                    .endIds = endIdsOf(*model->checkpoint, *tokenizer),
                                    .tokenizer = tokenizer,
                                    .onToken = {}};
                task.contextLength =
                    static_cast<std::int64_t>(model->configNumber("max_position_embeddings").value_or(0));
                std::size_t column = 0;
                for (const ModelVersion& version : {ownVersion(*model), planned}) {
                    task.version = version;
                    task.onToken = [&](const GeneratedToken& token) {
                        arrivals.put({column, token});
                        return Result<void>();
                    };
                    QL_TRY(generation, generate(task, context));
                    arrivals.put({column, std::nullopt, generation.end});
                    ++column;
                }
                return model->checkpoint->checkIntact();
            },
            [this](const Result<void>& result) {
                if (!result && result.error().code != Errc::cancelled)
                    m_problem = errorText(result.error());
                refresh();
            });
        refresh();
    }

    void take(const std::vector<Arrival>& arrivals)
    {
        for (const Arrival& arrival : arrivals) {
            Column& column = m_columns[arrival.column];
            if (!arrival.token) {
                column.end = endText(arrival.end);
                continue;
            }
            column.tokens.push_back(*arrival.token);
            QTextCursor end(column.view->document());
            end.movePosition(QTextCursor::End);
            end.insertText(toQString(arrival.token->text));
            column.view->verticalScrollBar()->setValue(column.view->verticalScrollBar()->maximum());
        }
        mark();
        refresh();
    }

    /// Where the two part; nothing while all that both have is the same.
    std::optional<std::size_t> firstDifference() const
    {
        const auto& a = m_columns[0].tokens;
        const auto& b = m_columns[1].tokens;
        std::size_t n = 0;
        while (n < std::min(a.size(), b.size()) && a[n].id == b[n].id)
            ++n;
        return n < std::min(a.size(), b.size()) ? std::optional(n) : std::nullopt;
    }

    void mark()
    {
        const auto difference = firstDifference();
        for (Column& column : m_columns) {
            QList<QTextEdit::ExtraSelection> marks;
            if (difference) {
                qsizetype from = 0;
                for (std::size_t i = 0; i < *difference; ++i)
                    from += toQString(column.tokens[i].text).size();
                QTextEdit::ExtraSelection token;
                token.cursor = QTextCursor(column.view->document());
                token.cursor.setPosition(static_cast<int>(from));
                token.cursor.movePosition(
                    QTextCursor::NextCharacter, QTextCursor::KeepAnchor,
                    std::max<int>(1, static_cast<int>(toQString(column.tokens[*difference].text).size())));
                token.format.setBackground(colors(palette()).warn);
                token.format.setForeground(inkOn(colors(palette()).warn));
                marks << token;
            }
            column.view->setExtraSelections(marks);
        }
    }

    void showTitles()
    {
        const bool open = m_document.isOpen();
        const QString names[] = {
            tr("model"),
            open ? tr("plan, %1 bits per weight").arg(fixedText(m_document.totals().bitsPerWeight, 3)) : tr("plan")};
        for (std::size_t i = 0; i < m_columns.size(); ++i) {
            const Column& column = m_columns[i];
            QString title = names[i];
            if (!column.tokens.empty())
                title += tr(" · %1 tokens").arg(countText(std::ssize(column.tokens)));
            if (!column.end.isEmpty())
                title += tr(", %1").arg(column.end);
            column.title->setText(title);
        }
    }

    void refresh()
    {
        const bool open = m_document.isOpen();
        m_start->setEnabled(open);
        m_start->setText(m_feed.isRunning() ? tr("Stop") : tr("Ge&nerate"));
        showTitles();
        setProblemColor(*m_note, !m_problem.isEmpty());
        const auto difference = firstDifference();
        m_note->setText(!open                  ? tr("Open a checkpoint first.")
                        : !m_problem.isEmpty() ? m_problem
                        : difference           ? tr("The first %1 tokens are the same; the marked ones differ.")
                                           .arg(countText(static_cast<std::int64_t>(*difference)))
                        : m_feed.isRunning() ? tr("Running…")
                        : m_columns[1].tokens.empty()
                            ? tr("Generate continues the prompt by the model and by the plan.")
                            : tr("Both continue it with the same tokens."));
    }

    Document& m_document;
    QLineEdit* m_prompt;
    QSpinBox* m_count;
    QDoubleSpinBox* m_temperature;
    QPushButton* m_start;
    ElidedLabel* m_note;
    std::array<Column, 2> m_columns; // the model's, the plan's
    JobFeed<Arrival> m_feed;
    QString m_problem;
};

} // namespace

namespace panels {
extern const Panel generation;
const Panel generation{
    "generation", QT_TRANSLATE_NOOP("Panel", "Generation"), PanelPlace::bottom,
    [](const PanelContext& context, QWidget* parent) -> QWidget* { return new GenerationPanel(context, parent); }};
} // namespace panels

} // namespace ql::views

#include "generation_panel.moc"
