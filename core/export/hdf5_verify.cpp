// SPDX-License-Identifier: GPL-3.0-or-later
// Reads the HDF5 file back by what libhdf5 says of it, as any other program would, and restores the weights from codes,
// levels, scales, zero points, minima and additions by the formulas of its README; compares them and the weights stored
// beside them with what the plan restores to.
#include "core/base/hdf5_file.h"
#include "core/base/text.h"
#include "core/checkpoint/stored_type.h"
#include "core/export/hdf5_files.h"
#include "core/export/hdf5_layout.h"
#include "core/export/tensor_compare.h"
#include "core/formats/block_format.h"
#include "core/formats/matrix_format.h"
#include "core/jobs/parallel.h"
#include "core/model/stored_order.h"
#include "core/realize/realize.h"
#include "core/tensor/float_array.h"
#include "core/tensor/half.h"

#include <algorithm>
#include <cstring>
#include <set>
#include <utility>

namespace ql::h5out {

namespace {

using hdf5::Element;

constexpr std::string_view kTensors = "tensors";

std::optional<Element> elementOf(Dtype dtype)
{
    static constexpr std::pair<Dtype, Element> kPairs[] = {
        {Dtype::f64, Element::f64},   {Dtype::f32, Element::f32}, {Dtype::f16, Element::f16},
        {Dtype::bf16, Element::bf16}, {Dtype::i64, Element::i64}, {Dtype::i32, Element::i32},
        {Dtype::i16, Element::i16},   {Dtype::i8, Element::i8},   {Dtype::u64, Element::u64},
        {Dtype::u32, Element::u32},   {Dtype::u16, Element::u16}, {Dtype::u8, Element::u8}};
    for (const auto& [from, to] : kPairs)
        if (from == dtype)
            return to;
    return std::nullopt;
}

constexpr std::int64_t kPieceBytes = std::int64_t{1} << 22; // between two stop tests

using Bytes = std::vector<std::byte, UninitializedAllocator<std::byte>>;

struct Data {
    Bytes bytes;
    template<typename T>
    T at(std::int64_t index) const
    {
        T value{};
        std::memcpy(&value, bytes.data() + index * static_cast<std::int64_t>(sizeof(T)), sizeof(T));
        return value;
    }
};

class Group {
public:
    Group(const hdf5::File& file, const std::string& link, VerifiedTensor& result, const JobContext& context)
        : m_file(file), m_result(result), m_context(context)
    {
        const auto group = m_file.group(m_file.root(), std::string(kTensors) + "/" + link);
        if (!group) {
            m_result.problem = "is missing";
            return;
        }
        m_group = *group;
        m_result.problem = m_group->problem;
        for (const hdf5::Link& inside : m_group->links)
            m_left.insert(inside.name);
    }

    bool ok() const { return m_result.problem.empty(); }
    bool has(const std::string& name) const { return m_left.contains(name); }

    void checkText(const char* attribute, std::string_view wanted)
    {
        if (!ok())
            return;
        const auto* text = m_group->attribute<std::string>(attribute);
        if (!text || *text != wanted)
            m_result.problem = "has the attribute " + std::string(attribute) + " '" +
                               (text ? printable(*text) : std::string()) + "', not '" + std::string(wanted) + "'";
    }

    /// The dataset, whose type and shape must be these; empty with the problem set otherwise, also after a stop
    /// request.
    Data read(const std::string& name, Element element, const Shape& shape)
    {
        Data data;
        if (!ok())
            return data;
        m_left.erase(name);
        const auto dataset = m_file.dataset(*m_group, name);
        if (!dataset) {
            m_result.problem = "has no " + name;
            return data;
        }
        const hdf5::Dataset& found = **dataset;
        if (found.element != element || found.shape != shape) {
            m_result.problem = name + " is " + found.type + " " + formatShape(found.shape) + ", not " +
                               formatShape(shape) + " of the expected type";
            return data;
        }
        data.bytes.resize(static_cast<std::size_t>(found.sizeBytes));
        if (const auto read = m_file.readInto(found, element, data.bytes.data(), m_context.stopToken()); !read) {
            m_result.problem = describe(read.error());
            return {};
        }
        return data;
    }

