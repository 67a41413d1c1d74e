"""Golden normalisations for @danu/tokenizer, made by Google's sentencepiece, of models with a character map.

    pip install sentencepiece==0.2.2
    python tools/golden/character_map.py ../shared/data            # writes character-map.json
    python tools/golden/character_map.py ../shared/data --check    # compares danu on whole NFKC maps and random texts

Goes to packages/tokenizer/test/golden. The published maps are 240 kB each, so the file has one of some two hundred
rules. All places in it are in UTF-16 units. A model of the file is the concatenation of
`pieces[model.pieces] + field(2, trainer) + field(3, normalizer + field(2, map))`, each part in base64.
"""

import base64
import json
import pathlib
import random
import re
import struct
import subprocess
import sys
import tempfile

import sentencepiece
from sentencepiece import SentencePieceNormalizer, SentencePieceProcessor

from tokenizer import NASTY, field, flag, trained_model, varint, well_formed, write

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
PUBLISHED_RULES = ["nfkc", "nmt_nfkc", "nfkc_cf", "nmt_nfkc_cf"]
USER_DEFINED = ["<mask>", "\ufb01", "\u0301", "`", "a\u0308\u0304x", "\u3000\u3000", "\u2581\u2581", "\ufdfa\ufdfa"]

# Rules that Unicode does not have: several spaces, nothing, long and nested sources, replacements that are sources.
OWN_RULES = [
    ("``", '"'), ("''", '"'), ("...", "\u2026"), ("--", "\u2014"), ("x", "y"), ("xx", "x"), ("xxxxx", "five"),
    ("q", "  q  r  "), ("Q", "  "), ("Z", ""), ("ZZ", " "), ("\t", "    "), ("\U0001f44d", "+1"),
    ("\U0001f44d\U0001f3fd", "+2"), ("\U0001f469\u200d\U0001f467", "\U0001f46a"), ("\u20ac", "EUR"),
    ("abcabcabc", "ABC"), ("the ", "the\u2581"), ("\u4e00\u4e8c", "12"), ("\u4e8c", "\U00020000"), ("\ufeff", ""),
]
PUBLISHED_SAMPLES = [
    "\x01", "\x7f", "\x80", "\n", "\r", "\u00a0", "\u00a8", "\u00ad", "\u00bd", "\u0132", "\u1680", "\u2003",
    "\u200b", "\u200e", "\u2025", "\u2028", "\u2047", "\u2075", "\u210c", "\u2126", "\u2167", "\u2460", "\u2a74",
    "\u3000", "\u3099", "\u309b", "\u3131", "\u3250", "\u33a5", "\uf900", "\ufb01", "\ufb03", "\ufb2c", "\ufdfa",
    "\ufe49", "\uff76", "\uff76\uff9e", "\uffa1", "\uffe0", "\ufffd", "\U0001d400", "\U0001d7d8", "\U0001f100",
    "\U0002f800", "\u304b\u3099", "\u30cf\u309a", "e\u0301", "e\u0302", "e\u0302\u0301", "a\u0308", "a\u0308\u0304",
    "A\u030a", "\u1100\u1161", "\u1100\u1161\u11a8", "<\u0338", "\U0001d400\u0301", "\u0344", "\u1e9b\u0323",
    "c\u0327", "n\u0303", "u\u0308", "o\u0302", "\u0041\u0300",
]


def read_varint(data, at):
    value = shift = 0
    while True:
        value |= (data[at] & 127) << shift
        shift += 7
        at += 1
        if data[at - 1] < 128:
            return value, at


def fields_of(message):
    """Number and content of the fields of a message that have a length; others are left out."""
    at = 0
    while at < len(message):
        tag, at = read_varint(message, at)
        value, at = read_varint(message, at)
        if tag & 7 == 2:
            yield tag >> 3, message[at:at + value]
            at += value


def blob_of(normalizer_spec):
    return dict(fields_of(normalizer_spec))[2]


