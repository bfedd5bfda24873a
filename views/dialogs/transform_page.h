// SPDX-License-Identifier: GPL-3.0-or-later
// An entry of the catalogue of transforms on a page: what it does, its formula, what it needs, options and source.
#pragma once

#include <QDialog>

namespace ql {
class Activations;
enum class TransformNeeds;
struct Transform;
} // namespace ql

namespace ql::views {

class TransformPage : public QDialog {
    Q_OBJECT
public:
    explicit TransformPage(const Transform& transform, QWidget* parent = nullptr);
};

/// The page's text.
QString transformHtml(const Transform& transform);
/// The same in a few lines, for tool tips.
QString aboutTransform(const Transform& transform);
/// What it needs of activations and is not there, and the mend; empty if nothing is missing. Null: none are known.
QString missingFor(TransformNeeds needs, const Activations* activations);

} // namespace ql::views
