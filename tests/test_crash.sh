#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# test_crash.sh [SEED=1] -- a run whose disk fails, that is killed, or whose store is damaged: exit status 3 and one sentence that
# names the file and says how to go on; no half-written file under its own name; and the same command, given again,
# ends with the CSV files of an undisturbed run, byte for byte. Every kind of call on every file (tests/fault/fault.c)
# fails once here, in one of five ways; tests/slow_crash.sh does hundreds. The program is $GDNPREC, the disk $FAULT.
set -eu
program=${GDNPREC:-build/gdnprec}
fault=${FAULT:-$(dirname "$program")/tests/fault.so}
began=${1:-1}
seed=$began
dir=$(mktemp -d "${TMPDIR:-/tmp}/gdn_crash_XXXXXX")
dir=$(cd "$dir" && pwd -P)
trap 'rm -rf "$dir"' EXIT
passed=0
# a sanitizer's library comes before all others
preload="$(ldd "$program" | awk '/lib[at]san/ { printf "%s ", $3 }')$fault"

cat >"$dir/crash.yaml" <<'YAML'
experiment: crash
question: Is a run that a disk has broken off and that was resumed the run that nothing has disturbed?
seeds: 2
dk: 16
dv: 16
lengths: [16, 32]
profiles: [fp32, all-bf16]
reference: {rung: mpfr}
populations:
  - {name: isotropic, heads: 1, a_log: {uniform: [-8, 2.8]}, dt_bias: {init: fla}}
YAML
whole=$dir/whole/crash
run() { "$program" run --quiet --jobs 1 --results "$1" "$dir/crash.yaml" >"$dir/out" 2>"$dir/err"; }

failed()
{
    echo "$1"
    sed 's/^/    /' "$dir/err"
    echo "0%: Checks: $((passed + 1)), Failures: 1 (seed $began)"
    exit 1
}

# struck RESULTS NAME=VALUE...: a run on the failing disk, or with work=merge a merge of the undisturbed run; its status
# is in $status.
work=run
struck()
{
    where=$1
    shift
    set -- LD_PRELOAD="$preload" FAULT_DIR="$where" "$@" "$program" "$work" --quiet --results "$where"
    if [ $work = run ]; then set -- "$@" --jobs 1 "$dir/crash.yaml"; else set -- "$@" "$whole"; fi
    status=0
    env "$@" >"$dir/out" 2>"$dir/err" || status=$?
}

# one_sentence WHAT PATTERN: stderr is one line that begins as ours do, names a file below, and has these words.
one_sentence()
{
    [ "$(wc -l <"$dir/err")" = 1 ] && grep -q "^gdnprec: $dir/.*$2" "$dir/err" ||
        failed "$1: not one sentence with '$2' (status $status)"
}

