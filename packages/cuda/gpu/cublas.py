"""Products by cuBLASLt and cuBLAS, through PyTorch, for test/cublas.test.ts to compare ours with.

    python3 cublas.py FOLDER [--small] [--device cuda]      writes operands and results as raw bytes, and index.json

Operands are normal numbers in the type of the product, factors powers of two, results in bf16 or f32.
"""
import argparse
import json
import pathlib

import torch

arguments = argparse.ArgumentParser()
arguments.add_argument("folder", type=pathlib.Path)
arguments.add_argument("--small", action="store_true")
arguments.add_argument("--device", default="cuda")
options = arguments.parse_args()
device = options.device
options.folder.mkdir(parents=True, exist_ok=True)
torch.manual_seed(11)

E4M3, E5M2, BF16 = torch.float8_e4m3fn, torch.float8_e5m2, torch.bfloat16
NAMES = {E4M3: "f8e4m3", E5M2: "f8e5m2", BF16: "bf16", torch.float32: "f32"}
# Products of danube-1.8b, fewer rows of them; M, N, K.
SHAPES = [(48, 64, 96)] if options.small else [(4096, 2560, 2560), (4096, 640, 2560), (2048, 13824, 2560), (2048, 2560, 6912), (300, 528, 272)]


def write(name, tensor):
    tensor.contiguous().view(torch.uint8).cpu().numpy().tofile(options.folder / name)
    return {"file": name, "dtype": NAMES[tensor.dtype], "shape": list(tensor.shape)}


cases = []


def case(use, a, b, result):
    at = len(cases)
    cases.append({"use": use, "a": write(f"{at}.a", a), "b": write(f"{at}.b", b), "y": write(f"{at}.y", result)})


half, quarter = torch.tensor(0.5, device=device), torch.tensor(0.25, device=device)
for m, n, k in SHAPES:
    a, b = torch.randn(m, k, device=device), torch.randn(n, k, device=device)
    for use, dtype in (("forward", E4M3), ("inputGradient", E5M2)):
        a8, b8 = a.to(dtype), b.to(E4M3)
        case(use, a8, b8, torch._scaled_mm(a8, b8.t(), scale_a=half, scale_b=quarter, out_dtype=BF16, use_fast_accum=False))
    case("bf16", a.to(BF16), b.to(BF16), a.to(BF16) @ b.to(BF16).t())

versions = {"torch": torch.__version__, "cuda": torch.version.cuda, "device": torch.cuda.get_device_name() if device == "cuda" else "cpu"}
(options.folder / "index.json").write_text(json.dumps({"versions": versions, "cases": cases}, indent=1))
print(f"{len(cases)} products of {versions['device']}, torch {versions['torch']}")
