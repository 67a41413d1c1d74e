const ways: Readonly<Record<string, string>> = { Kernel: "", KernelEx: "early ", CooperativeKernel: "together " };

/** Kernels launched, in order: "early" before those that may start while the one in front is at work, "together" before those whose
 *  blocks all run at the same time. @param calls of the stand-in */
export function launchesIn(calls: readonly string[]): string[] {
  return calls.flatMap((call) => {
    const [, way, kernel] = /^cuLaunch(\w+) (\w+)/.exec(call) ?? [];
    return kernel === undefined ? [] : [`${ways[way!]}${kernel}`];
  });
}
