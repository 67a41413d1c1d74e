"""What the golden generators share: seeds, paths, exact writers, and transformers' decoder in float64."""

import json
import os
import re
import sys
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
import transformers
from safetensors.numpy import save_file
from torch.nn import functional as F

GOLDEN = Path(os.environ.get("DANU_GOLDEN", Path(__file__).parents[2] / "packages/testing/golden"))
IGNORE = -100

torch.set_num_threads(1)
torch.use_deterministic_algorithms(True)
transformers.logging.set_verbosity_error()
transformers.utils.logging.disable_progress_bar()


def versions():
    """The libraries that made a golden file, for its JSON."""
    return {"torch": torch.__version__.split("+")[0], "transformers": transformers.__version__}


def write_tensors(path, tensors):
    """Writes tensors sorted by name: floats as float32, integers as int32, so that the bytes are reproducible."""
    arrays = {}
    for name in sorted(tensors):
        array = tensors[name].detach().cpu().numpy()
        kind = np.float32 if array.dtype.kind == "f" else np.int32
        arrays[name] = np.ascontiguousarray(array.astype(kind))
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(arrays, str(path))
    path.chmod(0o644)


def write_json(path, value):
    """Writes indented JSON, with arrays of plain values on one line; floats round-trip exactly."""
    text = json.dumps(value, indent=2, allow_nan=False)
    flat = re.compile(r"\[\s+((?:[^\[\]{}\"]|\"[^\"]*\")*?)\s+\]")
    text = flat.sub(lambda found: "[" + re.sub(r"\s*\n\s*", " ", found.group(1)) + "]", text)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text + "\n")


def fill_parameters(model, seed, scale):
    """Draws every parameter from one seeded stream, by sorted name; norm weights are spread around one."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in sorted(model.named_parameters()):
            noise = torch.randn(parameter.shape, generator=generator)
            parameter.copy_(1 + 0.2 * noise if "norm" in name else scale * noise)


def next_token_targets(ids):
    """Targets [B, T] for ids [B, T]: position t asks for token t + 1, the last position asks for nothing."""
    return torch.cat([ids[:, 1:], torch.full_like(ids[:, :1], IGNORE)], dim=1)


def cross_entropy(logits, targets, reduction="mean"):
    """Cross-entropy of logits [B, T, V] at the targets [B, T] that are not ignored."""
    return F.cross_entropy(logits.reshape(-1, logits.shape[-1]), targets.reshape(-1).long(),
                           ignore_index=IGNORE, reduction=reduction)


def gradients(model):
    """The gradient of every parameter under `grad.<name>`; fails on a missing or an all-zero one."""
    found = {}
    for name, parameter in model.named_parameters():
        if parameter.grad is None or not parameter.grad.abs().max() > 0:
            raise AssertionError(f"{name} has no gradient")
        found[f"grad.{name}"] = parameter.grad
    return found


def relative_error(actual, truth):
    """max|actual - truth| / max(max|truth|, 0.01): the error measure of the golden tests. The floor keeps a tensor
    whose true value is zero (the query gradient of a query that sees one key) from dividing by rounding noise."""
    truth = truth.double()
    return ((actual.double() - truth).abs().max() / truth.abs().max().clamp(min=1e-2)).item()


def two_digits(value):
    """Keeps two significant digits of an error, which is all that repeats from one machine to another."""
    return float(f"{value:.1e}")


def _rms_norm64(self, x):
    return self.weight * (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.variance_epsilon))


def _rotary64(self, x, position_ids):
    config = self.config
    dim = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    frequency = config.rope_parameters["rope_theta"] ** (-torch.arange(0, dim, 2, dtype=torch.float64) / dim)
    angle = position_ids[..., None].double() * frequency
    angle = torch.cat([angle, angle], dim=-1)
    return angle.cos(), angle.sin()


def _attention64(module, query, key, value, attention_mask, scaling, **_):
    key = key.repeat_interleave(module.num_key_value_groups, dim=1)
    value = value.repeat_interleave(module.num_key_value_groups, dim=1)
    scores = query @ key.transpose(2, 3) * scaling
    weights = torch.softmax(scores if attention_mask is None else scores + attention_mask, dim=-1)
    return (weights @ value).transpose(1, 2).contiguous(), weights


@contextmanager
def float64(model):
    """Runs the model in float64 throughout. transformers computes norm, rotary angle and softmax in float32
    whatever the model's dtype, so these three are replaced by float64 ones while the context is open."""
    source = sys.modules[type(model).__module__]
    kind = type(model).__name__.removesuffix("ForCausalLM")
    replaced = [(getattr(source, f"{kind}RMSNorm"), "forward", _rms_norm64),
                (getattr(source, f"{kind}RotaryEmbedding"), "forward", _rotary64),
                (source, "eager_attention_forward", _attention64)]
    kept = [getattr(owner, name) for owner, name, _ in replaced]
    try:
        for owner, name, function in replaced:
            setattr(owner, name, function)
        yield model.double()
    finally:
        for (owner, name, _), function in zip(replaced, kept):
            setattr(owner, name, function)
