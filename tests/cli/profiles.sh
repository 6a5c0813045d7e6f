#!/bin/sh
# Protocols from outside: a profile changes the prompt, shots are left out where a protocol says so,
# groups of languages, and what cannot be asked for.
. tests/cli_lib.sh

assay prompts --task mmlu --profile hendrycks --limit 1 >"$scratch/out" 2>/dev/null
same "two spaces" 5 "$(grep -c 'about  [a-z]' "$scratch/out")"
same "mgsm in three languages" 24 "$(assay prompts --task mgsm_native_cot 2>/dev/null | wc -l | tr -d ' ')"
assay prompts --task mgsm_direct --num-fewshot 8 >/dev/null 2>"$scratch/err"
same "mgsm has no examples" 2 $?
assay prompts --task xstest --profile helm >/dev/null 2>"$scratch/err"
same "no such profile" 2 $?

# Five shots of 700 words each do not fit 2048 tokens: some are left out, none is cut in the middle.
mkdir -p "$scratch/data/mmlu/dev" "$scratch/data/mmlu/test"
echo '{"mmlu_subjects": ["virology"]}' >"$scratch/data/manifest.json"
words=$(seq 1 350 | sed 's/.*/w a/' | tr '\n' ' ')
for i in 1 2 3 4 5; do
    echo "Shot $i $words?,a,b,c,d,B"
done >"$scratch/data/mmlu/dev/virology_dev.csv"
echo 'Which?,1,2,3,4,A' >"$scratch/data/mmlu/test/virology_test.csv"
assay run --model demo --tasks mmlu --profile hendrycks --data "$scratch/data" \
    --store "$scratch/h.sqlite" >/dev/null 2>"$scratch/err" || bad "run" "$(cat "$scratch/err")"
same "the first shots stay" 1 "$(sqlite3 "$scratch/h.sqlite" "SELECT count(*) FROM prompt WHERE text LIKE 'The following%Shot 1 %' AND text NOT LIKE '%Shot 5 %'")"
same "not above 2048 tokens" 1 "$(sqlite3 "$scratch/h.sqlite" 'SELECT n_prompt_tokens BETWEEN 600 AND 2048 FROM sample')"

# Both extractions stand beside each other.
printf '%s\n' '{"doc_id": 0, "reply": "The answer is 7"}' >"$scratch/replies.jsonl"
assay score --task gsm8k_cot --replies "$scratch/replies.jsonl" >"$scratch/out" 2>/dev/null
same "a rule that finds nothing" 1 "$(grep -c '"strict-match": "\[invalid\]", "flexible-extract": "7"' "$scratch/out")"
finish
