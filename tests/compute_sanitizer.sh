#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# compute_sanitizer.sh BUILD [SECONDS] -- compute-sanitizer on whole small runs: memcheck, initcheck and synccheck on all
# kernels, racecheck on one family of kernels after another, since it multiplies the time of a kernel by thousands. What
# has not ended after SECONDS (300) says so and fails.
set -u
gdnprec=$1/gdnprec
limit=${2:-300}
out=$(mktemp -d "${TMPDIR:-/tmp}/gdn_sanitizer_XXXXXX")
trap 'rm -rf "$out"' EXIT
failed=0

# NAME DK DV LENGTH PROFILES
experiment() {
    cat >"$out/$1.yaml" <<END
experiment: $1
question: Is any memory of a GPU raced for, read before it is written, or not there?
seeds: 1
dk: $2
dv: $3
lengths: [$4]
profiles: [$5]
populations:
  - {name: isotropic, heads: 2, keys: isotropic, a_log: {init: hf}, dt_bias: {init: fla}, norm_weight: {uniform: [0.5, 2]}}
  - {name: zipf, heads: 1, keys: zipf, zipf_exponent: 1.5, a_log: {init: hf}, dt_bias: {init: fla}}
END
}
experiment whole 128 128 150 'fp32, bf16-state-sr, all-bf16, chunk-fp32, chunk-bf16'
experiment whole-any 24 20 150 'fp32, bf16-state-sr, all-bf16, chunk-fp32, chunk-bf16'
experiment recurrent 128 128 20 'fp32, bf16-state-sr, all-bf16'
experiment recurrent-any 8 8 9 'fp32, bf16-state-sr'
experiment chunked 128 128 70 'chunk-fp32, chunk-bf16'
experiment chunked-any 24 20 70 'chunk-fp32' # under racecheck cuBLAS's bf16 kernels do not start

# TOOL EXPERIMENT [PART OF A KERNEL'S NAME]
sanitize() {
    [ -z "${3:-}" ] || grep -qaE "(_Z|[A-Za-z_])${#3}$3" "$gdnprec" || { echo "no kernel of this name: $3"; failed=1; return; }
    start=$(date +%s)
    timeout "$limit" compute-sanitizer --tool "$1" --error-exitcode 9 --print-limit 5 ${3:+--kernel-name "kns=$3"} \
        "$gdnprec" run --quiet --jobs 1 --backend cuda --results "$out/$1-$2-${3:-all}" "$out/$2.yaml" >"$out/log" 2>&1
    status=$?
    if [ $status = 124 ]; then
        verdict="not ended" failed=1
    elif [ $status = 0 ] && grep -q 'SUMMARY: 0 ' "$out/log"; then # a warning of racecheck leaves the status 0
        verdict=clean
    else
        verdict="FAILED ($status)" failed=1
    fi
    printf '%-10s %-14s %-22s %4d s  %s\n' "$1" "$2" "${3:-all kernels}" $(($(date +%s) - start)) "$verdict"
    case $verdict in FAILED*) head -n 30 "$out/log" ;; esac
}

for tool in memcheck initcheck synccheck; do
    sanitize $tool whole
    sanitize $tool whole-any
done
for part in columns gdn_recurrence_kernel gdn_norm_kernel gate_kernel lengths_kernel gates out_norm take_differences \
    join cumulate average draw; do
    sanitize racecheck recurrent $part
done
for part in prepare walk take_gates; do
    sanitize racecheck chunked $part
done
for part in sums take_rows invert take_state cut_weights new_values outputs next_state out_norm_wide; do
    sanitize racecheck chunked-any $part
done
sanitize racecheck recurrent-any any_shape
exit $failed
