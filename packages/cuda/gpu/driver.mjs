// The driver API from JavaScript through koffi: a kernel that runs, and what a launch costs.
//
//   node driver.mjs FOLDER     FOLDER holds probe-sm_90.cubin
import { readFileSync } from "node:fs";

import koffi from "koffi";

const cuda = koffi.load("libcuda.so.1");
const call = (name, ...types) => {
  const f = cuda.func(name, "int", types);
  return (...args) => {
    const status = f(...args);
    if (status !== 0) throw new Error(`${name}: driver error ${status}`);
  };
};
const word = () => new BigUint64Array(1);
const [u64, u32, ptr] = ["uint64_t", "uint32_t", "void *"];
const init = call("cuInit", u32), version = call("cuDriverGetVersion", ptr), retain = call("cuDevicePrimaryCtxRetain", ptr, "int");
const current = call("cuCtxSetCurrent", u64), load = call("cuLibraryLoadData", ptr, ptr, ptr, ptr, u32, ptr, ptr, u32);
const kernelOf = call("cuLibraryGetKernel", ptr, u64, "str"), functionOf = call("cuKernelGetFunction", ptr, u64);
const allocate = call("cuMemAlloc_v2", ptr, u64), upload = call("cuMemcpyHtoD_v2", u64, ptr, u64), download = call("cuMemcpyDtoH_v2", ptr, u64, u64);
const launch = call("cuLaunchKernel", u64, u32, u32, u32, u32, u32, u32, u32, u64, u64, u64);
const synchronize = call("cuStreamSynchronize", u64), query = cuda.func("cuStreamQuery", "int", [u64]);

init(0);
const out = word();
version(new Uint8Array(out.buffer));
console.log(`driver CUDA ${Number(out[0] & 0xffffffffn)}, node ${process.version}`);
out[0] = 0n; retain(out, 0); const context = out[0]; current(context);
const image = readFileSync(`${process.argv[2]}/probe-sm_90.cubin`);
load(out, image, null, null, 0, null, null, 0); const library = out[0];
kernelOf(out, library, "probe"); const kernel = out[0];
functionOf(out, kernel); const fn = out[0];
const n = 1 << 20, values = Float32Array.from({ length: n }, (_, i) => i), result = new Float32Array(n);
allocate(out, BigInt(n * 4)); const buffer = out[0];
upload(buffer, values, n * 4);
// Arguments: an array of their addresses, both in memory whose address is taken once.
const memory = new ArrayBuffer(256), cells = new BigUint64Array(memory), base = koffi.address(memory);
cells[0] = buffer; new Int32Array(memory)[2] = n; new Float32Array(memory)[4] = 0.5;
cells[16] = base; cells[17] = base + 8n; cells[18] = base + 16n;
const args = base + 128n;
launch(fn, n / 256, 1, 1, 256, 1, 1, 0, 0n, args, 0n); synchronize(0n);
download(result, buffer, n * 4);
const wrong = result.findIndex((v, i) => v !== Math.fround(i + 0.5));
console.log(wrong < 0 ? "kernel launched from JavaScript: ok" : `kernel launched from JavaScript: WRONG at ${wrong}`);
for (const runs of [1000, 20000]) {
  const t = process.hrtime.bigint();
  for (let i = 0; i < runs; i++) launch(fn, 1, 1, 1, 256, 1, 1, 0, 0n, args, 0n);
  const issued = Number(process.hrtime.bigint() - t); synchronize(0n); const done = Number(process.hrtime.bigint() - t);
  console.log(`${runs} launches: ${(issued / runs / 1000).toFixed(2)} us of host time each, ${(done / runs / 1000).toFixed(2)} us until done`);
}
const t = process.hrtime.bigint();
for (let i = 0; i < 20000; i++) query(0n);
console.log(`stream query: ${(Number(process.hrtime.bigint() - t) / 20000 / 1000).toFixed(2)} us`);
