import { setImmediate } from "node:timers/promises";

import koffi from "koffi";
import { afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";

import { chipOf } from "../src/chip.ts";
import { CudaDevice } from "../src/device.ts";
import { Driver } from "../src/driver.ts";
import { defineKernel, type Kernel } from "../src/kernel.ts";
import type { LaunchShape } from "../src/launcher.ts";
import { twinMissing } from "./cuda-home.ts";
import { Standin } from "./standin/control.ts";

const writeAt = defineKernel("misbehaving", "write_at", "plf");
const readAt = defineKernel("misbehaving", "read_at", "ppl");
const readThrough = defineKernel("misbehaving", "read_through", "pp");
const waitForEver = defineKernel("misbehaving", "wait_for_ever", "");
const divide = defineKernel("misbehaving", "divide", "p");
const waitForBlocks = defineKernel("misbehaving", "wait_for_blocks", "p");
const copyBox = defineKernel("boxes", "copy_box", "mpi");
const one = { grid: [1], block: 32 } as const;

// What other tests take from the stand-in is that nothing wrong goes unnoticed, so that is what these look at.
const settings = { waitAfterLaunch: false, keepsMemory: false, cublasLt: null };

describe.skipIf(twinMissing)(`the stand-in for the driver${twinMissing}`, () => {
  let standin: Standin;
  let driver: Driver;
  let device: CudaDevice;
  beforeAll(async () => {
    standin = await Standin.load(["boxes", "misbehaving"]);
  }, 600_000);
  beforeEach(() => {
    standin.reset();
    driver = Driver.load(standin.library);
    device = new CudaDevice(driver, chipOf(driver, 0), standin.folder, settings);
  });
  afterEach(() => device[Symbol.dispose]());

  const floats = async (handle: number, count: number): Promise<number[]> => [...new Float32Array((await device.read(handle, 4 * count)).buffer)];

  test("runs an unmodified kernel on fresh memory, which holds garbage", async () => {
    const x = device.allocate(8);
    device.launch(writeAt, one, x, 1, 5);
    expect(await floats(x, 2)).toEqual([new Float32Array(new Uint8Array(4).fill(0xCD).buffer)[0], 5]);
    expect(standin.reports()).toEqual([]);
  });

  const faults: [what: string, said: RegExp, spoil: () => void][] = [
    ["a write after its memory", /^kernel write_at wrote outside of allocation #\d+ of 20 bytes$/, () => device.launch(writeAt, one, device.allocate(20), 5, 0)],
    ["a write before its memory", /^kernel write_at wrote outside of allocation #\d+ of 20 bytes$/, () => device.launch(writeAt, one, device.allocate(20), -1, 0)],
    ["a read far after its memory", /^kernel read_at: illegal address 0x\w+, 256 bytes after the start of allocation #\d+ of 256 bytes$/,
      () => device.launch(readAt, one, device.allocate(4), device.allocate(256), 64)],
    ["a null pointer", /^kernel write_at: illegal address 0x0, a null pointer$/, () => device.launch(writeAt, one, 0, 0, 0)],
    ["a pointer to freed memory", /^kernel write_at: parameter 0: address 0x\w+, 0 bytes after the start of freed allocation #\d+ of 64 bytes$/, () => {
      const x = device.allocate(64);
      device.free(x);
      device.launch(writeAt, one, x, 0, 0);
    }],
    ["freed memory behind a pointer", /^kernel read_through: illegal address 0x\w+, 0 bytes after the start of freed allocation #\d+ of 64 bytes$/, () => {
      const [x, list] = [device.allocate(64), device.allocate(8)];
      device.write(list, new Uint8Array(new BigUint64Array([BigInt(x)]).buffer));
      device.free(x);
      device.launch(readThrough, one, device.allocate(4), list);
    }],
    ["memory of the host", /^kernel write_at: parameter 0: address 0x\w+, not memory of a GPU$/, () => device.launch(writeAt, one, Number(koffi.address(new ArrayBuffer(4096))), 0, 0)],
    ["threads that wait for ever", /^kernel wait_for_ever: deadlock: 1 threads wait for ever/, () => device.launch(waitForEver, one)],
    ["a division by zero", /^kernel divide: division by zero$/, () => {
      const x = device.allocate(8);
      device.fill(x, 0, 4, 2);
      device.launch(divide, one, x);
    }],
  ];
  test.each(faults)("%s ends the kernel and its context, not the process", async (_, said, spoil) => {
    spoil();
    await expect(device.finish()).rejects.toThrow(/CUDA error 7(?:00|19)/);
    expect(standin.reports()).toEqual([expect.stringMatching(said)]);
    // The next context, and the same kernels, work again.
    device = new CudaDevice(driver, chipOf(driver, 0), standin.folder, settings);
    const x = device.allocate(4);
    device.launch(writeAt, { grid: [3], block: 64 }, x, 0, 7);
    expect(await floats(x, 1)).toEqual([7]);
  });

  test.each<[what: string, kernel: Kernel, grid: number, block: number, shared: number]>([
    ["more threads than its bounds", waitForEver, 1, 96, 0],
    ["half a cluster", copyBox, 3, 32, 0],
    ["more shared memory than the chip has", waitForEver, 1, 32, 232_449],
  ])("a launch with %s is refused", (_, kernel, grid, block, shared) => {
    const args = kernel.slots.map(({ type }) => (type === "m" ? { bytes: new Uint8Array(128) } : 0));
    const launch = device.launch.bind(device) as (kernel: Kernel, shape: LaunchShape, ...args: unknown[]) => void;
    expect(() => launch(kernel, { grid: [grid], block, shared }, ...args)).toThrow("a refused argument (CUDA error 1)");
  });

  test("blocks run at the same time where they are launched together, at most one a multiprocessor", async () => {
    const words = device.allocate(5 * 8);
    device.fill(words, 0, 4, 10);
    device.launch(waitForBlocks, { grid: [4], block: 32, together: true }, words);
    await device.finish();
    expect(() => device.launch(waitForBlocks, { grid: [5], block: 32, together: true }, words)).toThrow("is too large for this GPU (CUDA error 720)");
    expect(() => device.launch(copyBox, { grid: [2], block: 32, together: true }, { bytes: new Uint8Array(128) }, 0, 0)).toThrow("a refused argument (CUDA error 1)");
    device.fill(words, 0, 4, 10);
    await device.finish();
    standin.clear();
    device.launch(waitForBlocks, { grid: [2], block: 32 }, words);
    await expect(device.finish()).rejects.toThrow("CUDA error 719");
    expect(standin.reports()).toEqual([expect.stringMatching(/^kernel wait_for_blocks: deadlock: 1 threads wait for ever: 1 for a word of another block/)]);
  });

  test("copies and fills outside of memory, freeing twice and what is left are noticed", () => {
    const { functions } = driver;
    const x = device.allocate(64);
    expect(functions.MemsetD32Async(x, 0, 17, 0)).toBe(1);
    expect(functions.MemcpyDtoDAsync_v2(x + 4, x, 16, 0)).toBe(1);
    expect(functions.MemFreeAsync(x + 4, 0)).toBe(1);
    expect(functions.MemFreeAsync(x, 0)).toBe(0);
    expect(functions.MemFreeAsync(x, 0)).toBe(1);
    driver.handle("cuEventCreate", (out) => functions.EventCreate(out, 0));
    expect(standin.live()).toEqual({ context: 1, allocation: 1, stream: 1, event: 1 });
    standin.clear();
    device[Symbol.dispose]();
    expect(standin.reports()).toEqual([expect.stringMatching(/cuMemFreeAsync/), "leak: the context of device 0 ended with a event"]);
  });

  test("boxes of planes come through a tensor map, zero outside of the tensor; only on Hopper", async () => {
    const [rows, planes, columns] = [13, 3, 24];
    const values = Float32Array.from({ length: rows * planes * columns }, (_, i) => i);
    const [x, y] = [device.allocate(values.byteLength), device.allocate(16 * 32 * 4)];
    device.write(x, new Uint8Array(values.buffer));
    const map = device.maps.of({ base: x, dtype: "f32", sizes: [columns, planes, rows], strides: [columns * 4, planes * columns * 4], box: [32, 1, 8] });
    device.launch(copyBox, { grid: [2], block: 32, shared: 2048 }, map, y, 1);
    expect(await floats(y, 16 * 32)).toEqual(Array.from({ length: 16 * 32 }, (_, i) => {
      const [row, column] = [Math.floor(i / 32), i % 32];
      return row < rows && column < columns ? values[(row * planes + 1) * columns + column] : 0;
    }));
    device[Symbol.dispose]();
    standin.setChip({ capability: "8.0" });
    device = new CudaDevice(driver, chipOf(driver, 0), standin.folder, settings);
    expect(() => device.launch(copyBox, { grid: [2], block: 32, shared: 2048 }, map, 0, 1)).toThrow(/CUDA error 209/);
  });

  describe("lazy", () => {
    beforeEach(() => standin.setLazy(true));

    test("shows a host that looks too early", () => {
      const { functions } = driver;
      const x = device.allocate(4);
      const pinned = driver.handle("cuMemHostAlloc", (out) => functions.MemHostAlloc(out, 4, 0));
      const view = new Float32Array(koffi.view(BigInt(pinned), 4));
      const event = driver.handle("cuEventCreate", (out) => functions.EventCreate(out, 0));
      const stream = driver.handle("cuStreamCreate", (out) => functions.StreamCreate(out, 1));
      view[0] = 1;
      expect(functions.MemcpyHtoDAsync_v2(x, pinned, 4, stream)).toBe(0);
      view[0] = 2;
      expect(functions.MemsetD32Async(x + 4, 0, 0, stream)).toBe(0);
      expect(functions.EventRecord(event, stream)).toBe(0);
      expect(functions.EventQuery(event)).toBe(600);
      expect(functions.EventQuery(event)).toBe(0);
      view[0] = 3;
      expect(functions.MemcpyDtoHAsync_v2(pinned, x, 4, stream)).toBe(0);
      expect(view[0]).toBe(3);
      expect(functions.StreamSynchronize(stream)).toBe(0);
      expect(view[0]).toBe(2);
      for (const free of [() => functions.MemFreeHost(pinned), () => functions.EventDestroy_v2(event), () => functions.StreamDestroy_v2(stream)]) expect(free()).toBe(0);
    });

    test("tells of a failed kernel late, to whoever asks next", async () => {
      const x = device.allocate(4);
      device.launch(writeAt, one, x, 1 << 20, 0);
      await setImmediate();
      device.free(device.allocate(4));
      expect(standin.reports()).toEqual([]);
      await expect(device.read(x, 4)).rejects.toThrow("CUDA error 700");
    });
  });

  test("a capture is replayed with the arguments of its launches", async () => {
    const native = koffi.load(standin.library);
    const bind = (name: string, ...types: string[]): ((...args: unknown[]) => number) => native.func(name, "int", types) as never;
    const begin = bind("cuStreamBeginCapture_v2", "uint64_t", "int"), end = bind("cuStreamEndCapture", "uint64_t", "void *");
    const instantiate = bind("cuGraphInstantiateWithFlags", "void *", "uint64_t", "uint64_t"), replay = bind("cuGraphLaunch", "uint64_t", "uint64_t");
    const { functions } = driver;
    const stream = driver.handle("cuStreamCreate", (out) => functions.StreamCreate(out, 1));
    const x = device.allocate(4);
    device.fill(x, 0, 4, 1);
    expect(begin(stream, 2)).toBe(0);
    expect(functions.MemsetD32Async(x, 9, 1, stream)).toBe(0);
    expect(functions.StreamSynchronize(0)).toBe(0);
    const graph = driver.handle("cuStreamEndCapture", (out) => end(stream, out));
    expect(await floats(x, 1)).toEqual([0]);
    const exec = driver.handle("cuGraphInstantiate", (out) => instantiate(out, graph, 0));
    expect(replay(exec, stream)).toBe(0);
    expect(new Int32Array((await device.read(x, 4)).buffer)).toEqual(new Int32Array([9]));
    expect(standin.live()).toMatchObject({ graph: 1, "graph executable": 1 });
    expect(begin(stream, 2)).toBe(0);
    expect(functions.StreamSynchronize(stream)).toBe(900);
    expect(end(stream, new BigUint64Array(new ArrayBuffer(256), 0, 1))).toBe(901);
  });
});
