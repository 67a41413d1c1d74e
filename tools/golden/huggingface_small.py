"""Small tokenizer.json files for huggingface.py: every normalizer, pre-tokenizer, model option, added token,
post-processor and decoder that the reader takes, each with golden ids."""

import functools
import random

from huggingface_cases import SOME_BYTES, case
from huggingface_parts import (
    BOS, BOTH, BYTES, DEEPSEEK, FALLBACK, FUSE, GPT2, IDS, LLAMA3, LLAMA_DECODER, LLAMA_NORMALIZER, NORMALIZE,
    NO_SPACES, O200K, ODD, QWEN2, SPACES, SPECIAL, SPECIALS, Vocabularies, byte_level, decoders, every_split,
    metaspace, model, normalizers, prepend, pretokenizers, replace, spelled, split, state, strip, template, token,
)

SCRIPTS = ["a", "the ", " I", "'s", "'LL", "don't", " 12", "3456", "\u0663", "\u00bd", "\u00e9", "e\u0301",
           "\u4e16\u754c", "\U0001f600", "\U0001f469\u200d\U0001f467", "\n", "\r\n", "\n\n  ", "  ", " ", "\t",
           "\u00a0", "\u2003 ", "?!", "...", " (", "_x", "/\n", "\u01c5", "\u02b0B", "aB", "ABc", "'\u017f",
           "\u0915\u094d", "\x85", "\u2028", "\u2167", "\U00016b61", "\U0001e922"]
WORDS = ["the", " the", "king", "  ", " ", "a", "b", "th", "e", "\u2581", "\n", "\u00e9", "\u4e16", "\u754c",
         "\U0001f600", "1", "My lord", ","]


def character_cases(v):
    llama = functools.partial(
        state, normalizer=LLAMA_NORMALIZER, post_processor=BOS, decoder=LLAMA_DECODER, added=SPECIALS)
    around = [*WORDS, "<s>", "</s>", "<unk>", "<0x41>"]
    yield case("llama-2", llama(v.characters(v.words, splits=True)), around, count=30,
               config={"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<s>", "eos_token": "</s>"})
    across = v.characters(v.lines, splits=True, strings=True)
    yield case("llama-2-merges-across-spaces", llama(across), around, count=30)
    yield case("llama-2-no-fuse-strings", llama(v.characters(fuse=False, strings=True), post_processor=BOTH), around)
    for scheme in ("first", "always", "never"):
        for apart in (False, True):
            yield case(f"metaspace-{scheme}-{'split' if apart else 'whole'}", state(
                v.characters(fallback=apart), pre_tokenizer=metaspace(scheme, apart),
                decoder=metaspace(scheme, apart) if apart else LLAMA_DECODER, added=SPECIALS,
                post_processor=BOS if scheme == "first" else None), around)
    old = {"type": "Metaspace", "replacement": "\u2581", "add_prefix_space": True}
    yield case("metaspace-old-spelling", state(
        v.characters(fallback=False), pre_tokenizer=old, decoder=old, added=SPECIALS), around, count=12)
    yield case("replace-then-metaspace", state(
        v.characters(fallback=False), normalizer=SPACES, pre_tokenizer=metaspace("always", False),
        decoder=metaspace("always", False), added=SPECIALS), around, count=12)
    yield case("metaspace-first-after-strip", state(
        v.characters(fallback=False), normalizer=NORMALIZE["Strip"], pre_tokenizer=metaspace("first", False),
        decoder=metaspace("first", False), added=[*SPECIALS, token("<a>", normalized=True)]),
        [*around, "<a>"], count=12)
    yield case("gemma", state(
        v.characters(v.lines), normalizer=SPACES, decoder=decoders(NO_SPACES, FALLBACK, FUSE), added=[
            *SPECIALS, token("<turn>", special=True), token("\n\n"), token("\u2581\u2581\u2581"), token("<h1>")],
        pre_tokenizer=split({"String": " "}, "MergedWithPrevious")), [*around, "<turn>", "\n\n", "   ", "<h1>"])
    for fuse in (True, False):
        yield case(f"unk-{'fused' if fuse else 'apart'}", state(
            v.characters(fallback=False, fuse=fuse), pre_tokenizer=metaspace("always"), decoder=metaspace("always"),
            added=SPECIALS), [*around, "\u4e2d\u4e0d", "\u00fc"])
    yield case("no-unk", state(
        v.characters(fallback=False, unk=None), normalizer=LLAMA_NORMALIZER, decoder=decoders(NO_SPACES, FUSE, strip()),
        added=SPECIALS[1:]), [*around, "\u4e2d\u4e0d", "\u00fc"], count=16)
    for fuse in (True, False):
        yield case(f"some-bytes-missing-{'fused' if fuse else 'apart'}", state(
            v.characters(missing=("<0xF0>", "<0xB8>", "<0x0A>"), fuse=fuse), normalizer=LLAMA_NORMALIZER,
            decoder=LLAMA_DECODER, added=SPECIALS), [*around, "\n", "\t", "\u4e2d\u4e0d", "\u4e2d"])


