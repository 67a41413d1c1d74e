"""TRL's preference losses on given log-probabilities: drives the trainers' own methods with a stub for the model.

DPOTrainer, KTOTrainer, ORPOTrainer and CPOTrainer are made without their constructors; their methods compute losses and
metrics from logits, and autograd gives the gradients with respect to the log-probabilities. No formula of a loss is
written down here. The logits are such that every token's log-probability is a multiple of 1/UNIT, so that sums are
exact in float32 as well; what the softmax rounds is put back before TRL sees it. Everything runs in float64 but for the
parts that TRL itself casts to float32.
"""

import math
from collections import defaultdict
from types import SimpleNamespace

import torch
import trl.experimental.cpo.cpo_trainer as cpo
import trl.experimental.orpo.orpo_trainer as orpo
import trl.trainer.dpo_trainer as dpo
import trl.trainer.kto_trainer as kto

UNIT = 1024
VOCABULARY = 5
LONGEST = 7
PROMPT = 2
WIDTH = PROMPT + LONGEST

torch.set_num_threads(1)
torch.set_default_dtype(torch.float64)


def logits_of(rows):
    """Logits [N, WIDTH, VOCABULARY] under which the ids of `ids_of` have the given log-probabilities in units, and
    padding has one nat."""
    logits = torch.zeros(len(rows), WIDTH, VOCABULARY)
    ids = ids_of(len(rows))
    for n, row in enumerate(rows):
        for at, value in enumerate(row + [-UNIT] * (WIDTH - 1 - len(row))):
            logits[n, at] = math.log(-math.expm1(value / UNIT) / (VOCABULARY - 1))
            logits[n, at, ids[n, at + 1]] = value / UNIT
    return logits


def ids_of(count):
    return (torch.arange(count)[:, None] * 3 + torch.arange(WIDTH)) % VOCABULARY


def masks_of(lengths):
    """Attention and completion masks of sequences of PROMPT tokens and completions of the given lengths."""
    place = torch.arange(WIDTH)
    attention = torch.stack([place < PROMPT + length for length in lengths]).long()
    return attention, attention * (place >= PROMPT)


class Recorder:
    """Stands for selective_log_softmax: calls it, puts the exact values in, and keeps what it returned."""

    def __init__(self):
        self.returned = []
        self.original = dpo.selective_log_softmax
        for module in (dpo, kto, orpo, cpo):
            module.selective_log_softmax = self

    def __call__(self, logits, labels):
        rounded = self.original(logits, labels)
        exact = (rounded * UNIT).round() / UNIT
        # Prompts and padding that a trainer asks for under other ids have other values, which it masks.
        near = (rounded - exact).abs() < (2e-6 if rounded.dtype == torch.float32 else 1e-12)
        values = rounded + torch.where(near, exact - rounded, 0).detach()
        if values.requires_grad:
            values.retain_grad()
            self.returned.append(values)
        return values * 1


recorder = Recorder()


class Model(torch.nn.Module):
    """Gives prepared logits; others for the ids of `other`."""

    is_gradient_checkpointing = False

    def __init__(self, logits, other=(None, None)):
        super().__init__()
        self.logits, self.other = logits, other

    def forward(self, input_ids, **_):
        return SimpleNamespace(logits=self.other[1] if input_ids is self.other[0] else self.logits)


def trainer_of(kind, model, **attributes):
    """A trainer without its constructor, on one process."""
    trainer = object.__new__(kind)
    same = lambda x: x
    common = {
        "model": model, "beta": 0.1, "aux_loss_enabled": False, "is_encoder_decoder": False, "use_liger_kernel": False,
        "_metrics": {"train": defaultdict(list)}, "_total_train_tokens": 0, "_tp_size": 1,
        "accelerator": SimpleNamespace(device=torch.device("cpu"), gather=same, gather_for_metrics=same),
    }
    for name, value in {**common, **attributes}.items():
        setattr(trainer, name, value)
    return trainer


def sequences(pairs, chosen, rejected):
    """Rows of token log-probabilities: prompts with the chosen answers, then with the rejected ones."""
    return [[pair["prompt"], *pair[chosen]] for pair in pairs] + [[pair["prompt"], *pair[rejected]] for pair in pairs]


def finish(loss):
    """The loss and its gradient with respect to the log-probability of each sequence."""
    recorder.returned, (values,) = [], recorder.returned
    loss.backward()
    return loss.item(), values.grad[:, PROMPT - 1].tolist()


def run_dpo(pairs, losses, weights=None, dtype=torch.float64, discopop_tau=0.05, **settings):
    """One batch through DPOTrainer._compute_loss: loss, gradients and metrics."""
    lengths = [len(pair["chosen"]) for pair in pairs] + [len(pair["rejected"]) for pair in pairs]
    attention, completion = masks_of(lengths)
    ids = ids_of(len(lengths))
    policy = logits_of(sequences(pairs, "chosen", "rejected")).to(dtype).requires_grad_()
    reference = logits_of(sequences(pairs, "referenceChosen", "referenceRejected")).to(dtype)
    options = {
        "f_divergence_type": "reverse_kl", "f_alpha_divergence_coef": 0.5, "label_smoothing": 0.0, "ld_alpha": None,
        "use_weighting": False, "args": SimpleNamespace(discopop_tau=discopop_tau, gradient_checkpointing_kwargs=None),
        **settings,
    }
    trainer = trainer_of(
        dpo.DPOTrainer, Model(policy), ref_model=Model(reference), precompute_ref_logps=False,
        loss_types=losses, loss_weights=weights or [1.0] * len(losses), **options,
    )
    loss = trainer._compute_loss(
        trainer.model, {"input_ids": ids, "attention_mask": attention, "completion_mask": completion}, False,
    )
    metrics = {name: values[0] for name, values in trainer._metrics["train"].items()}
    if losses == ["sft"]:
        return loss.item(), sft_gradients(loss, lengths, policy), metrics
    return *finish(loss), metrics


