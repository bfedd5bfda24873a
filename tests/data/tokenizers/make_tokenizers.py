# SPDX-License-Identifier: GPL-3.0-or-later
"""Small tokenizers with the settings of real families, and their ids of the hard texts.

    python make_tokenizers.py [FAMILY…]

Trainers break ties by chance: a family made anew is another one, with its own golden values. Needs tokenizers and sentencepiece (made with 0.23.3 and 0.2.3). Writes FAMILY/tokenizer.json or tokenizer.model, FAMILY/golden.json
(ids without and with special tokens, text decoded from the former) and texts.json. Training text: the sample's
calibration text and the hard texts. Bytes that are no UTF-8 are given to `tokenizers` as U+FFFD, to SentencePiece as they are.
"""
import base64
import io
import json
import pathlib
import sys

import sentencepiece
from tokenizers import (AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors,
                        trainers)

from hard_texts import TEXTS

HERE = pathlib.Path(__file__).parent
SAMPLE = HERE.parents[2] / "resources" / "sample" / "calibration.txt"
TRAINING = SAMPLE.read_text().splitlines()[:150] + [text.decode("utf-8", "replace") for text in TEXTS]
BYTES = pre_tokenizers.ByteLevel.alphabet()
LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|"
          r"\s+(?!\S)|\s+")
QWEN2 = LLAMA3.replace("{1,3}", "")
GPT4O = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
         r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
         r"\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")
DEEPSEEK = (r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|"
            r"\s*[\r\n]+|\s+(?!\S)|\s+")
BYTE_PIECES = [f"<0x{byte:02X}>" for byte in range(256)]


def train(tokenizer, trainer):
    tokenizer.train_from_iterator(TRAINING, trainer)
    return tokenizer


def bpe(tokenizer, size, special, alphabet=BYTES, **options):
    return train(tokenizer, trainers.BpeTrainer(vocab_size=size, special_tokens=special, initial_alphabet=alphabet,
                                                show_progress=False, **options))


def template(tokenizer, single):
    names = [part for part in single.split() if part != "$A"]
    return processors.TemplateProcessing(single=single, pair=single + " $B",
                                         special_tokens=[(name, tokenizer.token_to_id(name)) for name in set(names)])


def byte_level(steps, special, size=520, normalizer=None, **model):
    tokenizer = Tokenizer(models.BPE(**model))
    if normalizer:
        tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(steps) if len(steps) > 1 else steps[0]
    tokenizer.decoder = decoders.ByteLevel()
    return bpe(tokenizer, size, special)


def split(pattern, behavior="isolated", invert=False):
    return pre_tokenizers.Split(Regex(pattern), behavior, invert)


def last_byte_level(**options):
    return pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False, **options)


def gpt2():
    tokenizer = byte_level([pre_tokenizers.ByteLevel(add_prefix_space=False)], ["<|endoftext|>"])
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    return tokenizer


def llama3():
    tokenizer = byte_level([split(LLAMA3), last_byte_level()], ["<|begin_of_text|>", "<|endoftext|>", "<|im_end|>"],
                           ignore_merges=True)
    tokenizer.post_processor = processors.Sequence([processors.ByteLevel(),
                                                    template(tokenizer, "<|begin_of_text|> $A")])
    return tokenizer


def qwen2():
    tokenizer = byte_level([split(QWEN2), last_byte_level()], ["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
                           normalizer=normalizers.NFC())
    tokenizer.add_tokens([AddedToken("<single>", single_word=True), AddedToken("<rstrip>", rstrip=True, normalized=False),
                          AddedToken("café", normalized=True)])
    return tokenizer


def smollm():
    return byte_level([pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)],
                      ["<|endoftext|>", "<|im_start|>", "<|im_end|>"])


def gpt4o():
    return byte_level([split(GPT4O), last_byte_level()], ["<|endoftext|>"])


def deepseek():
    return byte_level([split(r"\p{N}{1,3}"), split("[一-龥\u3040-ゟ゠-ヿ]+"), split(DEEPSEEK), last_byte_level()],
                      ["<|endoftext|>"])


def roberta():
    tokenizer = byte_level([pre_tokenizers.ByteLevel(add_prefix_space=True)], ["<s>", "<pad>", "</s>", "<unk>"])
    tokenizer.add_special_tokens([AddedToken("<mask>", lstrip=True, normalized=False, special=True)])
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", tokenizer.token_to_id("</s>")),
                                                            ("<s>", tokenizer.token_to_id("<s>")))
    return tokenizer


