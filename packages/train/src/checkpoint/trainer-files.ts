import { join } from "node:path";

import { decode, encode, formatShape, leavesOf, sameShape, type Tensor } from "@danu/tensor";

import { CheckpointError } from "../errors.ts";
import { nodeFileSystem, type FileSystem } from "../files.ts";
import { readState, writeState, type RunState } from "./run-state.ts";

/** An f32 tensor on its way into a file; `read` is called once, when its turn comes. */
export interface StoredTensor {
  readonly name: string;
  readonly dtype: "F32";
  readonly shape: readonly number[];
  /** Little-endian, row-major bytes. */
  read(): Promise<Uint8Array>;
}

/** Named tensors in an open file. */
export interface StoredTensors {
  readonly names: readonly string[];
  info(name: string): { readonly dtype: string; readonly shape: readonly number[] };
  read(name: string): Promise<Uint8Array>;
  close(): Promise<void>;
}

/** How tensors get into files and out of them; `writeSafetensors` and `openSafetensors` of `@danu/model` fit as is. */
export interface TensorFiles {
  write(path: string, tensors: Iterable<StoredTensor>): Promise<void>;
  open(path: string): Promise<StoredTensors>;
}

/** What of a `Trainer` is kept in a checkpoint. */
export interface TrainerParts {
  /** Tree of f32 master weights. */
  readonly params: unknown;
  readonly optimizer: { readonly mean: unknown; readonly variance: unknown; steps: number };
  /** Tree of further f32 tensors. */
  readonly extra: unknown;
  /** Brings low-precision copies up to date with the master weights. */
  refresh(): void;
}

/** Folder of a checkpoint that holds what only training needs. */
const trainerFolder = "trainer";
const stateName = "state.json";
const tensorsName = "optimizer.safetensors";

/** Writes master weights, moments and counters into `trainer/` of a checkpoint that is being made. */
export async function saveTrainer(
  folder: string, trainer: TrainerParts, state: RunState, tensorFiles: TensorFiles, fs: FileSystem = nodeFileSystem,
): Promise<void> {
  const into = join(folder, trainerFolder);
  await fs.mkdir(into);
  const tensors = tensorsOf(trainer).map(({ name, tensor }): StoredTensor => ({
    name, dtype: "F32", shape: tensor.shape, read: async () => encode("f32", await tensor.read()),
  }));
  await tensorFiles.write(join(into, tensorsName), tensors);
  await writeState(join(into, stateName), { ...state, optimizerSteps: trainer.optimizer.steps }, fs);
}

/** Puts a trainer into the state that `saveTrainer` found, bit for bit.
 *  @returns where the run stood
 *  @throws CheckpointError when the checkpoint is of another model; the trainer is then as before */
export async function restoreTrainer(
  folder: string, trainer: TrainerParts, tensorFiles: TensorFiles, fs: FileSystem = nodeFileSystem,
): Promise<RunState> {
  const from = join(folder, trainerFolder);
  const { optimizerSteps, ...state } = await readState(join(from, stateName), fs);
  const file = await tensorFiles.open(join(from, tensorsName));
  try {
    const tensors = tensorsOf(trainer);
    checkNames(file, tensors, folder);
    for (const { name, tensor } of tensors) {
      const { device, dtype, handle } = tensor;
      device.write(handle, device.encode(dtype, decode("f32", await file.read(name))));
    }
  } finally {
    await file.close();
  }
  trainer.optimizer.steps = optimizerSteps;
  trainer.refresh();
  return state;
}

interface NamedTensor {
  readonly name: string;
  readonly tensor: Tensor;
}

function tensorsOf({ params, optimizer: { mean, variance }, extra }: TrainerParts): NamedTensor[] {
  return Object.entries({ master: params, mean, variance, extra }).flatMap(([kind, tree]) => (
    leavesOf(tree).map(({ path, tensor }) => ({ name: path === "" ? kind : `${kind}.${path}`, tensor }))
  ));
}

function checkNames(file: StoredTensors, tensors: readonly NamedTensor[], folder: string): void {
  const fail = (what: string): never => {
    const message = `checkpoint ${folder} does not fit the model: ${what}; resume with the recipe it was made with`;
    throw new CheckpointError(message, { reason: "other-model", folder });
  };
  const stored = new Set(file.names);
  for (const { name, tensor } of tensors) {
    if (!stored.delete(name)) fail(`expected a tensor ${name}, it has none`);
    const { dtype, shape } = file.info(name);
    if (dtype !== "F32" || !sameShape(shape, tensor.shape)) {
      fail(`expected ${name} to be F32 ${formatShape(tensor.shape)}, it is ${dtype} ${formatShape(shape)}`);
    }
  }
  const [extra] = stored;
  if (extra !== undefined) fail(`it has a tensor ${extra} that the model has not`);
}
