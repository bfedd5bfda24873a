// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/cli/text_options.h"

#include "core/checkpoint/reader.h"

namespace ql::cli {

void TextOptions::declare(CLI::App& app)
{
    app.add_option("--tokens", tokens, "token ids: one array of integers in a .npy file")->required();
    app.add_option("--context", context, "tokens in a window")->capture_default_str();
    app.add_option("--windows", windows, "how many windows; 0: all")->capture_default_str();
}

Result<Windows> TextOptions::read(Console& console) const
{
    QL_TRY(file, openCheckpoint(tokens, console.context()));
    if (file->tensors().size() != 1 || !info(file->tensors()[0].dtype).isInteger)
        return usageError("is not one array of token ids", tokens);
    QL_TRY(data, file->load(0, console.context()));
    std::vector<double> ids(static_cast<std::size_t>(data.view.numel()));
    decode(data.view.dtype, data.view.data, 0, data.view.numel(), ids.data());
    const std::vector<std::int64_t> whole(ids.begin(), ids.end());
    return cutWindows(whole, context, windows);
}

} // namespace ql::cli