def decoder_cases(v):
    plain = v.characters(strings=True, missing=set(BYTES) - set(SOME_BYTES))
    fragments = ["a", " ", "the", "\u4e2d", "\n", "<s>"]
    for name, decoder in {
        "none": None,
        "replace": NO_SPACES,
        "fuse": FUSE,
        "fallback": FALLBACK,
        "strip-both": decoders(NO_SPACES, FALLBACK, FUSE, strip(start=2, stop=1)),
        "strip-per-piece": decoders(FALLBACK, NO_SPACES, strip(start=1, stop=0)),
        "metaspace-first": metaspace("first"),
        "metaspace-never": metaspace("never"),
        "metaspace-fallback": decoders(FALLBACK, metaspace("always")),
    }.items():
        yield case(f"decoder-{name}", state(plain, normalizer=SPACES, decoder=decoder, added=SPECIALS), fragments,
                   count=6, nasty=1, decode=20)


def byte_cases(v):
    end = [token("<|endoftext|>", special=True)]
    gpt2 = v.bytes_(v.bytes, strings=True)
    few = v.bytes_(strings=True)
    texts = [*SCRIPTS, "<|endoftext|>"]
    yield case("gpt-2", state(gpt2, pre_tokenizer=byte_level(), post_processor=byte_level(True, trim=False),
                              decoder=byte_level(), added=end), texts, count=36)
    for trim in (False, True):
        yield case(f"gpt-2-prefix-space-{'trimmed' if trim else 'untrimmed'}", state(
            few, pre_tokenizer=byte_level(True), post_processor=byte_level(True, trim=trim), decoder=byte_level(),
            added=end), texts)
    chat = [token(name, special=index < 3) for index, name in enumerate(
        ["<|begin_of_text|>", "<|im_start|>", "<|im_end|>", "<tool_call>", "</tool_call>"])]
    completed = template(["<|begin_of_text|>"], [], {"<|begin_of_text|>": len(gpt2["vocab"])})
    yield case("llama-3", state(
        v.bytes_(v.bytes, ignore_merges=True), pre_tokenizer=pretokenizers(split(LLAMA3), byte_level(regex=False)),
        post_processor={"type": "Sequence", "processors": [byte_level(True, trim=False), completed]},
        decoder=byte_level(), added=chat), [*SCRIPTS, "<|im_start|>"], count=36)
    yield case("qwen-2", state(
        few, normalizer=NORMALIZE["NFC"], pre_tokenizer=pretokenizers(split(QWEN2), byte_level(regex=False)),
        post_processor=byte_level(trim=False), decoder=byte_level(), added=chat),
        [*SCRIPTS, "<|im_start|>", "<tool_call>", "e\u0301", "\u1100\u1161\u11a8", "\u212b"], count=36)
    pieces, merges = v.few_bytes
    whole = ["\u0120unreachable", "zqz", "\u0120\u0120\u0120\u0120", "a\u0120b"]
    for ignore in (True, False):
        yield case(f"ignore-merges-{str(ignore).lower()}", state(
            v.bytes_((pieces + whole, merges), ignore_merges=ignore, strings=True), pre_tokenizer=byte_level(),
            decoder=byte_level()), [" unreachable", "zqz", "    ", "a b", "x", " "], nasty=6, count=12)
    isolated = byte_level(regex=False)
    for name, pre_tokenizer in {
        "starcoder": pretokenizers({"type": "Digits", "individual_digits": True}, byte_level()),
        "digits-together": pretokenizers({"type": "Digits", "individual_digits": False}, isolated),
        "o200k": pretokenizers(split(O200K), isolated),
        "deepseek": pretokenizers(split(r"\p{N}{1,3}"), split("[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+"),
                                  split(DEEPSEEK), isolated),
        "gpt-2-removed-inverted": pretokenizers(split(GPT2, "Removed", True), isolated),
        "removed": pretokenizers(split(r"\s+", "Removed"), isolated),
        "merged-with-previous": pretokenizers(split(r"\s", "MergedWithPrevious"), isolated),
        "merged-with-next": pretokenizers(split(r"\s", "MergedWithNext"), isolated),
        "contiguous": pretokenizers(split(r"\s", "Contiguous"), isolated),
        "string-pattern": pretokenizers(split({"String": "the "}), isolated),
        "no-pattern": byte_level(regex=False),
        "split-then-prefix": pretokenizers(split(r"\s"), byte_level(True)),
    }.items():
        yield case(f"bytes-{name}", state(few, pre_tokenizer=pre_tokenizer, decoder=byte_level(), added=end), [
            *texts, "\u0663\u0664", "1\u00b2", "12345 6"], nasty=4, count=40 if name == "o200k" else 14)
    yield case("bytes-merges-across-spaces", state(
        v.bytes_(v.bytes_across), pre_tokenizer=byte_level(regex=False), decoder=byte_level()), [*WORDS, *SCRIPTS])
    foreign = [token("caf\u00e9\u0120\u4e16"), token("a b"), token("\u0120", normalized=True), token("\u4e16")]
    yield case("bytes-added-spellings", state(few, pre_tokenizer=byte_level(), decoder=byte_level(), added=foreign),
               ["caf\u00e9\u0120\u4e16", "a b", "\u0120", " ", "a", "caf\u00e9", "\u4e16"], nasty=4, decode=30)
    some = [piece for piece in pieces[:256] if piece not in ("\u0120", "\u00a9", "b")]
    yield case("bytes-incomplete-alphabet", state(
        v.bytes_((some, [])), pre_tokenizer=byte_level(), decoder=byte_level()),
        [*SCRIPTS, "b ", "\u00e9"], nasty=6, count=10)


