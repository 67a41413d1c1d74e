"""A golden training run: thirty steps of PyTorch AdamW on a tiny Mistral, losses and gradient norms at every step.

Two runs start from the same weights: `plain` (one batch a step) and `accumulated` (two micro-batches with
different numbers of valid targets, the loss normalised by the step's global count). Each is made in float32 and
in float64; the float64 one is the truth, the float32 one shows how far rounding alone moves a run.
"""

import copy
import math
import shutil

import torch
from torch.nn.utils import clip_grad_norm_

from common import GOLDEN, IGNORE, cross_entropy, float64, relative_error, two_digits, versions, write_json, \
    write_tensors
from decoder import build

STEPS, WARMUP, PEAK, FLOOR = 30, 5, 1e-2, 0.1
BETAS, EPSILON, DECAY, CLIP = (0.9, 0.95), 1e-8, 0.1, 1.0
BATCH, LENGTH, VOCABULARY, WINDOW = 8, 16, 32, 6


def learning_rate(step):
    """Rate of step 1 … STEPS: linear warmup that reaches PEAK at step WARMUP, cosine to FLOOR · PEAK at STEPS."""
    if step <= WARMUP:
        return PEAK * step / WARMUP
    progress = (step - WARMUP) / (STEPS - WARMUP)
    return PEAK * (FLOOR + (1 - FLOOR) * 0.5 * (1 + math.cos(math.pi * progress)))


def draw_batches(seed):
    """Inputs and targets [STEPS, BATCH, LENGTH]: mostly next = 5 · id + 3 modulo the vocabulary, sometimes noise,
    so that there is something to learn; and the targets with some ignored, many more in the first half of the rows."""
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(0, VOCABULARY, (STEPS, BATCH, LENGTH + 1), generator=generator)
    follow = torch.rand(ids.shape, generator=generator) < 0.9
    for position in range(1, LENGTH + 1):
        rule = (5 * ids[..., position - 1] + 3) % VOCABULARY
        ids[..., position] = torch.where(follow[..., position], rule, ids[..., position])
    inputs, targets = ids[..., :-1].contiguous(), ids[..., 1:].contiguous()
    masked = targets.clone()
    for step in range(STEPS):
        for row in range(BATCH):
            ignored = (3 * step + 7 * row) % (LENGTH - 1) if row < BATCH // 2 else (step + row) % 3
            masked[step, row, :ignored] = IGNORE
    return inputs, targets, masked


def optimizer_of(model):
    """AdamW with decay on every parameter of two or more dimensions: matrices, embedding and head included."""
    groups = [
        {"params": [p for p in model.parameters() if p.ndim >= 2], "weight_decay": DECAY},
        {"params": [p for p in model.parameters() if p.ndim < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=0.0, betas=BETAS, eps=EPSILON, foreach=False)


def train(model, inputs, targets, micro_batches):
    """Runs all steps in the model's dtype; per step the loss before the update and the norm before clipping."""
    optimizer = optimizer_of(model)
    losses, norms = [], []
    for step in range(STEPS):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step + 1)
        optimizer.zero_grad(set_to_none=True)
        valid = (targets[step] != IGNORE).sum()
        total = 0.0
        for x, y in zip(inputs[step].chunk(micro_batches), targets[step].chunk(micro_batches)):
            loss = cross_entropy(model(x).logits, y, "sum") / valid
            loss.backward()
            total += loss.item()
        norms.append(clip_grad_norm_(model.parameters(), CLIP, foreach=False).item())
        losses.append(total)
        optimizer.step()
    return losses, norms


def largest_difference(actual, truth):
    """The largest relative difference of two lists."""
    return two_digits(max(abs(a - b) / abs(b) for a, b in zip(actual, truth)))


def run(initial, inputs, targets, micro_batches):
    """One run in float32 and in float64, and the float64 one's final weights."""
    single = copy.deepcopy(initial)
    losses32, norms32 = train(single, inputs, targets, micro_batches)
    with float64(copy.deepcopy(initial)) as double:
        losses64, norms64 = train(double, inputs, targets, micro_batches)
    final = {name: parameter.detach() for name, parameter in double.named_parameters()}
    difference = {
        "losses": largest_difference(losses32, losses64), "gradientNorms": largest_difference(norms32, norms64),
        "finalWeights": two_digits(max(relative_error(p, final[n]) for n, p in single.named_parameters()))}
    assert difference["losses"] < 2e-5, difference
    assert min(norms64) < CLIP < max(norms64) and losses64[-1] < 0.8 * losses64[0], (norms64, losses64)
    print(f"  loss {losses64[0]:.4f} -> {losses64[-1]:.4f}, clipped {sum(n > CLIP for n in norms64)} of {STEPS}, "
          f"float32 differs from float64 by {difference}")
    return {"float32": {"losses": losses32, "gradientNorms": norms32},
            "float64": {"losses": losses64, "gradientNorms": norms64},
            "float32RelativeDifference": difference}, final


def main():
    folder = GOLDEN / "trajectory"
    shutil.rmtree(folder, ignore_errors=True)
    model = build("mistral", 21, scale=0.1, window=WINDOW, vocabulary=VOCABULARY, hidden_size=32,
                  intermediate_size=48, num_attention_heads=4, num_key_value_heads=1, head_dim=8)
    model.save_pretrained(folder / "initial")
    (folder / "initial/model.safetensors").chmod(0o644)
    inputs, targets, masked = draw_batches(22)
    print("plain")
    plain, plain_weights = run(model, inputs, targets, 1)
    print("accumulated")
    accumulated, accumulated_weights = run(model, inputs, masked, 2)
    counts = [[int((part != IGNORE).sum()) for part in masked[step].chunk(2)] for step in range(STEPS)]
    write_tensors(folder / "batches.safetensors", {
        "inputs": inputs, "targets": targets, "accumulated_targets": masked})
    write_tensors(folder / "final.safetensors", {
        **{f"plain.{name}": value for name, value in plain_weights.items()},
        **{f"accumulated.{name}": value for name, value in accumulated_weights.items()}})
    write_json(folder / "trajectory.json", {
        "steps": STEPS,
        "optimizer": {"name": "AdamW", "betas": list(BETAS), "epsilon": EPSILON, "weightDecay": DECAY,
                      "decayed": "parameters of two or more dimensions, embedding and head included",
                      "clipNorm": CLIP, "clipScale": "min(1, clipNorm / (norm + 1e-6))"},
        "schedule": {"warmupSteps": WARMUP, "peak": PEAK, "finalShare": FLOOR,
                     "formula": "step t = 1 ... 30: t <= 5: peak t / 5; "
                                "else peak (0.1 + 0.9 (1 + cos(pi (t - 5) / 25)) / 2)"},
        "learningRates": [learning_rate(step) for step in range(1, STEPS + 1)],
        "plain": plain,
        "accumulated": {"microBatches": 2, "validTargets": counts, **accumulated},
        "madeBy": versions()})


if __name__ == "__main__":
    main()
