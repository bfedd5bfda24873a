// SPDX-License-Identifier: GPL-3.0-or-later
// What a reader asks of the names it finds before it hands them on.
#pragma once

#include "core/checkpoint/checkpoint.h"

namespace ql {

/// More tensors than any real model has; bounds what a header can make a reader allocate.
inline constexpr std::int64_t kMaxTensors = 500'000;

/// Strict UTF-8: no overlong forms, no surrogates, nothing above U+10FFFF.
bool isUtf8(std::string_view text);

/// Refuses a name that nothing later can carry: empty, longer than 4096 bytes, with a NUL or not UTF-8.
Result<void> checkTensorName(std::string_view name, const std::string& where);

/// Refuses two tensors of one name.
Result<void> checkUniqueNames(std::span<const TensorInfo> tensors, const std::string& where);

/// One warning per dtype that decode() does not know, with the number of tensors and the first of them.
void warnUndecodable(std::span<const TensorInfo> tensors, const std::string& where, std::vector<Warning>& warnings);

} // namespace ql
