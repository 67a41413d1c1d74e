"""Golden ids and texts for @danu/tokenizer, made by Google's sentencepiece.

    pip install sentencepiece==0.2.2
    python tools/golden/tokenizer.py ../shared/data

Writes packages/tokenizer/test/golden/*.json. Small models are trained or put together here and kept inside the JSON,
so that most tests need no other files; the published models are only referred to by their path below the data folder.
"""

import array
import base64
import hashlib
import io
import json
import pathlib
import random
import struct
import sys

import sentencepiece

PUBLISHED = {
    "llama2": "tokenizers/llama2/tokenizer.model",
    "mistral": "tokenizers/mistral/tokenizer.model",
    "mistral3": "tokenizers/mistral/tokenizer.model.v3",
    "tok512": "tokenizers/tok512/tok512.model",
}
DOCUMENTS = ["pretrain/novels/*.txt", "pretrain/tinyshakespeare/*.txt", "pretrain/tinystories/*.txt",
             "pretrain/wikitext-2-raw/*.raw", "pretrain/llama-factory/*"]
OUT = pathlib.Path(__file__).resolve().parents[2] / "packages/tokenizer/test/golden"

NASTY = [
    "", " ", "  ", "   ", " " * 15, " " * 16, " " * 17, " " * 33, "\t", "\n", "\r\n", "\n\n\n",
    " \n ", "\u00a0", "\u2003", "a", " a", "a ", "  a  b  ", "Hello", "hello world",
    "Hello,  World! ", "\u2581", "\u2581\u2581a", "a\u2581b \u2581 c", " \u2581", "<s>", "</s>",
    "<unk>", "<s>hi</s>", "<0x41>", "<0x0A>", "[INST] x [/INST]", "[REFERENCE_DOC_1]",
    "[REFERENCE_DOC_19]x", "a[REFERENCE_DOC_1]", "[REFERENCE_DOC_[REFERENCE_DOC_2] ", "a\0b", "\0",
    "\x01\x7f\x80\x9f", "\ufeffBOM", "\ufffd", "\ufffe\uffff", "\ud800", "a\udc00b", "\ud83d",
    "\udc4d\ud83d", "x\ud83d y", "\ud7ff\ue000", "\U0010ffff", "\U00010000", "\u0301e\u0301",
    "e\u0301", "1234567890", "3.14159", "1,000,000", "0x1F", "a1b2", "don't can't I'll 'tis",
    "``quoted'' \u201ccurly\u201d \u2018x\u2019",
    "\U0001f469\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466", "\U0001f44d\U0001f3fd",
    "\U0001f1e9\U0001f1ea\U0001f1eb", "\U0001f999", "\u2047 \u203d",
    "\u6211\u60f3\u5728apple\u5de5\u4f5c", "\u3053\u3093\u306b\u3061\u306f\u4e16\u754c",
    "\uc548\ub155\ud558\uc138\uc694", "\u0645\u0631\u062d\u0628\u0627", "\u05e9\u05dc\u05d5\u05dd",
    "\u041f\u0440\u0438\u0432\u0435\u0442, \u043c\u0438\u0440",
    "\u0928\u092e\u0938\u094d\u0924\u0947", "\u0e2a\u0e27\u0e31\u0e2a\u0e14\u0e35",
    "C\u1eeda Vi\u1ec7t", "\u00df\u00c6\u0152\ufb01\u0130\u0131", "\u1e9e\u1d2c\u2460\u33a5",
    "https://example.com/a?b=c&d=%20#x", "user@example.org", "def f(x):\n    return x  # ok\n",
    "\tif (a&&b) {\n\t\tc++;\n\t}\n", "{\"a\": [1, 2, null]}", "SELECT * FROM t WHERE a='b';",
    "\\frac{1}{2} \\alpha_{i,j}^{2}", "aGVsbG8gd29ybGQ=", "AbCdEfGhIjKlMnOp",
    "antidisestablishmentarianism", "Donaudampfschifffahrt", "a" * 100, "ab" * 70, "aab" * 45,
    "the" * 40, "ha " * 30, "\n" * 40, "-" * 50, "=" * 33, "." * 65, "!?" * 30, "\u4e00" * 40,
    "\U0001f600" * 20,
]
ALPHABETS = [
    "ab ", "abc", "the on", "\u2581 a\n", "aeiou st", "01. ", "\u00e9\u4e2d\U0001f600 x",
    "<s>/|", "ABab\t ", "()[]{};=+- \n",
]