    void checkNothingLeft()
    {
        if (ok() && !m_left.empty())
            m_result.problem = "has an unexpected dataset " + printable(*m_left.begin());
    }

private:
    const hdf5::File& m_file;
    VerifiedTensor& m_result;
    const JobContext& m_context;
    const hdf5::Group* m_group = nullptr;
    std::set<std::string> m_left;
};

/// What the file says of one quantized tensor.
struct Stored {
    bool unsignedCodes = false;
    Data codes, levels, scales, zeroPoints, minima, tensorScale;
    std::int64_t cols = 0;
    std::int64_t perScale = 0; // columns
    std::int64_t groups = 1;
    bool wholeTensor = false;

    float value(std::int64_t index) const
    {
        const std::int64_t row = index / cols;
        const std::int64_t unit = wholeTensor ? 0 : row * groups + (index - row * cols) / perScale;
        const auto pattern = codes.at<std::uint8_t>(index);
        float level = unsignedCodes ? static_cast<float>(pattern) : static_cast<float>(codes.at<std::int8_t>(index));
        if (!levels.bytes.empty())
            level = levels.at<float>(pattern);
        float scale = scales.at<float>(unit);
        if (!tensorScale.bytes.empty())
            scale *= tensorScale.at<float>(0);
        if (!zeroPoints.bytes.empty())
            return (level - static_cast<float>(zeroPoints.at<std::int16_t>(unit))) * scale;
        const float product = level * scale;
        return minima.bytes.empty() ? product : product + minima.at<float>(unit);
    }
};

class Reading {
public:
    Reading(const ExportRequest& request, const hdf5::File& file, const JobContext& context)
        : m_request(request), m_file(file), m_context(context)
    {}

    Result<VerifiedTensor> kept(std::int64_t index) const
    {
        const TensorInfo& tensor = m_request.model.checkpoint->tensors()[static_cast<std::size_t>(index)];
        VerifiedTensor result{.name = tensor.name, .candidate = "keep", .elements = tensor.numel(), .problem = {}};
        Group group = open(tensor, "keep", result);
        const auto element = tensor.dtype == Dtype::boolean ? Element::u8 : elementOf(tensor.dtype);
        const Shape flat{storedBytes(tensor.dtype, tensor.numel()).value()};
        const Data data =
            element ? group.read("values", *element, tensor.shape) : group.read("bytes", Element::u8, flat);
        group.checkNothingLeft();
        if (!result.problem.empty())
            return result;
        QL_TRY(expected, loadAsStored(*m_request.model.checkpoint, index, m_context));
        QL_CHECK(compareStored(expected.view, {tensor.dtype, tensor.shape, data.bytes.data()}, result, m_context));
        return result;
    }

