import { createHash } from "node:crypto";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { onTestFinished } from "vitest";

/** Git's hash of a file. */
export const sha1 = (bytes: Buffer): string =>
  createHash("sha1").update(`blob ${bytes.length}\0`).update(bytes).digest("hex");
const sha256 = (bytes: Buffer): string => createHash("sha256").update(bytes).digest("hex");
/** What `main` stands for at first. */
export const firstCommit: string = "a".repeat(40);

/** A hub of one data set, `owner/name`. */
export class Hub {
  readonly requests: string[] = [];
  files: Readonly<Record<string, Buffer | string>> = {};
  commit: string = firstCommit;
  /** Answers instead of the hub, if it returns true. */
  before: (request: IncomingMessage, response: ServerResponse) => boolean = () => false;
  url = "";
  /** Closes the hub before the test ends. */
  stop: () => void = () => {};

  async start(): Promise<this> {
    const server = createServer((request, response) => {
      this.requests.push(decodeURIComponent(request.url ?? ""));
      if (!this.before(request, response)) this.#answer(request, response);
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    this.stop = () => {
      server.closeAllConnections();
      server.close();
    };
    onTestFinished(this.stop);
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    return this;
  }

  /** Paths of files that were downloaded, in order; each is asked for its size first. */
  get downloads(): string[] {
    const paths = this.requests
      .filter((url) => url.includes("/resolve/"))
      .map((url) => url.split(`/resolve/${this.commit}/`)[1]!);
    return paths.filter((_, i) => i % 2 === 1);
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const url = new URL(request.url ?? "", this.url);
    const path = decodeURIComponent(url.pathname);
    const json = (value: unknown, headers: Record<string, string> = {}): void => {
      response.writeHead(200, { "content-type": "application/json", ...headers }).end(JSON.stringify(value));
    };
    if (path.startsWith("/api/datasets/owner/name/revision/")) {
      const isKnown = ["main", "refs/pr/1", this.commit].includes(
        path.slice("/api/datasets/owner/name/revision/".length),
      );
      if (isKnown) json({ _id: "1", id: "owner/name", sha: this.commit, lastModified: "2024-01-01T00:00:00.000Z" });
      else response.writeHead(404, { "x-error-code": "RevisionNotFound" }).end();
    } else if (path === `/api/datasets/owner/name/tree/${this.commit}`) this.#list(url, json);
    else if (path.startsWith(`/datasets/owner/name/resolve/${this.commit}/`))
      this.#send(path.split("/").slice(6).join("/"), request, response);
    else response.writeHead(404, { "content-type": "application/json" }).end('{"error":"Repository not found"}');
  }

  /** Two files a page. */
  #list(url: URL, json: (value: unknown, headers?: Record<string, string>) => void): void {
    const from = Number(url.searchParams.get("cursor") ?? 0);
    const entries = Object.entries(this.files).map(([path, content], i) => {
      const bytes = Buffer.from(content);
      const pointer = { type: "file", path, size: i % 2 === 0 ? bytes.length : 130, oid: sha1(bytes) };
      return i % 2 === 0 ? pointer : { ...pointer, lfs: { oid: sha256(bytes), size: bytes.length, pointerSize: 130 } };
    });
    const next = `<${this.url}${url.pathname}?recursive=true&cursor=${from + 2}>; rel="next"`;
    const page = [{ type: "directory", path: "data", size: 0, oid: firstCommit }, ...entries.slice(from, from + 2)];
    json(page, from + 2 < entries.length ? { link: next } : {});
  }

  #send(path: string, request: IncomingMessage, response: ServerResponse): void {
    const bytes = Buffer.from(this.files[path] ?? "");
    const [, start = "0", end = ""] = /bytes=(\d+)-(\d*)/.exec(request.headers.range ?? "") ?? [];
    const last = end === "" ? bytes.length - 1 : Math.min(Number(end), bytes.length - 1);
    const headers = { etag: `"${sha1(bytes)}"`, "accept-ranges": "bytes" };
    if (request.headers.range === undefined) response.writeHead(200, headers).end(bytes);
    else {
      const range = { ...headers, "content-range": `bytes ${start}-${last}/${bytes.length}` };
      response.writeHead(206, range).end(bytes.subarray(Number(start), last + 1));
    }
  }
}
