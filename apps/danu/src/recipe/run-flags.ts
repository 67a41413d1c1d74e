/** Flag of every command that trains from a recipe. */
export const recipeFlag = {
  recipe: { type: "text", value: "FILE", help: "recipe, JSON; its paths are relative to the file" },
} as const;

/** Flags of every command that trains in a run folder. */
export const runFolderFlags = {
  out: {
    type: "text", value: "DIR", required: true, help: "run folder: checkpoints, metrics.jsonl, report.html, model",
  },
  resume: { type: "boolean", help: "go on from the newest checkpoint in the run folder" },
} as const;