def reduced_rules():
    published = dict(SentencePieceNormalizer(rule_name="nmt_nfkc").decompile())
    rules = {source: published[source] for source in PUBLISHED_SAMPLES if source in published}
    rules |= {chr(code): published[chr(code)] for code in range(0xFF01, 0xFF5E)}
    rules |= dict(OWN_RULES)
    return sorted(rules.items())


def training_text(play, rules):
    """A play in which some words have characters of the rules, so that what they become gets pieces of its own."""
    rng = random.Random(3)
    sources = [source for source, _ in rules]
    words = re.findall(r"\S+\s*", play)
    return "".join(word if rng.random() < 0.8 else word[:-1] + rng.choice(sources) + word[-1:] for word in words)


def from_code_points(text):
    """The UTF-16 place of each code point of a text, and of its end."""
    places = [0]
    for character in text:
        places.append(places[-1] + 1 + (ord(character) > 0xFFFF))
    return places


def aligned(text, result, offsets):
    """Offsets per code point, as sentencepiece gives them, as places in UTF-16 per UTF-16 unit of the result."""
    places = from_code_points(text)
    sources = []
    for character, offset in zip(result, offsets):
        sources += [places[offset]] * (1 + (ord(character) > 0xFFFF))
    return sources + [places[offsets[-1]]]


def plain_normalizer(blob):
    """A normaliser that does nothing but apply the map."""
    return SentencePieceNormalizer(model_proto=field(3, field(2, blob)))


def mapped(normalizer, text):
    text = well_formed(text)
    if text == "":
        return "", [0]
    result, offsets = normalizer.normalize(text, with_offsets=True)
    return result, aligned(text, result, offsets)


def random_texts(rng, rules, count):
    """Sources of rules, whole and cut, between spaces, controls, combining marks and characters of every plane."""
    sources = [source for source, _ in rules]
    unusual = ["\u0301", "\u0308", "\u3099", "\u309a", "\u0338", "\u11a8", "\u1161", "\x00", "\x01", "\x7f", "\u200b",
               "\ufffd", "\ud800", "\udfff", "\ud83d", "\u3000", "\u00a0", "\u2581", "\u0344", "\U0001f3fd", "\u200d"]

    def part():
        kind = rng.randrange(9)
        if kind < 3:
            return rng.choice(sources)
        if kind == 3:
            return rng.choice(sources)[:rng.randrange(1, 3)]
        if kind == 4:
            return rng.choice(unusual)
        if kind == 5:
            return " " * rng.randrange(1, 3)
        if kind == 6:
            return "".join(rng.choice("abcdexqQZ`'.-ou") for _ in range(rng.randrange(1, 5)))
        if kind == 7:
            return chr(rng.choice([rng.randrange(limit) for limit in (0x80, 0x250, 0x3200, 0x110000)]))
        return rng.choice(["the ", "king", "x" * rng.randrange(1, 12), "abcabc", "ab", "<mask>", "\ufb01"])

    return ["".join(part() for _ in range(rng.randrange(1, 10))) for _ in range(count)]


SMALL_TEXTS = [
    "", " ", "   ", "\u3000", " \u3000\u00a0 ", "\x01", " \x01 ", "Z", "Q", "QQ", " Q ", "q", "aqb", "a q b", "aQb",
    "a Q b", "a qq b", "\t", "a\tb", " \ta\t ", "\u2581", " \u2581 a\u2581\u2581 ",
    "\ufb01re \uff26\uff49\uff52\uff45", "xxx xxxx xxxxx xxxxxx xxxxxxxxxxx",
    "e\u0301e\u0302\u0301e\u0302 e\u0301\u0301", "a\u0308\u0304x a\u0308\u0304y", "\u3000\u3000a\u3000b",
    "abcabcab abcabcabc", "the king the\u3000king ",
    "\U0001f44d\U0001f3fd\U0001f44d\U0001f469\u200d\U0001f467\U0001f469\u200d", "\ud83d", "a\ud83d\x01\udc4d",
    "\ufdfa\ufdfa\ufdfa", "``quoted''...", "<mask>\uff1cmask\uff1e< mask>", "`a``b``` \u0301",
    "\u4e00\u4e8c\u4e8c\u4e00", "\0a\0", "  My  lord,\u2003\u2028 the\u00ad king\u2047  ",
]


