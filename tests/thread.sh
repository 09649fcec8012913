#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# thread.sh BUILD -- a program built with -fsanitize=thread runs tasks side by side and heads side by side, exports, and
# is interrupted and resumed; a data race ends it with 66.
set -eu
program=$1/gdnprec
directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
# libomp tells the sanitizer through archer what waits for what; code without instrumentation in it is left alone.
archer=$(find /usr/lib/llvm-* -name libarcher.so 2>/dev/null | head -n 1)
[ -n "$archer" ] || { echo "check-thread needs libomp-dev" >&2; exit 2; }
export OMP_TOOL_LIBRARIES="$archer"
export TSAN_OPTIONS="ignore_noninstrumented_modules=1 halt_on_error=1 exitcode=66"
export ARCHER_OPTIONS="verbose=1"
run() {
    echo "$*"
    "$program" run --quiet --results "$directory" "$@" >"$directory/said" 2>&1 || { cat "$directory/said" >&2; exit 1; }
    # Without archer every parallel region looks like a race, or none does.
    grep -q Archer "$directory/said" || { echo "archer was not at work" >&2; exit 1; }
}
run --jobs 4 --seeds 1 --max-length 64 tests/reproduce.yaml
run --jobs 3 --seeds 1 --max-length 64 tests/reproduce_chunked.yaml
# One head: its witness runs beside it. More heads than tasks: threads share a task. A budget has an export of its own.
cat >"$directory/threads.yaml" <<'END'
experiment: threads
question: Do threads race?
dk: 16
dv: 16
seeds: 1
lengths: [64]
quantities: [o, state]
budget: {members: [a_log, state]}
populations:
  - {name: one, heads: 1, a_log: {init: fla}, dt_bias: {init: fla}}
  - {name: many, heads: 4, a_log: {init: fla}, dt_bias: {init: fla}}
END
run --jobs 4 "$directory/threads.yaml"
# SIGTERM while tasks are under way, and a run that does the rest. Tasks of one head: where threads of teams inside
# others move between them, archer 14 misses the end of a parallel region and tells of a race.
sed 's/^experiment: threads/experiment: stopped/; s/^seeds: 1/seeds: 400/; /name: many/d' "$directory/threads.yaml" >"$directory/stopped.yaml"
echo "--jobs 4 $directory/stopped.yaml, stopped"
"$program" run --quiet --jobs 4 --results "$directory" "$directory/stopped.yaml" >"$directory/said" 2>&1 &
process=$!
for _ in $(seq 600); do
    [ ! -e "$directory/stopped/store.db" ] || break
    sleep 0.1
done
sleep 1
kill -TERM $process 2>/dev/null || true
status=0
wait $process || status=$?
[ $status = 3 ] || { cat "$directory/said" >&2; echo "stopped: status $status, not 3" >&2; exit 1; }
run --json --jobs 4 "$directory/stopped.yaml"
sed -n 's/.*"tasks":\([0-9]*\),"tasks_run":\([0-9]*\).*/\2 of \1 tasks were left/p' "$directory/said"
echo "no race was seen"
