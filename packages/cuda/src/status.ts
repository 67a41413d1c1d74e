/** What the driver's statuses mean to people, and what to do. cuda.h, CUresult. */
const texts: Readonly<Record<number, string>> = {
  1: "a refused argument",
  2: "no GPU memory left; make the micro-batch or the model smaller",
  3: "the driver is not initialised",
  4: "the driver is shutting down",
  35: "the NVIDIA driver is older than these kernels; install one for CUDA 12.8 or newer",
  36: "the driver's stub library was found instead of the driver; remove the toolkit's stubs folder from LD_LIBRARY_PATH",
  46: "another process has the GPU for itself; wait for it, or choose another GPU with CUDA_VISIBLE_DEVICES",
  100: "no NVIDIA GPU is visible; look at nvidia-smi and CUDA_VISIBLE_DEVICES",
  101: "no such GPU; look at nvidia-smi and CUDA_VISIBLE_DEVICES",
  200: "the kernels' file is damaged; install the package again, or run npm run build",
  201: "the GPU's context is gone",
  209: "no kernels for this GPU: danu has them for compute capability 8.0 and newer",
  218: "the driver could not compile the kernels for this GPU; install a newer driver",
  222: "the kernels were made for a newer driver; install one for CUDA 12.8 or newer",
  500: "a kernel that is not in its file; install the package again, or run npm run build",
  700: "a kernel read or wrote memory that is not its own",
  701: "a kernel asked for more registers or shared memory than the GPU has",
  702: "a kernel ran into the display driver's time limit",
  710: "a kernel stopped on an assertion",
  714: "a kernel's hardware stack failed",
  715: "a kernel met an instruction that the GPU does not know",
  716: "a kernel used a misaligned address",
  718: "a kernel jumped out of its program",
  719: "a kernel failed",
  720: "a kernel whose blocks must all run at the same time is too large for this GPU",
  802: "the machine's GPUs are not ready (NVSwitch fabric); wait, or ask the administrator",
  803: "the NVIDIA driver and its kernel module are of different versions; restart the machine",
  804: "the driver's compatibility package does not serve this GPU",
  999: "an unknown failure; look at dmesg",
};

/** Status of an event or stream that is not done yet. */
export const NOT_READY = 600;
// Between the statuses of kernels that went wrong.
const refusedLaunches: readonly number[] = [701, 720];
/** Status of an allocation that found no memory. */
export const OUT_OF_MEMORY = 2;

/** A status in words. */
export function statusText(status: number): string {
  return `${texts[status] ?? "failed"} (CUDA error ${status})`;
}

/** Whether a status means that a kernel went wrong, after which nothing of its context works any more. */
export function isKernelFault(status: number): boolean {
  return status >= 700 && status < 800 && !refusedLaunches.includes(status);
}
