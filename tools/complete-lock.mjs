// Adds to package-lock.json the binaries for other platforms that a partial registry mirror leaves out, without which
// `npm ci` refuses the file everywhere. Run it after `npm install` has changed the lock file.
//
//   node tools/complete-lock.mjs

import { readFileSync, writeFileSync } from "node:fs";

const path = new URL("../package-lock.json", import.meta.url);
const lock = JSON.parse(readFileSync(path, "utf8"));

const systems = { windows: "win32", android: "android", darwin: "darwin", freebsd: "freebsd", linux: "linux", netbsd: "netbsd",
  openbsd: "openbsd", openharmony: "openharmony", sunos: "sunos", aix: "aix", win32: "win32", win: "win32" };
const processors = { arm64: "arm64", aarch64: "arm64", arm: "arm", x64: "x64", 64: "x64", ppc64: "ppc64", riscv64: "riscv64",
  s390x: "s390x", loong64: "loong64", ia32: "ia32", mips64el: "mips64el", wasm32: "wasm32" };

/** The platform that the name of a binary package tells, as npm writes it; null for a package that is no such binary. */
function platformOf(name) {
  const words = name.split("/").at(-1).split("-");
  const os = words.map((word) => systems[word]).find(Boolean);
  const cpu = words.map((word) => processors[word]).find(Boolean);
  if (!cpu) return null;
  const libc = words.some((word) => word.startsWith("musl")) ? ["musl"] : words.some((word) => word.startsWith("gnu")) ? ["glibc"] : null;
  return { cpu: [cpu], ...(os === "linux" && libc ? { libc } : {}), ...(os ? { os: [os] } : {}) };
}

let added = 0;
for (const [location, entry] of Object.entries({ ...lock.packages })) {
  for (const [name, version] of Object.entries(entry.optionalDependencies ?? {})) {
    const nested = `${location}/node_modules/${name}`;
    const top = `node_modules/${name}`;
    if (nested in lock.packages || top in lock.packages || !/^\d/.test(version)) continue;
    const platform = platformOf(name);
    if (platform === null) continue;
    lock.packages[top] = { version, ...platform, ...(entry.dev ? { dev: true } : {}), optional: true };
    added++;
  }
}
const sorted = Object.entries(lock.packages).sort(([a], [b]) => (a < b ? -1 : 1));
lock.packages = Object.fromEntries(sorted);
writeFileSync(path, `${JSON.stringify(lock, null, 2)}\n`);
console.log(`added ${added} packages for other platforms`);
