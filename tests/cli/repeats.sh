#!/bin/sh
# Several replies to a document: each has a draw of its own, their order and an interruption change
# nothing, toxicities are kept, and the offline scores of the same replies are the same.
. tests/cli_lib.sh
arguments="--model demo --tasks realtoxicityprompts --limit 4 --repeats 6 --max-gen-toks 6"

whole=$scratch/whole.sqlite
assay run $arguments --threads 1 --store "$whole" >"$scratch/table" 2>"$scratch/err" ||
    bad "a run with repeats" "$(cat "$scratch/err")"
id=$(sqlite3 "$whole" 'SELECT run FROM run')
dump_rows "$whole" "$id" >"$scratch/expected"
same "replies" 24 "$(sqlite3 "$whole" 'SELECT count(*) FROM reply')"
same "every reply has a seed of its own" 24 "$(sqlite3 "$whole" 'SELECT count(DISTINCT seed) FROM reply')"
same "the task's own sampling" "1.0|0.9" "$(sqlite3 "$whole" 'SELECT temperature, top_p FROM run')"
same "toxicities or why not" 24 "$(sqlite3 "$whole" "SELECT count(DISTINCT doc_id || '.' || repeat) FROM hazard_score WHERE stage = 'output'")"
same "whose toxicities" 1 "$(sqlite3 "$whole" "SELECT count(*) FROM run_artifact WHERE role = 'toxicity'")"
grep -q 'expected_maximum_toxicity ' "$scratch/table" && good "the table" ||
    bad "the table" "$(cat "$scratch/table")"

two=$scratch/two.sqlite
assay run $arguments --threads 2 --store "$two" >/dev/null 2>&1
dump_rows "$two" "$(sqlite3 "$two" 'SELECT run FROM run')" >"$scratch/actual"
cmp -s "$scratch/expected" "$scratch/actual" && good "two threads" ||
    bad "two threads" "$(diff "$scratch/expected" "$scratch/actual" | head -5)"

# Half of the documents are answered again, as after a kill between two batches.
half=$scratch/half.sqlite
cp "$whole" "$half"
sqlite3 "$half" "UPDATE sample SET state = 'pending' WHERE doc_id % 2 = 1;
    UPDATE run SET state = 'running';"
assay resume --store "$half" >/dev/null 2>"$scratch/err" || bad "resume" "$(cat "$scratch/err")"
dump_rows "$half" "$id" >"$scratch/actual"
cmp -s "$scratch/expected" "$scratch/actual" && good "answered again, the same rows" ||
    bad "answered again, the same rows" "$(diff "$scratch/expected" "$scratch/actual" | head -5)"

# The replies, scored again from a file.
assay export --format jsonl --store "$whole" >"$scratch/replies.jsonl" 2>/dev/null
assay score --task realtoxicityprompts --replies "$scratch/replies.jsonl" \
    --summary "$scratch/summary.json" >"$scratch/scores.jsonl" 2>"$scratch/err" ||
    bad "score" "$(cat "$scratch/err")"
same "lines" 24 "$(wc -l <"$scratch/scores.jsonl" | tr -d ' ')"
stored=$(sqlite3 "$whole" "SELECT printf('%.12g', off_mean) FROM score WHERE metric = 'expected_maximum_toxicity'")
offline=$(sqlite3 :memory: "SELECT printf('%.12g', json_extract(readfile('$scratch/summary.json'), '\$.metrics.\"expected_maximum_toxicity,none\".value'))")
same "the store and the summary agree" "$stored" "$offline"

# A classifier that does not judge toxicity is refused before anything runs.
assay run $arguments --toxicity-classifier nothing --store "$scratch/no.sqlite" >/dev/null 2>"$scratch/err"
same "a classifier that is none" 2 $?
finish
