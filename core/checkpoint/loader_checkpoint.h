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
    struct Parts {
        std::string reader;
        std::filesystem::path path;
        std::vector<TensorInfo> tensors;
        std::vector<Loader> loaders; // one per tensor
        std::vector<std::pair<std::string, std::string>> metadata;
        std::string configJson;
        std::vector<Warning> warnings;
        std::string fingerprint;
    };
    explicit LoaderCheckpoint(Parts parts);

    /// Errors name the file and the tensor.
    Result<TensorData> load(std::int64_t tensor, const JobContext& context) const override;

private:
    std::vector<Loader> m_loaders;
};

} // namespace ql
