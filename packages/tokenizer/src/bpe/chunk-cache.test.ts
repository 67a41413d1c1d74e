import { expect, it } from "vitest";
import { ChunkCache } from "./chunk-cache.ts";
import { IdBuffer } from "./id-buffer.ts";

function recall(cache: ChunkCache, hash: number, text: string): number[] | undefined {
  const out = new IdBuffer();
  const bytes = new TextEncoder().encode(text);
  return cache.recall(hash, bytes, 0, bytes.length, out) ? [...out.values.subarray(0, out.length)] : undefined;
}

function remember(cache: ChunkCache, hash: number, text: string, ids: number[]): void {
  const bytes = new TextEncoder().encode(text);
  cache.remember(hash, bytes, 0, bytes.length, Int32Array.from(ids));
}

it("tells chunks of one hash apart by their bytes", () => {
  const cache = new ChunkCache();
  remember(cache, 5, "cat", [1]);
  remember(cache, 5, "car", [2, 3]);
  expect(recall(cache, 5, "cat")).toEqual([1]);
  expect(recall(cache, 5, "car")).toEqual([2, 3]);
  expect(recall(cache, 5, "cab")).toBeUndefined();
  expect(recall(cache, 5, "ca")).toBeUndefined();
  expect(recall(cache, 6, "cat")).toBeUndefined();
});

it("stays right when more chunks share a hash than it keeps", () => {
  const cache = new ChunkCache();
  for (let i = 0; i < 50; i++) remember(cache, 9, `chunk${i}`, [i]);
  for (let i = 0; i < 50; i++) expect([undefined, i]).toContain(recall(cache, 9, `chunk${i}`)?.[0]);
});

it("stays right when it is full and starts over", () => {
  const cache = new ChunkCache();
  for (let i = 0; i < 200_000; i++) remember(cache, Math.imul(i, 0x9e3779b1), `c${i}`, [i, i + 1]);
  for (let i = 199_000; i < 200_000; i++) {
    expect([undefined, i]).toContain(recall(cache, Math.imul(i, 0x9e3779b1), `c${i}`)?.[0]);
  }
  expect(recall(cache, Math.imul(199_999, 0x9e3779b1), "c199999")).toEqual([199_999, 200_000]);
});
