#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# run.sh BUILD TEST... -- run test programs, two at a time, and close with one line that counts them.
# A test's output is shown when it fails; its closing line ("100%: Checks: ...") always.
set -u
build=$1
shift
logs=$build/tests/logs
mkdir -p "$logs"
export GDNPREC="$build/gdnprec"
# Threads that wait for work sleep: programs side by side on few cores would spin each other out.
export OMP_WAIT_POLICY="${OMP_WAIT_POLICY:-passive}"
printf '%s\n' "$@" | xargs -P "${TEST_JOBS:-2}" -I{} sh -c '
    name=$(basename {}); start=$(date +%s)
    if {} >"$0/$name.log" 2>&1; then verdict=ok; else verdict=FAILED; fi
    echo $verdict >"$0/$name.verdict"
    printf "%-7s %-20s %3d s  %s\n" $verdict "$name" $(($(date +%s) - start)) "$(grep -aE "^[0-9]+%: " "$0/$name.log" | tail -n 1)"
    if [ $verdict = FAILED ]; then grep -avE "^Running suite|^[0-9]+%: " "$0/$name.log" | head -n 40; fi
' "$logs"
passed=0
failed=0
for t in "$@"; do
    if [ "$(cat "$logs/$(basename "$t").verdict")" = ok ]; then passed=$((passed + 1)); else failed=$((failed + 1)); fi
done
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
