"""Golden steps of a linear layer in fp8 with delayed scaling, by torch's own fp8 casts.

The recipe is written here as its source describes it (Micikevicius et al. 2022; NVIDIA Transformer Engine,
`recipe.DelayedScaling` with e4m3 forward and e5m2 backward): every tensor is multiplied by its factor, saturated and cast,
the products are taken of the cast numbers, and the factors of the next step follow from the largest magnitudes so far.
The first step scales every tensor by itself.
"""

import torch

from common import GOLDEN, versions, write_json

generator = torch.Generator().manual_seed(8)
LIMIT = {torch.float8_e4m3fn: 448.0, torch.float8_e5m2: 57344.0}
TYPES = {"input": torch.float8_e4m3fn, "weight": torch.float8_e4m3fn, "gradient": torch.float8_e5m2}
HISTORY, MARGIN = 16, 0.5


def draw(*shape, scale=1.0):
    """Normal numbers rounded to multiples of 1/1024, which every type above fp8 holds alike."""
    return (torch.randn(*shape, generator=generator) * scale * 1024).round() / 1024


def quantise(x, factor, dtype):
    """The numbers that fp8 keeps of factor · x, in float64."""
    limit = LIMIT[dtype]
    return (x * factor).clamp(-limit, limit).to(dtype).double()


def pack(tensor):
    return {"shape": list(tensor.shape), "data": tensor.reshape(-1).tolist()}


def run(name, rows, inputs, outputs, scales, with_residual):
    weight = draw(outputs, inputs, scale=0.2)
    factor = {key: torch.tensor(1.0) for key in TYPES}
    history = {key: torch.zeros(HISTORY) for key in TYPES}
    steps = []
    for index, scale in enumerate(scales):
        tensors = {"input": draw(rows, inputs, scale=scale), "weight": weight, "gradient": draw(rows, outputs, scale=scale / 8)}
        residual = draw(rows, outputs) if with_residual else None
        amax = {key: x.abs().max() for key, x in tensors.items()}
        if index == 0:
            factor = {key: (LIMIT[TYPES[key]] / amax[key]) if amax[key] > 0 else torch.tensor(1.0) for key in TYPES}
        x, w, g = (quantise(tensors[key], factor[key], TYPES[key]) for key in ("input", "weight", "gradient"))
        inverse = {key: 1 / factor[key].double() for key in TYPES}
        y = x @ w.T * (inverse["input"] * inverse["weight"])
        steps.append({
            "input": pack(tensors["input"]), "gradient": pack(tensors["gradient"]),
            "residual": pack(residual) if with_residual else None,
            "output": pack(y if residual is None else y + residual),
            "inputGradient": pack(g @ w * (inverse["gradient"] * inverse["weight"])),
            "weightGradient": pack(g.T @ x * (inverse["gradient"] * inverse["input"])),
        })
        for key in TYPES:
            history[key] = torch.cat([amax[key][None], history[key][:-1]])
            top = history[key].max()
            if top > 0:
                factor[key] = torch.tensor(LIMIT[TYPES[key]] * MARGIN) / top
        steps[-1]["factors"] = [factor[key].item() for key in TYPES]
    return {"name": name, "weight": pack(weight), "steps": steps}


write_json(GOLDEN / "fp8.json", {
    "versions": versions(),
    "cases": [
        run("steady", 6, 16, 8, [1, 1, 1.5, 1], False),
        run("growing, until numbers saturate", 5, 12, 7, [1, 1.2, 4, 1, 0.5], True),
        # The largest magnitude of the second step is forgotten in the nineteenth.
        run("a spike that is forgotten", 3, 4, 2, [1, 30] + [1] * 18, False),
        run("nothing but zeros at first", 4, 8, 3, [0, 1, 1], False),
    ],
})
