// Imports point down only: fails when a package imports one that the table does not allow, or does not declare.
//
//   node tools/check/imports.mjs

import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

/** What the sources of each package may import of the others. Tests may import anything. */
const allowed = {
  tensor: [],
  tokenizer: [],
  attention: ["tensor"],
  optim: ["tensor"],
  ddp: ["tensor"],
  dpo: ["tensor"],
  cpu: ["tensor", "attention", "optim"],
  cuda: ["tensor", "attention", "optim"],
  data: [],
  model: ["tensor", "attention"],
  train: ["tensor", "optim", "ddp"],
  testing: ["tensor"],
};

const root = new URL("../..", import.meta.url).pathname;

function* sourcesOf(folder) {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) yield* sourcesOf(path);
    else if (/\.tsx?$/.test(entry.name) && !/\.test(-d)?\.ts$/.test(entry.name)) yield path;
  }
}

function importsOf(path) {
  const text = readFileSync(path, "utf8");
  return [...text.matchAll(/(?:from|import)\s*\(?\s*"(@danu\/[a-z-]+)[^"]*"/g)].map((match) => match[1].slice("@danu/".length));
}

const problems = [];
for (const name of readdirSync(join(root, "packages"))) {
  if (!(name in allowed)) {
    problems.push(`packages/${name}: is not in the table of tools/check/imports.mjs`);
    continue;
  }
  if (!existsSync(join(root, "packages", name, "src"))) continue;
  const manifest = JSON.parse(readFileSync(join(root, "packages", name, "package.json"), "utf8"));
  const declared = Object.keys({ ...manifest.dependencies, ...manifest.peerDependencies });
  for (const path of sourcesOf(join(root, "packages", name, "src"))) {
    for (const other of importsOf(path)) {
      if (other === name) continue;
      const file = path.slice(root.length);
      if (!allowed[name].includes(other)) problems.push(`${file}: @danu/${name} may not import @danu/${other}`);
      else if (!declared.includes(`@danu/${other}`)) problems.push(`${file}: @danu/${other} is not among the dependencies`);
    }
  }
}

if (problems.length > 0) {
  console.error(problems.join("\n"));
  process.exit(1);
}
console.log("imports point down only");
