declare module "typed-function" {
  /** The part of typed-function 4 that danu uses; the package ships no types. */
  interface Typed {
    (name: string, signatures: Record<string, (...args: never[]) => unknown>): (...args: never[]) => unknown;
    create(): Typed;
    addTypes(types: { name: string; test: (x: unknown) => boolean }[]): void;
  }
  const typed: Typed;
  export default typed;
}