# as_whole RESULTS WHAT: its CSV files are those of the undisturbed run. some_whole: those that are there.
as_whole()
{
    for file in "$whole"/*.csv; do
        cmp "$file" "$1/crash/$(basename "$file")" >>"$dir/err" 2>&1 || failed "$2: $(basename "$file") is another"
    done
}
some_whole()
{
    for file in "$1"/crash/*.csv; do
        [ ! -e "$file" ] || cmp "$file" "$whole/$(basename "$file")" >>"$dir/err" 2>&1 ||
            failed "$2: $(basename "$file") is half-written"
    done
    [ ! -e "$1/crash/manifest.json" ] || [ "$(tail -c 2 "$1/crash/manifest.json")" = "}" ] ||
        failed "$2: manifest.json is half-written"
}

# resumed RESULTS WHAT: the same command again, without faults. A merge that was killed may have its store in place
# already, which a run goes on with.
resumed()
{
    if [ $work = merge ] && [ ! -e "$1/crash/store.db" ]; then
        "$program" merge --quiet --results "$1" "$whole" >"$dir/out" 2>"$dir/err" || failed "$2: merging again failed"
    else
        [ $work = run ] || [ $how = kill ] || failed "$2: the store of a merge that failed stays"
        run "$1" || failed "$2: resuming failed"
    fi
    as_whole "$1" "$2, resumed"
    passed=$((passed + 1))
}

# random LIMIT: $drawn, a whole number in [0, LIMIT)
random()
{
    seed=$(((seed * 1103515245 + 12345) % 2147483648))
    drawn=$((seed / 65536 % $1))
}

# ---- every kind of call on every file fails ----

# each_call_fails MIN: the first call of each kind on each file in the list of $dir/calls, at least MIN of them, and one in
# the middle of those on the -wal file; of the files that are written alike, cells.csv and one more
each_call_fails()
{
    least=$1
    set -- last summary growth heat tasks
    random 5
    shift "$drawn"
    random 20
    awk -v skip="$drawn" -v other="$1" '/^call/ { sub(":", "", $2); kind = $3 " " $4; n[kind]++
        if ($4 ~ /csv/ && $4 !~ "/(cells|" other ")[.]csv") next
        if (n[kind] == 1 || (kind ~ /write.*-wal/ && n[kind] == 20 + skip)) print $2, $3, $4 }' "$dir/calls" >"$dir/points"
    [ "$(wc -l <"$dir/points")" -ge "$least" ] ||
        failed "$work: $(wc -l <"$dir/points") kinds of calls: what else was counted?"
    random 5
    turn=$drawn
    while read -r at call file; do
        turn=$(((turn + 1) % 5))
        case $turn in
        0) how=on error=ENOSPC short=0 ;;
        1) how=once error=EIO short=0 ;;
        2) how=on error=ENOSPC short=1 ;;
        3) how=kill error=EIO short=0 ;;
        4) how=kill error=EIO short=1 ;;
        esac
        what="$work, call $at, $call of $(basename "$file"), $how $error short $short"
        rm -rf "$dir/r"
        struck "$dir/r" FAULT_AT="$at" FAULT_HOW=$how FAULT_ERRNO=$error FAULT_SHORT=$short
        case $how.$status in
        kill.137) ;;
        on.3 | once.3) one_sentence "$what" "run .*again" ;;
        on.0 | once.0) as_whole "$dir/r" "$what, status 0" ;; # what SQLite has another way for, or does again
        *) failed "$what: status $status" ;;
        esac
        some_whole "$dir/r" "$what"
        if [ $how != kill ] && ls "$dir/r/crash"/*.new* >/dev/null 2>&1; then failed "$what: a temporary file stays"; fi
        if [ $work = run ] || [ "$status" != 0 ]; then resumed "$dir/r" "$what"; fi
    done <"$dir/points"
}

struck "$dir/whole" FAULT_LOG="$dir/calls"
[ "$status" = 0 ] || failed "undisturbed: status $status"
each_call_fails 25
cp "$dir/calls" "$dir/calls_of_run"

work=merge
rm "$dir/calls"
struck "$dir/merged" FAULT_LOG="$dir/calls"
[ "$status" = 0 ] || failed "merge: status $status"
as_whole "$dir/merged" merge
each_call_fails 20
work=run

# a directory that nobody may write to
struck "$dir/readonly" FAULT_AT=1 FAULT_HOW=on FAULT_ERRNO=EROFS
[ "$status" = 2 ] || failed "read-only results: status $status"
one_sentence "read-only results" "Read-only file system"
cp -r "$dir/whole" "$dir/readonly"
struck "$dir/readonly" FAULT_AT=1 FAULT_HOW=on FAULT_ERRNO=EROFS
[ "$status" = 2 ] || [ "$status" = 3 ] || failed "a read-only store: status $status"
one_sentence "a read-only store" ""
passed=$((passed + 2))

# ---- the clock of the day jumps by three years, forth and back ----

for jump in 100000000 -100000000; do
    rm -rf "$dir/r"
    struck "$dir/r" FAULT_CLOCK=$jump
    [ "$status" = 0 ] && grep -Eq '^crash: .* in [0-9]{1,2}\.[0-9] s;' "$dir/out" || failed "clock: $(cat "$dir/out")"
    resumed "$dir/r" "clock"
done

# ---- two writers on one store: the second is told at once, and the end of the first, of any kind, frees it ----

sed 's/^lengths.*/lengths: [200000]/; s/^seeds.*/seeds: 8/' "$dir/crash.yaml" >"$dir/long.yaml"
rm -rf "$dir/r"
"$program" run --quiet --jobs 1 --results "$dir/r" "$dir/long.yaml" >/dev/null 2>&1 &
first=$!
for i in $(seq 200); do
    [ -s "$dir/r/crash/store.db-lock" ] && break
    sleep 0.05
done
status=0
run "$dir/r" || status=$?
kill -9 $first
[ $status = 2 ] || failed "two writers: status $status"
one_sentence "two writers" "store.db: another gdnprec (process $first on .*) is writing to it"
wait $first 2>/dev/null || true
resumed "$dir/r" "the second writer, later"
[ ! -e "$dir/r/crash/store.db-lock" ] || failed "the lock's file stays"

# ---- a store cut off or changed after the fact ----

# damaged FILE WHAT...: the run ends as if nothing had been, or says so in a sentence; then without the store it does.
damaged()
{
    status=0
    run "$dir/r" || status=$?
    case $status in
    0) as_whole "$dir/r" "$1" ;;
    2 | 3)
        one_sentence "$1" "store.db"
        some_whole "$dir/r" "$1"
        ;;
    *) failed "$1: status $status" ;;
    esac
    passed=$((passed + 1))
}

