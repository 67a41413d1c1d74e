"""Golden decoders: tiny transformers models with logits, loss and the gradient of every parameter.

Each case is a model folder (written by save_pretrained) with `expected.safetensors` and `case.json` beside it.
Expected values are computed in float64 and rounded once to float32; case.json says how far transformers' own
float32 run is from them, which is the yardstick for any other float32 implementation.
"""

import copy
import json
import shutil

import torch
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM, MistralConfig, MistralForCausalLM

from common import (GOLDEN, IGNORE, cross_entropy, fill_parameters, float64, gradients, next_token_targets,
                    relative_error, two_digits, versions, write_json, write_tensors)

WINDOW = 5
NARROW = dict(hidden_size=40, intermediate_size=56, num_attention_heads=8, num_key_value_heads=2, head_dim=10)
WIDE_HEAD = dict(hidden_size=24, intermediate_size=40, num_attention_heads=4, num_key_value_heads=1, head_dim=80)
PACKED_LENGTHS = [9, 1, 14]


def build(family, seed, scale=0.3, theta=10000.0, window=None, tied=False, vocabulary=53, **shape):
    """A two-layer random model; the window is dropped for families that have none."""
    options = dict(vocab_size=vocabulary, num_hidden_layers=2, max_position_embeddings=64, rms_norm_eps=1e-5,
                   rope_parameters={"rope_type": "default", "rope_theta": theta}, tie_word_embeddings=tied,
                   initializer_range=scale, bos_token_id=1, eos_token_id=2, pad_token_id=None, **shape)
    if family == "mistral":
        config, kind = MistralConfig(sliding_window=window, **options), MistralForCausalLM
    else:
        config, kind = LlamaConfig(**options), LlamaForCausalLM
    config._attn_implementation = "eager"
    model = kind(config).eval()
    fill_parameters(model, seed, scale)
    return model


def visible_keys(model, length):
    """How many inputs the last position of a one-layer copy of the model depends on, by autograd."""
    config = copy.deepcopy(model.config)
    config.num_hidden_layers = 1
    config._attn_implementation = "eager"
    single = type(model)(config).eval()
    fill_parameters(single, 1, 0.3)
    embeddings = torch.randn(1, length, config.hidden_size, generator=torch.Generator().manual_seed(2))
    embeddings.requires_grad_(True)
    single(inputs_embeds=embeddings).logits[0, -1].sum().backward()
    seen = embeddings.grad[0].abs().amax(dim=-1).gt(0).tolist()
    assert seen == [False] * (length - sum(seen)) + [True] * sum(seen), "visible keys are the last ones"
    return sum(seen)


def check_window(model, ids):
    """Proves that the window is active (no window gives other logits), and returns its convention."""
    config = copy.deepcopy(model.config)
    config.sliding_window = None
    config._attn_implementation = "eager"
    full = type(model)(config).eval()
    full.load_state_dict(model.state_dict())
    with torch.no_grad():
        difference = (model(ids).logits - full(ids).logits).abs().amax(dim=(0, 2))
    window = model.config.sliding_window
    assert difference[:window].max() < 1e-4 and difference[window:].min() > 1e-2, difference
    count = visible_keys(model, ids.shape[1])
    assert count == window, count
    print(f"  window {window}: a query sees {count} keys, itself included (key > query - window); "
          f"logits differ from no window by {difference[window:].min():.2f} or more from position {window} on")
    return {"slidingWindow": window, "visibleKeysItselfIncluded": count}


def greedy(model, prompt, count):
    """Greedy continuation by full forward passes, and the smallest lead of a chosen logit over the second."""
    ids, lead = prompt, float("inf")
    with torch.no_grad():
        for _ in range(count):
            best = model(ids).logits[0, -1].topk(2)
            lead = min(lead, (best.values[0] - best.values[1]).item())
            ids = torch.cat([ids, best.indices[:1][None]], dim=1)
    return ids[0, prompt.shape[1]:], lead


def write_like_danube(folder):
    """Rewrites config.json in the style of the published Danube files: `rope_theta` on top, `torch_dtype`."""
    path = folder / "config.json"
    config = json.loads(path.read_text())
    config["rope_theta"] = config.pop("rope_parameters")["rope_theta"]
    config["torch_dtype"] = config.pop("dtype")
    path.write_text(json.dumps(dict(sorted(config.items())), indent=2) + "\n")


def save_case(name, model, danube_style=False):
    """Writes the model folder, and proves that transformers reads the same model back from it."""
    folder = GOLDEN / "decoder" / name
    shutil.rmtree(folder, ignore_errors=True)
    model.save_pretrained(folder)
    (folder / "model.safetensors").chmod(0o644)
    if danube_style:
        write_like_danube(folder)
    probe = torch.arange(12)[None]
    again = AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager", dtype=torch.float32)
    with torch.no_grad():
        assert torch.equal(again(probe).logits, model(probe).logits), f"{name} does not load back"
    return folder


def errors(actual, truth):
    """The float32 run's relative errors: logits, loss, and the worst gradient with its name."""
    worst = max((name for name in truth if name.startswith("grad.")),
                key=lambda name: relative_error(actual[name], truth[name]))
    found = {name: two_digits(relative_error(actual[name], truth[name])) for name in ("logits", "loss")}
    found["gradient"] = two_digits(relative_error(actual[worst], truth[worst]))
    assert max(found.values()) < 1e-4, f"float32 and float64 disagree: {found}, {worst}"
    return {**found, "worstGradient": worst.removeprefix("grad.")}


