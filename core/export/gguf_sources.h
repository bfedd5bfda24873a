// SPDX-License-Identifier: GPL-3.0-or-later
// Keys and tensors of the GGUF file to write, from a GGUF file or from a Llama-family folder.
#pragma once

#include "core/export/gguf_layout.h"

namespace ql::ggufout {

/// Every key and tensor of a GGUF file, any architecture.
Result<Parts> partsOfGguf(const Model& model);

/// From a Hugging Face folder of LlamaForCausalLM or MistralForCausalLM: hyperparameters of config.json, tokenizer,
/// renamed tensors, rows of q and k permuted, one-dimensional tensors as float32, rope factors of Llama 3. Others are
/// refused by name: what their conversion needs is not known here, a GGUF file of theirs works.
/// Source: ggml-org/llama.cpp, the converter's Llama model.
Result<Parts> partsOfFolder(const Model& model);

/// Keys of the folder's tokenizer (tokenizer.json, tokenizer.model, tokenizer_config.json …) with `tokenCount` rows in
/// the embedding, as llama.cpp's converter lays them out: byte-level BPE, SentencePiece BPE. gguf_vocabulary.h says
/// what is refused.
Result<std::vector<Key>> tokenizerKeys(const std::filesystem::path& folder, const std::string& configJson,
                                       std::int64_t tokenCount);

} // namespace ql::ggufout