def nasty_strings():
    rng = random.Random(20240607)
    made = ["".join(rng.choice(rng.choice(ALPHABETS)) for _ in range(rng.randrange(1, 60))) for _ in range(40)]
    made += ["".join(rng.choice(letters) for _ in range(rng.randrange(20, 120)))
             for letters in ALPHABETS for _ in range(3)]
    limits = [0x80, 0x3000, 0x20000]
    made += ["".join(chr(rng.choice([rng.randrange(limit) for limit in limits])) for _ in range(30)) for _ in range(12)]
    return NASTY + ["".join("?" if 0xD800 <= ord(c) < 0xE000 else c for c in text) for text in made]


def well_formed(text):
    """What a text with lone surrogates becomes on its way to UTF-8."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def encode(processor, text):
    return processor.encode(well_formed(text))


def decodings(processor, rng, size):
    """Ids that no encoder gives, with the text of the original."""
    control = [i for i in range(size) if processor.is_control(i)][:3]
    bytes_ = [i for i in range(size) if processor.is_byte(i)]
    other = {*control, *bytes_, processor.unk_id()}
    normal = [i for i in range(size) if i not in other and not processor.is_control(i)]
    spaced = [i for i in normal if processor.id_to_piece(i).startswith("\u2581")]
    ascii_ = bytes_[0x20:0x7F]
    pools = [pool for pool in (control, ascii_, normal, spaced, [processor.unk_id()]) if pool]
    cases = [[rng.choice(rng.choice(pools)) for _ in range(rng.randrange(1, 9))] for _ in range(60)]
    return [{"ids": ids, "text": processor.decode(ids)} for ids in cases]


def varint(value):
    out = b""
    while value > 127:
        out += bytes([value & 127 | 128])
        value >>= 7
    return out + bytes([value])


def field(number, payload):
    return varint(number << 3 | 2) + varint(len(payload)) + payload


def flag(number, value):
    return varint(number << 3) + varint(int(value))


def model_bytes(pieces, byte_fallback, add_dummy_prefix, remove_extra):
    """A ModelProto of (spelling, score, type) triples."""
    out = b""
    for spelling, score, kind in pieces:
        out += field(1, field(1, spelling.encode()) + b"\x15" + struct.pack("<f", score) + flag(3, kind))
    out += field(2, flag(3, 2) + flag(35, byte_fallback))
    return out + field(3, field(1, b"identity") + flag(3, add_dummy_prefix) + flag(4, remove_extra))


def random_model(rng):
    """A vocabulary that no trainer would make: ties, scores out of order, characters that are no pieces, odd kinds."""
    letters = rng.choice(["ab\u2581", "abc\u2581", "a\u00e9\u4e2d\u2581", "ab"])
    spellings = set()
    while len(spellings) < rng.randrange(8, 40):
        spellings.add("".join(rng.choice(letters) for _ in range(rng.choice([1, 2, 2, 2, 3, 3, 4, 5, 8]))))
    scores = rng.choice([range(-6, 1), range(-200, 200), [0.5, -0.0, 0.0, -1e9]])
    byte_fallback = rng.random() < 0.3
    pieces = [("<unk>", 0.0, 2), ("<s>", 0.0, 3), ("</s>", 0.0, 3)]
    if byte_fallback:
        pieces += [(f"<0x{b:02X}>", 0.0, 6) for b in range(256)]
    for spelling in sorted(spellings):
        defined = len(spelling) > 1 and rng.random() < 0.08
        pieces.append((spelling, float(rng.choice(list(scores))), 4 if defined else 1))
    return letters, model_bytes(pieces, byte_fallback, rng.random() < 0.7, rng.random() < 0.4)


def trained_model(text, **options):
    sentences = [line for line in text.splitlines() if line][:3000]
    out = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(sentences), model_writer=out, minloglevel=2, num_threads=1, **options)
    return out.getvalue()


def processor_of(data):
    return sentencepiece.SentencePieceProcessor(model_proto=data)


def with_cases(name, data, texts, rng):
    processor = processor_of(data)
    return {
        "name": name,
        "model": base64.b64encode(data).decode(),
        "encode": [{"text": text, "ids": encode(processor, text)} for text in texts],
        "decode": decodings(processor, rng, processor.get_piece_size()),
    }


def small_models(play):
    rng = random.Random(7)
    plain = dict(model_type="bpe", vocab_size=420, normalization_rule_name="identity", byte_fallback=True)
    trained = {
        "suffix": dict(plain, treat_whitespace_as_suffix=True),
        "across-spaces": dict(plain, split_by_whitespace=False, remove_extra_whitespaces=False),
        "no-byte-fallback": dict(plain, byte_fallback=False, vocab_size=150,
                                 user_defined_symbols=["<mask>", "king", "\u2581\u2581\u2581"]),
        "no-prefix": dict(plain, add_dummy_prefix=False, user_defined_symbols=["\n\n", "<x>", "<xy>"], pad_id=3),
    }
    texts = nasty_strings()[:60] + ["the king<mask> kingking ", "<x><xy><xyz>\n\n\n", play[:400]]
    texts.append("My lord,   the\u2581\u2581\u2581\u2581king  is")
    models = [with_cases(name, trained_model(play, **options), texts, rng) for name, options in trained.items()]
    for index in range(20):
        letters, data = random_model(rng)
        alphabet = letters + " " + rng.choice(["", "x", "<s>", "\u00fc"])
        texts = ["".join(rng.choice(alphabet) for _ in range(rng.choice([3, 10, 30, 90]))) for _ in range(8)]
        models.append(with_cases(f"random-{index}", data, texts, rng))
    return {"models": models}


def published(data):
    rng = random.Random(11)
    texts = nasty_strings()
    out = {"texts": texts, "models": {}}
    for name, path in PUBLISHED.items():
        processor = sentencepiece.SentencePieceProcessor(model_file=str(data / path))
        out["models"][name] = {
            "path": path,
            "ids": [encode(processor, text) for text in texts],
            "decode": decodings(processor, rng, processor.get_piece_size()),
        }
    return out


def documents(data):
    """Whole files as single texts: number of ids, and SHA-256 of the ids as little-endian 32-bit integers."""
    paths = sorted(path for pattern in DOCUMENTS for path in data.glob(pattern))
    out = {}
    for name, model in PUBLISHED.items():
        processor = sentencepiece.SentencePieceProcessor(model_file=str(data / model))
        out[name] = {"path": model, "documents": {}}
        for path in paths:
            ids = array.array("i", processor.encode(path.read_bytes().decode("utf-8", "replace")))
            digest = hashlib.sha256(ids.tobytes()).hexdigest()
            out[name]["documents"][str(path.relative_to(data))] = [len(ids), digest[:32]]
    return out


def write(name, value):
    OUT.mkdir(parents=True, exist_ok=True)
    target = OUT / name
    target.write_text(json.dumps(value, separators=(",", ":")) + "\n")
    print(target.name, target.stat().st_size)


if __name__ == "__main__":
    folder = pathlib.Path(sys.argv[1])
    write("small-models.json", small_models((folder / "pretrain/tinyshakespeare/input.txt").read_text()))
    write("published-models.json", published(folder))
    write("documents.json", documents(folder))
