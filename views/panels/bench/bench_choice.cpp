// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/panels/bench/bench_choice.h"

#include "core/base/text.h"
#include "core/plan/explain.h"
#include "core/plan/runs_in.h"
#include "core/sensitivity/bench.h"
#include "views/dialogs/transform_page.h"
#include "views/document/document.h"
#include "views/text/format.h"
#include "views/theme/tick_delegate.h"

#include <QGridLayout>
#include <QHBoxLayout>
#include <QLabel>
#include <QLineEdit>
#include <QListWidget>
#include <QSignalBlocker>
#include <QSlider>
#include <QTreeWidget>

#include <algorithm>
#include <array>

namespace ql::views {

namespace {

constexpr std::array<std::int64_t, 8> kRanks{0, 1, 2, 4, 8, 16, 32, 64};

constexpr int kTitleRole = Qt::UserRole; // of a group, without the number of ticks

std::vector<const TargetProfile*> profiles()
{
    std::vector<const TargetProfile*> all;
    for (const Target* target : allTargets())
        all.push_back(&target->profile);
    return all;
}

/// Why a quantizer has to wait; empty if it has not.
QString missing(const Quantizer& quantizer, const Activations* activations)
{
    const bool hasDiagonal = activations != nullptr;
    const bool hasGram = hasDiagonal && !activations->isDiagonal();
    if (quantizer.needs == InputNeeds::gram && !hasGram)
        return BenchChoice::tr("Needs %1, which is not known: Calibrate… finds it.")
            .arg(toQString(describe(quantizer.needs)));
    if (quantizer.needs == InputNeeds::diagonal && !hasDiagonal)
        return BenchChoice::tr("Needs %1, which is not known: Calibrate… or an importance matrix tells.")
            .arg(toQString(describe(quantizer.needs)));
    return {};
}

QString aboutQuantizer(const Quantizer& quantizer)
{
    const Explanation explanation = explainQuantizer(quantizer);
    QStringList lines{toQString(explanation.title)};
    for (const Fact& fact : explanation.facts)
        lines << QStringLiteral("%1: %2").arg(toQString(fact.what), toQString(fact.text));
    for (const ExplainedOption& option : explanation.options)
        lines << QStringLiteral(":%1  %2").arg(toQString(option.text), toQString(option.meaning));
    return lines.join(QLatin1Char('\n'));
}

} // namespace

BenchChoice::BenchChoice(const Document& document, QWidget* parent)
    : QWidget(parent),
      m_document(document),
      m_filter(new QLineEdit(this)),
      m_schemes(new QTreeWidget(this)),
      m_otherSchemes(new QLineEdit(this)),
      m_rank(new QSlider(Qt::Horizontal, this)),
      m_rankText(new QLabel(this)),
      m_quantizers(new QListWidget(this)),
      m_otherQuantizers(new QLineEdit(this)),
      m_transforms(new QListWidget(this)),
      m_otherTransforms(new QLineEdit(this))
{
    auto* grid = new QGridLayout(this);
    grid->setContentsMargins(0, 0, 0, 0);
    grid->setSpacing(4);
    grid->addWidget(m_filter, 0, 0);
    grid->addWidget(m_schemes, 1, 0);
    grid->addWidget(m_otherSchemes, 2, 0);
    grid->addWidget(buildRank(), 3, 0);
    grid->addWidget(m_quantizers, 0, 1, 3, 1);
    grid->addWidget(m_otherQuantizers, 3, 1);
    grid->addWidget(m_transforms, 0, 2, 3, 1);
    grid->addWidget(m_otherTransforms, 3, 2);
    grid->setColumnStretch(0, 3);
    grid->setColumnStretch(1, 2);
    grid->setColumnStretch(2, 2);
    m_filter->setPlaceholderText(tr("Filter schemes"));
    m_filter->setClearButtonEnabled(true);
    m_otherSchemes->setPlaceholderText(tr("others: int3:g64+lr8, …"));
    m_otherQuantizers->setPlaceholderText(tr("others, with options"));
    m_otherSchemes->setToolTip(tr("Any schemes, separated by commas: element[:tensor|:channel|:g<size>][:asym]"
                                  "[:restricted][:s=f16|bf16|f32|e8m0|ue4m3], or a name; behind it "
                                  "+cols<n> input columns or +sparse<percent> of the weights in float16, +lr<r> "
                                  "factors of what is left, e.g. int4:g128+cols8+lr16"));
    m_otherQuantizers->setToolTip(tr("Any quantizers with options, separated by commas, e.g. mse:steps=200"));
    m_otherTransforms->setPlaceholderText(tr("others, a+b"));
    m_otherTransforms->setToolTip(tr("Any transforms with options, separated by commas; + applies one to the result "
                                     "of the other, e.g. smooth:alpha=0.6+hadamard"));
    const std::pair<QWidget*, const char*> names[] = {{m_filter, "benchFilter"},
                                                      {m_schemes, "benchSchemes"},
                                                      {m_otherSchemes, "benchOtherSchemes"},
                                                      {m_quantizers, "benchQuantizers"},
                                                      {m_otherQuantizers, "benchOtherQuantizers"},
                                                      {m_transforms, "benchTransforms"},
                                                      {m_otherTransforms, "benchOtherTransforms"}};
    for (const auto& [widget, name] : names)
        widget->setObjectName(QLatin1String(name));
    m_filter->setAccessibleName(tr("Filter schemes"));
    m_schemes->setAccessibleName(tr("Schemes"));
    m_otherSchemes->setAccessibleName(tr("Other schemes"));
    m_quantizers->setAccessibleName(tr("Quantizers"));
    m_otherQuantizers->setAccessibleName(tr("Other quantizers"));
    m_transforms->setAccessibleName(tr("Transforms"));
    m_otherTransforms->setAccessibleName(tr("Other transforms"));
    m_schemes->setHeaderHidden(true);
    m_schemes->setIndentation(14);
    m_schemes->setUniformRowHeights(true);
    for (QAbstractItemView* list : std::initializer_list<QAbstractItemView*>{m_schemes, m_quantizers, m_transforms}) {
        list->setItemDelegate(new TickDelegate(list));
        list->setMinimumSize(80, 40);
        list->setSizePolicy(QSizePolicy::Ignored, QSizePolicy::Expanding);
    }

    connect(m_filter, &QLineEdit::textChanged, this, &BenchChoice::filterSchemes);
    connect(m_schemes, &QTreeWidget::itemChanged, this, &BenchChoice::takeTick);
    connect(m_schemes, &QTreeWidget::itemActivated, this, &BenchChoice::explainScheme);
    connect(m_quantizers, &QListWidget::itemChanged, this, &BenchChoice::changed);
    connect(m_quantizers, &QListWidget::itemActivated, this, &BenchChoice::explainQuantizer);
    connect(m_transforms, &QListWidget::itemChanged, this, &BenchChoice::changed);
    connect(m_transforms, &QListWidget::itemActivated, this, &BenchChoice::explainTransform);
    for (const QLineEdit* other : {m_otherSchemes, m_otherQuantizers, m_otherTransforms}) {
        connect(other, &QLineEdit::textChanged, this, &BenchChoice::changed);
        connect(other, &QLineEdit::returnPressed, this, &BenchChoice::confirmed);
    }
    for (const std::string_view text : split(kUsualSchemes, ','))
        m_ticked.emplace(text);
    buildQuantizers();
    buildTransforms();
    takeActivations();
}

QWidget* BenchChoice::buildRank()
{
    auto* row = new QWidget(this);
    auto* line = new QHBoxLayout(row);
    line->setContentsMargins(0, 0, 0, 0);
    line->addWidget(m_rank, 1);
    line->addWidget(m_rankText);
    m_rank->setRange(0, static_cast<int>(kRanks.size()) - 1);
    m_rank->setPageStep(1);
    m_rank->setObjectName(QLatin1String("benchRank"));
    m_rank->setAccessibleName(tr("Low rank"));
    m_rank->setToolTip(tr("Each scheme once more with float16 factors of what it leaves of the weights (+lr<r>)"));
    const auto say = [this] { m_rankText->setText(rank() == 0 ? tr("no low rank") : tr("also +lr%1").arg(rank())); };
    say();
    connect(m_rank, &QSlider::valueChanged, this, [this, say] {
        say();
        Q_EMIT changed();
    });
    return row;
}

std::int64_t BenchChoice::rank() const
{
    return kRanks[static_cast<std::size_t>(m_rank->value())];
}

void BenchChoice::setLayer(std::int64_t layer)
{
    // What the groups depend on: the model and the kind of the layer.
    const QString kind =
        layer < 0 ? QString()
                  : m_document.checkpointPath() + QLatin1Char('\n') + toQString(layerKind(m_document.layer(layer)));
    m_layer = layer;
    if (kind == m_kind)
        return;
    m_kind = kind;
    const QSignalBlocker quiet(m_schemes);
    m_schemes->clear();
    if (layer < 0)
        return;
    std::vector<Scheme> ticked;
    for (const std::string& text : m_ticked)
        if (auto scheme = parseScheme(text))
            ticked.push_back(std::move(*scheme));
    std::set<std::string> checked;
    for (const auto& [asked, text] : grouped())
        checked.insert(text);
    for (const SchemeGroup& group : schemeGroups(*m_document.model(), m_document.layer(layer), profiles(), ticked)) {
        auto* parent = new QTreeWidgetItem(m_schemes);
        parent->setData(0, kTitleRole, toQString(group.title()));
        parent->setToolTip(0, toQString(group.target->title) + QLatin1Char('\n') +
                                  tr("loaded by %1").arg(toQString(group.target->loadedBy)));
        parent->setFlags(Qt::ItemIsEnabled | Qt::ItemIsSelectable | Qt::ItemIsUserCheckable | Qt::ItemIsAutoTristate);
        for (const Scheme& scheme : group.schemes) {
            const std::string text = printScheme(scheme);
            auto* item = new QTreeWidgetItem(parent, {toQString(text)});
            item->setCheckState(0, checked.contains(text) ? Qt::Checked : Qt::Unchecked);
            item->setToolTip(0, toQString(ql::explainScheme(scheme).title));
        }
        parent->setExpanded(!group.target->onlyStores);
    }
    filterSchemes();
    countTicks();
}

void BenchChoice::buildQuantizers()
{
    std::vector<std::string_view> usual = split(kUsualQuantizers, ',');
    for (const Quantizer* quantizer : allQuantizers()) {
        auto* item = new QListWidgetItem(toQString(quantizer->id), m_quantizers);
        item->setCheckState(std::ranges::find(usual, quantizer->id) != usual.end() ? Qt::Checked : Qt::Unchecked);
    }
}

void BenchChoice::buildTransforms()
{
    auto* none = new QListWidgetItem(toQString(kNoTransform), m_transforms);
    none->setCheckState(Qt::Checked);
    none->setFlags(Qt::ItemIsEnabled | Qt::ItemIsSelectable | Qt::ItemIsUserCheckable);
    none->setToolTip(tr("The model that is shown, as it is"));
    for (const Transform* transform : allTransforms()) {
        auto* item = new QListWidgetItem(toQString(transform->id), m_transforms);
        item->setCheckState(Qt::Unchecked);
    }
}

void BenchChoice::takeActivations()
{
    const QSignalBlocker quiet(m_quantizers);
    m_waiting = false;
    for (int row = 0; row < m_quantizers->count(); ++row) {
        const Quantizer& quantizer = *allQuantizers()[static_cast<std::size_t>(row)];
        const QString why = m_document.isOpen() ? missing(quantizer, m_document.activations().get()) : QString();
        QListWidgetItem* item = m_quantizers->item(row);
        Qt::ItemFlags flags = Qt::ItemIsSelectable | Qt::ItemIsUserCheckable;
        flags.setFlag(Qt::ItemIsEnabled, why.isEmpty());
        item->setFlags(flags);
        item->setToolTip(why.isEmpty() ? aboutQuantizer(quantizer) : why);
        m_waiting = m_waiting || !why.isEmpty();
    }
    const QSignalBlocker quietToo(m_transforms);
    for (int row = 1; row < m_transforms->count(); ++row) {
        const Transform& transform = *allTransforms()[static_cast<std::size_t>(row - 1)];
        const QString why =
            m_document.isOpen() ? missingFor(transform.needs, m_document.activations().get()) : QString();
        QListWidgetItem* item = m_transforms->item(row);
        Qt::ItemFlags flags = Qt::ItemIsSelectable | Qt::ItemIsUserCheckable;
        flags.setFlag(Qt::ItemIsEnabled, why.isEmpty());
        item->setFlags(flags);
        item->setToolTip(why.isEmpty() ? aboutTransform(transform) : why);
        m_waiting = m_waiting || !why.isEmpty();
    }
}

void BenchChoice::filterSchemes()
{
    const QString wanted = m_filter->text().trimmed();
    for (int g = 0; g < m_schemes->topLevelItemCount(); ++g) {
        QTreeWidgetItem* group = m_schemes->topLevelItem(g);
        bool any = false;
        for (int i = 0; i < group->childCount(); ++i) {
            const bool matches = group->child(i)->text(0).contains(wanted, Qt::CaseInsensitive);
            group->child(i)->setHidden(!matches);
            any = any || matches;
        }
        group->setHidden(!any);
        if (any && !wanted.isEmpty())
            group->setExpanded(true);
    }
}

std::map<std::string, std::string> BenchChoice::grouped() const
{
    std::map<std::string, std::string> grouped;
    const auto targets = profiles();
    for (const std::string& text : m_ticked)
        if (const auto scheme = parseScheme(text); scheme && m_layer >= 0)
            grouped[text] = printScheme(asGrouped(*m_document.model(), m_document.layer(m_layer), *scheme, targets));
    return grouped;
}

void BenchChoice::takeTick(QTreeWidgetItem* item)
{
    if (!item->parent())
        return; // its children tell
    const std::string text = item->text(0).toStdString();
    for (const auto& [asked, its] : grouped())
        if (its == text)
            m_ticked.erase(asked);
    if (item->checkState(0) == Qt::Checked)
        m_ticked.insert(text);
    countTicks();
    Q_EMIT changed();
}

void BenchChoice::countTicks()
{
    const QSignalBlocker quiet(m_schemes);
    for (int g = 0; g < m_schemes->topLevelItemCount(); ++g) {
        QTreeWidgetItem* group = m_schemes->topLevelItem(g);
        int ticked = 0;
        for (int i = 0; i < group->childCount(); ++i)
            ticked += group->child(i)->checkState(0) == Qt::Checked ? 1 : 0;
        const QString title = group->data(0, kTitleRole).toString();
        group->setText(0, ticked == 0 ? title : tr("%1 · %2").arg(title).arg(ticked));
    }
}

QStringList BenchChoice::tickedSchemes() const
{
    QStringList texts;
    for (int g = 0; g < m_schemes->topLevelItemCount(); ++g) {
        const QTreeWidgetItem* group = m_schemes->topLevelItem(g);
        for (int i = 0; i < group->childCount(); ++i)
            if (group->child(i)->checkState(0) == Qt::Checked)
                texts << group->child(i)->text(0);
    }
    if (const QString others = m_otherSchemes->text().trimmed(); !others.isEmpty())
        texts << others;
    return texts;
}

QStringList BenchChoice::tickedOf(const QListWidget& list, const QLineEdit& others)
{
    QStringList texts;
    for (int row = 0; row < list.count(); ++row) {
        const QListWidgetItem* item = list.item(row);
        if (item->checkState() == Qt::Checked && item->flags().testFlag(Qt::ItemIsEnabled))
            texts << item->text();
    }
    if (const QString text = others.text().trimmed(); !text.isEmpty())
        texts << text;
    return texts;
}

Result<std::vector<TransformSpecs>> BenchChoice::transforms() const
{
    const QStringList texts = tickedOf(*m_transforms, *m_otherTransforms);
    return parseTransformList(texts.isEmpty() ? std::string(kNoTransform)
                                              : texts.join(QStringLiteral(",")).toStdString());
}

Result<std::vector<Candidate>> BenchChoice::candidates() const
{
    const QString comma = QStringLiteral(",");
    auto candidates = crossCandidates(tickedSchemes().join(comma).toStdString(),
                                      tickedOf(*m_quantizers, *m_otherQuantizers).join(comma).toStdString());
    if (!candidates || rank() == 0)
        return candidates;
    const std::vector<Candidate> plain = *candidates;
    for (Candidate candidate : plain) {
        if (candidate.weights.isKeep() || candidate.weights.isCast() || candidate.weights.additions.rank > 0)
            continue;
        candidate.weights.additions.rank = rank();
        if (std::ranges::find(*candidates, candidate) == candidates->end())
            candidates->push_back(std::move(candidate));
    }
    return candidates;
}

void BenchChoice::explainScheme(const QTreeWidgetItem* item)
{
    if (!item->parent())
        return;
    if (const auto candidate = parseCandidate(item->text(0).toStdString()))
        Q_EMIT explained(*candidate);
}

void BenchChoice::explainTransform(const QListWidgetItem* item)
{
    if (const auto transform = findTransform(item->text().toStdString())) // none is nothing to explain
        Q_EMIT transformExplained(**transform);
}

void BenchChoice::explainQuantizer(const QListWidgetItem* item)
{
    // With the first scheme that it accepts: of those ticked, or of all.
    std::vector<std::string> schemes;
    for (const QString& text : tickedSchemes())
        schemes.push_back(text.toStdString());
    for (const std::string& text : exampleSchemes())
        schemes.push_back(text);
    for (const std::string& scheme : schemes)
        if (const auto candidate = parseCandidate(scheme + "@" + item->text().toStdString())) {
            Q_EMIT explained(*candidate);
            return;
        }
}

} // namespace ql::views
