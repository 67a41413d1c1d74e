"""Golden preference losses for @danu/dpo, made by TRL's trainers.

    pip install torch==2.13.0 transformers==5.18.0 trl==1.13.0 peft==0.21.0 datasets==5.0.1
    python tools/golden/preference.py

Writes packages/dpo/test/golden/pairs.json and losses.json, in about half a minute on one core. pairs.json: for `wide`
and `close` pairs, the log-probability of every token of the four completions in units of 1/1024, and of the last
prompt token. losses.json: cases of consecutive batches of `batch` pairs, with the loss of each batch and its gradient
with respect to each sequence's log-probability under the policy.
"""

import json
import pathlib
import random
from importlib.metadata import version

import torch

from preference_trl import LONGEST, UNIT, run_cpo, run_cpo_of_ratios, run_dpo, run_kto, run_orpo

OUT = pathlib.Path(__file__).resolve().parents[2] / "packages/dpo/test/golden"
PAIRS = 200

generator = random.Random(20240125)


def tokens(length, scale):
    """Log-probabilities of tokens in units of 1/UNIT, none of them certain."""
    return [-max(1, round(generator.expovariate(1 / scale) * UNIT)) for _ in range(length)]


def moved(values, by):
    """The same tokens under another model: at most certain to one part in UNIT, and at most `by` nats away each."""
    return [min(-1, value + round(generator.uniform(-by, by) * UNIT)) for value in values]


def draw_pairs(widest):
    """Pairs whose log-ratios are of all sizes up to some multiple of `widest`; the first is at the reference. No two
    have an equal margin or log-ratio: the order in which a sort leaves equal ones is not part of a loss."""
    pairs, taken = [], set()
    while len(pairs) < PAIRS:
        scale = 10 ** generator.uniform(-1.5, 0.8)
        by = 0 if not pairs else widest * 10 ** generator.uniform(-2, 0)
        chosen, rejected = tokens(generator.randint(1, LONGEST), scale), tokens(generator.randint(1, LONGEST), scale)
        pair = {"chosen": chosen, "rejected": rejected, "referenceChosen": moved(chosen, by),
                "referenceRejected": moved(rejected, by), "prompt": tokens(1, scale)[0]}
        sums = {name: sum(values) for name, values in pair.items() if name != "prompt"}
        sorted_by = {("margin", sums["chosen"] - sums["rejected"]),
                     ("reference", sums["referenceChosen"] - sums["referenceRejected"]),
                     ("chosen", sums["chosen"] - sums["referenceChosen"]),
                     ("rejected", sums["rejected"] - sums["referenceRejected"])}
        if taken.isdisjoint(sorted_by):
            taken |= sorted_by
            pairs.append(pair)
    return pairs


DATA = {"wide": draw_pairs(8), "close": draw_pairs(0.5)}


def short(value):
    """Eleven digits: closer than any comparison looks."""
    return float(f"{value:.11g}")


def batches(data, size, count=PAIRS):
    pairs = DATA[data][:count]
    return [pairs[start:start + size] for start in range(0, count, size)]


def case(loss, parameters, run, settings, data="wide", batch=1, count=PAIRS):
    """Runs consecutive batches. `run` gives loss and gradients of one."""
    values, chosen, rejected = [], [], []
    for pairs in batches(data, batch, count):
        value, gradients, *_ = run(pairs, **settings)
        values.append(short(value))
        chosen += map(short, gradients[:len(pairs)])
        rejected += map(short, gradients[len(pairs):])
    return {"loss": loss, "parameters": parameters, "data": data, "batch": batch, "values": values,
            "chosenGradients": chosen, "rejectedGradients": rejected}


def dpo_case(loss, parameters, settings, **options):
    return case(loss, parameters, run_dpo, {"losses": [loss], **settings}, **options)


