#!/bin/sh
# What `export` writes for other programs, read by a program that shares no code with it.
. tests/cli_lib.sh
cd "$scratch" || exit 1
run() { # run STORE OPTIONS...
    store=$1
    shift
    assay run --model demo --tasks gsm8k,mmlu,hellaswag,realtoxicityprompts,humaneval --limit 3 --repeats 3 \
        --max-gen-toks 12 --store "$store" "$@" >table 2>said || bad "run $*" "$(cat said)"
}
lm_eval() { # lm_eval NAME STORE [--data DIR]: its export is what the reader expects
    rm -rf out
    assay export --format lm-eval --out out/deep --store "$2" $3 $4 >printed 2>said
    same "$1: exit code, and nothing on standard output" "0 0" "$? $(wc -c <printed | tr -d ' ')"
    python3 "$repo/tests/read_exports.py" lm-eval "$2" out/deep >read 2>&1 && good "$1" || bad "$1" "$(cat read)"
}
run a.sqlite
run b.sqlite --seed 7 --temperature 1 --limit 2
run guarded.sqlite --guard balanced --guard-mode shadow
lm_eval "a run" a.sqlite
same "all of it was read" "27 documents, 22 scores, 4 groups, 0 rows" "$(cat read)"
cp -r out first
lm_eval "again" a.sqlite
diff -r first out >said && good "the same bytes again" || bad "the same bytes again" "$(head -5 said)"
lm_eval "a guarded run" guarded.sqlite
# With the data at hand, every line has its document's row; with other data, none that is not its own.
ln -s "$repo/datasets/demo" data
lm_eval "with rows" a.sqlite --data data
same "every row" "27 documents, 22 scores, 4 groups, 30 rows" "$(cat read)"
cp -r "$repo/datasets/demo" other
sed 's/Marta/Martha/' data/gsm8k/test.jsonl >other/gsm8k/test.jsonl
lm_eval "with a row that changed" a.sqlite --data other
same "all but that one, under both extractions" "27 documents, 22 scores, 4 groups, 28 rows" "$(cat read)"
assay export --format lm-eval --out none --store a.sqlite --data "$scratch/bin" >printed 2>said
same "without the data" "3 1" "$? $(grep -c '^assay: ' said)"

cp a.sqlite thin.sqlite # of one document's replies nothing is known; of another all but one are scored
sqlite3 thin.sqlite "UPDATE verdict SET value = NULL WHERE doc_id = 0 AND task IN ('gsm8k', 'mmlu_virology');
    UPDATE verdict SET value = NULL WHERE task = 'realtoxicityprompts' AND doc_id = 1 AND repeat = 0;
    UPDATE sample SET state = 'failed', error_code = 'io', error_text = 'it broke', prompt_hash = NULL, target = NULL
        WHERE task = 'gsm8k' AND doc_id = 0;
    DELETE FROM reply WHERE task = 'gsm8k' AND doc_id = 0"
lm_eval "scores that are withheld" thin.sqlite
same "a score that is withheld is null" 1 "$(grep -c '"exact_match,strict-match": null' out/deep/*/results_*.json)"
same "and so is the group's" 2 "$(grep -c '"acc,none": null' out/deep/*/results_*.json | awk '{print ($1 >= 2) ? 2 : $1}')"

assay export --format llm-comparator --store a.sqlite latest b.sqlite:latest >pairs.json 2>said
same "two runs side by side" 0 $?
python3 "$repo/tests/read_exports.py" llm-comparator a.sqlite b.sqlite pairs.json >read 2>&1 && good "read" || bad "read" "$(cat read)"
same "all pairs" "30 examples" "$(cat read)"
assay export --format llm-comparator --store thin.sqlite latest b.sqlite:latest >pairs.json
python3 "$repo/tests/read_exports.py" llm-comparator thin.sqlite b.sqlite pairs.json >read 2>&1 && good "unknown" || bad "unknown" "$(cat read)"
assay run --model demo --tasks simplesafetytests --limit 1 --max-gen-toks 2 --store other.sqlite >table 2>&1
assay export --format llm-comparator --store a.sqlite latest other.sqlite:latest >pairs.json 2>said
same "nothing in common" "3 1" "$? $(grep -c 'have no document in common' said)"

usage() { # usage NAME ARGUMENTS...: exit code 2
    name=$1
    shift
    assay export --store a.sqlite "$@" >out.txt 2>said
    same "$name" "2 0" "$? $(wc -c <out.txt | tr -d ' ')"
}
usage "lm-eval needs a folder" --format lm-eval
usage "the others have none" --format csv --out x
usage "nor do they have rows" --format csv --data data
usage "one run is not two" --format llm-comparator latest
usage "no such format" --format parquet
touch file
assay export --format lm-eval --out file --store a.sqlite 2>said
same "a folder that is a file" "3 1" "$? $(grep -c '^assay: file' said)"
if [ "$(df -P /dev/full 2>/dev/null | wc -l)" != 0 ]; then
    assay export --format llm-comparator --store a.sqlite latest latest >/dev/full 2>said
    same "a full disk" "3 1" "$? $(grep -c 'No space left' said)"
fi
cd "$repo" || exit 1
finish
