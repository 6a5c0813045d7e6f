#!/bin/sh
# A remote classifier that fails in every way, under a run: nothing is lost, nothing is scored 0, and
# what was answered is never asked again.
. tests/cli_lib.sh
cd "$scratch" || exit 1
command -v python3 >/dev/null || { echo "  skipped: python3 is not here"; good; finish; }

# Answers by what the text's length leaves over 6: twice well, then HTML, half a JSON, 400, a score
# that is none.  Every 5th request is first told to wait.  "all" as path answers all well; "own" does
# after a moment, with a score of the text's own.
cat >server.py <<'END'
import http.server, json, sys, time, zlib
names = "TOXICITY SEVERE_TOXICITY PROFANITY THREAT INSULT IDENTITY_ATTACK SEXUALLY_EXPLICIT".split()
class Handler(http.server.BaseHTTPRequestHandler):
    n = 0
    def say(self, status, kind, body, *headers):
        self.send_response(status)
        for name, value in (("Content-Type", kind), ("Content-Length", str(len(body)))) + headers:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
    def do_POST(self):
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        Handler.n += 1
        open("asked", "a").write("x\n")
        if self.path == "/mixed" and Handler.n % 5 == 0:
            return self.say(429, "text/plain", b"slowly", ("Retry-After", "0"))
        rest = len(request["comment"]["text"]) % 6 if self.path == "/mixed" else 0
        value = 0.25
        if self.path == "/own":
            time.sleep(0.03)
            value = zlib.crc32(request["comment"]["text"].encode()) % 997 / 997
        good = {"attributeScores": {n: {"summaryScore": {"value": value}} for n in names}}
        if rest < 2: self.say(200, "application/json", json.dumps(good).encode())
        elif rest == 2: self.say(200, "text/html", b"<h1>later</h1>")
        elif rest == 3: self.say(200, "application/json", b'{"attributeScores": {"TOX')
        elif rest == 4: self.say(400, "application/json", b'{"error": "COMMENT_EMPTY"}')
        else:
            good["attributeScores"]["INSULT"]["summaryScore"]["value"] = -1
            self.say(200, "application/json", json.dumps(good).encode())
    def log_message(self, *_): pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
open("port.new", "w").write(str(server.server_port))
import os; os.rename("port.new", "port")
server.serve_forever()
END
python3 server.py &
server=$!
trap 'kill $server 2>/dev/null; rm -rf "$scratch"' EXIT
for _ in 1 2 3 4 5 6 7 8 9 10; do [ -s port ] || sleep 0.3; done
url=http://127.0.0.1:$(cat port)

evaluate() { # evaluate PATH: a run whose toxicity the server judges
    assay run --model demo --tasks realtoxicityprompts --limit 6 --repeats 3 --max-gen-toks 8 \
        --toxicity-classifier "perspective:$url/$1" --store s.sqlite >out 2>&1
}
evaluate mixed
same "a run with texts that were not scored is incomplete" 4 $?
sql() { sqlite3 s.sqlite "$1"; }
same "every reply is there" 18 "$(sql 'SELECT count(*) FROM reply')"
same "every reply is scored or says why" 0 "$(sql "SELECT count(*) FROM reply r WHERE NOT EXISTS
    (SELECT 1 FROM hazard_score h WHERE h.run = r.run AND h.doc_id = r.doc_id AND h.repeat = r.repeat
     AND (h.probability = 0.25 OR (h.probability IS NULL AND h.error <> '')))")"
[ "$(sql 'SELECT count(*) FROM hazard_score WHERE error IS NOT NULL')" -gt 0 ] && good || bad "no text failed"
same "nothing is scored 0" 0 "$(sql 'SELECT count(*) FROM hazard_score WHERE probability = 0')"
same "and no metric takes a failure for 0" 0 "$(sql "SELECT count(*) FROM verdict
    WHERE metric = 'toxicity' AND value IS NOT NULL AND value <> 0.25")"

# Only what failed is asked again, and answers are kept with their time.
kept=$(sql 'SELECT count(*) FROM remote_score')
[ "$kept" -gt 0 ] && good || bad "nothing is kept"
same "with their time" "$kept" "$(sql "SELECT count(*) FROM remote_score WHERE scored_at LIKE '20__-%Z'")"
texts='{"text": "one text"}
{"text": "another"}
{"text": "one text"}'
rm -f asked
echo "$texts" | assay classify --classifier perspective --endpoint "$url/all" --store s.sqlite >out
same "a text is asked about once" "3 2" "$(grep -c '"toxicity": 0.25' out) $(wc -l <asked | tr -d ' ')"
rm -f asked
echo "$texts" | assay classify --classifier "perspective:$url/all" --store s.sqlite >out
same "and not again" "3 0" "$(grep -c '"toxicity": 0.25' out) $(cat asked 2>/dev/null | wc -l | tr -d ' ')"
echo "$texts" | ASSAY_REMOTE_QUOTA=1 assay classify --classifier "perspective:$url/all" >out
same "over the quota a text is not scored" "1 2" "$(grep -c '"toxicity": 0.25' out) $(grep -c 'quota of requests is spent' out)"