def dpo_cases():
    """Every loss of DPOTrainer on 200 pairs, and on 40 with other parameters."""
    plain = ["sigmoid", "hinge", "nca_pair", "bco_pair", "sppo_hard", "apo_zero", "apo_down", "ipo", "sigmoid_norm"]
    for name in plain:
        yield dpo_case(name, {"beta": 0.1}, {"beta": 0.1})
        yield dpo_case(name, {"beta": 0.7}, {"beta": 0.7}, count=40)
    for name, first, second in [("robust", 0.1, 0.35), ("exo_pair", 0.001, 0.2)]:
        for count, beta, epsilon in [(PAIRS, 0.1, first), (40, 0.7, second)]:
            yield dpo_case(name, {"beta": beta, "labelSmoothing": epsilon}, {"beta": beta, "label_smoothing": epsilon},
                           count=count)
    for count, beta, tau in [(PAIRS, 0.1, 0.05), (40, 0.3, 0.4)]:
        yield dpo_case("discopop", {"beta": beta, "temperature": tau}, {"beta": beta, "discopop_tau": tau}, count=count)
    for name in ["aot", "aot_unpaired"]:
        for batch, beta, epsilon in [(25, 0.1, 0.0), (PAIRS, 0.3, 0.2), (1, 0.2, 0.1)]:
            yield dpo_case(name, {"beta": beta, "labelSmoothing": epsilon}, {"beta": beta, "label_smoothing": epsilon},
                           batch=batch, count=20 if batch == 1 else PAIRS)
    yield dpo_case("sft", {}, {}, batch=1)
    yield dpo_case("sft", {}, {}, batch=8)


def divergence_cases():
    """Each f-divergence on every loss that TRL allows it for; alpha_divergence in float32, as TRL computes it."""
    names = {"sigmoid": {}, "sigmoid_norm": {}, "hinge": {}, "ipo": {}, "discopop": {}}
    for divergence in ["forward_kl", "js_divergence", "alpha_divergence"]:
        for name in names:
            count = PAIRS if name == "sigmoid" else 25
            for alpha in [0.5, 1.75, 1 + 1e-7] if divergence == "alpha_divergence" and name == "sigmoid" else [0.5]:
                parameters = {"beta": 0.3, "divergence": divergence}
                settings = {"beta": 0.3, "f_divergence_type": divergence, "f_alpha_divergence_coef": alpha}
                if divergence == "alpha_divergence":
                    parameters["divergenceAlpha"] = alpha
                    settings["dtype"] = torch.float32
                yield dpo_case(name, parameters, settings, data="close", count=count)


def pairwise_cases():
    """ORPO whole; CPO, SimPO and conservative DPO from CPOTrainer."""
    for count, beta in [(PAIRS, 0.1), (40, 1.0)]:
        yield case("orpo", {"beta": beta}, run_orpo, {"beta": beta}, count=count)
    for count, beta, epsilon, weight in [(PAIRS, 0.1, 0.0, 1.0), (40, 0.5, 0.2, 0.3), (40, 0.5, 0.2, 0.0)]:
        yield case("cpo", {"beta": beta, "labelSmoothing": epsilon, "supervisedWeight": weight}, run_cpo,
                   {"beta": beta, "label_smoothing": epsilon, "cpo_alpha": weight}, count=count)
    for count, beta, gamma in [(PAIRS, 2.0, 1.0), (40, 0.1, 0.5)]:
        yield case("simpo", {"beta": beta, "margin": gamma}, run_cpo,
                   {"beta": beta, "loss_type": "simpo", "simpo_gamma": gamma, "cpo_alpha": 0.0}, count=count)
    for count, beta, epsilon in [(PAIRS, 0.1, 0.1), (40, 0.7, 0.3)]:
        yield case("cdpo", {"beta": beta, "labelSmoothing": epsilon}, run_cpo_of_ratios,
                   {"beta": beta, "label_smoothing": epsilon}, count=count)


