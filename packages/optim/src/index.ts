export { AdamW, type AdamWOptions, type AdamWStep } from "./adamw.ts";
export { adamw, adamwOp, adamwParameters, type AdamWAttrs, type AdamWOpAttrs, type AdamWParameter } from "./adamw-op.ts";
export { clipScale, clipScaleOp } from "./clip.ts";
export { schedule, type ScheduleOptions } from "./schedule.ts";
export { sumSquares, sumSquaresOp } from "./sum-squares.ts";