def normalizer_cases(v):
    plain = v.characters(v.odd, fallback=False, strings=True)
    odd = [*WORDS, *ODD, "e\u0301", "\u1100\u1161\u11a8", "A\u0300B", "KING", "King", "the  b", "aaa"]
    for name, normalizer in {
        "none": None,
        "nfc": normalizers(NORMALIZE["NFC"], SPACES),
        "nfd": normalizers(NORMALIZE["NFD"], SPACES),
        "nfkc": normalizers(NORMALIZE["NFKC"], SPACES),
        "nfkd": normalizers(NORMALIZE["NFKD"], SPACES),
        "lowercase": normalizers(NORMALIZE["Lowercase"], prepend(), SPACES),
        "strip": normalizers(NORMALIZE["Strip"], prepend(), SPACES),
        "strip-accents": normalizers(NORMALIZE["NFKD"], NORMALIZE["StripAccents"], NORMALIZE["Lowercase"], SPACES),
        "replace": normalizers(replace("th", "T"), replace("aa", "b"), replace("e", ""), SPACES),
        "prepend-after-replace": normalizers(SPACES, prepend("\u2581a")),
        "nested": normalizers(normalizers(prepend()), normalizers(), normalizers(SPACES, NORMALIZE["NFC"])),
        "prepend-alone": prepend("a "),
    }.items():
        yield case(f"normalizer-{name}", state(plain, normalizer=normalizer, decoder=LLAMA_DECODER, added=[
            *SPECIALS, token("King"), token("the  b", normalized=True)]), odd, nasty=3, count=22)


