import { DataError } from "../data-error.ts";
import { formatOfName } from "../readers/list-files.ts";
import type { HubFile } from "./hub-cache.ts";
import type { HubPath } from "./hub-path.ts";

const notData = /(^|\/)(dataset_infos?|state|.*config|package|index)\.json$/i;
const extension = /\.(txt|text|raw|jsonl|ndjson|json|parquet)(\.gz)?$/i;
const shard = /(-\d{5}-of-\d{5}([-.]\w+)?|\/\d+)$/;

/** Files that a path names: the file, those below the folder, or those of the set (`data/train` for
 *  `data/train-00000-of-00002.parquet`); without a path the only set there is, as several are often training and test
 *  data. Sorted by name.
 *  @throws DataError `not-found` */
export function selectFiles(files: readonly HubFile[], { repository, path }: HubPath): HubFile[] {
  const data = files.filter((file) => formatOfName(file.path) !== undefined && !notData.test(file.path));
  const sorted = data.toSorted((a, b) => (a.path < b.path ? -1 : 1));
  const sets = [...new Set(sorted.map((file) => setOf(file.path)))];
  const chosen = path === "" && sets.length === 1 ? sets[0] : path;
  const named = files.filter((file) => file.path === chosen);
  const found =
    named.length > 0 ? named : sorted.filter((file) => setOf(file.path) === chosen || isBelow(file.path, path));
  if (found.length > 0) return found;
  const shown = `${sets.slice(0, 10).join(", ")}${sets.length > 10 ? ", …" : ""}`;
  const message =
    sets.length === 0
      ? `hf:${repository}: no file of the data set can be read (.jsonl, .json, .parquet, .txt)`
      : path === ""
      ? `hf:${repository}: the data set has several sets of files (${shown}); name one, as hf:${repository}/${sets[0]}`
      : `hf:${repository}: there is no ${path} in the data set, which has ${shown}`;
  throw new DataError("not-found", message, { repository, path, sets });
}

function setOf(path: string): string {
  return path.replace(extension, "").replace(shard, "");
}

function isBelow(path: string, folder: string): boolean {
  return folder !== "" && path.startsWith(`${folder}/`);
}
