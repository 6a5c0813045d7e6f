#!/bin/sh
# LoRA adapters from outside: every command that takes one, several runs on one base, a run that is
# taken up again, and adapters that are refused.
. tests/cli_lib.sh
cd "$scratch" || exit 1
make_adapter() { python3 "$repo/tests/make_adapter.py" "$@"; }
make_adapter one --seed 1 && make_adapter one.gguf --seed 1 && make_adapter two --seed 2 --rank 3 ||
    bad "adapters are made"
store() { sqlite3 s.sqlite "$1"; }

# ---- what it does to a model ----
echo '[2,5,9,100,7,33]' >ids.json
for adapter in none one one.gguf two; do
    option=
    [ $adapter = none ] || option="--adapter $adapter"
    assay logits --model demo $option --tokens ids.json --out $adapter.f32 || bad "logits, $adapter"
done
cmp -s one.f32 one.gguf.f32 && good "both kinds of files" || bad "both kinds of files"
cmp -s one.f32 none.f32 && bad "an adapter changes logits" || good "an adapter changes logits"
cmp -s one.f32 two.f32 && bad "another one does otherwise" || good "another one does otherwise"
plain=$(assay generate --model demo --max-tokens 12 "How many is 3 and 4?")
adapted=$(assay generate --model demo --adapter one --max-tokens 12 "How many is 3 and 4?")
[ "$plain" != "$adapted" ] && good "generate" || bad "generate" "$plain / $adapted"

assay convert demo merged.gguf --type F32 --adapter one 2>/dev/null &&
    assay logits --model merged.gguf --tokens ids.json --out merged.f32 || bad "merged"
same "merged, as beside the weights" close "$(python3 -c '
import array
a, b = (array.array("f", open(name, "rb").read()) for name in ("one.f32", "merged.f32"))
print("close" if len(a) == len(b) and max(abs(x - y) for x, y in zip(a, b)) < 2e-4 else "apart")')"

# ---- runs ----
arguments="--model demo --tasks gsm8k,hellaswag --limit 2 --max-gen-toks 12 --threads 1"
assay run $arguments --adapter none,one --adapter two --store s.sqlite >out 2>err ||
    bad "a run for each" "$(cat err)"
same "three runs" 3 "$(store 'SELECT count(*) FROM run')"
same "of which two have an adapter" "one
two" "$(store "SELECT a.name FROM run_artifact JOIN artifact a USING (sha256)
               WHERE role = 'adapter' ORDER BY 1")"
same "and its facts" '4|8' "$(store "SELECT json_extract(meta, '\$.rank'), json_extract(meta, '\$.alpha')
                              FROM artifact WHERE name = 'one'")"
same "the table names them" 2 "$(grep -c 'adapter \(one\|two\), sha256' out)"
same "the same weights" 1 "$(store 'SELECT count(DISTINCT weights_sha256) FROM run')"
assay run $arguments --store alone.sqlite >/dev/null 2>&1
assay run $arguments --adapter two --store alone.sqlite >/dev/null 2>&1
rows() { dump_rows "$1" "$2" | grep -v '^[0-9a-f]*|' ; }
# run_of STORE NAME: the run with this adapter, or without one.
run_of() {
    sqlite3 "$1" "SELECT run FROM run LEFT JOIN run_artifact USING (run)
                  LEFT JOIN artifact a ON a.sha256 = run_artifact.sha256 AND role = 'adapter'
                  GROUP BY run HAVING coalesce(max(a.name), 'none') = '$2'"
}
for adapter in none two; do
    same "$adapter as alone" "$(rows alone.sqlite "$(run_of alone.sqlite $adapter)")" \
        "$(rows s.sqlite "$(run_of s.sqlite $adapter)")"
done
assay compare "$(run_of s.sqlite none)" "$(run_of s.sqlite two)" --store s.sqlite >out 2>err
grep -q 'with two' out && good "compare names it" || bad "compare names it" "$(cat out err)"

# ---- taken up again ----
assay run $arguments --tasks gsm8k --limit 16 --adapter one --store killed.sqlite >/dev/null 2>err &
pid=$!
for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
    grep -q 'assay: run' err 2>/dev/null && break
    sleep 0.1
done
sleep 0.1
kill -9 $pid 2>/dev/null
wait $pid 2>/dev/null
cp -r one one.kept
make_adapter one --seed 5
assay resume --store killed.sqlite >out 2>err
same "another adapter under its name: refused" 3 $?
grep -q 'its adapter one is no longer what it was' err && good "and said" || bad "and said" "$(cat err)"
rm -r one && mv one.kept one
assay resume --store killed.sqlite >out 2>err || bad "resumed" "$(cat err)"
same "done" done "$(sqlite3 killed.sqlite 'SELECT state FROM run')"
assay run $arguments --tasks gsm8k --limit 16 --adapter one --store whole.sqlite >/dev/null 2>&1
same "the rows of one that was not" \
    "$(rows whole.sqlite "$(sqlite3 whole.sqlite 'SELECT run FROM run')")" \
    "$(rows killed.sqlite "$(sqlite3 killed.sqlite 'SELECT run FROM run')")"

# ---- looked at ----
assay inspect one >out || bad "inspect" "$(cat out)"
grep -q '^format        peft, a LoRA adapter' out && grep -q '^rank          4, alpha 8$' out &&
    grep -q '^matrices      21: down_proj, q_proj, v_proj$' out &&
    good "inspect, PEFT" || bad "inspect, PEFT" "$(cat out)"
same "inspect, GGUF" 'gguf 4 21' "$(assay inspect one.gguf --json |
    python3 -c 'import json,sys; d=json.load(sys.stdin); print(d["format"], d["adapter"]["rank"], d["adapter"]["matrices"])')"

# ---- refused: one line, exit code 3, nothing in the store ----
refuse() { # refuse NAME TEXT ARGUMENTS...
    name=$1 text=$2
    shift 2
    assay "$@" >out 2>err
    same "$name: exit code" 3 $?
    same "$name: one line" 1 "$(wc -l <err)"
    grep -qF "$text" err && good "$name" || bad "$name" "$(cat err)"
}
refuse "no such adapter" "nothing" run $arguments --adapter nothing --store none.sqlite
refuse "one of two is missing" "nothing" run $arguments --adapter one,nothing --store none.sqlite
[ -e none.sqlite ] && bad "no store was made" || good "no store was made"
refuse "an adapter is no model" "is an adapter: name its base" generate --model one.gguf hello
refuse "a folder neither" "is an adapter: name its base" generate --model one hello
refuse "a model is no adapter" "general.type" generate --model demo \
    --adapter "$repo/datasets/demo/model.gguf" hello
"$build/tests/make_model" --format gguf --shape tiny other.gguf
refuse "another base" "it was made for another base" logits --model other.gguf --adapter one \
    --tokens ids.json --out none.f32
cp -r one dora
printf '{"r": 4, "use_dora": true}' >dora/adapter_config.json
refuse "DoRA" 'field "use_dora" is set' generate --model demo --adapter dora hello
assay inspect dora >out && grep -q '^runs here     no: .*use_dora' out &&
    good "which inspect tells" || bad "which inspect tells" "$(cat out)"
head -c 20000 one/adapter_model.safetensors >cut && mv cut dora/adapter_model.safetensors
printf '{"r": 4}' >dora/adapter_config.json
refuse "a file cut short" "adapter_model.safetensors" generate --model demo --adapter dora hello
finish
