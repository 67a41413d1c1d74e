import { DeviceError } from "@danu/tensor";

import type { Driver } from "./driver.ts";

/** What a GPU says of itself. */
export interface Chip {
  readonly ordinal: number;
  readonly name: string;
  /** Compute capability times ten: 80 for Ampere's 8.0, 89 for Ada, 90 for Hopper. */
  readonly capability: number;
  readonly multiprocessors: number;
  /** Fastest clock of the multiprocessors, in hertz. */
  readonly clock: number;
  readonly memoryBytes: number;
  /** Shared memory that a block may have, in bytes. */
  readonly sharedBytes: number;
  readonly l2Bytes: number;
  /** Part of a GPU that was divided by MIG. */
  readonly isSlice: boolean;
}

// Codes of cuda.h, CUdevice_attribute.
const CLOCK_KILOHERTZ = 13;
const MULTIPROCESSORS = 16;
const L2_BYTES = 38;
const CAPABILITY_MAJOR = 75;
const CAPABILITY_MINOR = 76;
const SHARED_BYTES = 97;
const MEMORY_POOLS = 115;

/** Asks the driver about a GPU. @throws DeviceError for an ordinal that is none */
export function chipOf(driver: Driver, ordinal: number): Chip {
  const { functions } = driver;
  const count = driver.deviceCount();
  if (count === 0) throw new DeviceError("cuda: no NVIDIA GPU is visible; look at nvidia-smi and CUDA_VISIBLE_DEVICES");
  if (!Number.isInteger(ordinal) || ordinal < 0 || ordinal >= count) {
    throw new DeviceError(`cuda: expected a GPU from 0 to ${count - 1}, got ${ordinal}; look at nvidia-smi and CUDA_VISIBLE_DEVICES`, { ordinal, count });
  }
  const device = driver.word("cuDeviceGet", (out) => functions.DeviceGet(out, ordinal));
  const attribute = (code: number): number => driver.word("cuDeviceGetAttribute", (out) => functions.DeviceGetAttribute(out, code, device));
  const name = nameOf(driver, device);
  return {
    ordinal: device,
    name,
    capability: attribute(CAPABILITY_MAJOR) * 10 + attribute(CAPABILITY_MINOR),
    multiprocessors: attribute(MULTIPROCESSORS),
    clock: attribute(CLOCK_KILOHERTZ) * 1000,
    memoryBytes: driver.handle("cuDeviceTotalMem", (out) => functions.DeviceTotalMem_v2(out, device)),
    sharedBytes: attribute(SHARED_BYTES),
    l2Bytes: attribute(L2_BYTES),
    isSlice: / MIG /.test(name),
  };
}

function nameOf(driver: Driver, device: number): string {
  const memory = new Uint8Array(new ArrayBuffer(256));
  driver.check("cuDeviceGetName", driver.functions.DeviceGetName(memory, 256, device));
  return new TextDecoder().decode(memory.subarray(0, memory.indexOf(0)));
}

/** Dense multiply-adds that a multiprocessor finishes in a cycle, times two: NVIDIA's architecture whitepapers. */
function flopsPerCycle({ capability }: Chip, dtype: "f32" | "bf16" | "fp8"): number {
  const isDataCentre = capability === 80 || capability >= 90;
  if (dtype === "f32") return capability === 80 ? 128 : 256;
  const bf16 = capability >= 90 ? 4096 : isDataCentre ? 2048 : 1024;
  return dtype === "fp8" && capability >= 89 ? 2 * bf16 : bf16;
}

/** What the chip is specified for at its fastest clock, in FLOP/s; power may allow less. */
export function peakFlopsOf(chip: Chip, dtype: "f32" | "bf16" | "fp8"): number {
  return chip.multiprocessors * chip.clock * flopsPerCycle(chip, dtype);
}

/** Oldest compute capability that there are kernels for. */
const oldestCapability = 80;
/** Oldest driver that reads the fatbins, as CUDA's version. */
const oldestDriver = 12_080;

/** @throws DeviceError for a GPU or a driver that cannot run the kernels, saying what would */
export function checkChip(driver: Driver, chip: Chip): void {
  const version = driver.version();
  if (version < oldestDriver) {
    throw new DeviceError(
      `cuda: expected a driver for CUDA ${versionText(oldestDriver)} or newer, got one for ${versionText(version)}; install a newer NVIDIA driver`,
      { version },
    );
  }
  if (chip.capability < oldestCapability) {
    throw new DeviceError(
      `cuda: expected a GPU of compute capability 8.0 (Ampere) or newer, got ${chip.name} of ${capabilityText(chip)}; use --device cpu`,
      { capability: chip.capability },
    );
  }
  if (driver.word("cuDeviceGetAttribute", (out) => driver.functions.DeviceGetAttribute(out, MEMORY_POOLS, chip.ordinal)) === 0) {
    throw new DeviceError(`cuda: ${chip.name} has no memory pools under this driver; install a newer one`, { name: chip.name });
  }
}

/** `13.0` for 13000. */
export function versionText(version: number): string {
  return `${Math.floor(version / 1000)}.${Math.floor((version % 1000) / 10)}`;
}

/** `9.0` for 90. */
export function capabilityText({ capability }: Pick<Chip, "capability">): string {
  return `${Math.floor(capability / 10)}.${capability % 10}`;
}
