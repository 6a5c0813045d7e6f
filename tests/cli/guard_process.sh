#!/bin/sh
# A run whose guard is a model in a process of its own, and that process killed, stopped, or
# answering NaN in the middle: what it did not judge is closed and says why, and everything else has
# the bits of an undisturbed run.
. tests/cli_lib.sh
cd "$scratch" || exit 1
command -v python3 >/dev/null && command -v pgrep >/dev/null || { echo "  skipped: python3 or pgrep is not here"; good; finish; }

cat >asks.json <<'END'
{"name": "asks", "version": 1, "licence": "x", "source": "x",
 "prompt": [{"bos": true}, {"text": "Q: "}, {"slot": "prompt"}, {"text": "\n"}, {"slot": "policy"}],
 "response": [{"bos": true}, {"text": "Q: "}, {"slot": "prompt"}, {"text": "\nA: "}, {"slot": "response"},
              {"text": "\n"}, {"slot": "policy"}],
 "unsafe": ["A"], "safe": ["B"],
 "policies": [{"category": "unsafe", "prompt": "Is it?", "response": "Is that?"}]}
END
policy() { # policy MODEL [FIELDS]
    echo "{\"name\": \"p\", \"version\": 1, \"classifiers\": [\"guard:asks.json=$1\"], \"refusal\": \"No.\",
        \"input\": {\"thresholds\": {\"unsafe\": 0.9999}, \"action\": \"refuse\"$2},
        \"output\": {\"thresholds\": {\"unsafe\": 0.9999}, \"action\": \"stop\", \"check_every_tokens\": 4$2}}" >p.json
}
evaluate() { # evaluate STORE
    rm -f "$1"
    exec assay run --model demo --tasks gsm8k --num-fewshot 0 --limit 16 --max-gen-toks 48 --guard p.json \
        --guard-mode enforce --store "$1" >out 2>&1
}

# What a run says of every document, and of those that another run judged too.
rows() { # rows STORE [OTHER]
    sqlite3 "$1" "ATTACH '${2:-$1}' AS o;
        CREATE TEMP VIEW judged AS SELECT doc_id FROM main.sample
            WHERE doc_id NOT IN (SELECT doc_id FROM o.guard_event WHERE verdict = 'error');
        SELECT doc_id, hex(text), hex(delivered), finish_reason FROM main.reply NATURAL JOIN judged ORDER BY 1;
        SELECT doc_id, stage, verdict, action, response, n_checks FROM main.guard_event NATURAL JOIN judged
            ORDER BY 1, 2;
        SELECT doc_id, stage, category, printf('%!.17g %!.17g', logit, peak) FROM main.hazard_score
            NATURAL JOIN judged ORDER BY 1, 2, 3;
        SELECT doc_id, metric, extraction, value, outcome FROM main.verdict NATURAL JOIN judged ORDER BY 1, 2, 3"
}
sql() { sqlite3 hit "$1"; }

# The store `hit` of a run in which something happened: $1 names it, $2 is in every reason.
closed() {
    errors=$(sql "SELECT count(*) FROM guard_event WHERE verdict = 'error'")
    [ "$errors" -gt 0 ] && [ "$errors" -lt 16 ] && good || bad "$1: $errors errors" "$(cat out)"
    same "$1: the run is done" "done 16" "$(sql 'SELECT state FROM run') $(sql 'SELECT count(*) FROM sample
        WHERE state IN ('"'done', 'blocked'"')')"
    same "$1: closed, with the reason" 0 "$(sql "SELECT count(*) FROM guard_event WHERE verdict = 'error'
        AND (action <> 'block' OR policy_rule NOT LIKE '%$2%')")"
    same "$1: no score" 0 "$(sql "SELECT count(*) FROM guard_event e JOIN hazard_score h USING (doc_id, stage)
        WHERE e.verdict = 'error' AND e.n_checks = 1 AND (h.logit IS NOT NULL OR h.probability IS NOT NULL OR h.error IS NULL)")"
    same "$1: nothing of it is shown" 0 "$(sql "SELECT count(*) FROM reply r JOIN guard_event e USING (doc_id)
        WHERE e.verdict = 'error' AND e.n_checks = 1 AND r.delivered IS NOT 'No.'")"
    same "$1: all else as ever" "$(rows clean hit)" "$(rows hit)"
}

cp "$repo/datasets/demo/model.gguf" guard.gguf
policy guard.gguf
(evaluate clean)
same "an undisturbed run" "done 0" "$(sqlite3 clean "SELECT (SELECT state FROM run), count(*) FROM guard_event
    WHERE verdict = 'error'" | tr '|' ' ')"

# The guard's process is stopped, so that the run waits for it, and then killed.
disturb() { # disturb SIGNAL
    (evaluate hit) &
    run=$!
    worker=
    for _ in $(seq 200); do
        worker=$(pgrep -P $run 2>/dev/null | head -1)
        [ -n "$worker" ] && break
        sleep 0.02
    done
    [ -n "$worker" ] && kill -STOP "$worker" 2>/dev/null
    sleep 1
    [ "$1" = KILL ] && kill -KILL "$worker" 2>/dev/null
    wait $run
}
disturb KILL
closed killed "signal 9"

policy guard.gguf ', "budget_ms": 4000'
disturb STOP
closed stopped "longer than 4000 ms"
same "stopped: it timed out" "$(sql "SELECT count(*) FROM guard_event WHERE verdict = 'error'")" \
    "$(sql 'SELECT count(*) FROM guard_event WHERE timed_out')"

# A word of one question has NaN for its embedding (a block of Q8_0 begins with its scale, an f16).
assay prompts --task gsm8k --num-fewshot 0 --limit 16 >prompts.jsonl
python3 -c 'import json
for line in open("prompts.jsonl"): print(json.dumps({"text": json.loads(line)["context"]}))' >texts.jsonl
assay tokenize --model demo <texts.jsonl >ids.jsonl
cat >poison.py <<'END'
import json, struct
ids = [set(json.loads(line)["ids"]) for line in open("ids.jsonl")]
word = next(t for t in sorted(ids[7]) if sum(t in i for i in ids) == 1)
data = bytearray(open("guard.gguf", "rb").read())
at = 8
def take(form):
    global at
    value = struct.unpack_from("<" + form, data, at)[0]
    at += struct.calcsize("<" + form)
    return value
def text():
    global at
    n = take("Q")
    at += n
    return bytes(data[at - n:at])
def value(kind):
    if kind == 8: return text()
    if kind == 9:
        kind, n = take("I"), take("Q")
        for _ in range(n): value(kind)
        return None
    return take({0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}[kind])
n_tensors, n_pairs, align = take("Q"), take("Q"), 32
for _ in range(n_pairs):
    key, v = text(), value(take("I"))
    if key == b"general.alignment": align = v
tensors = {}
for _ in range(n_tensors):
    name, dims = text(), [take("Q") for _ in range(take("I"))]
    tensors[name] = (dims, take("I"), take("Q"))
start = (at + align - 1) // align * align
dims, kind, offset = tensors[b"token_embd.weight"]
assert kind == 8, "the embedding is not Q8_0"
row = dims[0] // 32 * 34
for block in range(dims[0] // 32):
    struct.pack_into("<H", data, start + offset + word * row + block * 34, 0x7e00)
open("nan.gguf", "wb").write(data)
END
python3 poison.py || bad "a model with a NaN"
policy nan.gguf
(evaluate hit)
closed NaN "NaN"
same "NaN: of that question" 7 "$(sql "SELECT min(doc_id) FROM guard_event WHERE stage = 'input' AND verdict = 'error'")"
cd "$repo" || exit 1
finish
