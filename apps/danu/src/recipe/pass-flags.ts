import type { FlagValues } from "../cli/flags.ts";
import { dropUndefined } from "./layers.ts";
import type { PassDType } from "./recipe.ts";

/** Flags of the forward and backward pass where all weights may be trained. */
export const passFlags = {
  dtype: {
    type: "choice", choices: ["f32", "bf16", "fp8"],
    help: "element type of the passes; fp8 is that of the products in linear layers, bf16 of all else (default the faster here)",
  },
  fp8Except: { type: "text", value: "NAME", multiple: true, help: "with fp8: layers that stay in bf16, as 0, down or 0.down" },
} as const;

/** The recipe fields that these flags set. */
export function passesFromFlags(
  { dtype, fp8Except }: FlagValues<typeof passFlags>,
): { readonly dtype?: PassDType; readonly fp8Except?: readonly string[] } {
  return dropUndefined({ dtype, fp8Except: fp8Except.length === 0 ? undefined : fp8Except });
}
