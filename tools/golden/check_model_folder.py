"""Loads a model folder with transformers and compares its logits with another implementation's.

python check_model_folder.py MODEL [--adapter DIR] --ids ids.json [--logits theirs.safetensors] [--out ours.safetensors]
                                   [--tolerance 1e-4] [--dtype float32|float64|bfloat16]

ids.json holds [[id, …], …] with rows of equal length; a logits file holds `logits` f32 [B, T, V]. An adapter is loaded
over the model with peft. Exits with 1 when the largest difference, relative to the largest logit, is over the tolerance.
"""

import argparse
import json
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from common import float64, write_tensors

TOKENIZER_FILES = ["tokenizer.json", "tokenizer.model"]
SAMPLE = "The quick brown fox, 1984 — naïve café.\n  two spaces"


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--adapter", type=Path, help="an adapter of the model, in PEFT's format")
    parser.add_argument("--ids", type=Path, required=True)
    parser.add_argument("--logits", type=Path, help="logits to compare with")
    parser.add_argument("--out", type=Path, help="where to write transformers' logits")
    parser.add_argument("--tolerance", type=float, default=1e-4)
    parser.add_argument("--dtype", choices=["float32", "float64", "bfloat16"], default="float32")
    return parser.parse_args()


def check_tokenizer(folder):
    """Encodes and decodes a sample, when the folder has a tokenizer."""
    if not any((folder / name).exists() for name in TOKENIZER_FILES):
        print("tokenizer: none in the folder")
        return
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    ids = tokenizer(SAMPLE)["input_ids"]
    print(f"tokenizer: {type(tokenizer).__name__}, {len(tokenizer)} tokens, the sample gives {ids}")
    print(f"tokenizer: decoded {tokenizer.decode(ids, skip_special_tokens=True)!r}")


def with_adapter(model, folder):
    """The model with an adapter of peft over it; fails when a weight is missing from its folder or left over in it."""
    from peft import PeftModel, get_peft_model_state_dict

    adapted = PeftModel.from_pretrained(model, folder)
    file, loaded = load_file(folder / "adapter_model.safetensors"), get_peft_model_state_dict(adapted)
    wrong = sorted(name for name in file.keys() | loaded.keys()
                   if name not in file or name not in loaded or not torch.equal(file[name], loaded[name].to(file[name].dtype)))
    if wrong:
        sys.exit(f"{folder}: the weights do not fit the configuration: {wrong}")
    print(f"adapter: {adapted.peft_config['default'].peft_type.value}, {sum(weight.numel() for weight in file.values())} parameters")
    return adapted


def logits_of(folder, adapter, ids, dtype):
    """transformers' logits [B, T, V]; fails when a weight is missing from the folder or left over in it."""
    model, report = AutoModelForCausalLM.from_pretrained(
        folder, attn_implementation="eager", local_files_only=True, output_loading_info=True,
        dtype=torch.bfloat16 if dtype == "bfloat16" else torch.float32)
    wrong = {key: sorted(map(str, value)) for key, value in report.items() if value}
    if wrong:
        sys.exit(f"{folder}: the weights do not fit the configuration: {wrong}")
    count = sum(parameter.numel() for parameter in model.parameters())
    print(f"model: {type(model).__name__}, {count} parameters, window {getattr(model.config, 'sliding_window', None)}")
    if adapter is not None:
        model = with_adapter(model, adapter)
    model.eval()
    with torch.no_grad():
        if dtype == "float64":
            with float64(model):
                return model(ids).logits
        return model(ids).logits


def compare(ours, theirs, tolerance):
    """Prints the differences and tells whether they are within the tolerance."""
    if ours.shape != theirs.shape:
        sys.exit(f"logits: expected shape {list(ours.shape)}, got {list(theirs.shape)}")
    difference = (ours.double() - theirs.double()).abs()
    relative = (difference.max() / ours.double().abs().max()).item()
    agree = (ours.argmax(-1) == theirs.argmax(-1)).double().mean().item()
    within = relative <= tolerance
    print(f"logits: max abs difference {difference.max().item():.3e}, relative to the largest {relative:.3e}, "
          f"same best token at {100 * agree:.2f} % of positions: {'within' if within else 'over'} {tolerance:g}")
    return within


def main():
    options = parse()
    ids = torch.tensor(json.loads(options.ids.read_text()))
    check_tokenizer(options.model)
    ours = logits_of(options.model, options.adapter, ids, options.dtype).float()
    if options.out is not None:
        write_tensors(options.out, {"logits": ours})
    if options.logits is not None and not compare(ours, load_file(options.logits)["logits"], options.tolerance):
        sys.exit(1)


if __name__ == "__main__":
    main()