    Result<VerifiedTensor> quantized(std::int64_t index, const Choice& choice) const
    {
        const Layer& layer = m_request.model.layers[static_cast<std::size_t>(choice.layer)];
        const Candidate& candidate = *choice.candidate;
        const TensorInfo& tensor = m_request.model.checkpoint->tensors()[static_cast<std::size_t>(index)];
        VerifiedTensor result{
            .name = tensor.name, .candidate = printCandidate(candidate), .elements = tensor.numel(), .problem = {}};
        Group group = open(tensor, result.candidate, result);
        const Data weights = group.read("weights", Element::f32, tensor.shape);
        if (layer.stored.moves()) {
            group.checkText("stored_as", formatShape(layer.stored.seenAs));
            group.checkText("axes", formatShape(layer.stored.axes));
        }
        Data restored;
        QL_CHECK(restoreStored(group, candidate.weights, layer.shape, result, restored));
        group.checkNothingLeft();
        if (!result.problem.empty())
            return result;
        QL_CHECK(putInStoredOrder(layer.stored, restored));
        QL_TRY(realized, realize(m_request.model, choice.layer, candidate, m_request.activations, m_context));
        QL_TRY(asLayer, restoreAs(realized, Dtype::f32, m_context));
        QL_TRY(expected, toStoredOrder(layer, std::move(asLayer), m_context));
        QL_CHECK(compare(expected, restored, result));
        if (result.differing == 0) {
            QL_CHECK(compare(expected, weights, result));
            if (result.differing > 0)
                result.problem = "the stored weights are not what codes and scales restore to";
        }
        m_context.progress().addDone(std::ssize(weights.bytes));
        return result;
    }

private:
    Result<void> compare(const Buffer& expected, const Data& actual, VerifiedTensor& result) const
    {
        for (std::int64_t at = 0; at < expected.sizeBytes(); at += kPieceBytes) {
            QL_CHECK(m_context.checkStop());
            compareFloats(Dtype::f32, expected.data() + at, actual.bytes.data() + at,
                          std::min(kPieceBytes, expected.sizeBytes() - at) / 4, result);
        }
        return {};
    }

    Group open(const TensorInfo& tensor, std::string_view candidate, VerifiedTensor& result) const
    {
        Group group(m_file, linkName(tensor.name), result, m_context);
        group.checkText("name", tensor.name);
        group.checkText("dtype", info(tensor.dtype).word);
        group.checkText("candidate", candidate);
        return group;
    }

    Result<Data> readCast(Group& group, const Scheme& scheme, const Shape& shape) const
    {
        const bool wide = scheme.element->id == "f32";
        const Data codes = group.read("codes", wide ? Element::u32 : Element::u16, shape);
        Data restored;
        if (!group.ok())
            return restored;
        const std::int64_t count = numel(shape);
        restored.bytes.resize(static_cast<std::size_t>(4 * count));
        const Dtype dtype = *dtypeFromWord(scheme.element->id);
        QL_CHECK(parallelFor(m_context, count, kPieceBytes / 4, [&](std::int64_t begin, std::int64_t end) {
            decode(dtype, codes.bytes.data(), begin, end - begin,
                   reinterpret_cast<float*>(restored.bytes.data()) + begin);
        }));
        return restored;
    }

    Result<Data> readBlocks(Group& group, const BlockFormat& format, const MatrixShape& matrix) const
    {
        group.checkText("block", format.dtype ? info(*format.dtype).word : format.layout);
        const std::int64_t perRow = matrix.cols / format.elements;
        const Data blocks = group.read("blocks", Element::u8, {matrix.rows, perRow * format.bytes});
        Data restored;
        if (!group.ok())
            return restored;
        restored.bytes.resize(static_cast<std::size_t>(4 * matrix.rows * matrix.cols));
        QL_CHECK(parallelFor(m_context, matrix.rows * perRow, 1024, [&](std::int64_t begin, std::int64_t end) {
            format.restore(blocks.bytes.data(), begin * format.elements, (end - begin) * format.elements,
                           reinterpret_cast<float*>(restored.bytes.data()) + begin * format.elements);
        }));
        return restored;
    }

    Result<Data> readPacked(Group& group, const MatrixFormat& format, const MatrixShape& matrix) const
    {
        group.checkText("layout", format.layout);
        const Data packed = group.read("packed", Element::u8, {format.sizeBytes(matrix)});
        Data restored;
        if (!group.ok())
            return restored;
        restored.bytes.resize(static_cast<std::size_t>(4 * matrix.rows * matrix.cols));
        QL_CHECK(parallelFor(m_context, matrix.rows * matrix.cols, std::int64_t{1} << 16,
                             [&](std::int64_t begin, std::int64_t end) {
                                 format.restore(packed.bytes.data(), matrix, begin, end - begin,
                                                reinterpret_cast<float*>(restored.bytes.data()) + begin);
                             }));
        return restored;
    }

