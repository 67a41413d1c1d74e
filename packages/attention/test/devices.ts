import { cpuDevice } from "@danu/cpu";
import { referenceDevice, type Device } from "@danu/tensor";

/** The devices that the tests of this package run on. */
export const devices: Readonly<Record<"reference" | "cpu", () => Device>> = {
  reference: () => referenceDevice(),
  cpu: () => cpuDevice({ threads: 2 }),
};

export const deviceNames = Object.keys(devices) as (keyof typeof devices)[];
