#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# slow_crash.sh [N_ENOSPC=50 [N_KILL=200 [SEED]]] -- one run on a disk that is full N_ENOSPC times at random writes, and
# one run that is killed (kill -9) N_KILL times at random moments; after each the same command goes on. No task that was
# committed is ever gone, no row is there twice, and in the end every CSV file is byte-equal to that of an undisturbed
# run. Without a program sqlite3 tasks are counted, not looked at by name. The work is as long as the kills need: with 200
# about 10 minutes in all. One line an event; exit status 0 when all holds. The program is $GDNPREC (default:
# build/gdnprec), the disk $FAULT (tests/fault.so beside it), threads $JOBS.
set -eu
export LC_ALL=C
program=${GDNPREC:-build/gdnprec}
fault=${FAULT:-$(dirname "$program")/tests/fault.so}
full=${1:-50}
kills=${2:-200}
seed=${3:-$(date +%s)}
jobs=${JOBS:-$(nproc)}
dir=$(mktemp -d "${TMPDIR:-/tmp}/gdn_crash_XXXXXX")
dir=$(cd "$dir" && pwd -P)
keep=
trap '[ -n "$keep" ] || rm -rf "$dir"' EXIT
[ -f "$fault" ] || { echo "$fault: not there; \`make $fault\` builds it"; exit 2; }

cat >"$dir/crash.yaml" <<'YAML'
experiment: crash
question: Is a run that was broken off hundreds of times and resumed the run that was not?
seeds: 16
dk: 16
dv: 16
lengths: [512]
profiles: [all-bf16]
reference: {rung: mpfr}
populations:
  - {name: isotropic, heads: 1, a_log: {uniform: [-8, 2.8]}, dt_bias: {init: fla}}
  - {name: needle, heads: 1, keys: needle, a_log: {uniform: [-8, 2.8]}, dt_bias: {init: fla}}
YAML

now() { date +%s.%N; }
calculate() { awk "BEGIN { printf \"%.3f\", $1 }"; }
whole_number() { awk "BEGIN { printf \"%d\", $1 }"; }
# in [0, 1), from the seed
random()
{
    seed=$(((seed * 1103515245 + 12345) % 2147483648))
    uniform=$(calculate "$seed / 2147483648")
}
failed()
{
    echo "FAILED: $1"
    sed 's/^/    /' "$dir/err"
    keep=yes
    echo "what there is: $dir"
    exit 1
}
run() { "$program" run --jobs "$jobs" --results "$1" "$dir/crash.yaml" >"$dir/out" 2>"$dir/err"; }

# How many tasks the run that wrote $dir/err found done; "" where it did not come so far.
found() { sed -n 's/^crash: [0-9]* tasks, \([0-9]*\) of them done already.*/\1/p' "$dir/err"; }

# committed_stay: what the last run found is no less than before, and nothing of it was damaged.
done_before=0
committed_stay()
{
    there=$(found)
    ! grep -q "no longer gave the checksum" "$dir/err" || failed "$1: rows are damaged"
    [ -n "$there" ] || return 0
    [ "$there" -ge "$done_before" ] || failed "$1: $done_before tasks were there, now $there"
    done_before=$there
}

# tasks_stay RESULTS WHAT: the same by name, and rows counted, by sqlite3; on a copy, since it would mend.
: >"$dir/before"
sqlite3=$(command -v sqlite3) || echo "left: no sqlite3: tasks by name, rows counted"
tasks_stay()
{
    [ -n "$sqlite3" ] && [ -e "$1/crash/store.db" ] || return 0
    rm -rf "$dir/copy"
    mkdir "$dir/copy"
    cp "$1"/crash/store.db* "$dir/copy"
    sqlite3 "$dir/copy/store.db" "SELECT task FROM tasks ORDER BY task" >"$dir/after" 2>/dev/null || return 0 # no table yet
    [ -z "$(comm -23 "$dir/before" "$dir/after")" ] || failed "$2: committed tasks are gone"
    [ "$(sqlite3 "$dir/copy/store.db" "SELECT (SELECT count(*) FROM rows) = (SELECT ifnull(sum(rows), 0) FROM tasks)")" = 1 ] ||
        failed "$2: rows that belong to no task, or too few"
    mv "$dir/after" "$dir/before"
}

