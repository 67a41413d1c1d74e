import { mkdir, open, rename } from "node:fs/promises";
import { dirname, join } from "node:path";

/** Writes a file that appears whole or not at all, and the folder that it lies in. */
export async function placeFile(path: string, content: string | Uint8Array): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  const temporary = join(dirname(path), `.${process.pid}.tmp`);
  const file = await open(temporary, "w");
  try {
    await file.writeFile(content);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(temporary, path);
}
