"""Golden ids, offsets and texts for reading Hugging Face files, made by tokenizers and transformers.

    pip install tokenizers==0.23.2 transformers==5.18.0 sentencepiece==0.2.2 protobuf
    python tools/golden/huggingface.py ../shared/data [small | published | transformers]

Writes packages/tokenizer/test/golden/huggingface-*.json (ASCII, one line each):

huggingface-small.json, made by huggingface_small.py: tokenizers trained or put together here, complete in the JSON.
  `{ cases: [{ name, files, encode, withSpecial, decode }] }`
  - `files`: name of the file → its content.
  - `encode`: `{ text, ids, offsets?, plainIds? }` without BOS and EOS. `offsets` are `[start, end)` in Unicode code
    points, given for short texts. `plainIds` are the ids when special tokens in the text stay text
    (`encode_special_tokens`); left out where they equal `ids`.
  - `withSpecial`: `{ text, ids }` as the post-processor completes them; empty where there is none.
  - `decode`: `{ ids, text, special? }`: `text` without special tokens, `special` with them, left out where equal.
    Many of the ids are such as no text gives.

huggingface-published.json: the published tokenizer.json of Llama 2, referred to by its path below the data folder.
  `{ path, texts, ids, offsets, withSpecial, plainIds, decode, documents: { file: [count, digest] } }`: arrays parallel
  to `texts` (`plainIds` has null where it equals `ids`); a digest is the first half of the SHA-256 of the ids as
  little-endian 32-bit integers, of whole files as single texts. `offsets` are flat: start, end, start, end, …

huggingface-transformers.json: what AutoTokenizer makes of folders.
  `{ texts, cases: [{ name, class, files, ids, bare, split, byScore, decode, parts }] }`
  - `files`: name → `{ path }` below the data folder, or `{ json }`.
  - `class`: the Python class. `SentencePieceBackend` runs sentencepiece itself and adds no BOS or EOS; `transformers 4`
    is its LlamaTokenizer with legacy=false, put together from that class, as transformers 5 has lost it.
  - per text: `ids` with the special tokens that the class adds, `bare` without, `split` without and with
    split_special_tokens=True (null where equal to `bare`).
  - `byScore`: `{ ids, bare, split }` of the same tokenizer with its merges in the order of the pieces' scores, for
    folders with a tokenizer.model, null for others. AutoTokenizer of 5.18 orders them by id, which is not what the
    model says: in Llama's and Mistral's, pieces of spaces have small ids and the lowest score ("a  b" comes out wrong).
  - `decode`: `{ ids, text, special }`; empty for sentencepiece, whose Python wrapper spells bytes out and trims spaces.
  - `parts`: normalizer, pre_tokenizer, post_processor, decoder, added_tokens and model options of the tokenizer that
    came out, null for sentencepiece.

Lone surrogates are U+FFFD in all texts: Python's originals take no others.
"""

import array
import copy
import functools
import hashlib
import json
import pathlib
import random
import shutil
import sys
import tempfile

import sentencepiece
import tokenizers
import transformers
from transformers.tokenization_utils_sentencepiece import SentencePieceBackend

import huggingface_small
from huggingface_cases import decodings
from huggingface_parts import every_split
from tokenizer import DOCUMENTS, nasty_strings, well_formed, write

LLAMA2_JSON = "tokenizers/llama2-hf/tokenizer.json"
LLAMA2_CONFIG = "tokenizers/llama2-hf/tokenizer_config.json"
LLAMA2_SPECIAL = "tokenizers/llama2-hf/special_tokens_map.json"
LLAMA2_MODEL = "tokenizers/llama2/tokenizer.model"
MISTRAL_MODEL = "tokenizers/mistral/tokenizer.model"

AUTO, BACKEND, VERSION_4 = "AutoTokenizer", "SentencePieceBackend", "transformers 4"

AROUND_SPECIAL = [
    "", " ", "  ", "a", " a", "a b", "  a", "a</s>b", "a</s> b", "a </s>b", "a </s> b", "a </s>  b", "<s> a", "<s>a",
    "<s>  a", "<s>", " <s>", "<s> ", "<s></s>", "<s> </s>", "<s><s>a", "</s> x </s>y", "</s>x</s>y ", "x<s>", "x <s>",
    "<unk>", "a<unk>b", "a <unk> b", "<PAD>", "a<PAD>b", "<PAD> a <PAD>", "<s>\u2581a", "\u2581a", "a\u2581</s>\u2581b",
    "<s>[INST] Hello, world! [/INST] Hi.</s><s>[INST] More [/INST]", "\n", "<s>\n", "\n</s>\n",
    "\u4e16\U0001f999</s>\u754c",
    "a<0x41>b", "<S>", "< s>", "<s", "</s", "<s></s", "<s>Hello", "<s> Hello", "Hello<s>Hello", "Hello <s> Hello",
    "e\u0301\u00e9", "1 234", "\tx", "a\r\nb", "\u00a0a", "<s>1", "</s>1", "x1</s>1",
    "<|im_start|>user\nHi there<|im_end|>\n", "<|im_start|> user", "a<|im_end|>b", "a  b   c    d",
]