def clip():
    tokenizer = Tokenizer(models.BPE(unk_token="<|endoftext|>", end_of_word_suffix="</w>"))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "),
                                                 normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        split(r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+", "removed", True),
        pre_tokenizers.ByteLevel(add_prefix_space=False)])
    tokenizer.decoder = decoders.ByteLevel()
    bpe(tokenizer, 700, ["<|startoftext|>", "<|endoftext|>"], end_of_word_suffix="</w>")
    tokenizer.post_processor = processors.RobertaProcessing(("<|endoftext|>", 1), ("<|startoftext|>", 0), False, False)
    return tokenizer


def sentence_decoder(strip):
    steps = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    return decoders.Sequence(steps + ([decoders.Strip(" ", 1, 0)] if strip else []))


def with_bytes(size, special, **model):
    """BPE with byte fallback: trained without, then given the byte pieces as real files have them."""
    return Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True, **model)), size, special + BYTE_PIECES


def finish_with_bytes(tokenizer, size, special):
    bpe(tokenizer, size, special, alphabet=[], limit_alphabet=160)
    document = json.loads(tokenizer.to_str())
    names = set(BYTE_PIECES)
    document["added_tokens"] = [token for token in document["added_tokens"] if token["content"] not in names]
    return Tokenizer.from_str(json.dumps(document))


def llama2():
    tokenizer, size, special = with_bytes(760, ["<unk>", "<s>", "</s>"])
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.pre_tokenizer = pre_tokenizers.Split("▁", "merged_with_next")  # for training only
    tokenizer = finish_with_bytes(tokenizer, size, special)
    document = json.loads(tokenizer.to_str())
    document["pre_tokenizer"] = None
    tokenizer = Tokenizer.from_str(json.dumps(document))
    tokenizer.decoder = sentence_decoder(True)
    tokenizer.post_processor = template(tokenizer, "<s> $A")
    return tokenizer


def mistral():
    tokenizer, size, special = with_bytes(760, ["<unk>", "<s>", "</s>"])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
    tokenizer = finish_with_bytes(tokenizer, size, special)
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    tokenizer.decoder = sentence_decoder(True)
    tokenizer.post_processor = template(tokenizer, "<s> $A </s>")
    return tokenizer


def gemma():
    tokenizer, size, special = with_bytes(760, ["<pad>", "</s>", "<s>", "<unk>"])
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    tokenizer.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    tokenizer = finish_with_bytes(tokenizer, size, special)
    tokenizer.add_tokens([AddedToken("\n" * n, normalized=False) for n in range(2, 32)])
    tokenizer.add_tokens([AddedToken("▁" * n, normalized=False) for n in range(2, 32)])
    tokenizer.decoder = sentence_decoder(False)
    tokenizer.post_processor = template(tokenizer, "<s> $A")
    return tokenizer


def sentence_model(kind, size, **options):
    out = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(text.replace("\0", " ") for text in TRAINING if text.strip()), model_writer=out, model_type=kind,
        vocab_size=size, hard_vocab_limit=False, num_threads=1, minloglevel=2, **options)
    return out.getvalue()


def charsmap(model):
    """The precompiled map: field 2 of the normalizer's message, field 3 of the model."""
    from sentencepiece import sentencepiece_model_pb2
    proto = sentencepiece_model_pb2.ModelProto.FromString(model)
    return proto.normalizer_spec.precompiled_charsmap


def unigram(size, special):
    tokenizer = Tokenizer(models.Unigram())
    model = sentence_model("unigram", 1600)
    tokenizer.normalizer = normalizers.Precompiled(charsmap(model))
    return tokenizer, trainers.UnigramTrainer(vocab_size=size, special_tokens=special, unk_token="<unk>",
                                              show_progress=False)


def t5():
    tokenizer, trainer = unigram(1600, ["<pad>", "</s>", "<unk>"])
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(),
                                                       pre_tokenizers.Metaspace(prepend_scheme="always")])
    train(tokenizer, trainer)
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.post_processor = template(tokenizer, "$A </s>")
    return tokenizer


def xlm_roberta():
    tokenizer, trainer = unigram(1600, ["<s>", "<pad>", "</s>", "<unk>"])
    tokenizer.normalizer = normalizers.Sequence([tokenizer.normalizer, normalizers.Replace(Regex(" {2,}"), " ")])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    train(tokenizer, trainer)
    tokenizer.add_special_tokens([AddedToken("<mask>", lstrip=True, normalized=True, special=True)])
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.post_processor = template(tokenizer, "<s> $A </s>")
    return tokenizer


