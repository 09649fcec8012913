#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# test_mpi.sh [SEED=1] -- a run by several processes: 1, 2 and 4 ranks give the CSV files of one process, byte for byte; so
# does a run that a rank of was killed, resumed; failures are one sentence; shards run tasks of their own. The plain
# program is $GDNPREC, the one with MPI (make builds it where mpicc is) mpi/gdnprec beside it.
set -eu
program=${GDNPREC:-build/gdnprec}
mpi=$(dirname "$program")/mpi/gdnprec
seed=${1:-1}
dir=$(mktemp -d "${TMPDIR:-/tmp}/gdn_mpi_XXXXXX")
trap 'rm -rf "$dir"' EXIT
passed=0

cat >"$dir/mpi.yaml" <<'YAML'
experiment: mpi
question: Are many processes one?
seeds: 6
dk: 16
dv: 16
lengths: [16, 64]
profiles: [fp32, all-bf16, bf16-state-sr]
reference: {rung: mpfr}
populations:
  - {name: isotropic, heads: 1, a_log: {uniform: [-8, 2.8]}, dt_bias: {init: fla}}
  - {name: needle, heads: 2, keys: needle, a_log: {uniform: [-8, 2.8]}, dt_bias: {init: fla}}
YAML
sed 's/^experiment: mpi/experiment: second/; s/^seeds: 6/seeds: 1/' "$dir/mpi.yaml" >"$dir/second.yaml"

failed()
{
    echo "$1"
    sed 's/^/    /' "$dir/out" "$dir/err"
    echo "0%: Checks: $((passed + 1)), Failures: 1 (seed $seed)"
    exit 1
}

