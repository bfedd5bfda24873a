// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/cli/command.h"
#include "app/cli/variant_options.h"
#include "core/base/npz.h"

#include <nlohmann/json.hpp>

namespace ql::cli::commands {

namespace {

/// NumPy's word for a type it has; empty otherwise.
std::string_view numpyWord(Dtype dtype)
{
    switch (dtype) {
    case Dtype::f64:
        return "f8";
    case Dtype::f32:
        return "f4";
    case Dtype::f16:
        return "f2";
    case Dtype::i64:
        return "i8";
    case Dtype::i32:
        return "i4";
    case Dtype::i16:
        return "i2";
    case Dtype::i8:
        return "i1";
    case Dtype::u64:
        return "u8";
    case Dtype::u32:
        return "u4";
    case Dtype::u16:
        return "u2";
    case Dtype::u8:
        return "u1";
    case Dtype::boolean:
        return "b1";
    case Dtype::c64:
        return "c8";
    case Dtype::c128:
        return "c16";
    default:
        return {};
    }
}

/// Adds a tensor as it is, or decoded to float32 in pieces.
Result<void> add(NpzWriter& npz, const TensorInfo& tensor, const TensorView& view, const JobContext& context)
{
    const auto n = view.numel();
    if (const auto word = numpyWord(view.dtype); !word.empty())
        return npz.add(tensor.name, word, tensor.shape,
                       {view.data, static_cast<std::size_t>(storedBytes(view.dtype, n).value())});
    QL_CHECK(npz.begin(tensor.name, "f4", tensor.shape));
    constexpr std::int64_t kPiece = std::int64_t{1} << 20;
    std::vector<float> piece(static_cast<std::size_t>(std::min(n, kPiece)));
    for (std::int64_t first = 0; first < n; first += kPiece) {
        QL_CHECK(context.checkStop());
        const std::int64_t count = std::min(kPiece, n - first);
        decode(view.dtype, view.data, first, count, piece.data());
        QL_CHECK(npz.append(std::as_bytes(std::span(piece).first(static_cast<std::size_t>(count)))));
    }
    return npz.finish();
}

struct Options {
    std::string file;
    std::string out;
    ActivationsOption activations;
    TransformsOption transforms;
};

Result<int> run(Console& console, const Options& options)
{
    const std::string& out = options.out;
    console.status("opening " + options.file);
    QL_TRY(checkpoint, openCheckpointFor(console, options.file, options.transforms, options.activations));
    QL_TRY(npz, NpzWriter::create(out));
    console.context().progress().addTotal(checkpoint->sizeBytes());
    console.status("writing " + out);
    std::int64_t written = 0;
    for (std::size_t i = 0; i < checkpoint->tensors().size(); ++i) {
        const TensorInfo& tensor = checkpoint->tensors()[i];
        if (!isDecodable(tensor.dtype) && numpyWord(tensor.dtype).empty()) {
            console.warn(std::vector<Warning>{
                {tensor.name, "is left out: " + std::string(info(tensor.dtype).word) + " is not decoded"}});
            continue;
        }
        QL_TRY(data, checkpoint->load(static_cast<std::int64_t>(i), console.context()));
        QL_CHECK(add(npz, tensor, data.view, console.context()));
        QL_CHECK(checkpoint->checkIntact());
        console.context().progress().addDone(tensor.sizeBytes);
        ++written;
    }
    QL_CHECK(npz.commit());
    console.show({{"path", out}, {"tensors", written}});
    return 0;
}

} // namespace

extern const Command dump_;
const Command dump_{"dump", "write all tensors, exact, as NumPy .npz", [](CLI::App& app) -> CommandRun {
                        const auto options = std::make_shared<Options>();
                        app.add_option("FILE", options->file, "checkpoint file or folder")->required();
                        app.add_option("--npz", options->out,
                                       "archive to write; types NumPy lacks, and what a transform computes, become "
                                       "float32")
                            ->required();
                        options->transforms.declare(app);
                        options->activations.declare(app);
                        return [options](Console& console) { return run(console, *options); };
                    }};

} // namespace ql::cli::commands
