// SPDX-License-Identifier: GPL-3.0-or-later
// The k largest elements along `axis` (default the last), the largest first, or with `largest` = 0 the smallest; k is
// an attribute or integer input 1. `part` = "values", or "places": where they stand along the axis. Of equals the first
// comes first, with `last` = 1 the last; NaN is above all numbers.
#include "core/model/graph/indexing.h"

#include <cmath>
#include <numeric>

namespace ql::graph {

namespace {

struct Choice {
    AroundAxis around;
    std::int64_t k = 0;
    bool largest = true, last = false;
    Shape shape;
};

template<typename C>
Result<Choice> choiceOf(const C& call)
{
    const Node& node = call.node;
    const Shape& shape = call.inputs[0]->shape();
    QL_TRY(axis, axisOf(node, shape, node.integer("axis", -1)));
    const auto k = integersOf(call, "k", 1);
    if (!k || k->size() != 1 || k->front() < 0 || k->front() > shape[axis])
        return nodeError(node, "cannot take " + (k ? formatShape(*k) : std::string("nothing")) + " of the " +
                                   std::to_string(shape[axis]) + " along axis " + std::to_string(axis));
    Choice choice{.around = AroundAxis(shape, axis),
                  .k = k->front(),
                  .largest = node.integer("largest", 1) != 0,
                  .last = node.integer("last", 0) != 0,
                  .shape = shape};
    choice.shape[axis] = choice.k;
    return choice;
}

template<typename U>
bool isBelow(U a, U b)
{
    if constexpr (std::is_floating_point_v<U>)
        if (std::isnan(a) || std::isnan(b))
            return !std::isnan(a);
    return a < b;
}

/// Calls visit(chosen, place, at) for the chosen of every run: `chosen` is an index into [outer, k, inner], `at` into
/// x.
template<typename U, typename Visit>
Result<void> forChosen(const Choice& choice, const U* x, const JobContext& context, const Visit& visit)
{
    const AroundAxis& around = choice.around;
    const auto runs = [&](std::int64_t begin, std::int64_t end) {
        std::vector<std::int64_t> places(static_cast<std::size_t>(around.size));
        for (std::int64_t run = begin; run < end; ++run) {
            const std::int64_t outer = run / around.inner;
            const std::int64_t inner = run % around.inner;
            const auto at = [&](std::int64_t place) { return (outer * around.size + place) * around.inner + inner; };
            std::iota(places.begin(), places.end(), std::int64_t{0});
            std::partial_sort(places.begin(), places.begin() + choice.k, places.end(),
                              [&](std::int64_t a, std::int64_t b) {
                                  if (isBelow(x[at(a)], x[at(b)]))
                                      return !choice.largest;
                                  if (isBelow(x[at(b)], x[at(a)]))
                                      return choice.largest;
                                  return choice.last ? a > b : a < b;
                              });
            for (std::int64_t i = 0; i < choice.k; ++i) {
                const std::int64_t place = places[static_cast<std::size_t>(i)];
                visit((outer * choice.k + i) * around.inner + inner, place, at(place));
            }
        }
    };
    return parallelFor(context, around.outer * around.inner, rowGrain(8 * around.size), runs);
}

template<typename T>
Result<void> forward(Call<T>& call)
{
    QL_TRY(choice, choiceOf(call));
    const std::string_view part = call.node.text("part", "values");
    if (part != "values" && part != "places")
        return nodeError(call.node, "has no part '" + std::string(part) + "'");
    return forEitherKind(call, 0, [&](auto kind) {
        const auto* x = (call.inputs[0]->*kind).data();
        if (part == "places") {
            std::int64_t* to = call.makeIntegers(0, choice.shape);
            return forChosen(choice, x, call.context,
                             [&](std::int64_t i, std::int64_t place, std::int64_t) { to[i] = place; });
        }
        auto* to = call.make(kind, 0, choice.shape);
        return forChosen(choice, x, call.context,
                         [&](std::int64_t i, std::int64_t, std::int64_t at) { to[i] = x[at]; });
    });
}

template<typename T>
Result<void> gradient(GradientCall<T>& call)
{
    if (!call.wants(0))
        return {};
    QL_TRY(choice, choiceOf(call));
    const T* dy = call.outputGradients[0].data();
    T* dx = call.makeZeros(0);
    return forChosen(choice, call.real(0).data(), call.context,
                     [&](std::int64_t i, std::int64_t, std::int64_t at) { dx[at] = dy[i]; });
}

} // namespace

QL_OPERATOR(top_k, "Largest elements", .kinds = "ei")

} // namespace ql::graph
