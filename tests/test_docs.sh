#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# test_docs.sh [KEEP] -- does what docs/extend.md says, in a copy of the source: blocks with a file's name are written
# there, diffs are applied, and commands must print what is quoted below them (where nothing is, they must succeed).
# Links of the documents must lead to files. The program is $GDNPREC, by default build/gdnprec; its objects are used again. KEEP: a directory to work in and leave.
set -u
cd "$(dirname "$0")/.." || exit 1
source=$PWD
gdnprec=${GDNPREC:-build/gdnprec}
build=$(cd "$(dirname "$gdnprec")" && pwd)
out=${1:-$(mktemp -d "${TMPDIR:-/tmp}/gdn_docs_XXXXXX")}
[ $# -gt 0 ] || trap 'rm -rf "$out"' EXIT
unset GDNPREC_SHARE
checks=0
failures=0

# A diff on standard input: the old lines of each hunk must stand in the file, once, wherever that is.
apply() {
    awk '
        function hunk(  text, line, at) {
            if (old == "") return
            while ((getline line <file) > 0) text = text "\n" line
            close(file)
            at = index(text "\n", old "\n")
            if (!at || index(substr(text "\n", at + 1), old "\n")) { print file " has not, or not once:" old; bad = 1 }
            else { print substr(substr(text, 1, at - 1) new substr(text, at + length(old)), 2) >file; close(file) }
            old = new = "" }
        /^--- / { hunk(); next }
        /^\+\+\+ / { file = substr($2, 3); next }
        /^@@/ { hunk(); next }
        /^[ -]/ { old = old "\n" substr($0, 2) }
        /^[ +]/ { new = new "\n" substr($0, 2) }
        END { hunk(); exit bad }'
}
fail() { failures=$((failures + 1)) && echo "$1: FAILED"; }

# ---- the copy: sources, and objects without their lists of headers: what a changed header leaves alone stays ----

mkdir -p "$out/tree/build" "$out/blocks" "$out/tree/tests"
cp -Rp Makefile CITATION.cff claims.yaml base kernels reference harness experiments plots tools "$out/tree"
for room in base kernels reference harness; do
    mkdir -p "$out/tree/build/$room"
    cp "$build/$room"/*.o "$out/tree/build/$room"
done
cp -p "$build/deps.ok" "$build/cuda.stamp" "$build/commit.h" "$out/tree/build"
read -r CUDA CUDA_ARCHS <"$build/cuda.stamp"
COMMIT=$(sed -n 's/^#define GDN_COMMIT "\(.*\)"/\1/p' "$build/commit.h")
DIRTY=$(sed -n 's/^#define GDN_DIRTY //p' "$build/commit.h")
# What `make check` was told holds here too (CC, CFLAGS), but for the place.
MAKEFLAGS=$(echo "${MAKEFLAGS:-}" | sed 's/ *--jobserver[^ ]*//; s/ *-j[0-9]*//; s/ BUILD=[^ ]*//; s/ RESULTS=[^ ]*//')
MAKEFLAGS="$MAKEFLAGS BUILD=build CUDA=$CUDA COMMIT=$COMMIT DIRTY=$DIRTY"
unset BUILD RESULTS
export MAKEFLAGS CUDA_ARCHS

# ---- blocks: NNN.kind, and for commands NNN.expected; names in `names` ----

awk -v out="$out/blocks" '
    /^```[a-z]/ && !inside { inside = 1; file = sprintf("%s/%03d", out, ++n); kind = substr($1, 4); name = $2
                             print n, kind, name, NR > (out "/list"); printf "" > file; next }
    /^```/ { inside = 0; close(file); next }
    inside { print > file }' docs/extend.md

commands() { # FILE LINE: each `$ command` and what is quoted below it
    awk -v out="$out/blocks/command" '/^\$ / { n++ } { print > (out n) } END { print n + 0 }' "$1" >"$out/count"
    i=0
    while [ $i -lt "$(cat "$out/count")" ]; do
        i=$((i + 1))
        checks=$((checks + 1))
        command=$(sed -n '1s/^\$ //p' "$out/blocks/command$i")
        sed 1d "$out/blocks/command$i" >"$out/expected"
        rm "$out/blocks/command$i"
        (cd "$out/tree" && sh -c "$command" >"$out/printed" 2>&1)
        code=$?
        if [ $code != 0 ]; then
            fail "docs/extend.md:$2: '$command' answers $code"
            tail -n 20 "$out/printed"
        elif [ -s "$out/expected" ] && ! cmp -s "$out/expected" "$out/printed"; then
            fail "docs/extend.md:$2: '$command' prints something else"
            diff "$out/expected" "$out/printed"
        fi
    done
}

while read -r n kind name line; do
    block=$out/blocks/$(printf %03d "$n")
    case $kind,$name in
    console,*) commands "$block" "${line:-$name}" ;;
    diff,*)
        checks=$((checks + 1))
        (cd "$out/tree" && apply) <"$block" >"$out/printed" 2>&1 ||
            { fail "docs/extend.md:${line:-$name}: the diff does not apply" && cat "$out/printed"; }
        ;;
    *,?*.?*)
        checks=$((checks + 1))
        if [ -e "$source/$name" ]; then
            fail "docs/extend.md:$line: $name exists already"
        else
            cp "$block" "$out/tree/$name"
        fi
        ;;
    *) fail "docs/extend.md:${line:-$name}: a block without a file's name" ;;
    esac
done <"$out/blocks/list"
[ $checks -gt 0 ] || fail 'docs/extend.md has no examples'

# ---- what can be checked without doing it: the version that is cited, files that documents link to ----

checks=$((checks + 1))
cited=$(sed -n 's/^version: //p' CITATION.cff)
[ "$cited" = "$("$gdnprec" --version | cut -d ' ' -f 2)" ] || fail "CITATION.cff cites version $cited"
for page in README.md CONTRIBUTING.md docs/*.md results/README.md; do
    # shellcheck disable=SC2013
    for link in $(grep -oE '\]\([^)#]+' "$page" | cut -c 3- | grep -v ://); do
        checks=$((checks + 1))
        [ -e "$(dirname "$page")/$link" ] || fail "$page: there is no $link"
    done
done

echo "$((checks ? 100 * (checks - failures) / checks : 0))%: Checks: $checks, Failures: $failures, Errors: 0"
[ $failures = 0 ]
