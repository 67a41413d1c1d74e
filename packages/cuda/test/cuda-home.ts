/** Where the CUDA toolkit is: `CUDA_HOME`, or its usual place. */
export const cudaHome: string = process.env["CUDA_HOME"] ?? "/usr/local/cuda";
