#!/bin/sh
# Stored replies scored again: the same scorers give the same rows, another classifier gives a run
# of its own, and nothing is generated or mixed.
. tests/cli_lib.sh

rescored() { # rescored NAME RUN_ARGUMENTS: the child's rows are the parent's
    name=$1
    shift
    store=$scratch/$name.sqlite
    assay run --model demo --store "$store" "$@" >"$scratch/table" 2>"$scratch/err"
    code=$?
    [ $code = 0 ] || [ $code = 4 ] || bad "$name: run" "$(cat "$scratch/err")"
    parent=$(sqlite3 "$store" 'SELECT run FROM run')
    assay rescore --store "$store" >"$scratch/again" 2>"$scratch/err"
    same "$name: rescore" $code $?
    child=$(sqlite3 "$store" "SELECT run FROM run WHERE parent = '$parent' AND state = 'done'")
    dump_rows "$store" "$parent" >"$scratch/expected"
    dump_rows "$store" "$child" >"$scratch/actual"
    cmp -s "$scratch/expected" "$scratch/actual" && good "$name: the same rows" ||
        bad "$name: the same rows" "$(diff "$scratch/expected" "$scratch/actual" | head -5)"
    same "$name: the same artifacts" "$(sqlite3 "$store" "SELECT role, sha256 FROM run_artifact WHERE run = '$parent' ORDER BY 1, 2")" \
        "$(sqlite3 "$store" "SELECT role, sha256 FROM run_artifact WHERE run = '$child' ORDER BY 1, 2")"
    same "$name: the same table" "$(grep -v '^run \|^scores ' "$scratch/table")" "$(grep -v '^run \|^scores ' "$scratch/again")"
}

rescored kinds --tasks mmlu_virology,hellaswag,gsm8k_cot_self_consistency,mmlu --limit 3 \
    --repeats 8 --max-gen-toks 16
rescored guarded --tasks gsm8k,xstest,realtoxicityprompts --limit 4 --repeats 2 --max-gen-toks 12 \
    --guard strict --guard-mode enforce
rescored watched --tasks gsm8k,realtoxicityprompts --limit 4 --repeats 2 --max-gen-toks 12 \
    --guard balanced --guard-mode shadow
if assay run --model demo --tasks humaneval --limit 1 --max-gen-toks 1 \
    --store "$scratch/probe.sqlite" >/dev/null 2>&1; then
    rescored programs --tasks humaneval --limit 3 --repeats 2 --max-gen-toks 16
else
    echo "  skipped: no sandbox here"
fi

# Another classifier: a score set of its own beside the first.
store=$scratch/toxic.sqlite
assay run --model demo --tasks realtoxicityprompts --limit 4 --repeats 3 --max-gen-toks 6 \
    --store "$store" >/dev/null 2>"$scratch/err" || bad "run" "$(cat "$scratch/err")"
parent=$(sqlite3 "$store" 'SELECT run FROM run')
dump_rows "$store" "$parent" >"$scratch/expected"
assay rescore "$parent" --classifier lexicon --store "$store" >"$scratch/again" 2>"$scratch/err"
code=$?
[ $code = 0 ] || [ $code = 4 ] || bad "another classifier" "$(cat "$scratch/err")"
child=$(sqlite3 "$store" "SELECT run FROM run WHERE parent = '$parent'")
same "one classifier each" 2 "$(sqlite3 "$store" "SELECT count(DISTINCT classifier_sha256) FROM hazard_score")"
same "none of both" 0 "$(sqlite3 "$store" "SELECT count(*) FROM (SELECT run FROM hazard_score GROUP BY run HAVING count(DISTINCT classifier_sha256) > 1)")"
same "each on record" 2 "$(sqlite3 "$store" "SELECT count(DISTINCT sha256) FROM run_artifact WHERE role = 'toxicity'")"
same "coverage is there" 1 "$(sqlite3 "$store" "SELECT count(*) FROM score WHERE run = '$child' AND metric = 'expected_maximum_toxicity' AND off_scored <= n_total")"
dump_rows "$store" "$parent" >"$scratch/actual"
cmp -s "$scratch/expected" "$scratch/actual" && good "the parent is as it was" || bad "the parent is as it was"
same "the replies are the parent's" 0 "$(sqlite3 "$store" "SELECT count(*) FROM reply a JOIN reply b USING (task, doc_id, repeat) WHERE a.run = '$parent' AND b.run = '$child' AND (a.text <> b.text OR a.seed <> b.seed)")"
grep -q "^scores .*of the replies of run $parent" "$scratch/again" && good "the table says whose" ||
    bad "the table says whose" "$(head -3 "$scratch/again")"

# What cannot be done leaves the store as it was.
before=$(sqlite3 "$store" 'SELECT count(*) FROM run')
assay rescore "$parent" --classifier nothing --store "$store" >/dev/null 2>"$scratch/err"
same "no such classifier" 2 $?
sqlite3 "$store" "UPDATE run SET state = 'interrupted' WHERE run = '$child'"
assay rescore "$child" --store "$store" >/dev/null 2>"$scratch/err"
same "a run that is not done" 2 $?
grep -q "resume $child" "$scratch/err" && good "says what to do" || bad "says what to do" "$(cat "$scratch/err")"
sqlite3 "$store" "UPDATE task_run SET version = '0.9' WHERE run = '$parent'"
assay rescore "$parent" --store "$store" >/dev/null 2>"$scratch/err"
same "replies to another version" 3 $?
sqlite3 "$store" "UPDATE task_run SET version = '1.0' WHERE run = '$parent'"
mkdir -p "$scratch/data/realtoxicityprompts"
head -20 "$repo/datasets/demo/realtoxicityprompts/prompts.jsonl" >"$scratch/data/realtoxicityprompts/prompts.jsonl"
assay rescore "$parent" --data "$scratch/data" --store "$store" >/dev/null 2>"$scratch/err"
same "replies to other data" 3 $?
assay rescore --classifier lexicon --store "$scratch/kinds.sqlite" >/dev/null 2>"$scratch/err"
same "nothing about toxicity" 2 $?
same "no run was added" "$before" "$(sqlite3 "$store" 'SELECT count(*) FROM run')"
finish
