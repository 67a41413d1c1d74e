import {
  assign,
  DeviceError,
  embedding,
  full,
  keep,
  matmul,
  ones,
  scope,
  Tensor,
  tensor,
  tensorFromBytes,
  zeros,
} from "@danu/tensor";
import { afterEach, beforeEach, describe, expect, test } from "vitest";

import { cpuDevice, type CpuDevice } from "../src/index.ts";

const n = 500_000;
let device: CpuDevice;
let busyWith: Tensor[];

/** Work that lasts some milliseconds, so that what follows has to queue. */
function keepBusy(): void {
  busyWith = scope(() => {
    let x = full(device, [512, 512], 2 ** -9);
    for (let i = 0; i < 20; i++) x = matmul(x, x);
    return [x];
  });
  expect(device.library.idle(device.queue)).toBe(0);
}

beforeEach(() => {
  device = cpuDevice({ threads: 2 });
  busyWith = [];
});
afterEach(() => {
  for (const x of busyWith) x.dispose();
  expect(device.liveBuffers).toBe(0);
  expect(device.memory().live).toBe(0);
  device[Symbol.dispose]();
});

describe("a read of queued work", () => {
  test("returns at once, and later the value at its place in the queue, whatever is written afterwards", async () => {
    using x = tensor(device, [1, 2, 3]);
    using zero = zeros(device, [3]);
    keepBusy();
    const before = x.read();
    assign(x, zero);
    const after = x.read();
    expect([...(await before)]).toEqual([1, 2, 3]);
    expect([...(await after)]).toEqual([0, 0, 0]);
  });

  test("keeps its value when the tensor is freed and its memory used again right after", async () => {
    keepBusy();
    const x = full(device, [n], 7);
    const start = x.handle;
    const read = x.read();
    x.dispose();
    const covers = ({ handle }: Tensor): boolean => handle <= start && start < handle + 4 * n;
    const others: Tensor[] = [];
    while (others.length < 50 && !others.some(covers)) others.push(full(device, [n], others.length));
    expect(others.some(covers), "the memory was handed out again").toBe(true);
    expect(new Set(await read)).toEqual(new Set([7]));
    for (const [i, other] of others.entries()) {
      expect(new Set(await other.read())).toEqual(new Set([i]));
      other.dispose();
    }
  });

  test("many at once come back in full", async () => {
    keepBusy();
    const tensors = Array.from({ length: 50 }, (_, i) => full(device, [i + 1], i));
    const values = await Promise.all(tensors.map((x) => x.read()));
    values.forEach((value, i) => expect([...value]).toEqual(Array.from({ length: i + 1 }, () => i)));
    for (const x of tensors) x.dispose();
  });

  test.each([1, 64, 65, 1_000_000])(
    "a write of %i numbers waits for its turn, and its bytes may change after the call",
    async (count) => {
      using x = full(device, [count], 1);
      keepBusy();
      using sum = scope(() => matmul(x.view([1, count]), ones(device, [count, 1])));
      const bytes = new Uint8Array(Float32Array.from({ length: count }, () => 3).buffer);
      device.write(x.handle, bytes);
      bytes.fill(0);
      expect(await sum.item()).toBe(count);
      expect(new Set(await x.read())).toEqual(new Set([3]));
    },
  );
});

describe("failures", () => {
  test("an id out of the vocabulary: the next read says which, and the device goes on", async () => {
    using table = full(device, [5, 4], 1);
    for (const id of [5, -1, 2 ** 31 - 1, -(2 ** 31)]) {
      using ids = tensor(device, [0, id, 4], [3], "i32");
      keepBusy();
      using rows = embedding(ids, table);
      const other = rows.read();
      await expect(other).rejects.toThrow(DeviceError);
      await expect(other).rejects.toThrow(
        `cpu: expected an index from 0 to 4, got ${id}; look at the ids or positions`,
      );
      expect([...(await rows.read())], "the row of a wrong id is zero").toEqual([1, 1, 1, 1, 0, 0, 0, 0, 1, 1, 1, 1]);
      busyWith.pop()!.dispose();
    }
  });

  test("more memory than there is: an error with both figures, and nothing is left behind", async () => {
    using x = ones(device, [1_000_000]);
    expect(() => Tensor.empty(device, [2 ** 25, 2 ** 23], "f32")).toThrow(DeviceError);
    expect(() => Tensor.empty(device, [2 ** 25, 2 ** 23], "f32")).toThrow(
      "cpu: no memory for 1125899906.8 MB beside the 4.0 MB in use; make the batch or the model smaller",
    );
    expect(device.liveBuffers).toBe(1);
    expect((await x.read()).length).toBe(1_000_000);
  });
});

describe("after dispose", () => {
  test("every call says so, and a second dispose does nothing", async () => {
    const closed = cpuDevice({ threads: 1 });
    const x = keep(tensor(closed, [1, 2]));
    closed[Symbol.dispose]();
    closed[Symbol.dispose]();
    await expect(x.read()).rejects.toThrow("cpu: the device was disposed");
    expect(() => full(closed, [1], 1)).toThrow("cpu: the device was disposed");
    expect(() => tensorFromBytes(closed, new Uint8Array(4), [1], "f32")).toThrow("cpu: the device was disposed");
    expect(() => closed.threads).toThrow("cpu: the device was disposed");
    await expect(closed.finish()).rejects.toThrow("cpu: the device was disposed");
    x.dispose();
  });

  test("a read and a wait that were under way end: the read with an error, the wait well", async () => {
    const closed = cpuDevice({ threads: 1 });
    const [x, y] = [full(closed, [400, 400], 0.01), full(closed, [400, 400], 0.01)];
    for (let i = 0; i < 20; i++) matmul(x, y);
    const reads = Array.from({ length: 3 }, () => y.read());
    const wait = closed.finish();
    closed[Symbol.dispose]();
    for (const read of await Promise.allSettled(reads)) {
      expect(read).toMatchObject({ status: "rejected", reason: { message: "cpu: the device was disposed" } });
    }
    await wait;
  });
});
