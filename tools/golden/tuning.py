"""Fine-tuning by TRL: five DPO steps of an adapter with peft, and the loss of supervised fine-tuning.

    pip install -r tools/golden/requirements.txt
    python tools/golden/tuning.py

Writes packages/testing/golden/tuning/: dpo.json with the pairs, settings, and at each step loss, gradient norm and
metrics of DPOTrainer; dpo/initial and dpo/final, the adapter before and after as peft saves it; sft.json with rows,
masks and the losses of SFTTrainer. The base model is decoder/mistral-untied. Everything runs in float64.
"""

import json
import random
import shutil
import tempfile

import peft
import torch
from datasets import Dataset
from tokenizers import Tokenizer, models, pre_tokenizers
from torch.utils.data import SequentialSampler
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast
from trl import DPOConfig, DPOTrainer, SFTConfig, SFTTrainer

from common import GOLDEN, float64, versions, write_json

BASE = GOLDEN / "decoder/mistral-untied"
OUT = GOLDEN / "tuning"
ALL = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
VOCABULARY, EOS, STEPS, PAIRS = 53, 2, 5, 4

generator = random.Random(20240126)


def tokenizer():
    """A tokenizer for which `<5> <6>` is 5, 6: ids are given as text, so that TRL's own preparation runs."""
    words = {f"<{i}>": i for i in range(VOCABULARY)}
    core = Tokenizer(models.WordLevel(words, unk_token="<0>"))
    core.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=core, unk_token="<0>", eos_token=f"<{EOS}>", pad_token="<0>")


def text(ids):
    return " ".join(f"<{i}>" for i in ids)


def draw(low, high):
    return [generator.randrange(3, VOCABULARY) for _ in range(generator.randint(low, high))]


def draw_pair():
    return {"prompt": draw(2, 9), "chosen": draw(1, 10) + [EOS], "rejected": draw(1, 10) + [EOS]}


class InOrder:
    """Takes the rows as they stand, and keeps every loss as it is."""

    def _get_train_sampler(self, dataset=None):
        return SequentialSampler(dataset or self.train_dataset)

    def compute_loss(self, *args, **kwargs):
        result = super().compute_loss(*args, **kwargs)
        self.losses.append(result.item())
        return result


class Preference(InOrder, DPOTrainer):
    losses = []


class Supervised(InOrder, SFTTrainer):
    losses = []
    unshifted = False

    def _get_num_items_in_batch(self, batch_samples, device):
        if not self.unshifted:
            return super()._get_num_items_in_batch(batch_samples, device)
        return torch.tensor(sum((batch["labels"] != -100).sum() for batch in batch_samples))


def save_adapter(model, folder):
    shutil.rmtree(folder, ignore_errors=True)
    model.save_pretrained(folder, selected_adapters=["default"])
    (folder / "README.md").unlink(missing_ok=True)
    (folder / "adapter_model.safetensors").chmod(0o644)
    config = json.loads((folder / "adapter_config.json").read_text())
    config["base_model_name_or_path"] = None
    config["target_modules"] = sorted(config["target_modules"])
    write_json(folder / "adapter_config.json", config)


def base_model():
    return AutoModelForCausalLM.from_pretrained(BASE, attn_implementation="eager", dtype=torch.float32)


COMMON = dict(
    use_cpu=True, bf16=False, gradient_checkpointing=False, lr_scheduler_type="constant", logging_steps=1,
    report_to="none", save_strategy="no", seed=1, optim="adamw_torch", disable_tqdm=True, dataset_num_proc=None,
)