# As a guard: what was not judged is blocked, and an event says why.
echo "{\"name\": \"p\", \"version\": 1, \"classifiers\": [\"perspective:$url/mixed\"], \"refusal\": \"No.\",
    \"input\": {\"thresholds\": {\"toxicity\": 0.9}, \"action\": \"refuse\"},
    \"output\": {\"thresholds\": {\"toxicity\": 0.9}, \"action\": \"refuse\"}}" >p.json
rm -f g.sqlite
assay run --model demo --tasks gsm8k --num-fewshot 0 --limit 5 --max-gen-toks 24 --guard p.json \
    --guard-mode enforce --store g.sqlite >out 2>&1
same "the run goes on" 0 $?
guard() { sqlite3 g.sqlite "SELECT count(*) FROM guard_event WHERE $1"; }
[ "$(guard "verdict = 'error'")" -gt 0 ] && [ "$(guard "verdict = 'allow'")" -gt 0 ] && good ||
    bad "no failure, or nothing passed" "$(cat out)"
same "a failure is closed and says why" 0 \
    "$(guard "verdict = 'error' AND (action <> 'block' OR policy_rule IS NULL OR policy_rule NOT LIKE '%perspective/%')")"
same "what passed was scored" 0 "$(guard "verdict = 'allow' AND NOT EXISTS (
    SELECT 1 FROM hazard_score h WHERE h.doc_id = guard_event.doc_id AND h.stage = guard_event.stage
        AND h.category = 'toxicity' AND h.probability = 0.25)")"
same "nothing of what was blocked was delivered" 0 "$(sqlite3 g.sqlite "SELECT count(*) FROM reply r
    JOIN guard_event e USING (task, doc_id) WHERE e.verdict = 'error' AND r.delivered IS NOT 'No.'")"

# Several requests under way change no answer, no order and no row.
for i in $(seq 40); do echo "{\"text\": \"text $i\", \"prompt\": \"p\", \"toxicity\": $((i % 2))}"; done >texts.jsonl
echo '{"name": "q", "version": 1, "classifiers": ["perspective:'"$url"'/own"], "refusal": "No.",
    "input": {"thresholds": {"toxicity": 0.5}, "action": "refuse"},
    "output": {"thresholds": {"toxicity": 0.5}, "action": "refuse"}}' >q.json
same_result() { # same_result FILE: FILE.1 and FILE.4
    [ -s "$1.1" ] && cmp -s "$1.1" "$1.4" && good || bad "$1 with one and with four" "$(diff "$1.1" "$1.4" | head -5)"
}
for n in 1 4; do
    export ASSAY_REMOTE_PARALLEL=$n
    assay classify --classifier "perspective:$url/own" <texts.jsonl >classified.$n || bad "classify, $n"
    assay classify --classifier "perspective:$url/own" --store c.$n <texts.jsonl | cmp -s - classified.$n &&
        good || bad "classify with a store, $n"
    assay guard-eval --classifier "perspective:$url/own" --data texts.jsonl --json >out || bad "guard-eval, $n"
    tr ',' '\n' <out | grep -v seconds >eval.$n
    assay guard-eval --policy q.json --stage output --prompt-column prompt --labels any=toxicity \
        --data texts.jsonl --json >out 2>err || bad "guard-eval of a policy, $n" "$(cat err)"
    tr ',' '\n' <out | grep -v seconds >policy.$n
    assay run --model demo --tasks gsm8k,mmlu --num-fewshot 0 --limit 3 --max-gen-toks 24 --guard q.json \
        --guard-mode enforce --store rows.$n >out 2>&1 || bad "run, $n" "$(cat out)"
    dump_rows rows.$n "$(sqlite3 rows.$n 'SELECT run FROM run')" >dump.$n
done
unset ASSAY_REMOTE_PARALLEL
same "every line has an answer of its own" 40 "$(sort -u classified.4 | wc -l | tr -d ' ')"
for f in classified eval policy dump; do same_result $f; done
[ "$(sqlite3 rows.4 "SELECT count(DISTINCT verdict) FROM guard_event")" -gt 1 ] && good || bad "one verdict for all"
cd "$repo" || exit 1
finish
