#!/bin/sh
# The price of a guard: a shadow run changes no reply, its sweep says what an enforce run at any
# threshold does, and every action of a policy leaves rows that say so.
. tests/cli_lib.sh
cd "$scratch" || exit 1

# Words that a small model says now and then, each with a weight of its own.
cat >words.json <<'END'
{"name": "common", "version": 1, "licence": "Apache-2.0", "entries": [
 {"phrase": "the", "category": "toxicity", "strength": 0.3},
 {"phrase": "are", "category": "toxicity", "strength": 0.45},
 {"phrase": "has", "category": "toxicity", "strength": 0.6},
 {"phrase": "how many", "category": "toxicity", "strength": 0.7},
 {"phrase": "total", "category": "toxicity", "strength": 0.5}]}
END

policy() { # policy STAGE THRESHOLD ACTION [FIELDS]
    every=
    [ "$1" = output ] && every=', "check_every_tokens": 5'
    echo "{\"name\": \"p\", \"version\": 1, \"classifiers\": [\"lexicon:words.json\"],
           \"$1\": {\"thresholds\": {\"toxicity\": $2}, \"action\": \"$3\"$4$every},
           \"refusal\": \"No.\"}" >p.json
}

evaluate() { # evaluate STORE [OPTIONS]
    store=$1
    shift
    assay run --model demo --tasks gsm8k --num-fewshot 0 --limit 4 --max-gen-toks 16 --store "$store" "$@" \
        >out 2>&1 || bad "run $*" "$(cat out)"
}

replies() { sqlite3 "$1" 'SELECT doc_id, hex(text), finish_reason FROM reply ORDER BY 1'; }

evaluate off.sqlite
same "a run without a guard has no price" 2 "$(assay guard-price --store off.sqlite 2>err; echo $?)"
same "and is told how to get one" 1 "$(grep -c 'guard-mode shadow' err)"

