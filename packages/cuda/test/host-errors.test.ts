import { add, DanuError, DeviceError, referenceDevice, scope, sum, tensor } from "@danu/tensor";
import { afterEach, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";

import type { CudaDevice } from "../src/device.ts";
import { cudaDevice, inspectCuda, type CudaOptions } from "../src/index.ts";
import { defineKernel } from "../src/kernel.ts";
import { twinMissing } from "./cuda-home.ts";
import { Standin } from "./standin/control.ts";

const squares = defineKernel("gradient-norm", "gradient_norm_squares", "p([168 pli]i)");
const OUT_OF_MEMORY = 2;
const REFUSED = 1;

describe.skipIf(twinMissing)(`errors of the host on a stand-in for the driver${twinMissing}`, () => {
  let standin: Standin;
  beforeAll(async () => {
    standin = await Standin.load(["elementwise", "gradient-norm", "reduce"]);
  }, 600_000);
  beforeEach(() => standin.reset());
  afterEach(() => vi.unstubAllEnvs());

  const open = (options: CudaOptions = {}): CudaDevice => cudaDevice({ driver: standin.library, kernels: standin.folder, ...options });
  const works = async (device: CudaDevice): Promise<void> => {
    const y = scope(() => sum(add(tensor(device, [1, 2, 3]), 1)));
    expect([...(await y.read())]).toEqual([9]);
    y.dispose();
  };

  describe("no GPU that can be used", () => {
    test("no driver", () => {
      expect(() => open({ driver: "/nowhere/libcuda.so.1" })).toThrow(
        /^cuda: found no NVIDIA driver \/nowhere\/libcuda\.so\.1 \(.*\); install one, or use --device cpu$/s,
      );
    });

    test("a driver that lacks functions", () => {
      expect(() => open({ driver: "libm.so.6" })).toThrow(/^cuda: the NVIDIA driver is too old: .*cuInit.*; install one for CUDA 12\.8 or newer$/s);
    });

    test("a driver older than the kernels", () => {
      standin.setDriverVersion(12_040);
      expect(() => open()).toThrow("cuda: expected a driver for CUDA 12.8 or newer, got one for 12.4; install a newer NVIDIA driver");
    });

    test("a driver that finds no GPU, at first and later", () => {
      const fresh = standin.fresh();
      fresh.setDevices(0);
      expect(() => open({ driver: fresh.library })).toThrow("cuda: cuInit: no NVIDIA GPU is visible; look at nvidia-smi and CUDA_VISIBLE_DEVICES (CUDA error 100)");
      standin.setDevices(0);
      expect(() => open()).toThrow("cuda: no NVIDIA GPU is visible; look at nvidia-smi and CUDA_VISIBLE_DEVICES");
    });

    test.each([1, -1, 0.5, Number.NaN])("GPU %d of one", (ordinal) => {
      expect(() => open({ ordinal })).toThrow(`cuda: expected a GPU from 0 to 0, got ${ordinal}; look at nvidia-smi and CUDA_VISIBLE_DEVICES`);
    });

    test("a chip older than the kernels", () => {
      standin.setChip({ name: "Tesla T4", capability: "7.5" });
      expect(() => open()).toThrow("cuda: expected a GPU of compute capability 8.0 (Ampere) or newer, got Tesla T4 of 7.5; use --device cpu");
      expect(inspectCuda({ driver: standin.library }).problems).toEqual([expect.stringContaining("got Tesla T4 of 7.5")]);
    });

    test("a GPU that another process has for itself", () => {
      standin.fail("cuDevicePrimaryCtxRetain", 46);
      expect(() => open()).toThrow(/another process has the GPU for itself; wait for it, or choose another GPU with CUDA_VISIBLE_DEVICES/);
    });

    test("a folder without kernels", async () => {
      using device = open({ kernels: "/nowhere" });
      expect(() => add(tensor(device, [1]), 1)).toThrow(/^cuda: found no \w+\.fatbin in \/nowhere; install @danu\/cuda again, or run "npm run build" in a checkout with nvcc$/);
    });

    afterEach(() => expect(standin.live()).toEqual({}));
  });

  test("a slice of a GPU is used as it is, and told apart", async () => {
    standin.setChip({ slice: "1g.10gb", multiprocessors: 1, memoryBytes: 10 << 20 });
    using device = open();
    expect(device.chip).toMatchObject({ isSlice: true, name: "NVIDIA H100 stand-in MIG 1g.10gb", memoryBytes: 10 << 20 });
    await works(device);
  });

  test("too little memory: says how much was wanted and is there, and goes on", async () => {
    standin.setChip({ memoryBytes: 4 << 20 });
    using device = open();
    const some = device.allocate(3 << 20);
    expect(() => device.allocate(2 << 20)).toThrow(
      /^cuda: no GPU memory for 2\.1 MB beside the 3\.1 MB in use, of 4\.2 MB; make the micro-batch or the model smaller, or recompute activations$/,
    );
    await works(device);
    device.free(some);
    device.free(device.allocate(2 << 20));
    expect(standin.reports()).toEqual([]);
  });

  test("a tensor of another device", () => {
    using device = open();
    using other = referenceDevice();
    expect(() => add(tensor(device, [1]), tensor(other, [1]))).toThrow("add: inputs live on different devices: cuda:0 and reference; move one with toDevice()");
    standin.setDevices(2);
    standin.setChip({}, 1);
    using second = open({ ordinal: 1 });
    expect(() => add(tensor(device, [1]), tensor(second, [1]))).toThrow("add: inputs live on different devices: cuda:0 and cuda:1; move one with toDevice()");
  });

  describe("a kernel that fails", () => {
    /** Lets a kernel read far beyond its memory. */
    const spoil = (device: CudaDevice): void => {
      device.launch(squares, { grid: [1], block: 256 }, device.allocate(8), [[device.allocate(16), 1 << 20, 0]], 1);
    };

    test.each([false, true])("is among those that the error names, and the process goes on; work done late: %s", async (lazy) => {
      standin.setLazy(lazy);
      const device = open();
      const before = tensor(device, [1, 2, 3]);
      const reading = [before.read(), before.read()];
      spoil(device);
      for (const failure of await Promise.allSettled([before.read(), before.read(), ...reading])) {
        expect(failure).toMatchObject({ status: "rejected", reason: expect.any(DeviceError) as unknown });
        expect(String((failure as PromiseRejectedResult).reason)).toMatch(/cuda:0: a kernel read or wrote memory that is not its own \(CUDA error 700\) in .*gradient_norm_squares/);
      }
      expect(standin.reports()).toEqual([expect.stringMatching(/^kernel gradient_norm_squares: illegal address 0x6\w+, \d+ bytes after the start of allocation #\d+ of 16 bytes$/)]);
      expect(() => device.allocate(16)).toThrow("open the device again");
      before.dispose();
      device[Symbol.dispose]();
      expect(standin.live()).toEqual({});
      using next = open();
      await works(next);
    });

    test("is named alone where every kernel is waited for", () => {
      vi.stubEnv("DANU_CUDA_WAIT", "1");
      using device = open();
      add(tensor(device, [1]), 1);
      expect(() => spoil(device)).toThrow("cuda:0: a kernel read or wrote memory that is not its own (CUDA error 700) in gradient_norm_squares");
    });

    test("names the op where an op launched it", () => {
      vi.stubEnv("DANU_CUDA_WAIT", "1");
      using device = open();
      const x = tensor(device, [1, 2, 3]);
      device.free(x.handle);
      expect(() => add(x, 1)).toThrow(/^cuda:0: a kernel read or wrote memory that is not its own \(CUDA error 700\) in binary_f32 of add$/);
    });

    test("is no trouble where the device is closed before anybody looks", () => {
      const device = open();
      spoil(device);
      device[Symbol.dispose]();
      expect(standin.live()).toEqual({});
    });

    test("leaves devices alone that it did not run on", async () => {
      standin.setDevices(2);
      standin.setChip({}, 1);
      using first = open();
      using second = open({ ordinal: 1 });
      spoil(first);
      await works(second);
      await expect(works(first)).rejects.toThrow("CUDA error 700");
      await works(second);
    });
  });

  test("every call that the driver may refuse ends in an error of danu, and nothing is left", async () => {
    const session = async (): Promise<number> => {
      using device = open();
      await works(device);
      return standin.calls().length;
    };
    const closing = await session();
    const counts = new Map<string, number>();
    const points = standin.calls().map((call, i) => {
      const name = call.split(" ")[0]!;
      counts.set(name, (counts.get(name) ?? 0) + 1);
      // What the driver refuses to take back it has to keep.
      return { name, nth: counts.get(name)!, strict: i < closing && !/Free|Destroy/.test(name) };
    });
    for (const { name, nth, strict } of points) {
      standin.reset();
      // Where the pool has no memory it is asked again, after what nobody needs was given up.
      standin.fail(name, name.includes("Alloc") && name !== "cuMemAllocAsync" ? OUT_OF_MEMORY : REFUSED, nth);
      const failure: unknown = await session().then(() => null, (error: unknown) => error);
      if (strict) expect(failure, `${name}, call ${nth}`).toBeInstanceOf(DanuError);
      if (strict) expect(standin.live(), `${name}, call ${nth}`).toEqual({});
      await session();
    }
  });
});
