import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { copyFileSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";

import { cache } from "./paths.mjs";

/** Writes this Node, without symbols and compressed, as OUT/node.xz. */
export function packNode(out) {
  mkdirSync(cache, { recursive: true });
  const packed = join(cache, `node-${createHash("sha256").update(readFileSync(process.execPath)).digest("hex").slice(0, 24)}.xz`);
  if (!existsSync(packed)) {
    const stripped = join(cache, `node.${process.pid}`);
    execFileSync("strip", ["-o", stripped, process.execPath]);
    execFileSync("xz", ["-T0", "-6", stripped]);
    rmSync(stripped, { force: true });
    renameSync(`${stripped}.xz`, packed);
  }
  copyFileSync(packed, join(out, "node.xz"));
}
