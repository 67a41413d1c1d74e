import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import type { IncomingMessage, ServerResponse } from "node:http";
import { join } from "node:path";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { firstCommit, Hub, sha1 } from "../../test/hub-stand-in.ts";
import { all, temporaryFolder } from "../../test/support.ts";
import { readConversations } from "../conversations/read-conversations.ts";
import { parseHubPath } from "./hub-path.ts";
import { resolveHubPath } from "./resolve-hub-path.ts";

const rows = (count: number, name: string): string =>
  Array.from({ length: count }, (_, i) => `${JSON.stringify({ prompt: `${name} ${i}`, response: "A" })}\n`).join("");

async function hubWith(
  files: Readonly<Record<string, Buffer | string>>,
): Promise<{ hub: Hub; cacheFolder: string; hubUrl: string }> {
  const hub = await new Hub().start();
  hub.files = files;
  return { hub, cacheFolder: temporaryFolder(), hubUrl: hub.url };
}

const failure = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => "no failure",
    (error: unknown) => error,
  );

describe("a path of the hub", () => {
  test.each([
    ["hf:owner/name", { repository: "owner/name", revision: "main", path: "" }],
    ["hf:owner/name@v1.0/data/train.jsonl", { repository: "owner/name", revision: "v1.0", path: "data/train.jsonl" }],
    ["hf:owner/name@refs%2Fpr%2F1/data/", { repository: "owner/name", revision: "refs/pr/1", path: "data" }],
  ])("%s is taken apart", (text, expected) => {
    expect(parseHubPath(text)).toEqual(expected);
  });

  test.each([
    "hf:",
    "hf:name",
    "hf:owner/",
    "hf:owner/na me",
    "hf:../name",
    "hf:owner/..",
    "hf:owner/name@",
    "hf:owner/name@..%2Fx",
    "hf:owner/name@%zz",
    "hf:owner/name/../x",
    "hf:owner/name/a//b",
    "hf:owner/name/a\\b",
    "hf:owner/name/a\u0000",
  ])("%s is refused", (text) => {
    expect(() => parseHubPath(text)).toThrow(/expected hf:owner\/name/);
  });
});

describe("a data set of the hub", () => {
  const files = {
    "README.md": "# name",
    "data/train-00000-of-00002.jsonl": rows(3, "a"),
    "dataset_infos.json": "{}",
    "data/train-00001-of-00002.jsonl": rows(2, "b"),
  };

  test("is read as any other, and the second time from the cache", async () => {
    const { hub, ...options } = await hubWith(files);
    const progress: string[] = [];
    const onProgress = ({ file, bytes, of }: { file: string; bytes: number; of: number }): void =>
      void progress.push(`${file} ${bytes}/${of}`);
    const found = await all(readConversations(["hf:owner/name"], { hub: { ...options, onProgress } }));
    expect(found.map(({ messages }) => messages[0]?.content)).toEqual(["a 0", "a 1", "a 2", "b 0", "b 1"]);
    expect(hub.downloads).toEqual(["data/train-00000-of-00002.jsonl", "data/train-00001-of-00002.jsonl"]);
    expect(progress.at(-1)).toBe(`data/train-00001-of-00002.jsonl ${rows(2, "b").length}/${rows(2, "b").length}`);
    expect(found[0]?.source.startsWith(options.cacheFolder)).toBe(true);
    hub.requests.length = 0;
    expect(await resolveHubPath("hf:owner/name", options)).toMatchObject({ commit: firstCommit });
    expect(hub.requests).toHaveLength(1);
  });

  test("of a commit needs no network once it is in the cache; a branch is taken from there without one", async () => {
    const { hub, ...options } = await hubWith(files);
    const { files: paths } = await resolveHubPath(`hf:owner/name@${firstCommit}`, options);
    await resolveHubPath("hf:owner/name", options);
    hub.requests.length = 0;
    expect(await resolveHubPath(`hf:owner/name@${firstCommit}`, options)).toEqual({
      commit: firstCommit,
      files: paths,
    });
    expect(hub.requests).toEqual([]);
    hub.before = (_, response) => (response.destroy(), true);
    expect((await resolveHubPath("hf:owner/name", options)).files).toEqual(paths);
    hub.requests.length = 0;
    expect((await resolveHubPath("hf:owner/name", { ...options, offline: true })).files).toEqual(paths);
    expect(hub.requests).toEqual([]);
  });

  test("follows a branch to its new commit, and keeps the old", async () => {
    const { hub, ...options } = await hubWith({ "a.jsonl": rows(1, "old") });
    const old = await resolveHubPath("hf:owner/name", options);
    hub.commit = "b".repeat(40);
    hub.files = { "a.jsonl": rows(1, "new") };
    const now = await resolveHubPath("hf:owner/name", options);
    expect([old, now].map(({ files: [path] }) => readFileSync(path!, "utf8"))).toEqual([
      rows(1, "old"),
      rows(1, "new"),
    ]);
  });

  test("names its sets where there are several, and gives one, a file or a folder", async () => {
    const several = {
      ...files,
      "data/test-00000-of-00001.parquet": "x",
      "raw/0000.parquet": "x",
      "raw/0001.parquet": "y",
      "odd name #1?.json": "[]",
    };
    const { hub: _, ...options } = await hubWith(several);
    const error = await failure(resolveHubPath("hf:owner/name", options));
    expect(error).toMatchObject({ code: "not-found" });
    expect((error as Error).message).toMatch(
      /several sets of files \(data\/test, data\/train, .*raw\); name one, as hf:owner\/name\/data\/test/,
    );
    const names = async (path: string): Promise<string[]> =>
      (await resolveHubPath(`hf:owner/name/${path}`, options)).files.map((one) => one.split("/files/")[1]!);
    expect(await names("data/train")).toEqual(["data/train-00000-of-00002.jsonl", "data/train-00001-of-00002.jsonl"]);
    expect(await names("raw")).toEqual(["raw/0000.parquet", "raw/0001.parquet"]);
    expect(await names("README.md")).toEqual(["README.md"]);
    expect(await names("data")).toHaveLength(3);
    expect((await failure(names("nothing"))) as Error).toMatchObject({
      code: "not-found",
      message: expect.stringContaining("there is no nothing") as string,
    });
  });

  test("sends the token to the hub alone, and only if there is one", async () => {
    const { hub, ...options } = await hubWith({ "a.jsonl": rows(1, "a") });
    const seen = new Set<string>();
    hub.before = (request) => (seen.add(request.headers.authorization ?? "none"), false);
    await resolveHubPath("hf:owner/name", options);
    vi.stubEnv("HF_TOKEN", "hf_from_environment");
    onTestFinished(() => void vi.unstubAllEnvs());
    await resolveHubPath("hf:owner/name", { ...options, cacheFolder: temporaryFolder() });
    await resolveHubPath("hf:owner/name", { ...options, cacheFolder: temporaryFolder(), token: "hf_given" });
    expect([...seen]).toEqual(["none", "Bearer hf_from_environment", "Bearer hf_given"]);
    const error = await failure(resolveHubPath("hf:owner/name", { ...options, token: "secret" }));
    expect(error).toMatchObject({ code: "bad-option" });
    expect((error as Error).message).not.toContain("secret");
  });
});

