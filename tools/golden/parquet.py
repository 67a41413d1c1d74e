"""Golden Parquet files, written by pyarrow, and their rows.

    pip install pyarrow==25.0.1
    python tools/golden/parquet.py

Writes packages/data/test/golden/parquet: `rows.json`, and files that each hold these rows, in several pages and row
groups, under every compression, page version and encoding that is read; `chat.parquet` and `preferences.parquet` have
the columns of UltraChat200k and UltraFeedback-binarized, with `chat.json` and `preferences.json`.
"""

import json
import random
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

OUT = Path(__file__).resolve().parents[2] / "packages/data/test/golden/parquet"
MESSAGES = pa.list_(pa.struct([("content", pa.string()), ("role", pa.string())]))
WORDS = ["hello ", "é", "日本", "x" * 5, "\n"]
SCHEMA = pa.schema([
    ("prompt", pa.string()), ("messages", MESSAGES), ("score", pa.float64()), ("label", pa.bool_()),
    ("rank", pa.int32()), ("id", pa.int64()), ("tags", pa.list_(pa.string())),
    ("meta", pa.struct([("a", pa.int64()), ("b", pa.list_(pa.string()))])), ("constant", pa.string()),
])
DELTA = {
    "prompt": "DELTA_BYTE_ARRAY", "messages.list.element.content": "DELTA_LENGTH_BYTE_ARRAY",
    "messages.list.element.role": "DELTA_BYTE_ARRAY", "score": "BYTE_STREAM_SPLIT", "label": "RLE",
    "rank": "DELTA_BINARY_PACKED", "id": "DELTA_BINARY_PACKED", "tags.list.element": "DELTA_BYTE_ARRAY",
    "meta.a": "DELTA_BINARY_PACKED", "meta.b.list.element": "PLAIN", "constant": "DELTA_BYTE_ARRAY",
}


def text(source, most):
    return "".join(source.choice(WORDS) for _ in range(source.randint(0, most)))


def row(i, source):
    messages = [{"content": text(source, 12), "role": "assistant" if j % 2 else "user"} for j in range(source.randint(0, 6))]
    return {
        "prompt": None if i % 7 == 3 else f"prompt {i}",
        "messages": None if i % 13 == 6 else messages,
        "score": None if i % 5 == 0 else i / 4,
        "label": i % 3 == 0,
        "rank": i if i % 2 else None,
        "id": i * 10**12,
        "tags": [f"t{k}" for k in range(i % 4)],
        "meta": None if i % 9 == 1 else {"a": i, "b": None if i % 2 else ["x", None]},
        "constant": "same",
    }


def write(name, table, **options):
    defaults = {"row_group_size": 17, "data_page_size": 100, "write_batch_size": 3, "store_schema": False}
    pq.write_table(table, OUT / f"{name}.parquet", **{**defaults, **options})


def write_rows(name, rows):
    (OUT / f"{name}.json").write_text(json.dumps(rows, ensure_ascii=True, separators=(",", ":")) + "\n")


def chat(source):
    turns = [["user", "assistant"] * source.randint(1, 3) for _ in range(12)]
    rows = []
    for i, roles in enumerate(turns):
        messages = [{"content": f"{role} {i}.{j} {text(source, 5)}", "role": role} for j, role in enumerate(roles)]
        rows.append({"prompt": messages[0]["content"], "prompt_id": f"{i:08x}", "messages": messages})
    return rows


def preferences():
    rows = []
    for i in range(12):
        answers = {name: [{"content": f"question {i}", "role": "user"}, {"content": f"{name} {i}", "role": "assistant"}]
                   for name in ("chosen", "rejected")}
        rows.append({"prompt": f"question {i}", "prompt_id": f"{i:08x}", **answers, "messages": answers["chosen"],
                     "score_chosen": 8.5, "score_rejected": 8.5 - i})
    return rows


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    source = random.Random(1)
    rows = [row(i, source) for i in range(40)]
    write_rows("rows", rows)
    table = pa.Table.from_pylist(rows, schema=SCHEMA)
    write("plain", table, compression="none", use_dictionary=False)
    write("dictionary", table, compression="none")
    write("snappy", table, compression="snappy", data_page_version="2.0")
    write("gzip-checksums", table, compression="gzip", write_page_checksum=True)
    write("brotli", table, compression="brotli", use_dictionary=False)
    write("zstd", table, compression="zstd", data_page_version="2.0", use_dictionary=False)
    write("lz4", table, compression="lz4")
    write("delta", table, compression="snappy", use_dictionary=False, column_encoding=DELTA)
    write("delta-2", table, compression="none", data_page_version="2.0", use_dictionary=False, column_encoding=DELTA)
    write("old-lists", table, compression="snappy", use_compliant_nested_type=False, version="1.0")
    conversations = chat(source)
    write_rows("chat", conversations)
    write("chat", pa.Table.from_pylist(conversations), row_group_size=5)
    pairs = preferences()
    write_rows("preferences", pairs)
    write("preferences", pa.Table.from_pylist(pairs))


if __name__ == "__main__":
    main()
