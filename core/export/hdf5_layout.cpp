// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/export/hdf5_layout.h"

#include "core/export/model_cache.h"
#include "core/formats/block_format.h"
#include "core/formats/matrix_format.h"
#include "core/formats/quantized_tensor.h"

#include <hdf5.h>

#include <map>
#include <mutex>

namespace ql::h5out {

namespace {

using hdf5::Handle;

constexpr char kReadme[] =
    "Quantized model, written by QuantLoupe.\n"
    "/plan is the plan as JSON text. /tensors has one group per tensor; its attribute 'name' is the tensor's name,\n"
    "'dtype' how the checkpoint stored it, 'candidate' what the plan made of it.\n"
    "Kept tensors: 'values', or 'bytes' where HDF5 has no such type.\n"
    "Quantized tensors: 'codes' has the shape of W[out, in...], taken as a matrix [first dimension, all others]. "
    "Groups\n"
    "of g columns of a row share a scale (candidate ...:g<g>, gguf: and mx formats 32, nvfp4 16; the last group of a "
    "row\n"
    "may be shorter), or a row does, or the tensor. With level = levels[code] (codes as uint8) if there is a dataset "
    "'levels', else the code itself:\n"
    "  weight = level * (scale * tensor_scale)         tensor_scale only if there is one\n"
    "  weight = (level - zero_point) * scale           if there are zero_points\n"
    "  weight = level * scale + minimum                if there are minima\n"
    "each product and sum rounded once to float32; 'weights' holds the result in the checkpoint's order and shape. "
    "Casts\n"
    "(f16, bf16, f32): 'codes' are the bit patterns. GGUF's packed types (gguf:q4_k, ...): 'blocks' are the bytes of "
    "each\n"
    "row's blocks as in a GGUF file, of the type that the attribute 'block' names; gguf.quants.dequantize restores "
    "them.\n"
    "Blocks of other kinds (bitmod4, bcq3, ...): the attribute 'block' says how their bytes restore; f16 are IEEE "
    "halves, "
    "low\n"
    "byte first, bits count from the lowest; sums are float32, rounded from left to right.\n"
    "Layouts over a whole matrix (bitstack4_16, dgq4:g128, ...): 'packed' are its bytes, and the attribute 'layout' "
    "says "
    "in\n"
    "what order which arrays follow each other in it (row-major, without gaps) and how they restore.\n"
    "Additions (candidate ...+cols, +sparse, +lr) are then added in this order, each product and sum rounded once to\n"
    "float32, W taken as a matrix:\n"
    "  weight[row, kept_columns[i]] += kept_values[row, i]     where kept_columns[i] >= 0\n"
    "  weight[row, sparse_columns[i]] += sparse_values[i]      for sparse_starts[row] <= i < sparse_starts[row + 1]\n"
    "  weight[row, column] += left[row, k] * right[k, column]  for k = 0, 1, 2, ...\n"
    " Where the checkpoint orders axes in another way (Keras kernels, "
    "GPT-2)\n"
    "the attributes 'stored_as' and 'axes' say how: W = "
    "weights.reshape(stored_as).transpose(axes).reshape(codes.shape).\n";

std::optional<hid_t> plainType(Dtype dtype)
{
    switch (dtype) {
    case Dtype::f64:
        return H5T_IEEE_F64LE;
    case Dtype::f32:
        return H5T_IEEE_F32LE;
    case Dtype::i64:
        return H5T_STD_I64LE;
    case Dtype::i32:
        return H5T_STD_I32LE;
    case Dtype::i16:
        return H5T_STD_I16LE;
    case Dtype::i8:
        return H5T_STD_I8LE;
    case Dtype::u64:
        return H5T_STD_U64LE;
    case Dtype::u32:
        return H5T_STD_U32LE;
    case Dtype::u16:
        return H5T_STD_U16LE;
    case Dtype::u8:
        return H5T_STD_U8LE;
    default:
        return std::nullopt;
    }
}

/// Asks nothing of the library, whose lock may be held for long by someone who reads.
bool hasType(Dtype dtype)
{
    const DtypeInfo& row = info(dtype);
    return row.isInteger ? dtype != Dtype::boolean
                         : dtype == Dtype::f64 || dtype == Dtype::f32 || dtype == Dtype::f16 || dtype == Dtype::bf16;
}

Handle typeOf(Dtype dtype)
{
    if (const auto plain = plainType(dtype))
        return Handle(H5Tcopy(*plain));
    const std::size_t mantissa = dtype == Dtype::f16 ? 10 : 7;
    const std::size_t exponent = 15 - mantissa;
    Handle type(H5Tcopy(H5T_IEEE_F32LE));
    H5Tset_fields(type.get(), 15, mantissa, exponent, 0, mantissa);
    H5Tset_size(type.get(), 2);
    H5Tset_ebias(type.get(), (std::size_t{1} << (exponent - 1)) - 1);
    return type;
}

Handle textType(std::size_t bytes, H5T_str_t padding)
{
    Handle type(H5Tcopy(H5T_C_S1));
    H5Tset_size(type.get(), bytes);
    H5Tset_cset(type.get(), H5T_CSET_UTF8);
    H5Tset_strpad(type.get(), padding);
    return type;
}

/// Room for a text and its NUL, in steps, so that few different sizes occur.
std::size_t textRoom(std::size_t length)
{
    constexpr std::size_t kStep = 128;
    return (length / kStep + 1) * kStep;
}

bool putText(hid_t object, const char* name, std::string_view text, std::size_t room)
{
    std::string padded(text);
    padded.resize(room, '\0');
    const Handle type = textType(room, H5T_STR_NULLTERM);
    const Handle space(H5Screate(H5S_SCALAR));
    const Handle attribute(H5Acreate2(object, name, type.get(), space.get(), H5P_DEFAULT, H5P_DEFAULT));
    return attribute && H5Awrite(attribute.get(), type.get(), padded.data()) >= 0;
}

/// Creates a contiguous dataset with its room in the file; nothing is written.
Handle putDataset(hid_t group, const char* name, hid_t type, const Shape& shape)
{
    const std::vector<hsize_t> extent(shape.begin(), shape.end());
    const Handle space(shape.empty() ? H5Screate(H5S_SCALAR)
                                     : H5Screate_simple(static_cast<int>(extent.size()), extent.data(), nullptr));
    const Handle properties(H5Pcreate(H5P_DATASET_CREATE));
    H5Pset_layout(properties.get(), H5D_CONTIGUOUS);
    H5Pset_alloc_time(properties.get(), H5D_ALLOC_TIME_EARLY);
    H5Pset_fill_time(properties.get(), H5D_FILL_TIME_NEVER);
    H5Pset_obj_track_times(properties.get(), false);
    return Handle(H5Dcreate2(group, name, type, space.get(), H5P_DEFAULT, properties.get(), H5P_DEFAULT));
}

std::int64_t offsetOf(const Handle& dataset)
{
    const haddr_t address = H5Dget_offset(dataset.get());
    return address == HADDR_UNDEF ? -1 : static_cast<std::int64_t>(address);
}

/// A file without free space management: every allocation lies at the end.
Handle newFile(const char* path, bool inMemory)
{
    const Handle creation(H5Pcreate(H5P_FILE_CREATE));
    H5Pset_file_space_strategy(creation.get(), H5F_FSPACE_STRATEGY_NONE, false, 1);
    H5Pset_obj_track_times(creation.get(), false);
    const Handle access(H5Pcreate(H5P_FILE_ACCESS));
    H5Pset_fclose_degree(access.get(), H5F_CLOSE_STRONG);
    if (inMemory)
        H5Pset_fapl_core(access.get(), 1, false); // grows byte by byte: a larger step would count in its size
    else
        H5Pset_file_locking(access.get(), false, true);
    return Handle(H5Fcreate(path, H5F_ACC_TRUNC, creation.get(), access.get()));
}

struct Skeleton {
    Handle file;
    Handle plan;
    Handle tensors;
    bool ok = false;
};

bool putGroup(hid_t parent, const std::string& name)
{
    const Handle properties(H5Pcreate(H5P_GROUP_CREATE));
    H5Pset_obj_track_times(properties.get(), false);
    return static_cast<bool>(Handle(H5Gcreate2(parent, name.c_str(), H5P_DEFAULT, properties.get(), H5P_DEFAULT)));
}

/// Everything that does not depend on the plan but its length.
Skeleton makeSkeleton(const char* path, bool inMemory, std::span<const std::string> groups, std::int64_t planBytes)
{
    Skeleton made;
    made.file = newFile(path, inMemory);
    if (!made.file)
        return made;
    const hid_t root = made.file.get();
    made.ok = putText(root, "README", kReadme, sizeof kReadme) &&
              putText(root, "format", kFormat, textRoom(kFormat.size())) && putText(root, "version", "1", textRoom(1));
    const Handle type = textType(static_cast<std::size_t>(planBytes), H5T_STR_NULLPAD);
    made.plan = putDataset(root, "plan", type.get(), {});
    made.ok = made.ok && made.plan && putGroup(root, "tensors");
    made.tensors = Handle(H5Gopen2(root, "tensors", H5P_DEFAULT));
    for (const std::string& group : groups)
        made.ok = made.ok && putGroup(made.tensors.get(), group);
    return made;
}

using Texts = std::vector<std::pair<const char*, std::string>>;

Texts textsOf(const Model& model, const TensorInfo& tensor, const Choice& choice)
{
    Texts texts{{"name", tensor.name},
                {"dtype", std::string(info(tensor.dtype).word)},
                {"candidate", choice.candidate ? printCandidate(*choice.candidate) : "keep"}};
    if (choice.candidate) {
        if (const BlockFormat* block = findBlockFormat(choice.candidate->weights))
            texts.emplace_back("block", block->dtype ? info(*block->dtype).word : block->layout);
        if (const MatrixFormat* packed = findMatrixFormat(choice.candidate->weights))
            texts.emplace_back("layout", packed->layout);
        const StoredOrder& stored = model.layers[static_cast<std::size_t>(choice.layer)].stored;
        if (stored.moves()) {
            texts.emplace_back("stored_as", formatShape(stored.seenAs));
            texts.emplace_back("axes", formatShape(stored.axes));
        }
    }
    return texts;
}

/// Of a tensor that is kept: values or bytes.
std::vector<Item> keptItems(const TensorInfo& tensor)
{
    if (hasType(tensor.dtype))
        return {{"values", tensor.dtype, tensor.shape}};
    if (tensor.dtype == Dtype::boolean)
        return {{"values", Dtype::u8, tensor.shape}};
    return {{"bytes", Dtype::u8, {storedBytes(tensor.dtype, tensor.numel()).value()}}};
}

/// Of codes with their scales.
std::vector<Item> codeItems(const Scheme& scheme, const Shape& shape)
{
    if (scheme.isCast())
        return {{"codes", scheme.element->bits == 32 ? Dtype::u32 : Dtype::u16, shape}};
    const MatrixShape matrix = matrixShape(shape);
    if (const BlockFormat* block = findBlockFormat(scheme))
        return {{"blocks", Dtype::u8, {matrix.rows, matrix.cols / block->elements * block->bytes}}};
    if (const MatrixFormat* packed = findMatrixFormat(scheme))
        return {{"packed", Dtype::u8, {packed->sizeBytes(matrix)}}};
    Shape scales{matrix.rows, scheme.groupsPerRow(matrix.cols)};
    if (scheme.granularity != Granularity::group)
        scales = {scheme.granularity == Granularity::channel ? matrix.rows : 1};
    const bool integer = scheme.element->kind == FormatKind::integer;
    const bool own = integer && scheme.element->levels[1] == 1.0F; // the code is its level
    const bool isSigned = integer && own && scheme.zeroPoint != ZeroPoint::minimum;
    std::vector<Item> items{{"codes", isSigned ? Dtype::i8 : Dtype::u8, shape}};
    if (!own)
        items.push_back({"levels", Dtype::f32, {std::ssize(scheme.element->levels)}});
    items.push_back({"scales", Dtype::f32, scales});
    if (scheme.zeroPoint == ZeroPoint::integer)
        items.push_back({"zero_points", Dtype::i16, scales});
    if (scheme.zeroPoint == ZeroPoint::minimum)
        items.push_back({"minima", Dtype::f32, scales});
    if (scheme.scale == ScaleCoding::ue4m3)
        items.push_back({"tensor_scale", Dtype::f32, {1}});
    return items;
}

void addAdditions(std::vector<Item>& items, const Additions& additions, const MatrixShape& matrix)
{
    const auto [rows, cols] = matrix;
    if (const std::int64_t slots = additions.columnSlots(rows, cols); slots > 0) {
        items.push_back({"kept_columns", Dtype::i32, {slots}});
        items.push_back({"kept_values", Dtype::f16, {rows, slots}});
    }
    if (const std::int64_t count = additions.sparseCount(rows, cols); count > 0) {
        items.push_back({"sparse_starts", Dtype::u32, {rows + 1}});
        items.push_back({"sparse_columns", sparseIndexBits(cols) == 16 ? Dtype::u16 : Dtype::u32, {count}});
        items.push_back({"sparse_values", Dtype::f16, {count}});
    }
    if (const std::int64_t rank = additions.factorRank(rows, cols); rank > 0) {
        items.push_back({"left", Dtype::f16, {rows, rank}});
        items.push_back({"right", Dtype::f16, {rank, cols}});
    }
}

/// The datasets of a tensor.
std::vector<Item> itemsOf(const Model& model, const TensorInfo& tensor, const Choice& choice)
{
    if (!choice.candidate)
        return keptItems(tensor);
    const Scheme& scheme = choice.candidate->weights;
    const Shape& shape = model.layers[static_cast<std::size_t>(choice.layer)].shape;
    std::vector<Item> items = codeItems(scheme, shape);
    addAdditions(items, scheme.additions, matrixShape(shape));
    items.push_back({"weights", Dtype::f32, tensor.shape});
    return items;
}

/// Attributes and datasets of one tensor's group.
bool fillGroup(hid_t tensors, const std::string& link, const Texts& texts, std::span<const Item> items,
               std::vector<Placed>* placed)
{
    const Handle group(H5Gopen2(tensors, link.c_str(), H5P_DEFAULT));
    bool ok = static_cast<bool>(group);
    for (const auto& [attribute, text] : texts)
        ok = ok && putText(group.get(), attribute, text, textRoom(text.size()));
    for (const Item& item : items) {
        const Handle type = typeOf(item.element);
        const Handle dataset = ok ? putDataset(group.get(), item.name, type.get(), item.shape) : Handle();
        ok = ok && dataset;
        if (ok && placed)
            placed->push_back({item, item.sizeBytes() > 0 ? offsetOf(dataset) : -1});
    }
    return ok;
}

/// End of what is allocated, which is where a closed file ends; -1 on failure.
std::int64_t fileSize(const Handle& file)
{
    hsize_t size = 0;
    const bool ok = H5Fflush(file.get(), H5F_SCOPE_GLOBAL) >= 0 && H5Fget_filesize(file.get(), &size) >= 0;
    return ok ? static_cast<std::int64_t>(size) : -1;
}

std::vector<std::string> linkNames(const Model& model)
{
    std::vector<std::string> names;
    for (const TensorInfo& tensor : model.checkpoint->tensors())
        names.push_back(linkName(tensor.name));
    return names;
}

/// Bytes of the file with an empty plan and empty groups.
struct ModelBytes {
    std::int64_t skeleton = 0;
};
Result<ModelBytes> measureSkeleton(const Model& model)
{
    const hdf5::Lock lock;
    const Skeleton made = makeSkeleton("skeleton", true, linkNames(model), 1);
    const std::int64_t size = made.ok ? fileSize(made.file) : -1;
    if (size < 0)
        return hdf5::stackError("the structure of the file cannot be laid out", "HDF5 export");
    return ModelBytes{size - 1};
}

/// Bytes that attributes and headers of datasets take in a group; shapes count by rank only.
Result<std::int64_t> contentBytes(const Texts& texts, std::span<const Item> items)
{
    static std::mutex mutex;
    static std::map<std::string, std::int64_t> known;
    std::string signature;
    for (const auto& [attribute, text] : texts)
        signature += std::to_string(textRoom(text.size())) + ' ';
    for (const Item& item : items) {
        signature += item.name;
        signature += static_cast<char>('A' + static_cast<int>(item.element));
        signature += static_cast<char>('0' + item.shape.size());
    }
    const std::lock_guard guard(mutex);
    if (const auto found = known.find(signature); found != known.end())
        return found->second;

    std::vector<Item> small(items.begin(), items.end());
    std::int64_t data = 0;
    for (Item& item : small) {
        item.shape.assign(item.shape.size(), 1);
        data += item.sizeBytes();
    }
    const hdf5::Lock lock;
    const std::string groups[] = {"a", "b"};
    const Skeleton made = makeSkeleton("content", true, groups, 1);
    // the second of two, so that no allocation at the very end of the skeleton can be extended
    std::int64_t before = -1;
    std::int64_t after = -1;
    if (made.ok && fillGroup(made.tensors.get(), "a", texts, small, nullptr)) {
        before = fileSize(made.file);
        after = fillGroup(made.tensors.get(), "b", texts, small, nullptr) ? fileSize(made.file) : -1;
    }
    if (before < 0 || after < 0)
        return hdf5::stackError("the structure of the file cannot be laid out", "HDF5 export");
    return known[signature] = after - before - data;
}

} // namespace

std::string linkName(std::string_view tensorName)
{
    std::string link;
    for (const char c : tensorName) {
        const bool dots = tensorName == "." || tensorName == "..";
        if (c == '/' || c == '%' || c == '\0' || (c == '.' && dots)) {
            constexpr std::string_view kDigits = "0123456789ABCDEF";
            const auto byte = static_cast<unsigned char>(c);
            link += '%';
            link += kDigits[byte >> 4U];
            link += kDigits[byte & 15U];
        } else {
            link += c;
        }
    }
    return link.empty() ? "%" : link;
}

std::vector<Choice> choicesByTensor(const Model& model, const Plan& plan)
{
    std::vector<Choice> choices;
    for (const std::int64_t layer : model.layerOfTensor()) {
        const Candidate* candidate = layer < 0 ? nullptr : &plan.candidates[static_cast<std::size_t>(layer)];
        choices.push_back({layer, candidate && !candidate->weights.isKeep() ? candidate : nullptr});
    }
    return choices;
}

Result<Structure> createStructure(const std::filesystem::path& path, const Model& model, const Plan& plan,
                                  std::int64_t planBytes)
{
    const hdf5::Lock lock;
    const std::vector<std::string> links = linkNames(model);
    const auto failure = [&] {
        Error error = hdf5::stackError("cannot be written", path.string());
        error.code = Errc::io;
        return error;
    };
    Skeleton made = makeSkeleton(path.c_str(), false, links, planBytes);
    if (!made.ok)
        return failure();
    Structure structure;
    structure.planOffset = offsetOf(made.plan);
    const auto choices = choicesByTensor(model, plan);
    for (std::size_t i = 0; i < links.size(); ++i) {
        const TensorInfo& tensor = model.checkpoint->tensors()[i];
        std::vector<Placed> placed;
        if (!fillGroup(made.tensors.get(), links[i], textsOf(model, tensor, choices[i]),
                       itemsOf(model, tensor, choices[i]), &placed))
            return failure();
        structure.tensors.push_back(std::move(placed));
    }
    made.plan.reset();
    made.tensors.reset();
    QL_CHECK(hdf5::closeFile(std::move(made.file)));
    return structure;
}

Result<std::int64_t> sizeBytes(const Model& model, const Plan& plan)
{
    static ModelCache<ModelBytes> cache;
    QL_TRY(measured, cache.get(model, measureSkeleton));
    std::int64_t total = measured->skeleton + std::ssize(printPlan(plan, model));
    const auto choices = choicesByTensor(model, plan);
    for (std::size_t i = 0; i < choices.size(); ++i) {
        const TensorInfo& tensor = model.checkpoint->tensors()[i];
        const auto items = itemsOf(model, tensor, choices[i]);
        QL_TRY(bytes, contentBytes(textsOf(model, tensor, choices[i]), items));
        total += bytes;
        for (const Item& item : items)
            total += item.sizeBytes();
    }
    return total;
}

} // namespace ql::h5out
