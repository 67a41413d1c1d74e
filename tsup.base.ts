import { defineConfig, type Options } from "tsup";

type Config = ReturnType<typeof defineConfig>;

/** Build settings of every package: ESM, Node 20, types and source maps beside the code. */
export function library(options: Options = {}): Config {
  return defineConfig({
    entry: ["src/index.ts"],
    format: ["esm"],
    target: "node20",
    clean: true,
    sourcemap: true,
    dts: { entry: "src/index.ts", compilerOptions: { composite: false, ignoreDeprecations: "6.0", customConditions: [] } },
    ...options,
  });
}
