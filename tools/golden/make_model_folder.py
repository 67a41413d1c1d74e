"""Writes a random Mistral model folder with transformers, sharded if asked, for other implementations to load.

python make_model_folder.py OUT [--dtype float32|bfloat16] [--max-shard-size 200KB] [--window 16] [--tied]
                                [--tokenizer FOLDER] [--ids ids.json] [--seed 51]

With --tokenizer, the vocabulary is the tokenizer's and its files are written too. With --ids, a batch of random
ids [2, 40] goes to that file, for check_model_folder.py and `danu logits`.
"""

import argparse
import json
from pathlib import Path

import torch
from transformers import AutoTokenizer, MistralConfig, MistralForCausalLM

from common import fill_parameters


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--dtype", choices=["float32", "bfloat16"], default="float32")
    parser.add_argument("--max-shard-size", default="5GB")
    parser.add_argument("--window", type=int, default=None)
    parser.add_argument("--tied", action="store_true")
    parser.add_argument("--tokenizer", type=Path)
    parser.add_argument("--ids", type=Path)
    parser.add_argument("--seed", type=int, default=51)
    return parser.parse_args()


def main():
    options = parse()
    tokenizer = None
    if options.tokenizer is not None:
        tokenizer = AutoTokenizer.from_pretrained(options.tokenizer, local_files_only=True)
    vocabulary = 512 if tokenizer is None else len(tokenizer)
    config = MistralConfig(
        vocab_size=vocabulary, hidden_size=128, intermediate_size=344, num_hidden_layers=3, num_attention_heads=8,
        num_key_value_heads=2, head_dim=80, max_position_embeddings=256, rms_norm_eps=1e-5, pad_token_id=None,
        sliding_window=options.window, tie_word_embeddings=options.tied, initializer_range=0.1, dtype=options.dtype,
        rope_parameters={"rope_type": "default", "rope_theta": 10000.0})
    model = MistralForCausalLM(config)
    fill_parameters(model, options.seed, 0.1)
    model.to(getattr(torch, options.dtype)).save_pretrained(options.out, max_shard_size=options.max_shard_size)
    if tokenizer is not None:
        tokenizer.save_pretrained(options.out)
    if options.ids is not None:
        generator = torch.Generator().manual_seed(options.seed + 1)
        options.ids.write_text(json.dumps(torch.randint(0, vocabulary, (2, 40), generator=generator).tolist()) + "\n")
    for path in sorted(options.out.iterdir()):
        print(f"{path.stat().st_size:>10}  {path.name}")


if __name__ == "__main__":
    main()
