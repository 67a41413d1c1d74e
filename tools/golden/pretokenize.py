"""Golden cuts for @danu/tokenizer's pre-tokenizers, made by Hugging Face tokenizers.

    pip install tokenizers==0.23.2
    python tools/golden/pretokenize.py

Writes packages/tokenizer/test/golden/pretokenize.json: texts, and for each list of patterns the lengths in bytes of the
words of every text, with a space between. No text has a character whose class changed since Unicode 14, so that the
file holds for any engine of these years.
"""

import json
import pathlib
import random
import unicodedata

from tokenizers import Regex
from tokenizers.pre_tokenizers import ByteLevel, Digits, Sequence, Split

OUT = pathlib.Path(__file__).resolve().parents[2] / "packages/tokenizer/test/golden/pretokenize.json"

FOLDED = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
LEAD = r"[^\r\n\p{L}\p{N}]?"
UPPER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]"
LOWER = r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
WHITE = r"\s*[\r\n]+|\s+(?!\S)|\s+"
POSSESSIVE = r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|%s| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+"
GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
LLAMA3 = FOLDED + "|" + LEAD + r"\p{L}+|%s| ?[^\s\p{L}\p{N}]+[\r\n]*|" + WHITE
PATTERNS = {
    "gpt2": [GPT2],
    "r50k": [r"'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s+(?!\S)|\s+"],
    "llama3": [LLAMA3 % r"\p{N}{1,3}"],
    "qwen2": [LLAMA3 % r"\p{N}"],
    "qwen3.5": [FOLDED + "|" + LEAD + r"[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|" + WHITE],
    "cl100k": [POSSESSIVE % r"\p{N}{1,3}"],
    "llada": [POSSESSIVE % r"\p{N}"],
    "nanochat": [POSSESSIVE % r"\p{N}{1,2}"],
    "seed-coder": [FOLDED + "|[^\r\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1}| ?[^\\s\\p{L}\\p{N}\r\n]+"
                   "|\\s*[\r\n]+|\\s+(?!\\S)|\\s+"],
    "o200k": [f"{LEAD}{UPPER}*{LOWER}+{FOLDED}?|{LEAD}{UPPER}+{LOWER}*{FOLDED}?"
              r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|" + WHITE],
    "tekken": [f"{LEAD}{UPPER}*{LOWER}+|{LEAD}{UPPER}+{LOWER}*" r"|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|" + WHITE],
    "starcoder": [r"\p{N}", GPT2],
    "minicpm5": [r"\p{N}{1,3}", LLAMA3 % r"\p{N}+"],
    "deepseek-v3": [
        r"\p{N}{1,3}",
        "[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+",
        "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+"
        "| ?[\\p{P}\\p{S}]+[\r\n]*|\\s*[\r\n]+|\\s+(?!\\S)|\\s+",
    ],
}

NASTY = [
    "", " ", "  ", "   ", "\n", "\r\n", "\n\n", " \n", "\n ", " \n ", "\n \n", "  \n  \n  x", "\t\ta", "a  b", "a \n b",
    "a\r\n\r\n  b", "a   \n", "a\n\n\n   ", "\u00a0a", " \u00a0a", "\u00a0\u00a0a", "\u3000\u3000\u4e2d", "a\u2028b",
    "a\u0085\u0085b", "\ufeffa", "\u180ea", "a\u200bb", " \u200b", "\u200b\u200b\u200ba",
    "don't you'll we've I'm he'd they're it's", "DON'T YOU'LL WE'VE I'M HE'D THEY'RE IT'S", "'s 's", " 's", "''s", "'",
    "a'", "a'x", "'\u017f", "a'\u017f", "'\u017fs", "'Ll 'rE", "'l", "'r", "'v", "'lla", "'sa", "x'll'll",
    "\u2019s don\u2019t", "a's's", "A'S'S", "a 'sa", "'\u00df", "1's", "1 2 12 123 1234 12345678", "a1b22c333", " 1",
    "  1", "   1 ", "\n1", "a  1", "a \n 1", "3.14, 1,000", "\u0663\u0664\u0665\u0666", "\u2167\u00b2\u00bd\u3007",
    "\uff11\uff12\uff13\uff14", "x\u00b2", "HelloWorld HTTPServer iPhone ABCdef aB", "\u4e2dABC", "A\u4e2dBC",
    "ABC\u4e2dd", "\u02b0A\u02b0B", "\u01c5a\u01c5A", "\u01c5\u01c5", " ABC", "!ABC", "!Abc", "!aBC", "\u0301",
    "\u0301\u0301", "\u0301ABC", "\u0301abc", "a\u0301b", "A\u0301B", "!\u0301a", "!!\u0301a", "!\u0301", "!!\u0301",
    " \u0301", "  \u0301a", "1\u0301", "\n\u0301", "//\n/\n", "a/b/c", "!/\r\n/", "!\n\n ", " !\n", "...\n\n...",
    "!\r\n!", "foo.bar()", "_foo __bar", "$x^y", "\u00bfque?", "\u00abquote\u00bb", "(\u4e2d)",
    "\u4e2d\u6587\u3002\u3042\u30a2\u30fc\u30fb\u309b", "a\u4e2db", "\u3042\u30991", "\u9fa5\u9fa6",
    "\uac00\ub098 \ub2e4", "\u0e2a\u0e27\u0e31\u0e2a", "\u0928\u092e\u0938\u094d\u0924\u0947",
    "\U0001f469\u200d\U0001f469\u200d\U0001f467", "\u2764\ufe0f", "\U0001f44d\U0001f3fd\n", "\U00010400\U00010428",
    "\U0001d400\U0001d41a", "\U0001d7d8\U0001d7d9", "\U0010ffff\ufffe", "\ue000\ue001a", "\0\x01a", "\0 a", "\x7f\n",
    "\x1c\x1d\x1e\x1f", "\x0b\x0c a", "`a~b|c", "<|endoftext|>", "https://example.com/a?b=c#d",
    "def f(x):\n\treturn x\n", "if (a) {\n    b();\n}\n\n\n", "\u1680\u2000\u200a\u202f\u205fa", "\u00ad\u00ada",
    "\u0600\u0601a", "a\u303fa\u3040a\u30ffa\u3105a\u4dffa\u4e00a\u9fa5a\u9fa6a",
    "\0\u3040\u3040\0\u3042", " \u00ada", "a" * 300, " " * 300, "\n" * 300, " \n" * 150, "!" * 300, "1" * 100,
    "\u4e2d" * 100, "A" * 100 + "b", "\u0301" * 50,
]

FRAGMENTS = [
    " ", " ", " ", "  ", "   ", "\n", "\n\n", "\r\n", "\r", "\t", "\u00a0", "\u3000", "\u0085", "\u2028", "\u1680",
    "\ufeff", "\u200b", "\u200d", "\ufe0f", "\0", "\x1f", "\ue000", "a", "b", "the", "He", "US", "iOS", "'", "'s", "'S",
    "'ll", "'Re", "\u017f", "\u2019", "1", "22", "333", "\u0661\u0662", "\u00bd", "\u2163", ".", ",", "!?", "/", "//",
    "-", "_", "$", "(", "\"", "\u00bf", "\u3002", "\u2014", "\u00e9", "e\u0301", "\u0301", "\u0308", "\u00df", "\u0130",
    "\u01c5", "\u02b0", "\u03a9", "\u03c3", "\u0416", "\u0436", "\u05d0", "\u05b0", "\u0627", "\u064b", "\u0915",
    "\u093f", "\u0e01", "\u0e31", "\u10d0", "\u1c90", "\u4e2d", "\u9fa6", "\u3042", "\u30a2", "\u30fc", "\u3099",
    "\u30fb", "\uac00", "\u1100\u1161", "\uff21", "\uff41", "\uff10", "\U00010400", "\U00010428", "\U0001d7d8",
    "\U0001f600", "\U0001f3fd", "\U00020000",
]
CATEGORIES = [
    "Lu", "Ll", "Lt", "Lm", "Lo", "Mn", "Mc", "Me", "Nd", "Nl", "No", "Pc", "Pd", "Ps", "Pe", "Pi", "Pf", "Po", "Sm",
    "Sc", "Sk", "So", "Zs", "Zl", "Zp", "Cc", "Cf",
]


def characters():
    """Category -> its characters as of Unicode 14, without the one that changed since."""
    found = {category: [] for category in CATEGORIES}
    for code in range(0x110000):
        category = unicodedata.category(chr(code))
        if category in found and code != 0x295:
            found[category].append(chr(code))
    return found


def texts():
    rng = random.Random(20250311)
    by_category = characters()
    made = [
        "".join(rng.choice(FRAGMENTS) for _ in range(rng.randrange(2, 24))) for _ in range(240)
    ]
    made += [
        "".join(rng.choice(by_category[rng.choice(CATEGORIES)]) for _ in range(rng.randrange(4, 30))) for _ in range(60)
    ]
    # Few kinds of characters in one text, so that runs of them meet.
    for _ in range(100):
        few = rng.sample(FRAGMENTS, 4)
        made.append("".join(rng.choice(few) for _ in range(rng.randrange(4, 24))))
    return NASTY + made


def pre_tokenizer(patterns):
    splits = [Split(Regex(pattern), "isolated") for pattern in patterns]
    return Sequence([*splits, ByteLevel(add_prefix_space=False, use_regex=False)])


def cuts(tokenizer, text):
    # ByteLevel writes one character per byte.
    lengths = [len(piece) for piece, _ in tokenizer.pre_tokenize_str(text)]
    assert sum(lengths) == len(text.encode())
    return " ".join(map(str, lengths))


def main():
    made = texts()
    by_byte_level = {
        "gpt2": ByteLevel(add_prefix_space=False, use_regex=True),
        "starcoder": Sequence([Digits(individual_digits=True), ByteLevel(add_prefix_space=False, use_regex=True)]),
    }
    cases = []
    for name, patterns in PATTERNS.items():
        tokenizer = pre_tokenizer(patterns)
        expected = [cuts(tokenizer, text) for text in made]
        if name in by_byte_level:
            assert expected == [cuts(by_byte_level[name], text) for text in made]
        cases.append({"name": name, "patterns": patterns, "cuts": expected})
    lines = ['{"texts":[', ",\n".join(map(json.dumps, made)), '],"cases":[', ",\n".join(map(json.dumps, cases)), "]}\n"]
    OUT.write_text("\n".join(lines))
    print(OUT.name, OUT.stat().st_size, len(made))


if __name__ == "__main__":
    main()