def published(data):
    rng = random.Random(12)
    path = data / LLAMA2_JSON
    processor = tokenizers.Tokenizer.from_file(str(path))
    texts = list(dict.fromkeys(well_formed(text) for text in nasty_strings() + AROUND_SPECIAL))
    encoded = [processor.encode(text, add_special_tokens=False) for text in texts]
    out = {
        "path": LLAMA2_JSON,
        "texts": texts,
        "ids": [one.ids for one in encoded],
        "offsets": [[place for pair in one.offsets for place in pair] for one in encoded],
        "withSpecial": [processor.encode(text).ids for text in texts],
    }
    processor.encode_special_tokens = True
    plain = [processor.encode(text, add_special_tokens=False).ids for text in texts]
    out["plainIds"] = [None if one == ids else one for one, ids in zip(plain, out["ids"])]
    processor.encode_special_tokens = False
    out["decode"] = decodings(processor, rng, out["ids"], 80)
    out["documents"] = {}
    for file in sorted(path for pattern in DOCUMENTS for path in data.glob(pattern)):
        text = file.read_bytes().decode("utf-8", "replace")
        ids = array.array("i", processor.encode(text, add_special_tokens=False).ids)
        out["documents"][str(file.relative_to(data))] = [len(ids), hashlib.sha256(ids.tobytes()).hexdigest()[:32]]
    return out


def added(content, special=True, normalized=False, lstrip=False, rstrip=False, single_word=False):
    return {"content": content, "lstrip": lstrip, "normalized": normalized, "rstrip": rstrip,
            "single_word": single_word, "special": special}


def llama_config(**options):
    config = {"tokenizer_class": "LlamaTokenizer", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>",
              "add_bos_token": True, "add_eos_token": False, "clean_up_tokenization_spaces": False,
              "model_max_length": 4096}
    config.update(options)
    return {"json": {key: value for key, value in config.items() if value is not None}}


def folders():
    """Name, files, and what reads them."""
    model, mistral = {"path": LLAMA2_MODEL}, {"path": MISTRAL_MODEL}
    published_json, config, special = {"path": LLAMA2_JSON}, {"path": LLAMA2_CONFIG}, {"path": LLAMA2_SPECIAL}
    pad = {"32000": added("<PAD>")}
    chat = {"32000": added("<|im_start|>"), "32001": added("<|im_end|>", normalized=True),
            "32002": added("<PAD>", special=False)}
    yield "tokenizer.json", {"tokenizer.json": published_json}, AUTO
    yield "tokenizer.json-config", {"tokenizer.json": published_json, "tokenizer_config.json": config}, AUTO
    yield "tokenizer.json-config-special-map", {
        "tokenizer.json": published_json, "tokenizer_config.json": config, "special_tokens_map.json": special}, AUTO
    for name, options in {
        "legacy": dict(legacy=True),
        "not-legacy": dict(legacy=False),
        "legacy-unsaid": {},
        "fast-class": dict(tokenizer_class="PreTrainedTokenizerFast"),
        "eos": dict(legacy=True, add_eos_token=True),
        "no-bos": dict(legacy=False, add_bos_token=False),
        "no-prefix-space": dict(legacy=False, add_prefix_space=False),
    }.items():
        yield f"tokenizer.json-{name}", {
            "tokenizer.json": published_json, "tokenizer_config.json": llama_config(**options)}, AUTO
    for name, options in {
        "legacy": dict(legacy=True),
        "not-legacy": dict(legacy=False),
        "legacy-unsaid": {},
        "no-bos": dict(legacy=True, add_bos_token=False),
        "bos-unsaid": dict(legacy=True, add_bos_token=None, add_eos_token=None),
        "eos": dict(legacy=True, add_eos_token=True),
        "eos-only": dict(legacy=False, add_bos_token=False, add_eos_token=True),
        "pad": dict(legacy=True, added_tokens_decoder=pad, pad_token="<PAD>"),
        "chat": dict(legacy=False, added_tokens_decoder=chat, eos_token="<|im_end|>"),
        "extra": dict(legacy=True, additional_special_tokens=["<|im_start|>", "<|im_end|>"]),
        "no-prefix-space": dict(legacy=False, add_prefix_space=False),
    }.items():
        files = {"tokenizer.model": model, "tokenizer_config.json": llama_config(**options)}
        yield f"tokenizer.model-{name}", files, AUTO
        if name in ("legacy", "not-legacy", "legacy-unsaid", "pad", "chat"):
            yield f"sentencepiece-{name}", files, BACKEND
        if name == "not-legacy":
            yield "transformers-4-not-legacy", files, VERSION_4
    yield "tokenizer.model-alone", {"tokenizer.model": model}, AUTO
    yield "tokenizer.model-added-tokens-json", {
        "tokenizer.model": model, "tokenizer_config.json": llama_config(legacy=True),
        "added_tokens.json": {"json": {"<PAD>": 32000}},
        "special_tokens_map.json": {"json": {"pad_token": "<PAD>"}}}, AUTO
    yield "mistral", {"tokenizer.model": mistral, "tokenizer_config.json": llama_config(legacy=True)}, AUTO
    yield "mistral-not-legacy", {"tokenizer.model": mistral, "tokenizer_config.json": llama_config(legacy=False)}, AUTO


