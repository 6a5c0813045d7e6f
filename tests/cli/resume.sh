#!/bin/sh
# A run killed at any moment and resumed has the rows of one that was not; so have runs with other
# numbers of threads.
. tests/cli_lib.sh
arguments="--model demo --tasks mmlu,gsm8k --limit 6 --max-gen-toks 48 --guard balanced"

whole=$scratch/whole.sqlite
assay run $arguments --guard-mode shadow --threads 1 --store "$whole" >"$scratch/out" 2>&1 ||
    bad "the uninterrupted run" "$(cat "$scratch/out")"
id=$(sqlite3 "$whole" 'SELECT run FROM run')
dump_rows "$whole" "$id" >"$scratch/expected"
same "rows were written" 1 "$(grep -c '^== verdict' "$scratch/expected")"

two=$scratch/two.sqlite
assay run $arguments --guard-mode shadow --threads 2 --store "$two" >/dev/null 2>&1
dump_rows "$two" "$(sqlite3 "$two" 'SELECT run FROM run')" >"$scratch/actual"
cmp -s "$scratch/expected" "$scratch/actual" && good "two threads" ||
    bad "two threads" "$(diff "$scratch/expected" "$scratch/actual" | head -5)"

killed=$scratch/killed.sqlite
assay run $arguments --guard-mode shadow --threads 1 --store "$killed" >/dev/null 2>&1 &
pid=$!
sleep 0.4
kill -9 $pid 2>/dev/null
wait $pid 2>/dev/null
kills=1
for delay in 0.2 0.5 0.1 0.7 0.3; do
    [ -f "$killed" ] && [ "$(sqlite3 "$killed" 'SELECT count(*) FROM run' 2>/dev/null)" = 1 ] || {
        rm -f "$killed" "$killed-wal" "$killed-shm" # killed before the run had begun
        assay run $arguments --guard-mode shadow --threads 1 --store "$killed" >/dev/null 2>&1 &
        pid=$!
        sleep $delay
        kill -9 $pid 2>/dev/null
        wait $pid 2>/dev/null
        continue
    }
    assay resume --store "$killed" >/dev/null 2>&1 &
    pid=$!
    sleep $delay
    kill -9 $pid 2>/dev/null
    wait $pid 2>/dev/null
    kills=$((kills + 1))
done
if [ "$(sqlite3 "$killed" 'SELECT state FROM run')" != done ]; then
    assay resume --store "$killed" >"$scratch/out" 2>&1 || bad "the last resume" "$(cat "$scratch/out")"
fi
same "it ended" done "$(sqlite3 "$killed" 'SELECT state FROM run')"
dump_rows "$killed" "$(sqlite3 "$killed" 'SELECT run FROM run')" >"$scratch/actual"
cmp -s "$scratch/expected" "$scratch/actual" && good "killed and resumed" ||
    bad "killed and resumed" "$(diff "$scratch/expected" "$scratch/actual" | head -5)"

# Ctrl-C: the batch in flight is kept, the way on is printed, exit code 130.
stopped=$scratch/stopped.sqlite
assay run $arguments --guard-mode shadow --threads 1 --store "$stopped" >/dev/null 2>"$scratch/err" &
pid=$!
for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
    grep -q 'assay: run' "$scratch/err" 2>/dev/null && break
    sleep 0.1
done
kill -TERM $pid
wait $pid
code=$?
if [ $code = 130 ]; then
    same "it says how to go on" 1 "$(grep -c 'continue with `assay resume' "$scratch/err")"
    same "it is marked" interrupted "$(sqlite3 "$stopped" 'SELECT state FROM run')"
    assay resume --store "$stopped" >/dev/null 2>&1
    dump_rows "$stopped" "$(sqlite3 "$stopped" 'SELECT run FROM run')" >"$scratch/actual"
    cmp -s "$scratch/expected" "$scratch/actual" && good "interrupted and resumed" ||
        bad "interrupted and resumed" "$(diff "$scratch/expected" "$scratch/actual" | head -5)"
else
    same "a stopped run that had already ended" 0 $code
fi

# Failed documents stay failed until they are tried again; then the rows are those of a good run.
failed=$scratch/failed.sqlite
cp "$two" "$failed"
sqlite3 "$failed" "UPDATE sample SET state = 'failed', error_code = 'io', error_text = 'x'
                   WHERE task = 'gsm8k' AND doc_id = 2"
assay resume --store "$failed" >"$scratch/out" 2>&1
same "nothing to resume" 1 "$(grep -c 'nothing to resume' "$scratch/out")"
assay resume --store "$failed" --retry-failed >"$scratch/out" 2>&1
same "failed documents are tried again" 0 $?
dump_rows "$failed" "$(sqlite3 "$failed" 'SELECT run FROM run')" >"$scratch/actual"
cmp -s "$scratch/expected" "$scratch/actual" && good || bad "retried rows" \
    "$(diff "$scratch/expected" "$scratch/actual" | head -5)"

# A run is not continued with other weights: the numbers would be of two models.
changed=$scratch/changed.sqlite
cp datasets/demo/model.gguf "$scratch/model.gguf"
assay run --model "$scratch/model.gguf" --tasks gsm8k --limit 1 --max-gen-toks 4 \
    --store "$changed" >/dev/null 2>&1
sqlite3 "$changed" "UPDATE run SET state = 'interrupted'"
printf 'x' >>"$scratch/model.gguf"
assay resume --store "$changed" >"$scratch/out" 2>&1
same "other weights are refused" 3 $?
same "and named" 1 "$(grep -c 'weights (SHA-256)' "$scratch/out")"
finish