def variants():
    yes_no = [False, True]
    for dummy in yes_no:
        for remove in yes_no:
            yield {"addDummyPrefix": dummy, "removeExtraWhitespaces": remove}
    for remove in yes_no:
        yield {"addDummyPrefix": True, "removeExtraWhitespaces": remove, "userDefined": True}
    yield {"addDummyPrefix": True, "removeExtraWhitespaces": True, "whitespaceAsSuffix": True}
    yield {"addDummyPrefix": True, "removeExtraWhitespaces": False, "byteFallback": False}


def parts_of(variant, model):
    """The parts of a variant's model file without the map."""
    byte_fallback = variant.get("byteFallback", True)
    user_defined = [field(1, symbol.encode()) for symbol in USER_DEFINED if variant.get("userDefined")]
    pieces = b""
    for number, content in fields_of(model):
        is_byte = content.endswith(flag(3, 6))
        is_user_defined = any(content.startswith(spelling) for spelling in user_defined)
        if number == 1 and (byte_fallback or not is_byte) and not is_user_defined:
            pieces += field(1, content)
    for spelling in user_defined:
        pieces += field(1, spelling + b"\x15" + struct.pack("<f", 0) + flag(3, 4))
    trainer = flag(3, 2) + flag(35, byte_fallback)
    if variant.get("whitespaceAsSuffix"):
        trainer += varint(24 << 3) + b"\1"
    return pieces, trainer, flag(3, variant["addDummyPrefix"]) + flag(4, variant["removeExtraWhitespaces"])


def encoding(processor, text):
    """Normalised text, ids, and where each id's text begins and ends. Of byte pieces, the last one has the range."""
    source = well_formed(text)
    places = from_code_points(source)
    encoded = processor.encode(source, return_type="offset_mapping")
    return {
        "text": text,
        "normalized": processor.normalize(source),
        "ids": encoded["ids"],
        "begin": [places[begin] for begin, _ in encoded["offsets"]],
        "end": [places[end] for _, end in encoded["offsets"]],
    }


def to_base64(data):
    return base64.b64encode(data).decode()


def golden(play):
    rules = reduced_rules()
    text = training_text(play[:150_000], rules)
    with tempfile.NamedTemporaryFile("w", suffix=".tsv") as table:
        for source, target in rules:
            table.write("\t".join(" ".join(f"{ord(c):X}" for c in side) for side in (source, target)) + "\n")
        table.flush()
        model = trained_model(text, model_type="bpe", vocab_size=480, byte_fallback=True, character_coverage=0.999,
                              normalization_rule_tsv=table.name)
    blob = blob_of(dict(fields_of(model))[3])
    normalizer = plain_normalizer(blob)
    rng = random.Random(5)
    texts = SMALL_TEXTS + NASTY[:12] + random_texts(rng, rules, 90)
    out = {"map": to_base64(blob), "mapped": [], "models": []}
    for text in texts:
        result, sources = mapped(normalizer, text)
        out["mapped"].append({"text": text, "result": result, "sources": sources})
    pieces_seen = {}
    for variant in variants():
        pieces, trainer, spec = parts_of(variant, model)
        processor = SentencePieceProcessor(model_proto=pieces + field(2, trainer) + field(3, spec + field(2, blob)))
        chosen = SMALL_TEXTS + random_texts(rng, rules, 12)
        name = ", ".join(key if value else "no " + key for key, value in variant.items())
        out["models"].append({
            "name": name,
            "pieces": pieces_seen.setdefault(pieces, len(pieces_seen)),
            "trainer": to_base64(trainer),
            "normalizer": to_base64(spec),
            "encode": [encoding(processor, text) for text in chosen],
        })
    out["pieces"] = [to_base64(pieces) for pieces in pieces_seen]
    return out


