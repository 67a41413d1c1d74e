import { defineCommand, type Command } from "../cli/command.ts";
import { deviceFlags } from "../cli/device.ts";
import { bytes, short } from "../cli/format.ts";
import { Reporter } from "../cli/reporter.ts";
import { inspectMachine, missingIsas, type MachineReport } from "../machine/inspect-machine.ts";
import { version } from "../version.ts";

export const command: Command = defineCommand({
  name: "doctor",
  description: "Shows what this machine has and reached when measured, what danu would use, and why not more.",
  flags: { threads: deviceFlags.threads },
  examples: ["danu doctor", "DANU_ISA=avx2 danu doctor --threads 1 --json"],
  run: async ({ flags }, io) => {
    const reporter = new Reporter(io, flags.json);
    const danu = await version();
    const machine = await inspectMachine(io, flags.threads);
    reporter.result({ danu, ...machine }, () => {
      reporter.line(`danu     ${danu}, Node ${machine.node}, ${machine.platform}`);
      for (const line of describe(machine)) reporter.line(line);
    });
  },
});

function describe(machine: MachineReport): string[] {
  const { cpu, cores, memoryBytes, memoryBandwidth, cpuDevice, cpuDeviceError, gpu } = machine;
  const memory = `${bytes(memoryBytes.available)} free of ${bytes(memoryBytes.total)}, one core copies ${bytes(
    memoryBandwidth,
  )}/s`;
  const device =
    cpuDevice === null
      ? []
      : [
          `threads  ${cpuDevice.threads} of ${cores}`,
          `isa      ${cpuDevice.isa}${
            cpuDevice.isa === cpuDevice.bestIsa ? "" : ` as asked; this machine has ${cpuDevice.bestIsa}`
          }`,
          `peak     ${short(cpuDevice.peakFlops.f32)}FLOP/s in f32, ${short(
            cpuDevice.peakFlops.bf16,
          )}FLOP/s in bf16, measured`,
        ];
  return [
    `cpu      ${cpu}`,
    `memory   ${memory}`,
    ...device,
    ...gpuLines(gpu),
    "",
    `would use  ${usedLine(machine)}`,
    ...reasons(machine, cpuDeviceError).map((reason) => `why not    ${reason}`),
  ];
}

function gpuLines({ gpus, driver, cublasLt }: MachineReport["gpu"]): string[] {
  if (driver === null) return ["gpu      none: no NVIDIA driver"];
  if (gpus.length === 0) return [`gpu      none, though there is a driver for CUDA ${driver}`];
  const library = cublasLt === null ? "none, and none is needed" : `${cublasLt.version} as ${cublasLt.path}, for DANU_CUDA_PRODUCTS=cublaslt`;
  return [...gpus.map((gpu) => `gpu      ${gpu}, driver for CUDA ${driver}`), `cublaslt ${library}`];
}

function usedLine({ used, gpu, cpuDevice, dtype }: MachineReport): string {
  if (used === "cuda") return `cuda, GPU ${gpu.gpus[0]!}, training in ${dtype}`;
  return used === "cpu" ? `cpu, ${cpuDevice!.isa}, ${cpuDevice!.threads} threads, training in ${dtype}` : "reference, which is slow";
}

function reasons({ cpuDevice, gpu, cores }: MachineReport, error: string | null): string[] {
  const missing = cpuDevice === null ? [] : missingIsas(cpuDevice);
  return [
    ...(error === null ? [] : [`cpu: ${error}`]),
    ...missing.map((isa) => `${isa}: this CPU does not have it`),
    ...(cpuDevice !== null && cpuDevice.isa !== cpuDevice.bestIsa
      ? [`${cpuDevice.bestIsa}: DANU_ISA asks for ${cpuDevice.isa}`]
      : []),
    ...(cpuDevice !== null && cpuDevice.threads < cores ? [`${cores} threads: fewer were asked for`] : []),
    ...[gpu.error, ...gpu.problems].filter((problem) => problem !== null),
  ];
}
