// SPDX-License-Identifier: GPL-3.0-or-later
// Reads a GGUF file back with the reader and the block decoder of core/tensor and compares: every key with its bytes,
// every tensor with what the plan restores to. Uses nothing of the writer but the names of its tensors.
#include "core/base/file.h"
#include "core/checkpoint/gguf_file.h"
#include "core/checkpoint/stored_type.h"
#include "core/export/gguf_files.h"
#include "core/export/gguf_layout.h"
#include "core/export/tensor_compare.h"
#include "core/jobs/parallel.h"
#include "core/realize/realize.h"

#include <algorithm>
#include <cstring>
#include <set>

namespace ql::ggufout {

namespace {

bool equalBytes(std::span<const std::byte> a, std::string_view b)
{
    return a.size() == b.size() && std::memcmp(a.data(), b.data(), b.size()) == 0;
}

/// Value bytes of an entry, with an array's element type and count.
std::span<const std::byte> valueOf(const GgufFile& file, const GgufEntry& entry)
{
    return file.raw(entry).subspan(8 + entry.key.size() + 4);
}

void verifyKeys(const Layout& layout, const GgufFile& file, VerifyReport& report)
{
    const Parts& model = *layout.parts;
    const auto differs = [&](std::string_view key, const char* how) {
        report.problems.push_back("the key " + std::string(key) + " " + how);
    };
    std::vector<std::string_view> order;
    for (const Key& key : model.keys) {
        order.push_back(key.name);
        const GgufEntry* found = file.find(key.name);
        if (!found)
            differs(key.name, "is missing");
        else if (key.name != kFileTypeKey && key.name != kVersionKey &&
                 (found->type != key.type || !equalBytes(valueOf(file, *found), key.value)))
            differs(key.name, "differs from the model's");
    }
    for (std::size_t i = 0; i < std::min(order.size(), file.entries.size()); ++i)
        if (file.entries[i].key != order[i]) {
            differs(file.entries[i].key, "is not in the model's order");
            break;
        }
    for (const GgufEntry& entry : file.entries) {
        const bool own = entry.key == kPlanKey || entry.key == kFileTypeKey || entry.key == kVersionKey;
        if (!own && std::find(order.begin(), order.end(), entry.key) == order.end())
            differs(entry.key, "is not the model's");
    }
    if (layout.quantized && file.integer(kVersionKey) != 2)
        differs(kVersionKey, "must be 2");
    if (!file.integer(kFileTypeKey) && std::any_of(layout.types.begin(), layout.types.end(), fileTypeOf))
        differs(kFileTypeKey, "is missing");
    if (file.text(kPlanKey) != std::string_view(layout.plan))
        differs(kPlanKey, "does not hold the plan");
}

class Reading {
public:
    Reading(const ExportRequest& request, const Layout& layout, const GgufFile& file, const JobContext& context)
        : m_request(request), m_layout(layout), m_file(file), m_context(context)
    {}

    Result<VerifiedTensor> verify(std::size_t index) const
    {
        const TensorPart& part = m_layout.parts->tensors[index];
        const Candidate* candidate = candidateOf(part);
        VerifiedTensor result{.name = part.tensor >= 0 ? sourceOf(part).name : part.name,
                              .candidate = candidate ? printCandidate(*candidate) : "keep",
                              .elements = part.numel,
                              .problem = {}};
        const auto found = std::find_if(m_file.tensors.begin(), m_file.tensors.end(),
                                        [&](const GgufTensor& tensor) { return tensor.name == part.name; });
        if (found == m_file.tensors.end()) {
            result.problem = "is missing (as " + part.name + ")";
            return result;
        }
        const Dtype wanted = candidate ? blockTypeOf(candidate->weights).value() : m_layout.types[index];
        if (found->dtype != wanted)
            result.problem = "is " + std::string(info(found->dtype).word) + ", not " + std::string(info(wanted).word);
        else if (found->dims != part.dims)
            result.problem = "has the dimensions " + formatShape(found->dims) + ", not " + formatShape(part.dims);
        if (!result.problem.empty())
            return result;
        QL_CHECK(compare(part, candidate, *found, result));
        return result;
    }

private:
    const TensorInfo& sourceOf(const TensorPart& part) const
    {
        return m_request.model.checkpoint->tensors()[static_cast<std::size_t>(part.tensor)];
    }
    /// Null where the layer is kept.
    const Candidate* candidateOf(const TensorPart& part) const
    {
        if (part.layer < 0)
            return nullptr;
        const Candidate& candidate = m_request.plan.candidates[static_cast<std::size_t>(part.layer)];
        return candidate.weights.isKeep() ? nullptr : &candidate;
    }
    /// Row of the model that lies at a row of the file: the inverse of the writer's interleaving, found by counting.
    static std::int64_t modelRow(const TensorPart& part, std::int64_t fileRow, std::int64_t rows)
    {
        if (part.permutedHeads == 0)
            return fileRow;
        const std::int64_t half = rows / part.permutedHeads / 2;
        const std::int64_t pair = fileRow / 2; // two rows of a pair: first of the first half, then of the second
        return pair / half * (2 * half) + pair % half + (fileRow % 2 == 0 ? 0 : half);
    }