def kto_case():
    """200 single examples in batches of 8 and other sizes, desirable and not, with their KL estimates."""
    cases = []
    for data, size, beta, desirable, undesirable in [("wide", 8, 0.1, 1.0, 1.0), ("close", 1, 0.5, 1.0, 1.0),
                                                     ("close", 40, 0.5, 1.3, 0.7)]:
        values, estimates, labels, gradients = [], [], [], []
        for number, pairs in enumerate(batches(data, size)):
            marks = [(number + 3 * at) % 5 < 3 for at in range(len(pairs))]
            value, found, estimate = run_kto(pairs, marks, beta=beta, desirable_weight=desirable,
                                             undesirable_weight=undesirable)
            values.append(short(value))
            estimates.append(short(estimate))
            labels += map(int, marks)
            gradients += map(short, found)
        cases.append({"parameters": {"beta": beta, "desirableWeight": desirable, "undesirableWeight": undesirable},
                      "data": data, "batch": size, "values": values, "klEstimates": estimates, "labels": labels,
                      "gradients": gradients})
    return cases


def desensitized_case():
    """LD-DPO: TRL's token weights and sequence sums."""
    return dpo_case("sigmoid", {"beta": 0.1}, {"beta": 0.1, "ld_alpha": 0.3})


def weighted_case():
    """WPO: the weight of a pair is what it changes in one loss; another loss then follows from it."""
    weights, values = [], []
    for pairs in batches("close", 1):
        weights.append(short(run_dpo(pairs, ["sppo_hard"], use_weighting=True)[0] / run_dpo(pairs, ["sppo_hard"])[0]))
        values.append(short(run_dpo(pairs, ["bco_pair"], use_weighting=True)[0]))
    return {"loss": "bco_pair", "parameters": {"beta": 0.1}, "data": "close", "weights": weights, "values": values}


def several_case():
    """The mixture of MPO, which TRL's documentation gives as its example of several losses."""
    return case("several", [{"loss": "sigmoid", "weight": 0.8}, {"loss": "bco_pair", "weight": 0.2}], run_dpo,
                {"losses": ["sigmoid", "bco_pair"], "weights": [0.8, 0.2]})


def metrics_case():
    """Rewards, margins and accuracies of batches of 20; the very first pair is at the reference, which is a tie."""
    names = {"rewards/chosen": "chosenReward", "rewards/rejected": "rejectedReward", "rewards/margins": "margin",
             "rewards/accuracies": "accuracy", "logps/chosen": "chosenLogProbability",
             "logps/rejected": "rejectedLogProbability"}
    found = [run_dpo(pairs, ["sigmoid"], beta=0.3)[2] for pairs in batches("wide", 20)]
    simpo = [run_cpo(pairs, beta=2.0, loss_type="simpo", simpo_gamma=1.0, cpo_alpha=0.0)[2]
             for pairs in batches("wide", 20)]
    take = lambda rows: [{ours: short(row[theirs]) for theirs, ours in names.items()} for row in rows]
    return {"batch": 20, "sigmoid": take(found), "simpo": take(simpo)}


def write(name, value):
    """JSON with one line for each entry."""
    OUT.mkdir(parents=True, exist_ok=True)
    lines = [f"{json.dumps(key)}: {json.dumps(part, separators=(',', ':'))}" for key, part in value.items()]
    (OUT / name).write_text("{\n" + ",\n".join(lines) + "\n}\n")


def main():
    write("pairs.json", {"unit": UNIT, **DATA})
    cases = [*dpo_cases(), *divergence_cases(), *pairwise_cases()]
    libraries = {name: version(name).split("+")[0] for name in ["torch", "transformers", "trl"]}
    result = {"versions": libraries, "tokenWeighted": desensitized_case(), "pairWeighted": weighted_case(),
              "several": several_case(), "metrics": metrics_case(), "kto": kto_case()}
    result |= {f"case {number}: {each['loss']}": each for number, each in enumerate(cases)}
    write("losses.json", result)


if __name__ == "__main__":
    main()
