import { UsageError } from "./errors.ts";
import { Tensor } from "./tensor.ts";

/** Plain objects and arrays whose leaves are tensors; null marks an absent leaf. */
export type Tree = Tensor | null | readonly Tree[] | { readonly [key: string]: Tree };

/** The same object structure with every tensor replaced by `Leaf`. */
export type MapTree<T, Leaf> = T extends Tensor ? Leaf
  : T extends null ? null
  : { readonly [K in keyof T]: MapTree<T[K], Leaf> };

/** Calls `f` on every tensor of a tree, in the order of its keys, with its path (`layers.0.query`).
 *  @returns the same structure with the results */
export function mapTree<T, Leaf>(tree: T, f: (leaf: Tensor, path: string) => Leaf): MapTree<T, Leaf> {
  const visit = (node: unknown, path: string): unknown => {
    if (node instanceof Tensor) return f(node, path);
    if (node === null) return null;
    const join = (key: string | number): string => (path === "" ? String(key) : `${path}.${key}`);
    if (Array.isArray(node)) return node.map((child, i) => visit(child, join(i)));
    if (typeof node === "object") {
      return Object.fromEntries(Object.entries(node).map(([key, child]) => [key, visit(child, join(key))]));
    }
    throw new UsageError(`tree: expected tensors, arrays and plain objects, got ${typeof node} at ${path === "" ? "the root" : path}`);
  };
  return visit(tree, "") as MapTree<T, Leaf>;
}

/** Every tensor of a tree with its path, in the order of the keys. */
export function leavesOf(tree: unknown): { readonly path: string; readonly tensor: Tensor }[] {
  const leaves: { path: string; tensor: Tensor }[] = [];
  mapTree(tree, (tensor, path) => { leaves.push({ path, tensor }); });
  return leaves;
}

/** Every tensor reachable from a value; other leaves are passed over. */
export function tensorsIn(value: unknown, found: Tensor[] = []): Tensor[] {
  if (value instanceof Tensor) found.push(value);
  else if (Array.isArray(value)) for (const item of value) tensorsIn(item, found);
  else if (typeof value === "object" && value !== null && Object.getPrototypeOf(value) === Object.prototype) {
    for (const item of Object.values(value)) tensorsIn(item, found);
  }
  return found;
}

/** The same value with every tensor replaced by what `f` makes of it; other leaves stay. */
export function mapTensors<T>(value: T, f: (tensor: Tensor) => Tensor): T {
  const visit = (node: unknown): unknown => {
    if (node instanceof Tensor) return f(node);
    if (Array.isArray(node)) return node.map(visit);
    if (typeof node === "object" && node !== null && Object.getPrototypeOf(node) === Object.prototype) {
      return Object.fromEntries(Object.entries(node).map(([key, child]) => [key, visit(child)]));
    }
    return node;
  };
  return visit(value) as T;
}

/** Frees every tensor of a tree. */
export function disposeTree(tree: unknown): void {
  for (const tensor of tensorsIn(tree)) tensor.dispose();
}
