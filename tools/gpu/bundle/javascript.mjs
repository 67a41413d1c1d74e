import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { build } from "tsup";

import { root } from "./paths.mjs";

const suite = join(root, "tools/gpu/suite");

// The tests of the repository run on the GPU as they are: where they ask for the stand-in they get the GPU, and the test
// runner is one without a compiler and worker processes.
const replacements = [
  { filter: /^vitest$/, path: join(suite, "vitest.ts") },
  { filter: /\/standin\/control\.ts$/, path: join(suite, "gpu.ts") },
  { filter: /\/cuda-home\.ts$/, path: join(suite, "nothing-missing.ts") },
  { filter: /^@danu\/cpu$/, importer: /low-precision-curve\.test\.ts$/, path: join(suite, "gpu-as-cpu.ts") },
];

const replace = {
  name: "replace",
  setup(builder) {
    for (const { filter, importer = /./, path } of replacements) {
      builder.onResolve({ filter }, (args) => (importer.test(args.importer) ? { path } : undefined));
    }
  },
};

/** Bundles the suite with all it imports into OUT/dist, beside which packages look for what they load: kernels in lib, a
 *  version in package.json. */
export async function bundleJavaScript(out) {
  await build({
    config: false,
    silent: true,
    entry: { main: join(suite, "main.ts"), worker: join(root, "packages/tokenizer/src/worker.ts") },
    outDir: join(out, "dist"),
    format: ["esm"],
    target: "node20",
    platform: "node",
    splitting: true,
    noExternal: [/^(?!koffi$)/],
    external: ["koffi"],
    esbuildPlugins: [replace],
    esbuildOptions: (options) => {
      options.conditions = ["@danu/source"];
      options.logLevel = "error";
    },
    banner: { js: 'import { createRequire as danuCreateRequire } from "node:module"; const require = danuCreateRequire(import.meta.url);' },
  });
  const { version } = JSON.parse(readFileSync(join(root, "apps/danu/package.json"), "utf8"));
  writeFileSync(join(out, "package.json"), `${JSON.stringify({ name: "gpu-suite", version, private: true, type: "module" })}\n`);
}
