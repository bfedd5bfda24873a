// SPDX-License-Identifier: GPL-3.0-or-later
// A Hugging Face folder: config.json with model.safetensors, with shards listed in model.safetensors.index.json, or
// with any *.safetensors. Of an index every line is checked: its file lies inside the folder and holds the tensor.
#include "core/base/text.h"
#include "core/checkpoint/config_json.h"
#include "core/checkpoint/fingerprint.h"
#include "core/checkpoint/mapped_checkpoint.h"
#include "core/checkpoint/reader.h"
#include "core/checkpoint/safetensors_header.h"
#include "core/checkpoint/tensor_names.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <map>
#include <unordered_map>

namespace ql::readers {

namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kMaxIndexBytes = 100'000'000;
constexpr std::size_t kMaxShards = 10'000;
constexpr std::size_t kMaxFolderEntries = 100'000;
constexpr std::string_view kIndexName = "model.safetensors.index.json";
constexpr std::string_view kSingleName = "model.safetensors";

/// Reads "weight_map" of an index; other keys are skipped. Duplicate names are refused later, with all names at hand.
class IndexEvents final : public nlohmann::json_sax<nlohmann::json> {
public:
    std::vector<std::pair<std::string, std::string>> weightMap; // tensor, file
    std::string problem;

    bool null() override { return value(); }
    bool boolean(bool) override { return value(); }
    bool number_integer(number_integer_t) override { return value(); }
    bool number_unsigned(number_unsigned_t) override { return value(); }
    bool number_float(number_float_t, const string_t&) override { return value(); }
    bool binary(binary_t&) override { return value(); }
    bool string(string_t& text) override
    {
        if (m_level != 2 || !m_inMap)
            return value();
        weightMap.back().second = std::move(text);
        return true;
    }
    bool start_object(std::size_t) override
    {
        if (m_level == 1 && m_mapNext)
            m_inMap = true;
        return enter();
    }
    bool start_array(std::size_t) override { return enter(); }
    bool end_object() override { return leave(); }
    bool end_array() override { return leave(); }
    bool key(string_t& name) override
    {
        if (m_level == 1) {
            m_mapNext = name == "weight_map";
            if (m_mapNext && std::exchange(m_mapSeen, true))
                return fail("'weight_map' appears twice");
        } else if (m_inMap) {
            if (std::ssize(weightMap) == kMaxTensors)
                return fail("more than 500000 tensors are listed");
            weightMap.emplace_back(std::move(name), std::string());
        }
        return true;
    }
    bool parse_error(std::size_t position, const std::string&, const nlohmann::detail::exception&) override
    {
        return fail("the JSON is malformed or not UTF-8 at byte " + std::to_string(position));
    }

private:
    bool fail(std::string what)
    {
        problem = std::move(what);
        return false;
    }
    bool value()
    {
        return m_level >= 1 && !(m_mapNext && m_level <= 2) ? true
                                                            : fail("'weight_map' is no map from tensors to files");
    }
    bool enter()
    {
        if (m_mapNext && !(m_level == 1 && m_inMap))
            return fail("'weight_map' is no map from tensors to files");
        return ++m_level <= 64 || fail("it is nested more than 64 levels deep");
    }
    bool leave()
    {
        if (--m_level == 1)
            m_mapNext = m_inMap = false;
        return true;
    }

    int m_level = 0;
    bool m_mapSeen = false; // the key "weight_map" has come
    bool m_mapNext = false; // its value comes next, or is being read
    bool m_inMap = false;   // its value is being read
};

/// Files of the folder with their headers, and which tensors are wanted of them.
struct Folder {
    fs::path path;
    Checkpoint::Contents parts;
    std::vector<std::int32_t> fileOfTensor;
    Fingerprint fingerprint;

