"""The parts of small tokenizer.json files: models trained on a little text, and what goes around them."""

import itertools
import json

import tokenizers
from tokenizers import models, pre_tokenizers, trainers

SPECIAL = ["<unk>", "<s>", "</s>"]
BYTES = [f"<0x{byte:02X}>" for byte in range(256)]
FOREIGN = "\u00e9t\u00e9 na\u00efve caf\u00e9 \u4e16\u754c \u4e16 \u3053\u3093 \u041f\u0440\u0438\u0432\u0435\u0442 " \
    "\u043c\u0438\u0440 12 345 6789 \ufb01 \u201cit\u2019s\u201d I'll we've can't 'tis\n\n  \t x=1;\n    y += 2\n"

ODD = "\u00c9\u0130\u0131\u1e9e\u00df\u03a3\u03c3\u03c2\ufb01\u2460\uac01\u1100\u1161\u11a8\u212b\u00c5\u00b4\u0301" \
    "\u00c0\u0300\u3000\u0345\u00bd\uff21\u2044\u2082\u00a0"

GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
          r"|\s*[\r\n]+|\s+(?!\S)|\s+")
QWEN2 = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")
DEEPSEEK = (r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"""
            r"""| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+""")
O200K = "|".join([
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
    r"\p{N}{1,3}", r" ?[^\s\p{L}\p{N}]+[\r\n/]*", r"\s*[\r\n]+", r"\s+(?!\S)", r"\s+"])


def prepend(piece="\u2581"):
    return {"type": "Prepend", "prepend": piece}


def replace(pattern, content):
    return {"type": "Replace", "pattern": {"String": pattern}, "content": content}


SPACES = replace(" ", "\u2581")
NO_SPACES = replace("\u2581", " ")
NORMALIZE = {kind: {"type": kind} for kind in ("NFC", "NFD", "NFKC", "NFKD", "Lowercase", "StripAccents")}
NORMALIZE["Strip"] = {"type": "Strip", "strip_left": True, "strip_right": True}


def normalizers(*parts):
    return {"type": "Sequence", "normalizers": list(parts)}


def pretokenizers(*parts):
    return {"type": "Sequence", "pretokenizers": list(parts)}


def decoders(*parts):
    return {"type": "Sequence", "decoders": list(parts)}


def strip(content=" ", start=1, stop=0):
    return {"type": "Strip", "content": content, "start": start, "stop": stop}


FALLBACK, FUSE = {"type": "ByteFallback"}, {"type": "Fuse"}
LLAMA_DECODER = decoders(NO_SPACES, FALLBACK, FUSE, strip())
LLAMA_NORMALIZER = normalizers(prepend(), SPACES)


def metaspace(scheme="always", split=True):
    return {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": scheme, "split": split}


def byte_level(prefix=False, regex=True, trim=True):
    return {"type": "ByteLevel", "add_prefix_space": prefix, "trim_offsets": trim, "use_regex": regex}


def split(pattern, behavior="Isolated", invert=False):
    spelled_out = pattern if isinstance(pattern, dict) else {"Regex": pattern}
    return {"type": "Split", "pattern": spelled_out, "behavior": behavior, "invert": invert}


def template(before, after, ids):
    def pieces(sequence, type_id):
        return [*({"SpecialToken": {"id": name, "type_id": type_id}} for name in before),
                {"Sequence": {"id": sequence, "type_id": type_id}},
                *({"SpecialToken": {"id": name, "type_id": type_id}} for name in after)]
    return {"type": "TemplateProcessing", "single": pieces("A", 0), "pair": pieces("A", 0) + pieces("B", 1),
            "special_tokens": {name: {"id": name, "ids": [ids[name]], "tokens": [name]} for name in before + after}}


def token(content, special=False, normalized=False, lstrip=False, rstrip=False, single_word=False):
    return {"content": content, "single_word": single_word, "lstrip": lstrip, "rstrip": rstrip,
            "normalized": normalized, "special": special}


def numbered(tokens, vocabulary):
    """Added tokens with the id that their spelling has in the vocabulary, or the next one after it."""
    beyond = itertools.count(len(vocabulary))
    return [{"id": vocabulary[spelling] if spelling in vocabulary else next(beyond), **one}
            for one in tokens for spelling in [one["content"]]]


def state(model, normalizer=None, pre_tokenizer=None, post_processor=None, decoder=None, added=()):
    return {"version": "1.0", "truncation": None, "padding": None, "added_tokens": numbered(added, model["vocab"]),
            "normalizer": normalizer, "pre_tokenizer": pre_tokenizer, "post_processor": post_processor,
            "decoder": decoder, "model": model}


def model(pieces, merges, **options):
    return {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
            "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False, "ignore_merges": False,
            **options, "vocab": {piece: index for index, piece in enumerate(pieces)}, "merges": merges}


def train(text, size, pre_tokenizer, alphabet=()):
    """Pieces in the order they were made, and merges as pairs."""
    processor = tokenizers.Tokenizer(models.BPE())
    processor.pre_tokenizer = pre_tokenizer
    trainer = trainers.BpeTrainer(vocab_size=size, show_progress=False, initial_alphabet=list(alphabet))
    processor.train_from_iterator(text.splitlines(keepends=True), trainer)
    trained = json.loads(processor.to_str())["model"]
    return sorted(trained["vocab"], key=trained["vocab"].get), [list(pair) for pair in trained["merges"]]


def every_split(pieces):
    """Merges as converters make them of a SentencePiece model: all pairs of pieces that spell a third, by its rank."""
    known = {piece: rank for rank, piece in enumerate(pieces)}
    out = []
    for piece in pieces:
        pairs = [[piece[:at], piece[at:]] for at in range(1, len(piece)) if piece[:at] in known and piece[at:] in known]
        out += sorted(pairs, key=lambda pair: (known[pair[0]], known[pair[1]]))
    return out


def spelled(merges):
    return [" ".join(pair) for pair in merges]


class Vocabularies:
    """Pieces and merges trained once and used by many cases."""

    def __init__(self, play):
        text = play[:20_000] + FOREIGN * 3
        words = pre_tokenizers.Metaspace(prepend_scheme="never", split=True)
        lines = pre_tokenizers.Split("\n", "isolated")
        spaced = text.replace(" ", "\u2581")
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        self.words = train(text, 270, words)
        self.lines = train(spaced, 300, lines)
        self.few = train(text[:1_200], 80, words)
        self.odd = train(spaced[:1_200] + (FOREIGN + ODD).replace(" ", "\u2581"), 170, lines)
        self.bytes = train(text, 400, pre_tokenizers.ByteLevel(add_prefix_space=False), alphabet)
        self.few_bytes = train(text, 282, pre_tokenizers.ByteLevel(add_prefix_space=False), alphabet)
        self.bytes_across = train(text, 282, pre_tokenizers.ByteLevel(False, use_regex=False), alphabet)

    def characters(self, trained=None, fallback=True, unk="<unk>", fuse=True, strings=False, splits=False, missing=()):
        pieces, merges = trained or self.few
        merges = every_split(pieces) if splits else merges
        names = [name for name in BYTES if name not in missing] if fallback else []
        return model([*SPECIAL, *names, *pieces], spelled(merges) if strings else merges, unk_token=unk, fuse_unk=fuse,
                     byte_fallback=fallback)

    def bytes_(self, trained=None, **options):
        pieces, merges = trained or self.few_bytes
        return model(pieces, spelled(merges) if options.pop("strings", False) else merges, **options)


SPECIALS = [token(content, special=True) for content in SPECIAL]
IDS = {content: index for index, content in enumerate(SPECIAL)}
BOS = template(["<s>"], [], IDS)
BOTH = template(["<s>"], ["</s>"], IDS)
