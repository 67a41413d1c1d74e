export { capabilityText, versionText, type Chip } from "./chip.ts";
export type { CudaDevice } from "./device.ts";
export type { MemoryUse } from "./memory.ts";
export { cudaDevice, findCublasLt, inspectCuda, type CudaOptions, type CudaReport } from "./open.ts";
