"""Adapters written by peft, with what transformers and peft compute from them in float64.

    python tools/golden/lora.py

Writes packages/testing/golden/lora/<case>/: adapter_config.json and adapter_model.safetensors as peft saves them, and
expected.safetensors with the tokens, logits, loss and the gradient of every part of the adapter. The base model is
decoder/mistral-untied.
"""

import json
import shutil

import peft
import torch
from transformers import AutoModelForCausalLM

from common import GOLDEN, cross_entropy, float64, next_token_targets, write_json, write_tensors

BASE = GOLDEN / "decoder/mistral-untied"
ALL = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
CASES = {
    "lora": dict(r=4, lora_alpha=16, target_modules=ALL),
    "rslora": dict(r=2, lora_alpha=3, target_modules=ALL, use_rslora=True),
    "attention-only": dict(r=3, lora_alpha=3, target_modules=["q_proj", "v_proj"]),
    "dora": dict(r=4, lora_alpha=8, target_modules=ALL, use_dora=True),
}


def fill(model, seed):
    """Moves every part of the adapter off its start, where B is zero."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in sorted(model.named_parameters()):
            if "lora_magnitude" in name:
                parameter.mul_(1 + 0.1 * torch.randn(parameter.shape, generator=generator))
            elif "lora_" in name:
                parameter.copy_(0.2 * torch.randn(parameter.shape, generator=generator))


def make(name, settings, seed):
    base = AutoModelForCausalLM.from_pretrained(BASE, attn_implementation="eager", dtype=torch.float32)
    source = base
    model = peft.get_peft_model(base, peft.LoraConfig(task_type="CAUSAL_LM", lora_dropout=0.0, **settings)).eval()
    fill(model, seed)
    folder = GOLDEN / "lora" / name
    shutil.rmtree(folder, ignore_errors=True)
    model.save_pretrained(folder)
    (folder / "README.md").unlink(missing_ok=True)
    (folder / "adapter_model.safetensors").chmod(0o644)
    config = json.loads((folder / "adapter_config.json").read_text())
    config["base_model_name_or_path"] = None
    config["target_modules"] = sorted(config["target_modules"])
    write_json(folder / "adapter_config.json", config)
    ids = torch.randint(0, base.config.vocab_size, (2, 11), generator=torch.Generator().manual_seed(seed + 1))
    targets = next_token_targets(ids)
    with float64(source):
        model.double()
        logits = model(input_ids=ids).logits
        loss = cross_entropy(logits, targets)
        loss.backward()
    # Names as in adapter_model.safetensors.
    saved = {key: key.replace(".default", "").replace("vector.weight", "vector") for key, _ in model.named_parameters()}
    found = {f"grad.{saved[key]}": value.grad for key, value in model.named_parameters() if value.requires_grad}
    expected = {"input_ids": ids, "targets": targets, "logits": logits, "loss": loss.reshape(1), **found}
    write_tensors(folder / "expected.safetensors", expected)
    print(name, len(found), loss.item())


if __name__ == "__main__":
    for number, (name, settings) in enumerate(CASES.items()):
        make(name, settings, 40 + number)
