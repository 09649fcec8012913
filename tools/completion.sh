# SPDX-License-Identifier: Apache-2.0
# completion -- what may stand where the cursor is, asked of gdnprec itself when the key is pressed; bash and zsh share
# this part (completion.bash, completion.zsh). `make` joins the files.

# Its help; an option a line, however long.
_gdnprec_help() { ARGP_HELP_FMT='rmargin=4000' "$1" "$2" --help 2>/dev/null; }

# Options of a command: short, long, placeholder of the argument, what it does; by tabs.
_gdnprec_options() {
    _gdnprec_help "$1" "$2" | awk '
        function flush() { if (long != "") print short "\t" long "\t" holder "\t" text; long = "" }
        match($0, /^ +(-[^ ], )?--[^ ]+/) {
            flush(); spec = substr($0, 1, RLENGTH); text = substr($0, RLENGTH + 1); sub(/^ +/, "", spec)
            short = spec ~ /, / ? substr(spec, 1, 2) : ""; sub(/^-., /, "", spec)
            holder = spec ~ /=/ ? substr(spec, index(spec, "=") + 1) : ""; long = spec; sub(/=.*/, "", long)
            sub(/^ +/, "", text); next }
        long != "" && /^      / { sub(/^ +/, ""); text = text $0; next }
        { flush() }
        END { flush() }'
}

# A table of the program: name, what it is.
_gdnprec_table() { "$1" list "$2" 2>/dev/null | awk '{ name = $1; $1 = ""; sub(/^ +/, ""); print name "\t" $0 }'; }

# What the option $3 of the command $2 may be given: nothing is printed where it takes no argument.
_gdnprec_values() {
    _gdnprec_options "$1" "$2" | awk -F '\t' -v o="$3" '($1 == o || $2 == o) && $3 != "" { print $2 "\t" $3 "\t" $4 }' |
        while IFS='	' read -r long holder text; do
            case $2,$long,$holder in
            *,DIR) echo DIRECTORIES ;;
            *,FILE) echo FILES ;;
            layer,--recipe,*) _gdnprec_table "$1" layers ;;
            *,--recipe,*) _gdnprec_table "$1" recipes ;;
            *,--profile,*) _gdnprec_table "$1" profiles ;;
            *,--contract,*)
                _gdnprec_help "$1" "$2" | awk '/^Contracts:/ { on = 1; next } !NF { on = 0 }
                    on { name = $1; $1 = ""; sub(/^ +/, ""); print name "\t" $0 }'
                ;;
            # "auto, cpu or cuda (default: auto)"
            *,NAME) echo "$text" | awk '{ gsub(/ *\([^)]*\)/, "") }
                match($0, /[a-z][a-z0-9-]*(, [a-z][a-z0-9-]*)* or [a-z][a-z0-9-]*/) {
                    $0 = substr($0, RSTART, RLENGTH); gsub(/,? or |, /, "\n"); print }' ;;
            *,?*) echo NOTHING ;;
            esac
        done
}

# Experiments that were run: folders of the results directory that the words name.
_gdnprec_results() {
    local directory=results
    while [ $# -gt 0 ]; do
        case $1 in
        -r | --results) directory=${2:-results} ;;
        --results=*) directory=${1#*=} ;;
        esac
        shift
    done
    for directory in "$directory"/*/; do
        [ -d "$directory" ] && directory=${directory%/} && echo "${directory##*/}"
    done
}

# _gdnprec_candidates PROGRAM WORD... -- the words after the program's name, the last one unfinished. A line a
# candidate: word, tab, what it is; or FILES, DIRECTORIES, or NOTHING where only the user knows.
_gdnprec_candidates() {
    local program=$1 command=$2 last='' before='' values usage word
    if [ $# -le 2 ]; then
        "$program" --help 2>/dev/null | awk '/^Commands:/ { on = 1; next } !NF { on = 0 }
            on { name = $1; $1 = ""; sub(/^ +/, ""); print name "\t" $0 }'
        printf -- '--help\n--version\n'
        return
    fi
    shift 2
    for word in "$@"; do before=$last last=$word; done
    case $before in
    -*)
        values=$(_gdnprec_values "$program" "$command" "$before")
        [ -z "$values" ] || { echo "$values" && return; }
        ;;
    esac
    case $last in
    -*)
        _gdnprec_options "$program" "$command" | awk -F '\t' '{ print $2 "\t" $4 }'
        printf -- '--help\n--usage\n--version\n'
        return
        ;;
    esac
    usage=$(_gdnprec_help "$program" "$command" | sed -n 's/^Usage: gdnprec [a-z]* *\[OPTION\.\.\.\] *//p')
    case $usage in
    *.yaml*)
        echo FILES
        "$program" list experiments --json 2>/dev/null | sed -n 's/^ *"file": "\(.*\)".*/\1/p'
        ;;
    *EXPERIMENT*) _gdnprec_results "$@" ;;
    *'|'*) echo "$usage" | tr '|' '\n' ;;
    '' | '[ID'*) echo NOTHING ;;
    *) echo FILES ;;
    esac
}
