"""Reads a folder that danu saved a tokenizer to with the programs that it is for, and prints the ids they give.

    pip install sentencepiece==0.2.2 transformers==5.18.0
    python tools/golden/check_saved_tokenizer.py FOLDER --texts texts.json [--expect cases.json] [--special]

Readers, each used if its file is there: "sentencepiece" for tokenizer.model, "tokenizers" for tokenizer.json, and
"transformers" (AutoTokenizer) for the folder as a whole.

--texts FILE   JSON list of strings; a lone surrogate is read as U+FFFD
--expect FILE  JSON list of {"ids": [...], "text": "..."}, one per text: the ids that every reader has to give, and
               what it has to decode them to; exits with 1 if one does not
--special      special tokens in the texts are tokens; only "tokenizers" and "transformers" can
--only NAME    one reader alone

Prints JSON: {"sentencepiece": {"ids": [[1, 2], ...], "texts": ["...", ...]}, ...}, where "texts" are the ids decoded
without special tokens; with --expect, the number of texts, and for every reader which of them it encodes or decodes
differently.
No BOS or EOS is added to the texts.
"""

import argparse
import json
import os
import pathlib
import sys

from tokenizer import well_formed


def read_sentencepiece(folder, special):
    import sentencepiece

    processor = sentencepiece.SentencePieceProcessor(model_file=str(folder / "tokenizer.model"))
    return processor.encode, processor.decode


def read_tokenizers(folder, special):
    import tokenizers

    processor = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    processor.encode_special_tokens = not special
    return lambda text: processor.encode(text, add_special_tokens=False).ids, processor.decode


def read_transformers(folder, special):
    os.environ["HF_HUB_OFFLINE"] = "1"
    from transformers import AutoTokenizer

    processor = AutoTokenizer.from_pretrained(folder)
    return (lambda text: processor.encode(text, add_special_tokens=False, split_special_tokens=not special),
            lambda ids: processor.decode(ids, skip_special_tokens=True))


def readers(folder, special, only):
    found = {}
    if (folder / "tokenizer.model").exists() and not special:
        found["sentencepiece"] = read_sentencepiece
    if (folder / "tokenizer.json").exists():
        found["tokenizers"] = read_tokenizers
    found["transformers"] = read_transformers
    return {name: read(folder, special) for name, read in found.items() if only in (None, name)}


def differences(encode, decode, texts, expected):
    cases = list(enumerate(zip(texts, expected, strict=True)))
    return {"encode": [index for index, (text, case) in cases if encode(text) != case["ids"]],
            "decode": [index for index, (_, case) in cases if decode(case["ids"]) != case["text"]]}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--texts", type=pathlib.Path, required=True)
    parser.add_argument("--expect", type=pathlib.Path)
    parser.add_argument("--special", action="store_true")
    parser.add_argument("--only")
    args = parser.parse_args()
    texts = [well_formed(text) for text in json.loads(args.texts.read_text())]
    found = readers(args.folder, args.special, args.only)
    if args.expect is None:
        ids = {name: [encode(text) for text in texts] for name, (encode, _) in found.items()}
        print(json.dumps({name: {"ids": ids[name], "texts": [decode(one) for one in ids[name]]}
                          for name, (_, decode) in found.items()}))
        return 0
    expected = json.loads(args.expect.read_text())
    result = {name: differences(*functions, texts, expected) for name, functions in found.items()}
    print(json.dumps({"texts": len(texts), "different": result}))
    return 1 if any(part for one in result.values() for part in one.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
