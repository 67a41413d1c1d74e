import { BpeTrainer, type TrainingHooks } from "./bpe-trainer.ts";
import type { BpeTrainerOptions } from "./options.ts";
import type { TrainedModel } from "./trained-model.ts";

/** Milliseconds of work before other tasks get their turn. */
const TURN = 30;

/** Makes a byte-pair vocabulary from texts that arrive one by one; timers, input and the signal are served meanwhile.
 *  @throws TokenizerError `bad-option` or `vocabulary-size`, and the reason of the signal */
export async function trainBpe(
  texts: Iterable<string | Uint8Array> | AsyncIterable<string | Uint8Array>,
  options: BpeTrainerOptions,
  hooks: TrainingHooks = {},
): Promise<TrainedModel> {
  const trainer = new BpeTrainer(options);
  let turnEnds = performance.now() + TURN;
  const giveTurn = async (): Promise<void> => {
    await new Promise((resolve) => setTimeout(resolve));
    turnEnds = performance.now() + TURN;
  };
  for await (const text of texts) {
    hooks.signal?.throwIfAborted();
    trainer.add(text);
    hooks.onProgress?.({ phase: "count", done: trainer.bytes, total: undefined });
    if (performance.now() > turnEnds) await giveTurn();
  }
  const steps = trainer.trainInSteps(hooks);
  for (;;) {
    const step = steps.next();
    if (step.done) return step.value;
    if (performance.now() > turnEnds) await giveTurn();
  }
}
