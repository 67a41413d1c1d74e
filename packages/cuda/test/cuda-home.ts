/** Where the CUDA toolkit is: `CUDA_HOME`, or its usual place. */
export const cudaHome = process.env["CUDA_HOME"] ?? "/usr/local/cuda";
