import type { Tensor } from "./tensor.ts";

/** The tensors a scope will free, innermost scope last. */
export const openScopes: Set<Tensor>[] = [];

/** Hands a tensor to the innermost scope; outside of any scope it belongs to whoever made it. */
export function own(tensor: Tensor): void {
  openScopes[openScopes.length - 1]?.add(tensor);
}
