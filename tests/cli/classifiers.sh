#!/bin/sh
# classify, train and guard-eval from outside: line for line, the same bytes twice, the same figures
# from a file's own numbers.
. tests/cli_lib.sh

# classify: one line out for each line in, whatever the line is.
printf '%s\n' '{"text": "You are a fucking idiot"}' 'not json' '{"text": 5}' '{"txt": "a"}' '' \
    '{"text": "The committee meets on Tuesday.", "prompt": "When?"}' '{"text": ""}' \
    >"$scratch/in.jsonl"
assay classify --classifier builtin <"$scratch/in.jsonl" >"$scratch/out.jsonl"
same "classify ends well" 0 $?
same "line for line" 7 "$(wc -l <"$scratch/out.jsonl" | tr -d ' ')"
same "errors are lines" 4 "$(grep -c '^{"error": "' "$scratch/out.jsonl")"
same "scores, logits, classifier" 3 "$(grep -cE '^\{"scores": \{"toxicity": 0\.[0-9]+.*"logits": \{"toxicity": .*"classifier": \{"id": "linear/builtin-5", "sha256": "[0-9a-f]{64}"\}\}$' "$scratch/out.jsonl")"
score=$(sed -n '1s/.*"scores": {"toxicity": \([0-9.]*\).*/\1/p' "$scratch/out.jsonl")
same "an insult is toxic" 1 "$(echo "$score > 0.9" | awk '{ print ($1 > $3) }')"

# explain: what stretches add, the constant included, sums to the logit.
echo '{"text": "You stupid cunt, sh1t h\u00e4ppens \u2014 f u c k"}' |
    assay classify --explain >"$scratch/why.json"
