import { afterEach, describe, expect, test } from "vitest";

import * as t from "./index.ts";

const device = t.referenceDevice();
afterEach(() => { expect(device.liveBuffers).toBe(0); });

const make = (): t.Tensor => t.ones(device, [3]);

describe("a scope", () => {
  test("frees what is made in it and lets go of what it returns", () => {
    let inside: t.Tensor | undefined;
    const kept = t.scope(() => {
      inside = make();
      return { list: [t.add(inside, 1)], nothing: null };
    });
    expect(inside!.disposed).toBe(true);
    expect(kept.list[0]!.disposed).toBe(false);
    t.disposeTree(kept);
  });

  test("passes what an inner one returns to the outer one", () => {
    let middle: t.Tensor | undefined;
    t.scope(() => {
      middle = t.scope(make);
      expect(middle.disposed).toBe(false);
    });
    expect(middle!.disposed).toBe(true);
  });

  test("frees everything when it throws, at every depth", () => {
    expect(() => t.scope(() => {
      make();
      t.scope(() => {
        make();
        throw new Error("stop");
      });
    })).toThrow("stop");
    expect(device.liveBuffers).toBe(0);
  });

  test("does not free what was made outside, even if it is returned", () => {
    using outside = make();
    t.scope(() => outside);
    expect(outside.disposed).toBe(false);
  });

  test("rejects an asynchronous function and leaves no unhandled rejection", async () => {
    expect(() => t.scope(async () => {
      const x = make();
      await Promise.resolve();
      return x.handle;
    })).toThrow(t.UsageError);
    await new Promise((resolve) => { setTimeout(resolve, 0); });
  });

  test("lets a tensor be freed early, or kept for longer", () => {
    let kept: t.Tensor | undefined;
    t.scope(() => {
      make().dispose();
      t.scope(() => { kept = t.keep(make()); });
    });
    expect(device.liveBuffers).toBe(1);
    kept!.dispose();
  });
});

describe("a tensor", () => {
  test("cannot be used or freed once it is free", () => {
    const x = make();
    x.dispose();
    const message = "tensor [3]: used after it was freed; keep it with keep() or return it from the scope";
    expect(() => x.handle).toThrow(message);
    expect(() => x.dispose()).toThrow(t.DisposedError);
    expect(() => t.neg(x)).toThrow("neg: an input of [3] was freed; keep it with keep() or return it from the scope");
  });

  test("shares memory with its views until the last is gone", async () => {
    const x = make();
    const view = t.reshape(x, [3, 1]);
    x.dispose();
    expect(device.liveBuffers).toBe(1);
    expect([...await view.read()]).toEqual([1, 1, 1]);
    view.dispose();
  });

  test("is freed by `using`", () => {
    {
      using x = make();
      expect(x.disposed).toBe(false);
    }
    expect(device.liveBuffers).toBe(0);
  });

  test("tells its only element, its size and what it is", async () => {
    using x = t.full(device, [1, 1], 2.5);
    expect(await x.item()).toBe(2.5);
    expect(String(x)).toBe("Tensor(f32 [1, 1] on reference)");
    using y = make();
    await expect(y.item()).rejects.toThrow("item: expected one element, got [3]");
  });

  test("counts its bytes on the device", () => {
    using x = t.zeros(device, [3, 2], "bf16");
    expect([x.size, device.liveBytes]).toEqual([6, 12]);
  });
});

test("a tensor moves between devices by value", async () => {
  const other = t.referenceDevice();
  using x = t.tensor(device, [1, NaN, -0], [3], "bf16");
  using y = await t.toDevice(x, other);
  expect([...await y.read()]).toEqual([1, NaN, -0]);
  expect(() => t.add(x, y)).toThrow(
    "add: inputs live on different devices: reference and reference; move one with toDevice()",
  );
});
