export { type RunState } from "./run-state.ts";
export {
  CheckpointStore, listCheckpoints, type Checkpoint, type CheckpointStoreOptions, type Restored,
} from "./store.ts";
export {
  restoreTrainer, saveTrainer, type StoredTensor, type StoredTensors, type TensorFiles, type TrainerParts,
} from "./trainer-files.ts";
