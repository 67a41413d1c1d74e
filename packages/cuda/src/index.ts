export { capabilityText, versionText, type Chip } from "./chip.ts";
export type { CudaDevice, MemoryUse } from "./device.ts";
export { cudaDevice, inspectCuda, type CudaOptions, type CudaReport } from "./open.ts";
