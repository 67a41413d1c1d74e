"""How long other programs take to train a BPE vocabulary as danu does, on the files given.

    pip install sentencepiece==0.2.2 tokenizers==0.23.2
    python tools/bench/train_tokenizer_peers.py [--pieces 8000] FILE...

Prints one JSON object: for sentencepiece and Hugging Face tokenizers, on one thread and on as many as they choose, the
seconds from the files to the vocabulary, and the processor seconds. Each runs in a process of its own, whose start is
not counted. Settings are those that danu has by default, as far as each knows them: identity normalisation, words with
the space before them, split at digits and changes of script, pieces of up to 16 characters, byte fallback, every
character a piece.
"""

import argparse
import io
import json
import os
import pathlib
import subprocess
import sys
import time


def sentencepiece(files, pieces, threads):
    from sentencepiece import SentencePieceTrainer

    options = {} if threads is None else {"num_threads": threads}
    model = io.BytesIO()

    def train():
        SentencePieceTrainer.train(
            input=files, model_writer=model, model_type="bpe", vocab_size=pieces, normalization_rule_name="identity",
            remove_extra_whitespaces=False, byte_fallback=True, split_digits=True, character_coverage=1.0,
            max_sentence_length=1 << 24, minloglevel=2, **options)

    return train


def tokenizers(files, pieces, threads):
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>", fuse_unk=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Metaspace(prepend_scheme="first", split=True),
        pre_tokenizers.Digits(individual_digits=True),
        pre_tokenizers.UnicodeScripts(),
    ])
    fixed = ["<unk>", "<s>", "</s>"] + [f"<0x{byte:02X}>" for byte in range(256)]
    trainer = trainers.BpeTrainer(vocab_size=pieces, special_tokens=fixed, max_token_length=16, show_progress=False)
    return lambda: tokenizer.train(files, trainer)


PEERS = {"sentencepiece": sentencepiece, "tokenizers": tokenizers}


def measure(peer, files, pieces, threads):
    """Trains once in this process; the peer's module is loaded before the clock starts."""
    train = PEERS[peer](files, pieces, threads)
    wall, processor = time.perf_counter(), time.process_time()
    train()
    seconds = [time.perf_counter() - wall, time.process_time() - processor]
    return dict(zip(("seconds", "processorSeconds"), (round(value, 3) for value in seconds)))


def in_new_process(peer, files, pieces, threads):
    environment = {**os.environ, "TOKENIZERS_PARALLELISM": "true"}
    if threads is not None:
        environment["RAYON_NUM_THREADS"] = str(threads)
    command = [sys.executable, __file__, "--pieces", str(pieces), "--peer", peer, *files]
    command += [] if threads is None else ["--threads", str(threads)]
    run = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    return json.loads(run.stdout)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Times other trainers of BPE vocabularies.")
    parser.add_argument("files", nargs="+")
    parser.add_argument("--pieces", type=int, default=8000)
    parser.add_argument("--peer", choices=PEERS, help=argparse.SUPPRESS)
    parser.add_argument("--threads", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    files, pieces = arguments.files, arguments.pieces
    if arguments.peer:
        print(json.dumps(measure(arguments.peer, files, pieces, arguments.threads)))
        sys.exit()
    result = {"bytes": sum(pathlib.Path(file).stat().st_size for file in files), "pieces": pieces}
    for peer in PEERS:
        counts = {"oneThread": 1, "defaultThreads": None}
        result[peer] = {name: in_new_process(peer, files, pieces, count) for name, count in counts.items()}
    print(json.dumps(result, indent=2))
