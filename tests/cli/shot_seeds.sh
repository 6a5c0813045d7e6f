#!/bin/sh
# Examples drawn with several seeds in one run: which seeds, the same rows after an interruption, and
# a spread that is the store's.
. tests/cli_lib.sh
arguments="--model demo --tasks gsm8k,mmlu --limit 5 --num-fewshot 2 --max-gen-toks 30"

store=$scratch/s.sqlite
assay run $arguments --shot-seeds 3 --store "$store" >"$scratch/table" 2>"$scratch/err" ||
    bad "run" "$(cat "$scratch/err")"
same "three seeds each" 6 "$(sqlite3 "$store" "SELECT count(*) FROM task_run WHERE fewshot_seed BETWEEN 1234 AND 1236 AND task IN ('gsm8k#' || fewshot_seed, 'mmlu_virology#' || fewshot_seed)")"
same "the whole of mmlu" 15 "$(sqlite3 "$store" "SELECT count(*) FROM task_run WHERE base = 'mmlu'")"
same "three prompts to a document" 3 "$(sqlite3 "$store" "SELECT count(DISTINCT prompt_hash) FROM sample WHERE task LIKE 'gsm8k#%' AND doc_id = 0")"
same "a document that stays itself" 1 "$(sqlite3 "$store" "SELECT count(DISTINCT doc_hash) FROM sample WHERE task LIKE 'gsm8k#%' AND doc_id = 0")"

# The first seed is the protocol's own.
assay run --model demo --tasks gsm8k --limit 5 --num-fewshot 2 --max-gen-toks 30 \
    --store "$scratch/one.sqlite" >/dev/null 2>"$scratch/err" || bad "one" "$(cat "$scratch/err")"
same "the first drawing is the task's" "$(sqlite3 "$scratch/one.sqlite" 'SELECT prompt_hash FROM sample ORDER BY doc_id')" \
    "$(sqlite3 "$store" "SELECT prompt_hash FROM sample WHERE task = 'gsm8k#1234' ORDER BY doc_id")"

# The table's note, and the same from the store by another way.
assay table --json --store "$store" >"$scratch/table.json" 2>&1
mean=$(sqlite3 :memory: "SELECT printf('%.10f', json_extract(value, '\$.mean')) FROM json_each(readfile('$scratch/table.json'), '\$.shot_seeds') WHERE json_extract(value, '\$.name') = 'mmlu'")
same "the mean" "$(sqlite3 "$store" "SELECT printf('%.10f', avg(value)) FROM verdict WHERE task LIKE 'mmlu%'")" "$mean"
error=$(sqlite3 :memory: "SELECT printf('%.10f', json_extract(value, '\$.stderr')) FROM json_each(readfile('$scratch/table.json'), '\$.shot_seeds') WHERE json_extract(value, '\$.name') = 'mmlu'")
same "its standard error" "$(sqlite3 "$store" "WITH d AS (SELECT avg(value) AS v FROM verdict WHERE task LIKE 'mmlu%' GROUP BY substr(task, 1, length(task) - 5), doc_id) SELECT printf('%.10f', sqrt((sum(v * v) - count(*) * avg(v) * avg(v)) / (count(*) - 1) / count(*))) FROM d")" "$error"
grep -q '^mmlu acc: mean .* over 3 shot seeds and 25 documents; standard error over documents .*, standard deviation between seeds ' "$scratch/table" &&
    good "the note" || bad "the note" "$(tail -5 "$scratch/table")"

# Half of it answered again gives the same rows.
id=$(sqlite3 "$store" 'SELECT run FROM run')
dump_rows "$store" "$id" >"$scratch/expected"
sqlite3 "$store" "UPDATE sample SET state = 'pending' WHERE doc_id % 2 = 1; UPDATE run SET state = 'running'"
assay resume --store "$store" >/dev/null 2>"$scratch/err" || bad "resume" "$(cat "$scratch/err")"
dump_rows "$store" "$id" >"$scratch/actual"
cmp -s "$scratch/expected" "$scratch/actual" && good "resumed" ||
    bad "resumed" "$(diff "$scratch/expected" "$scratch/actual" | head -5)"

assay run --model demo --tasks humaneval,xstest --shot-seeds 3 --store "$scratch/no.sqlite" >/dev/null 2>"$scratch/err"
same "nothing to draw" 2 $?
finish
