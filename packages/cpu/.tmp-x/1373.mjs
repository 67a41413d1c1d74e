var __defProp = Object.defineProperty;
var __export = (target, all2) => {
  for (var name in all2)
    __defProp(target, name, { get: all2[name], enumerable: true });
};

// packages/tensor/src/errors.ts
var marker = /* @__PURE__ */ Symbol.for("danu.error");
var DanuError = class extends Error {
  code;
  data;
  constructor(code2, message, data = {}) {
    super(message);
    this.name = new.target.name;
    this.code = code2;
    this.data = data;
    Object.defineProperty(this, marker, { value: true });
  }
  /** True for an error of any copy of this package, where `instanceof` would fail across two installs. */
  static isInstance(error) {
    return typeof error === "object" && error !== null && marker in error;
  }
};
var ShapeError = class extends DanuError {
  constructor(message, data = {}) {
    super("shape", message, data);
  }
};
var DTypeError = class extends DanuError {
  constructor(message, data = {}) {
    super("dtype", message, data);
  }
};
var DeviceError = class extends DanuError {
  constructor(message, data = {}) {
    super("device", message, data);
  }
};
var DisposedError = class extends DanuError {
  constructor(message, data = {}) {
    super("disposed", message, data);
  }
};
var GradientError = class extends DanuError {
  constructor(message, data = {}) {
    super("gradient", message, data);
  }
};
var UsageError = class extends DanuError {
  constructor(message, data = {}) {
    super("usage", message, data);
  }
};

// packages/tensor/src/dtype.ts
var dtypes = ["f32", "bf16", "f16", "f8e4m3", "f8e5m2", "i32", "u8"];
var bytesPerElement = {
  f32: 4,
  bf16: 2,
  f16: 2,
  f8e4m3: 1,
  f8e5m2: 1,
  i32: 4,
  u8: 1
};
function isFloat(dtype) {
  return dtype !== "i32" && dtype !== "u8";
}
var f32 = new Float32Array(1);
var u32 = new Uint32Array(f32.buffer);
var miniFloats = {
  f16: { exponentBits: 5, mantissaBits: 10, finiteOnly: false },
  f8e4m3: { exponentBits: 4, mantissaBits: 3, finiteOnly: true },
  f8e5m2: { exponentBits: 5, mantissaBits: 2, finiteOnly: false }
};
function bf16FromNumber(x2) {
  f32[0] = x2;
  const bits = u32[0];
  if ((bits & 2147483647) > 2139095040) return bits >>> 16 | 64;
  return bits + 32767 + (bits >>> 16 & 1) >>> 16 & 65535;
}
function bf16ToNumber(bits) {
  u32[0] = bits << 16;
  return f32[0];
}
function miniFromNumber(format, x2) {
  const { exponentBits, mantissaBits, finiteOnly } = format;
  const bias = 2 ** (exponentBits - 1) - 1;
  const topExponent = 2 ** exponentBits - 1;
  const sign = (x2 < 0 || Object.is(x2, -0) ? 1 : 0) << exponentBits + mantissaBits;
  const infinity = sign | topExponent << mantissaBits;
  const nan = finiteOnly ? sign | 2 ** (exponentBits + mantissaBits) - 1 : infinity | 1 << mantissaBits - 1;
  if (Number.isNaN(x2)) return nan;
  const magnitude = Math.min(Math.abs(x2), Number.MAX_VALUE);
  const largest = finiteOnly ? 2 ** (topExponent - bias) * (2 - 2 ** (1 - mantissaBits)) : 2 ** (topExponent - 1 - bias) * (2 - 2 ** -mantissaBits);
  const exponent = magnitude === 0 ? 1 - bias : Math.max(exponentOf(magnitude), 1 - bias);
  const step = 2 ** (exponent - mantissaBits);
  const rounded = roundHalfEven(magnitude / step) * step;
  if (rounded > largest) return finiteOnly ? sign | 2 ** (exponentBits + mantissaBits) - 2 : infinity;
  if (rounded < 2 ** (1 - bias)) return sign | Math.round(rounded / 2 ** (1 - bias - mantissaBits));
  const finalExponent = exponentOf(rounded);
  const mantissa = Math.round((rounded / 2 ** finalExponent - 1) * 2 ** mantissaBits);
  return sign | finalExponent + bias << mantissaBits | mantissa;
}
function exponentOf(x2) {
  const guess = Math.floor(Math.log2(x2));
  if (2 ** guess > x2) return guess - 1;
  return 2 ** (guess + 1) <= x2 ? guess + 1 : guess;
}
function roundHalfEven(x2) {
  const low = Math.floor(x2);
  const rest = x2 - low;
  if (rest !== 0.5) return Math.round(x2);
  return low % 2 === 0 ? low : low + 1;
}
function miniToNumber(format, bits) {
  const { exponentBits, mantissaBits, finiteOnly } = format;
  const bias = 2 ** (exponentBits - 1) - 1;
  const exponent = bits >>> mantissaBits & 2 ** exponentBits - 1;
  const mantissa = bits & 2 ** mantissaBits - 1;
  const sign = bits >>> exponentBits + mantissaBits ? -1 : 1;
  const top = exponent === 2 ** exponentBits - 1;
  if (top && finiteOnly && mantissa === 2 ** mantissaBits - 1) return NaN;
  if (top && !finiteOnly) return mantissa === 0 ? sign * Infinity : NaN;
  if (exponent === 0) return sign * mantissa * 2 ** (1 - bias - mantissaBits);
  return sign * (1 + mantissa * 2 ** -mantissaBits) * 2 ** (exponent - bias);
}
function integerFromNumber(x2, low, high) {
  return Number.isNaN(x2) ? 0 : Math.min(high, Math.max(low, Math.trunc(x2)));
}
function encode(dtype, values) {
  const n = values.length;
  switch (dtype) {
    case "f32":
      return bytesOf(Float32Array.from(values));
    case "i32":
      return bytesOf(Int32Array.from(values, (x2) => integerFromNumber(x2, -(2 ** 31), 2 ** 31 - 1)));
    case "u8":
      return Uint8Array.from(values, (x2) => integerFromNumber(x2, 0, 255));
    case "bf16":
      return bytesOf(Uint16Array.from(values, bf16FromNumber));
    case "f16":
      return bytesOf(Uint16Array.from(values, (x2) => miniFromNumber(miniFloats.f16, Math.fround(x2))));
    default: {
      const y = new Uint8Array(n);
      for (let i = 0; i < n; i++) y[i] = miniFromNumber(miniFloats[dtype], Math.fround(values[i]));
      return y;
    }
  }
}
function decode(dtype, bytes) {
  const aligned = bytes.byteOffset % bytesPerElement[dtype] === 0 ? bytes : bytes.slice();
  const { buffer, byteOffset, byteLength } = aligned;
  switch (dtype) {
    case "f32":
      return new Float32Array(buffer, byteOffset, byteLength / 4);
    case "i32":
      return new Int32Array(buffer, byteOffset, byteLength / 4);
    case "u8":
      return aligned;
    case "bf16":
      return Float32Array.from(new Uint16Array(buffer, byteOffset, byteLength / 2), bf16ToNumber);
    case "f16":
      return mapMini(miniFloats.f16, new Uint16Array(buffer, byteOffset, byteLength / 2));
    default:
      return mapMini(miniFloats[dtype], aligned);
  }
}
function mapMini(format, bits) {
  return Float32Array.from(bits, (b) => miniToNumber(format, b));
}
function bytesOf(view) {
  return new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
}

// packages/tensor/src/shape.ts
function sizeOf(shape) {
  let size2 = 1;
  for (const n of shape) size2 *= n;
  return size2;
}
function stridesOf(shape) {
  const strides = new Array(shape.length);
  let stride = 1;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    strides[axis] = stride;
    stride *= shape[axis];
  }
  return strides;
}
function sameShape(a, b) {
  return a.length === b.length && a.every((n, axis) => n === b[axis]);
}
function formatShape(shape) {
  return `[${shape.join(", ")}]`;
}
function broadcastShapes(name, a, b) {
  if (sameShape(a, b)) return a;
  const rank = Math.max(a.length, b.length);
  const shape = new Array(rank);
  for (let i = 1; i <= rank; i++) {
    const m = a[a.length - i] ?? 1;
    const n = b[b.length - i] ?? 1;
    if (m !== n && m !== 1 && n !== 1) {
      throw new ShapeError(`${name}: shapes do not broadcast: ${formatShape(a)} and ${formatShape(b)}`, { a, b });
    }
    shape[rank - i] = m === 1 ? n : m;
  }
  return shape;
}
function broadcastStrides(shape, target) {
  const strides = stridesOf(shape);
  const shift = target.length - shape.length;
  return target.map((n, axis) => {
    const own2 = axis - shift;
    return own2 < 0 || shape[own2] === 1 && n !== 1 ? 0 : strides[own2];
  });
}
function checkShape(name, shape) {
  if (!shape.every((n) => Number.isSafeInteger(n) && n >= 0) || !Number.isSafeInteger(sizeOf(shape))) {
    throw new ShapeError(`${name}: expected sizes that are whole numbers of at least 0, got ${formatShape(shape)}`, { shape });
  }
}
function resolveAxis(name, axis, rank) {
  const resolved = axis < 0 ? axis + rank : axis;
  if (!Number.isInteger(axis) || resolved < 0 || resolved >= rank) {
    throw new ShapeError(`${name}: axis ${axis} is not one of the ${rank} axes`, { axis, rank });
  }
  return resolved;
}
function dims(x2, pattern) {
  const names = pattern.split(" ");
  const fits = names.length === x2.shape.length && names.every((name, i) => !/^\d+$/.test(name) || Number(name) === x2.shape[i]);
  if (!fits) throw new ShapeError(`expected a tensor of shape [${names.join(", ")}], got ${formatShape(x2.shape)}`, { shape: x2.shape });
  const sizes2 = {};
  names.forEach((name, i) => {
    sizes2[name] = x2.shape[i];
  });
  return sizes2;
}

// packages/tensor/src/device.ts
var Device = class {
  /** Buffers handed out and not yet returned. */
  liveBuffers = 0;
  /** Bytes handed out and not yet returned. */
  liveBytes = 0;
  #kernels = [];
  /** Gives the device its own kernel for an op, checked against the op's inputs and attributes.
   *  @param accepts says for which inputs and attributes the kernel serves; the decomposition serves for the others */
  provide(op, kernel, accepts) {
    this.#kernels[op.id] = { kernel, accepts: accepts ?? null };
    return this;
  }
  /** The device's kernel for `op` on these inputs, or undefined where the op's decomposition serves. */
  kernelOf(op, x2, attrs) {
    const provided = this.#kernels[op.id];
    if (provided === void 0 || provided.accepts !== null && !provided.accepts(x2, attrs)) return void 0;
    return provided.kernel;
  }
  /** Bytes one element takes on this device. */
  bytesPerElement(dtype) {
    return bytesPerElement[dtype];
  }
  /** Numbers as the bytes this device stores. */
  encode(dtype, values) {
    return encode(dtype, values);
  }
  /** Bytes this device stores as numbers. */
  decode(dtype, bytes) {
    return decode(dtype, bytes);
  }
};

// packages/tensor/src/ownership.ts
var openScopes = [];
function own(tensor2) {
  openScopes[openScopes.length - 1]?.add(tensor2);
}

