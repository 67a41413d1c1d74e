import { aroundAxis, type argmaxOp, type KernelOf, type sumOp } from "@danu/tensor";

import { codeOf, cpuOf } from "../device.ts";

// The positions are the codes of the C ABI.
const kinds = ["sum", "max"] as const;

export function reduce(name: (typeof kinds)[number]): KernelOf<typeof sumOp> {
  const kind = kinds.indexOf(name);
  return ([y], [x], { axis }) => {
    const cpu = cpuOf(y);
    const { outer, reduced, inner } = aroundAxis(x.shape, axis);
    cpu.check(name, cpu.library.reduce(cpu.queue, y.handle, x.handle, kind, outer, reduced, inner, codeOf(x.dtype)));
  };
}

export const argmaxKernel: KernelOf<typeof argmaxOp> = ([y], [x], { axis }) => {
  const cpu = cpuOf(y);
  const { outer, reduced, inner } = aroundAxis(x.shape, axis);
  cpu.check("argmax", cpu.library.argmax(cpu.queue, y.handle, x.handle, outer, reduced, inner, codeOf(x.dtype)));
};
