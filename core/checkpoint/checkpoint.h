// SPDX-License-Identifier: GPL-3.0-or-later
// A checkpoint: an opened file or folder with an ordered list of tensors and metadata. Opening reads headers only;
// tensors are mapped, or decoded when asked for. Readers trust nothing: shapes, offsets and counts are checked before
// use, and what lies outside the checkpoint's folder is refused. Thread-safe after opening (const).
#pragma once

#include "core/base/result.h"
#include "core/jobs/job_context.h"
#include "core/tensor/tensor_view.h"

#include <filesystem>
#include <mutex>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace ql {

class MappedFile;

/// What the graph in a file (ONNX) computes with a tensor first; nothing where there is no graph.
struct TensorUse {
    enum class Operation { none, product, convolution, transposedConvolution, lookup };
    Operation operation = Operation::none;
    bool inOut = false;      // of a product: stored as [in, out], or a stack of such
    std::int64_t groups = 1; // of a transposed convolution
};

struct TensorInfo {
    std::string name; // the checkpoint's own, unique
    Dtype dtype = Dtype::f32;
    Shape shape;                // NumPy order
    std::int64_t sizeBytes = 0; // as stored (before decompression)
    std::string file;           // which file of a folder holds it, relative; empty for a single file
    std::int64_t offset = -1;   // of its bytes in that file; -1 if they are not there as they are (compressed, decoded)
    TensorUse use = {};
    std::int64_t numel() const { return ql::numel(shape); }
};

class Checkpoint {
public:
    /// What readers find; the accessors below say what each is.
    struct Contents {
        std::string reader;
        std::filesystem::path path;
        std::vector<TensorInfo> tensors; // offset and sizeBytes checked against the file
        std::vector<std::pair<std::string, std::string>> metadata;
        std::string configJson;
        std::vector<Warning> warnings;
        std::string fingerprint;
        std::vector<std::shared_ptr<const MappedFile>> files; // all that tensors are read from
        std::span<const std::byte> graph = {};                // of one of them
    };
    virtual ~Checkpoint() = default;

    /// The reader that opened it: "safetensors", "huggingface", "gguf", "numpy", "hdf5", "onnx".
    const std::string& reader() const { return m_contents.reader; }
    const std::filesystem::path& path() const { return m_contents.path; }
    std::span<const TensorInfo> tensors() const { return m_contents.tensors; }
    /// Index of the tensor of that name, or -1.
    std::int64_t indexOf(std::string_view name) const;
    /// Key and value as text, in file order (GGUF keys, safetensors __metadata__, ONNX producer, …); long arrays are
    /// abridged.
    std::span<const std::pair<std::string, std::string>> metadata() const { return m_contents.metadata; }
    /// Text of config.json beside the weights, or an equivalent; empty if there is none.
    const std::string& configJson() const { return m_contents.configJson; }
    /// The bytes of the file that says what is computed (ONNX); empty elsewhere.
    std::span<const std::byte> graph() const { return m_contents.graph; }
    std::span<const Warning> warnings() const { return m_contents.warnings; }
    /// Sum of sizeBytes.
    std::int64_t sizeBytes() const;
    /// Names the content: hash over file sizes, headers and samples of the data. Two equal files have equal
    /// fingerprints.
    const std::string& fingerprint() const { return m_contents.fingerprint; }

    /// The tensor's elements, contiguous, row-major, native byte order: a view of the mapping where the file allows it.
    /// Errors name the file and the tensor.
    Result<TensorData> load(std::int64_t tensor, const JobContext& context) const;
    /// An error if a file was cut short since it was opened. Views may then show zeros: whoever has used some asks this
    /// before showing, keeping or writing what came of them.
    Result<void> checkIntact() const;

protected:
    explicit Checkpoint(Contents contents) : m_contents(std::move(contents)) {}
    Contents m_contents;

private:
    virtual Result<TensorData> loadTensor(std::size_t index, const JobContext& context) const = 0;

    mutable std::once_flag m_sortOnce; // indexOf sorts at its first call
    mutable std::vector<std::int64_t> m_byName;
};

} // namespace ql