def plain_results(model, ids):
    """Logits [B, T, V], mean loss [1] and gradients of one batch."""
    model.zero_grad(set_to_none=True)
    logits = model(ids).logits
    loss = cross_entropy(logits, next_token_targets(ids))
    loss.backward()
    return {"logits": logits.detach(), "loss": loss.detach()[None], **gradients(model)}


def plain_case(name, family, seed, batch=2, length=17, danube_style=False, **options):
    """A batch of random tokens through one model."""
    print(name)
    model = build(family, seed, **options)
    generator = torch.Generator().manual_seed(seed + 1000)
    ids = torch.randint(0, model.config.vocab_size, (batch, length), generator=generator)
    folder = save_case(name, model, danube_style)
    window = check_window(model, ids) if getattr(model.config, "sliding_window", None) else {"slidingWindow": None}
    single = {key: value.clone() for key, value in plain_results(model, ids).items()}
    prompt, count = ids[:1, :6], 20
    generated = model.generate(prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=count, do_sample=False,
                               eos_token_id=None, pad_token_id=0)[0, 6:]
    with float64(model):
        truth = plain_results(model, ids)
        continuation, lead = greedy(model, prompt, count)
    assert lead > 1e-3 and torch.equal(continuation, generated), f"greedy generation is ambiguous: {lead}"
    write_tensors(folder / "expected.safetensors", {"input_ids": ids, "targets": next_token_targets(ids), **truth})
    write_json(folder / "case.json", {
        "lossReduction": "mean", "loss": truth["loss"].item(), "window": window,
        "greedy": {"promptIds": prompt[0].tolist(), "newIds": continuation.tolist(), "smallestLead": two_digits(lead)},
        "transformersFloat32RelativeError": errors(single, truth), "madeBy": versions()})


def packed_mask(lengths, window, dtype):
    """Additive mask [1, 1, T, T]: same document, causal, at most `window` keys with the query's own."""
    document = torch.repeat_interleave(torch.arange(len(lengths)), torch.tensor(lengths))
    distance = torch.arange(len(document))[:, None] - torch.arange(len(document))[None, :]
    allowed = (document[:, None] == document[None, :]) & (distance >= 0) & (distance < window)
    return torch.zeros(allowed.shape, dtype=dtype).masked_fill(~allowed, torch.finfo(dtype).min)[None, None]


def one_by_one(model, documents):
    """Logits [1, sum T, V], summed loss [1] and gradients from separate runs, one a document."""
    model.zero_grad(set_to_none=True)
    logits, total = [], 0.0
    for ids in documents:
        found = model(ids[None]).logits
        loss = cross_entropy(found, next_token_targets(ids[None]), "sum")
        loss.backward()
        logits.append(found.detach())
        total = total + loss.detach()
    return {"logits": torch.cat(logits, dim=1), "loss": total[None], **gradients(model)}


def packed_in_one_row(model, ids, targets, positions):
    """The same as `one_by_one`, from one row with a block-diagonal mask and positions that start anew."""
    model.zero_grad(set_to_none=True)
    mask = packed_mask(PACKED_LENGTHS, model.config.sliding_window, next(model.parameters()).dtype)
    logits = model(ids, attention_mask=mask, position_ids=positions).logits
    loss = cross_entropy(logits, targets, "sum")
    loss.backward()
    return {"logits": logits.detach(), "loss": loss.detach()[None], **gradients(model)}


def packed_case(name, seed):
    """Three documents (one of a single token) in a row: expected values come from running them one by one."""
    print(name)
    model = build("mistral", seed, window=WINDOW, **NARROW)
    generator = torch.Generator().manual_seed(seed + 1000)
    documents = [torch.randint(0, model.config.vocab_size, (n,), generator=generator) for n in PACKED_LENGTHS]
    lengths = torch.tensor(PACKED_LENGTHS)
    starts = torch.repeat_interleave(lengths.cumsum(0) - lengths, lengths)[None]
    ids = torch.cat(documents)[None]
    targets = torch.cat([next_token_targets(document[None]) for document in documents], dim=1)
    positions = torch.arange(ids.shape[1])[None] - starts
    folder = save_case(name, model)
    single = {key: value.clone() for key, value in packed_in_one_row(model, ids, targets, positions).items()}
    with float64(model):
        row = {key: value.clone() for key, value in packed_in_one_row(model, ids, targets, positions).items()}
        truth = {key: value.clone() for key, value in one_by_one(model, documents).items()}
        joined = model(ids).logits.detach()
    assert max(relative_error(row[key], truth[key]) for key in truth) < 1e-12, "packing changes the result"
    assert relative_error(joined, truth["logits"]) > 1e-2, "the document mask changes nothing"
    write_tensors(folder / "expected.safetensors", {
        "input_ids": ids, "targets": targets, "positions": positions, "document_starts": starts, **truth})
    write_json(folder / "case.json", {
        "lossReduction": "sum", "loss": truth["loss"].item(), "validTargets": int((targets != IGNORE).sum()),
        "documentLengths": PACKED_LENGTHS, "window": {"slidingWindow": WINDOW, "visibleKeysItselfIncluded": WINDOW},
        "transformersFloat32RelativeError": errors(single, truth), "madeBy": versions()})


def main():
    plain_case("mistral-window", "mistral", 11, window=WINDOW, **NARROW)
    plain_case("mistral-head-dim-80-theta-100000", "mistral", 12, theta=100000.0, danube_style=True, **WIDE_HEAD)
    plain_case("mistral-tied", "mistral", 23, tied=True, **NARROW)
    plain_case("mistral-untied", "mistral", 14, length=23, batch=1, **NARROW)
    plain_case("llama", "llama", 15, theta=500000.0, batch=3, length=8, **NARROW)
    packed_case("packed-documents", 16)


if __name__ == "__main__":
    main()
