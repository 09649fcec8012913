#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# coverage.sh BUILD -- of a build with --coverage whose tests have run: lines with statements that were reached, by room,
# and the files below 90 %. A line compiled once per instruction set counts where one of them reached it.
set -eu
build=$1
# mpi: ranks.c once more, as the program with MPI has it
mkdir -p "$build/mpi"
find "$build/base" "$build/kernels" "$build/reference" "$build/harness" "$build/mpi" -name '*.gcno' | sort |
    while read -r f; do gcov -t "${f%.gcno}.o" 2>/dev/null; done |
    awk -F: '
        $2 + 0 == 0 && $3 == "Source" { file = $4; ours = file ~ /^(base|kernels|reference|harness)\//; next }
        ours && $1 !~ /-$/ && $2 + 0 > 0 { key = file ":" ($2 + 0); seen[key] += 0; if ($1 !~ /#|=/) seen[key] = 1 }
        END {
            for (key in seen) {
                split(key, part, ":"); split(part[1], room, "/")
                all[part[1]]++; rooms[room[1]]++; hit[part[1]] += seen[key]; rooms_hit[room[1]] += seen[key]
            }
            for (r in rooms) printf "0 %-40s %6d of %6d  %5.1f %%\n", r "/", rooms_hit[r], rooms[r], 100 * rooms_hit[r] / rooms[r]
            for (f in all) if (hit[f] < 0.9 * all[f])
                printf "1 %-40s %6d of %6d  %5.1f %%\n", f, hit[f], all[f], 100 * hit[f] / all[f]
        }' |
    sort | sed 's/^[01] //'
