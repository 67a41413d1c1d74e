const marker = Symbol.for("danu.error");

/** Base of every error danu throws on purpose: one sentence, a stable `code`, and the values behind it in `data`. */
export class DanuError extends Error {
  readonly code: string;
  readonly data: Readonly<Record<string, unknown>>;

  constructor(code: string, message: string, data: Record<string, unknown> = {}) {
    super(message);
    this.name = new.target.name;
    this.code = code;
    this.data = data;
    Object.defineProperty(this, marker, { value: true });
  }

  /** True for an error of any copy of this package, where `instanceof` would fail across two installs. */
  static isInstance(error: unknown): error is DanuError {
    return typeof error === "object" && error !== null && marker in error;
  }
}

/** Shapes do not fit the operation. */
export class ShapeError extends DanuError {
  constructor(message: string, data: Record<string, unknown> = {}) {
    super("shape", message, data);
  }
}

/** An element type the operation does not take. */
export class DTypeError extends DanuError {
  constructor(message: string, data: Record<string, unknown> = {}) {
    super("dtype", message, data);
  }
}

/** Tensors on different devices, a device that lacks a kernel, or one that failed. */
export class DeviceError extends DanuError {
  constructor(message: string, data: Record<string, unknown> = {}) {
    super("device", message, data);
  }
}

/** A tensor was used or freed after it had been freed. */
export class DisposedError extends DanuError {
  constructor(message: string, data: Record<string, unknown> = {}) {
    super("disposed", message, data);
  }
}

/** A gradient was asked for where none is defined. */
export class GradientError extends DanuError {
  constructor(message: string, data: Record<string, unknown> = {}) {
    super("gradient", message, data);
  }
}

/** Names the item for which a scope, tape or tree was misused. */
export class UsageError extends DanuError {
  constructor(message: string, data: Record<string, unknown> = {}) {
    super("usage", message, data);
  }
}