def sft_gradients(loss, lengths, logits):
    """TRL takes this loss from the logits: the gradient is the one whose chain through the log-probabilities gives
    TRL's gradient of the logits."""
    recorder.returned, (values,) = [], recorder.returned
    half = len(lengths) // 2
    wanted = [-1 / sum(lengths[:half])] * half + [0.0] * half
    weights = torch.zeros_like(values)
    for n, length in enumerate(lengths):
        weights[n, PROMPT - 1:PROMPT - 1 + length] = wanted[n]
    (truth,) = torch.autograd.grad(loss, logits, retain_graph=True)
    (chained,) = torch.autograd.grad((values * weights).sum(), logits)
    assert (truth - chained).abs().max() < 1e-12
    return wanted


def run_pairwise(kind, pairs, **settings):
    """One batch through get_batch_loss_metrics of ORPOTrainer or CPOTrainer: loss, gradients of the
    preference term (they take the supervised one from the logits), metrics."""
    batch = {}
    for side, name in enumerate(["chosen", "rejected"]):
        lengths = [len(pair[name]) for pair in pairs]
        attention, completion = masks_of(lengths)
        ids = ids_of(2 * len(pairs))[side * len(pairs):(side + 1) * len(pairs)]
        batch |= {f"{name}_input_ids": ids, f"{name}_attention_mask": attention,
                  f"{name}_labels": torch.where(completion == 1, ids, -100)}
    logits = logits_of(sequences(pairs, "chosen", "rejected")).requires_grad_()
    trainer = trainer_of(kind, Model(logits), padding_value=0, pad_token_id=0, **settings)
    loss, metrics = trainer.get_batch_loss_metrics(trainer.model, batch)
    return *finish(loss), metrics


def run_kto(pairs, labels, **settings):
    """One batch of single examples, one answer of each pair, through KTOTrainer._compute_loss; the KL estimate is that
    of the pairs' other answers."""
    names = ["chosen" if label else "rejected" for label in labels]
    policies = [[pair["prompt"], *pair[name]] for pair, name in zip(pairs, names)]
    references = [[pair["prompt"], *pair["referenceC" + name[1:] if label else "referenceRejected"]]
                  for pair, name, label in zip(pairs, names, labels)]
    lengths = [len(row) - 1 for row in policies]
    attention, completion = masks_of(lengths)
    ids, other = ids_of(len(pairs)), ids_of(len(pairs)).clone()
    policy = logits_of(policies).requires_grad_()
    crossed = [[pair["prompt"], *pair["rejected" if label else "chosen"]] for pair, label in zip(pairs, labels)]
    crossed_reference = [sum(pair["referenceRejected" if label else "referenceChosen"]) / UNIT
                         for pair, label in zip(pairs, labels)]
    crossed_attention, crossed_completion = masks_of([len(row) - 1 for row in crossed])
    trainer = trainer_of(
        kto.KTOTrainer, Model(policy, (other, logits_of(crossed))), precompute_ref_logps=True, calculate_KL=True,
        loss_type="kto", **{"desirable_weight": 1.0, "undesirable_weight": 1.0, **settings},
    )
    loss = trainer._compute_loss(trainer.model, {
        "input_ids": ids, "attention_mask": attention, "completion_mask": completion, "label": torch.tensor(labels),
        "KL_input_ids": other, "KL_attention_mask": crossed_attention, "KL_completion_mask": crossed_completion,
        "ref_logps": torch.tensor([sum(row[1:]) / UNIT for row in references]),
        "ref_KL_logps": torch.tensor(crossed_reference),
    }, False)
    return *finish(loss), trainer._metrics["train"]["kl"][0]


CPO_DEFAULTS = {"alpha": 0.0, "loss_type": "sigmoid", "label_smoothing": 0.0, "cpo_alpha": 1.0}


def run_orpo(pairs, **settings):
    """One batch through ORPOTrainer."""
    return run_pairwise(orpo.ORPOTrainer, pairs, **settings)


def run_cpo(pairs, **settings):
    """One batch through CPOTrainer."""
    return run_pairwise(cpo.CPOTrainer, pairs, **{**CPO_DEFAULTS, **settings})


def run_cpo_of_ratios(pairs, **settings):
    """CPOTrainer.cpo_loss of log-ratios: with label smoothing, this is conservative DPO."""
    trainer = trainer_of(cpo.CPOTrainer, None, **{**CPO_DEFAULTS, **settings})
    ratios = [torch.tensor([(sum(pair[side]) - sum(pair[reference])) / UNIT for pair in pairs], requires_grad=True)
              for side, reference in [("chosen", "referenceChosen"), ("rejected", "referenceRejected")]]
    loss = trainer.cpo_loss(*ratios)[0].mean()
    loss.backward()
    return loss.item(), ratios[0].grad.tolist() + ratios[1].grad.tolist()