test("a token does not follow where the hub sends downloads", async () => {
  const { hub, ...options } = await hubWith({ "a.jsonl": rows(1, "a") });
  const elsewhere = await new Hub().start();
  elsewhere.files = hub.files;
  const seen = new Set<string>();
  elsewhere.before = (request) => (seen.add(request.headers.authorization ?? "none"), false);
  hub.before = (request, response) => {
    if (!request.url?.includes("/resolve/")) return false;
    response.writeHead(302, { location: `${elsewhere.url}${request.url}` }).end();
    return true;
  };
  await resolveHubPath("hf:owner/name", { ...options, token: "hf_secret" });
  expect([...seen]).toEqual(["none"]);
});

describe("the hub's refusals are one sentence:", () => {
  const refuse =
    (status: number, body: string = '{"error":"no"}') =>
    (_: IncomingMessage, response: ServerResponse): boolean => {
      response.writeHead(status, { "content-type": "application/json" }).end(body);
      return true;
    };

  test.each<[string, number, string, RegExp]>([
    ["not there", 404, "not-found", /revision main is not on the hub, see http/],
    ["private", 401, "hub-denied", /see whether it is there on .*, and set HF_TOKEN$/],
    ["gated", 403, "hub-denied", /accept its conditions on .*\/datasets\/owner\/name, and set HF_TOKEN$/],
    ["out of order", 503, "hub-unreachable", /revision main could not be fetched from http.*: no; check the network/],
  ])("%s", async (_, status, code, message) => {
    const { hub, ...options } = await hubWith({ "a.jsonl": "x" });
    hub.before = refuse(status);
    const error = await failure(resolveHubPath("hf:owner/name", options));
    expect(error).toMatchObject({ name: "DataError", code, message: expect.stringMatching(message) as string });
  });

  test("no network", async () => {
    const { hub, ...options } = await hubWith({});
    hub.stop();
    const error = await failure(resolveHubPath("hf:owner/name", options));
    expect(error).toMatchObject({
      code: "hub-unreachable",
      message: expect.stringMatching(/fetch failed \(ECONNREFUSED\); check the network/) as string,
    });
    const offline = await failure(resolveHubPath("hf:owner/name", { ...options, offline: true }));
    expect(offline).toMatchObject({
      code: "not-found",
      message: expect.stringMatching(/revision main is not in the cache/) as string,
    });
  });

  test("another address, another branch, another answer", async () => {
    const { hub, ...options } = await hubWith({ "a.jsonl": "x" });
    expect(await failure(resolveHubPath("hf:owner/name", { ...options, hubUrl: "ftp://x" }))).toMatchObject({
      code: "bad-option",
    });
    expect(await failure(resolveHubPath("hf:owner/name@gone", options))).toMatchObject({ code: "not-found" });
    hub.before = refuse(200, "<html>");
    expect(await failure(resolveHubPath("hf:owner/name", options))).toMatchObject({ code: "hub-unreachable" });
    hub.before = refuse(200, '{"sha":"../../x"}');
    expect(await failure(resolveHubPath("hf:owner/name", options))).toMatchObject({ code: "hub-unreachable" });
  });
});

