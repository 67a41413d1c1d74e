"""Writes the golden safetensors files of @danu/model with safetensors and transformers, and what they hold as JSON.

    python tools/golden/safetensors_files.py        (torch 2.13, transformers 5.18, safetensors 0.8)
"""
import hashlib
import json
import os
import shutil

import torch
from safetensors.torch import save_file
from transformers import LlamaConfig, LlamaForCausalLM, MistralConfig, MistralForCausalLM

OUT = os.path.join(os.path.dirname(__file__), "../../packages/model/test/golden/safetensors")

DTYPES = {
    "BOOL": torch.bool, "U8": torch.uint8, "I8": torch.int8, "F8_E5M2": torch.float8_e5m2,
    "F8_E4M3": torch.float8_e4m3fn, "F8_E8M0": torch.float8_e8m0fnu, "F8_E4M3FNUZ": torch.float8_e4m3fnuz,
    "F8_E5M2FNUZ": torch.float8_e5m2fnuz, "I16": torch.int16, "U16": torch.uint16, "F16": torch.float16,
    "BF16": torch.bfloat16, "I32": torch.int32, "U32": torch.uint32, "F32": torch.float32, "C64": torch.complex64,
    "F64": torch.float64, "I64": torch.int64, "U64": torch.uint64,
}


def raw(tensor):
    return tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()


def from_bytes(start, shape, dtype):
    size = torch.tensor([], dtype=dtype).element_size()
    count = size
    for n in shape:
        count *= n
    values = [(start + 7 * i) % (2 if dtype == torch.bool else 251) for i in range(count)]
    return torch.tensor(values, dtype=torch.uint8).view(dtype).reshape(shape)


def entry(name, dtype, tensor):
    return {"name": name, "dtype": dtype, "shape": list(tensor.shape), "hex": raw(tensor).hex()}


def save_case(case, tensors, metadata):
    path = os.path.join(OUT, f"{case}.safetensors")
    save_file({name: tensor for name, (_, tensor) in tensors.items()}, path, metadata=metadata)
    entries = [entry(name, dtype, tensor) for name, (dtype, tensor) in tensors.items()]
    with open(os.path.join(OUT, f"{case}.json"), "w", encoding="utf-8") as f:
        json.dump({"metadata": metadata or {}, "tensors": entries}, f, indent=1, ensure_ascii=False)
        f.write("\n")


def save_model(case, model, **options):
    folder = os.path.join(OUT, case)
    model.save_pretrained(folder, **options)
    tensors = model.state_dict().items()
    held = {name: {"shape": list(t.shape), "sha256": hashlib.sha256(raw(t)).hexdigest()} for name, t in tensors}
    with open(os.path.join(folder, "expected.json"), "w", encoding="utf-8") as f:
        json.dump(held, f, indent=1, sort_keys=True)
        f.write("\n")


shutil.rmtree(OUT, ignore_errors=True)
os.makedirs(OUT)
torch.manual_seed(0)

every_dtype = {f"t.{name}": (name, from_bytes(i, [3, 2], dtype)) for i, (name, dtype) in enumerate(DTYPES.items())}
save_case("dtypes", every_dtype, {"format": "pt"})
save_case("shapes", {
    "scalar": ("F32", torch.tensor(float("nan"))),
    "empty": ("F32", torch.zeros(0)),
    "empty.matrix": ("I64", torch.zeros(3, 0, 2, dtype=torch.int64)),
    "special": ("F32", torch.tensor([float("inf"), float("-inf"), -0.0, 1e38, 1e-45])),
    "odd": ("U8", torch.arange(5, dtype=torch.uint8)),
    "1": ("F16", torch.ones(1, 1, 1, 1, 1, 1, dtype=torch.float16)),
    "0": ("BF16", torch.ones(2, dtype=torch.bfloat16)),
}, None)
names = ["", "__proto__", "constructor", "toString", "a.b.c", "naïve", "日本", "\U0001f600", "\ue000",
         "quote\"back\\slash", "line\nbreak\ttab\x01", "\x7f"]
every_name = {name: ("U8", torch.tensor([i], dtype=torch.uint8)) for i, name in enumerate(names)}
save_case("names", every_name, {"format": "pt"})
save_case("none", {}, None)

shape = dict(vocab_size=32, hidden_size=16, intermediate_size=24, num_hidden_layers=1, num_attention_heads=4,
             num_key_value_heads=2, max_position_embeddings=64)
mistral = MistralConfig(**shape, head_dim=10, sliding_window=16, rope_theta=100000.0, rms_norm_eps=1e-5, pad_token_id=0)
save_model("mistral-sharded", MistralForCausalLM(mistral).to(torch.bfloat16), max_shard_size="2KB")
llama = LlamaConfig(**shape, tie_word_embeddings=True, initializer_range=0.01)
save_model("llama-tied", LlamaForCausalLM(llama))