    Result<void> restoreStored(Group& group, const Scheme& scheme, const Shape& shape, VerifiedTensor& result,
                               Data& restored) const
    {
        QL_CHECK(restoreCodes(group, scheme, shape, result, restored));
        const MatrixShape matrix = matrixShape(shape);
        const Additions& additions = scheme.additions;
        if (result.problem.empty() && additions.columnSlots(matrix.rows, matrix.cols) > 0)
            QL_CHECK(addColumns(group, additions.columnSlots(matrix.rows, matrix.cols), matrix, result, restored));
        if (result.problem.empty() && additions.sparseCount(matrix.rows, matrix.cols) > 0)
            QL_CHECK(addSparse(group, additions.sparseCount(matrix.rows, matrix.cols), matrix, result, restored));
        if (result.problem.empty() && additions.factorRank(matrix.rows, matrix.cols) > 0)
            QL_CHECK(addFactors(group, additions.factorRank(matrix.rows, matrix.cols), matrix, restored));
        return {};
    }

    static void add(Data& restored, std::int64_t at, float value)
    {
        const float sum = restored.at<float>(at) + value;
        std::memcpy(restored.bytes.data() + 4 * at, &sum, sizeof sum);
    }

    Result<void> addColumns(Group& group, std::int64_t slots, const MatrixShape& matrix, VerifiedTensor& result,
                            Data& restored) const
    {
        const Data columns = group.read("kept_columns", Element::i32, {slots});
        const Data values = group.read("kept_values", Element::f16, {matrix.rows, slots});
        if (!group.ok())
            return {};
        for (std::int64_t i = 0; i < slots; ++i)
            if (columns.at<std::int32_t>(i) >= matrix.cols)
                result.problem = "has a kept column beyond the last";
        if (!group.ok())
            return {};
        return parallelFor(m_context, matrix.rows, 1024, [&](std::int64_t begin, std::int64_t end) {
            for (std::int64_t row = begin; row < end; ++row)
                for (std::int64_t i = 0; i < slots; ++i)
                    if (const std::int64_t column = columns.at<std::int32_t>(i); column >= 0)
                        add(restored, row * matrix.cols + column,
                            floatFromF16(values.at<std::uint16_t>(row * slots + i)));
        });
    }

    Result<void> addSparse(Group& group, std::int64_t count, const MatrixShape& matrix, VerifiedTensor& result,
                           Data& restored) const
    {
        const bool wide = matrix.cols > 65536;
        const Data starts = group.read("sparse_starts", Element::u32, {matrix.rows + 1});
        const Data columns = group.read("sparse_columns", wide ? Element::u32 : Element::u16, {count});
        const Data values = group.read("sparse_values", Element::f16, {count});
        if (!group.ok())
            return {};
        std::int64_t next = 0;
        for (std::int64_t row = 0; row < matrix.rows; ++row) {
            if (row % 4096 == 0)
                QL_CHECK(m_context.checkStop());
            const std::int64_t end = starts.at<std::uint32_t>(row + 1);
            if (starts.at<std::uint32_t>(row) != next || end < next || end > count) {
                result.problem = "has starts of rows of sparse weights that do not follow each other";
                return {};
            }
            for (; next < end; ++next) {
                const std::int64_t column = wide ? columns.at<std::uint32_t>(next) : columns.at<std::uint16_t>(next);
                if (column >= matrix.cols) {
                    result.problem = "has a sparse weight beyond the last column";
                    return {};
                }
                add(restored, row * matrix.cols + column, floatFromF16(values.at<std::uint16_t>(next)));
            }
        }
        if (next != count)
            result.problem = "has sparse weights that belong to no row";
        return {};
    }

