import { availableParallelism } from "node:os";

import { DanuError, DeviceError } from "@danu/tensor";
import { afterEach, expect, test, vi } from "vitest";

import { bestIsa, cpuDevice, isas, isasUpTo, parseIsa } from "../src/index.ts";
import { loadLibrary } from "../src/library.ts";

const best = bestIsa();

afterEach(() => vi.unstubAllEnvs());

test("by default the best instruction set and every usable core", () => {
  vi.stubEnv("DANU_ISA", undefined);
  vi.stubEnv("DANU_THREADS", undefined);
  using device = cpuDevice();
  expect(device.isa).toBe(best);
  expect(device.threads).toBe(availableParallelism());
  expect(device.name).toBe("cpu");
});

test.each(isasUpTo(best))("%s can be asked for, in code and by DANU_ISA", (isa) => {
  using forced = cpuDevice({ isa });
  expect(forced.isa).toBe(isa);
  vi.stubEnv("DANU_ISA", isa);
  using fromEnvironment = cpuDevice();
  expect(fromEnvironment.isa).toBe(isa);
  using overruled = cpuDevice({ isa: best });
  expect(overruled.isa).toBe(best);
});

test("an instruction set beyond the machine, or none at all, is refused", () => {
  for (const isa of isas.filter((name) => !isasUpTo(best).includes(name))) {
    expect(() => cpuDevice({ isa })).toThrow(DeviceError);
    expect(() => cpuDevice({ isa })).toThrow(`cpu: this machine has ${best}, and cannot run ${isa}`);
  }
  vi.stubEnv("DANU_ISA", "avx1024");
  expect(() => cpuDevice()).toThrow(DanuError);
  expect(() => cpuDevice()).toThrow(
    'cpu: expected an instruction set of baseline, avx2, avx512, avx512bf16, neon, got "avx1024"',
  );
  expect(parseIsa("avx2")).toBe("avx2");
});

test("the instruction sets below one include each other, NEON stands alone", () => {
  expect(isasUpTo("avx512")).toEqual(["baseline", "avx2", "avx512"]);
  expect(isasUpTo("baseline")).toEqual(["baseline"]);
  expect(isasUpTo("neon")).toEqual(["neon"]);
});

test("threads come from the option, then from DANU_THREADS", () => {
  vi.stubEnv("DANU_THREADS", "3");
  using fromEnvironment = cpuDevice();
  expect(fromEnvironment.threads).toBe(3);
  using overruled = cpuDevice({ threads: 2 });
  expect(overruled.threads).toBe(2);
  for (const [text, number] of [
    ["many", "NaN"],
    ["-1", "-1"],
    ["1.5", "1.5"],
  ] as const) {
    vi.stubEnv("DANU_THREADS", text);
    expect(() => cpuDevice()).toThrow(`cpu: expected a number of threads, got ${number}`);
  }
});

test("a missing binary: the error says which, and how to get it", () => {
  const foreign = best === "neon" ? "avx2" : "neon";
  const platform = `${process.platform}-${process.arch}`;
  expect(() => loadLibrary(foreign)).toThrow(DeviceError);
  expect(() => loadLibrary(foreign)).toThrow(
    `cpu: found no danu_cpu_${foreign}.so for ${platform}; install @danu/cpu-${platform}, ` +
      'or run "npm run build" in a checkout with a C++ compiler',
  );
});

test("the peak of both types is measured, and the rate of reading memory", () => {
  using device = cpuDevice({ threads: 1 });
  const [f32, bf16] = [device.peakFlops("f32", 5), device.peakFlops("bf16", 5)];
  expect(f32).toBeGreaterThan(1e8);
  expect(bf16).toBeGreaterThan(1e8);
  expect(device.readBandwidth(1e6, 5)).toBeGreaterThan(1e8);
  expect(device.memory().live).toBe(0);
  expect(() => device.readBandwidth(2 ** 50, 5)).toThrow(DeviceError);
});
