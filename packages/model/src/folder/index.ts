export { readTokenizerFiles } from "./files.ts";
export { openModelFolder, openWeights } from "./read.ts";
export type { ModelFolder } from "./read.ts";
export { writeModelFolder } from "./write.ts";
export type { ModelFolderContents } from "./write.ts";
