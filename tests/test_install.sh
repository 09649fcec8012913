#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# test_install.sh -- make install into an empty directory, and what a user does then: the program from another
# directory, the manual page, completion in bash; make uninstall. The program is $GDNPREC, by default build/gdnprec.
set -u
cd "$(dirname "$0")/.." || exit 1
build=$(dirname "${GDNPREC:-build/gdnprec}")
out=$(mktemp -d "${TMPDIR:-/tmp}/gdn_install_XXXXXX")
trap 'rm -rf "$out"' EXIT
unset GDNPREC_SHARE
checks=0
failures=0

check() { # what it is, a command that is true where it holds
    checks=$((checks + 1))
    what=$1
    shift
    "$@" >"$out/log" 2>&1 && return
    failures=$((failures + 1))
    echo "$what: FAILED"
    head -n 5 "$out/log"
}

# -o: the tests that run beside this one use the program.
install() {
    MAKEFLAGS=$(echo "${MAKEFLAGS:-}" | sed 's/ *--jobserver[^ ]*//; s/ *-j[0-9]*//') \
        make -s BUILD="$build" DESTDIR="$out/root" PREFIX=/opt/gdn -o "$build/gdnprec" "$1"
}
files() { (cd "$out/root" && find . -type f | sort); }
same() { [ "$1" = "$2" ] || { printf 'found:    %s\nexpected: %s\n' "$1" "$2" && false; }; }

mkdir -p "$out/root/opt/gdn/share/gdnprec" "$out/elsewhere"
echo mine >"$out/root/opt/gdn/share/gdnprec/mine.yaml"
check 'make install' install install
prefix=$out/root/opt/gdn
gdnprec=$prefix/bin/gdnprec

# ---- the program, from a directory that knows nothing of its source ----

cd "$out/elsewhere" || exit 1
share_found() { "$gdnprec" --help | grep -qx "  $prefix/share/gdnprec"; }
check 'gdnprec --help says where the rest is' share_found
all_load() {
    "$gdnprec" list experiments --json >"$out/list" &&
        same "$(grep -c "\"file\": \"$prefix/share" "$out/list")" "$(find "$prefix/share/gdnprec/experiments" -name '*.yaml' | wc -l)" &&
        ! grep '"name": ".*yaml"' "$out/list"
}
check 'every installed experiment loads' all_load
check 'an installed experiment runs, with its files' "$gdnprec" run -q "$prefix/share/gdnprec/experiments/golden.yaml"
cat >gate.yaml <<'END'
experiment: gate
question: Is a figure drawn?
lengths: [1]
quantities: [g]
profiles: [fp32, a_log-bf16]
populations:
  - {name: gate, heads: 20, a_log: {uniform: [-8, 2.8]}, dt_bias: {init: fla}}
END
check 'an experiment runs' "$gdnprec" run -q gate.yaml
check 'its figures are drawn' "$gdnprec" plot -q gate
check 'there is a figure' test -s results/gate/figures/gate_sawtooth.svg
check 'its report is written' "$gdnprec" report -q gate
check 'the ledger is found' "$gdnprec" claims A1
cd - >/dev/null || exit 1

# ---- the manual page: every command, every option ----

page=$prefix/share/man/man1/gdnprec.1
commands=$("$gdnprec" --help | sed -n '/^Commands:/,/^$/s/^  \([a-z]*\) .*/\1/p')
check 'there are commands' test -n "$commands"
sed 's/\\-/-/g; s/\\f[BR]//g' "$page" >"$out/page"
for command in $commands; do
    sed -n "/^\.SS gdnprec $command/,/^\.S[SH] [^g]*$/p" "$out/page" | sed '2,${/^\.S[SH]/,$d}' >"$out/part"
    check "$command: a section of gdnprec(1)" test -s "$out/part"
    for option in $("$gdnprec" "$command" --help | grep -oE '^ +(-., )?--[a-z0-9-]+' | grep -oE -- '--.*'); do
        check "$command $option: in gdnprec(1)" grep -qE "^(-., )?$option(=|\$)" "$out/part"
    done
done
silent() { "$@" 2>"$out/said" >/dev/null && ! grep . "$out/said"; }
command -v groff >/dev/null && check 'groff has nothing to say of it' silent groff -ww -man -Tutf8 "$page"

# ---- completion in bash: words typed, and what is offered ----

completes() { # words typed, the last one unfinished; words offered, or some of them
    checks=$((checks + 1))
    # shellcheck disable=SC2016
    offered=$(PATH=$prefix/bin:$PATH bash -c '
        source "$0"; shift 0; COMP_WORDS=(gdnprec "$@"); COMP_CWORD=$#; _gdnprec; printf "%s\n" "${COMPREPLY[@]}"' \
        "$prefix/share/bash-completion/completions/gdnprec" "$@" 2>&1 | awk '!seen[$0]++ { printf "%s%s", s, $0; s = " " }')
}
offers() {
    [ "$offered" = "$1" ] && return
    failures=$((failures + 1))
    echo "completion offers '$offered', not '$1': FAILED"
}
if command -v bash >/dev/null; then
    completes '' && offers "$(echo "$commands" | tr '\n' ' ')--help --version"
    completes pl && offers plot
    completes run --se && offers --seeds
    completes run --backend = cu && offers cuda
    completes run -J --isa '' && offers 'scalar avx2 avx512'
    completes list re && offers recipes
    completes layer --recipe hf && offers "$("$gdnprec" list layers | awk '/^hf/ { printf "%s%s", s, $1; s = " " }')"
    completes judge --profile megatron && offers "$("$gdnprec" list profiles | awk '/^megatron/ { printf "%s%s", s, $1; s = " " }')"
    completes convert --contract = auto && offers 'automodel automodel-saved'
    completes plot --results = "$out/elsewhere/results" go && offers golden
    completes run "$prefix/share/gdnprec/experiments/qui" && offers "$prefix/share/gdnprec/experiments/quick.yaml"
    completes gate --a-log '' && offers ''
fi
command -v zsh >/dev/null && check 'zsh reads its completion' zsh -n "$prefix/share/zsh/site-functions/_gdnprec"

# ---- and away ----

for file in bin/gdnprec share/man/man1/gdnprec.1 share/bash-completion/completions/gdnprec \
    share/zsh/site-functions/_gdnprec share/gdnprec/LICENSE share/gdnprec/docs/method.md; do
    check "$file is installed" test -s "$prefix/$file"
done
check 'make uninstall' install uninstall
check 'uninstall leaves what it has not installed, and nothing else' same "$(files)" ./opt/gdn/share/gdnprec/mine.yaml

echo "$((100 * (checks - failures) / checks))%: Checks: $checks, Failures: $failures, Errors: 0"
[ $failures = 0 ]
