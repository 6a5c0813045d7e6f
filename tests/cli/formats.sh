#!/bin/sh
# One model in every file format gives one answer: GGUF, safetensors, shards; odd head counts; any
# number of threads.  A model at Gemma 2B's true width, two layers deep, runs too.
. tests/cli_lib.sh
make_model=$build/tests/make_model
echo '[2, 5, 300, 301, 17, 200, 44, 45, 46, 47, 48, 3, 9, 11, 13, 15, 17, 19, 21, 23]' >"$scratch/ids.json"

logits() { # logits MODEL OUT [OPTIONS]
    model=$1 out=$2
    shift 2
    assay logits --model "$model" --tokens "$scratch/ids.json" --out "$out" "$@" 2>"$scratch/err" ||
        bad "logits of $model" "$(cat "$scratch/err")"
}

for shape in "--heads 4 --kv-heads 1" "--heads 3 --kv-heads 3 --head-dim 10" \
    "--heads 6 --kv-heads 2 --head-dim 32 --ffn 96"; do
    for type in f32 f16 bf16; do
        options="--shape tiny --type $type $shape --seed 3"
        rm -rf "$scratch"/m*
        $make_model --format gguf $options "$scratch/m.gguf" >/dev/null || bad "make_model $options"
        $make_model --format safetensors $options "$scratch/m1" >/dev/null
        $make_model --format safetensors --shards 2 $options "$scratch/m2" >/dev/null
        logits "$scratch/m.gguf" "$scratch/a"
        logits "$scratch/m1" "$scratch/b" --threads 1
        logits "$scratch/m2" "$scratch/c" --threads 3
        cmp -s "$scratch/a" "$scratch/b" && good || bad "gguf and safetensors: $options"
        cmp -s "$scratch/a" "$scratch/c" && good || bad "one file and shards: $options"
    done
done

# A missing shard is named.
rm "$scratch"/m2/model-00002*
assay logits --model "$scratch/m2" --tokens "$scratch/ids.json" --out "$scratch/d" >"$scratch/err" 2>&1
same "a missing shard" 3 $?
same "is named" 1 "$(grep -c 'model-00002-of-00002.safetensors' "$scratch/err")"
same "and leaves no output" 0 "$(ls "$scratch/d" 2>/dev/null | wc -l)"

# Tokens beside a tokenizer.model: a padding token behind the embedding's rows is no hindrance, since
# no text becomes it; a token that text can spell needs its row.
rm -rf "$scratch"/m*
$make_model --format safetensors --shape tiny --vocab 4097 "$scratch/m" >/dev/null
cp tests/vectors/demo/tokenizer.model "$scratch/m"
echo '{"<x>": 4096, "[PAD]": 4097}' >"$scratch/m/added_tokens.json"
echo '{"pad_token": "[PAD]"}' >"$scratch/m/special_tokens_map.json"
same "an added token" '{"ids": [4096, 4096]}' "$(echo '{"text": "<x><x>"}' | assay tokenize --model "$scratch/m")"
logits "$scratch/m" "$scratch/d"
same "padding behind the embedding" $((20 * 4097 * 4)) "$(wc -c <"$scratch/d")"
assay convert "$scratch/m" "$scratch/m.gguf" --type F16 >"$scratch/err" 2>&1 || bad "convert" "$(cat "$scratch/err")"
same "is kept in GGUF" 1 "$(echo '{"text": "a<x>"}' | assay tokenize --model "$scratch/m.gguf" | grep -c ', 4096]')"
echo '{}' >"$scratch/m/special_tokens_map.json"
assay logits --model "$scratch/m" --tokens "$scratch/ids.json" --out "$scratch/d" >"$scratch/err" 2>&1
same "a word without a row" 3 $?
same "is told" 1 "$(grep -c 'the tokenizer has 4098 pieces, the embedding only 4097 rows' "$scratch/err")"

$make_model --format gguf --shape gemma-2b --layers 2 --vocab 4096 --type q8_0 --seed 1 \
    "$scratch/wide.gguf" >/dev/null || bad "make_model at Gemma 2B's width"
logits "$scratch/wide.gguf" "$scratch/w1" --threads 1
logits "$scratch/wide.gguf" "$scratch/w2" --threads 2
same "Gemma 2B's width" $((20 * 4096 * 4)) "$(wc -c <"$scratch/w1")"
cmp -s "$scratch/w1" "$scratch/w2" && good || bad "threads at Gemma 2B's width"
finish