    Result<void> addFactors(Group& group, std::int64_t rank, const MatrixShape& matrix, Data& restored) const
    {
        const Data left = group.read("left", Element::f16, {matrix.rows, rank});
        const Data right = group.read("right", Element::f16, {rank, matrix.cols});
        if (!group.ok())
            return {};
        const std::int64_t grain = std::max<std::int64_t>(1, (std::int64_t{1} << 20) / (rank * matrix.cols));
        return parallelFor(m_context, matrix.rows, grain, [&](std::int64_t begin, std::int64_t end) {
            for (std::int64_t row = begin; row < end; ++row)
                for (std::int64_t column = 0; column < matrix.cols; ++column)
                    for (std::int64_t k = 0; k < rank; ++k)
                        add(restored, row * matrix.cols + column,
                            floatFromF16(left.at<std::uint16_t>(row * rank + k)) *
                                floatFromF16(right.at<std::uint16_t>(k * matrix.cols + column)));
        });
    }

    Result<void> restoreCodes(Group& group, const Scheme& scheme, const Shape& shape, VerifiedTensor& result,
                              Data& restored) const
    {
        if (scheme.isCast()) {
            QL_TRY(cast, readCast(group, scheme, shape));
            restored = std::move(cast);
            return {};
        }
        const MatrixShape matrix = matrixShape(shape);
        if (const BlockFormat* block = findBlockFormat(scheme)) {
            QL_TRY(blocks, readBlocks(group, *block, matrix));
            restored = std::move(blocks);
            return {};
        }
        if (const MatrixFormat* format = findMatrixFormat(scheme)) {
            QL_TRY(packed, readPacked(group, *format, matrix));
            restored = std::move(packed);
            return {};
        }
        Stored stored;
        stored.cols = matrix.cols;
        stored.wholeTensor = scheme.granularity == Granularity::tensor;
        stored.perScale = scheme.granularity == Granularity::group ? scheme.groupSize : matrix.cols;
        stored.groups =
            scheme.granularity == Granularity::group ? (matrix.cols + scheme.groupSize - 1) / scheme.groupSize : 1;
        Shape units{matrix.rows, stored.groups};
        if (scheme.granularity != Granularity::group)
            units = {stored.wholeTensor ? 1 : matrix.rows};
        const bool levels = group.has("levels");
        stored.unsignedCodes = levels || scheme.zeroPoint == ZeroPoint::minimum;
        stored.codes = group.read("codes", stored.unsignedCodes ? Element::u8 : Element::i8, shape);
        stored.scales = group.read("scales", Element::f32, units);
        if (levels)
            stored.levels = group.read("levels", Element::f32, {std::ssize(scheme.element->levels)});
        if (scheme.zeroPoint == ZeroPoint::integer)
            stored.zeroPoints = group.read("zero_points", Element::i16, units);
        if (scheme.zeroPoint == ZeroPoint::minimum)
            stored.minima = group.read("minima", Element::f32, units);
        if (scheme.scale == ScaleCoding::ue4m3)
            stored.tensorScale = group.read("tensor_scale", Element::f32, {1});
        if (!result.problem.empty())
            return {};
        const std::vector<float>& known = scheme.element->levels; // of codes that do not occur, too
        if (levels && std::memcmp(known.data(), stored.levels.bytes.data(), stored.levels.bytes.size()) != 0)
            result.problem = "has levels that are not those of " + scheme.element->id;
        const auto lastCode = static_cast<std::byte>(std::max<std::size_t>(1, stored.levels.bytes.size() / 4) - 1);
        if (levels && std::any_of(stored.codes.bytes.begin(), stored.codes.bytes.end(),
                                  [&](std::byte code) { return code > lastCode; })) {
            result.problem = "has a code beyond its levels";
            return {};
        }
        restored.bytes.resize(static_cast<std::size_t>(4 * numel(shape)));
        auto* out = reinterpret_cast<float*>(restored.bytes.data());
        return parallelFor(m_context, numel(shape), std::int64_t{1} << 18, [&](std::int64_t begin, std::int64_t end) {
            for (std::int64_t i = begin; i < end; ++i)
                out[i] = stored.value(i);
        });
    }

