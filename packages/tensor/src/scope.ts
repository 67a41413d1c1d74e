import { UsageError } from "./errors.ts";
import { openScopes } from "./ownership.ts";
import type { Tensor } from "./tensor.ts";
import { tensorsIn } from "./tree.ts";

/** Runs `f` and frees every tensor made in it, except those it returns, which pass to the enclosing scope.
 *  @throws UsageError when `f` is asynchronous: ownership does not survive an await */
export function scope<T>(f: () => T): T {
  const inner = new Set<Tensor>();
  openScopes.push(inner);
  try {
    const result = f();
    if (result instanceof Promise) {
      // What it still does fails for want of its tensors; this error says why.
      result.catch(() => undefined);
      throw new UsageError("scope: expected a synchronous function, got a promise; await outside of the scope");
    }
    const outer = openScopes[openScopes.length - 2];
    for (const tensor of tensorsIn(result)) if (inner.delete(tensor)) outer?.add(tensor);
    return result;
  } finally {
    openScopes.pop();
    for (const tensor of inner) if (!tensor.disposed) tensor.dispose();
  }
}

/** Takes tensors out of their scopes: whoever keeps them disposes of them. */
export function keep<T>(value: T): T {
  for (const tensor of tensorsIn(value)) for (const open of openScopes) open.delete(tensor);
  return value;
}
