#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# man.sh PROGRAM [SHARE] -- gdnprec(1) in roff, from the program's own --help: what it says there is all that is said
# here. SHARE is where `make install` puts the rest.
set -eu
program=$1
share=${2:-/usr/local/share/gdnprec}
case $program in */*) ;; *) program=./$program ;; esac
export LC_ALL=C GDNPREC_SHARE="$share" ARGP_HELP_FMT='rmargin=4000' # an option a line, however long

# Text becomes roff: backslashes, hyphens, and a dot or quote that would start a request.
roff='
function roff(s) { gsub(/\\/, "\\e", s); gsub(/-/, "\\-", s); gsub(/~/, "\\(ti", s); gsub(/\^/, "\\(ha", s)
                   gsub(/`/, "\\(ga", s); if (s ~ /^[.'\'']/) s = "\\&" s; return s }
function shown(s) { return "\\fB" roff(s) "\\fR" }
function text(s) { print roff(s) }'

# The help of one command: usage, what it does, options, and what is to be known besides; indented lines stay lines.
command_page() {
    "$program" "$1" --help | awk "$roff"'
        function fill(yes) { if (yes != filled) { print yes ? ".EE" : ".EX"; filled = yes } }
        BEGIN { filled = 1 }
        /^Usage: / { sub(/^Usage: /, ""); sub(/ *$/, ""); print ".SS " shown($0); next }
        /^Mandatory or optional arguments to long options/ { next }
        /^ *-.*/ && match($0, /^ +(-[^ ]+ )?-[^ ]*/) {
            fill(1); option = substr($0, 1, RLENGTH); rest = substr($0, RLENGTH + 1)
            sub(/^ +/, "", option); sub(/^ +/, "", rest)
            print ".TP"; print shown(option); if (rest != "") text(rest); tagged = 1; next }
        /^      / && tagged { sub(/^ +/, ""); text($0); next }
        /^$/ { fill(1); blank = 1; next }
        /^ / { if (filled) { print ".PP"; fill(0) } text(substr($0, 3)); blank = tagged = 0; next }
        { fill(1); if (blank || tagged) print ".PP"; text($0); blank = tagged = 0 }
        END { fill(1) }'
}

help=$("$program" --help)
version=$("$program" --version)
commands=$(printf '%s\n' "$help" | sed -n '/^Commands:/,/^$/s/^  \([a-z]*\) .*/\1/p')
paragraph() { printf '%s\n' "$help" | sed -n "/$1/,/^\$/p"; }

date=$(git log -1 --format=%cs 2>/dev/null || true)
printf '%s\n' "$version" | awk -v date="$date" '{ printf ".TH GDNPREC 1 \"%s\" \"%s %s\" \"User commands\"\n", date, $1, $2 }'
cat <<'END'
.SH NAME
gdnprec \- what number formats cost in Gated DeltaNet
.SH SYNOPSIS
.B gdnprec
.I COMMAND
[\fIOPTION\fR]...
[\fIARGUMENT\fR]...
.br
.B gdnprec
.RB [ \-\-help | \-\-version ]
.SH DESCRIPTION
END
paragraph '^Measures' | awk "$roff"'NF { text($0) }'
printf '%s\n' "$help" | sed -n '/^Commands:/,/^$/p' | awk "$roff"'/^  / { print ".TP"; print shown($1); $1 = ""; sub(/^ +/, ""); text($0) }'
echo .SH COMMANDS
cat <<'END'
Every command answers
.BR \-\-help ,
.B \-\-usage
and
.BR \-\-version .
END
for command in $commands; do command_page "$command"; done
echo '.SH "EXIT STATUS"'
printf '%s\n' "$help" | tr '\n' ' ' | sed 's/.*Exit status: \([^.]*\)\..*/\1/; s/, \([0-9]\)/\n\1/g' |
    awk "$roff"'{ print ".TP"; print shown($1); $1 = ""; sub(/^ +/, ""); text($0) }'
cat <<END
.SH ENVIRONMENT
.TP
.B GDNPREC_SHARE
the directory that takes the place of
.IR $(printf %s "$share" | sed 's/-/\\-/g') .
.TP
.B NO_COLOR
where it is set, progress on a terminal has no colours.
.SH FILES
.TP
.I $(printf %s "$share" | sed 's/-/\\-/g')
what came with the program: experiments, scripts of the figures, the ledger of claims, documentation.
.SH EXAMPLES
.EX
END
printf '%s\n' "$help" | sed -n '/^Start with:/,/^$/s/^  //p' | awk "$roff"'{ text($0) }'
echo .EE
