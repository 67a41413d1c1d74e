/** Writes one column of lists of texts as a Parquet file whose pages may be cut inside rows, as older writers cut them. */

/** A value with where it stands: `repetition` 0 begins a row, `null` is a list without values. */
export interface Cell {
  readonly repetition: 0 | 1;
  readonly text: string | null;
}

type Field = readonly [id: number, type: number, bytes: readonly number[]];

const i32 = 5;
const i64 = 6;
const binary = 8;
const list = 9;
const struct = 12;

/** @param pages cells of each page  @param rows what the footer says of their number */
export function parquetOf(pages: readonly (readonly Cell[])[], rows: number): Buffer {
  const chunk = Buffer.concat(pages.map(pageOf));
  const column = fields([
    [1, i32, zigzag(6)],
    [2, list, listOf(i32, [zigzag(0)])],
    [3, list, listOf(binary, ["tags", "list", "element"].map(text))],
    [4, i32, zigzag(0)],
    [5, i64, zigzag(pages.flat().length)],
    [6, i64, zigzag(chunk.length)],
    [7, i64, zigzag(chunk.length)],
    [9, i64, zigzag(4)],
  ]);
  const group = fields([
    [
      1,
      list,
      listOf(struct, [
        fields([
          [2, i64, zigzag(4)],
          [3, struct, column],
        ]),
      ]),
    ],
    [2, i64, zigzag(chunk.length)],
    [3, i64, zigzag(rows)],
  ]);
  const schema = [
    element("schema", [[5, i32, zigzag(1)]]),
    element("tags", [
      [3, i32, zigzag(0)],
      [5, i32, zigzag(1)],
      [6, i32, zigzag(3)],
    ]),
    element("list", [
      [3, i32, zigzag(2)],
      [5, i32, zigzag(1)],
    ]),
    element("element", [
      [1, i32, zigzag(6)],
      [3, i32, zigzag(0)],
      [6, i32, zigzag(0)],
    ]),
  ];
  const footer = Buffer.from(
    fields([
      [1, i32, zigzag(1)],
      [2, list, listOf(struct, schema)],
      [3, i64, zigzag(rows)],
      [4, list, listOf(struct, [group])],
    ]),
  );
  const length = Buffer.alloc(4);
  length.writeUInt32LE(footer.length);
  return Buffer.concat([Buffer.from("PAR1"), chunk, footer, length, Buffer.from("PAR1")]);
}

function pageOf(cells: readonly Cell[]): Buffer {
  const values = cells.flatMap(({ text: value }) => (value === null ? [] : [value]));
  const body = Buffer.concat([
    levels(cells.map(({ repetition }) => repetition)),
    levels(cells.map(({ text: value }) => (value === null ? 0 : 1))),
    ...values.map((value) => {
      const bytes = Buffer.from(value);
      return Buffer.concat([word(bytes.length), bytes]);
    }),
  ]);
  const data = fields([1, 0, 3, 3].map((value, i) => [i + 1, i32, zigzag(i === 0 ? cells.length : value)]));
  const header = fields([
    [1, i32, zigzag(0)],
    [2, i32, zigzag(body.length)],
    [3, i32, zigzag(body.length)],
    [5, struct, data],
  ]);
  return Buffer.concat([Buffer.from(header), body]);
}

/** Runs of one value each. */
function levels(values: readonly number[]): Buffer {
  const runs = Buffer.from(values.flatMap((value) => [2, value]));
  return Buffer.concat([word(runs.length), runs]);
}

function word(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

function element(name: string, others: readonly Field[]): number[] {
  return fields([...others, [4, binary, text(name)] as const].toSorted(([a], [b]) => a - b));
}

/** A struct of Thrift's compact protocol; ids ascend by at most 15. */
function fields(all: readonly Field[]): number[] {
  let last = 0;
  const bytes = all.flatMap(([id, type, content]) => {
    const head = ((id - last) << 4) | type;
    last = id;
    return [head, ...content];
  });
  return [...bytes, 0];
}

function listOf(type: number, items: readonly (readonly number[])[]): number[] {
  return [0xf0 | type, ...varint(items.length), ...items.flat()];
}

function text(value: string): number[] {
  return [...varint(Buffer.byteLength(value)), ...Buffer.from(value)];
}

function zigzag(value: number): number[] {
  return varint(value * 2);
}

function varint(value: number): number[] {
  return value < 128 ? [value] : [(value % 128) + 128, ...varint(Math.floor(value / 128))];
}
