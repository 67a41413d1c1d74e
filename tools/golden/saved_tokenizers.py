"""Checks saved tokenizers with the programs that they are for, and notes what the files are.

    pip install sentencepiece==0.2.2 transformers==5.18.0
    python tools/golden/saved_tokenizers.py make
    npm run build && node tools/golden/save-small-models.mjs FOLDER
    python tools/golden/saved_tokenizers.py check FOLDER

`make` writes save-models.json: models put together at random, with ids of sentencepiece. FOLDER holds these and the
other small tokenizers of packages/tokenizer/test/golden as danu saves them, one folder for each that can be saved.
`check` reads every file with sentencepiece, tokenizers or AutoTokenizer; it has to give the ids that the original gave
for the tokenizer before it was saved. Then save.json gets the SHA-256 of every file: a test that fails for one of them
says that the files have changed, and that this script is to be run again.
"""

import base64
import hashlib
import json
import pathlib
import random
import sys

import tokenizer
from check_saved_tokenizer import differences, readers

GOLDEN = pathlib.Path(__file__).resolve().parents[2] / "packages/tokenizer/test/golden"
ALPHABETS = ["ab\u2581", "abc\u2581", "a\u00e9\u4e2d\u2581", "a\u2581", "ab<>s/"]
LENGTHS = [1, 1, 2, 2, 2, 3, 3, 4, 5, 8]


def random_model(rng, byte_fallback, user_defined, prefix, remove_extra):
    """A vocabulary with scores in odd order, and one score for all runs of a space."""
    letters = rng.choice(ALPHABETS)
    spellings = {*letters, "\u2581"}
    while len(spellings) < 30:
        spellings.add("".join(rng.choice(letters) for _ in range(rng.choice(LENGTHS))))
    spellings = sorted(spellings - {"<s>", "</s>", "\u2581\u2581"})
    rng.shuffle(spellings)
    spellings += ["\u2581\u2581", "\u2581" * 3] if "\u2581" * 3 not in spellings else []
    pieces = [("<unk>", 0.0, 2), ("<s>", 0.0, 3), ("</s>", 0.0, 3)]
    pieces += [(f"<0x{byte:02X}>", 0.0, 6) for byte in range(256)] if byte_fallback else []
    for index, spelling in enumerate(spellings):
        defined = user_defined and len(spelling) > 2 and index % 7 == 3
        is_run = len(spelling) > 1 and set(spelling) == {"\u2581"}
        pieces.append((spelling, -1e9 if is_run else -float(index), 4 if defined else 1))
    return letters, tokenizer.model_bytes(pieces, byte_fallback, prefix, remove_extra)


def texts_for(rng, letters):
    alphabet = letters.replace("\u2581", " ") + letters + " " + rng.choice(["", "x", "\u00fc"])
    texts = ["".join(rng.choice(alphabet) for _ in range(rng.choice([1, 2, 3, 10, 30, 90]))) for _ in range(12)]
    runs = ["".join(rng.choice(alphabet) * rng.randrange(1, 9) for _ in range(4)) for _ in range(6)]
    return [*texts, *runs, "", " ", "</s>", "<0x41>", "<s>a", "  a  a  "]


def make():
    rng = random.Random(5)
    out = []
    for index in range(12):
        options = [index % 4 == 0, index % 3 == 0, index % 4 != 1, index % 5 == 2]
        letters, data = random_model(rng, *options)
        processor = tokenizer.processor_of(data)
        out.append({
            "name": f"made-{index}",
            "model": base64.b64encode(data).decode(),
            "legacy": index % 2 == 0 or options[3],
            "encode": [{"text": text, "ids": processor.encode(text)} for text in texts_for(rng, letters)],
        })
    tokenizer.write("save-models.json", {"models": out})


def expected():
    """Texts with their ids by name, special tokens being text."""
    made, models = ([(one["name"], one["encode"]) for one in json.loads((GOLDEN / name).read_text())["models"]]
                    for name in ("save-models.json", "small-models.json"))
    out = {f"model-{name}": encode for name, encode in made + models}
    for case in json.loads((GOLDEN / "huggingface-small.json").read_text())["cases"]:
        encode = [{"text": one["text"], "ids": one.get("plainIds", one["ids"])} for one in case["encode"]]
        out[f"json-{case['name']}"] = encode
    return out


def check_folder(folder, cases):
    """Numbers of the texts that some reader of the folder encodes differently, by reader."""
    found = readers(folder, False, None)
    if not (folder / "tokenizer.json").exists():
        # AutoTokenizer reads tokenizer.model in its own way.
        del found["transformers"]
    if (folder / "added_tokens.json").exists():
        del found["sentencepiece"]
    texts = [tokenizer.well_formed(case["text"]) for case in cases]
    return {name: differences(encode, lambda ids: None, texts, [{**case, "text": None} for case in cases])["encode"]
            for name, (encode, _) in found.items()}


def check(saved):
    cases = expected()
    out = {}
    for folder in sorted(saved.iterdir()):
        for reader, different in check_folder(folder, cases[folder.name.rpartition("-")[0]]).items():
            if different:
                sys.exit(f"{folder.name}, {reader}: other ids for texts {different}")
            print(folder.name, reader, "equal")
        out[folder.name] = {file.name: hashlib.sha256(file.read_bytes()).hexdigest()
                            for file in sorted(folder.iterdir())}
    (GOLDEN / "save.json").write_text(json.dumps(out, indent=0) + "\n")


if __name__ == "__main__":
    if sys.argv[1] == "make":
        make()
    else:
        check(pathlib.Path(sys.argv[2]))