# place LIMIT: $drawn, as random, of more than 32768
place()
{
    random 32768
    high=$drawn
    random 32768
    drawn=$(((high * 32768 + drawn) % $1))
}

# flip FILE N: n bytes of it, one in each n-th part, become others
flip()
{
    part=$(($(stat -c %s "$1") / $2))
    for k in $(seq 0 $(($2 - 1))); do
        place $part
        at=$((k * part + drawn))
        random 255
        byte=$((($(od -An -tu1 -j $at -N 1 "$1") + 1 + drawn) % 256))
        printf "\\$(printf %o $byte)" | dd of="$1" bs=1 seek=$at conv=notrunc 2>/dev/null
    done
}

# a run killed before its last commit leaves all its tasks but one in the -wal file
at=$(awk '/fdatasync.*-wal/ { n = $2 } END { print n + 0 }' "$dir/calls_of_run")
rm -rf "$dir/killed"
struck "$dir/killed" FAULT_AT="$at" FAULT_HOW=kill
[ -s "$dir/killed/crash/store.db-wal" ] || failed "killed at call $at: no -wal file"
size=$(stat -c %s "$dir/killed/crash/store.db-wal")
for i in $(seq 3); do
    rm -rf "$dir/r"
    cp -r "$dir/killed" "$dir/r"
    place "$size"
    truncate -s "$drawn" "$dir/r/crash/store.db-wal"
    damaged "the -wal file cut off"
    [ $status = 0 ] || failed "the -wal file cut off: status $status"
    rm -rf "$dir/r"
    cp -r "$dir/killed" "$dir/r"
    flip "$dir/r/crash/store.db-wal" 1
    damaged "a changed -wal file"
    [ $status = 0 ] || failed "a changed -wal file: status $status"
done
size=$(stat -c %s "$dir/whole/crash/store.db")
for i in $(seq 4); do
    rm -rf "$dir/r"
    mkdir -p "$dir/r/crash"
    cp "$dir/whole/crash/store.db" "$dir/r/crash"
    place "$size"
    [ "$i" -gt 1 ] || truncate -s "$drawn" "$dir/r/crash/store.db"
    [ "$i" -le 1 ] || flip "$dir/r/crash/store.db" "$i"
    damaged "a damaged store"
done
echo "100%: Checks: $passed, Failures: 0, Errors: 0 (seed $began)"