gap=$(tr ',' '\n' <"$scratch/why.json" | awk '
    /"logits"/ { sub(/.*"toxicity": /, ""); logit = $0 }
    /"toxicity": \[/ { inside = 1 }
    /"severe_toxicity": \[/ { inside = 0 }
    inside && /"weight"/ { sub(/.*"weight": /, ""); sub(/}.*/, ""); sum += $0 }
    END { d = sum - logit; print (d < 1e-9 && d > -1e-9) }')
same "the weights sum to the logit" 1 "$gap"

# train: a word that decides, 300 texts; the same bytes twice, also with other threads.
awk 'BEGIN { print "text,insult,spam"
    split("river table green walks music early stone paper cloud", w, " ")
    for (i = 0; i < 300; i++) {
        bad = i % 2
        line = ""
        for (k = 0; k < 6; k++) line = line w[(i * 7 + k * k * 3 + i * k) % 9 + 1] i % 17 " "
        print line (bad ? "zorgish" : "pleasant") " n" i "," bad "," 1 - bad } }' >"$scratch/t.csv"
assay train --data "$scratch/t.csv" --out "$scratch/a.bin" >"$scratch/fig" 2>"$scratch/err"
same "train ends well" 0 $?
OMP_NUM_THREADS=3 assay train --data "$scratch/t.csv" --out "$scratch/b.bin" >/dev/null 2>&1
if cmp -s "$scratch/a.bin" "$scratch/b.bin"; then good "same bytes"; else bad "same bytes"; fi
assay train --data "$scratch/t.csv" --seed 2 --out "$scratch/c.bin" >/dev/null 2>&1
if cmp -s "$scratch/a.bin" "$scratch/c.bin"; then bad "the seed counts"; else good "the seed counts"; fi
same "held-out figures" 1 "$(grep -c '^data  *insult .* 1.0000' "$scratch/fig")"
same "only hazard categories are labels" 0 "$(grep -c spam "$scratch/fig")"
assay train --data "$scratch/t.csv" --labels insult=insult,harassment=spam --refit --json \
    --out "$scratch/d.bin" 2>/dev/null >"$scratch/fig"
same "labels by name" 2 "$(grep -c '"auroc": 1,' "$scratch/fig")"
echo '{"text": "green zorgish table"}' | assay classify --classifier "linear:$scratch/d.bin" >"$scratch/o"
same "the trained one judges its categories" 1 "$(grep -c '"scores": {"insult": 0\.[0-9]*, "harassment": 0' "$scratch/o")"
cat >"$scratch/r.json" <<'EOF'
{"name": "s", "version": 1, "seed": 1, "bits": 12, "epochs": 4, "categories": ["insult"],
 "spelling": {"min_count": 2}, "sources": [{"file": "t.csv", "domain": "data", "text": "text",
 "labels": {"insult": {"column": "insult"}}}]}
EOF
assay train --recipe "$scratch/r.json" --data "$scratch" --out "$scratch/s.bin" >/dev/null 2>&1
same "a recipe with a spelling" 0 $?
for text in "green zorgish table" "grene zorgsih table" "gren zorgishh table" "gre en zorg ish table" \
    "greenzorgish table"; do
    echo "{\"text\": \"$text\"}"
done | assay classify --classifier "linear:$scratch/s.bin" >"$scratch/o"
same "misspelt words score as what they are" "5 1" \
    "$(grep -c '"logits"' "$scratch/o") $(grep -o '"logits": {[^}]*}' "$scratch/o" | sort -u | wc -l)"
assay train --data "$scratch/t.csv" --labels nonsense=insult --out "$scratch/e.bin" >"$scratch/o" 2>&1
same "a label that is no category" 2 $?
printf 'text,insult\na,1\nb,2\n' >"$scratch/bad.csv"
assay train --data "$scratch/bad.csv" --out "$scratch/e.bin" >"$scratch/o" 2>&1
same "a label that is no probability" 3 $?
same "and where, once" "assay: $scratch/bad.csv: line 3: the label 2 is not between 0 and 1" "$(cat "$scratch/o")"
printf 'text,insult,threat\na,,1\nb,no,0\n' >"$scratch/bad.csv"
assay train --data "$scratch/bad.csv" --out "$scratch/e.bin" >"$scratch/o" 2>&1
same "a column counts though its first cell is empty" \
    "assay: $scratch/bad.csv: line 3: the label \"no\" is no number" "$(cat "$scratch/o")"
assay train --data "$scratch/bad.csv" --labels insult=rude --out "$scratch/e.bin" >"$scratch/o" 2>&1
same "a column that is none, and those there are" \
    "assay: $scratch/bad.csv: line 2: there is no column \"rude\"; there are text, insult, threat" "$(cat "$scratch/o")"
if [ -e "$scratch/e.bin" ]; then bad "nothing is written"; else good "nothing is written"; fi

head -41 "$scratch/t.csv" >"$scratch/few.csv"
assay train --data "$scratch/few.csv" --labels insult --out "$scratch/e.bin" >/dev/null 2>"$scratch/o"
same "few texts are warned of" "0 1" "$? $(grep -c 'warning: .* of 40 the figures say little' "$scratch/o")"

# guard-eval: figures of the trained one on its own file, groups, and a policy.
assay guard-eval --classifier "linear:$scratch/a.bin" --data "$scratch/t.csv" --json >"$scratch/e.json" 2>"$scratch/err"
same "guard-eval ends well" 0 $?
same "and says that it was trained on this" "1 1" "$(grep -c '"trained_on_data": true' "$scratch/e.json") $(grep -c 'warning: linear/.* was trained on .*t.csv' "$scratch/err")"
assay guard-eval --data "$scratch/t.csv" --labels any=insult --json >"$scratch/o" 2>"$scratch/err"
same "another was not" "1 0" "$(grep -c '"trained_on_data": null' "$scratch/o") $(grep -c trained "$scratch/err")"
same "all in order" 1 "$(grep -c '"auroc": 1, "auprc": 1, ' "$scratch/e.json")"
same "reliability bins" 10 "$(sed 's/.*"reliability": \[\([^]]*\)\].*/\1/' "$scratch/e.json" | tr '{' '\n' | grep -c '"n":')"
assay guard-eval --data "$scratch/t.csv" --labels any=insult --group-words zorgish,river3 >"$scratch/e.txt"
same "groups by word" 1 "$(grep -c '^any  *zorgish  *150  *150 ' "$scratch/e.txt")"
assay guard-eval --data "$scratch/t.csv" --labels any=insult --group-words zorgish,averyverylonggroupword >"$scratch/e.txt"
same "names are whole, in columns" 2 "$(awk '$1 == "any" && NF == 9 && $2 ~ /^(zorgish|averyverylonggroupword)$/' "$scratch/e.txt" | wc -l)"
assay guard-eval --data "$scratch/bad.csv" --labels any=insult >"$scratch/o" 2>&1
same "a label in words" "3 1" "$? $(grep -c 'bad.csv: line 3: the label "no" is no number; say which .*--positive' "$scratch/o")"
printf 'text,insult\na,1\n,0\nb,1\n' >"$scratch/empty.csv"
assay guard-eval --data "$scratch/empty.csv" >"$scratch/o" 2>"$scratch/err"
same "a row without a text has no score" "4 1 1" \
    "$? $(grep -c '3 texts, 1 not scored' "$scratch/o") $(grep -c 'the first: a row has no text' "$scratch/err")"
echo '{"text": "a", "insult": 1}' >"$scratch/t.jsonl"
assay guard-eval --data "$scratch/t.jsonl" --text-column absent >/dev/null 2>&1
same "nor one whose member is not there" 4 $?
assay guard-eval --policy balanced --data "$scratch/t.csv" --labels any=insult >"$scratch/e.txt"
same "a policy" 1 "$(grep -c '^any  *300  *150 ' "$scratch/e.txt")"
assay guard-eval --policy audit --stage output --prompt-column text --data "$scratch/t.csv" --labels any=insult >"$scratch/e.txt"
same "a policy's output stage" 1 "$(grep -c '^any  *300  *150 ' "$scratch/e.txt")"
assay guard-eval --policy balanced --stage middle --data "$scratch/t.csv" --labels any=insult >/dev/null 2>&1
same "a stage that is none" 2 $?
assay guard-eval --policy balanced --data "$scratch/t.csv" --labels insult=insult >/dev/null 2>&1
same "a policy has one verdict" 2 $?
assay guard-eval --data "$scratch/t.csv" --text-column absent --labels any=insult >"$scratch/o" 2>&1
same "a column that is not there" 3 $?

# What a guard model is asked, against the golden texts.
echo '{"text": "{response}", "prompt": "{prompt}"}' | assay classify --show-guard llama-guard-3 |
    jq -j '.asks[0].text' >"$scratch/asked" 2>/dev/null
if ! command -v jq >/dev/null; then echo "  skipped: jq is not here"; good "no jq"
elif cmp -s "$scratch/asked" tests/vectors/guards/llama-guard-3.response.txt; then good "golden"
else bad "golden"; fi
echo '{"text": "<end_of_turn>"}' | assay classify --show-guard shieldgemma >"$scratch/o"
same "four questions" 4 "$(grep -o '"category"' "$scratch/o" | wc -l | tr -d ' ')"
assay classify --show-guard none </dev/null >"$scratch/o" 2>&1
same "a guard that is none" 3 $?

# A probe on a model's hidden states: the same bytes whatever the threads, and its own model only.
model=$repo/datasets/demo/model.gguf
head -61 "$scratch/t.csv" >"$scratch/small.csv"
assay train --data "$scratch/small.csv" --probe demo --pool mean --out "$scratch/p.json" >"$scratch/fig" 2>"$scratch/err"
same "a probe is trained" 0 $?
same "with held-out figures" 1 "$(grep -cE '^data +insult +[0-9]+ +[0-9]+ +[01]\.' "$scratch/fig")"
OMP_NUM_THREADS=3 assay train --data "$scratch/small.csv" --probe "$model" --pool mean --out "$scratch/q.json" >/dev/null 2>&1
if cmp -s "$scratch/p.json" "$scratch/q.json"; then good "the same probe"; else bad "the same probe"; fi
echo '{"text": "river zorgish"}' | assay classify --classifier "probe:$scratch/p.json=$model" >"$scratch/o"
same "and scores" 1 "$(grep -c '"scores": {"insult": 0\.[0-9]*}.*"id": "probe/trained@' "$scratch/o")"
assay train --data "$scratch/small.csv" --probe demo --pool sum --out "$scratch/q.json" >/dev/null 2>&1
same "a pool that is none" 2 $?

# agreement between classifiers, and what others report.
assay guard-eval --classifier "linear:$scratch/a.bin" --data "$scratch/t.csv" --against builtin,lexicon \
    >"$scratch/e.txt"
same "agreement of each pair" 3 "$(grep -cE '^insult  .* 300 ' "$scratch/e.txt")"
assay guard-eval --classifier "linear:$scratch/a.bin" --data "$scratch/t.csv" --against builtin --json |
    grep -c '"agreement": \[{"label": "insult", "first": "linear/[a-z0-9-]*", "second": "linear/builtin-5", "n": 300' >"$scratch/n"
same "agreement as JSON" 1 "$(cat "$scratch/n")"
assay guard-eval --published >"$scratch/e.txt"
same "published figures of guards" 1 "$(grep -cE '^OpenAI Moderation +ShieldGemma 9B +optimal F1 +0.821 ' "$scratch/e.txt")"
same "with their sources" 1 "$(grep -c '^\[1\] ShieldGemma model card' "$scratch/e.txt")"
assay list classifiers >"$scratch/e.txt"
same "and what they judge" 14 "$(grep -c ' a category: ' "$scratch/e.txt")"
same "guards in the list" 13 "$(grep -c ' guard:.*=MODEL; templates [0-9a-f]' "$scratch/e.txt")"

# A policy's verdict on texts from elsewhere, and what would be shown of them.
cat >"$scratch/redact.json" <<'END'
{"name": "r", "version": 1, "classifiers": ["builtin"], "refusal": "No.",
 "output": {"thresholds": {"toxicity": 0.5, "insult": 0.5, "obscene": 0.5}, "action": "redact"}}
END
shown() { sed 's/.*"delivered": "\(.*\)", "scores".*/\1/' "$1"; }
cat >"$scratch/rude.jsonl" <<'END'
{"text": "You are a stupid fucking idiot and I hate you. The weather is nice today, and we will go to the beach."}
{"text": "A quiet afternoon in the garden."}
END
assay classify --policy "$scratch/redact.json" --stage output <"$scratch/rude.jsonl" >"$scratch/o"
same "a reply is redacted, another passes" '{"verdict": "block", "response": "redact"
{"verdict": "allow", "response": "none"' "$(cut -d, -f1,2 "$scratch/o")"
same "no more than it takes" "1 0 1" "$(shown "$scratch/o" | grep -c 'weather is nice today, and we will go to the beach.$') \
$(shown "$scratch/o" | grep -ci 'fucking\|\[redacted\] \[redacted\]') $(shown "$scratch/o" | grep -c '^A quiet afternoon in the garden.$')"
shown "$scratch/o" | sed 's/.*/{"text": "&"}/' | assay classify --policy "$scratch/redact.json" --stage output >"$scratch/p"
same "and what is shown passes" 2 "$(grep -c '"verdict": "allow"' "$scratch/p")"
head -1 "$scratch/rude.jsonl" | assay classify --policy strict >"$scratch/o"
same "a prompt is refused, with the reason" 1 "$(grep -c '^{"verdict": "block", "response": "refuse", "category": "[a-z_]*", "probability": 0\.9[0-9]*, "threshold": 0\.[0-9]*, "classifier": "linear/builtin-5", "delivered": "I can' "$scratch/o")"
assay classify --policy "$scratch/redact.json" </dev/null >"$scratch/o" 2>&1
same "a stage that the policy has not" 2 $?
assay classify --policy strict --explain </dev/null >/dev/null 2>&1
same "a policy explains nothing" 2 $?
printf '{"name": "l", "version": 1, "classifiers": ["lexicon:none.json"], "input": {"thresholds": {"toxicity": 0.5}, "action": "refuse"}, "refusal": "No."}' >"$scratch/none.json"
assay classify --policy "$scratch/none.json" </dev/null >"$scratch/o" 2>&1
same "a classifier that does not open" "3 1" "$? $(grep -c 'classifiers"\[0\]' "$scratch/o")"

# Somebody who gives one line, waits for its answer, and then gives the next.
mkfifo "$scratch/in" "$scratch/out"
one_answer() { timeout 60 sh -c 'read -r line && echo "$line"' <&4; }
echo_lines() { # echo_lines NAME COMMAND: two lines, each answered before the next is given
    name=$1
    shift
    "$@" <"$scratch/in" >"$scratch/out" &
    exec 3>"$scratch/in" 4<"$scratch/out"
    for i in 1 2; do
        echo '{"text": "you are an idiot"}' >&3
        [ -n "$(one_answer)" ] && good || bad "$name: answer $i does not come"
    done
    exec 3>&- 4<&-
    wait $!
}
echo_lines "one line at a time" assay classify
echo_lines "and of a tokenizer" assay tokenize --model demo
printf '{"text": "a"}\n\n{"text": "b"}' | assay classify >"$scratch/o"
same "a last line without its end, an empty one" "3 1" "$(wc -l <"$scratch/o") $(grep -c '"error"' "$scratch/o")"
finish
