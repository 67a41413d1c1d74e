"""Golden labels of H2O LLM Studio, made by its own data set class.

    pip install torch==2.13.0 transformers==5.18.0 sentencepiece==0.2.2 pandas protobuf
    node tools/golden/save-conversations.mjs ../shared/data/sft/oasst/en_100_tree.jsonl 50 > /tmp/conversations.jsonl
    python tools/golden/labels.py PATH_OF_A_CHECKOUT ../shared/data /tmp/conversations.jsonl

The checkout is one of https://github.com/h2oai/h2o-llmstudio since its chains of conversations have a handler; of it run
`llm_studio/src/datasets/{text_causal_language_modeling_ds,conversation_chain_handler,text_utils}.py`. What these import
from the rest of it labels nothing and is stood in for here. Settings are its defaults, with Danube's markers, Llama 2's
tokenizer, and the whole of every conversation kept.

Writes packages/data/test/golden/llm-studio.json: for each conversation a hash of the characters of its tokens, and how
many of them follow each other without a label, with one, without one, and so on. Characters and not tokens, because each
turn is encoded on its own there: where the two cut words otherwise, the characters and their labels are still the same.
Spaces are left out, which any turn may begin with. No text is written.
"""

import hashlib
import itertools
import json
import pathlib
import shutil
import sys
import tempfile
import types

import numpy
import pandas

checkout, data, conversations = map(pathlib.Path, sys.argv[1:])
OUT = pathlib.Path(__file__).resolve().parents[2] / "packages/data/test/golden/llm-studio.json"
LONGEST = 16384


def stand_in(name, **members):
    sys.modules[name] = types.ModuleType(name)
    sys.modules[name].__dict__.update(members)


stand_in("llm_studio.python_configs.base", DefaultConfigProblemBase=object)
stand_in("llm_studio.src.utils.utils", PatchedAttribute=None)
sys.path.insert(0, str(checkout))
from llm_studio.src.datasets.text_causal_language_modeling_ds import CustomDataset  # noqa: E402


def settings(model):
    return types.SimpleNamespace(
        llm_backbone=model,
        dataset=types.SimpleNamespace(
            prompt_column=("instruction",), prompt_column_separator="\\n\\n", answer_column="output",
            system_column="None", id_column="id", parent_id_column="parent_id",
            text_system_start="<|system|>", text_prompt_start="<|prompt|>", text_answer_separator="<|answer|>",
            add_eos_token_to_system=True, add_eos_token_to_prompt=True, add_eos_token_to_answer=True,
            limit_chained_samples=True, mask_prompt_labels=True, only_last_answer=False),
        tokenizer=types.SimpleNamespace(
            max_length=LONGEST, add_prompt_answer_tokens=False, _padding_side="left",
            tokenizer_kwargs='{"use_fast": true, "add_prefix_space": false}'),
        augmentation=types.SimpleNamespace(skip_parent_probability=0.0, random_parent_probability=0.0),
        prediction=types.SimpleNamespace(stop_tokens=""),
        environment=types.SimpleNamespace(huggingface_branch="main", trust_remote_code=False))


def rows():
    for number, line in enumerate(conversations.read_text().splitlines()):
        messages = json.loads(line)
        assert [message["role"] for message in messages] == ["user", "assistant"] * (len(messages) // 2), number
        for turn in range(0, len(messages), 2):
            yield {"id": f"{number}-{turn}", "parent_id": f"{number}-{turn - 2}" if turn > 0 else "None",
                   "instruction": messages[turn]["content"], "output": messages[turn + 1]["content"]}


def labels(dataset, index):
    sample = dataset[index]
    used = sample["attention_mask"].bool()
    assert not used.all(), "the conversation may have been cut"
    pieces = dataset.tokenizer.convert_ids_to_tokens(sample["input_ids"][used])
    trained = (sample["labels"][used] != -100).tolist()
    characters = [(character, label) for piece, label in zip(pieces, trained) for character in piece if character != "▁"]
    text = "".join(character for character, _ in characters)
    runs = [(label, len(list(run))) for label, run in itertools.groupby(label for _, label in characters)]
    assert [label for label, _ in runs] == [False, True] * (len(runs) // 2)
    return {"characters": hashlib.sha256(text.encode()).hexdigest()[:16], "runs": [length for _, length in runs]}


numpy.random.seed(1)
with tempfile.TemporaryDirectory() as model:
    shutil.copyfile(data / "tokenizers/llama2/tokenizer.model", pathlib.Path(model) / "tokenizer.model")
    config = {"tokenizer_class": "LlamaTokenizer", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
    (pathlib.Path(model) / "tokenizer_config.json").write_text(json.dumps(config))
    dataset = CustomDataset(pandas.DataFrame(list(rows())), settings(model))
    lines = [json.dumps(labels(dataset, index)) for index in range(len(dataset))]
OUT.write_text("[\n  " + ",\n  ".join(lines) + "\n]\n")
print(f"{len(lines)} conversations, {sum(len(json.loads(line)['runs']) // 2 for line in lines)} answers: {OUT}")
