// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/base/file.h"
#include "core/checkpoint/gguf_file.h"
#include "core/model/tokenizer/pipeline.h"
#include "core/model/tokenizer/tokenizer.h"

#include <nlohmann/json.hpp>

#include <array>

namespace ql {

namespace {

using Pipeline = Result<std::unique_ptr<const tok::Pipeline>>;
using Read = Pipeline (*)(const std::filesystem::path& file);

/// In the order in which a folder is looked through.
constexpr std::array<std::pair<std::string_view, Read>, 3> kFiles = {{{"tokenizer.json", tok::readTokenizerJson},
                                                                      {"tokenizer.model", tok::readSentencePiece},
                                                                      {"vocab.txt", tok::readVocabText}}};

Pipeline read(const std::filesystem::path& path, const JobContext& context)
{
    std::error_code error;
    if (std::filesystem::is_directory(path, error)) {
        for (const auto& [name, reader] : kFiles)
            if (std::filesystem::exists(path / name, error))
                return reader(path / name);
        return badInput("has none of tokenizer.json, tokenizer.model and vocab.txt; put the model's tokenizer there",
                        path.string());
    }
    QL_TRY(file, MappedFile::open(path));
    if (looksLikeGguf(file->bytes()))
        return tok::readGgufTokenizer(path, context);
    const std::string extension = path.extension().string();
    return extension == ".txt"    ? tok::readVocabText(path)
           : extension == ".json" ? tok::readTokenizerJson(path)
                                  : tok::readSentencePiece(path);
}

} // namespace

Result<std::shared_ptr<const Tokenizer>> openTokenizer(const std::filesystem::path& path, const JobContext& context)
{
    auto read = [&]() -> Pipeline {
        try {
            return ql::read(path, context);
        } catch (const nlohmann::json::exception&) { // a field of another type than any tokenizer has
            return badInput("has a field that is not of its type; get the file again", path.string());
        }
    }();
    QL_TRY(pipeline, std::move(read));
    return std::shared_ptr<const Tokenizer>(std::make_shared<Tokenizer>(std::move(pipeline)));
}

Result<std::shared_ptr<const Tokenizer>> openTokenizer(const Checkpoint& checkpoint, const JobContext& context)
{
    std::error_code error;
    const bool isFolder = std::filesystem::is_directory(checkpoint.path(), error);
    return openTokenizer(
        isFolder || checkpoint.reader() == "gguf" ? checkpoint.path() : checkpoint.path().parent_path(), context);
}

} // namespace ql
