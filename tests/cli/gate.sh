#!/bin/sh
# The gate: a run against itself passes; the same run with a tenth of its right answers flipped
# fails, and JUnit names the task.  Runs are made up in the store, since the demo model is too weak.
. tests/cli_lib.sh
store=$scratch/gate.sqlite
assay run --model demo --tasks mmlu,gsm8k --max-gen-toks 4 --store "$store" >/dev/null 2>&1
a=$(sqlite3 "$store" 'SELECT run FROM run')
# Make the baseline right on most documents.
sqlite3 "$store" "UPDATE verdict SET value = 1, outcome = 'correct' WHERE doc_id % 10 <> 9"

copy() { # copy NAME: the run again under another id
    for table in run task_run task_metric task_group task_group_member run_artifact sample reply \
        choice_logprob hazard_score guard_event verdict; do
        columns=$(sqlite3 "$store" "SELECT group_concat(name, ', ') FROM pragma_table_info('$table')
                                    WHERE name <> 'run'")
        sqlite3 "$store" "INSERT INTO $table (run, $columns)
                          SELECT '$1', $columns FROM $table WHERE run = '$a'"
    done
}
copy flipped

assay gate --baseline "$a" --candidate "$a" --store "$store" --junit "$scratch/same.xml" >"$scratch/out"
same "against itself" 0 $?
same "no failures" 0 "$(grep -c '<failure' "$scratch/same.xml")"
assay gate --baseline "$a" --candidate flipped --store "$store" >"$scratch/out"
same "against an equal run" 0 $?

# One in ten of the right answers becomes wrong.
sqlite3 "$store" "
WITH right AS (SELECT task, doc_id, extraction,
                      row_number() OVER (PARTITION BY extraction ORDER BY task, doc_id) AS n
               FROM verdict WHERE run = 'flipped' AND value = 1)
UPDATE verdict SET value = 0, outcome = 'wrong' WHERE run = 'flipped'
AND (task, doc_id, extraction) IN (SELECT task, doc_id, extraction FROM right WHERE n % 10 = 0)"
assay gate --baseline "$a" --candidate flipped --store "$store" --junit "$scratch/worse.xml" \
    --markdown "$scratch/worse.md" >"$scratch/out"
same "one in ten flipped" 1 $?
[ "$(grep -c '<failure' "$scratch/worse.xml")" -ge 1 ] && good "junit fails" ||
    bad "junit fails" "$(cat "$scratch/worse.xml")"
same "junit names the task" 1 "$(grep -c 'testcase.*name="mmlu[^_]' "$scratch/worse.xml")"
assay compare "$a" flipped --store "$store" --json >"$scratch/out"
same "compare works" 0 $?

same "and how many replies ended how" 1 "$(grep -c 'endings.*gsm8k exact\\*_match,strict-match baseline: [0-9]* .*; candidate: [0-9]* ' "$scratch/worse.md")"
same "in junit too" 1 "$(grep -c 'candidate: [0-9]* .*judged otherwise\|candidate: [0-9]* truncated' "$scratch/worse.xml")"
# A candidate with too few scores is incomplete, not better or worse.
copy thin
sqlite3 "$store" "UPDATE verdict SET value = NULL, outcome = 'infrastructure_error'
                  WHERE run = 'thin' AND doc_id % 2 = 0"
assay gate --baseline "$a" --candidate thin --store "$store" >"$scratch/out"
same "half of the scores are missing" 4 $?

# Different questions are not compared.
copy other
sqlite3 "$store" "UPDATE task_run SET version = '9' WHERE run = 'other'"
assay gate --baseline "$a" --candidate other --store "$store" >"$scratch/out"
same "another task version" 4 $?
finish
