export { AdamW, type AdamWOptions, type AdamWStep } from "./adamw.ts";
export { adamw, adamwOp, type AdamWAttrs } from "./adamw-op.ts";
export { clipScale, clipScaleOp } from "./clip.ts";
export { schedule, type ScheduleOptions } from "./schedule.ts";
export { sumSquares, sumSquaresOp } from "./sum-squares.ts";
