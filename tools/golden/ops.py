"""Golden op vectors in float64, and exact float conversion tables, in one JSON file.

Inputs are multiples of 1/1024 (or plain float32 values), so that a float32 implementation starts from the very same
numbers. Every case carries the error of torch's own float32 run as a yardstick.
"""

import torch
from torch.nn import functional as F
from transformers.models.mistral.modeling_mistral import apply_rotary_pos_emb

from attention import allowed_pairs, fused
from common import GOLDEN, IGNORE, relative_error, two_digits, versions, write_json
from conversions import conversion_tables

generator = torch.Generator().manual_seed(41)


def draw(*shape, scale=1.0):
    """Normal numbers rounded to multiples of 1/1024, which float32 holds exactly."""
    return (torch.randn(*shape, generator=generator) * scale * 1024).round().double() / 1024


def integers(values):
    return torch.tensor(values, dtype=torch.int64)


def pack(tensor):
    """A tensor as plain JSON: shape and row-major data."""
    return {"shape": list(tensor.shape), "data": tensor.detach().reshape(-1).tolist()}


def evaluate(function, inputs, output_gradient, dtype):
    """Output and the gradient of every input, in one dtype."""
    leaves = {name: x.detach().clone().to(dtype).requires_grad_(True) for name, x in inputs.items()}
    output = function(**leaves)
    output.backward(output_gradient.to(dtype))
    return {"output": output.detach(), **{name: x.grad for name, x in leaves.items()}}


def op_case(op, name, function, inputs, attributes=None, output_gradient=None):
    """One case: inputs, a drawn output gradient, the float64 output and gradients, and float32's error."""
    if output_gradient is None:
        output_gradient = draw(*function(**inputs).shape)
    truth = evaluate(function, inputs, output_gradient, torch.float64)
    single = evaluate(function, inputs, output_gradient, torch.float32)
    error = max(relative_error(single[key], truth[key]) for key in truth)
    output = truth.pop("output")
    return {"op": op, "name": name, "attributes": attributes or {},
            "inputs": {key: pack(x) for key, x in inputs.items()}, "outputGradient": pack(output_gradient),
            "output": pack(output), "gradients": {key: pack(x) for key, x in truth.items()},
            "torchFloat32RelativeError": two_digits(error)}


def rms_norm_cases():
    def rms_norm(eps):
        return lambda x, w: w * (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + eps))

    tiny = draw(3, 6)
    tiny[1] = 0
    yield op_case("rmsNorm", "odd width", rms_norm(1e-5), {"x": draw(3, 7), "w": draw(7)}, {"eps": 1e-5})
    yield op_case("rmsNorm", "three dimensions", rms_norm(1e-6), {"x": draw(2, 3, 16), "w": draw(16)}, {"eps": 1e-6})
    yield op_case("rmsNorm", "a row of zeros", rms_norm(1e-5), {"x": tiny, "w": draw(6)}, {"eps": 1e-5})
    yield op_case("rmsNorm", "eps outweighs x", rms_norm(1e-5), {"x": tiny / 1024, "w": draw(6)}, {"eps": 1e-5})
    yield op_case("rmsNorm", "large x", rms_norm(1e-5), {"x": draw(2, 5, scale=65536), "w": draw(5)}, {"eps": 1e-5})
    yield op_case("rmsNorm", "one channel", rms_norm(1e-5), {"x": draw(4, 1), "w": draw(1)}, {"eps": 1e-5})


def swiglu_cases():
    def swiglu(gate, up):
        return F.silu(gate) * up

    extreme = torch.tensor([[-1e4, -100.0, -88.0, -20.0, -1.25, -0.0, 0.0, 1e-30, 0.5, 20.0, 88.0, 1e4]]).double()
    yield op_case("swiglu", "plain", swiglu, {"gate": draw(4, 9, scale=2), "up": draw(4, 9)})
    yield op_case("swiglu", "extreme gates", swiglu, {"gate": extreme, "up": draw(1, 12)})


def rope_cases():
    def rope(theta, positions):
        def rotate(x):
            width = x.shape[-1]
            frequency = theta ** (-torch.arange(0, width, 2, dtype=x.dtype) / width)
            angle = positions[..., None].to(x.dtype) * frequency
            angle = torch.cat([angle, angle], dim=-1)
            return apply_rotary_pos_emb(x, x, angle.cos(), angle.sin(), unsqueeze_dim=2)[0]
        return rotate

    def case(name, theta, positions, heads, width):
        positions = integers(positions)
        x = draw(*positions.shape, heads, width)
        return op_case("rope", name, rope(theta, positions), {"x": x}, {"theta": theta, "positions": pack(positions)})

    yield case("theta 10000", 1e4, [[0, 1, 2, 3, 4]], 2, 8)
    yield case("theta 100000, head_dim 80", 1e5, [[0, 1, 9]], 1, 80)
    yield case("positions start anew", 1e4, [[0, 1, 2, 0, 1], [0, 0, 1, 2, 3]], 1, 6)
    yield case("far positions", 1e4, [[1023, 4095, 8191, 16383]], 1, 16)


