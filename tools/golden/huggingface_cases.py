"""Golden cases of one tokenizer.json: texts with ids, and ids with texts."""

import json
import random

import tokenizers

from tokenizer import NASTY, well_formed

OFFSETS_UP_TO = 10
SOME_BYTES = [f"<0x{byte:02X}>" for byte in (0x41, 0x20, 0xC3, 0xA9, 0xE4, 0xB8, 0x96, 0xF0, 0x9F, 0x98, 0x80, 0xFF)]


def encodings(processor, texts):
    out = []
    for text in texts:
        encoded = processor.encode(text, add_special_tokens=False)
        case = {"text": text, "ids": encoded.ids}
        if len(text) <= OFFSETS_UP_TO:
            case["offsets"] = [list(pair) for pair in encoded.offsets]
        processor.encode_special_tokens = True
        plain = processor.encode(text, add_special_tokens=False).ids
        processor.encode_special_tokens = False
        if plain != encoded.ids:
            case["plainIds"] = plain
        out.append(case)
    return out


def decoding(processor, ids):
    """Nothing where the original crashes: its Strip decoder cannot cut an empty piece from the right."""
    try:
        text, special = processor.decode(ids), processor.decode(ids, skip_special_tokens=False)
    except BaseException as error:
        if type(error).__name__ != "PanicException":
            raise
        return None
    return {"ids": ids, "text": text} | ({} if text == special else {"special": special})


def decodings(processor, rng, encoded, count):
    """Slices of encodings, random ids, and runs of byte pieces that are no UTF-8."""
    vocabulary = processor.get_vocab()
    added = sorted(processor.get_added_tokens_decoder())
    bytes_ = [vocabulary[name] for name in SOME_BYTES if name in vocabulary]
    spaces = [vocabulary[piece] for piece in ("\u2581", "\u2581\u2581", "\u0120", "\u2581a") if piece in vocabulary]
    every = sorted(vocabulary.values())
    pools = [pool for pool in (every, every, added, bytes_, bytes_, spaces) if pool]
    long = [ids for ids in encoded if len(ids) > 3]
    cases = [[]]
    for index in range(count):
        if index % 3 == 0:
            ids = rng.choice(long)
            start = rng.randrange(len(ids) - 2)
            cases.append(ids[start:start + rng.randrange(2, 12)])
        else:
            cases.append([rng.choice(rng.choice(pools)) for _ in range(rng.randrange(1, 9))])
    return [one for one in (decoding(processor, ids) for ids in cases) if one]


def texts_of(rng, fragments, count, nasty):
    """Ordinary nasty strings, and strings of the fragments that this case is about."""
    plain = [well_formed(text) for text in NASTY if len(text) <= 45]
    made = ["".join(rng.choice(fragments) for _ in range(rng.choice([1, 2, 3, 4, 6, 9]))) for _ in range(count)]
    return list(dict.fromkeys(["", " ", "a", " a", "  a  b  ", *rng.sample(plain, nasty), *made]))


def case(name, state, fragments, texts=(), config=None, count=20, nasty=6, decode=10):
    """One case for huggingface-small.json of a tokenizer.json given as a dictionary."""
    rng = random.Random(name)
    content = json.dumps(state, ensure_ascii=False, separators=(",", ":"))
    processor = tokenizers.Tokenizer.from_str(content)
    texts = list(dict.fromkeys([*texts, *texts_of(rng, fragments, count, nasty)]))
    encode = encodings(processor, texts)
    completed = ["", "a", " a b", *rng.sample(texts, 3)] if state["post_processor"] else []
    files = {"tokenizer.json": content}
    if config is not None:
        files["tokenizer_config.json"] = json.dumps(config)
    return {
        "name": name,
        "files": files,
        "encode": encode,
        "withSpecial": [{"text": text, "ids": processor.encode(text).ids} for text in dict.fromkeys(completed)],
        "decode": decodings(processor, rng, [one["ids"] for one in encode], decode),
    }
