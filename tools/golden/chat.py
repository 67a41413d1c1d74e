"""Golden texts, ids and masks for chat templates, made by transformers' apply_chat_template and by jinja2.

    pip install transformers==5.18.0 jinja2==3.1.6 sentencepiece==0.2.2 protobuf
    python tools/golden/chat.py ../shared/data

Writes packages/data/test/golden/chat.json (ASCII):
  - `templates`: name → source; `specialTokens`: the variables that every rendering gets.
  - `conversations`: name → messages.
  - `texts`: `{ template, conversation, text, prompt }`: the text, and what add_generation_prompt puts after it; a
    conversation that the template refuses has `error` instead.
  - `ids`: `{ template, conversation, ids, promptIds, spans, mask }`: ids of the text with Mistral's tokenizer.model,
    and of the prompt that ends before the first answer. transformers' default class makes a tokenizer.json of the
    model, which merges some runs of spaces in another order than the model says: the ids are of the class that runs
    sentencepiece itself. Where the template has generation tags, `spans` are the parts of the text within them,
    `[start, end)` in code points, and `mask` is return_assistant_tokens_mask, left out where the two classes differ.
  - `snippets`: `{ source, variables, text }` or `error`: small templates in the environment that transformers makes.
"""

import json
import pathlib
import shutil
import sys
import tempfile

import transformers
from transformers.tokenization_utils_sentencepiece import SentencePieceBackend
from transformers.utils.chat_template_utils import _compile_jinja_template, render_jinja_template

from chat_cases import CONVERSATIONS, SNIPPETS
from chat_templates import SPECIAL_TOKENS, TEMPLATES

OUT = pathlib.Path(__file__).resolve().parents[2] / "packages/data/test/golden/chat.json"
MODEL = "tokenizers/mistral/tokenizer.model"
WITH_IDS = ["one-turn", "two-turns", "system-turn", "three-turns", "white-space", "unicode", "joining"]


def rendered(source, messages, add_generation_prompt=False):
    texts, _ = render_jinja_template(
        [messages], chat_template=source, add_generation_prompt=add_generation_prompt, **SPECIAL_TOKENS)
    return texts[0]


def texts():
    for template, source in TEMPLATES.items():
        for conversation, messages in CONVERSATIONS.items():
            case = {"template": template, "conversation": conversation}
            try:
                text = rendered(source, messages)
                prompt = rendered(source, messages, True)
            except Exception as error:
                yield case | {"error": str(error)}
                continue
            assert prompt.startswith(text), (template, conversation)
            yield case | {"text": text, "prompt": prompt[len(text):]}


def load_tokenizers(data):
    config = {"tokenizer_class": "LlamaTokenizer", "add_bos_token": True, "add_eos_token": False, "legacy": True,
              "clean_up_tokenization_spaces": False} | SPECIAL_TOKENS
    with tempfile.TemporaryDirectory() as folder:
        shutil.copyfile(data / MODEL, pathlib.Path(folder) / "tokenizer.model")
        (pathlib.Path(folder) / "tokenizer_config.json").write_text(json.dumps(config))
        return SentencePieceBackend.from_pretrained(folder), transformers.AutoTokenizer.from_pretrained(folder)


def ids(tokenizer, fast):
    for template, source in TEMPLATES.items():
        for conversation in WITH_IDS:
            messages = CONVERSATIONS[conversation]
            first_answer = next(i for i, message in enumerate(messages) if message["role"] == "assistant")
            has_tags = "generation %}" in source
            try:
                out = tokenizer.apply_chat_template(messages, chat_template=source)["input_ids"]
                prompt = tokenizer.apply_chat_template(
                    messages[:first_answer], chat_template=source, add_generation_prompt=True)["input_ids"]
            except Exception:
                continue
            case = {"template": template, "conversation": conversation, "ids": out, "promptIds": prompt}
            if has_tags:
                _, spans = render_jinja_template(
                    [messages], chat_template=source, return_assistant_tokens_mask=True, **SPECIAL_TOKENS)
                masked = fast.apply_chat_template(
                    messages, chat_template=source, return_dict=True, return_assistant_tokens_mask=True)
                case |= {"spans": spans[0]}
                if masked["input_ids"] == out:
                    case |= {"mask": masked["assistant_masks"]}
            yield case


def snippets():
    for source, variables in SNIPPETS:
        case = {"source": source, "variables": variables}
        try:
            yield case | {"text": _compile_jinja_template(source).render(**variables)}
        except Exception as error:
            yield case | {"error": str(error)}


def main():
    tokenizers = load_tokenizers(pathlib.Path(sys.argv[1]))
    golden = {"templates": TEMPLATES, "specialTokens": SPECIAL_TOKENS, "conversations": CONVERSATIONS,
              "texts": list(texts()), "ids": list(ids(*tokenizers)), "snippets": list(snippets())}
    lists = {"texts", "ids", "snippets"}
    parts = []
    for name, value in golden.items():
        if name in lists:
            rows = ",\n".join(json.dumps(row, separators=(",", ":")) for row in value)
            parts.append(f"{json.dumps(name)}:[\n{rows}\n]")
        else:
            parts.append(f"{json.dumps(name)}:{json.dumps(value, separators=(',', ':'))}")
    OUT.write_text("{" + ",\n".join(parts) + "}\n", encoding="ascii")


if __name__ == "__main__":
    main()