def make_dpo():
    pairs = [draw_pair() for _ in range(STEPS * PAIRS)]
    settings = {"beta": 0.2, "learningRate": 0.02, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8, "weightDecay": 0.1,
                "maxGradientNorm": 1.0, "pairsPerBatch": PAIRS}
    source = base_model()
    torch.manual_seed(3)
    model = peft.get_peft_model(source, peft.LoraConfig(
        task_type="CAUSAL_LM", r=4, lora_alpha=16, lora_dropout=0.0, target_modules=ALL))
    save_adapter(model, OUT / "dpo/initial")
    rows = [{"prompt": text(p["prompt"]) + " ", "chosen": text(p["chosen"]), "rejected": text(p["rejected"])} for p in pairs]
    with float64(source), tempfile.TemporaryDirectory() as out:
        model.double()
        trainer = Preference(
            model=model, processing_class=tokenizer(), train_dataset=Dataset.from_list(rows),
            args=DPOConfig(
                output_dir=out, beta=settings["beta"], learning_rate=settings["learningRate"], max_steps=STEPS,
                adam_beta1=0.9, adam_beta2=0.999, adam_epsilon=1e-8, weight_decay=0.1, max_grad_norm=1.0,
                per_device_train_batch_size=PAIRS, gradient_accumulation_steps=1, max_length=64, **COMMON),
        )
        found = trainer.train_dataset
        assert [row["prompt_ids"] for row in found] == [p["prompt"] for p in pairs]
        assert [row["chosen_ids"] for row in found] == [p["chosen"] for p in pairs]
        assert [row["rejected_ids"] for row in found] == [p["rejected"] for p in pairs]
        trainer.train()
        logs = [entry for entry in trainer.state.log_history if "grad_norm" in entry]
        assert len(logs) == STEPS
        steps = [{
            "loss": loss, "gradientNorm": float(entry["grad_norm"]),
            "chosenReward": entry["rewards/chosen"], "rejectedReward": entry["rewards/rejected"],
            "margin": entry["rewards/margins"], "accuracy": entry["rewards/accuracies"],
            "chosenLogProbability": entry["logps/chosen"], "rejectedLogProbability": entry["logps/rejected"],
        } for loss, entry in zip(trainer.losses, logs)]
        save_adapter(trainer.model.float(), OUT / "dpo/final")
    write_json(OUT / "dpo.json", {**versions(), "trl": trl_version(), "settings": settings, "pairs": pairs, "steps": steps})
    for step in steps:
        print("dpo", step["loss"], step["gradientNorm"], step["margin"])


def supervised_loss(rows, micro_batch, unshifted):
    """Loss of SFTTrainer's first step over all rows, micro-batch by micro-batch, and the count it divides by."""
    Supervised.losses, Supervised.unshifted = [], unshifted
    source = base_model()
    with float64(source), tempfile.TemporaryDirectory() as out:
        steps = len(rows) // micro_batch
        trainer = Supervised(
            model=source, processing_class=tokenizer(), train_dataset=Dataset.from_list(rows),
            args=SFTConfig(
                output_dir=out, learning_rate=0.0, max_steps=1, per_device_train_batch_size=micro_batch,
                gradient_accumulation_steps=steps, max_length=64, loss_type="nll", **COMMON),
        )
        batches = list(trainer.get_train_dataloader())
        count = int(trainer._get_num_items_in_batch(batches, torch.device("cpu")))
        trainer.train()
        return {"loss": sum(trainer.losses), "count": count}


def supervised_case(rows, micro_batch=2):
    return {kind: supervised_loss(rows, micro_batch, kind == "unshifted") for kind in ["shifted", "unshifted"]}


def make_sft():
    """Rows of prompt and completion, which TRL masks, and rows trained from their first token on. The denominator is
    the number of targets: labels behind the shift, in all micro-batches of the step. Until mid-2026 transformers
    counted the labels before the shift: one more for every row that is trained from its first token."""
    masked = [draw_pair() for _ in range(6)]
    whole = [draw(3, 12) + [EOS] for _ in range(6)]
    masked_rows = [{"prompt": text(p["prompt"]) + " ", "completion": text(p["chosen"])} for p in masked]
    whole_rows = [{"text": text(ids)} for ids in whole]
    cases = {
        "masked": {"prompts": [p["prompt"] for p in masked], "completions": [p["chosen"] for p in masked],
                   **supervised_case(masked_rows)},
        "whole": {"prompts": [[] for _ in whole], "completions": whole, **supervised_case(whole_rows)},
    }
    write_json(OUT / "sft.json", {**versions(), "trl": trl_version(), **cases})
    for name, case in cases.items():
        print("sft", name, case["shifted"], case["unshifted"])


def trl_version():
    import trl
    return trl.__version__


if __name__ == "__main__":
    make_dpo()
    make_sft()
