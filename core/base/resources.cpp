// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/base/resources.h"

#include <system_error>

namespace ql {

Result<std::filesystem::path> findSample()
{
    std::error_code error;
    const std::filesystem::path program = std::filesystem::read_symlink("/proc/self/exe", error);
    if (error)
        return ioError("cannot tell where this program lies; name the sample's folder instead", "/proc/self/exe");
    const std::filesystem::path bin = program.parent_path();
    const std::filesystem::path inBuildTree = (bin / "../../../resources/sample").lexically_normal();
    const std::filesystem::path installed = (bin / "../share/quantloupe/sample").lexically_normal();
    for (const std::filesystem::path& folder : {inBuildTree, installed}) {
        if (std::filesystem::is_directory(folder, error))
            return folder;
    }
    return ioError("the sample is neither here nor in " + installed.string() + "; reinstall QuantLoupe",
                   inBuildTree.string());
}

} // namespace ql