def added_cases(v):
    names = {
        "plain": dict(),
        "special": dict(special=True),
        "normalized": dict(normalized=True),
        "lstrip": dict(lstrip=True),
        "rstrip": dict(rstrip=True),
        "both-strips": dict(lstrip=True, rstrip=True, special=True),
        "single-word": dict(single_word=True),
        "single-word-strips": dict(single_word=True, lstrip=True, rstrip=True),
        "normalized-strips": dict(normalized=True, lstrip=True, rstrip=True),
    }
    spellings = ["<a>", "<a>b", "the", "x y", "\u2581q", "\u00e9\u00e9"]
    fragments = ["<a>", "<a>b", "the", "The", " ", "  ", "x", "x y", "y", "\u2581q", "q", "\u00e9", "\u00e9\u00e9",
                 "e", "a", "_", "1", "\n", "\t", ".", "<s>", "</s>", "<", "<a", "\u00a0"]
    around = dict(normalizer=LLAMA_NORMALIZER, decoder=LLAMA_DECODER, post_processor=BOTH)
    plain = v.characters(fallback=False, strings=True)
    few = v.bytes_((v.few_bytes[0][:266], v.few_bytes[1][:10]))
    for name, options in names.items():
        extra = [token(spelling, **options) for spelling in spellings]
        yield case(f"added-{name}", state(plain, added=[*SPECIALS, *extra], **around), fragments, nasty=2, count=28)
        if name in ("normalized", "both-strips", "normalized-strips"):
            yield case(f"added-{name}-metaspace-first", state(
                plain, pre_tokenizer=metaspace("first", False), decoder=LLAMA_DECODER, added=[*SPECIALS, *extra]),
                fragments, nasty=2, count=24)
            yield case(f"added-{name}-bytes", state(
                few, normalizer=NORMALIZE["NFC"], pre_tokenizer=byte_level(), decoder=byte_level(), added=extra),
                [*fragments, "e\u0301"], nasty=4, count=30)
    mixed = [token("<a>", special=True), token("<a>b", normalized=True), token("b<a>"), token("  ", normalized=True),
             token(" ", lstrip=True), token("a", single_word=True), token("he<a>"),
             token("the", rstrip=True, normalized=True, special=True), token("\n", rstrip=True)]
    yield case("added-overlapping", state(plain, added=[*SPECIALS, *mixed], **around), fragments, nasty=3, count=44)
    inside = [token("th"), token("a", special=True), token("\u2581"), token("new"), token("<0x41>")]
    yield case("added-in-vocabulary", state(v.characters(), added=[*SPECIALS, *inside], **around),
               [*fragments, "A", "new"], nasty=2, count=26)
    lower = normalizers(NORMALIZE["Lowercase"], NORMALIZE["Strip"], SPACES)
    yield case("added-normalized-lowercase", state(plain, normalizer=lower, decoder=LLAMA_DECODER, added=[
        *SPECIALS, token("The King", normalized=True), token(" A ", normalized=True), token("KING")]),
        ["The King", "the king", "THE KING", " A ", "a", " ", "KING", "king", "."], nasty=4, count=30)
    several = template(["<s>", "</s>"], ["</s>", "</s>"], IDS)
    several["special_tokens"]["<s>"]["ids"] = [1, 2, 1]
    yield case("template-several", state(plain, added=SPECIALS, **{**around, "post_processor": several}), fragments,
               nasty=2, count=4)


def random_cases(v):
    """Vocabularies that no trainer would make: products in odd order, pieces without merges, merges said twice."""
    for index in range(14):
        rng = random.Random(f"random-{index}")
        letters = rng.choice(["ab\u2581", "abc", "a\u00e9\u4e16\u2581"])
        pieces = set(letters)
        while len(pieces) < rng.randrange(8, 40):
            pieces.add("".join(rng.choice(letters) for _ in range(rng.choice([1, 2, 2, 2, 3, 3, 4, 5]))))
        pieces = sorted(pieces)
        rng.shuffle(pieces)
        merges = every_split(pieces)
        rng.shuffle(merges)
        merges = [pair for pair in merges if rng.random() < 0.9]
        merges += rng.sample(merges, min(3, len(merges)))
        fallback = index % 4 == 0
        odd = model([SPECIAL[0], *(BYTES if fallback else []), *pieces],
                    merges if rng.random() < 0.5 else spelled(merges), unk_token=rng.choice(["<unk>", None]),
                    fuse_unk=rng.random() < 0.5, byte_fallback=fallback, ignore_merges=rng.random() < 0.3)
        texts = ["".join(rng.choice(letters + " ") for _ in range(length)) for length in (12, 30, 30, 90)]
        normalizer = rng.choice([SPACES, LLAMA_NORMALIZER])
        yield case(f"random-{index}", state(odd, normalizer=normalizer, decoder=LLAMA_DECODER),
                   [*letters, *letters, " ", rng.choice(["x", "\u00fc", "a"])], texts, nasty=2, count=10, decode=6)


MAKERS = [character_cases, decoder_cases, byte_cases, normalizer_cases, added_cases, random_cases]


def cases(play):
    v = Vocabularies(play)
    return [one for make in MAKERS for one in make(v)]
