"""Golden ids for the models that @danu/tokenizer trains in its tests, made by Google's sentencepiece.

    pip install sentencepiece==0.2.2 transformers==5.18.0
    python tools/golden/train.py

Trains the models of packages/tokenizer/test/trained-models.ts with danu, loads the files with sentencepiece and with
transformers, and writes packages/tokenizer/test/golden/train.json: the SHA-256 of each file, ids, and the pieces that
sentencepiece's own trainer finds. Run it again when a change of the trainer changes its files.
"""

import hashlib
import io
import json
import pathlib
import re
import subprocess
import tempfile

import sentencepiece
import transformers

from tokenizer import NASTY, encode, nasty_strings, well_formed

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
OUT = REPOSITORY / "packages/tokenizer/test/golden/train.json"
DUMP = """
import { writeFileSync } from "node:fs";
import { heldTexts, settings, trainedModels, trainingLines } from "./packages/tokenizer/test/trained-models.ts";
for (const [name, file] of trainedModels()) writeFileSync(`${process.argv[2]}/${name}.model`, file);
writeFileSync(`${process.argv[2]}/held.json`, JSON.stringify({ settings, lines: trainingLines(), texts: heldTexts() }));
"""


def train(folder):
    """Writes the trained models and `held.json` into `folder`."""
    bundle = folder / "dump.mjs"
    command = ["npx", "esbuild", "--bundle", "--platform=node", "--format=esm", f"--outfile={bundle}"]
    subprocess.run(command, input=DUMP, text=True, check=True, cwd=REPOSITORY)
    subprocess.run(["node", bundle, folder], check=True)
    return json.loads((folder / "held.json").read_text())


def special_ids(folder, model, settings, texts):
    """transformers' ids, which read special tokens in text. Its Llama tokenizer adds no dummy space where the text, or
    what follows a special token, begins with a space; such texts are left out."""
    tokenizer_folder = folder / "transformers"
    tokenizer_folder.mkdir(exist_ok=True)
    (tokenizer_folder / "tokenizer.model").write_bytes(model)
    prefix = settings.get("addDummyPrefix", True)
    config = {"tokenizer_class": "LlamaTokenizer", "legacy": True, "add_prefix_space": prefix}
    (tokenizer_folder / "tokenizer_config.json").write_text(json.dumps(config))
    tokenizer = transformers.AutoTokenizer.from_pretrained(tokenizer_folder)
    specials = ["<unk>", "<s>", "</s>", *settings.get("specialTokens", [])]
    ambiguous = re.compile("(?:^|" + "|".join(map(re.escape, specials)) + ")[ \u2581]")
    texts = [text for text in map(well_formed, texts) if not ambiguous.search(text)]
    return [{"text": text, "ids": tokenizer.encode(text, add_special_tokens=False)} for text in texts]


def cases(folder, name, settings, texts):
    model = (folder / f"{name}.model").read_bytes()
    processor = sentencepiece.SentencePieceProcessor(model_proto=model)
    marked = [f"{marker}{text.lstrip()}" for text in texts[:12] for marker in ("<s>", "<|user|>", "</s><|end|>")]
    with_bytes = settings.get("byteFallback", True)
    return {
        "sha256": hashlib.sha256(model).hexdigest(),
        "pieces": processor.get_piece_size(),
        "encode": [{"text": text, "ids": encode(processor, text)} for text in texts],
        "parseSpecial": special_ids(folder, model, settings, NASTY + marked) if with_bytes else [],
    }


def pieces_of_sentencepiece(lines):
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines), model_writer=model, model_type="bpe", vocab_size=1000, byte_fallback=True,
        split_digits=True, character_coverage=0.9995, normalization_rule_name="identity",
        remove_extra_whitespaces=False, minloglevel=2)
    processor = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    return [processor.id_to_piece(index) for index in range(processor.get_piece_size())]


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        work = pathlib.Path(temporary)
        held = train(work)
        texts = held["texts"] + nasty_strings()
        models = {name: cases(work, name, settings, texts) for name, settings in held["settings"].items()}
        golden = {"models": models, "pieces": pieces_of_sentencepiece(held["lines"])}
    OUT.write_text(json.dumps(golden, separators=(",", ":")) + "\n")
    print(OUT.name, OUT.stat().st_size)
