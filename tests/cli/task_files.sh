#!/bin/sh
# Tasks that are files: run, resumed, scored and listed like any other, and their bytes recorded.
. tests/cli_lib.sh
data=$scratch/data
mkdir -p "$data/winogrande/winogrande_xl" "$data/piqa" "$scratch/mine"
cat >"$data/winogrande/winogrande_xl/validation.jsonl" <<'ROWS'
{"sentence": "The cup did not fit the box because _ was too big.", "option1": "the cup", "option2": "the box", "answer": "1"}
{"sentence": "Ann called Bea but _ was out.", "option1": "Ann", "option2": "Bea", "answer": "2"}
ROWS
echo '{"goal": "To boil water,", "sol1": "heat it.", "sol2": "freeze it.", "label": 0}' \
    >"$data/piqa/validation.jsonl"
cat >"$scratch/mine/sums.json" <<'TASK'
{
  "task": "sums",
  "dataset_path": "csv",
  "dataset_kwargs": {"data_files": {"train": "shots.csv", "test": "sums.csv"}},
  "training_split": "train",
  "test_split": "test",
  "num_fewshot": 1,
  "output_type": "generate_until",
  "doc_to_text": "Q: {{a}} + {{b}}\nA:",
  "doc_to_target": "{{sum}}",
  "generation_kwargs": {"until": ["\n"], "max_gen_toks": 4},
  "filter_list": [
    {"name": "number", "filter": [{"function": "regex", "regex_pattern": "(-?[0-9]+)"}, {"function": "take_first"}]}
  ],
  "metric_list": [{"metric": "exact_match"}],
  "metadata": {"version": 1, "description": "sums of two numbers"}
}
TASK
printf 'a,b,sum\n1,1,2\n' >"$scratch/mine/shots.csv"
printf 'a,b,sum\n2,3,5\n4,4,8\n' >"$scratch/mine/sums.csv"

# A context for each choice, one continuation.
assay prompts --task winogrande --data "$data" --limit 1 >"$scratch/out" 2>&1
same "contexts vary, the continuation does not" 1 "$(grep -c '"contexts": \["The cup did not fit the box because the cup", "The cup did not fit the box because the box"\], "continuations": \[" was too big.", " was too big."\]' "$scratch/out")"

same "their ids are shown, each with its own" 1 "$(assay prompts --task winogrande --data "$data" --model demo --show-prompt | grep -c '==== the context of choice 1')"
assay prompts --task winogrande --data "$data" --chat >/dev/null 2>"$scratch/err"
same "a chat has no form for them" 3 $?

# A run over shipped files and one of our own, by path and by folder.
store=$scratch/s.sqlite
assay run --model demo --tasks "winogrande,piqa,$scratch/mine/sums.json" --data "$data" \
    --store "$store" >"$scratch/table" 2>"$scratch/err" || bad "run" "$(cat "$scratch/err")"
same "every metric has a value" 4 "$(sqlite3 "$store" 'SELECT count(off_mean) FROM score')"
same "a choice is scored after its own context" 2 "$(sqlite3 "$store" "SELECT count(*) FROM (SELECT doc_id FROM choice_logprob WHERE task = 'winogrande' GROUP BY doc_id HAVING min(logprob) < max(logprob) AND min(text) = max(text))")"
same "the file is part of the run" "$(sha256sum "$scratch/mine/sums.json" | cut -d' ' -f1)" \
    "$(sqlite3 "$store" "SELECT sha256 FROM artifact WHERE kind = 'task_file' AND name LIKE '%sums.json'")"
same "so are the shipped ones" 3 "$(sqlite3 "$store" "SELECT count(*) FROM run_artifact WHERE role = 'task'")"
id=$(sqlite3 "$store" 'SELECT run FROM run')
dump_rows "$store" "$id" >"$scratch/expected"
other=$scratch/other.sqlite
assay run --model demo --tasks "winogrande,piqa,sums" --task-dir "$scratch/mine" --data "$data" \
    --threads 1 --store "$other" >/dev/null 2>"$scratch/err" || bad "run" "$(cat "$scratch/err")"
