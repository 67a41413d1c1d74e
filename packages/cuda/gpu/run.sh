#!/usr/bin/env bash
# run.sh RESULTS [PART …]: runs the parts on this machine's GPU, each with a limit in seconds, and keeps what they say in
# RESULTS, with clocks and power ten times a second. Parts: small check measure sustain driver sanitize peers step
cd "$(dirname "$0")" && results=${1:?usage: run.sh RESULTS [PART …]} && shift
[ $# -gt 0 ] || set -- small check measure sustain driver sanitize peers step
mkdir -p "$results"
nvidia-smi --query-gpu=timestamp,clocks.sm,clocks.mem,power.draw,temperature.gpu,clocks_event_reasons.active --format=csv,noheader,nounits -lms 100 > "$results/smi.csv" 2>&1 & watch=$!
trap 'kill $watch' EXIT
programs=$(for f in *; do [ -f "$f" ] && [ -x "$f" ] && case $f in *.*) ;; machine) ;; *) echo "$f" ;; esac; done)
run() {   # run LIMIT NAME COMMAND …
  local limit=$1 name=$2; shift 2
  echo "=== $(date +%s.%N) $name"
  timeout "$limit" "$@" > "$results/$name.txt" 2>&1; local status=$?
  if [ "${QUIET:-}" ]; then tail -n 1 "$results/$name.txt"; else cat "$results/$name.txt"; fi
  [ $status = 0 ] || { echo "$name ended with $status"; tail -n 5 "$results/$name.txt"; }
}
nvidia-smi --query-gpu=name,driver_version,vbios_version,power.limit --format=csv,noheader
for part in "$@"; do
  case $part in
    small) for p in $programs; do run 30 "small-$p" "./$p" --small; done ;;
    check) run 60 machine ./machine images ;;
    measure) for p in $programs; do run 60 "$p" "./$p"; done ;;
    sustain) run 30 sustain ./gemm --sustain ;;
    driver) bash node/unpack.sh /tmp/node > /dev/null && run 30 driver /tmp/node/node driver.mjs images ;;
    sanitize) for tool in memcheck synccheck; do for p in $programs; do QUIET=1 run 40 "$tool-$p" compute-sanitizer --tool $tool --error-exitcode 9 "./$p" --small; done; done ;;
    peers) run 40 peers-gemm python3 peers.py gemm; run 120 peers-attention python3 peers.py attention ;;
    step) run 150 step-2048 python3 peers.py step=2048x8; run 150 step-16384 python3 peers.py step=16384x1 ;;
  esac
done
echo "=== $(date +%s.%N) end"
