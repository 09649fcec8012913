
# zsh: "--backend=cu" is one word.
_gdnprec() {
    local -a typed shown
    local line
    typed=("${(@)words[2,CURRENT-1]}")
    if [[ $PREFIX == --*=* ]]; then
        typed+=("${PREFIX%%=*}") && compset -P '*='
    fi
    for line in ${(f)"$(setopt nonomatch; _gdnprec_candidates ${~words[1]} "${typed[@]}" "$PREFIX")"}; do
        case $line in
        FILES) _files ;;
        DIRECTORIES) _files -/ ;;
        NOTHING) ;;
        *$'\t'*) shown+=("${${line%%$'\t'*}//:/\\:}:${line#*$'\t'}") ;;
        *) shown+=("${line//:/\\:}") ;;
        esac
    done
    if [[ $PREFIX == -* ]]; then _describe -o option shown; else _describe word shown; fi
}
if [[ ${funcstack[1]} == _gdnprec ]]; then _gdnprec "$@"; else compdef _gdnprec gdnprec; fi
