import { InputError } from "../cli/errors.ts";

/** Rows of token ids, `[B, T]`. */
export interface IdRows {
  readonly rows: number;
  readonly columns: number;
  /** Row after row. */
  readonly ids: Int32Array;
}

/** Checks that a JSON value is rows of ids, all of one length.
 *  @param name of the file, for messages
 *  @throws InputError naming the place, what was expected and what came */
export function checkIdRows(value: unknown, vocabularySize: number, name: string): IdRows {
  if (!Array.isArray(value) || value.length === 0 || !value.every(Array.isArray)) {
    throw new InputError(`${name}: expected rows of token ids, [[id, …], …]`);
  }
  const list = value as unknown[][];
  const columns = list[0]!.length;
  if (columns === 0) throw new InputError(`${name}: expected at least one id in a row, got an empty row`);
  const ids = new Int32Array(list.length * columns);
  list.forEach((row, r) => {
    if (row.length !== columns) {
      throw new InputError(
        `${name}: expected rows of equal length, row 0 has ${columns} ids and row ${r} has ${row.length}`,
      );
    }
    row.forEach((id, t) => {
      ids[r * columns + t] = checkId(id, vocabularySize, `${name}: row ${r}, column ${t}`);
    });
  });
  return { rows: list.length, columns, ids };
}

/** Checks one id. @throws InputError */
export function checkId(id: unknown, vocabularySize: number, where: string): number {
  if (typeof id === "number" && Number.isInteger(id) && id >= 0 && id < vocabularySize) return id;
  throw new InputError(`${where}: expected an id from 0 to ${vocabularySize - 1}, got ${JSON.stringify(id)}`);
}