CHECKER = """
import { readFileSync, writeFileSync } from "node:fs";
import { loadTokenizer } from "%(source)s/index.ts";
import { CharacterMap } from "%(source)s/sentencepiece/character-map.ts";
const [input, output] = process.argv.slice(2);
const { map, model, texts } = JSON.parse(readFileSync(input, "utf8"));
const characterMap = new CharacterMap(Buffer.from(map, "base64"));
const mapped = texts.map((text) => characterMap.applyAligned(text)).map((x) => [x.text, [...x.sources]]);
const tokenizer = loadTokenizer(Buffer.from(model, "base64"));
writeFileSync(output, JSON.stringify({ mapped, ids: texts.map((text) => [...tokenizer.encode(text)]) }));
"""


def run_danu(folder, bundle, request):
    (folder / "in.json").write_text(json.dumps(request))
    subprocess.run(["node", bundle, folder / "in.json", folder / "out.json"], check=True)
    return json.loads((folder / "out.json").read_text())


def check(play):
    """Compares danu with sentencepiece on each published map: mapped texts, places, and ids of models that use it."""
    rng = random.Random(9)
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        bundle = folder / "checker.mjs"
        (folder / "checker.ts").write_text(CHECKER % {"source": REPOSITORY / "packages/tokenizer/src"})
        subprocess.run(["npx", "esbuild", folder / "checker.ts", "--bundle", "--platform=node", "--format=esm",
                        "--log-level=warning", "--conditions=@danu/source", f"--outfile={bundle}"],
                       check=True, cwd=REPOSITORY)
        for rule in PUBLISHED_RULES:
            for remove in [False, True]:
                check_rule(play, rng, rule, remove, lambda request: run_danu(folder, bundle, request))


def check_rule(play, rng, rule, remove, run):
    blob = blob_of(SentencePieceNormalizer(rule_name=rule).serialized_normalizer_spec())
    normalizer = plain_normalizer(blob)
    rules = normalizer.decompile()
    texts = random_texts(rng, rules, 20_000) + NASTY + [source for source, _ in rng.sample(rules, 20_000)]
    texts += [chr(code) for code in range(0x110000) if not 0xD800 <= code < 0xE000 and code % 7 == 0]
    expected = [list(mapped(normalizer, text)) for text in texts]
    model = trained_model(
        training_text(play[:150_000], rng.sample(rules, 300)), model_type="bpe", vocab_size=1200, byte_fallback=True,
        normalization_rule_name=rule, remove_extra_whitespaces=remove,
        user_defined_symbols=["<mask>", "\ufb01", "\u0301"] if remove else [])
    processor = SentencePieceProcessor(model_proto=model)
    ids = [processor.encode(well_formed(text)) for text in texts]
    got = run({"map": to_base64(blob), "model": to_base64(model), "texts": texts})
    wrong_maps = [i for i in range(len(texts)) if expected[i] != got["mapped"][i]]
    wrong_ids = [i for i in range(len(texts)) if ids[i] != got["ids"][i]]
    print(f"{rule}, extra whitespace {'removed' if remove else 'kept'}: {len(texts)} texts, "
          f"{len(wrong_maps)} differ after the map, {len(wrong_ids)} in their ids", flush=True)
    for i in [*wrong_maps[:3], *wrong_ids[:3]]:
        print("  ", ascii(texts[i]), expected[i], got["mapped"][i], ids[i], got["ids"][i])


if __name__ == "__main__":
    shakespeare = (pathlib.Path(sys.argv[1]) / "pretrain/tinyshakespeare/input.txt").read_text()
    if "--check" in sys.argv:
        check(shakespeare)
    else:
        write("character-map.json", golden(shakespeare))
