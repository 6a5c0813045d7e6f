#!/bin/sh
# A run in shards, joined, has the rows of the run in one piece; what does not belong together is
# refused.
. tests/cli_lib.sh
cd "$scratch" || exit 1
run() { # run STORE OPTIONS...
    store=$1
    shift
    assay run --model demo --tasks gsm8k,mmlu,realtoxicityprompts --limit 7 --max-gen-toks 12 --repeats 2 \
        --store "$store" "$@" >table 2>said
}
run whole.sqlite || bad "the whole run" "$(cat said)"
for i in 1 2 3; do run "$i.sqlite" --shard $i/3 --threads $i || bad "shard $i" "$(cat said)"; done
same "a shard has its own documents alone" "1 4" \
    "$(sqlite3 2.sqlite "SELECT group_concat(doc_id, ' ') FROM sample WHERE task = 'gsm8k'")"
for i in 1 2; do # the same question twice, and one of its own
    sqlite3 $i.sqlite "INSERT INTO remote_score VALUES
        (printf('%064d', 0), 'service', '{}', '2020-01-0$iT00:00:00Z'),
        (printf('%064d', $i), 'service', '{}', '2020-01-0$iT00:00:00Z')"
done
assay merge all.sqlite 3.sqlite 1.sqlite 2.sqlite >merged 2>said
same "merge" 0 $?
dump_rows whole.sqlite "$(sqlite3 whole.sqlite 'SELECT run FROM run')" >expected
dump_rows all.sqlite "$(sqlite3 all.sqlite 'SELECT run FROM run')" >actual
cmp -s expected actual && good "row for row the same" || bad "row for row the same" "$(diff expected actual | head -5)"
run again.sqlite
same "and the same table" "$(grep -A99 '^Task' table)" "$(grep -A99 '^Task' merged)"
same "no rows point nowhere" 0 "$(sqlite3 all.sqlite 'PRAGMA foreign_key_check' | wc -l | tr -d ' ')"
same "what services answered is kept" 3 "$(sqlite3 all.sqlite 'SELECT count(*) FROM remote_score')"
assay table --store all.sqlite >out 2>&1
same "it can be read" 0 $?
assay rescore --store all.sqlite >out 2>&1
same "and scored again" 0 $?

refused() { # refused NAME TEXT ARGUMENTS...: exit code 3, a line with the text, and no store
    name=$1 text=$2
    shift 2
    assay merge bad.sqlite "$@" >out 2>said
    same "$name" "3 1 0" "$? $(grep -c -- "$text" said) $(ls bad.sqlite* 2>/dev/null | wc -l | tr -d ' ')"
}
refused "one is missing" "1.sqlite: shard 1 of 3, and 2 are to be merged" 1.sqlite 2.sqlite
refused "one is there twice" "1.sqlite: shard 1 is in 1.sqlite already" 1.sqlite 1.sqlite 2.sqlite
refused "a whole run" "is not a shard: --shard makes one" whole.sqlite 2.sqlite 3.sqlite
run seed.sqlite --shard 3/3 --seed 7
refused "another seed" "seed.sqlite: differs from 1.sqlite in its options" 1.sqlite 2.sqlite seed.sqlite
sqlite3 3.sqlite "UPDATE run SET state = 'interrupted'"
refused "one is not done" "3.sqlite: run .* is not done: assay resume --store 3.sqlite" 1.sqlite 2.sqlite 3.sqlite
assay resume --store 3.sqlite >/dev/null 2>&1
assay merge resumed.sqlite 1.sqlite 2.sqlite 3.sqlite >out 2>said
same "resumed, it is" 0 $?
assay merge all.sqlite 1.sqlite 2.sqlite 3.sqlite >out 2>said
same "a store that is there stays" 2 $?
# More shards than documents: some have none of a task, one has none at all, and that is no failure.
few() { # few STORE OPTIONS...
    store=$1
    shift
    assay run --model demo --tasks mmlu,hellaswag --limit 2 --store "$store" "$@" >table 2>said
}
few few.sqlite
for i in 1 2 3; do
    few "few$i.sqlite" --shard $i/3
    same "shard $i of few documents" 0 $?
done
same "the last has none" 0 "$(sqlite3 few3.sqlite 'SELECT count(*) FROM sample')"
assay resume --store few3.sqlite >table 2>said
same "it is done" 0 $?
assay merge few-all.sqlite few3.sqlite few2.sqlite few1.sqlite >merged 2>said
same "and merged" 0 $?
dump_rows few.sqlite "$(sqlite3 few.sqlite 'SELECT run FROM run')" >expected
dump_rows few-all.sqlite "$(sqlite3 few-all.sqlite 'SELECT run FROM run')" >actual
cmp -s expected actual && good "row for row" || bad "row for row" "$(diff expected actual | head -5)"
for words in 0/3 4/3 1/1 1 x 1/3x -1/3; do
    run no.sqlite --shard "$words"
    same "--shard $words" "2 0" "$? $(ls no.sqlite 2>/dev/null | wc -l | tr -d ' ')"
done
cd "$repo" || exit 1
finish
