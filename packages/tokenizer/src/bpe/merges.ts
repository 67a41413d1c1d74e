/** Which neighbouring symbols may merge, into what, and in which order. A merge has a number; what that number means
 *  is the vocabulary's choice. */
export interface Merges {
  /** The merge of two neighbours, −1 for none. A symbol of −1 merges with nothing. */
  find(left: number, right: number): number;
  /** By merge: lower comes first, and the leftmost of equals. */
  readonly priorities: Int32Array;
  /** By merge: the symbol that takes the place of both. */
  readonly products: Int32Array;
}