    /// float32 from the order of W to that of the checkpoint, one by one as the README says.
    Result<void> putInStoredOrder(const StoredOrder& stored, Data& values) const
    {
        if (!stored.moves())
            return {};
        Shape step(stored.axes.size()); // in W, of each axis as it is stored
        std::int64_t next = 1;
        for (std::size_t d = step.size(); d-- > 0;) {
            const auto axis = static_cast<std::size_t>(stored.axes[d]);
            step[axis] = std::exchange(next, next * stored.seenAs[axis]);
        }
        Bytes moved(values.bytes.size());
        QL_CHECK(parallelFor(m_context, next, std::int64_t{1} << 18, [&](std::int64_t begin, std::int64_t end) {
            for (std::int64_t i = begin; i < end; ++i) {
                std::int64_t from = 0;
                for (std::size_t axis = step.size(), rest = static_cast<std::size_t>(i); axis-- > 0;) {
                    const auto size = static_cast<std::size_t>(stored.seenAs[axis]);
                    from += static_cast<std::int64_t>(rest % size) * step[axis];
                    rest /= size;
                }
                std::memcpy(moved.data() + 4 * i, values.bytes.data() + 4 * from, 4);
            }
        }));
        values.bytes = std::move(moved);
        return {};
    }

    const ExportRequest& m_request;
    const hdf5::File& m_file;
    const JobContext& m_context;
};

Result<std::shared_ptr<const hdf5::File>> openExport(const std::filesystem::path& path, const std::stop_token& stop)
{
    QL_TRY(file, hdf5::File::open(path, stop));
    const auto* format = file->root().attribute<std::string>("format");
    if (!format || *format != kFormat)
        return badInput("is an HDF5 file, but no export of this program", path.string());
    return file;
}

Result<std::string> planIn(const hdf5::File& file)
{
    constexpr std::int64_t kLongest = std::int64_t{256} << 20U;
    QL_TRY(dataset, file.dataset(file.root(), "plan"));
    if (dataset->type != "string" || !dataset->shape.empty() || dataset->sizeBytes > kLongest)
        return badInput("the dataset 'plan' is no text", file.mapped()->path().string());
    QL_TRY(bytes, file.view(*dataset));
    return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

void addExtra(const Model& model, const hdf5::Group& tensors, VerifyReport& report)
{
    std::set<std::string> wanted;
    for (const TensorInfo& tensor : model.checkpoint->tensors())
        wanted.insert(linkName(tensor.name));
    for (const hdf5::Link& link : tensors.links)
        if (!wanted.contains(link.name))
            report.problems.push_back("the file has a tensor " + printable(link.name) +
                                      " that the model does not give");
}

} // namespace

Result<std::string> readPlan(const std::filesystem::path& path)
{
    QL_TRY(file, openExport(path, {}));
    return planIn(*file);
}

Result<VerifyReport> verifyFile(const ExportRequest& request, const std::filesystem::path& path,
                                const JobContext& context)
{
    const Model& model = request.model;
    QL_TRY(file, openExport(path, context.stopToken()));
    QL_TRY(tensors, file->group(file->root(), kTensors));
    VerifyReport report;
    addExtra(model, *tensors, report);
    QL_TRY(plan, planIn(*file));
    if (plan != printPlan(request.plan, model))
        report.problems.push_back("the plan in the file is not the plan it is verified against");

    const auto choices = choicesByTensor(model, request.plan);
    for (std::size_t i = 0; i < choices.size(); ++i) {
        const TensorInfo& tensor = model.checkpoint->tensors()[i];
        context.progress().addTotal(choices[i].candidate ? 4 * tensor.numel() : tensor.sizeBytes);
    }
    const Reading reading(request, *file, context);
    for (std::size_t i = 0; i < choices.size(); ++i) {
        QL_CHECK(context.checkStop());
        const auto index = static_cast<std::int64_t>(i);
        QL_TRY(verified, choices[i].candidate ? reading.quantized(index, choices[i]) : reading.kept(index));
        report.tensors.push_back(std::move(verified));
    }
    QL_CHECK(context.checkStop()); // else the last tensor's problem might be that it was not read
    return report;
}

} // namespace ql::h5out
