#!/bin/sh
# Runs what `make check` built: unit tests, then the command-line cases.  Usage: run_all.sh BUILD_DIR
# Prints "N passed, N failed" last; fails when a test failed or when none ran.
build=$1
passed=0
failed=0
export OMP_WAIT_POLICY=passive # tests share the machine: waiting threads sleep
log=$build/tests/log.txt
mkdir -p "$build/tests"
export XDG_CACHE_HOME=$PWD/$build/tests/cache # nothing is left in the user's own

for program in "$build"/tests/unit/test_*; do
    case $program in *.d | *.o) continue ;; esac
    "$program" >"$log" 2>&1
    code=$?
    grep -E '^  skipped' "$log" | sort -u
    if [ $code = 0 ] && line=$(grep -E '^suite .*: [0-9]+ run, 0 failed$' "$log"); then
        echo "ok      $line"
        passed=$((passed + $(echo "$line" | sed 's/.*: \([0-9]*\) run.*/\1/')))
    else
        cat "$log"
        echo "FAILED  $program"
        failed=$((failed + 1))
    fi
done

for script in tests/cli/*.sh; do
    sh "$script" "$PWD/$build" >"$log" 2>&1
    code=$?
    grep -E '^  skipped' "$log"
    count=$(sed -n 's/^cases: \([0-9]*\)$/\1/p' "$log" | tail -1)
    if [ $code = 0 ] && [ "${count:-0}" -gt 0 ]; then
        echo "ok      $script: $count cases"
        passed=$((passed + count))
    else
        cat "$log"
        echo "FAILED  $script"
        failed=$((failed + 1))
    fi
done

echo "$passed passed, $failed failed"
[ $failed = 0 ] && [ $passed -gt 0 ]
