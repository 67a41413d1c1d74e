import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { existsSync, lstatSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { loadTokenizer } from "../src/index.ts";
import { byteNames, modelBytes, special } from "./support.ts";

const packageFolder = path.resolve(import.meta.dirname, "..");
const isBuilt = existsSync(path.join(packageFolder, "dist", "worker.js"));
const browser = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"].find((file) => existsSync(file));

const pieces = ["a", "b", "\u2581", "ab", "\u2581ab"].map((spelling, i) => ({ spelling, score: -i }));
const model = modelBytes([...special, ...byteNames, ...pieces], { byteFallback: true });
const texts = ["ab ab", "b\u00e9\u{1F600}", ...Array.from({ length: 6 }, (_, i) => "ab b ".repeat(60_000 + i))];

/** What a program or page does with the installed package; it ends in `report(result)`. */
const program = `
  const tokenizer = loadTokenizer(model);
  const { ids, starts, ends } = tokenizer.encodeWithOffsets(texts[1], { addBos: true });
  const stream = tokenizer.streamDecoder();
  const streamed = Array.from(ids, (id) => stream.push(id)).join("") + stream.flush();
  const encoder = new BatchEncoder(model, { threads: 2 });
  const batch = await encoder.encode(texts);
  await encoder.close();
  report({
    ids: [...ids], starts: [...starts], ends: [...ends], streamed,
    batch: [...batch.starts], first: [...batch.ids.subarray(0, batch.starts[2])],
  });`;

function expected(): object {
  const tokenizer = loadTokenizer(model);
  const { ids, starts, ends } = tokenizer.encodeWithOffsets(texts[1]!, { addBos: true });
  const all = texts.map((text) => [...tokenizer.encode(text)]);
  const batch = all.reduce((sums, one) => [...sums, sums.at(-1)! + one.length], [0]);
  return { ids: [...ids], starts: [...starts], ends: [...ends], streamed: texts[1], batch, first: [...all[0]!, ...all[1]!] };
}

describe.skipIf(!isBuilt)("the packed package, installed into an empty project (needs npm run build)", () => {
  const project = mkdtempSync(path.join(tmpdir(), "danu-tokenizer-"));
  const installed = path.join(project, "node_modules", "@danu", "tokenizer");

  beforeAll(() => {
    const npm = (args: string[], cwd: string): string => execFileSync("npm", args, { cwd, encoding: "utf8", stdio: "pipe" });
    const [{ filename }] = JSON.parse(npm(["pack", "--json", "--pack-destination", project], packageFolder)) as [
      { filename: string },
    ];
    writeFileSync(path.join(project, "package.json"), '{ "name": "empty", "private": true, "type": "module" }');
    npm(["install", "--offline", "--no-audit", "--no-fund", `./${filename}`], project);
    writeFileSync(path.join(project, "model.bin"), model);
    writeFileSync(path.join(project, "texts.json"), JSON.stringify(texts));
  });
  afterAll(() => rmSync(project, { recursive: true, force: true }));

  it("brings nothing along and stays small", () => {
    expect(readdirSync(path.join(project, "node_modules")).filter((name) => !name.startsWith("."))).toEqual(["@danu"]);
    expect(sizeOf(installed)).toBeLessThanOrEqual(150_000);
  });

  it("works in Node, threads included", () => {
    const code = `import { readFileSync } from "node:fs";
      import { BatchEncoder, loadTokenizer } from "@danu/tokenizer";
      const model = readFileSync("model.bin");
      const texts = JSON.parse(readFileSync("texts.json", "utf8"));
      const report = (result) => console.log(JSON.stringify(result));
      ${program}`;
    writeFileSync(path.join(project, "program.js"), code);
    const printed = execFileSync(process.execPath, ["program.js"], { cwd: project, encoding: "utf8" });
    expect(JSON.parse(printed)).toEqual(expected());
  });

  it.skipIf(browser === undefined)("works in Chromium, threads included (needs chromium)", async () => {
    const page = `<!doctype html><meta charset="utf-8"><script type="module">
      const send = (result) => fetch("/result", { method: "POST", body: JSON.stringify(result) });
      addEventListener("unhandledrejection", (event) => send({ error: String(event.reason) }));
      try {
        const { BatchEncoder, loadTokenizer } = await import("/dist/index.js");
        const model = new Uint8Array(await (await fetch("/model.bin")).arrayBuffer());
        const texts = await (await fetch("/texts.json")).json();
        const report = send;
        ${program}
      } catch (error) { send({ error: String(error) }); }
    </script>`;
    expect(await reportOf(page, project, installed)).toEqual(expected());
  });
});

/** Serves a page with the package beside it, opens it in the browser, and waits for what it posts to /result. */
async function reportOf(page: string, project: string, installed: string): Promise<unknown> {
  let chromium: ChildProcess | undefined;
  const server = createServer();
  try {
    return await new Promise((resolve, reject) => {
      server.on("request", (request, response) => {
        const name = request.url ?? "/";
        if (name === "/result") {
          const parts: Buffer[] = [];
          request.on("data", (part: Buffer) => parts.push(part));
          request.on("end", () => resolve(JSON.parse(Buffer.concat(parts).toString("utf8"))));
          response.end();
        } else if (name === "/") response.setHeader("content-type", "text/html").end(page);
        else {
          const file = path.join(name.startsWith("/dist/") ? installed : project, path.normalize(name));
          const type = file.endsWith(".js") ? "text/javascript" : "application/octet-stream";
          if (existsSync(file)) response.setHeader("content-type", type).end(readFileSync(file));
          else response.writeHead(404).end();
        }
      });
      server.listen(0, "127.0.0.1", () => {
        const { port } = server.address() as AddressInfo;
        const profile = path.join(project, "profile");
        mkdirSync(profile, { recursive: true });
        const flags = [
          "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
          "--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage",
          `--user-data-dir=${profile}`, `http://127.0.0.1:${port}/`,
        ];
        chromium = spawn(browser!, flags, { stdio: "ignore" });
        chromium.on("exit", (code) => reject(new Error(`the browser ended with ${code} before the page reported`)));
      });
    });
  } finally {
    chromium?.removeAllListeners("exit");
    const ended = new Promise((resolve) => chromium?.once("exit", resolve) ?? resolve(null));
    chromium?.kill("SIGKILL");
    await ended;
    server.close();
  }
}

function sizeOf(folder: string): number {
  return readdirSync(folder, { recursive: true, encoding: "utf8" }).reduce((sum, name) => {
    const info = lstatSync(path.join(folder, name));
    return sum + (info.isFile() ? info.size : 0);
  }, 0);
}
