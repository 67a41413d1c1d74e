/** The device of a test that was written for the CPU: the GPU. */
export { cudaDevice as cpuDevice } from "../../../packages/cuda/src/index.ts";