    /// Opens the next file and appends its tensors; wanted (if given) says which, and loses those it found.
    Result<void> add(const std::string& name, std::unordered_map<std::string_view, bool>* wanted)
    {
        QL_TRY(inside, pathInside(path, name));
        auto opened = MappedFile::open(inside);
        if (!opened)
            return Error{opened.error().code,
                         opened.error().what + "; it is listed as part of the model, so get it again",
                         opened.error().where};
        const auto& file = *opened;
        QL_TRY(header, parseSafetensorsHeader(*file));
        fingerprint.addFile(file->bytes(), header.dataStart);
        std::int64_t unlisted = 0;
        std::string firstUnlisted;
        for (TensorInfo& tensor : header.tensors) {
            if (wanted) {
                const auto found = wanted->find(tensor.name);
                if (found == wanted->end()) {
                    if (unlisted++ == 0)
                        firstUnlisted = tensor.name;
                    continue;
                }
                found->second = true;
            }
            tensor.file = name;
            parts.tensors.push_back(std::move(tensor));
            fileOfTensor.push_back(static_cast<std::int32_t>(parts.files.size()));
        }
        if (std::ssize(parts.tensors) > kMaxTensors)
            return badInput("has more than 500000 tensors", path.string());
        if (unlisted > 0)
            parts.warnings.push_back({inside.string(), std::to_string(unlisted) +
                                                           " tensor(s) are not in the index and are left out (first: " +
                                                           firstUnlisted + ")"});
        parts.warnings.insert(parts.warnings.end(), header.warnings.begin(), header.warnings.end());
        for (auto& entry : header.metadata)
            if (std::ranges::find(parts.metadata, entry) == parts.metadata.end() && parts.metadata.size() < 1000)
                parts.metadata.push_back(std::move(entry));
        parts.files.push_back(file);
        return {};
    }
};

Result<void> addSharded(Folder& folder, const JobContext& context)
{
    const fs::path indexPath = folder.path / kIndexName;
    QL_TRY(text, readTextFile(indexPath, kMaxIndexBytes));
    IndexEvents index;
    if (!nlohmann::json::sax_parse(text, &index))
        return badInput("is a bad index: " + index.problem + "; get the file again", indexPath.string());
    if (index.weightMap.empty())
        return badInput("lists no tensor in 'weight_map'; get the file again", indexPath.string());

    std::vector<std::string> shards; // in the order of first mention
    std::map<std::string_view, std::unordered_map<std::string_view, bool>> wanted;
    std::unordered_map<std::string_view, bool> all;
    for (const auto& [name, file] : index.weightMap) {
        if (!all.emplace(name, true).second)
            return badInput("lists the tensor '" + printable(name) + "' twice; get the file again", indexPath.string());
        auto& shard = wanted[file];
        if (shard.empty()) {
            shards.push_back(file);
            if (shards.size() > kMaxShards)
                return badInput("names more than 10000 files", indexPath.string());
        }
        shard.emplace(name, false);
    }
    for (const std::string& shard : shards) {
        QL_CHECK(context.checkStop());
        auto& names = wanted[shard];
        if (const auto added = folder.add(shard, &names); !added) {
            Error error = added.error();
            if (error.where == folder.path.string())
                error.where = indexPath.string();
            return error;
        }
        for (const auto& [name, file] : index.weightMap)
            if (file == shard && !names[name])
                return badInput(
                    "lists the tensor '" + printable(name) + "' in " + printable(shard) +
                        ", which does not hold it; index and shards are of different models, get both again",
                    indexPath.string());
    }
    return {};
}

/// Names of regular files with that ending, sorted.
Result<std::vector<std::string>> filesEnding(const fs::path& folder, std::string_view ending)
{
    std::vector<std::string> names;
    std::error_code error;
    std::size_t seen = 0;
    for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
        if (++seen > kMaxFolderEntries)
            return badInput("has more than 100000 entries; open the file with the weights instead", folder.string());
        const std::string name = it->path().filename().string();
        if (name.ends_with(ending) && !name.starts_with("."))
            names.push_back(name);
    }
    if (error)
        return systemError("cannot list the folder", folder.string(), error.value());
    std::ranges::sort(names);
    return names;
}

bool isThere(const fs::path& path)
{
    std::error_code error;
    // A dangling or looping link exists: opening it then says what is wrong.
    return fs::symlink_status(path, error).type() != fs::file_type::not_found && !error;
}

/// Why a folder without safetensors cannot be opened, and what would do.
Error noWeights(const fs::path& folder)
{
    for (const std::string_view ending : {".gguf", ".onnx", ".h5", ".npz"})
        if (const auto names = filesEnding(folder, ending); names && !names->empty())
            return badInput("holds no *.safetensors; open the file " + names->front() + " in it instead",
                            folder.string());
    for (const std::string_view ending : {".bin", ".pt", ".pth", ".ckpt"})
        if (const auto names = filesEnding(folder, ending); names && !names->empty())
            return badInput("holds weights only as a PyTorch pickle (" + names->front() +
                                "), which can run code when read; convert it to safetensors first",
                            folder.string());
    return badInput("holds no weights: neither model.safetensors, nor model.safetensors.index.json, nor another "
                    "*.safetensors; choose the folder that holds them",
                    folder.string());
}

bool sniff(const fs::path& path, std::span<const std::byte>)
{
    std::error_code error;
    return fs::is_directory(path, error);
}

Result<std::shared_ptr<const Checkpoint>> open(const fs::path& path, const JobContext& context)
{
    Folder folder{.path = path, .parts = {}, .fileOfTensor = {}, .fingerprint = {}};
    if (isThere(path / kSingleName)) {
        QL_CHECK(folder.add(std::string(kSingleName), nullptr));
    } else if (isThere(path / kIndexName)) {
        QL_CHECK(addSharded(folder, context));
    } else {
        QL_TRY(names, filesEnding(path, ".safetensors"));
        if (names.empty())
            return noWeights(path);
        if (names.size() > kMaxShards)
            return badInput("holds more than 10000 *.safetensors", path.string());
        for (const std::string& name : names) {
            QL_CHECK(context.checkStop());
            QL_CHECK(folder.add(name, nullptr));
        }
        if (auto unique = checkUniqueNames(folder.parts.tensors, path.string()); !unique)
            return badInput(unique.error().what + ", or open one of the files: " + names.front() + ", …",
                            path.string());
    }
    Checkpoint::Contents& parts = folder.parts;
    parts.reader = "huggingface";
    parts.path = path;
    parts.configJson = readConfigJson(path, parts.warnings);
    if (!isThere(path / "config.json"))
        parts.warnings.push_back({path.string(), "has no config.json; roles are read from names alone"});
    parts.fingerprint = folder.fingerprint.hex();
    return std::shared_ptr<const Checkpoint>(
        std::make_shared<MappedCheckpoint>(std::move(parts), std::move(folder.fileOfTensor)));
}

} // namespace

extern const Reader huggingface;
const Reader huggingface{.id = "huggingface",
                         .title = "Hugging Face folder (safetensors, single or sharded)",
                         .extensions = "",
                         .sniff = sniff,
                         .open = open};

} // namespace ql::readers