sqlite3 "$other" "UPDATE sample SET state = 'pending' WHERE doc_id = 1; UPDATE run SET state = 'running'"
assay resume --store "$other" >/dev/null 2>"$scratch/err" || bad "resume" "$(cat "$scratch/err")"
dump_rows "$other" "$(sqlite3 "$other" 'SELECT run FROM run')" >"$scratch/actual"
cmp -s "$scratch/expected" "$scratch/actual" && good "by folder, resumed, the same rows" ||
    bad "by folder, resumed, the same rows" "$(diff "$scratch/expected" "$scratch/actual" | head -5)"

# Another file is another task, whatever its version says.
sqlite3 "$other" "UPDATE sample SET state = 'pending' WHERE doc_id = 1; UPDATE run SET state = 'running'"
sed -i 's/sums of two/sums of both/' "$scratch/mine/sums.json"
assay resume --store "$other" >/dev/null 2>"$scratch/err"
same "a changed file is not continued" 3 $?
grep -q 'sums.json is not what it was when' "$scratch/err" && good "says so" || bad "says so" "$(cat "$scratch/err")"

# Offline, and in the list.
printf '%s\n' '{"doc_id": 0, "reply": " 5"}' '{"doc_id": 1, "reply": " nine"}' >"$scratch/replies.jsonl"
assay score --task sums --task-dir "$scratch/mine" --replies "$scratch/replies.jsonl" >"$scratch/out" 2>&1
same "scored" 2 "$(grep -c 'exact_match,number' "$scratch/out")"
same "one right, one without a number" 1 "$(grep -c '"outcome": "extraction_failed"' "$scratch/out")"
same "listed" 1 "$(assay list tasks --task-dir "$scratch/mine" | grep -c '^sums .*sums of both')"
same "shipped ones are listed" 7 "$(assay list tasks | grep -c '(task file)$')"

# What most of the first three replies say, and of more than there are: unknown.
cat >"$scratch/filters" <<'FILTERS'
  "repeats": 4,
  "filter_list": [
    {"name": "number", "filter": [{"function": "regex", "regex_pattern": "(-?[0-9]+)"}, {"function": "take_first"}]},
    {"name": "maj@3", "filter": [{"function": "take_first_k", "k": 3}, {"function": "regex", "regex_pattern": "(-?[0-9]+)"}, {"function": "majority_vote"}, {"function": "take_first"}]},
    {"name": "maj@5", "filter": [{"function": "take_first_k", "k": 5}, {"function": "majority_vote"}]}
  ],
FILTERS
sed -e "/filter_list/r $scratch/filters" -e '/filter_list/,/^  \],/{/filter_list/d;/"number", "filter"/d;/^  \],/d}' \
    "$scratch/mine/sums.json" >"$scratch/mine/votes.json"
sed -i 's/"sums"/"votes"/' "$scratch/mine/votes.json"
printf '{"doc_id": 0, "reply": "%s"}\n' 4 5 5 4 >"$scratch/replies.jsonl"
printf '{"doc_id": 1, "reply": "%s"}\n' none 8 none 8 >>"$scratch/replies.jsonl"
assay score --task votes --task-dir "$scratch/mine" --replies "$scratch/replies.jsonl" --summary "$scratch/summary" >/dev/null 2>"$scratch/err"
same "votes" 0 $?
same "the mean, the majority and no majority" 1 "$(grep -c '"exact_match,number": {"value": 0.5,.*"exact_match,maj@3": {"value": 0.5,.*"exact_match,maj@5": {"value": null,' "$scratch/summary")"

# A bad file ends before anything is loaded.
sed 's/"metric"/"metrik"/' "$scratch/mine/sums.json" >"$scratch/mine/bad.json"
assay run --model nosuchmodel --tasks "$scratch/mine/bad.json" --store "$scratch/no.sqlite" >/dev/null 2>"$scratch/err"
same "a bad file" 3 $?
grep -q 'bad.json: field "metric_list": unknown field "metrik"' "$scratch/err" && good "names the field" ||
    bad "names the field" "$(cat "$scratch/err")"
assay run --model demo --tasks sums --store "$scratch/no.sqlite" >/dev/null 2>"$scratch/err"
same "no such name without the folder" 2 $?
finish
