// SPDX-License-Identifier: GPL-3.0-or-later
// A checkpoint whose tensors are decoded when asked for, each by its own function.
#pragma once

#include "core/checkpoint/checkpoint.h"

#include <functional>

namespace ql {

class LoaderCheckpoint final : public Checkpoint {
public:
    /// Thread-safe; captures what keeps the file open.
    using Loader = std::function<Result<TensorData>(const JobContext& context)>;
    /// One loader per tensor.
    LoaderCheckpoint(Contents contents, std::vector<Loader> loaders)
        : Checkpoint(std::move(contents)), m_loaders(std::move(loaders))
    {}

private:
    Result<TensorData> loadTensor(std::size_t index, const JobContext& context) const override
    {
        return m_loaders[index](context);
    }

    std::vector<Loader> m_loaders;
};

} // namespace ql
