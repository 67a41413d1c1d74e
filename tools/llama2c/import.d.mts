/** Reads a float32 checkpoint of llama2.c and writes it as a model folder with its SentencePiece tokenizer. */
export function importLlama2c(paths: {
  readonly checkpoint: string;
  readonly tokenizer: string;
  readonly out: string;
}): Promise<void>;
