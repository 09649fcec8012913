#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# reproduce.sh BUILD -- one checksum of the cells.csv of three experiments over compilers, optimisation, instruction sets, threads, block sizes.
set -u
build=$1
differs=0
first=
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT

row() { # binary compiler-label isa jobs block
    rm -rf "$out/reproduce" "$out/reproduce_chunked" "$out/hostile"
    if "$1" run -q --results "$out" --isa "$3" --jobs "$4" --block "$5" tests/reproduce.yaml >"$out/log" 2>&1 &&
        "$1" run -q --results "$out" --isa "$3" --jobs "$4" --block "$5" tests/reproduce_chunked.yaml tests/hostile.yaml >"$out/log" 2>&1; then
        sum=$(cat "$out/reproduce/cells.csv" "$out/reproduce_chunked/cells.csv" "$out/hostile/cells.csv" | sha256sum | cut -c1-16)
        first=${first:-$sum}
        [ "$sum" = "$first" ] || differs=1
    elif grep -q 'this CPU has no' "$out/log"; then
        sum="skipped: this CPU has no $3"
    else
        sum="failed: $(cat "$out/log")"
        differs=1
    fi
    printf '%-14s %-7s %4s %6s  %s\n' "$2" "$3" "$4" "$5" "$sum"
}

printf '%-14s %-7s %4s %6s  %s\n' compiler isa jobs block 'sha256 of cells.csv'
for cc in gcc clang; do
    for opt in -O0 -O3; do
        dir=$build/reproduce/$cc$opt
        if ! command -v $cc >/dev/null; then
            printf '%-14s %s\n' "$cc $opt" "skipped: no $cc"
            continue
        fi
        if ! make -s -j2 CC=$cc CFLAGS=$opt BUILD="$dir" "$dir/gdnprec" >"$out/log" 2>&1; then
            printf '%-14s failed to build: %s\n' "$cc $opt" "$(tail -n 1 "$out/log")"
            differs=1
            continue
        fi
        for isa in scalar avx2 avx512; do
            row "$dir/gdnprec" "$cc $opt" $isa 1 256
        done
        row "$dir/gdnprec" "$cc $opt" scalar 2 256
        [ $opt = -O0 ] || for block in 1 37 4096; do row "$dir/gdnprec" "$cc $opt" scalar 2 $block; done
    done
done
[ $differs = 0 ] && echo "one checksum" || echo "DIFFERENT checksums"
exit $differs
