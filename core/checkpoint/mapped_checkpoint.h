// SPDX-License-Identifier: GPL-3.0-or-later
// A checkpoint whose tensors lie in mapped files as they are: load() returns views and copies nothing.
#pragma once

#include "core/base/file.h"
#include "core/checkpoint/checkpoint.h"

namespace ql {

class MappedCheckpoint final : public Checkpoint {
public:
    struct Parts {
        std::string reader;
        std::filesystem::path path;
        std::vector<TensorInfo> tensors; // offset and sizeBytes checked against the file
        std::vector<std::shared_ptr<const MappedFile>> files;
        std::vector<std::int32_t> fileOfTensor; // index into files; empty: all in files[0]
        std::vector<std::pair<std::string, std::string>> metadata;
        std::string configJson;
        std::vector<Warning> warnings;
        std::string fingerprint;
    };
    explicit MappedCheckpoint(Parts parts);

    Result<TensorData> load(std::int64_t tensor, const JobContext& context) const override;

private:
    std::vector<std::shared_ptr<const MappedFile>> m_files;
    std::vector<std::int32_t> m_fileOfTensor;
};

} // namespace ql