def bert(lowercase):
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]", max_input_chars_per_word=100))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=lowercase)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    train(tokenizer, trainers.WordPieceTrainer(vocab_size=700, show_progress=False, limit_alphabet=300,
                                               special_tokens=["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]))
    tokenizer.post_processor = template(tokenizer, "[CLS] $A [SEP]")
    return tokenizer


def bert_cased():
    tokenizer = bert(False)
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return tokenizer


def words():
    """Every other component, once."""
    tokenizer = Tokenizer(models.WordLevel(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Nmt(), normalizers.NFKD(), normalizers.StripAccents(),
                                                 normalizers.Strip(), normalizers.NFKC(), normalizers.Lowercase(),
                                                 normalizers.NFD()])
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.CharDelimiterSplit("x"), pre_tokenizers.Whitespace(), pre_tokenizers.Digits(False),
        pre_tokenizers.Punctuation("contiguous"), split("a", "merged_with_previous"), pre_tokenizers.FixedLength(6)])
    train(tokenizer, trainers.WordLevelTrainer(vocab_size=500, special_tokens=["[UNK]", "[CLS]"], show_progress=False))
    tokenizer.add_tokens([AddedToken("Norm", normalized=True)])
    tokenizer.decoder = decoders.BPEDecoder("e")
    return tokenizer


def metaspace_first():
    """Where a text starts matters: blanks taken off in front leave no start."""
    tokenizer = Tokenizer(models.WordLevel(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Strip()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
    train(tokenizer, trainers.WordLevelTrainer(vocab_size=400, special_tokens=["[UNK]", "<s>", "<mask>"],
                                               show_progress=False))
    return tokenizer


FAMILIES = {"gpt2": gpt2, "llama3": llama3, "qwen2": qwen2, "smollm": smollm, "gpt4o": gpt4o, "deepseek": deepseek,
            "roberta": roberta, "clip": clip, "llama2": llama2, "mistral": mistral, "gemma": gemma, "t5": t5,
            "xlm_roberta": xlm_roberta, "bert": lambda: bert(True), "bert_cased": bert_cased, "words": words,
            "metaspace_first": metaspace_first}
SENTENCES = {
    "sentence_bpe": dict(kind="bpe", size=1500, byte_fallback=True, normalization_rule_name="identity",
                         remove_extra_whitespaces=False, split_digits=True, user_defined_symbols=["<sep>", "▁▁", "café"]),
    "sentence_bpe_plain": dict(kind="bpe", size=900, character_coverage=0.98),
    "sentence_unigram": dict(kind="unigram", size=1500, user_defined_symbols=["<sep>", "hello"]),
    "sentence_unigram_bytes": dict(kind="unigram", size=1700, byte_fallback=True, add_dummy_prefix=False,
                                   normalization_rule_name="nfkc_cf"),
    "sentence_suffix": dict(kind="unigram", size=1500, treat_whitespace_as_suffix=True),
}


def write(path, document):
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(document, ensure_ascii=False, separators=(",", ":")) + "\n")


def main(only):
    write(HERE / "texts.json", [base64.b64encode(text).decode() for text in TEXTS])
    for name, make in FAMILIES.items():
        if only and name not in only:
            continue
        tokenizer = make()
        folder = HERE / name
        folder.mkdir(exist_ok=True)
        tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
        texts = [text.decode("utf-8", "replace") for text in TEXTS]
        ids = [tokenizer.encode(text, add_special_tokens=False).ids for text in texts]
        write(folder / "golden.json", {
            "size": max(tokenizer.get_vocab().values()) + 1, "ids": ids,
            "special": [tokenizer.encode(text, add_special_tokens=True).ids for text in texts],
            "decoded": [tokenizer.decode(each, skip_special_tokens=False) for each in ids],
            "skipped": [tokenizer.decode(each, skip_special_tokens=True) for each in ids]})
    for name, options in SENTENCES.items():
        if only and name not in only:
            continue
        folder = HERE / name
        folder.mkdir(exist_ok=True)
        (folder / "tokenizer.model").write_bytes(sentence_model(**options))
        processor = sentencepiece.SentencePieceProcessor(model_file=str(folder / "tokenizer.model"))
        ids = [processor.encode(text.decode("utf-8", "replace")) for text in TEXTS]
        write(folder / "golden.json", {"size": processor.get_piece_size(), "ids": ids,
                                       "decoded": [processor.decode(each) for each in ids]})


if __name__ == "__main__":
    main(sys.argv[1:])