def cross_entropy_cases():
    def cross_entropy(targets, reduction):
        return lambda logits: F.cross_entropy(logits, targets, ignore_index=IGNORE, reduction=reduction)

    def case(name, logits, targets, reduction, output_gradient=None):
        targets = integers(targets)
        return op_case("crossEntropy", name, cross_entropy(targets, reduction), {"logits": logits},
                       {"targets": pack(targets), "ignoreIndex": IGNORE, "reduction": reduction}, output_gradient)

    one = torch.tensor(1.0, dtype=torch.float64)
    logits = draw(6, 11, scale=3)
    partly = [3, IGNORE, 0, 10, IGNORE, 7]
    yield case("mean over the valid rows", logits, partly, "mean", one)
    yield case("sum over the valid rows", logits, partly, "sum", one)
    yield case("each row", logits, partly, "none")
    yield case("every row ignored, sum", draw(3, 5), [IGNORE] * 3, "sum", one)
    yield case("huge logits", draw(4, 7, scale=20000), [0, 6, 2, 3], "mean", one)
    yield case("one class", draw(2, 1), [0, 0], "mean", one)


def softmax_cases():
    def softmax(x):
        return x.softmax(dim=-1)

    huge = torch.tensor([[1e4, -1e4, 0.0, 1e4], [3e38, 3e38, -3e38, 0.0], [-104.0, 0.0, -17.0, -88.0]])
    yield op_case("softmax", "plain", softmax, {"x": draw(3, 6, scale=2)})
    yield op_case("softmax", "huge values", softmax, {"x": huge.double()})
    yield op_case("softmax", "one value", softmax, {"x": draw(2, 3, 1)})


def embedding_cases():
    def case(name, rows, ids):
        ids = integers(ids)
        return op_case("embedding", name, lambda table: F.embedding(ids, table), {"table": draw(rows, 4)},
                       {"ids": pack(ids)})

    yield case("repeated ids add their gradients", 7, [[6, 0, 0], [3, 6, 0]])
    yield case("one row", 1, [[0], [0]])


def attention_cases():
    def case(name, shape, window=None, starts=None, offset=0):
        batch, length, heads, key_heads, width = shape
        keys = torch.arange(length)
        allowed = allowed_pairs(keys[offset:], keys, window, None if starts is None else integers(starts))
        inputs = {"q": draw(batch, length - offset, heads, width), "k": draw(batch, length, key_heads, width),
                  "v": draw(batch, length, key_heads, width)}
        return op_case("attention", name, lambda q, k, v: fused(q, k, v, allowed), inputs,
                       {"slidingWindow": window, "documentStarts": starts, "queryOffset": offset})

    yield case("causal", (1, 5, 2, 2, 3))
    yield case("four query heads a key head", (2, 4, 4, 1, 3))
    yield case("window 3", (1, 7, 4, 1, 4), window=3)
    yield case("documents of 2, 1 and 4 tokens, window 3", (1, 7, 4, 1, 4), window=3, starts=[0, 0, 2, 3, 3, 3, 3])
    yield case("two queries after five cached keys, window 4", (1, 7, 2, 1, 4), window=4, offset=5)


def adamw_cases():
    """Three AdamW steps on one tensor in float64; entry i holds the parameter after step i + 1."""
    for name, decay, gradients in [("decay 0.1", 0.1, draw(3, 6)), ("no decay", 0.0, draw(3, 6)),
                                   ("tiny and zero gradients", 0.1, draw(3, 6).sign() * torch.tensor(
                                       [0.0, 1e-30, 1e-12, 1e-8, 1e-4, 1e4]).double())]:
        initial = draw(6)
        parameter = torch.nn.Parameter(initial.clone())
        settings = {"learningRate": 0.01, "betas": [0.9, 0.95], "epsilon": 1e-8, "weightDecay": decay}
        optimizer = torch.optim.AdamW([parameter], lr=0.01, betas=(0.9, 0.95), eps=1e-8, weight_decay=decay,
                                      foreach=False)
        after = []
        for gradient in gradients:
            parameter.grad = gradient.clone()
            optimizer.step()
            after.append(parameter.detach().clone())
        yield {"op": "adamw", "name": name, "attributes": settings, "parameter": pack(initial),
               "gradients": pack(gradients), "parameterAfterEachStep": pack(torch.stack(after))}


def main():
    families = [rms_norm_cases, swiglu_cases, rope_cases, cross_entropy_cases, softmax_cases, embedding_cases,
                attention_cases, adamw_cases]
    cases = [case for family in families for case in family()]
    for case in cases:
        print(f"{case['op']}: {case['name']}: {case.get('torchFloat32RelativeError', '')}")
    write_json(GOLDEN / "ops.json", {"layout": "rope x [B, T, H, D]; attention q [B, Tq, H, D], k and v [B, Tk, Hk, D]",
                                     "cases": cases, "conversions": conversion_tables(), "madeBy": versions()})


if __name__ == "__main__":
    main()
