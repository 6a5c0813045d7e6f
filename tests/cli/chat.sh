#!/bin/sh
# Runs in a chat template: what is recorded, what the prompts are, what resuming checks, and that a
# system message is never dropped in silence.
. tests/cli_lib.sh
arguments="--model demo --tasks mmlu_virology,gsm8k --limit 3 --max-gen-toks 6"
as_gemma="--chat-template gemma"

assay run $arguments --chat --store "$scratch/none.sqlite" >/dev/null 2>"$scratch/err"
same "a model without a template" 3 $?
grep -q -- '--chat-template: gemma3, gemma' "$scratch/err" && good "names them" || bad "names them"
assay run $arguments $as_gemma --store "$scratch/none.sqlite" >/dev/null 2>"$scratch/err"
same "a system message without a place" 2 $?
grep -q 'mmlu_virology: document 0: chat format gemma has no place' "$scratch/err" &&
    good "and where" || bad "and where" "$(cat "$scratch/err")"
[ -e "$scratch/none.sqlite" ] && bad "nothing is written" || good "nothing is written"

whole=$scratch/whole.sqlite
assay run $arguments $as_gemma --system-as drop --store "$whole" >"$scratch/table" 2>"$scratch/err" ||
    bad "a run" "$(cat "$scratch/err")"
id=$(sqlite3 "$whole" 'SELECT run FROM run')
same "the run's row" 'gemma|||drop|turns' \
    "$(sqlite3 "$whole" 'SELECT format, template_sha256, system_text, system_as, fewshot_as FROM run_chat')"
same "who lost a system message" 'gsm8k||3
mmlu_virology|dropped|3' \
    "$(sqlite3 "$whole" 'SELECT task, system_place, count(*) FROM sample GROUP BY 1, 2')"
grep -q 'chat      template gemma, .*documents that lost theirs: 3' "$scratch/table" &&
    good "the table says so" || bad "the table says so" "$(cat "$scratch/table")"
assay table --json --store "$whole" >"$scratch/table.json" 2>/dev/null
same "and its JSON" 3 "$(sqlite3 :memory: "SELECT value FROM json_tree(readfile('$scratch/table.json')) WHERE key = 'n_system_dropped'")"

# `prompts` says what the run stored.
assay prompts --task gsm8k --limit 3 --model demo $as_gemma >"$scratch/prompts.jsonl" 2>/dev/null
same "the same prompts" \
    "$(sqlite3 "$whole" "SELECT prompt_hash FROM sample WHERE task = 'gsm8k' ORDER BY doc_id")" \
    "$(sed 's/.*"prompt_hash": "\([0-9a-f]*\)".*/\1/' "$scratch/prompts.jsonl")"
assay run $arguments $as_gemma --system-as drop --show-prompt 1 --json >"$scratch/shown" 2>/dev/null
same "and as many tokens" \
    "$(sqlite3 "$whole" "SELECT n_prompt_tokens FROM sample WHERE doc_id = 1 ORDER BY task DESC")" \
    "$(sed 's/.*"prompts": \[{"choice": [^,]*, "n_context": \([0-9]*\).*/\1/' "$scratch/shown")"

# An interrupted run goes on as it began, and not with another template.
dump_rows "$whole" "$id" >"$scratch/expected"
cp "$whole" "$scratch/half.sqlite"
sqlite3 "$scratch/half.sqlite" "UPDATE sample SET state = 'pending', system_place = NULL
    WHERE doc_id > 0; UPDATE run SET state = 'running';"
assay resume --store "$scratch/half.sqlite" >/dev/null 2>"$scratch/err" ||
    bad "resume" "$(cat "$scratch/err")"
dump_rows "$scratch/half.sqlite" "$id" >"$scratch/actual"
cmp -s "$scratch/expected" "$scratch/actual" && good "the same rows" ||
    bad "the same rows" "$(diff "$scratch/expected" "$scratch/actual" | head -5)"
printf '{{ bos_token }}<start_of_turn>' >"$scratch/own.jinja"
assay run $arguments --chat-template "$scratch/own.jinja" --system-as prepend-user \
    --system "Be right." --fewshot-as-multiturn false --store "$scratch/own.sqlite" >/dev/null 2>&1
same "what was recorded" "gemma|$(sha256sum <"$scratch/own.jinja" | cut -c 1-64)|Be right.|prepend-user|one turn" \
    "$(sqlite3 "$scratch/own.sqlite" 'SELECT format, template_sha256, system_text, system_as, fewshot_as FROM run_chat')"
same "with the user" 6 "$(sqlite3 "$scratch/own.sqlite" "SELECT count(*) FROM sample WHERE system_place = 'user'")"
printf '{{ bos_token }}<start_of_turn> ' >"$scratch/own.jinja"
sqlite3 "$scratch/own.sqlite" "UPDATE run SET state = 'running'; UPDATE sample SET state = 'pending'"
assay resume --store "$scratch/own.sqlite" >/dev/null 2>"$scratch/err"
same "another template" 3 $?
grep -q 'its chat template (SHA-256) was' "$scratch/err" && good "is named" ||
    bad "is named" "$(cat "$scratch/err")"

# Without a model a chat is its messages.
assay prompts --task mmlu_virology --num-fewshot 1 --limit 1 --chat --system X >"$scratch/line" 2>&1
same "roles" "system user assistant user" \
    "$(sqlite3 :memory: "SELECT group_concat(json_extract(value, '\$.role'), ' ') FROM json_each(readfile('$scratch/line'), '\$.messages')")"
grep -q '"context": null' "$scratch/line" && good "no context" || bad "no context"
assay prompts --task gsm8k --show-prompt >/dev/null 2>&1
same "ids need a vocabulary" 2 $?
assay run --model demo --tasks gsm8k --chat-template gemma --fewshot-as-multiturn maybe >/dev/null 2>&1
same "a word that is none" 2 $?
finish