for stage in input output; do
    rm -f shadow.sqlite
    policy $stage 0.5 refuse
    evaluate shadow.sqlite --guard p.json --guard-mode shadow
    same "shadow changes no reply ($stage)" "$(replies off.sqlite)" "$(replies shadow.sqlite)"
    assay guard-price --store shadow.sqlite --sweep >sweep.jsonl || bad "the sweep"
    points=$(sqlite3 shadow.sqlite "SELECT printf('%!.17g', threshold) FROM guard_sweep
        WHERE metric = 'exact_match' AND extraction = 'strict-match' AND stage = '$stage'
          AND category = 'toxicity' ORDER BY threshold")
    [ "$(echo "$points" | wc -l)" -ge 2 ] && good || bad "few thresholds ($stage): $points"
    for t in $(echo "$points" | sed -n '1p;2p;$p' | sort -u); do
        swept=$(sqlite3 shadow.sqlite "SELECT n_blocked, enforce_mean FROM guard_sweep
            WHERE extraction = 'strict-match' AND stage = '$stage' AND category = 'toxicity'
              AND threshold = $t")
        policy $stage "$t" refuse
        rm -f enforce.sqlite
        evaluate enforce.sqlite --guard p.json --guard-mode enforce
        same "an enforce run at $t ($stage)" "$swept" "$(sqlite3 enforce.sqlite \
            "SELECT blocked_input + blocked_output, enforce_mean FROM table_row
             WHERE name = 'gsm8k' AND extraction = 'strict-match'")"
    done
    assay guard-price --store enforce.sqlite --sweep >out 2>err
    same "an enforce run has no sweep ($stage)" 2 $?
done
same "lines of JSON" "$(wc -l <sweep.jsonl)" "$(sqlite3 shadow.sqlite 'SELECT count(*) FROM guard_sweep')"

# The last shadow run, in words.
assay guard-price --store shadow.sqlite >out || bad "the price"
for word in 'Blocked good' 'gsm8k' 'p95 ms' 'Wasted' 'toxicity'; do
    grep -q "$word" out && good || bad "no \"$word\" in the price" "$(cat out)"
done
assay guard-price --store shadow.sqlite --json | grep -q '"good_blocked"' && good || bad "JSON"
assay guard-price --store shadow.sqlite --markdown | grep -q '^| ' && good || bad "Markdown"

# Every action leaves rows that say so, and shows what it says.
event() { sqlite3 enforce.sqlite "SELECT count(*) FROM guard_event WHERE stage = 'output' AND $1"; }
for action in stop regenerate; do
    rm -f enforce.sqlite
    fields=
    [ $action = regenerate ] && fields=', "attempts": 2'
    policy output 0.25 $action "$fields"
    evaluate enforce.sqlite --guard p.json --guard-mode enforce --temperature 0.9
    [ "$(event "verdict = 'block'")" -gt 0 ] && good || bad "$action: nothing fired"
    same "$action: fired means done" 0 \
        "$(event "verdict = 'block' AND response NOT IN ('$action', 'refuse')")"
done
[ "$(event "n_attempts > 0 AND n_extra_tokens > 0")" -gt 0 ] && good || bad "no reply was made again"
same "a reply that is shown in its new form is scored in it" 0 "$(sqlite3 enforce.sqlite "
    SELECT count(*) FROM guard_event e JOIN verdict v USING (run, task, doc_id, repeat)
    WHERE e.stage = 'output' AND e.response = 'regenerate' AND v.delivered_value IS NULL")"
rm -f enforce.sqlite
policy output 0.25 redact
evaluate enforce.sqlite --guard p.json --guard-mode enforce
shown=$(sqlite3 enforce.sqlite "SELECT count(*) FROM reply WHERE delivered LIKE '%[redacted]%'")
same "redacted replies are shown so" "$(event "response = 'redact'")" "$shown"
[ "$shown" -gt 0 ] && good || bad "nothing was redacted"
same "and hold none of the words" 0 "$(sqlite3 enforce.sqlite "SELECT count(*) FROM reply
    WHERE ' ' || lower(delivered) || ' ' GLOB '*[^a-z]the[^a-z]*'")"
# The presets on tasks of every kind.  Their shadow runs say what their enforce runs do, and every
# rule in them, at thresholds they do not have, what a policy of that rule alone does,
# to the bit.
several() { # several STORE [OPTIONS]
    store=$1
    shift
    rm -f "$store"
    assay run --model demo --tasks mmlu,gsm8k,realtoxicityprompts,xstest --num-fewshot 0 --limit 2 \
        --repeats 2 --max-gen-toks 40 --store "$store" "$@" >out 2>&1 || bad "run $*" "$(cat out)"
}
written() { sqlite3 "$1" "SELECT task, doc_id, repeat, hex(text), finish_reason FROM reply ORDER BY 1, 2, 3;
    SELECT task, doc_id, choice, printf('%!.17g', logprob) FROM choice_logprob ORDER BY 1, 2, 3"; }
columns="name, metric, extraction, printf('%!.17g', enforce_mean), blocked_input, blocked_output"
enforced() { sqlite3 "$1" "SELECT $columns FROM table_row ORDER BY 1, 2, 3"; }
several off.sqlite
# XSTest's refusals of safe and unsafe prompts together are neither good nor bad.
several shadow.sqlite --guard audit --guard-mode shadow
assay guard-price --store shadow.sqlite --json >price.json
same "by a metric without a direction nothing is good or bad" "4 0" "$(sqlite3 :memory: "
    SELECT count(*), count(value ->> 'good_blocked') FROM json_each(readfile('price.json'), '\$.rows')
    WHERE value ->> 'task' = 'xstest' AND value ->> 'higher_is_better' IS NULL" | tr '|' ' ')"
same "and blocks are judged by one that has it" over_refusal "$(sqlite3 :memory: "
    SELECT DISTINCT value ->> 'metric' FROM json_each(readfile('price.json'), '\$.blocked')
    WHERE value ->> 'task' = 'xstest'")"
assay compare latest latest --store shadow.sqlite >out
same "and in a comparison it has a dash" 4 "$(grep -c '^xstest .*refusal  *- ' out)"
for preset in balanced strict audit; do
    several shadow.sqlite --guard $preset --guard-mode shadow
    several enforce.sqlite --guard $preset --guard-mode enforce
    same "$preset in shadow changes nothing" "$(written off.sqlite)" "$(written shadow.sqlite)"
    same "$preset in shadow says what it does" "$(enforced enforce.sqlite)" "$(enforced shadow.sqlite)"
    for run in shadow enforce; do
        assay guard-price --store $run.sqlite --json >price.json || bad "$preset: the price of $run"
        same "$preset in $run: every k" "$(sqlite3 $run.sqlite "SELECT a.metric, a.k, a.enforced,
                CASE WHEN a.enforced OR s.off_mean IS NOT NULL THEN printf('%!.15g', a.mean) END
            FROM score_at_k a JOIN score s USING (run, task, metric, extraction) ORDER BY 1, 2, 3")" \
            "$(sqlite3 :memory: "SELECT value ->> 'metric' AS m, value ->> 'k' AS k, column1 = 'enforce' AS e,
                    CASE WHEN value ->> column1 IS NOT NULL THEN printf('%!.15g', value ->> column1) END
                FROM json_each(readfile('price.json'), '\$.best_of_k'), (VALUES ('off'), ('enforce'))
                ORDER BY 1, 2, 3")"
    done
    sqlite3 shadow.sqlite "SELECT stage, category, printf('%!.17g', max(threshold)) FROM guard_sweep
        WHERE category = 'any' OR ('$preset' = 'strict' AND
            (stage, category) IN (('input', 'sexual_explicit'), ('output', 'insult')))
        GROUP BY stage, category
        UNION SELECT stage, category, printf('%!.17g', max(threshold)) FROM group_sweep
        WHERE category = 'any' AND '$preset' = 'audit' GROUP BY stage, category" | tr '|' ' ' >rules
    same "$preset has rules" 1 "$([ "$(wc -l <rules)" -ge 2 ] && echo 1)"
    while read -r stage category threshold; do
        other=input
        [ "$stage" = input ] && other=output
        rule=$(sqlite3 :memory: "SELECT json_remove(json_set(policy, '\$.$stage.thresholds', json((
                SELECT '{' || group_concat('\"' || key || '\": $threshold') || '}'
                FROM json_each(policy, '\$.$stage.thresholds') WHERE '$category' IN ('any', key)
            ))), '\$.$other')
            FROM (SELECT readfile('$repo/classifiers/policies/$preset.json') AS policy)")
        echo "$rule" >p.json
        several enforce.sqlite --guard p.json --guard-mode enforce
        sqlite3 enforce.sqlite "ATTACH 'shadow.sqlite' AS s;
            SELECT w.name, w.metric, w.extraction,
                   w.n_blocked = t.blocked_input + t.blocked_output AND w.n_blocked > 0 AND
                   printf('%!.17g', w.mean) = printf('%!.17g', t.enforce_mean)
            FROM table_row t JOIN
                (SELECT task AS name, metric, extraction, n_blocked, enforce_mean AS mean
                 FROM s.guard_sweep WHERE stage = '$stage' AND category = '$category'
                     AND threshold = $threshold UNION ALL
                 SELECT group_name, metric, extraction, n_blocked, enforce_mean
                 FROM s.group_sweep WHERE stage = '$stage' AND category = '$category'
                     AND threshold = $threshold) w USING (name, metric, extraction)" >compared
        [ -s compared ] && same "$preset: $stage $category $threshold" "" "$(grep -v '|1$' compared)" ||
            bad "$preset: $stage $category $threshold: nothing compared"
        cat compared >>all_compared
    done <rules
done
grep -q '^mmlu|acc|' all_compared && good || bad "no sweep of a group was compared"
grep -q '|expected_maximum_toxicity|' all_compared && good ||
    bad "no sweep of the best of several replies was compared"
cd "$repo" || exit 1
finish
