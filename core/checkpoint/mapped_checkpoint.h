// SPDX-License-Identifier: GPL-3.0-or-later
// A checkpoint whose tensors lie in mapped files as they are: load() returns views and copies nothing. The memory of a
// tensor's pages is given back when the last owner of its data goes.
#pragma once

#include "core/checkpoint/checkpoint.h"

namespace ql {

class MappedCheckpoint final : public Checkpoint {
public:
    /// fileOfTensor: index into contents.files; empty: all in the first.
    explicit MappedCheckpoint(Contents contents, std::vector<std::int32_t> fileOfTensor = {})
        : Checkpoint(std::move(contents)), m_fileOfTensor(std::move(fileOfTensor))
    {}

private:
    Result<TensorData> loadTensor(std::size_t index, const JobContext& context) const override;

    std::vector<std::int32_t> m_fileOfTensor;
};

} // namespace ql
