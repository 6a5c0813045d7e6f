#!/bin/sh
# The cases of cases.txt.
. tests/cli_lib.sh
export repo shared=$repo/../shared/data
cd "$scratch" || exit 1

check() { # check COMMAND CODE TEXT
    output=$(sh -c "$1" 2>&1)
    code=$?
    [ $code = "$2" ] || { bad "$1" "exit code $code, expected $2: $output"; return; }
    case $3 in
    -) good "$1" ;;
    !*) case $output in *"${3#!}"*) bad "$1" "$output" ;; *) good "$1" ;; esac ;;
    *) case $output in *"$3"*) good "$1" ;; *) bad "$1" "expected \"$3\" in: $output" ;; esac ;;
    esac
    # A failure is one clear line.
    [ "$2" != 3 ] || [ "$(echo "$output" | grep -c '^assay: ')" -ge 1 ] || bad "$1" "no message: $output"
}

command=
code=
while IFS= read -r line; do
    case $line in
    '' | '#'*) continue ;;
    esac
    if [ -z "$command" ]; then
        command=$line
    elif [ -z "$code" ]; then
        code=$line
    else
        check "$command" "$code" "$line" </dev/null
        command=
        code=
    fi
done <"$repo/tests/cli/cases.txt"
cd "$repo" || exit 1
finish