as_whole()
{
    for file in "$dir"/whole/crash/*.csv; do
        cmp "$file" "$1/crash/$(basename "$file")" || failed "$2: $(basename "$file") is another"
    done
    [ "$(tail -n +2 "$1/crash/cells.csv" | cut -d, -f1 | sort | uniq -d | head -n 1)" = "" ] || failed "$2: a row twice"
}

# ---- how long a run has to be, and that run undisturbed ----

run "$dir/short" || failed "the first run"
start=$(now)
rm -rf "$dir/short"
run "$dir/short"
pace=$(calculate "32 / ($(now) - $start)") # tasks a second
seeds=$(whole_number "1 + $pace * 0.7 * ($kills > 2 * $full ? $kills : 2 * $full) / 2")
[ "$seeds" -ge 16 ] || seeds=16
sed -i "s/^seeds: .*/seeds: $seeds/" "$dir/crash.yaml"
tasks=$((2 * seeds))
start=$(now)
env LD_PRELOAD="$fault" FAULT_DIR="$dir/whole" FAULT_AT=1000000000 FAULT_LOG="$dir/calls" \
    "$program" run --quiet --jobs "$jobs" --results "$dir/whole" "$dir/crash.yaml" >"$dir/out" 2>"$dir/err" ||
    failed "the undisturbed run"
seconds=$(calculate "$(now) - $start")
calls=$(sed -n 's/^calls //p' "$dir/calls")
echo "undisturbed: $tasks tasks in $seconds s on $jobs threads, $calls writes; seed $seed"

# ---- the full disk ----

left=$full
between=0
while [ "$left" -gt 0 ]; do
    random
    at=$(whole_number "1 + $uniform * 2 * (100 + $calls * ($tasks - $done_before) / $tasks) / $left")
    random
    short=$(whole_number "2 * $uniform")
    random
    how=$(awk "BEGIN { print $uniform < 0.5 ? \"on\" : \"once\" }")
    rm -f "$dir/calls"
    status=0
    env LD_PRELOAD="$fault" FAULT_DIR="$dir/full" FAULT_AT="$at" FAULT_HOW="$how" FAULT_SHORT="$short" FAULT_LOG="$dir/calls" \
        "$program" run --jobs "$jobs" --results "$dir/full" "$dir/crash.yaml" >"$dir/out" 2>"$dir/err" || status=$?
    what="full disk $((full - left + 1)) at write $at ($how)"
    committed_stay "$what"
    tasks_stay "$dir/full" "$what"
    struck=$(sed -n "s|^call [0-9]*: \(.*\)$dir/full/crash|\1|p" "$dir/calls" | head -n 1)
    case $status in
    0) [ ! -e "$dir/full/crash/cells.csv" ] || as_whole "$dir/full" "$what" ;;
    3) grep -v '^crash: ' "$dir/err" | grep -q "^gdnprec: $dir/full/.*run .*again" || failed "$what: no sentence" ;;
    *) failed "$what: status $status" ;;
    esac
    [ -n "$struck" ] || continue
    left=$((left - 1))
    [ "$done_before" = 0 ] || [ "$done_before" = "$tasks" ] || between=$((between + 1))
    echo "$what, $struck: status $status; $done_before of $tasks tasks there when it began"
done
if [ "$full" -gt 0 ]; then
    run "$dir/full" || failed "full disks: resuming failed"
    as_whole "$dir/full" "full disks"
    echo "$full full disks, $between of them between the first task and the last: byte-equal to the undisturbed run"
    rm -rf "$dir/full"
fi

# ---- kill -9 ----

left=$kills
late=0
between=0
done_before=0
: >"$dir/before"
while [ "$left" -gt 0 ]; do
    random
    moment=$(calculate "0.02 + $uniform * 2 * (0.2 + $seconds * ($tasks - $done_before) / $tasks) / $left")
    # sh starts a command it backgrounds as a child of its own: $! is the program
    "$program" run --jobs "$jobs" --results "$dir/killed" "$dir/crash.yaml" >"$dir/out" 2>"$dir/err" &
    pid=$!
    sleep "$moment"
    kill -9 "$pid" 2>/dev/null || true
    status=0
    wait "$pid" 2>/dev/null || status=$?
    what="kill $((kills - left + 1)) after $moment s"
    committed_stay "$what"
    [ $((left % 5)) != 0 ] || tasks_stay "$dir/killed" "$what"
    case $status in
    137) ;;
    0) as_whole "$dir/killed" "$what" ;; # it had ended
    *) failed "$what: status $status" ;;
    esac
    if [ $status != 137 ]; then # no kill; the next one falls into a run that has only to write its files
        late=$((late + 1))
        [ "$late" -lt $((kills + 50)) ] || failed "$late runs ended before they were killed"
        continue
    fi
    left=$((left - 1))
    [ "$done_before" = 0 ] || [ "$done_before" = "$tasks" ] || between=$((between + 1))
    echo "$what: $done_before of $tasks tasks there when it began"
done
if [ "$kills" -gt 0 ]; then
    run "$dir/killed" || failed "kills: resuming failed"
    committed_stay "the last run"
    as_whole "$dir/killed" "kills"
    echo "$kills kills, $between of them between the first task and the last ($late more came too late):" \
        "byte-equal to the undisturbed run"
fi
