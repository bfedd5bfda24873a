// SPDX-License-Identifier: GPL-3.0-or-later
// What tests of the targets share: plans from globs, sizes and bytes of what was written.
#pragma once

#include "core/export/export.h"
#include "tests/support/temporary_folder.h"

#include <fstream>
#include <sstream>
#include <stdexcept>

namespace ql::test {

/// "glob=candidate" for each part, later ones win.
inline Plan planOf(const Model& model, const std::vector<std::string>& parts)
{
    Plan plan = keepPlan(model);
    for (const std::string& part : parts) {
        const auto equals = part.find('=');
        const auto candidate = parseCandidate(part.substr(equals + 1));
        const auto layers = model.match(part.substr(0, equals));
        if (!candidate || !layers)
            throw std::runtime_error(part + ": " + describe(candidate ? layers.error() : candidate.error()));
        for (const std::int64_t layer : *layers)
            if (model.layers[static_cast<std::size_t>(layer)].quantizable)
                plan.candidates[static_cast<std::size_t>(layer)] = *candidate;
    }
    return plan;
}

inline std::int64_t bytesOnDisk(const std::filesystem::path& path)
{
    if (!std::filesystem::is_directory(path))
        return static_cast<std::int64_t>(std::filesystem::file_size(path));
    std::int64_t sum = 0;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(path))
        if (entry.is_regular_file())
            sum += static_cast<std::int64_t>(entry.file_size());
    return sum;
}

inline std::string contentOf(const std::filesystem::path& file)
{
    std::ostringstream out;
    out << std::ifstream(file, std::ios::binary).rdbuf();
    return out.str();
}

/// Changes one bit of a file in place; again, and it is as before.
inline void flipBit(const std::filesystem::path& file, std::int64_t offset, int bit = 4)
{
    std::fstream stream(file, std::ios::binary | std::ios::in | std::ios::out);
    stream.seekg(offset);
    const int byte = stream.get() ^ (1 << bit);
    stream.seekp(offset);
    stream.put(static_cast<char>(byte));
}

/// All problems of a report in one text; empty if it is ok.
inline std::string problemsOf(const VerifyReport& report)
{
    std::string text;
    for (const std::string& problem : report.problems)
        text += problem + "\n";
    for (const VerifiedTensor& tensor : report.tensors)
        if (!tensor.ok())
            text += tensor.name + ": " + tensor.problem + ", " + std::to_string(tensor.differing) + " differ\n";
    return text;
}

} // namespace ql::test
