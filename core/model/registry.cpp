// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/model/model.h"

namespace ql {

namespace architectures {
#define ARCHITECTURE(id) extern const Architecture id;
#include "core/model/architectures.def"
#undef ARCHITECTURE
} // namespace architectures

std::span<const Architecture* const> allArchitectures()
{
    static constexpr const Architecture* kAll[] = {
#define ARCHITECTURE(id) &architectures::id,
#include "core/model/architectures.def"
#undef ARCHITECTURE
    };
    return kAll;
}

std::span<const OperatorInfo> allOperators()
{
    static constexpr OperatorInfo kAll[] = {
#define OPERATOR(id, title, quantizable) {#id, title, quantizable},
#include "core/model/operators.def"
#undef OPERATOR
    };
    return kAll;
}

const OperatorInfo& info(Operator op)
{
    return allOperators()[static_cast<std::size_t>(op)];
}

} // namespace ql
