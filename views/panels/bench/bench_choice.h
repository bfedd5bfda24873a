// SPDX-License-Identifier: GPL-3.0-or-later
// Which schemes, quantizers and transforms the bench tries: schemes grouped by where they run, each list with a line
// for any other text. What needs to know the layer's inputs waits for a calibration. Every registry is walked, nothing
// listed here.
#pragma once

#include "core/plan/candidate.h"
#include "core/transforms/transform.h"

#include <QWidget>

#include <map>
#include <set>
#include <string>

class QLabel;
class QLineEdit;
class QListWidget;
class QListWidgetItem;
class QSlider;
class QTreeWidget;
class QTreeWidgetItem;

namespace ql::views {

class Document;

class BenchChoice : public QWidget {
    Q_OBJECT
public:
    BenchChoice(const Document& document, QWidget* parent);

    /// Groups the schemes as the layer can hold them; −1: none.
    void setLayer(std::int64_t layer);
    /// What is known of the inputs is known by now, or not any more.
    void takeActivations();
    /// Every ticked scheme with every ticked quantizer that accepts it; each once more with low-rank factors where the
    /// slider says so.
    Result<std::vector<Candidate>> candidates() const;
    /// A variant for each ticked transform; the model as it is is one of them if none is ticked.
    Result<std::vector<TransformSpecs>> transforms() const;
    /// Whether a quantizer or a transform waits for a calibration.
    bool isWaiting() const { return m_waiting; }

Q_SIGNALS:
    void changed();                          // other ticks or texts
    void confirmed();                        // Enter in a line
    void explained(const Candidate& chosen); // double click or Enter on an entry
    void transformExplained(const Transform& chosen);

private:
    void buildSchemes();
    QWidget* buildRank();
    std::int64_t rank() const;
    void buildQuantizers();
    void buildTransforms();
    void filterSchemes();
    void countTicks();
    /// The ticked schemes as the layer's groups have them, by what was ticked.
    std::map<std::string, std::string> grouped() const;
    void takeTick(QTreeWidgetItem* item);
    void explainScheme(const QTreeWidgetItem* item);
    void explainQuantizer(const QListWidgetItem* item);
    void explainTransform(const QListWidgetItem* item);
    QStringList tickedSchemes() const;
    static QStringList tickedOf(const QListWidget& list, const QLineEdit& others);

    const Document& m_document;
    QLineEdit* m_filter;
    QTreeWidget* m_schemes;
    QLineEdit* m_otherSchemes;
    QSlider* m_rank;
    QLabel* m_rankText;
    QListWidget* m_quantizers;
    QLineEdit* m_otherQuantizers;
    QListWidget* m_transforms; // the first is none
    QLineEdit* m_otherTransforms;
    std::set<std::string> m_ticked; // schemes as they were ticked, whatever a layer's targets make of them
    std::int64_t m_layer = -1;      // that the groups are of
    QString m_kind;                 // of that layer
    bool m_waiting = false;
};

} // namespace ql::views
