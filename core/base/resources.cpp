// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/base/resources.h"

#include <system_error>

namespace ql {

namespace {

Result<std::filesystem::path> programFolder()
{
    std::error_code error;
    const std::filesystem::path program = std::filesystem::read_symlink("/proc/self/exe", error);
    if (error)
        return ioError("cannot tell where this program lies, beside which is what it needs; mount /proc",
                       "/proc/self/exe");
    return program.parent_path();
}

} // namespace

Result<std::filesystem::path> findSample()
{
    QL_TRY(bin, programFolder());
    const std::filesystem::path inBuildTree = (bin / "../../../resources/sample").lexically_normal();
    const std::filesystem::path installed = (bin / "../share/quantloupe/sample").lexically_normal();
    std::error_code error;
    for (const std::filesystem::path& folder : {inBuildTree, installed}) {
        if (std::filesystem::is_directory(folder, error))
            return folder;
    }
    return ioError("the sample is neither here nor in " + installed.string() + "; reinstall QuantLoupe",
                   inBuildTree.string());
}

Result<std::filesystem::path> findProgram(std::string_view name)
{
    QL_TRY(bin, programFolder());
    const std::filesystem::path beside = bin / name;
    const std::filesystem::path ofTests = (bin / "../bin" / name).lexically_normal();
    std::error_code error;
    for (const std::filesystem::path& program : {beside, ofTests}) {
        if (std::filesystem::is_regular_file(program, error))
            return program;
    }
    return ioError("the program is neither here nor in " + ofTests.parent_path().string() + "; reinstall QuantLoupe",
                   beside.string());
}

} // namespace ql