// packages/tensor/src/storage.ts
var Storage = class {
  device;
  bytes;
  #handle;
  #owners = 1;
  constructor(device, bytes) {
    this.device = device;
    this.bytes = bytes;
    this.#handle = device.allocate(bytes);
    device.liveBuffers++;
    device.liveBytes += bytes;
  }
  /** Number of tensors that hold this memory. */
  get owners() {
    return this.#owners;
  }
  /** @throws DisposedError when the memory has been given back */
  get handle() {
    if (this.#owners === 0) throw new DisposedError("tensor: its memory was freed; keep it with keep() or return it from the scope");
    return this.#handle;
  }
  retain() {
    this.#owners++;
    return this;
  }
  release() {
    if (--this.#owners > 0) return;
    this.device.liveBuffers--;
    this.device.liveBytes -= this.bytes;
    this.device.free(this.#handle, this.bytes);
  }
};

// packages/tensor/src/tensor.ts
var nextId = 0;
var Tensor = class _Tensor {
  /** Identity for the tape: aliases of one value share it. */
  id;
  shape;
  dtype;
  device;
  #storage;
  constructor(id, device, shape, dtype, storage) {
    this.id = id;
    this.device = device;
    this.shape = shape;
    this.dtype = dtype;
    this.#storage = storage;
  }
  /** A tensor over fresh, unwritten memory, owned by the current scope if there is one. */
  static empty(device, shape, dtype) {
    const storage = new Storage(device, sizeOf(shape) * device.bytesPerElement(dtype));
    const tensor2 = new _Tensor(nextId++, device, shape, dtype, storage);
    own(tensor2);
    return tensor2;
  }
  /** Number of elements. */
  get size() {
    return sizeOf(this.shape);
  }
  /** Where the device keeps the elements. @throws DisposedError after dispose */
  get handle() {
    return this.storage.handle;
  }
  /** @throws DisposedError after dispose */
  get storage() {
    if (this.#storage === null) {
      throw new DisposedError(`tensor ${formatShape(this.shape)}: used after it was freed; keep it with keep() or return it from the scope`);
    }
    return this.#storage;
  }
  /** True once the tensor has given its memory back. */
  get disposed() {
    return this.#storage === null;
  }
  /** The same memory under another shape of equal size, as a new value. */
  view(shape) {
    checkShape("view", shape);
    if (sizeOf(shape) !== this.size) {
      throw new ShapeError(`view: ${formatShape(this.shape)} has ${this.size} elements, ${formatShape(shape)} needs ${sizeOf(shape)}`);
    }
    const tensor2 = new _Tensor(nextId++, this.device, shape, this.dtype, this.storage.retain());
    own(tensor2);
    return tensor2;
  }
  /** The same value with an own hold on the memory and no owner scope; whoever makes one disposes of it. */
  alias() {
    return new _Tensor(this.id, this.device, this.shape, this.dtype, this.storage.retain());
  }
  /** The same value without memory: its shape and dtype can be read, its elements cannot. */
  ghost() {
    return new _Tensor(this.id, this.device, this.shape, this.dtype, null);
  }
  /** Copies the elements to the host once the work enqueued so far is done. */
  async read() {
    return this.device.decode(this.dtype, await this.bytes());
  }
  /** Copies the raw bytes to the host once the work enqueued so far is done. */
  async bytes() {
    const { handle, bytes } = this.storage;
    return this.device.read(handle, bytes);
  }
  /** The only element of a tensor of size 1. @throws ShapeError for any other size */
  async item() {
    if (this.size !== 1) throw new ShapeError(`item: expected one element, got ${formatShape(this.shape)}`);
    return (await this.read())[0];
  }
  /** Gives the memory back. @throws DisposedError the second time */
  dispose() {
    this.storage.release();
    this.#storage = null;
  }
  [Symbol.dispose]() {
    this.dispose();
  }
  toString() {
    return `Tensor(${this.dtype} ${formatShape(this.shape)} on ${this.device.name})`;
  }
};

// packages/tensor/src/tree.ts
function mapTree(tree, f) {
  const visit = (node, path) => {
    if (node instanceof Tensor) return f(node, path);
    if (node === null) return null;
    const join2 = (key) => path === "" ? String(key) : `${path}.${key}`;
    if (Array.isArray(node)) return node.map((child, i) => visit(child, join2(i)));
    if (typeof node === "object") {
      return Object.fromEntries(Object.entries(node).map(([key, child]) => [key, visit(child, join2(key))]));
    }
    throw new UsageError(`tree: expected tensors, arrays and plain objects, got ${typeof node} at ${path === "" ? "the root" : path}`);
  };
  return visit(tree, "");
}
function leavesOf(tree) {
  const leaves = [];
  mapTree(tree, (tensor2, path) => {
    leaves.push({ path, tensor: tensor2 });
  });
  return leaves;
}
function tensorsIn(value, found = []) {
  if (value instanceof Tensor) found.push(value);
  else if (Array.isArray(value)) for (const item of value) tensorsIn(item, found);
  else if (typeof value === "object" && value !== null && Object.getPrototypeOf(value) === Object.prototype) {
    for (const item of Object.values(value)) tensorsIn(item, found);
  }
  return found;
}

// packages/tensor/src/scope.ts
function scope(f) {
  const inner = /* @__PURE__ */ new Set();
  openScopes.push(inner);
  try {
    const result = f();
    if (result instanceof Promise) {
      result.catch(() => void 0);
      throw new UsageError("scope: expected a synchronous function, got a promise; await outside of the scope");
    }
    const outer = openScopes[openScopes.length - 2];
    for (const tensor2 of tensorsIn(result)) if (inner.delete(tensor2)) outer?.add(tensor2);
    return result;
  } finally {
    openScopes.pop();
    for (const tensor2 of inner) if (!tensor2.disposed) tensor2.dispose();
  }
}
function keep(value) {
  for (const tensor2 of tensorsIn(value)) for (const open of openScopes) open.delete(tensor2);
  return value;
}

// packages/tensor/src/tape.ts
var Tape = class {
  entries = [];
  #tracked = /* @__PURE__ */ new Set();
  track(tensor2) {
    this.#tracked.add(tensor2.id);
  }
  tracks(tensor2) {
    return tensor2 !== null && this.#tracked.has(tensor2.id);
  }
  /** Lets go of what the entries still hold. */
  clear() {
    for (const entry of this.entries.splice(0)) releaseEntry(entry);
  }
};
var active = [];
function recording(tape, f) {
  return withTapes([...active, tape], f);
}
function paused(f) {
  return withTapes([], f);
}
function withTapes(tapes, f) {
  const before = active;
  active = tapes;
  try {
    return f();
  } finally {
    active = before;
  }
}
function isTracked(tensor2) {
  for (const tape of active) if (tape.tracks(tensor2)) return true;
  return false;
}
function record(op, x2, y, attrs) {
  for (const tape of active) {
    if (!x2.some((tensor2) => tape.tracks(tensor2))) continue;
    const differentiable = y.filter((tensor2) => isFloat(tensor2.dtype));
    if (differentiable.length === 0) continue;
    if (op.vjp === null) throw new GradientError(`${op.name}: has no gradient; compute it outside of valueAndGrad or stop the gradient`);
    for (const tensor2 of differentiable) tape.track(tensor2);
    tape.entries.push({
      op,
      x: x2.map((tensor2, i) => hold(tensor2, op.saves.inputs.includes(i))),
      y: y.map((tensor2, i) => hold(tensor2, op.saves.outputs.includes(i))),
      attrs
    });
  }
}
function releaseEntry(entry) {
  for (const tensor2 of [...entry.x, ...entry.y]) if (tensor2 !== null && !tensor2.disposed) tensor2.dispose();
}
function hold(tensor2, elements) {
  if (tensor2 === null) return tensor2;
  return elements ? tensor2.alias() : tensor2.ghost();
}

// packages/tensor/src/op.ts
var nextId2 = 0;
function defineOp(definition) {
  return { saves: { inputs: Array.from({ length: 16 }, (_, i) => i), outputs: [] }, ...definition, id: nextId2++ };
}
function defineUpdate(definition) {
  return { ...definition, id: nextId2++ };
}
function run(op, x2, attrs) {
  const device = deviceOf(op.name, x2);
  const specs = op.infer(x2, attrs);
  const kernel = device.kernelOf(op, x2, attrs);
  if (kernel === void 0) {
    if (op.decompose === null) throw new DeviceError(`${op.name}: the ${device.name} device has no kernel for this primitive`);
    const decompose = op.decompose;
    if (op.vjp === null || !x2.some(isTracked)) return scope(() => decompose(x2, attrs));
    const y2 = paused(() => scope(() => decompose(x2, attrs)));
    record(op, x2, y2, attrs);
    return y2;
  }
  const y = specs.map((spec) => {
    checkShape(op.name, spec.shape);
    return Tensor.empty(device, spec.shape, spec.dtype);
  });
  kernel(y, x2, attrs);
  record(op, x2, y, attrs);
  return y;
}
function runUpdate(op, x2, attrs) {
  const device = deviceOf(op.name, x2);
  op.check(x2, attrs);
  for (const tensor2 of x2) {
    if (tensor2 !== null && isFloat(tensor2.dtype) && isTracked(tensor2)) {
      throw new GradientError(`${op.name}: cannot write in place while its tensors are differentiated; call it outside of valueAndGrad`);
    }
  }
  const kernel = device.kernelOf(op, x2, attrs);
  if (kernel !== void 0) return kernel(x2, attrs);
  if (op.decompose === null) throw new DeviceError(`${op.name}: the ${device.name} device has no kernel for this primitive`);
  const decompose = op.decompose;
  scope(() => decompose(x2, attrs));
}
function deviceOf(name, x2) {
  let device = null;
  for (const tensor2 of x2) {
    if (tensor2 === null) continue;
    if (device !== null && tensor2.device !== device) {
      throw new DeviceError(`${name}: inputs live on different devices: ${device.name} and ${tensor2.device.name}; move one with toDevice()`);
    }
    device = tensor2.device;
  }
  if (device === null) throw new DeviceError(`${name}: no input tells on which device to run`);
  return device;
}

// packages/tensor/src/door.ts
import typedFunction from "typed-function";

// packages/tensor/src/ops/full.ts
var fillOp = defineUpdate({
  name: "fill",
  check: () => void 0,
  decompose: null
});
function full(device, shape, value, dtype = "f32") {
  checkShape("full", shape);
  const y = Tensor.empty(device, shape, dtype);
  runUpdate(fillOp, [y], { value });
  return y;
}
function zeros(device, shape, dtype = "f32") {
  return full(device, shape, 0, dtype);
}
function ones(device, shape, dtype = "f32") {
  return full(device, shape, 1, dtype);
}

// packages/tensor/src/door.ts
var typed = typedFunction.create();
typed.addTypes([{ name: "Tensor", test: (x2) => x2 instanceof Tensor }]);
function binaryDoor(op) {
  const scalar = (like, value) => full(like.device, [], value, like.dtype);
  return typed(op.name, {
    "Tensor, Tensor": (a, b) => run(op, [a, b], null)[0],
    "Tensor, number": (a, b) => run(op, [a, scalar(a, b)], null)[0],
    "number, Tensor": (a, b) => run(op, [scalar(b, a), b], null)[0]
  });
}

// packages/tensor/src/ops/elementwise.ts
function defineUnary(name, vjp, reads = "input") {
  return defineOp({
    name,
    infer: ([x2]) => {
      if (!isFloat(x2.dtype)) throw new DTypeError(`${name}: expected a float tensor, got ${x2.dtype}`, { dtype: x2.dtype });
      return [{ shape: x2.shape, dtype: x2.dtype }];
    },
    vjp,
    decompose: null,
    saves: { inputs: reads === "input" ? [0] : [], outputs: reads === "output" ? [0] : [] }
  });
}
function defineBinary(name, vjp, options = {}) {
  return defineOp({
    name,
    infer: ([a, b]) => {
      if (a.dtype !== b.dtype) {
        throw new DTypeError(`${name}: expected operands of one dtype, got ${a.dtype} and ${b.dtype}; use cast()`, { a: a.dtype, b: b.dtype });
      }
      return [{ shape: broadcastShapes(name, a.shape, b.shape), dtype: options.result ?? a.dtype }];
    },
    vjp,
    decompose: null,
    saves: { inputs: options.reads ?? [0, 1], outputs: [] }
  });
}

// packages/tensor/src/ops/add.ts
var addOp = defineBinary("add", ([g2]) => [g2, g2], { reads: [] });
var add = binaryDoor(addOp);

// packages/tensor/src/ops/assign.ts
var assignOp = defineUpdate({
  name: "assign",
  check: ([target, source]) => {
    if (!sameShape(target.shape, source.shape)) {
      throw new ShapeError(`assign: expected ${formatShape(target.shape)}, got ${formatShape(source.shape)}`);
    }
  },
  decompose: null
});
function assign(target, source) {
  runUpdate(assignOp, [target, source], null);
}

// packages/tensor/src/ops/cast.ts
var castOp = defineOp({
  name: "cast",
  infer: ([x2], { dtype }) => [{ shape: x2.shape, dtype }],
  vjp: ([g2], [x2]) => [g2 && isFloat(x2.dtype) ? cast(g2, x2.dtype) : null],
  decompose: null,
  saves: { inputs: [], outputs: [] }
});
function cast(x2, dtype) {
  return x2.dtype === dtype ? x2 : run(castOp, [x2], { dtype })[0];
}

// packages/tensor/src/ops/add-into.ts
var addIntoOp = defineUpdate({
  name: "addInto",
  check: ([target, source]) => {
    if (!sameShape(target.shape, source.shape)) {
      throw new ShapeError(`addInto: expected ${formatShape(target.shape)}, got ${formatShape(source.shape)}`);
    }
  },
  decompose: ([target, source]) => assign(target, add(cast(target, "f32"), cast(source, "f32")))
});
function addInto(target, source) {
  runUpdate(addIntoOp, [target, source], null);
}

// packages/tensor/src/ops/broadcast-to.ts
var broadcastToOp = defineOp({
  name: "broadcastTo",
  infer: ([x2], { shape }) => {
    if (!sameShape(broadcastShapes("broadcastTo", x2.shape, shape), shape)) {
      throw new ShapeError(`broadcastTo: ${formatShape(x2.shape)} does not stretch to ${formatShape(shape)}`);
    }
    return [{ shape, dtype: x2.dtype }];
  },
  // The sum back to the shape of x is done centrally, for every op alike.
  vjp: ([g2]) => [g2],
  decompose: null,
  saves: { inputs: [], outputs: [] }
});
function broadcastTo(x2, shape) {
  return sameShape(x2.shape, shape) ? x2 : run(broadcastToOp, [x2], { shape })[0];
}

// packages/tensor/src/ops/mul.ts
var mulOp = defineBinary("mul", ([g2], [a, b]) => [g2 && mul(g2, b), g2 && mul(g2, a)]);
var mul = binaryDoor(mulOp);

// packages/tensor/src/ops/neg.ts
var negOp = defineUnary("neg", ([g2]) => [g2 && neg(g2)], "nothing");
function neg(x2) {
  return run(negOp, [x2], null)[0];
}

// packages/tensor/src/ops/div.ts
var divOp = defineBinary("div", ([g2], [a, b]) => g2 === null ? [null, null] : [div(g2, b), neg(div(mul(g2, a), mul(b, b)))]);
var div = binaryDoor(divOp);

// packages/tensor/src/ops/reduce.ts
function reducedShape(x2, axis) {
  return x2.shape.map((n, i) => i === axis ? 1 : n);
}
function aroundAxis(shape, axis) {
  let outer = 1;
  let inner = 1;
  shape.forEach((n, i) => {
    if (i < axis) outer *= n;
    else if (i > axis) inner *= n;
  });
  return { outer, reduced: shape[axis], inner };
}
function reduceAxes(name, x2, { axis, keepDims = false }, along, reshape2) {
  const wanted = axis === void 0 ? x2.shape.map((_, i) => i) : typeof axis === "number" ? [axis] : axis;
  const axes = new Set(wanted.map((a) => resolveAxis(name, a, x2.shape.length)));
  let y = x2;
  for (const a of axes) y = along(y, a);
  return keepDims ? y : reshape2(y, y.shape.filter((_, i) => !axes.has(i)));
}

// packages/tensor/src/ops/reshape.ts
var reshapeOp = defineOp({
  name: "reshape",
  infer: ([x2]) => [{ shape: x2.shape, dtype: x2.dtype }],
  vjp: ([g2], [x2]) => [g2 && reshape(g2, x2.shape)],
  decompose: null,
  saves: { inputs: [], outputs: [] }
});
function reshape(x2, shape) {
  const resolved = resolve(x2, shape);
  if (sameShape(resolved, x2.shape)) return x2;
  const y = x2.view(resolved);
  record(reshapeOp, [x2], [y], null);
  return y;
}
function resolve(x2, shape) {
  const open = shape.indexOf(-1);
  if (open < 0) return shape;
  const known = sizeOf(shape.filter((_, i) => i !== open));
  const missing = x2.size / known;
  if (!Number.isInteger(missing)) throw new ShapeError(`reshape: ${formatShape(x2.shape)} does not fit ${formatShape(shape)}`);
  return shape.map((n, i) => i === open ? missing : n);
}

// packages/tensor/src/ops/sum.ts
var sumOp = defineOp({
  name: "sum",
  infer: ([x2], { axis }) => [{ shape: reducedShape(x2, axis), dtype: x2.dtype }],
  vjp: ([g2], [x2]) => [g2 && broadcastTo(g2, x2.shape)],
  decompose: null,
  saves: { inputs: [], outputs: [] }
});
function sum(x2, options = {}) {
  return reduceAxes("sum", x2, options, (y, axis) => run(sumOp, [y], { axis })[0], reshape);
}
function mean(x2, options = {}) {
  const total = sum(x2, options);
  return div(total, x2.size / Math.max(total.size, 1));
}
function sumTo(x2, shape) {
  const shift = x2.shape.length - shape.length;
  const axis = x2.shape.flatMap((n, i) => i < shift || shape[i - shift] === 1 && n !== 1 ? [i] : []);
  return reshape(sum(x2, { axis, keepDims: true }), shape);
}

// packages/tensor/src/backward.ts
var Gradients = class {
  #byId = /* @__PURE__ */ new Map();
  /** Takes the gradient of a tensor out of the map, or null if none arrived. */
  take(tensor2) {
    const gradient = this.#byId.get(tensor2.id) ?? null;
    this.#byId.delete(tensor2.id);
    return gradient;
  }
  /** Adds a contribution, summed over the axes along which the tensor had been broadcast. */
  add(tensor2, contribution) {
    const before = this.#byId.get(tensor2.id);
    const fitted = sameShape(contribution.shape, tensor2.shape) ? contribution : sumTo(contribution, tensor2.shape);
    this.#byId.set(tensor2.id, before === void 0 ? fitted.alias() : sum2(before, fitted));
  }
  /** Frees the gradients nobody took. */
  clear() {
    for (const gradient of this.#byId.values()) gradient.dispose();
    this.#byId.clear();
  }
};
function sum2(a, b) {
  const wide = a.dtype === b.dtype || a.dtype === "f32" ? a : cast(a, b.dtype);
  const own2 = wide === a ? a.storage.owners === 1 : true;
  if (own2 && !isTracked(wide) && !isTracked(b)) {
    addInto(wide, b);
    if (wide === a) return a;
    a.dispose();
    return keep(wide);
  }
  const total = add(wide, b.dtype === wide.dtype ? b : cast(b, wide.dtype)).alias();
  a.dispose();
  return total;
}
function walkBack(tape, gradients) {
  for (let i = tape.entries.length - 1; i >= 0; i--) {
    const entry = tape.entries.pop();
    try {
      scope(() => stepBack(tape, entry, gradients));
    } finally {
      releaseEntry(entry);
    }
  }
}
function stepBack(tape, entry, gradients) {
  const g2 = entry.y.map((tensor2) => gradients.take(tensor2));
  if (g2.every((gradient) => gradient === null)) return;
  try {
    const dx = entry.op.vjp(g2, entry.x, entry.y, entry.attrs);
    entry.x.forEach((tensor2, i) => {
      const contribution = dx[i] ?? null;
      if (tensor2 !== null && contribution !== null && tape.tracks(tensor2)) gradients.add(tensor2, contribution);
    });
  } finally {
    for (const gradient of g2) gradient?.dispose();
  }
}

// packages/tensor/src/grad.ts
function valueAndGrad(loss) {
  return (params, ...rest) => differentiate(loss, params, rest, (param, gradient) => adopt(gradient) ?? zeros(param.device, param.shape, param.dtype));
}
function differentiate(loss, params, rest, collect) {
  const tape = new Tape();
  const gradients = new Gradients();
  for (const { tensor: tensor2 } of leavesOf(params)) tape.track(tensor2);
  try {
    const value = recording(tape, () => scope(() => loss(params, ...rest)));
    if (value.size !== 1 || value.dtype !== "f32") {
      throw new GradientError(`valueAndGrad: expected a loss that is one f32 number, got ${value.dtype} ${formatShape(value.shape)}`);
    }
    scope(() => gradients.add(value, full(value.device, value.shape, 1)));
    walkBack(tape, gradients);
    return [value, mapTree(params, (tensor2) => collect(tensor2, gradients.take(tensor2)))];
  } finally {
    tape.clear();
    gradients.clear();
  }
}
function adopt(gradient) {
  if (gradient !== null) own(gradient);
  return gradient;
}
function pullback(f, x2) {
  const tape = new Tape();
  for (const tensor2 of x2) tape.track(tensor2);
  const y = recording(tape, () => scope(() => f(...x2)));
  const pull = (g2) => {
    const gradients = new Gradients();
    try {
      y.forEach((tensor2, i) => {
        if (g2[i] != null) gradients.add(tensor2, g2[i]);
      });
      walkBack(tape, gradients);
      return x2.map((tensor2) => adopt(gradients.take(tensor2)));
    } finally {
      tape.clear();
      gradients.clear();
    }
  };
  return { y, pull };
}

// packages/tensor/src/ops/tensor-of.ts
function tensor(device, values, shape = [values.length], dtype = "f32") {
  checkShape("tensor", shape);
  if (sizeOf(shape) !== values.length) {
    throw new ShapeError(`tensor: ${formatShape(shape)} needs ${sizeOf(shape)} values, got ${values.length}`, { shape });
  }
  const y = Tensor.empty(device, shape, dtype);
  device.write(y.handle, device.encode(dtype, values));
  return y;
}

// packages/tensor/src/ops/iota.ts
var iotaOp = defineUpdate({
  name: "iota",
  check: () => void 0,
  decompose: null
});
function iota(device, length, options = {}) {
  const { start = 0, step = 1, dtype = "i32" } = options;
  checkShape("iota", [length]);
  const y = Tensor.empty(device, [length], dtype);
  runUpdate(iotaOp, [y], { start, step });
  return y;
}

// packages/tensor/src/ops/sub.ts
var subOp = defineBinary("sub", ([g2]) => [g2, g2 && neg(g2)], { reads: [] });
var sub = binaryDoor(subOp);

// packages/tensor/src/ops/less-equal.ts
var lessEqualOp = defineBinary("lessEqual", null, { result: "u8" });
var lessEqual = binaryDoor(lessEqualOp);

// packages/tensor/src/ops/where.ts
var whereOp = defineOp({
  name: "where",
  infer: ([mask, a, b]) => {
    if (mask.dtype !== "u8") throw new DTypeError(`where: expected a u8 mask, got ${mask.dtype}`);
    if (a.dtype !== b.dtype) throw new DTypeError(`where: expected choices of one dtype, got ${a.dtype} and ${b.dtype}`);
    const choices = broadcastShapes("where", a.shape, b.shape);
    return [{ shape: broadcastShapes("where", mask.shape, choices), dtype: a.dtype }];
  },
  vjp: ([g2], [mask]) => {
    if (g2 === null) return [null, null, null];
    const zero = full(g2.device, [], 0, g2.dtype);
    return [null, where(mask, g2, zero), where(mask, zero, g2)];
  },
  decompose: null,
  saves: { inputs: [0], outputs: [] }
});
function where(mask, a, b) {
  return run(whereOp, [mask, a, b], null)[0];
}

// packages/tensor/src/ops/maximum.ts
var maximumOp = defineBinary("maximum", ([g2], [a, b]) => {
  if (g2 === null) return [null, null];
  const zero = full(g2.device, [], 0, g2.dtype);
  const right = lessEqual(a, b);
  return [where(right, zero, g2), where(right, g2, zero)];
});
var maximum = binaryDoor(maximumOp);

// packages/tensor/src/ops/minimum.ts
var minimumOp = defineBinary("minimum", ([g2], [a, b]) => {
  if (g2 === null) return [null, null];
  const zero = full(g2.device, [], 0, g2.dtype);
  const left = lessEqual(a, b);
  return [where(left, g2, zero), where(left, zero, g2)];
});
var minimum = binaryDoor(minimumOp);

// packages/tensor/src/ops/less.ts
var lessOp = defineBinary("less", null, { result: "u8" });
var less = binaryDoor(lessOp);

// packages/tensor/src/ops/equal.ts
var equalOp = defineBinary("equal", null, { result: "u8" });
var equal = binaryDoor(equalOp);

// packages/tensor/src/ops/abs.ts
var absOp = defineUnary("abs", ([g2], [x2]) => [g2 && where(less(x2, 0), neg(g2), g2)]);
function abs(x2) {
  return run(absOp, [x2], null)[0];
}

// packages/tensor/src/ops/exp.ts
var expOp = defineUnary("exp", ([g2], _, [y]) => [g2 && mul(g2, y)], "output");
function exp(x2) {
  return run(expOp, [x2], null)[0];
}

// packages/tensor/src/ops/log.ts
var logOp = defineUnary("log", ([g2], [x2]) => [g2 && div(g2, x2)]);
function log(x2) {
  return run(logOp, [x2], null)[0];
}

// packages/tensor/src/ops/sqrt.ts
var sqrtOp = defineUnary("sqrt", ([g2], _, [y]) => [g2 && div(g2, mul(y, 2))], "output");
function sqrt(x2) {
  return run(sqrtOp, [x2], null)[0];
}

// packages/tensor/src/ops/sin-cos.ts
var sinOp = defineUnary("sin", ([g2], [x2]) => [g2 && mul(g2, cos(x2))]);
var cosOp = defineUnary("cos", ([g2], [x2]) => [g2 && neg(mul(g2, sin(x2)))]);
function sin(x2) {
  return run(sinOp, [x2], null)[0];
}
function cos(x2) {
  return run(cosOp, [x2], null)[0];
}

// packages/tensor/src/ops/tanh.ts
var tanhOp = defineUnary("tanh", ([g2], _, [y]) => [g2 && mul(g2, sub(1, mul(y, y)))], "output");

// packages/tensor/src/ops/sigmoid.ts
var sigmoidOp = defineUnary("sigmoid", ([g2], _, [y]) => [g2 && mul(g2, mul(y, sub(1, y)))], "output");
function sigmoid(x2) {
  return run(sigmoidOp, [x2], null)[0];
}

// packages/tensor/src/ops/silu.ts
function silu(x2) {
  return mul(x2, sigmoid(x2));
}

// packages/tensor/src/ops/max.ts
var maxOp = defineOp({
  name: "max",
  infer: ([x2], { axis }) => [{ shape: reducedShape(x2, axis), dtype: x2.dtype }],
  vjp: ([g2], [x2], [y], { axis }) => {
    if (g2 === null) return [null];
    const winners = cast(equal(x2, y), g2.dtype);
    return [mul(div(g2, sum(winners, { axis, keepDims: true })), winners)];
  },
  decompose: null,
  saves: { inputs: [0], outputs: [0] }
});
function max(x2, options = {}) {
  return reduceAxes("max", x2, options, (y, axis) => run(maxOp, [y], { axis })[0], reshape);
}

// packages/tensor/src/ops/argmax.ts
var argmaxOp = defineOp({
  name: "argmax",
  infer: ([x2], { axis }) => [{ shape: x2.shape.filter((_, i) => i !== axis), dtype: "i32" }],
  vjp: null,
  decompose: null
});

// packages/tensor/src/ops/stop-gradient.ts
function stopGradient(x2) {
  return x2.view(x2.shape);
}

// packages/tensor/src/ops/softmax.ts
function pivot(x2) {
  const top = stopGradient(max(x2, { axis: -1, keepDims: true }));
  const zero = full(x2.device, [], 0, x2.dtype);
  return where(lessEqual(full(x2.device, [], Infinity, x2.dtype), abs(top)), zero, top);
}
function logSumExp(x2) {
  const top = pivot(x2);
  return add(log(sum(exp(sub(x2, top)), { axis: -1, keepDims: true })), top);
}

// packages/tensor/src/ops/permute.ts
var permuteOp = defineOp({
  name: "permute",
  infer: ([x2], { axes }) => {
    const rank = x2.shape.length;
    if (axes.length !== rank || !x2.shape.every((_, axis) => axes.includes(axis))) {
      throw new ShapeError(`permute: expected each of the ${rank} axes once, got [${axes.join(", ")}]`);
    }
    return [{ shape: axes.map((axis) => x2.shape[axis]), dtype: x2.dtype }];
  },
  vjp: ([g2], _, __, { axes }) => [g2 && permute(g2, axes.map((_axis, i) => axes.indexOf(i)))],
  decompose: null,
  saves: { inputs: [], outputs: [] }
});
function permute(x2, axes) {
  return run(permuteOp, [x2], { axes: axes.map((axis) => resolveAxis("permute", axis, x2.shape.length)) })[0];
}

// packages/tensor/src/ops/slice.ts
var sliceOp = defineOp({
  name: "slice",
  infer: ([x2], { axis, start, end }) => {
    const n = x2.shape[axis];
    if (!(Number.isInteger(start) && Number.isInteger(end) && start >= 0 && start <= end && end <= n)) {
      throw new ShapeError(`slice: ${start} to ${end} is not within axis ${axis} of ${formatShape(x2.shape)}`);
    }
    return [{ shape: x2.shape.map((size2, i) => i === axis ? end - start : size2), dtype: x2.dtype }];
  },
  vjp: ([g2], [x2], _, { axis, start, end }) => [g2 && pad(g2, axis, start, x2.shape[axis] - end)],
  decompose: null,
  saves: { inputs: [], outputs: [] }
});
function slice(x2, axis, start, end) {
  return run(sliceOp, [x2], { axis: resolveAxis("slice", axis, x2.shape.length), start, end })[0];
}
var padOp = defineOp({
  name: "pad",
  infer: ([x2], { axis, before, after }) => {
    if (!(Number.isInteger(before) && Number.isInteger(after) && before >= 0 && after >= 0)) {
      throw new ShapeError(`pad: expected whole numbers of at least 0, got ${before} before and ${after} after`);
    }
    return [{ shape: x2.shape.map((n, i) => i === axis ? n + before + after : n), dtype: x2.dtype }];
  },
  vjp: ([g2], [x2], _, { axis, before }) => [g2 && slice(g2, axis, before, before + x2.shape[axis])],
  decompose: null,
  saves: { inputs: [], outputs: [] }
});
function pad(x2, axis, before, after) {
  return run(padOp, [x2], { axis: resolveAxis("pad", axis, x2.shape.length), before, after })[0];
}

// packages/tensor/src/ops/concat.ts
var concatOp = defineOp({
  name: "concat",
  infer: (parts, { axis }) => {
    const first = parts[0];
    for (const part of parts) {
      const fits = part.shape.length === first.shape.length && part.shape.every((n, i) => i === axis || n === first.shape[i]);
      if (!fits) throw new ShapeError(`concat: ${formatShape(part.shape)} does not continue ${formatShape(first.shape)} along axis ${axis}`);
      if (part.dtype !== first.dtype) throw new DTypeError(`concat: expected ${first.dtype} throughout, got ${part.dtype}`);
    }
    const total = parts.reduce((n, part) => n + part.shape[axis], 0);
    return [{ shape: first.shape.map((n, i) => i === axis ? total : n), dtype: first.dtype }];
  },
  vjp: ([g2], parts, _, { axis }) => {
    let start = 0;
    return parts.map((part) => {
      const end = start + part.shape[axis];
      const piece = g2 && slice(g2, axis, start, end);
      start = end;
      return piece;
    });
  },
  decompose: null,
  saves: { inputs: [], outputs: [] }
});
function concat(parts, axis) {
  if (parts.length === 0) throw new ShapeError("concat: expected at least one tensor");
  return run(concatOp, parts, { axis: resolveAxis("concat", axis, parts[0].shape.length) })[0];
}

// packages/tensor/src/ops/matmul.ts
var matmulOp = defineOp({
  name: "matmul",
  infer: ([a, b], { transposeA, transposeB, dtype }) => {
    if (a.shape.length < 2 || b.shape.length < 2) {
      throw new ShapeError(`matmul: expected at least two axes, got ${formatShape(a.shape)} x ${formatShape(b.shape)}`);
    }
    if (a.dtype !== b.dtype || !isFloat(a.dtype) || !isFloat(dtype)) {
      throw new DTypeError(`matmul: expected two operands of one float type, got ${a.dtype} and ${b.dtype}`);
    }
    const [m, ka] = matrixOf(a, transposeA);
    const [kb, n] = matrixOf(b, transposeB);
    if (ka !== kb) throw new ShapeError(`matmul: inner dims differ: ${formatShape(a.shape)} x ${formatShape(b.shape)}`);
    const batch = broadcastShapes("matmul", a.shape.slice(0, -2), b.shape.slice(0, -2));
    return [{ shape: [...batch, m, n], dtype }];
  },
  vjp: ([g2], [a, b], _, { transposeA, transposeB }) => {
    if (g2 === null) return [null, null];
    const h = cast(g2, a.dtype);
    const da = transposeA ? matmul(b, h, { transposeA: transposeB, transposeB: true }) : matmul(h, b, { transposeB: !transposeB });
    const db = transposeB ? matmul(h, a, { transposeA: true, transposeB: transposeA }) : matmul(a, h, { transposeA: !transposeA });
    return [da, db];
  },
  decompose: null
});
function matrixOf(x2, transposed) {
  const [rows, columns] = x2.shape.slice(-2);
  return transposed ? [columns, rows] : [rows, columns];
}
function matmul(a, b, options = {}) {
  const { transposeA = false, transposeB = false, dtype = a.dtype } = options;
  return run(matmulOp, [a, b], { transposeA, transposeB, dtype })[0];
}

// packages/tensor/src/ops/linear.ts
var linearOp = defineOp({
  name: "linear",
  infer: ([x2, weight, residual]) => {
    const C = x2.shape.at(-1);
    if (weight.shape.length !== 2 || C === void 0 || weight.shape[1] !== C) {
      throw new ShapeError(`linear: inner dims differ: ${formatShape(x2.shape)} x ${formatShape(weight.shape)}\u1D40`);
    }
    const shape = [...x2.shape.slice(0, -1), weight.shape[0]];
    if (residual !== null && !sameShape(residual.shape, shape)) {
      throw new ShapeError(`linear: expected a residual ${formatShape(shape)}, got ${formatShape(residual.shape)}`);
    }
    if (!isFloat(x2.dtype) || weight.dtype !== x2.dtype || residual !== null && residual.dtype !== x2.dtype) {
      throw new DTypeError(`linear: expected one float dtype, got ${x2.dtype}, ${weight.dtype}${residual === null ? "" : ` and ${residual.dtype}`}`);
    }
    return [{ shape, dtype: x2.dtype }];
  },
  vjp: ([g2], [x2, weight, residual]) => {
    if (g2 === null) return [null, null, null];
    const rows = reshape(g2, [rowsOf(x2), weight.shape[0]]);
    const dx = reshape(matmul(rows, weight), x2.shape);
    const dWeight = matmul(rows, reshape(x2, [rowsOf(x2), weight.shape[1]]), { transposeA: true, dtype: "f32" });
    return [dx, dWeight, residual && g2];
  },
  decompose: ([x2, weight, residual]) => {
    const rows = reshape(x2, [rowsOf(x2), weight.shape[1]]);
    const shape = [...x2.shape.slice(0, -1), weight.shape[0]];
    if (residual === null) return [reshape(matmul(rows, weight, { transposeB: true }), shape)];
    const y = reshape(matmul(rows, weight, { transposeB: true, dtype: "f32" }), shape);
    return [cast(add(y, cast(residual, "f32")), x2.dtype)];
  },
  saves: { inputs: [0, 1], outputs: [] }
});
function rowsOf(x2) {
  return sizeOf(x2.shape.slice(0, -1));
}

// packages/tensor/src/ops/rms-norm.ts
var rmsNormOp = defineOp({
  name: "rmsNorm",
  infer: ([x2, weight]) => {
    const C = x2.shape.at(-1);
    if (C === void 0 || weight.shape.length !== 1 || weight.shape[0] !== C) {
      throw new ShapeError(`rmsNorm: expected a weight of [${C ?? "C"}] for ${formatShape(x2.shape)}, got ${formatShape(weight.shape)}`);
    }
    if (!isFloat(x2.dtype) || weight.dtype !== x2.dtype) throw new DTypeError(`rmsNorm: expected one float dtype, got ${x2.dtype} and ${weight.dtype}`);
    return [{ shape: x2.shape, dtype: x2.dtype }, { shape: x2.shape.slice(0, -1), dtype: "f32" }];
  },
  vjp: ([g2], [x2, weight], [, inverseRms], attrs) => g2 === null ? [null, null] : run(rmsNormGradOp, [g2, x2, weight, inverseRms], attrs),
  decompose: ([x2, weight], { eps }) => {
    const wide = cast(x2, "f32");
    const inverseRms = div(1, sqrt(add(mean(mul(wide, wide), { axis: -1, keepDims: true }), eps)));
    const y = mul(mul(wide, inverseRms), cast(weight, "f32"));
    return [cast(y, x2.dtype), reshape(inverseRms, x2.shape.slice(0, -1))];
  },
  saves: { inputs: [0, 1], outputs: [1] }
});
var rmsNormGradOp = defineOp({
  name: "rmsNormGrad",
  infer: ([, x2, weight]) => [{ shape: x2.shape, dtype: x2.dtype }, { shape: weight.shape, dtype: "f32" }],
  vjp: null,
  decompose: ([g2, x2, weight], attrs) => {
    const parts = pullback((u, w) => [rmsNormOp.decompose([u, w], attrs)[0]], [x2, cast(weight, "f32")]);
    const [dx, dWeight] = parts.pull([g2]);
    return [dx, dWeight];
  }
});
function rmsNorm(x2, weight, eps = 1e-5) {
  return run(rmsNormOp, [x2, weight], { eps })[0];
}

// packages/tensor/src/ops/swiglu.ts
var swigluOp = defineOp({
  name: "swiglu",
  infer: ([gate, up]) => {
    if (!sameShape(gate.shape, up.shape)) {
      throw new ShapeError(`swiglu: expected two tensors of one shape, got ${formatShape(gate.shape)} and ${formatShape(up.shape)}`);
    }
    if (!isFloat(gate.dtype) || gate.dtype !== up.dtype) throw new DTypeError(`swiglu: expected one float dtype, got ${gate.dtype} and ${up.dtype}`);
    return [{ shape: gate.shape, dtype: gate.dtype }];
  },
  vjp: ([g2], [gate, up]) => g2 === null ? [null, null] : run(swigluGradOp, [g2, gate, up], null),
  decompose: ([gate, up]) => [cast(mul(silu(cast(gate, "f32")), cast(up, "f32")), gate.dtype)]
});
var swigluGradOp = defineOp({
  name: "swigluGrad",
  infer: ([, gate, up]) => [{ shape: gate.shape, dtype: gate.dtype }, { shape: up.shape, dtype: up.dtype }],
  vjp: null,
  decompose: ([g2, gate, up]) => {
    const { pull } = pullback((a, b) => swigluOp.decompose([a, b], null), [gate, up]);
    return pull([g2]);
  }
});
function swiglu(gate, up) {
  return run(swigluOp, [gate, up], null)[0];
}

// packages/tensor/src/ops/embedding.ts
var embeddingOp = defineOp({
  name: "embedding",
  infer: ([ids2, table]) => {
    if (ids2.dtype !== "i32") throw new DTypeError(`embedding: expected i32 ids, got ${ids2.dtype}`);
    if (table.shape.length !== 2) throw new ShapeError(`embedding: expected a table [V, C], got ${formatShape(table.shape)}`);
    return [{ shape: [...ids2.shape, table.shape[1]], dtype: table.dtype }];
  },
  vjp: ([g2], [ids2, table]) => [null, g2 && run(embeddingGradOp, [g2, ids2], { V: table.shape[0] })[0]],
  decompose: null,
  saves: { inputs: [0], outputs: [] }
});
var embeddingGradOp = defineOp({
  name: "embeddingGrad",
  infer: ([g2], { V }) => [{ shape: [V, g2.shape.at(-1)], dtype: "f32" }],
  vjp: ([h], [, ids2]) => [h && run(embeddingOp, [ids2, h], null)[0], null],
  decompose: null
});
function embedding(ids2, table) {
  return run(embeddingOp, [ids2, table], null)[0];
}

// packages/tensor/src/ops/scale-into.ts
var scaleIntoOp = defineUpdate({
  name: "scaleInto",
  check: ([, factor]) => {
    if (factor.size !== 1 || factor.dtype !== "f32") {
      throw new ShapeError(`scaleInto: expected one f32 factor, got ${factor.dtype} ${formatShape(factor.shape)}`);
    }
  },
  decompose: ([target, factor]) => assign(target, mul(cast(target, "f32"), factor.view([])))
});
function scaleInto(target, factor) {
  runUpdate(scaleIntoOp, [target, factor], null);
}

// packages/tensor/src/ops/linear-cross-entropy.ts
var ignoreIndex = -100;
function checkInputs(name, [x2, weight, targets]) {
  const [N, C] = x2.shape;
  const fits = x2.shape.length === 2 && weight.shape.length === 2 && weight.shape[1] === C && targets.shape.length === 1 && targets.shape[0] === N;
  if (!fits) {
    const got = [x2, weight, targets].map((t) => formatShape(t.shape)).join(", ");
    throw new ShapeError(`${name}: expected x [N, C], weight [V, C] and targets [N], got ${got}`);
  }
  if (!isFloat(x2.dtype) || x2.dtype !== weight.dtype) throw new DTypeError(`${name}: expected one float dtype, got ${x2.dtype} and ${weight.dtype}`);
  if (targets.dtype !== "i32") throw new DTypeError(`${name}: expected i32 targets, got ${targets.dtype}`);
}
var tokenLossesOp = defineOp({
  name: "tokenLosses",
  infer: (inputs) => {
    checkInputs("tokenLosses", inputs);
    return [{ shape: inputs[2].shape, dtype: "f32" }];
  },
  vjp: null,
  decompose: ([x2, weight, targets]) => [losses(x2, weight, targets)]
});
var linearCrossEntropyOp = defineOp({
  name: "linearCrossEntropy",
  infer: (inputs) => {
    checkInputs("linearCrossEntropy", inputs);
    const [x2, weight] = inputs;
    return [{ shape: [], dtype: "f32" }, { shape: x2.shape, dtype: x2.dtype }, { shape: weight.shape, dtype: "f32" }];
  },
  // The saved gradients are consumed: the tape walks an entry once. A loss that is the end of the graph has g = 1.
  vjp: ([g2], _, [, dx, dWeight]) => {
    if (g2 === null) return [null, null, null];
    scaleInto(dx, g2);
    scaleInto(dWeight, g2);
    return [dx, dWeight, null];
  },
  decompose: ([x2, weight, targets], { scale }) => {
    const total = (u, w) => mul(sum(losses(u, w, targets)), scale);
    const { y, pull } = pullback((u, w) => [total(u, w)], [x2, cast(weight, "f32")]);
    const [dx, dWeight] = pull([full(x2.device, [], 1)]);
    return [y[0], dx, dWeight];
  },
  saves: { inputs: [], outputs: [1, 2] }
});
function losses(x2, weight, targets) {
  const [N, V] = [x2.shape[0], weight.shape[0]];
  const logits = matmul(cast(x2, "f32"), cast(weight, "f32"), { transposeB: true });
  const column = reshape(targets, [N, 1]);
  const zero = full(x2.device, [], 0);
  const ignored = equal(column, full(x2.device, [], ignoreIndex, "i32"));
  const classes = iota(x2.device, V, { dtype: "f32" });
  const wanted = embedding(where(reshape(ignored, [N]), full(x2.device, [], 0, "i32"), targets), reshape(classes, [V, 1]));
  const hit = equal(classes, wanted);
  const chosen = sum(where(hit, logits, zero), { axis: -1, keepDims: true });
  return reshape(where(ignored, zero, sub(logSumExp(logits), chosen)), [N]);
}
function linearCrossEntropy(x2, weight, targets, { scale = 1 } = {}) {
  if (isTracked(x2) || isTracked(weight)) return run(linearCrossEntropyOp, [x2, weight, targets], { scale })[0];
  return mul(sum(tokenLosses(x2, weight, targets)), scale);
}
function tokenLosses(x2, weight, targets) {
  return run(tokenLossesOp, [x2, weight, targets], null)[0];
}

// packages/tensor/src/ops/assign-slice.ts
var assignSliceOp = defineUpdate({
  name: "assignSlice",
  check: ([target, source], { axis, start }) => {
    const fits = Number.isInteger(start) && target.shape.length === source.shape.length && source.shape.every((n, i) => i === axis ? start >= 0 && start + n <= target.shape[i] : n === target.shape[i]);
    if (!fits) {
      throw new ShapeError(`assignSlice: ${formatShape(source.shape)} at ${start} of axis ${axis} is not within ${formatShape(target.shape)}`);
    }
    if (target.dtype !== source.dtype) throw new DTypeError(`assignSlice: expected ${target.dtype}, got ${source.dtype}`);
  },
  decompose: null
});

// packages/tensor/src/ops/primitives.ts
var primitives_exports = {};
__export(primitives_exports, {
  abs: () => absOp,
  add: () => addOp,
  argmax: () => argmaxOp,
  assign: () => assignOp,
  assignSlice: () => assignSliceOp,
  broadcastTo: () => broadcastToOp,
  cast: () => castOp,
  concat: () => concatOp,
  cos: () => cosOp,
  div: () => divOp,
  embedding: () => embeddingOp,
  embeddingGrad: () => embeddingGradOp,
  equal: () => equalOp,
  exp: () => expOp,
  fill: () => fillOp,
  iota: () => iotaOp,
  less: () => lessOp,
  lessEqual: () => lessEqualOp,
  log: () => logOp,
  matmul: () => matmulOp,
  max: () => maxOp,
  maximum: () => maximumOp,
  minimum: () => minimumOp,
  mul: () => mulOp,
  neg: () => negOp,
  pad: () => padOp,
  permute: () => permuteOp,
  sigmoid: () => sigmoidOp,
  sin: () => sinOp,
  slice: () => sliceOp,
  sqrt: () => sqrtOp,
  sub: () => subOp,
  sum: () => sumOp,
  tanh: () => tanhOp,
  where: () => whereOp
});

// packages/tensor/src/primitives.ts
function providePrimitives(device, kernels) {
  for (const name of Object.keys(primitives_exports)) {
    device.provide(primitives_exports[name], kernels[name]);
  }
}

// packages/cpu/src/isa.ts
var isas = ["baseline", "avx2", "avx512", "avx512bf16", "neon"];
function parseIsa(name) {
  const isa = isas.find((known) => known === name);
  if (isa === void 0) throw new DanuError("isa", `cpu: expected an instruction set of ${isas.join(", ")}, got "${name}"`, { name });
  return isa;
}

// packages/attention/src/attention.ts
var attentionOp = defineOp({
  name: "attention",
  infer: (inputs, attrs) => {
    checkInputs2(inputs, attrs);
    const [q2] = inputs;
    const { B, T, H } = dims(q2, "B T H D");
    return [{ shape: q2.shape, dtype: q2.dtype }, { shape: [B, H, T], dtype: "f32" }];
  },
  vjp: ([g2], [q2, k2, v, documentStart], [o, lse], attrs) => g2 === null ? [null, null, null, null] : [...run(attentionGradOp, [g2, q2, k2, v, o, lse, documentStart], attrs), null],
  decompose: (inputs, attrs) => attend(inputs, attrs),
  saves: { inputs: [0, 1, 2, 3], outputs: [0, 1] }
});
var attentionGradOp = defineOp({
  name: "attentionGrad",
  infer: ([, q2, k2, v]) => [q2, k2, v].map(({ shape, dtype }) => ({ shape, dtype })),
  vjp: null,
  decompose: ([g2, q2, k2, v, , , documentStart], attrs) => {
    const { pull } = pullback((a, b, c) => [attend([a, b, c, documentStart], attrs)[0]], [q2, k2, v]);
    return pull([g2]);
  }
});
function checkInputs2([q2, k2, v, documentStart], { slidingWindow, keyLength }) {
  const { B, T, H, D } = dims(q2, "B T H D");
  const { S, G } = dims(k2, "B S G D");
  const used = keyLength ?? S;
  if (k2.shape[0] !== B || k2.shape[3] !== D || formatShape(k2.shape) !== formatShape(v.shape)) {
    throw new ShapeError(`attention: expected keys and values [${B}, S, G, ${D}], got ${formatShape(k2.shape)} and ${formatShape(v.shape)}`);
  }
  if (G === 0 || H % G !== 0) throw new ShapeError(`attention: expected heads to be a multiple of key-value heads, got ${H} and ${G}`);
  if (!(used >= T && used <= S)) throw new ShapeError(`attention: expected ${T} to ${S} keys in use, got ${used}`);
  if (slidingWindow !== null && !(Number.isInteger(slidingWindow) && slidingWindow > 0)) {
    throw new ShapeError(`attention: expected a sliding window of at least 1 key, got ${slidingWindow}`);
  }
  if (q2.dtype !== k2.dtype || q2.dtype !== v.dtype) {
    throw new DTypeError(`attention: expected one dtype, got ${q2.dtype}, ${k2.dtype} and ${v.dtype}`);
  }
  if (documentStart !== null && (documentStart.dtype !== "i32" || formatShape(documentStart.shape) !== formatShape([B, S]))) {
    throw new ShapeError(`attention: expected document starts i32 [${B}, ${S}], got ${documentStart.dtype} ${formatShape(documentStart.shape)}`);
  }
}
function attend([q2, k2, v, documentStart], attrs) {
  const { B, T, H, D } = dims(q2, "B T H D");
  const S = attrs.keyLength ?? k2.shape[1];
  const queries = permute(cast(q2, "f32"), [0, 2, 1, 3]);
  const [keys, values] = [perQueryHead(k2, S, H), perQueryHead(v, S, H)];
  const scores = mul(matmul(queries, keys, { transposeB: true }), attrs.scale);
  const hidden = full(q2.device, [], -Infinity);
  const visible = visibility(q2, S, attrs.slidingWindow, documentStart);
  const masked = where(visible, scores, hidden);
  const lse = logSumExp(masked);
  const o = matmul(exp(sub(masked, lse)), values);
  return [cast(reshape(permute(o, [0, 2, 1, 3]), [B, T, H, D]), q2.dtype), reshape(lse, [B, H, T])];
}
function perQueryHead(x2, S, H) {
  const { B, G, D } = dims(x2, "B S G D");
  const heads = reshape(permute(cast(slice(x2, 1, 0, S), "f32"), [0, 2, 1, 3]), [B, G, 1, S, D]);
  return reshape(broadcastTo(heads, [B, G, H / G, S, D]), [B, H, S, D]);
}
function visibility(q2, S, slidingWindow, documentStart) {
  const T = q2.shape[1];
  const position = reshape(iota(q2.device, T, { start: S - T }), [1, 1, T, 1]);
  const key = reshape(iota(q2.device, S), [1, 1, 1, S]);
  let visible = lessEqual(key, position);
  if (slidingWindow !== null) visible = mul(visible, less(sub(position, slidingWindow), key));
  if (documentStart === null) return visible;
  const starts = reshape(slice(documentStart, 1, S - T, S), [documentStart.shape[0], 1, T, 1]);
  return mul(visible, lessEqual(starts, key));
}
function attention(q2, k2, v, options = {}) {
  const { scale = 1 / Math.sqrt(q2.shape[3] ?? 1), slidingWindow = null, keyLength = null, documentStart = null } = options;
  return run(attentionOp, [q2, k2, v, documentStart], { scale, slidingWindow, keyLength })[0];
}

// packages/attention/src/rope.ts
var ropeOp = defineOp({
  name: "rope",
  infer: ([x2, table, positions]) => {
    const { B, T, D } = dims(x2, "B T H D");
    if (table.shape.length !== 2 || table.shape[1] !== D || D % 2 !== 0) {
      throw new ShapeError(`rope: expected an even head dimension and a table [P, ${D}], got [${table.shape.join(", ")}]`);
    }
    if (positions.shape.length !== 2 || positions.shape[0] !== B || positions.shape[1] !== T) {
      throw new ShapeError(`rope: expected positions [${B}, ${T}], got [${positions.shape.join(", ")}]`);
    }
    if (positions.dtype !== "i32" || table.dtype !== "f32") {
      throw new DTypeError(`rope: expected i32 positions and an f32 table, got ${positions.dtype} and ${table.dtype}`);
    }
    return [{ shape: x2.shape, dtype: x2.dtype }];
  },
  vjp: ([g2], [, table, positions], _, { inverse }) => [g2 && run(ropeOp, [g2, table, positions], { inverse: !inverse })[0], null, null],
  decompose: ([x2, table, positions], { inverse }) => {
    const { B, T, D } = dims(x2, "B T H D");
    const half = D / 2;
    const angles = reshape(embedding(positions, table), [B, T, 1, D]);
    const cosine = slice(angles, 3, 0, half);
    const sine = inverse ? neg(slice(angles, 3, half, D)) : slice(angles, 3, half, D);
    const wide = cast(x2, "f32");
    const [first, second] = [slice(wide, 3, 0, half), slice(wide, 3, half, D)];
    const turned = concat([
      sub(mul(first, cosine), mul(second, sine)),
      add(mul(second, cosine), mul(first, sine))
    ], 3);
    return [cast(turned, x2.dtype)];
  },
  saves: { inputs: [1, 2], outputs: [] }
});
function rope(x2, table, positions) {
  return run(ropeOp, [x2, table, positions], { inverse: false })[0];
}
function ropeTable(device, options) {
  const { positions, headDim, theta } = options;
  const half = headDim / 2;
  const values = new Float32Array(positions * headDim);
  for (let i = 0; i < half; i++) {
    const frequency = Math.fround(1 / Math.fround(theta ** (2 * i / headDim)));
    for (let p = 0; p < positions; p++) {
      const angle = Math.fround(p * frequency);
      values[p * headDim + i] = Math.cos(angle);
      values[p * headDim + half + i] = Math.sin(angle);
    }
  }
  return tensor(device, values, [positions, headDim]);
}

// packages/optim/src/adamw-op.ts
var adamwOp = defineUpdate({
  name: "adamw",
  check: ([param, gradient, mean2, variance, gradientScale, copy2]) => {
    for (const [name, tensor2] of Object.entries({ param, gradient, mean: mean2, variance })) {
      if (tensor2.dtype !== "f32") throw new DTypeError(`adamw: expected an f32 ${name}, got ${tensor2.dtype}`);
    }
    for (const tensor2 of [gradient, mean2, variance, ...copy2 === null ? [] : [copy2]]) {
      if (!sameShape(tensor2.shape, param.shape)) {
        throw new ShapeError(`adamw: expected ${formatShape(param.shape)} throughout, got ${formatShape(tensor2.shape)}`);
      }
    }
    if (gradientScale !== null && (gradientScale.size !== 1 || gradientScale.dtype !== "f32")) {
      throw new ShapeError(`adamw: expected one f32 gradient scale, got ${gradientScale.dtype} ${formatShape(gradientScale.shape)}`);
    }
  },
  decompose: ([param, gradient, mean2, variance, gradientScale, copy2], attrs) => {
    const { learningRate, beta1, beta2, eps, weightDecay, step } = attrs;
    const scale = gradientScale ?? full(param.device, [], 1);
    const finite = less(abs(scale.view([])), full(param.device, [], Infinity));
    const g2 = mul(gradient, scale.view([]));
    const m = add(mul(mean2, beta1), mul(g2, 1 - beta1));
    const v = add(mul(variance, beta2), mul(mul(g2, g2), 1 - beta2));
    const denominator = add(div(sqrt(v), Math.sqrt(1 - beta2 ** step)), eps);
    const decayed = mul(param, 1 - learningRate * weightDecay);
    const next = sub(decayed, mul(div(m, denominator), learningRate / (1 - beta1 ** step)));
    assign(mean2, where(finite, m, mean2));
    assign(variance, where(finite, v, variance));
    assign(param, where(finite, next, param));
    if (copy2 !== null) assign(copy2, cast(param, copy2.dtype));
  }
});

// packages/optim/src/sum-squares.ts
var addSquaresOp = defineUpdate({
  name: "addSquares",
  check: ([total, x2]) => {
    if (total.size !== 1) throw new ShapeError(`addSquares: expected a total of one element, got ${formatShape(total.shape)}`);
    if (total.dtype !== "f32" || x2.dtype !== "f32") throw new DTypeError(`addSquares: expected f32, got ${total.dtype} and ${x2.dtype}`);
  },
  decompose: ([total, x2]) => assign(total, add(total, reshape(sum(mul(x2, x2)), total.shape)))
});

// packages/optim/src/clip.ts
var clipScaleOp = defineUpdate({
  name: "clipScale",
  check: (x2) => {
    for (const { dtype, size: size2 } of x2) if (dtype !== "f32" || size2 !== 1) throw new DTypeError("clipScale: expected single f32 numbers");
  },
  decompose: ([scale, norm, total], { maxNorm }) => {
    assign(norm, sqrt(total));
    const factor = minimum(div(maxNorm, add(norm, 1e-6)), 1);
    const infinity = full(norm.device, [], Infinity);
    assign(scale, where(less(abs(norm), infinity), factor, full(norm.device, [], NaN)));
  }
});

// packages/cpu/src/kernels/matmul.ts
function isNative(dtype) {
  return dtype === "f32" || dtype === "bf16";
}
function withOperand(cpu, x2, f) {
  if (isNative(x2.dtype)) return f(x2.handle, x2.dtype);
  const wide = cpu.allocate(x2.size * bytesPerElement.f32);
  cpu.check("cast", cpu.library.cast(cpu.queue, wide, x2.handle, x2.size, codeOf(x2.dtype), codeOf("f32")));
  f(wide, "f32");
  return cpu.free(wide);
}
function withResult(cpu, y, f) {
  if (isNative(y.dtype)) return f(y.handle, y.dtype);
  const wide = cpu.allocate(y.size * bytesPerElement.f32);
  f(wide, "f32");
  cpu.check("cast", cpu.library.cast(cpu.queue, y.handle, wide, y.size, codeOf("f32"), codeOf(y.dtype)));
  return cpu.free(wide);
}
var matmulKernel = ([y], [a, b], { transposeA, transposeB }) => {
  const cpu = cpuOf(y);
  const [M, N] = y.shape.slice(-2);
  const K = a.shape.at(transposeA ? -2 : -1);
  withOperand(cpu, a, (left, dtype) => withOperand(cpu, b, (right) => withResult(cpu, y, (result, resultDtype) => {
    for (const { batch, at, strides } of batchesOf(y, a, b)) {
      const address2 = (base, elements, size2, type) => base + elements * size2 * bytesPerElement[type];
      cpu.check("matmul", cpu.library.gemmBatched(
        cpu.queue,
        address2(result, at[0], M * N, resultDtype),
        address2(left, at[1], M * K, dtype),
        address2(right, at[2], K * N, dtype),
        0,
        M,
        N,
        K,
        transposeA ? M : K,
        transposeB ? K : N,
        N,
        0,
        Number(transposeA),
        Number(transposeB),
        codeOf(dtype),
        codeOf(resultDtype),
        0,
        1,
        batch,
        strides[0] * M * K,
        strides[1] * K * N,
        M * N,
        0
      ));
    }
  })));
};
function batchesOf(y, a, b) {
  const [shape, left, right] = [y, a, b].map((x2) => x2.shape.slice(0, -2));
  const count = sizeOf(shape);
  const step = (own3) => sameShape(own3, shape) ? 1 : sizeOf(own3) === 1 ? 0 : null;
  const [stepA, stepB] = [step(left), step(right)];
  if (stepA !== null && stepB !== null) return [{ batch: count, at: [0, 0, 0], strides: [stepA, stepB] }];
  const own2 = stridesOf(shape);
  const offset = (i, strides) => shape.reduce((sum3, n, axis) => sum3 + Math.floor(i / own2[axis]) % n * strides[axis], 0);
  const [stridesA, stridesB] = [broadcastStrides(left, shape), broadcastStrides(right, shape)];
  return Array.from({ length: count }, (_, i) => ({ batch: 1, at: [i, offset(i, stridesA), offset(i, stridesB)], strides: [0, 0] }));
}
var linearKernel = ([y], [x2, weight, residual]) => {
  const cpu = cpuOf(y);
  const [O, C] = weight.shape;
  const rows = C === 0 ? y.size / Math.max(O, 1) : x2.size / C;
  const dtype = codeOf(x2.dtype);
  cpu.check("linear", cpu.library.gemm(
    cpu.queue,
    y.handle,
    x2.handle,
    weight.handle,
    residual?.handle ?? 0,
    rows,
    O,
    C,
    C,
    C,
    O,
    O,
    0,
    1,
    dtype,
    dtype,
    0,
    1
  ));
};

// packages/cpu/src/kernels/fused.ts
function isNative2(x2) {
  const { dtype } = x2[0];
  return dtype === "f32" || dtype === "bf16";
}
var rmsNorm2 = ([y, inverseRms], [x2, weight], { eps }) => {
  const cpu = cpuOf(y);
  const C = weight.size;
  cpu.check("rmsNorm", cpu.library.rmsNormForward(
    cpu.queue,
    y.handle,
    inverseRms.handle,
    x2.handle,
    weight.handle,
    inverseRms.size,
    C,
    eps,
    codeOf(x2.dtype)
  ));
};
var rmsNormGrad = ([dx, dWeight], [g2, x2, weight, inverseRms]) => {
  const cpu = cpuOf(dx);
  cpu.check("rmsNormGrad", cpu.library.rmsNormBackward(
    cpu.queue,
    dx.handle,
    dWeight.handle,
    g2.handle,
    x2.handle,
    weight.handle,
    inverseRms.handle,
    0,
    inverseRms.size,
    weight.size,
    codeOf(x2.dtype)
  ));
};
var swiglu2 = ([y], [gate, up]) => {
  const cpu = cpuOf(y);
  cpu.check("swiglu", cpu.library.swigluForward(cpu.queue, y.handle, gate.handle, up.handle, y.size, codeOf(gate.dtype)));
};
var swigluGrad = ([dGate, dUp], [g2, gate, up]) => {
  const cpu = cpuOf(dGate);
  cpu.check("swigluGrad", cpu.library.swigluBackward(
    cpu.queue,
    dGate.handle,
    dUp.handle,
    g2.handle,
    gate.handle,
    up.handle,
    g2.size,
    codeOf(gate.dtype)
  ));
};
function crossEntropy(losses2, dx, dWeight, [x2, weight, targets], scale) {
  const cpu = cpuOf(x2);
  const [V, C] = weight.shape;
  cpu.check("linearCrossEntropy", cpu.library.linearCrossEntropy(
    cpu.queue,
    losses2,
    dx,
    dWeight,
    x2.handle,
    weight.handle,
    targets.handle,
    targets.size,
    C,
    V,
    ignoreIndex,
    scale,
    codeOf(x2.dtype)
  ));
}
var tokenLosses2 = ([losses2], x2) => crossEntropy(losses2.handle, 0, 0, x2, 1);
var linearCrossEntropy2 = ([total, dx, dWeight], x2, { scale }) => {
  const cpu = cpuOf(total);
  const N = x2[2].size;
  const losses2 = cpu.allocate(4 * N);
  crossEntropy(losses2, dx.handle, dWeight.handle, x2, scale);
  cpu.check("sum", cpu.library.sum(cpu.queue, total.handle, losses2, N));
  cpu.free(losses2);
  const factor = cpu.allocate(4);
  cpu.write(factor, new Uint8Array(Float32Array.of(scale).buffer));
  cpu.check("scale", cpu.library.scaleInto(cpu.queue, total.handle, factor, 1, codeOf("f32")));
  cpu.free(factor);
};
function forEachBatch(q2, k2, attrs, f) {
  const [B, T, H, D] = q2.shape;
  const [, S, G] = k2.shape;
  const window = attrs.slidingWindow ?? 0;
  const used = attrs.keyLength ?? S;
  if (used === S || B === 1) return f([B, T, used, H, G, D, window], 0, 0);
  for (let b = 0; b < B; b++) f([1, T, used, H, G, D, window], b * T * H, b * S * G * D);
  return void 0;
}
var attention2 = ([o, lse], [q2, k2, v, documentStart], attrs) => {
  const cpu = cpuOf(q2);
  const bytes = q2.dtype === "f32" ? 4 : 2;
  const D = q2.shape[3];
  forEachBatch(q2, k2, attrs, (sizes2, queryRow, keyAt) => {
    cpu.check("attention", cpu.library.attentionForward(
      cpu.queue,
      o.handle + queryRow * D * bytes,
      lse.handle + queryRow * 4,
      q2.handle + queryRow * D * bytes,
      k2.handle + keyAt * bytes,
      v.handle + keyAt * bytes,
      documentStart?.handle ?? 0,
      ...sizes2,
      attrs.scale,
      codeOf(q2.dtype)
    ));
  });
};
var attentionGrad = ([dq, dk, dv], [g2, q2, k2, v, o, lse, documentStart], attrs) => {
  const cpu = cpuOf(q2);
  forEachBatch(q2, k2, attrs, (sizes2) => {
    cpu.check("attentionGrad", cpu.library.attentionBackward(
      cpu.queue,
      dq.handle,
      dk.handle,
      dv.handle,
      g2.handle,
      q2.handle,
      k2.handle,
      v.handle,
      o.handle,
      lse.handle,
      documentStart?.handle ?? 0,
      ...sizes2,
      attrs.scale,
      codeOf(q2.dtype)
    ));
  });
};
var rope2 = ([y], [x2, table, positions], { inverse }) => {
  const cpu = cpuOf(y);
  const [H, D] = x2.shape.slice(2);
  cpu.check("rope", cpu.library.rope(
    cpu.queue,
    y.handle,
    x2.handle,
    table.handle,
    positions.handle,
    positions.size,
    H,
    D,
    table.shape[0],
    Number(inverse),
    codeOf(x2.dtype)
  ));
};
var adamw2 = ([param, gradient, mean2, variance, gradientScale, copy2], attrs) => {
  const cpu = cpuOf(param);
  const { learningRate, beta1, beta2, eps, weightDecay, step } = attrs;
  cpu.check("adamw", cpu.library.adamw(
    cpu.queue,
    param.handle,
    mean2.handle,
    variance.handle,
    gradient.handle,
    copy2?.handle ?? 0,
    gradientScale?.handle ?? 0,
    param.size,
    learningRate,
    beta1,
    beta2,
    eps,
    weightDecay,
    1 - beta1 ** step,
    1 - beta2 ** step
  ));
};
function provideFused(cpu) {
  cpu.provide(linearOp, linearKernel, isNative2).provide(rmsNormOp, rmsNorm2, isNative2).provide(rmsNormGradOp, rmsNormGrad, isNative2).provide(swigluOp, swiglu2, isNative2).provide(swigluGradOp, swigluGrad, isNative2).provide(tokenLossesOp, tokenLosses2, isNative2).provide(linearCrossEntropyOp, linearCrossEntropy2, isNative2).provide(attentionOp, attention2, isNative2).provide(attentionGradOp, attentionGrad, (x2, { keyLength }) => isNative2(x2) && keyLength === null).provide(ropeOp, rope2, isNative2).provide(adamwOp, adamw2, ([, , , , , copy2]) => copy2 === null || copy2.dtype === "bf16").provide(addIntoOp, ([target, source]) => {
    cpu.check("addInto", cpu.library.addInto(
      cpu.queue,
      target.handle,
      source.handle,
      target.size,
      codeOf(target.dtype),
      codeOf(source.dtype)
    ));
  }).provide(scaleIntoOp, ([target, factor]) => {
    cpu.check("scaleInto", cpu.library.scaleInto(cpu.queue, target.handle, factor.handle, target.size, codeOf(target.dtype)));
  }).provide(addSquaresOp, ([total, x2]) => {
    cpu.check("addSquares", cpu.library.sumSquares(cpu.queue, total.handle, x2.handle, x2.size, 1));
  }).provide(clipScaleOp, ([scale, norm, total], { maxNorm }) => {
    cpu.check("clipScale", cpu.library.clipScale(cpu.queue, scale.handle, norm.handle, total.handle, maxNorm));
  });
}

// packages/cpu/src/kernels/elementwise.ts
var unaryKinds = ["neg", "exp", "log", "sqrt", "rsqrt", "sin", "cos", "tanh", "sigmoid", "abs", "reciprocal"];
var binaryKinds = ["add", "sub", "mul", "div", "maximum", "minimum", "equal", "less", "lessEqual"];
function words(values) {
  return BigInt64Array.from(values, BigInt);
}
function unary(name) {
  const kind = unaryKinds.indexOf(name);
  return ([y], [x2]) => {
    const cpu = cpuOf(y);
    cpu.check(name, cpu.library.unary(cpu.queue, y.handle, x2.handle, kind, y.size, codeOf(x2.dtype)));
  };
}
function binary(name) {
  const kind = binaryKinds.indexOf(name);
  return ([y], [a, b]) => {
    const cpu = cpuOf(y);
    cpu.check(name, cpu.library.binary(
      cpu.queue,
      y.handle,
      a.handle,
      b.handle,
      kind,
      y.shape.length,
      words(y.shape),
      words(broadcastStrides(a.shape, y.shape)),
      words(broadcastStrides(b.shape, y.shape)),
      codeOf(a.dtype)
    ));
  };
}
var whereKernel = ([y], [mask, a, b]) => {
  const cpu = cpuOf(y);
  const [stridesMask, stridesA, stridesB] = [mask, a, b].map((x2) => words(broadcastStrides(x2.shape, y.shape)));
  cpu.check("where", cpu.library.where(
    cpu.queue,
    y.handle,
    mask.handle,
    a.handle,
    b.handle,
    y.shape.length,
    words(y.shape),
    stridesMask,
    stridesA,
    stridesB,
    codeOf(y.dtype)
  ));
};

// packages/cpu/src/kernels/movement.ts
function copy(to, from2, shape) {
  const cpu = cpuOf(to.tensor);
  cpu.check("copy", cpu.library.stridedCopy(
    cpu.queue,
    to.tensor.handle,
    from2.tensor.handle,
    shape.length,
    words(shape),
    words(to.strides),
    words(from2.strides),
    to.offset ?? 0,
    from2.offset ?? 0,
    elementBytes(to.tensor)
  ));
}
function all(tensor2) {
  return { tensor: tensor2, strides: stridesOf(tensor2.shape) };
}
function from(tensor2, axis, start) {
  const strides = stridesOf(tensor2.shape);
  return { tensor: tensor2, strides, offset: start * strides[axis] };
}
var permuteKernel = ([y], [x2], { axes }) => {
  const strides = stridesOf(x2.shape);
  copy(all(y), { tensor: x2, strides: axes.map((axis) => strides.at(axis)) }, y.shape);
};
var broadcastToKernel = ([y], [x2]) => copy(all(y), { tensor: x2, strides: broadcastStrides(x2.shape, y.shape) }, y.shape);
var sliceKernel = ([y], [x2], { axis, start }) => copy(all(y), from(x2, axis, start), y.shape);
var assignSliceKernel = ([target, source], { axis, start }) => copy(from(target, axis, start), all(source), source.shape);
var padKernel = ([y], [x2], { axis, before }) => {
  fill(y, 0);
  copy(from(y, axis, before), all(x2), x2.shape);
};
var concatKernel = ([y], parts, { axis }) => {
  let start = 0;
  for (const part of parts) {
    copy(from(y, axis, start), all(part), part.shape);
    start += part.shape[axis];
  }
};

// packages/cpu/src/kernels/reduce.ts
var kinds = ["sum", "max"];
function reduce(name) {
  const kind = kinds.indexOf(name);
  return ([y], [x2], { axis }) => {
    const cpu = cpuOf(y);
    const { outer, reduced, inner } = aroundAxis(x2.shape, axis);
    cpu.check(name, cpu.library.reduce(cpu.queue, y.handle, x2.handle, kind, outer, reduced, inner, codeOf(x2.dtype)));
  };
}
var argmaxKernel = ([y], [x2], { axis }) => {
  const cpu = cpuOf(y);
  const { outer, reduced, inner } = aroundAxis(x2.shape, axis);
  cpu.check("argmax", cpu.library.argmax(cpu.queue, y.handle, x2.handle, outer, reduced, inner, codeOf(x2.dtype)));
};

// packages/cpu/src/kernels/primitives.ts
function fill(y, value) {
  const cpu = cpuOf(y);
  const bytes = encode(y.dtype, [value]);
  const bits = bytes.reduce((word, byte, i) => word + byte * 2 ** (8 * i), 0);
  cpu.check("fill", cpu.library.fill(cpu.queue, y.handle, bits, bytes.length, y.size));
}
var castInto = (y, x2) => {
  const cpu = cpuOf(y);
  cpu.check("cast", cpu.library.cast(cpu.queue, y.handle, x2.handle, y.size, codeOf(x2.dtype), codeOf(y.dtype)));
};
var embedding2 = ([y], [ids2, table]) => {
  const cpu = cpuOf(y);
  const [V, C] = table.shape;
  cpu.check("embedding", cpu.library.embeddingForward(
    cpu.queue,
    y.handle,
    ids2.handle,
    table.handle,
    ids2.size,
    C,
    V,
    codeOf(table.dtype)
  ));
};
var embeddingGrad = ([y], [g2, ids2], { V }) => {
  const cpu = cpuOf(y);
  cpu.check("embeddingGrad", cpu.library.embeddingBackward(
    cpu.queue,
    y.handle,
    ids2.handle,
    g2.handle,
    ids2.size,
    y.shape[1],
    V,
    codeOf(g2.dtype)
  ));
};
var primitiveKernels = {
  fill: ([y], { value }) => fill(y, value),
  iota: ([y], { start, step }) => {
    const cpu = cpuOf(y);
    cpu.check("iota", cpu.library.iota(cpu.queue, y.handle, y.size, start, step, codeOf(y.dtype)));
  },
  assign: ([target, source]) => {
    if (target.dtype !== source.dtype) return castInto(target, source);
    const cpu = cpuOf(target);
    return cpu.library.copy(cpu.queue, target.handle, source.handle, target.size * elementBytes(target));
  },
  assignSlice: assignSliceKernel,
  cast: ([y], [x2]) => castInto(y, x2),
  add: binary("add"),
  sub: binary("sub"),
  mul: binary("mul"),
  div: binary("div"),
  maximum: binary("maximum"),
  minimum: binary("minimum"),
  less: binary("less"),
  lessEqual: binary("lessEqual"),
  equal: binary("equal"),
  where: whereKernel,
  neg: unary("neg"),
  abs: unary("abs"),
  exp: unary("exp"),
  log: unary("log"),
  sqrt: unary("sqrt"),
  sin: unary("sin"),
  cos: unary("cos"),
  tanh: unary("tanh"),
  sigmoid: unary("sigmoid"),
  sum: reduce("sum"),
  max: reduce("max"),
  argmax: argmaxKernel,
  permute: permuteKernel,
  slice: sliceKernel,
  pad: padKernel,
  concat: concatKernel,
  broadcastTo: broadcastToKernel,
  matmul: matmulKernel,
  embedding: embedding2,
  embeddingGrad
};

// packages/cpu/src/library.ts
import { createRequire } from "node:module";
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import koffi from "koffi";

// packages/cpu/src/prototypes.ts
var queue = "void* q";
var address = (names) => names.split(" ").map((name) => `uint64_t ${name}`).join(", ");
var size = (names) => names.split(" ").map((name) => `int64_t ${name}`).join(", ");
var code = (names) => names.split(" ").map((name) => `int32_t ${name}`).join(", ");
var real = (names) => names.split(" ").map((name) => `double ${name}`).join(", ");
var sizes = (names) => names.split(" ").map((name) => `const void* ${name}`).join(", ");
var status = (name, ...parameters) => `int32_t danu_${name}(${[queue, ...parameters].join(", ")})`;
var gemm = [
  address("c a b residual"),
  size("m n k lda ldb ldc ldr"),
  code("transposeA transposeB dtypeIn dtypeC accumulate"),
  "float alpha"
];
var attention3 = [size("B T S H G D slidingWindow"), real("scale"), code("dtype")];
var prototypes = {
  isa: "int32_t danu_isa()",
  create: "void* danu_create(int32_t threads)",
  destroy: `void danu_destroy(${queue})`,
  threads: status("threads"),
  alloc: `uint64_t danu_alloc(${queue}, int64_t bytes)`,
  free: status("free", address("address")),
  memory: `void danu_memory(${queue}, _Out_ void* out)`,
  resetPeak: `void danu_reset_peak(${queue})`,
  trim: `void danu_trim(${queue})`,
  write: `void danu_write(${queue}, uint64_t to, const void* host, int64_t bytes)`,
  read: `void danu_read(${queue}, uint32_t count, _Out_ void* host, uint64_t from, int64_t bytes)`,
  copy: `void danu_copy(${queue}, uint64_t to, uint64_t from, int64_t bytes)`,
  fill: status("fill", address("to"), "uint32_t value", code("elementBytes"), size("count")),
  submitted: `uint32_t danu_submitted(${queue})`,
  waitUntil: `void danu_wait_until(${queue}, uint32_t count)`,
  idle: status("idle"),
  error: status("error", "_Out_ void* out"),
  peakFlops: `double danu_peak_flops(${queue}, int32_t dtype, int32_t milliseconds)`,
  gemm: status("gemm", ...gemm),
  gemmBatched: status("gemm_batched", ...gemm, size("batch strideA strideB strideC strideR")),
  cast: status("cast", address("y x"), size("n"), code("from to")),
  unary: status("unary", address("y x"), code("kind"), size("n"), code("dtype")),
  binary: status("binary", address("y a b"), code("kind rank"), sizes("shape stridesA stridesB"), code("dtype")),
  where: status("where", address("y mask a b"), code("rank"), sizes("shape stridesMask stridesA stridesB"), code("dtype")),
  addInto: status("add_into", address("y x"), size("n"), code("dtypeY dtypeX")),
  scaleInto: status("scale_into", address("y factor"), size("n"), code("dtype")),
  iota: status("iota", address("y"), size("n"), real("start step"), code("dtype")),
  reduce: status("reduce", address("y x"), code("kind"), size("outer reduced inner"), code("dtype")),
  argmax: status("argmax", address("y x"), size("outer reduced inner"), code("dtype")),
  stridedCopy: status(
    "strided_copy",
    address("y x"),
    code("rank"),
    sizes("shape stridesY stridesX"),
    size("offsetY offsetX"),
    code("elementBytes")
  ),
  embeddingForward: status("embedding_forward", address("y ids table"), size("n C V"), code("dtype")),
  embeddingBackward: status("embedding_backward", address("dTable ids g"), size("n C V"), code("dtype")),
  rmsNormForward: status("rms_norm_forward", address("y inverseRms x weight"), size("rows C"), real("eps"), code("dtype")),
  rmsNormBackward: status(
    "rms_norm_backward",
    address("dx dWeight g x weight inverseRms residualGradient"),
    size("rows C"),
    code("dtype")
  ),
  swigluForward: status("swiglu_forward", address("y gate up"), size("n"), code("dtype")),
  swigluBackward: status("swiglu_backward", address("dGate dUp g gate up"), size("n"), code("dtype")),
  linearCrossEntropy: status(
    "linear_cross_entropy",
    address("losses dx dWeight x weight targets"),
    size("N C V ignoreIndex"),
    real("scale"),
    code("dtype")
  ),
  sum: status("sum", address("out x"), size("n")),
  attentionForward: status("attention_forward", address("o logSumExp query key value documentStart"), ...attention3),
  attentionBackward: status(
    "attention_backward",
    address("dQuery dKey dValue g query key value o logSumExp documentStart"),
    ...attention3
  ),
  rope: status("rope", address("y x table positions"), size("rows H D tablePositions"), code("inverse dtype")),
  adamw: status(
    "adamw",
    address("param mean variance gradient copy gradientScale"),
    size("n"),
    real("learningRate beta1 beta2 eps weightDecay biasCorrection1 biasCorrection2")
  ),
  sumSquares: status("sum_squares", address("out x"), size("n"), code("accumulate")),
  clipScale: status("clip_scale", address("scale norm sumSquares"), real("maxNorm"))
};

// packages/cpu/src/library.ts
var platform = `${process.platform}-${process.arch}`;
var loaded = /* @__PURE__ */ new Map();
function folders() {
  const own2 = join(dirname(fileURLToPath(import.meta.url)), "..", "lib", platform);
  try {
    return [own2, dirname(createRequire(import.meta.url).resolve(`@danu/cpu-${platform}/package.json`))];
  } catch {
    return [own2];
  }
}
function loadLibrary(isa) {
  const known = loaded.get(isa);
  if (known !== void 0) return known;
  const file = `danu_cpu_${isa}.so`;
  const path = folders().map((folder) => join(folder, file)).find((candidate) => existsSync(candidate));
  if (path === void 0) {
    throw new DeviceError(
      `cpu: found no ${file} for ${platform}; install @danu/cpu-${platform}, or run "npm run build" in a checkout with a C++ compiler`,
      { isa, platform }
    );
  }
  const library = bind(path);
  loaded.set(isa, library);
  return library;
}
function bind(path) {
  try {
    const native = koffi.load(path);
    const entries = Object.entries(prototypes).map(([name, prototype]) => [name, native.func(prototype)]);
    const functions = Object.fromEntries(entries);
    const waitUntil = functions.waitUntil;
    const waitUntilAsync = (queue2, count) => new Promise((resolve2, reject) => {
      waitUntil.async(queue2, count, (error) => error ? reject(error) : resolve2());
    });
    return { ...functions, waitUntilAsync };
  } catch (error) {
    throw new DeviceError(`cpu: cannot load ${path}: ${error.message}`, { path });
  }
}
function bestIsa() {
  const plain = process.arch === "arm64" ? "neon" : "baseline";
  return isas[loadLibrary(plain).isa()];
}

// packages/cpu/src/device.ts
var CpuDevice = class extends Device {
  name = "cpu";
  isa;
  /** Functions of the native library; the first argument of each is `queue`. */
  library;
  #queue;
  #closed = false;
  constructor(isa, threads) {
    super();
    this.isa = isa;
    this.library = loadLibrary(isa);
    this.#queue = this.library.create(threads);
    if (this.#queue === null) throw new DeviceError(`cpu: could not start ${threads} threads; ask for fewer`, { threads });
    providePrimitives(this, primitiveKernels);
    provideFused(this);
  }
  /** The native task queue. @throws DeviceError after the device was disposed */
  get queue() {
    if (this.#closed) throw new DeviceError("cpu: the device was disposed");
    return this.#queue;
  }
  get threads() {
    return this.library.threads(this.queue);
  }
  allocate(bytes) {
    const address2 = this.library.alloc(this.queue, bytes);
    if (address2 === 0) {
      const { live } = this.memory();
      throw new DeviceError(
        `cpu: no memory for ${megabytes(bytes)} beside the ${megabytes(live)} in use; make the batch or the model smaller`,
        { bytes, live }
      );
    }
    return address2;
  }
  free(handle) {
    if (!this.#closed) this.library.free(this.queue, handle);
  }
  write(handle, bytes) {
    this.library.write(this.queue, handle, bytes, bytes.byteLength);
  }
  async read(handle, bytes) {
    const host = new Uint8Array(bytes);
    const { library, queue: queue2 } = this;
    if (library.idle(queue2) === 1) {
      library.read(queue2, library.submitted(queue2), host, handle, bytes);
    } else {
      const staging = this.allocate(bytes);
      library.copy(queue2, staging, handle, bytes);
      const count = library.submitted(queue2);
      await library.waitUntilAsync(queue2, count);
      library.read(queue2, count, host, staging, bytes);
      this.free(staging);
    }
    this.#throwFailure();
    return host;
  }
  [Symbol.dispose]() {
    if (this.#closed) return;
    this.library.destroy(this.queue);
    this.#closed = true;
  }
  /** Calls a kernel. @throws DeviceError when it refuses its arguments or finds no memory */
  check(name, status2) {
    if (status2 === 0) return;
    throw new DeviceError(status2 === 1 ? `cpu: no memory for ${name}; make the batch smaller` : `cpu: ${name} refused its arguments`, { status: status2 });
  }
  /** Memory in use, most in use at once, and kept for reuse, in bytes. */
  memory() {
    const out = new BigInt64Array(3);
    this.library.memory(this.queue, out);
    return { live: Number(out[0]), peak: Number(out[1]), cached: Number(out[2]) };
  }
  /** Starts measuring the peak of `memory` afresh. */
  resetPeak() {
    this.library.resetPeak(this.queue);
  }
  /** Multiply-add rate of all threads at full vector width, measured for the given time, in FLOP/s. */
  peakFlops(dtype, milliseconds = 100) {
    return this.library.peakFlops(this.queue, codeOf(dtype), milliseconds);
  }
  #throwFailure() {
    const out = new BigInt64Array(3);
    if (this.library.error(this.queue, out) === 0) return;
    const [code2, a, b] = [...out].map(Number);
    if (code2 === 1) throw new DeviceError(`cpu: expected an index from 0 to ${b - 1}, got ${a}; look at the ids or positions`, { index: a, size: b });
    throw new DeviceError(code2 === 2 ? `cpu: a kernel found no memory for ${megabytes(a)}` : `cpu: a kernel refused argument ${a}`, { code: code2, a, b });
  }
};
function codeOf(dtype) {
  return dtypes.indexOf(dtype);
}
function cpuOf(tensor2) {
  return tensor2.device;
}
function elementBytes(tensor2) {
  return bytesPerElement[tensor2.dtype];
}
function megabytes(bytes) {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}
function cpuDevice(options = {}) {
  const best = bestIsa();
  const wanted = options.isa ?? parseIsa(process.env["DANU_ISA"] ?? best);
  const threads = options.threads ?? Number(process.env["DANU_THREADS"] ?? 0);
  if (!Number.isInteger(threads) || threads < 0) throw new DeviceError(`cpu: expected a number of threads, got ${threads}`);
  if (codeOfIsa(wanted) > codeOfIsa(best) || wanted === "neon" !== (best === "neon")) {
    throw new DeviceError(`cpu: this machine has ${best}, and cannot run ${wanted}`, { wanted, best });
  }
  return new CpuDevice(wanted, threads);
}
function codeOfIsa(isa) {
  return ["baseline", "avx2", "avx512", "avx512bf16"].indexOf(isa);
}

// packages/model/try.ts
var d = cpuDevice();
console.log(d.isa, d.threads);
var x = tensor(d, [1, 2, 3, 4, 5, 6], [2, 3]);
console.log(await x.read());
console.log(await add(x, x).read());
console.log(await matmul(x, x, { transposeB: true }).read());
console.log(await rmsNorm(x, ones(d, [3])).read());
var ids = tensor(d, [1, 0], [2], "i32");
console.log(await embedding(ids, x).read());
var q = reshape(iota(d, 24, { dtype: "f32" }), [1, 3, 4, 2]);
var k = reshape(iota(d, 12, { dtype: "f32" }), [1, 3, 2, 2]);
var tab = ropeTable(d, { positions: 8, headDim: 2, theta: 100 });
var pos = tensor(d, [0, 1, 2], [1, 3], "i32");
console.log("rope", await rope(q, tab, pos).read());
console.log("att", await attention(q, k, k).read());
console.log("loss", await linearCrossEntropy(x, ones(d, [5, 3]), tensor(d, [1, 2], [2], "i32")).read());
var [l, g] = valueAndGrad((p) => linearCrossEntropy(swiglu(rmsNorm(p.x, p.w), p.x), p.h, tensor(d, [1, 2], [2], "i32")))({ x, w: ones(d, [3]), h: ones(d, [5, 3]) });
console.log(await l.read(), await g.x.read(), await g.h.read(), await g.w.read());