def load_folder(data, files, kind):
    with tempfile.TemporaryDirectory() as folder:
        for name, source in files.items():
            target = pathlib.Path(folder) / name
            if "path" in source:
                shutil.copyfile(data / source["path"], target)
            else:
                target.write_text(json.dumps(source["json"]))
        if kind == AUTO:
            return transformers.AutoTokenizer.from_pretrained(folder)
        return SentencePieceBackend.from_pretrained(folder)


def parts(processor):
    if not processor.is_fast:
        return None
    state = json.loads(processor.backend_tokenizer.to_str())
    kept = {name: state[name] for name in ("normalizer", "pre_tokenizer", "post_processor", "decoder", "added_tokens")}
    return kept | {"model": {name: value for name, value in state["model"].items() if name not in ("vocab", "merges")}}


@functools.cache
def scored_merges(path):
    """Merges of a SentencePiece model, best score first; pieces of equal score in the order of their ids."""
    model = sentencepiece.SentencePieceProcessor(model_file=str(path))
    ids = sorted(range(model.get_piece_size()), key=lambda index: (-model.get_score(index), index))
    return every_split([model.id_to_piece(index) for index in ids])


def with_merges(processor, merges):
    state = json.loads(processor.backend_tokenizer.to_str())
    state["model"]["merges"] = merges
    changed = copy.deepcopy(processor)
    changed._tokenizer = tokenizers.Tokenizer.from_str(json.dumps(state))
    return changed


def transformers_4(processor):
    """LlamaTokenizer.encode of transformers 4, legacy=false: one dummy prefix, gone again before a special token."""
    def encode(text, **options):
        ids = processor.encode("\u2581" + text.replace("\u2581", " "), **options) if text else []
        prefix = processor.convert_tokens_to_ids("\u2581")
        special = options.get("split_special_tokens") is None and processor.all_special_ids
        return ids[1:] if special and ids[:1] == [prefix] and ids[1:2] and ids[1] in special else ids
    return encode


def three_ways(encode):
    bare = [encode(text, add_special_tokens=False) for text in AROUND_SPECIAL]
    split = [encode(text, add_special_tokens=False, split_special_tokens=True) for text in AROUND_SPECIAL]
    return {
        "ids": [encode(text) for text in AROUND_SPECIAL],
        "bare": bare,
        "split": [None if one == other else one for one, other in zip(split, bare)],
    }


def transformers_case(data, name, files, kind):
    rng = random.Random(13)
    processor = load_folder(data, files, kind)
    encoded = three_ways(transformers_4(processor) if kind == VERSION_4 else processor.encode)
    model = files.get("tokenizer.model")
    by_score = kind == AUTO and model and with_merges(processor, scored_merges(data / model["path"]))
    pools = [*filter(None, encoded["ids"]), [0, 1, 2, len(processor) - 1]]
    mixed = [[rng.choice(rng.choice(pools)) for _ in range(rng.randrange(1, 8))] for _ in range(12)]
    return {
        "name": name,
        "class": kind if kind == VERSION_4 else type(processor).__name__,
        "files": files,
        **encoded,
        "byScore": three_ways(by_score.encode) if by_score else None,
        "decode": [{"ids": one, "text": processor.decode(one, skip_special_tokens=True),
                    "special": processor.decode(one)} for one in mixed + encoded["ids"][::5] if kind == AUTO],
        "parts": parts(processor),
    }


def of_transformers(data):
    return {"texts": AROUND_SPECIAL, "cases": [transformers_case(data, *folder) for folder in folders()]}


if __name__ == "__main__":
    shared = pathlib.Path(sys.argv[1])
    wanted = sys.argv[2:] or ["small", "published", "transformers"]
    play = (shared / "pretrain/tinyshakespeare/input.txt").read_text()
    if "small" in wanted:
        write("huggingface-small.json", {"cases": huggingface_small.cases(play)})
    if "published" in wanted:
        write("huggingface-published.json", published(shared))
    if "transformers" in wanted:
        write("huggingface-transformers.json", of_transformers(shared))
