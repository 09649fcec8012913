
# bash: COMP_WORDS has "--backend", "=" and "cu" as words of their own.
_gdnprec() {
    local words=() word line current=${COMP_WORDS[COMP_CWORD]}
    for word in "${COMP_WORDS[@]:1:COMP_CWORD}"; do [ "$word" = = ] || words+=("$word"); done
    if [ "$current" = = ]; then
        current='' && words+=('')
    fi
    COMPREPLY=()
    while IFS= read -r line; do
        case $line in
        FILES) compopt -o filenames 2>/dev/null; mapfile -t -O "${#COMPREPLY[@]}" COMPREPLY < <(compgen -f -- "$current") ;;
        DIRECTORIES) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -d -- "$current") ;;
        NOTHING) ;;
        "$current"*) COMPREPLY+=("${line%%$'\t'*}") ;;
        esac
    done < <(_gdnprec_candidates "${COMP_WORDS[0]/#\~/$HOME}" "${words[@]}")
}
complete -F _gdnprec gdnprec
