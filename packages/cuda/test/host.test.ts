import { setImmediate } from "node:timers/promises";

import { add, mul, referenceDevice, scope, sum, tensor } from "@danu/tensor";
import fc from "fast-check";
import { beforeAll, beforeEach, describe, expect, test } from "vitest";

import type { CudaDevice } from "../src/device.ts";
import { cudaDevice } from "../src/index.ts";
import { twinMissing } from "./cuda-home.ts";
import { Standin } from "./standin/control.ts";

const names = (calls: readonly string[]): string[] => calls.map((call) => call.split(" ")[0]!);

describe.skipIf(twinMissing)(`the host on a stand-in for the driver${twinMissing}`, () => {
  let standin: Standin;
  beforeAll(async () => {
    standin = await Standin.load(["elementwise", "reduce"]);
  }, 600_000);
  beforeEach(() => standin.reset());

  const open = (from = standin): CudaDevice => cudaDevice({ driver: from.library, kernels: from.folder });

  /** A small program: what it computes, and everything that the host does for it. */
  async function session(device: CudaDevice): Promise<number[]> {
    const y = scope(() => {
      const x = tensor(device, Float32Array.from({ length: 300 }, (_, i) => i));
      return sum(mul(add(x, x), x));
    });
    try {
      return [...(await y.read())].map(Number);
    } finally {
      y.dispose();
    }
  }
  const expected = 2 * Array.from({ length: 300 }, (_, i) => i * i).reduce((a, b) => a + b);

  describe("a device that is opened and closed", () => {
    test("takes what it needs in order and gives it back in the opposite one", async () => {
      const device = open();
      const opening = names(standin.calls());
      expect(await session(device)).toEqual([expected]);
      standin.clear();
      device[Symbol.dispose]();
      expect(opening.filter((name) => /Retain|SetCurrent|StreamCreate|MemAllocAsync/.test(name))).toEqual(
        ["cuDevicePrimaryCtxRetain", "cuCtxSetCurrent", "cuStreamCreate", "cuMemAllocAsync"],
      );
      const closing = names(standin.calls());
      const order = ["cuStreamSynchronize", "cuMemFreeAsync", "cuMemFreeHost", "cuLibraryUnload", "cuStreamDestroy_v2", "cuDevicePrimaryCtxRelease_v2"];
      expect(order.map((name) => closing.indexOf(name))).toEqual(order.map((name) => closing.indexOf(name)).sort((a, b) => a - b));
      expect(closing).toEqual(expect.arrayContaining(order));
      expect(closing.at(-1)).toBe("cuDevicePrimaryCtxRelease_v2");
    });

    test.each([false, true])("leaves nothing, even of tensors that nobody freed; work done late: %s", async (lazy) => {
      standin.setLazy(lazy);
      {
        using device = open();
        tensor(device, [1, 2, 3]);
        expect(await session(device)).toEqual([expected]);
      }
      expect(standin.live()).toEqual({});
      expect(standin.reports()).toEqual([]);
    });

    test("may be closed twice, and is not used again", () => {
      const device = open();
      device[Symbol.dispose]();
      device[Symbol.dispose]();
      expect(() => tensor(device, [1])).toThrow("cuda:0: the device was disposed");
      expect(standin.reports()).toEqual([]);
    });

    test("may be closed while a read waits, which then fails", async () => {
      standin.setLazy(true);
      const device = open();
      const reading = tensor(device, [1, 2, 3]).read();
      device[Symbol.dispose]();
      await expect(reading).rejects.toThrow("cuda:0: the device was disposed");
      expect(standin.live()).toEqual({});
      expect(standin.reports()).toEqual([]);
    });

    test("may be one of several", async () => {
      standin.setDevices(2);
      standin.setChip({}, 1);
      {
        using first = open();
        using second = cudaDevice({ driver: standin.library, kernels: standin.folder, ordinal: 1 });
        expect(await Promise.all([session(first), session(second), session(first)])).toEqual([[expected], [expected], [expected]]);
      }
      expect(standin.live()).toEqual({});
      expect(standin.reports()).toEqual([]);
    });
  });

  describe("memory and order", () => {
    test("freed buffers are kept for the next of their sizes, as many bytes as were in use, and given up where memory is short", () => {
      standin.setChip({ memoryBytes: 8 << 20 });
      const asked = (): number => standin.calls().filter((call) => call.startsWith("cuMemAllocAsync")).length;
      {
        using device = cudaDevice({ driver: standin.library, kernels: standin.folder, env: {} });
        const before = asked();
        const [a, b] = [device.allocate(2 << 20), device.allocate(1 << 20)];
        device.free(a);
        expect(device.memory().live >> 20).toBe(1);
        expect(device.allocate(2 << 20)).toBe(a);
        expect(asked()).toBe(before + 2);
        device.free(a);
        device.free(b);
        device.free(device.allocate(6 << 20));
        expect(device.allocate(7 << 20)).not.toBe(a);
        expect(device.memory().live >> 20).toBe(7);
      }
      expect(standin.live()).toEqual({});
      expect(standin.reports()).toEqual([]);
    });

    test("a read lets other work of the process go on", async () => {
      standin.setLazy(true);
      using device = open();
      const x = tensor(device, [1, 2, 3]);
      let turns = 0;
      let reading = true;
      const others = (async () => {
        for (; reading; turns++) await setImmediate();
      })();
      standin.clear();
      expect([...(await add(x, x).read())]).toEqual([2, 4, 6]);
      reading = false;
      await others;
      expect(turns).toBeGreaterThan(0);
      expect(names(standin.calls())).not.toContain("cuStreamSynchronize");
      expect(names(standin.calls())).not.toContain("cuEventSynchronize");
      expect(standin.calls().filter((call) => call.includes("pageable"))).toEqual([]);
    });

    test("what is written may change after the call, however much it is", async () => {
      standin.setLazy(true);
      using device = open();
      const bytes = new Uint8Array(40 << 20);
      const [a, b] = [device.allocate(bytes.length), device.allocate(1000)];
      for (let i = 0; i < bytes.length; i += 4096) bytes[i] = i / 4096;
      device.write(a, bytes);
      bytes.fill(0);
      device.write(b, bytes.subarray(0, 1000).fill(7));
      const read = await device.read(a, bytes.length);
      expect(Array.from({ length: 10240 }, (_, i) => read[i * 4096])).toEqual(Array.from({ length: 10240 }, (_, i) => i & 255));
      expect([...(await device.read(b, 1000))]).toEqual(Array.from({ length: 1000 }, () => 7));
      expect(standin.reports()).toEqual([]);
    });

    test("programs of any order use no freed memory and get the numbers of the reference device", async () => {
      const step = fc.record({ kind: fc.constantFrom("add", "mul", "sum", "new", "free", "read"), a: fc.nat(), b: fc.nat() });
      await fc.assert(fc.asyncProperty(fc.array(step, { maxLength: 25 }), fc.boolean(), async (steps, lazy) => {
        standin.reset();
        standin.setLazy(lazy);
        using cuda = open();
        using reference = referenceDevice();
        const devices = [cuda, reference];
        const live = [devices.map((device) => tensor(device, [1, 2, 3, 4, 5]))];
        const both: Promise<readonly ArrayLike<number>[]>[] = [];
        for (const { kind, a, b } of steps) {
          const [x, y] = [live[a % live.length]!, live[b % live.length]!];
          if (kind === "new") live.push(devices.map((device) => tensor(device, [a % 7, 1, b % 5, 0, 2])));
          else if (kind === "add") live.push(x.map((left, i) => add(left, y[i]!)));
          else if (kind === "mul") live.push(x.map((left, i) => mul(left, mul(y[i]!, 0.25))));
          else if (kind === "sum") live.push(x.map((left) => sum(left, { axis: 0, keepDims: true })));
          else if (kind === "read") both.push(Promise.all(x.map((one) => one.read())));
          else if (live.length > 1) live.splice(a % live.length, 1)[0]!.forEach((one) => one.dispose());
        }
        both.push(...live.map((pair) => Promise.all(pair.map((one) => one.read()))));
        for (const [ours, theirs] of await Promise.all(both)) expect(Array.from(ours!)).toEqual(Array.from(theirs!, (value) => expect.closeTo(value, 3)));
        live.flat().forEach((one) => one.dispose());
        expect(standin.reports()).toEqual([]);
      }), { numRuns: 30 });
      expect(standin.live()).toEqual({});
    });
  });
});
