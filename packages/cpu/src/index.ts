export { cpuDevice, type CpuDevice, type CpuOptions, type MemoryUse } from "./device.ts";
export { isas, isasUpTo, parseIsa, type Isa } from "./isa.ts";
export { bestIsa } from "./library.ts";
