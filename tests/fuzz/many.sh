#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# many.sh DIR RUNS JOBS [TARGET...] -- RUNS executions in all of the fuzz targets in DIR (`make fuzz-build` makes
# BUILD/fuzz/bin), JOBS processes of each target side by side, targets one after another. Seeds and dictionaries lie in
# DIR. Prints executions, coverage and findings of each target; what was found lies in DIR/found. Ends with 1 where
# anything was.
set -u
if [ $# -lt 3 ]; then
    sed -n '3,6s/^# //p' "$0" >&2
    exit 2
fi
dir=$(cd "$1" && pwd) || exit 2
runs=$2
jobs=$3
shift 3
targets=${*:-$(cd "$dir" && ls fuzz_* | sed 's/^fuzz_//')}
each=$((runs / $(echo "$targets" | wc -w) / jobs + 1))
status=0
mkdir -p "$dir/found" "$dir/logs"
for t in $targets; do
    dict=$dir/json.dict
    [ ! -f "$dir/$t.dict" ] || dict=$dir/$t.dict
    longest=2048
    # libFuzzer counts malloc_limit in one allocation: nothing that input steers may be larger. SQLite sets aside 8
    # bytes for each page that a record says it spills to: at most 4 GiB in pages of 476 bytes, 72 MB.
    limit=64
    [ "$t" != store ] || longest=12288 limit=80
    rm -f "$dir/logs/$t".* # of earlier calls
    i=0
    start=$(date +%s)
    while [ $i -lt "$jobs" ]; do
        mkdir -p "$dir/corpus_$t/$i"
        "$dir/fuzz_$t" -runs="$each" -seed=$((1 + i)) -max_len=$longest -timeout=20 -rss_limit_mb=1024 -malloc_limit_mb="$limit" \
            -dict="$dict" -artifact_prefix="$dir/found/$t-" -print_final_stats=1 -verbosity=1 \
            "$dir/corpus_$t/$i" "$dir/seeds_$t" >"$dir/logs/$t.$i" 2>&1 &
        i=$((i + 1))
    done
    wait
    seconds=$(($(date +%s) - start + 1))
    executions=$(cat "$dir/logs/$t".* | sed -n 's/^stat::number_of_executed_units: *//p' | awk '{ n += $1 } END { print n + 0 }')
    coverage=$(grep -ho 'cov: [0-9]*' "$dir/logs/$t".* | awk '$2 > most { most = $2 } END { print most + 0 }')
    found=$(find "$dir/found" -name "$t-*" | wc -l)
    ended=$(grep -lc '^stat::number_of_executed_units' "$dir/logs/$t".* | wc -l)
    printf '%-12s %12d executions  %8d /s  %6d edges  %d found\n' "$t" "$executions" $((executions / seconds)) "$coverage" "$found"
    if [ "$found" -gt 0 ] || [ "$ended" -lt "$jobs" ]; then
        status=1
        [ "$found" -gt 0 ] || echo "$t: a process ended early; see $dir/logs" >&2
    fi
done
exit $status
