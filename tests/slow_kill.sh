#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# slow_kill.sh [KILLS [SEED]] -- kill -9 at 20 random moments of a run of 20 tasks, each time resume, and compare the
# CSV files with those of an uninterrupted run, byte for byte. One line a kill: its moment, and how many tasks were in
# the store then. Exit status 0 when all are equal. The program is $GDNPREC, by default build/gdnprec.
set -eu
program=${GDNPREC:-build/gdnprec}
kills=${1:-20}
seed=${2:-$(date +%s)}
dir=$(mktemp -d "${TMPDIR:-/tmp}/gdn_kill_XXXXXX")
trap 'rm -rf "$dir"' EXIT

cat >"$dir/kill.yaml" <<'EOF'
experiment: kill
question: Is a run that was killed and resumed the run that was not?
seeds: 10
dk: 16
dv: 16
lengths: [16, 64]
profiles: [fp32, all-bf16, bf16-state-sr]
reference: {rung: mpfr}
populations:
  - {name: isotropic, heads: 1, a_log: {uniform: [-8, 2.8]}, dt_bias: {init: fla}}
  - {name: needle, heads: 1, keys: needle, a_log: {uniform: [-8, 2.8]}, dt_bias: {init: fla}}
EOF

start=$(date +%s.%N)
"$program" run --quiet --jobs 1 --results "$dir/whole" "$dir/kill.yaml"
seconds=$(echo "$start $(date +%s.%N)" | awk '{ printf "%.3f", $2 - $1 }')
echo "uninterrupted: $seconds s; random seed $seed"

awk -v s="$seed" -v n="$kills" 'BEGIN { srand(s % 1000000); for (i = 0; i < n; i++) print rand() }' >"$dir/random"
between=0
for i in $(seq "$kills"); do
    jobs=$((1 + i % 2))
    # anywhere in the time that the run takes on this many threads
    moment=$(awk -v i="$i" -v t="$seconds" -v j="$jobs" \
        'NR == i { printf "%.3f", t * (0.02 + 0.93 * $1) / j }' "$dir/random")
    rm -rf "$dir/killed"
    "$program" run --quiet --jobs "$jobs" --results "$dir/killed" "$dir/kill.yaml" >"$dir/out" 2>&1 &
    pid=$!
    sleep "$moment"
    kill -9 "$pid" 2>/dev/null || true
    wait "$pid" 2>/dev/null || true
    now=$("$program" run --quiet --jobs 2 --results "$dir/killed" "$dir/kill.yaml" |
        sed -n 's/^kill: 20 tasks (\([0-9]*\) run now).*/\1/p')
    there=$((20 - now))
    if [ "$there" -gt 0 ] && [ "$there" -lt 20 ]; then between=$((between + 1)); fi
    for file in "$dir"/whole/kill/*.csv; do
        if ! cmp "$file" "$dir/killed/kill/$(basename "$file")"; then
            echo "kill $i at $moment s on $jobs threads, $there of 20 tasks in the store: FAILED"
            exit 1
        fi
    done
    printf 'kill %2d at %6s s on %d thread(s): %2d of 20 tasks in the store; resumed: byte-equal\n' \
        "$i" "$moment" "$jobs" "$there"
done
echo "$kills kills, $between of them between the first task and the last: all byte-equal to the uninterrupted run"
