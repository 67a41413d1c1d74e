#!/usr/bin/env bash
# bundle.sh OUT [NAME …]: compiles the programs that ask a GPU into OUT, a folder that runs on a machine with an NVIDIA
# driver and nothing else. Peers need PyTorch there, driver.mjs a Node (OUT/node, if it is there) and koffi.
set -euo pipefail
out=${1:?usage: bundle.sh OUT [NAME …]}; shift
here=$(cd "$(dirname "$0")" && pwd)
nvcc=${CUDA_HOME:-/usr/local/cuda}/bin/nvcc
mkdir -p "$out/images" "$out/node_modules/@koromix"
[ $# -gt 0 ] || set -- $(cd "$here" && ls *.cu | sed 's/\.cu$//')
for name in "$@"; do
  "$nvcc" -gencode=arch=compute_90a,code=sm_90a -O3 -use_fast_math -std=c++17 -I"$here/../kernels/device" "$here/$name.cu" -o "$out/$name"
done
# One small kernel in every form that a driver might take.
probe=$(mktemp --suffix .cu); trap 'rm -f "$probe"' EXIT
echo 'extern "C" __global__ void probe(float* x, int n, float add) { int i = blockIdx.x * blockDim.x + threadIdx.x; if (i < n) x[i] += add; }' > "$probe"
for arch in 80 89 90 90a 100a 120; do "$nvcc" -gencode=arch=compute_$arch,code=sm_$arch -cubin "$probe" -o "$out/images/probe-sm_$arch.cubin"; done
for arch in 75 80 90a 100a; do "$nvcc" -gencode=arch=compute_$arch,code=compute_$arch -ptx "$probe" -o "$out/images/probe-compute_$arch.ptx"; done
for mode in none size; do
  "$nvcc" --compress-mode=$mode -fatbin -gencode=arch=compute_80,code=sm_80 -gencode=arch=compute_90a,code=sm_90a -gencode=arch=compute_80,code=compute_80 "$probe" -o "$out/images/all-$mode.fatbin"
done
"$nvcc" -fatbin -gencode=arch=compute_80,code=sm_80 "$probe" -o "$out/images/only-sm_80.fatbin"
cp "$here"/{run.sh,driver.mjs,peers.py} "$out"
modules=$here/../../../node_modules
cp -rL "$modules/koffi" "$out/node_modules/"; cp -rL "$modules/@koromix/koffi-linux-x64" "$out/node_modules/@koromix/"
du -sh "$out"
