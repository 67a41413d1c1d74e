/** What one launch works on. */
export interface Table<Row> {
  /** What the kernel is told of each tensor. */
  readonly rows: readonly Row[];
  /** Blocks of all of them. */
  readonly blocks: number;
}

/** Shares out tensors among launches; see table.cuh.
 *  @param most tensors of a launch  @param rowOf what the kernel is told of a tensor, whose first block of the launch is `first` */
export function tablesOf<T, Row>(tensors: readonly T[], most: number, blocksOf: (tensor: T) => number, rowOf: (tensor: T, first: number) => Row): Table<Row>[] {
  const tables: Table<Row>[] = [];
  for (let at = 0; at < tensors.length; at += most) {
    let blocks = 0;
    const rows = tensors.slice(at, at + most).map((tensor) => {
      const row = rowOf(tensor, blocks);
      blocks += blocksOf(tensor);
      return row;
    });
    tables.push({ rows, blocks });
  }
  return tables;
}