describe("a download", () => {
  const big = rows(20_000, "big");

  test("that breaks off goes on where it stopped, within one call or in the next", async () => {
    const { hub, ...options } = await hubWith({ "a.jsonl": big });
    const ranges: (string | undefined)[] = [];
    let breaks = 4;
    hub.before = (request, response) => {
      if (!request.url?.includes("/resolve/") || request.headers.range === "bytes=0-0") return false;
      ranges.push(request.headers.range);
      if (breaks-- <= 0) return false;
      const from = Number(/\d+/.exec(request.headers.range ?? "0")?.[0]);
      response.writeHead(from === 0 ? 200 : 206, { "content-length": big.length - from });
      response.write(big.slice(from, from + 100_000), () => setTimeout(() => response.destroy(), 20));
      return true;
    };
    const error = await failure(resolveHubPath("hf:owner/name", options));
    expect(error).toMatchObject({ code: "hub-unreachable", message: expect.stringContaining("a.jsonl") as string });
    expect(existsSync(join(options.cacheFolder, "hub"))).toBe(true);
    const { files } = await resolveHubPath("hf:owner/name", options);
    expect(readFileSync(files[0]!, "utf8")).toBe(big);
    expect(ranges[0]).toBeUndefined();
    expect(ranges.slice(1).map((range) => Number(/\d+/.exec(range ?? "")?.[0]))).toEqual(
      [1, 2, 3, 4].map((times) => times * 100_000),
    );
  });

  test("takes over what a process that is gone left, whether it is right or not", async () => {
    const { hub, ...options } = await hubWith({ "a.jsonl": big });
    const { files } = await resolveHubPath("hf:owner/name", options);
    const partials = join(files[0]!, "../../../../partial");
    expect(readdirSync(partials)).toEqual([]);
    for (const [content, downloads] of [
      [big.slice(0, 5000), 1],
      ["x".repeat(5000), 2],
      [big + big, 1],
    ] as const) {
      const cacheFolder = temporaryFolder();
      const folder = partials.replace(options.cacheFolder, cacheFolder);
      mkdirSync(folder, { recursive: true });
      writeFileSync(join(folder, `${sha1(Buffer.from(big))}.999999999.0`), content);
      hub.requests.length = 0;
      const again = await resolveHubPath("hf:owner/name", { ...options, cacheFolder });
      expect(readFileSync(again.files[0]!, "utf8")).toBe(big);
      expect(hub.downloads).toHaveLength(downloads);
      expect(readdirSync(folder)).toEqual([]);
    }
  });

  test("of content with another hash is refused, and nothing is kept", async () => {
    const { hub, ...options } = await hubWith({ "a.jsonl": big });
    hub.before = (request, response) => {
      if (!request.url?.includes("/resolve/") || request.headers.range === "bytes=0-0") return false;
      response.writeHead(200).end(big.replace("big 7", "bad 7"));
      return true;
    };
    const error = await failure(resolveHubPath("hf:owner/name", options));
    expect(error).toMatchObject({ code: "hash-mismatch", message: expect.stringContaining("a.jsonl") as string });
    hub.before = () => false;
    expect(readFileSync((await resolveHubPath("hf:owner/name", options)).files[0]!, "utf8")).toBe(big);
  });

  test("is shared by readers of one process, and of nothing is a file", async () => {
    const { hub, ...options } = await hubWith({ "data/a.jsonl": big, "data/b.jsonl": "" });
    const [first, second] = await Promise.all([1, 2].map(() => resolveHubPath("hf:owner/name/data", options)));
    expect(first).toEqual(second);
    expect(hub.downloads).toEqual(["data/a.jsonl"]);
    expect(readFileSync(first!.files[1]!, "utf8")).toBe("");
  });

  test("never leaves the cache, whatever names and hashes the hub sends", async () => {
    const { hub, ...options } = await hubWith({ "a.jsonl": rows(1, "a") });
    hub.before = (request, response) => {
      if (!request.url?.includes("/tree/")) return false;
      const entry = { type: "file", size: 1, oid: firstCommit };
      const names = ["../../x.jsonl", "/etc/x.jsonl", "a/../../x.jsonl", "C:\\x.jsonl", "x\u0000.jsonl"].map(
        (path) => ({ ...entry, path }),
      );
      response
        .writeHead(200, { "content-type": "application/json" })
        .end(JSON.stringify([...names, { ...entry, path: "b.jsonl", oid: "../../y" }]));
      return true;
    };
    expect(await failure(resolveHubPath("hf:owner/name", options))).toMatchObject({
      message: "hf:owner/name: no file of the data set can be read (.jsonl, .json, .parquet, .txt)",
    });
  });
});
