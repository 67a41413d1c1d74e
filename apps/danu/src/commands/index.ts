import type { Command } from "../cli/command.ts";

/** A command before it is loaded: what `danu --help` shows must cost nothing. */
export interface CommandEntry {
  readonly name: string;
  readonly summary: string;
  load(): Promise<Command>;
}

type Loaded = { readonly command: Command };

function entry(name: string, summary: string, load: () => Promise<Loaded>): CommandEntry {
  return { name, summary, load: async () => (await load()).command };
}

/** Every command, in the order of a model's life. */
export const commands: readonly CommandEntry[] = [
  entry("quickstart", "train a small model on a built-in world, in minutes", () => import("./quickstart.ts")),
  entry("doctor", "what this machine has, what would be used, and why not more", () => import("./doctor.ts")),
  entry("tokenizer train", "text files to a vocabulary", () => import("./tokenizer-train.ts")),
  entry("tokenizer encode", "text to token ids", () => import("./tokenizer-encode.ts")),
  entry("tokenizer decode", "token ids to text", () => import("./tokenizer-decode.ts")),
  entry("tokenizer inspect", "a vocabulary, and a text in coloured tokens", () => import("./tokenizer-inspect.ts")),
  entry("data prepare", "text files to token shards", () => import("./data-prepare.ts")),
  entry("data inspect", "statistics of token shards, and rows with their masks", () => import("./data-inspect.ts")),
  entry("pretrain", "train a model on text from the start", () => import("./pretrain.ts")),
  entry("sft", "fine-tune a model on conversations", () => import("./sft.ts")),
  entry("dpo", "tune a model on better and worse answers", () => import("./dpo.ts")),
  entry("generate", "continue a text", () => import("./generate.ts")),
  entry("chat", "talk with a model", () => import("./chat.ts")),
  entry("logits", "scores of every next token, for comparison with other implementations", () => import("./logits.ts")),
  entry("runs", "list and compare training runs", () => import("./runs.ts")),
  entry("bench gemm", "speed of matrix products", () => import("./bench-gemm.ts")),
  entry("bench attention", "speed of attention", () => import("./bench-attention.ts")),
  entry("bench step", "speed of training steps", () => import("./bench-step.ts")),
  entry("bench prefill", "speed of reading a prompt", () => import("./bench-prefill.ts")),
  entry("bench decode", "speed of adding tokens", () => import("./bench-decode.ts")),
  entry("bench tokenizer", "speed of a tokenizer", () => import("./bench-tokenizer.ts")),
];
