"""Golden attention: grouped-query attention with causal, window and document masks, forward and backward.

The oracle is torch.nn.functional.scaled_dot_product_attention in float64 with an explicit mask; a plain softmax
over the same mask must agree with it to 1e-12 before anything is written.
"""

import torch
from torch.nn import functional as F

from common import GOLDEN, relative_error, two_digits, versions, write_json, write_tensors


def allowed_pairs(query_positions, key_positions, window=None, document_starts=None):
    """Which query [Tq] sees which key [Tk]: start of its document <= key <= query, and key > query - window."""
    query, key = query_positions[:, None], key_positions[None, :]
    allowed = key <= query
    if window is not None:
        allowed = allowed & (key > query - window)
    if document_starts is not None:
        allowed = allowed & (key >= document_starts[:, None])
    return allowed


def fused(q, k, v, allowed):
    """q [B, Tq, H, D], k and v [B, Tk, Hk, D] -> [B, Tq, H, D] by PyTorch's own attention."""
    groups = q.shape[2] // k.shape[2]
    k, v = (x.repeat_interleave(groups, dim=2) for x in (k, v))
    q, k, v = (x.transpose(1, 2) for x in (q, k, v))
    return F.scaled_dot_product_attention(q, k, v, attn_mask=allowed).transpose(1, 2)


def plain(q, k, v, allowed):
    """The same, written out: softmax(q kT / sqrt(D) + mask) v."""
    batch, length, heads, width = q.shape
    grouped = q.reshape(batch, length, k.shape[2], -1, width)
    scores = torch.einsum("bqhgd,bkhd->bhgqk", grouped, k) / width**0.5
    weights = scores.masked_fill(~allowed, float("-inf")).softmax(dim=-1)
    return torch.einsum("bhgqk,bkhd->bqhgd", weights, v).reshape(q.shape)


def forward_backward(function, inputs, allowed, output_gradient):
    """Output and the gradients of q, k, v for a given gradient of the output."""
    leaves = [x.detach().clone().requires_grad_(True) for x in inputs]
    output = function(*leaves, allowed)
    output.backward(output_gradient)
    names = ["output", "q_gradient", "k_gradient", "v_gradient"]
    return dict(zip(names, [output.detach(), *(x.grad for x in leaves)]))


def attention_case(seed, shape, window=None, lengths=None, scale=1.0):
    """Inputs and expected values of one case; `shape` is (B, Tq, Tk, H, Hk, D), the queries being the last Tq."""
    batch, query_length, key_length, heads, key_heads, width = shape
    generator = torch.Generator().manual_seed(seed)

    def draw(length, count):
        return (scale * torch.randn(batch, length, count, width, generator=generator)).double()

    inputs = [draw(query_length, heads), draw(key_length, key_heads), draw(key_length, key_heads)]
    output_gradient = draw(query_length, heads) / scale
    keys = torch.arange(key_length)
    starts = None
    if lengths is not None:
        sizes = torch.tensor(lengths)
        starts = torch.repeat_interleave(sizes.cumsum(0) - sizes, sizes)[key_length - query_length:]
    allowed = allowed_pairs(keys[key_length - query_length:], keys, window, starts)
    truth = forward_backward(fused, inputs, allowed, output_gradient)
    check = forward_backward(plain, inputs, allowed, output_gradient)
    assert max(relative_error(check[name], truth[name]) for name in truth) < 1e-12, "the two oracles differ"
    single = forward_backward(fused, [x.float() for x in inputs], allowed, output_gradient.float())
    error = {name: two_digits(relative_error(single[name], truth[name])) for name in truth}
    tensors = {"q": inputs[0], "k": inputs[1], "v": inputs[2], "output_gradient": output_gradient, **truth}
    attributes = {"slidingWindow": window, "queryOffset": key_length - query_length,
                  "documentStarts": None if starts is None else starts.tolist()}
    return tensors, attributes, error


CASES = {
    "full-head-dim-80": dict(seed=31, shape=(1, 9, 9, 4, 1, 80)),
    "window-head-dim-80": dict(seed=32, shape=(1, 21, 21, 4, 1, 80), window=6),
    "documents": dict(seed=33, shape=(1, 23, 23, 4, 2, 16), lengths=[7, 1, 15]),
    "documents-window": dict(seed=34, shape=(2, 23, 23, 4, 1, 12), window=4, lengths=[7, 1, 15]),
    "window-of-one": dict(seed=35, shape=(1, 6, 6, 2, 1, 8), window=1),
    "window-longer-than-row": dict(seed=36, shape=(1, 6, 6, 2, 2, 8), window=64),
    "cached-decode": dict(seed=37, shape=(2, 1, 19, 4, 1, 16)),
    "cached-chunk-window": dict(seed=38, shape=(1, 5, 19, 4, 1, 16), window=7),
    "large-scores": dict(seed=39, shape=(1, 12, 12, 4, 1, 8), scale=8.0),
    "single-token": dict(seed=40, shape=(3, 1, 1, 4, 4, 5)),
}


def main():
    tensors, cases = {}, {}
    for name, options in CASES.items():
        values, attributes, error = attention_case(**options)
        tensors.update({f"{name}.{key}": value for key, value in values.items()})
        cases[name] = {**attributes, "torchFloat32RelativeError": error}
        print(f"{name}: float32 error {max(error.values())}")
    write_tensors(GOLDEN / "attention" / "attention.safetensors", tensors)
    write_json(GOLDEN / "attention" / "attention.json", {
        "layout": "q [B, Tq, H, D], k and v [B, Tk, Hk, D]; the queries are the last Tq of the Tk positions",
        "mask": "documentStart <= key <= query and key > query - slidingWindow", "scale": "1 / sqrt(D)",
        "cases": cases, "madeBy": versions()})


if __name__ == "__main__":
    main()
