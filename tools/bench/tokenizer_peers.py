"""Speed of sentencepiece and Hugging Face tokenizers on one thread, for comparison with `danu bench tokenizer`.

    pip install sentencepiece tokenizers
    python tools/bench/tokenizer_peers.py tokenizer.model tokenizer.json FILE...

Prints one JSON object: MB of UTF-8 per second of wall time, best of a few runs; load in milliseconds.
"""

import json
import os
import sys
import time

os.environ["RAYON_NUM_THREADS"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"

import sentencepiece
import tokenizers


def seconds(work, runs=2):
    best = float("inf")
    for _ in range(runs):
        start = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - start)
    return best


def rates(load, encode, decode, texts):
    start = time.perf_counter()
    load()
    load_ms = (time.perf_counter() - start) * 1000
    size = sum(len(text.encode()) for text in texts) / 1e6
    lines = [line for text in texts for line in text.split("\n")]
    encoded = [encode(text) for text in texts]
    return {
        "encodeMBps": size / seconds(lambda: [encode(text) for text in texts]),
        "linesMBps": size / seconds(lambda: [encode(line) for line in lines]),
        "decodeMBps": size / seconds(lambda: [decode(ids) for ids in encoded]),
        "loadMs": load_ms,
    }


def main():
    model, tokenizer_json, *files = sys.argv[1:]
    texts = [open(file, encoding="utf-8", errors="replace", newline="").read() for file in files]
    spm = sentencepiece.SentencePieceProcessor()
    hf = None

    def load_hf():
        nonlocal hf
        hf = tokenizers.Tokenizer.from_file(tokenizer_json)

    print(json.dumps({
        "sentencepiece": rates(lambda: spm.Load(model), spm.EncodeAsIds, spm.DecodeIds, texts),
        "tokenizers": rates(
            load_hf, lambda text: hf.encode(text, add_special_tokens=False).ids, lambda ids: hf.decode(ids), texts),
        "versions": {"sentencepiece": sentencepiece.__version__, "tokenizers": tokenizers.__version__},
    }))


if __name__ == "__main__":
    main()