    Result<void> compare(const TensorPart& part, const Candidate* candidate, const GgufTensor& tensor,
                         VerifiedTensor& result) const
    {
        if (candidate)
            return compareCoded(part, *candidate, tensor, result);
        if (part.tensor >= 0)
            return compareKept(part, tensor, result);
        compareFloats(Dtype::f32, reinterpret_cast<const std::byte*>(part.generated.data()), m_file.data(tensor).data(),
                      part.numel, result);
        return {};
    }

    Result<void> compareCoded(const TensorPart& part, const Candidate& candidate, const GgufTensor& tensor,
                              VerifiedTensor& result) const
    {
        QL_TRY(quantized, realize(m_request.model, part.layer, candidate, m_request.activations, m_context));
        QL_TRY(expected, restoreAs(quantized, Dtype::f32, m_context));
        return compareRows(part, tensor, expected.data(), result);
    }

    Result<void> compareKept(const TensorPart& part, const GgufTensor& tensor, VerifiedTensor& result) const
    {
        const Checkpoint& source = *m_request.model.checkpoint;
        QL_TRY(data,
               part.toFloat32 ? source.load(part.tensor, m_context) : loadAsStored(source, part.tensor, m_context));
        if (data.view.dtype == tensor.dtype && part.permutedHeads == 0) {
            const TensorView actual{tensor.dtype, data.view.shape, m_file.data(tensor).data()};
            return compareStored(data.view, actual, result, m_context);
        }
        Buffer expected(4 * part.numel);
        decode(data.view.dtype, data.view.data, 0, part.numel, expected.as<float>());
        return compareRows(part, tensor, expected.data(), result);
    }

    /// The tensor decoded to float32, row by row, against float32 in the model's order of rows.
    Result<void> compareRows(const TensorPart& part, const GgufTensor& tensor, const std::byte* expected,
                             VerifiedTensor& result) const
    {
        const std::int64_t cols = part.dims.size() > 1 ? part.dims[0] : 1; // elements of a bias are rows
        const std::int64_t rows = cols == 0 ? 0 : part.numel / cols;
        const std::byte* data = m_file.data(tensor).data();
        const std::int64_t grain = std::max<std::int64_t>(1, (std::int64_t{1} << 19) / std::max<std::int64_t>(1, cols));
        const auto compare = [&](std::int64_t begin, std::int64_t end) {
            VerifiedTensor chunk;
            std::vector<float> row(static_cast<std::size_t>(cols));
            for (std::int64_t r = begin; r < end; ++r) {
                decode(tensor.dtype, data, r * cols, cols, row.data());
                compareFloats(Dtype::f32, expected + 4 * cols * modelRow(part, r, rows),
                              reinterpret_cast<const std::byte*>(row.data()), cols, chunk);
            }
            m_context.progress().addDone((end - begin) * (tensor.sizeBytes / rows));
            return chunk;
        };
        QL_TRY(total, deterministicReduce(m_context, rows, grain, VerifiedTensor{}, compare, addChunk));
        addChunk(result, total);
        return {};
    }

    const ExportRequest& m_request;
    const Layout& m_layout;
    const GgufFile& m_file;
    const JobContext& m_context;
};

void verifyOrder(const Layout& layout, const GgufFile& file, VerifyReport& report)
{
    std::set<std::string_view> wanted;
    for (const TensorPart& part : layout.parts->tensors)
        wanted.insert(part.name);
    for (std::size_t i = 0; i < file.tensors.size(); ++i) {
        const std::string& name = file.tensors[i].name;
        if (!wanted.contains(name))
            report.problems.push_back("the file has a tensor " + name + " that the model does not give");
        else if (i < layout.parts->tensors.size() && layout.parts->tensors[i].name != name)
            report.problems.push_back("the tensor " + name + " is not in the model's order");
    }
    if (file.alignment != layout.parts->alignment)
        report.problems.push_back("the alignment is " + std::to_string(file.alignment) + ", not " +
                                  std::to_string(layout.parts->alignment));
}

Result<GgufFile> openGguf(const std::filesystem::path& path, const JobContext& context)
{
    QL_TRY(mapping, MappedFile::open(path));
    if (!looksLikeGguf(mapping->bytes()))
        return badInput("is no GGUF file", path.string());
    return parseGguf(mapping, context);
}

} // namespace

Result<std::string> readPlan(const std::filesystem::path& path)
{
    Executor executor(1);
    const JobContext context(executor);
    QL_TRY(file, openGguf(path, context));
    const auto text = file.text(kPlanKey);
    if (!text)
        return badInput("is a GGUF file without the key " + std::string(kPlanKey), path.string());
    return std::string(*text);
}

Result<VerifyReport> verifyFile(const ExportRequest& request, const std::filesystem::path& path,
                                const JobContext& context)
{
    QL_TRY(layout, layOut(request.model, request.plan));
    QL_TRY(file, openGguf(path, context));
    VerifyReport report;
    verifyKeys(layout, file, report);
    verifyOrder(layout, file, report);
    context.progress().addTotal(layout.dataBytes);
    const Reading reading(request, layout, file, context);
    for (std::size_t i = 0; i < layout.parts->tensors.size(); ++i) {
        QL_CHECK(context.checkStop());
        QL_TRY(verified, reading.verify(i));
        report.tensors.push_back(std::move(verified));
    }
    return report;
}

} // namespace ql::ggufout