# as_whole RESULTS WHAT: its CSV files are those of one process.
as_whole()
{
    for file in "$dir"/whole/mpi/*.csv; do
        cmp "$file" "$1/mpi/$(basename "$file")" >>"$dir/err" 2>&1 || failed "$2: $(basename "$file") is another"
    done
    passed=$((passed + 1))
}

# answers STATUS SENTENCE COMMAND...: its exit status, and all that it says itself on stderr.
answers()
{
    want=$1
    sentence=$2
    shift 2
    status=0
    "$@" >"$dir/out" 2>"$dir/err" || status=$?
    [ "$status" = "$want" ] || failed "status $status, not $want: $*"
    [ "$(grep -c '^gdnprec: ' "$dir/err")" = "$([ -z "$sentence" ] && echo 0 || echo 1)" ] || failed "not one sentence: $*"
    [ -z "$sentence" ] || grep -q "$sentence" "$dir/err" || failed "no '$sentence': $*"
    passed=$((passed + 1))
}

# Ranks are killed between tasks below: on a faster machine there are more of these.
seeds=6
for turn in 1 2; do
    start=$(date +%s.%N)
    "$program" run --quiet --jobs 1 --results "$dir/whole" "$dir/mpi.yaml" >"$dir/out" 2>"$dir/err" || failed "one process"
    seconds=$(echo "$start $(date +%s.%N)" | awk '{ print $2 - $1 }')
    more=$(awk -v t="$seconds" 'BEGIN { print int(1.2 / t) + 1 }')
    if [ $turn = 2 ] || [ "$more" = 1 ]; then break; fi
    seeds=$((seeds * more))
    sed -i "s/^seeds: .*/seeds: $seeds/" "$dir/mpi.yaml"
    rm -r "$dir/whole"
done
tasks=$((2 * seeds))
third=$((tasks / 3))

# ---- shards, and a program without MPI among several ----

for i in 1 2 3; do
    "$program" run --quiet --json --jobs 2 --shard $i/3 --results "$dir/shards" "$dir/mpi.yaml" >"$dir/out" 2>"$dir/err" ||
        failed "shard $i"
    grep -q "\"tasks\":$third,\"tasks_run\":$third," "$dir/out" || failed "shard $i of 3 of $tasks tasks"
    grep -q "\"shard\": \"$i/3\"" "$dir/shards/mpi/shard-$i-of-3/manifest.json" || failed "shard $i: its manifest"
    [ ! -e "$dir/shards/mpi/shard-$i-of-3/summary.csv" ] || failed "shard $i has whole results"
    passed=$((passed + 1))
done
answers 0 '' "$program" merge --quiet --json --results "$dir/merged" "$dir"/shards/mpi/shard-*-of-3
grep -q "\"stores\":3,\"tasks\":$tasks,.*\"overlaps\":0,\"conflicts\":0,\"missing\":0" "$dir/out" ||
    failed 'three shards, merged: the counts'
as_whole "$dir/merged" 'three shards, merged'
answers 2 'this is shard 2/3, not whole results' "$program" report --results "$dir/shards/mpi" shard-2-of-3
answers 2 'this is shard 2/3, not whole results' "$program" verify --results "$dir/shards/mpi" shard-2-of-3
if [ "$(cat "$(dirname "$program")/mpi.stamp")" = 0 ]; then
    answers 2 'started as 2 processes, but this gdnprec was built without MPI' \
        env OMPI_COMM_WORLD_SIZE=2 OMPI_COMM_WORLD_RANK=0 "$program" run --results "$dir/plain" "$dir/mpi.yaml"
    answers 0 '' env OMPI_COMM_WORLD_SIZE=2 OMPI_COMM_WORLD_RANK=1 "$program" run --results "$dir/plain" "$dir/mpi.yaml"
    [ ! -e "$dir/plain" ] || failed 'one of two processes without MPI made results'
fi
answers 0 '' env SLURM_NTASKS=2 SLURM_PROCID=0 "$program" run --quiet --results "$dir/batch" "$dir/second.yaml"

# ---- what one process does around its tasks ----

answers 2 'run: --results: the name of a directory is wanted' "$program" run --results '' "$dir/second.yaml"
answers 2 'nothere.yaml: cannot open the experiment file' "$program" run --results "$dir/two" "$dir/second.yaml" "$dir/nothere.yaml"
[ ! -e "$dir/two" ] || failed 'the first of two experiments ran, the second being none'

# the lock comes before the store: whoever has it may be about to put one there
mkdir -p "$dir/locked/second"
answers 2 'store.db: another gdnprec is writing to it' flock "$dir/locked/second/store.db-lock" \
    "$program" run --results "$dir/locked" "$dir/second.yaml"
[ ! -e "$dir/locked/second/store.db" ] || failed 'a store was made without the lock'

# SIGTERM while a CSV file is being written, here into a pipe that nobody empties, ends the run at once
mkdir -p "$dir/piped"
cp -r "$dir/whole/mpi" "$dir/piped"
rm "$dir"/piped/mpi/*.csv
mkfifo "$dir/piped/mpi/cells.csv.new"
exec 9<>"$dir/piped/mpi/cells.csv.new"
timeout -s KILL 30 "$program" run --quiet --results "$dir/piped" "$dir/mpi.yaml" >"$dir/out" 2>"$dir/err" 9>&- &
all=$!
timeout 20 dd bs=1 count=1 <&9 >/dev/null 2>&1 || failed 'cells.csv is not written'
kill -TERM $all
status=0
wait $all || status=$?
exec 9>&-
[ $status = 143 ] && [ ! -e "$dir/piped/mpi/cells.csv" ] || failed "SIGTERM while files are written: status $status"
rm "$dir/piped/mpi/cells.csv.new"
answers 0 '' "$program" run --quiet --results "$dir/piped" "$dir/mpi.yaml"
as_whole "$dir/piped" 'files broken off'
grep -q '"export_seconds": [0-9]' "$dir/piped/mpi/manifest.json" || failed 'how long the files took is not in the manifest'

# a large store is read from end to end before the first task: that is said, once
truncate -s 101M "$dir/batch/second/store.db"
answers 0 '' "$program" run --results "$dir/batch" "$dir/second.yaml"
[ "$(grep -c 'checking the store' "$dir/err")" = 1 ] || failed 'a large store is checked in silence'
grep -Eq 'in [0-9.]+ s, files in [0-9.]+ s; rows in ' "$dir/out" || failed 'how long the files took is not said'
answers 0 '' "$program" run --quiet --results "$dir/batch" "$dir/second.yaml"
[ ! -s "$dir/err" ] || failed '--quiet: something is said'

# ---- ranks ----

if ! [ -x "$mpi" ] || ! command -v mpirun >/dev/null; then
    echo "100%: Checks: $passed, Failures: 0, Errors: 0; ranks skipped: no mpicc or no mpirun"
    exit 0
fi
# as root in a container, on fewer cores than ranks, without ssh
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_rmaps_base_oversubscribe=1
export OMPI_MCA_hwloc_base_binding_policy=none OMPI_MCA_plm=isolated OMPI_MCA_btl=self,vader
export OMPI_MCA_btl_vader_single_copy_mechanism=none
# Open MPI leaks; whole stacks tell a leak sanitizer its leaks from ours
printf 'leak:%s\n' libmpi libopen- libpmix libevent >"$dir/leaks"
export LSAN_OPTIONS="suppressions=$dir/leaks:print_suppressions=0" ASAN_OPTIONS=fast_unwind_on_malloc=0

answers 0 '' "$mpi" run --quiet --results "$dir/r0" "$dir/mpi.yaml"
as_whole "$dir/r0" 'the program with MPI, without mpirun'
for n in 1 2 4; do
    answers 0 '' mpirun -n $n "$mpi" run --quiet --jobs 1 --results "$dir/r$n" "$dir/mpi.yaml" "$dir/second.yaml"
    as_whole "$dir/r$n" "$n ranks"
    [ $n = 1 ] || grep -q "\"ranks\": $n" "$dir/r$n/mpi/manifest.json" || failed "$n ranks: the manifest"
    cmp "$dir/batch/second/cells.csv" "$dir/r$n/second/cells.csv" || failed "$n ranks: the second experiment"
done

answers 0 '' mpirun -n 3 "$mpi" run --help
[ "$(grep -c '^Usage: ' "$dir/out")" = 1 ] || failed 'not one rank alone prints --help'
answers 2 'nothere.yaml: cannot open the experiment file' mpirun -n 2 "$mpi" run --results "$dir/bad" nothere.yaml
answers 2 "jobs: '0' is not allowed" mpirun -n 2 "$mpi" run --jobs 0 "$dir/mpi.yaml"

# what fails on another rank alone is told with its reason and its place
other="^gdnprec: rank 1 on $(uname -n)"
answers 2 "$other: --jobs: '0' is not allowed" mpirun -n 1 "$mpi" run "$dir/mpi.yaml" : -n 1 "$mpi" run --jobs 0 "$dir/mpi.yaml"
for dry in --quiet --dry-run; do
    answers 2 "$other: nothere.yaml: cannot open the experiment file" mpirun -n 1 "$mpi" run $dry --results "$dir/bad" "$dir/mpi.yaml" : \
        -n 1 "$mpi" run $dry --results "$dir/bad" nothere.yaml
done
answers 3 "$other: OpenMP gives no thread" mpirun -n 1 "$mpi" run --quiet --results "$dir/bad" "$dir/mpi.yaml" : \
    -n 1 env OMP_THREAD_LIMIT=1 "$mpi" run --quiet --results "$dir/bad" "$dir/mpi.yaml"
answers 2 "$other: other tasks than rank 0 has" mpirun -n 1 "$mpi" run --results "$dir/bad" "$dir/mpi.yaml" : \
    -n 1 "$mpi" run --results "$dir/bad" --seeds 1 "$dir/mpi.yaml"

# another build of one commit: the same program where the source had no changes, and booked as what it is
cp "$mpi" "$dir/rebuilt"
echo >>"$dir/rebuilt"
if grep -q '"dirty": false' "$dir/whole/mpi/manifest.json" && ! grep -q '"commit": "unknown"' "$dir/whole/mpi/manifest.json"; then
    answers 0 '' mpirun -n 1 "$mpi" run --quiet --jobs 1 --results "$dir/rebuild" "$dir/mpi.yaml" : \
        -n 1 "$dir/rebuilt" run --quiet --jobs 1 --results "$dir/rebuild" "$dir/mpi.yaml"
    [ "$(grep -o '"build": "[^"]*"' "$dir/rebuild/mpi/manifest.json" | sort -u | wc -l)" = 2 ] || failed 'two builds are booked as one'
else
    answers 2 "$other: other tasks than rank 0 has" mpirun -n 1 "$mpi" run --results "$dir/bad" "$dir/mpi.yaml" : \
        -n 1 "$dir/rebuilt" run --results "$dir/bad" "$dir/mpi.yaml"
fi

# begin RESULTS: two ranks in the background; their numbers in pid.0 and pid.1, mpirun's in $all.
cat >"$dir/tell" <<'SH'
#!/bin/sh
echo $$ >"$(dirname "$0")/pid.$OMPI_COMM_WORLD_RANK"
exec "$@"
SH
chmod +x "$dir/tell"
begin()
{
    rm -rf "$1" "$dir"/pid.*
    mpirun -n 2 "$dir/tell" "$mpi" run --quiet --jobs 1 --results "$1" "$dir/mpi.yaml" >"$dir/out" 2>"$dir/err" &
    all=$!
    for i in $(seq 500); do
        [ ! -s "$dir/pid.0" ] || [ ! -s "$dir/pid.1" ] || [ ! -e "$1/mpi/store.db" ] || break
        sleep 0.02
    done
    sleep "$2"
}
# resume RESULTS WHAT: how many tasks were there, in $there.
resume()
{
    answers 0 '' mpirun -n 2 "$mpi" run --quiet --json --jobs 1 --results "$1" "$dir/mpi.yaml"
    there=$((tasks - $(sed -n 's/.*"tasks_run":\([0-9]*\).*/\1/p' "$dir/out")))
    as_whole "$1" "$2"
}

