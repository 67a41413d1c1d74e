/** A row's value as JSON would hold it: integers of 64 bits as numbers, nothing as null, and bytes that are no text as
 *  `{ bytes: N }`.
 *  @returns the value, and the number of characters in it */
export function jsonValue(value: unknown): { value: unknown; size: number } {
  let size = 0;
  const convert = (item: unknown): unknown => {
    size++;
    if (typeof item === "string") {
      size += item.length;
      return item;
    }
    if (typeof item === "bigint") return Number(item);
    if (item === undefined || item === null) return null;
    if (item instanceof Uint8Array) return { bytes: item.length };
    if (item instanceof Date) return item.getTime();
    if (Array.isArray(item)) return item.map(convert);
    if (typeof item !== "object") return item;
    return Object.fromEntries(Object.entries(item).map(([name, part]) => [name, convert(part)]));
  };
  return { value: convert(value), size };
}
