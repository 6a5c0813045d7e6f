# cli_lib.sh - for the command-line tests: a scratch folder, the program on PATH, counted cases.
#
# A script sources it as `. tests/cli_lib.sh` and ends with `finish`.  $1 is the build folder.
build=$1
repo=$PWD
PATH=$build:$PATH
export LC_ALL=C
unset ASSAY_DATA
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
export XDG_CACHE_HOME=$scratch/cache HF_HOME=$scratch/hf
cases=0
failures=0

# good NAME: counts a case that held.  bad NAME [TEXT]: counts one that did not.
good() { cases=$((cases + 1)); }
bad() {
    cases=$((cases + 1))
    failures=$((failures + 1))
    echo "not ok: $1"
    [ -n "$2" ] && echo "$2"
}

# same NAME EXPECTED ACTUAL
same() { if [ "$2" = "$3" ]; then good "$1"; else bad "$1" "expected: $2
actual:   $3"; fi; }

# dump_rows STORE RUN: every fact of a run, without what time and chance decide.
dump_rows() {
    for table in run_chat task_run task_metric task_group task_group_member sample reply choice_logprob \
        hazard_score guard_event verdict; do
        columns=$(sqlite3 "$1" "SELECT group_concat(name, ', ') FROM pragma_table_info('$table')
                                WHERE name NOT LIKE '%\_seconds' ESCAPE '\\' AND name <> 'run'")
        echo "== $table"
        sqlite3 "$1" "SELECT $columns FROM $table WHERE run = '$2' ORDER BY $columns"
    done
    sqlite3 "$1" "SELECT * FROM prompt ORDER BY sha256"
}

finish() {
    echo "cases: $cases"
    [ $failures = 0 ]
}