between=0
for i in 1 2 3 4 5 6; do
    victim=$((i % 2))
    begin "$dir/killed" "$(awk -v s="$((seed % 1000 + i))" -v t="$seconds" \
        'BEGIN { srand(s); print t * (0.05 + 0.35 * rand()) }')"
    kill -9 "$(cat "$dir/pid.$victim")" 2>/dev/null || true
    ended=0
    wait $all || ended=$?
    resume "$dir/killed" "rank $victim was killed"
    [ "$there" = $tasks ] || [ $ended != 0 ] || failed "a rank was killed, and mpirun answers 0"
    echo "rank $victim killed: status $ended, $there of $tasks tasks in the store"
    if [ $there -gt 0 ] && [ $there -lt $tasks ]; then between=$((between + 1)); fi
    if [ $between -ge 2 ]; then break; fi
done
[ $between -gt 0 ] || failed 'no kill fell between two tasks'

begin "$dir/stopped" 0
for i in $(seq 500); do # until it has a handler for SIGTERM, bit 14
    caught=$(sed -n 's/^SigCgt:[[:space:]]*/0x/p' "/proc/$(cat "$dir/pid.1")/status")
    [ $((caught & 0x4000)) = 0 ] || break
    sleep 0.01
done
kill -TERM "$(cat "$dir/pid.1")" 2>/dev/null || true
status=0
wait $all || status=$?
[ $status = 3 ] && grep -q '^gdnprec: mpi: interrupted; finished tasks are kept, run again to resume$' "$dir/err" ||
    failed "a rank that SIGTERM met: status $status"
resume "$dir/stopped" 'a rank that SIGTERM met'
echo "100%: Checks: $passed, Failures: 0, Errors: 0"
