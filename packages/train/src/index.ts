export { Trainer, type Evaluation, type ExtraState, type MeasuredLoss, type StepResult, type TrainerOptions } from "./trainer.ts";
export { train, type Periodic, type RunPosition, type RunProgress, type RunSummary, type TrainOptions } from "./run.ts";
export { interruptOnSignals, type Interrupt } from "./interrupt.ts";
export { Throughput } from "./throughput.ts";
export { MetricsWriter, readMetrics, type MetricsRecord, type Stage } from "./metrics.ts";
export {
  CheckpointStore, listCheckpoints, restoreTrainer, saveTrainer, type Checkpoint, type CheckpointStoreOptions,
  type Restored, type RunState, type StoredTensor, type StoredTensors, type TensorFiles, type TrainerParts,
} from "./checkpoint/index.ts";
export { createRunFolder, readRecipe, resumeRunFolder, runPaths, type RunFolder, type RunPaths } from "./run-folder.ts";
export { lineChart, type ChartOptions, type Point, type Series } from "./report/chart.ts";
export { escapeHtml } from "./report/format.ts";
export { htmlPage } from "./report/page.ts";
export { renderReport, writeReport, type ReportOptions, type Sample } from "./report/report.ts";
export { CheckpointError, MetricsError, NonFiniteError, RunFileError, RunFolderError } from "./errors.ts";
export { nodeFileSystem, type FileSystem } from "./files.ts";
