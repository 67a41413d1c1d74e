export type { CpuDevice, MemoryUse } from "./device.ts";
export { cpuDevice, type CpuOptions } from "./open.ts";
export { isas, isasUpTo, parseIsa, type Isa } from "./isa.ts";
export { bestIsa } from "./library.ts";
