#!/bin/sh
# convert and inspect from outside: any layout of a model converts to the same logits, sources stay
# as they are, and what cannot be read or written is one line and exit 3.
. tests/cli_lib.sh
make_model=$build/tests/make_model
cd "$scratch" || exit 1
echo '[2, 5, 300, 301, 17, 200, 44, 45, 46, 47, 48, 3]' >ids.json

logits() { assay logits --model "$1" --tokens ids.json --out "$2" 2>err || bad "logits of $1" "$(cat err)"; }
refused() { # refused NAME WORD ARGUMENTS...: exit 3 and one line that holds WORD
    name=$1 word=$2
    shift 2
    output=$(assay "$@" 2>&1 </dev/null)
    code=$?
    if [ $code = 3 ] && [ "$(echo "$output" | wc -l)" = 1 ]; then
        case $output in *"$word"*) good "$name" ;; *) bad "$name" "$output" ;; esac
    else
        bad "$name" "exit $code: $output"
    fi
}

for type in f32 f16 bf16; do
    options="--shape tiny --type $type --heads 6 --kv-heads 2 --head-dim 32 --seed 3"
    $make_model --format safetensors --shards 3 $options sharded >/dev/null || bad "make_model $type"
    logits sharded source
    assay convert sharded same.gguf --type $type 2>err || bad "convert to $type" "$(cat err)"
    logits same.gguf same
    cmp -s source same && good || bad "$type to $type"
    assay convert same.gguf again.gguf --type F32 2>err || bad "from GGUF" "$(cat err)"
    logits again.gguf again
    cmp -s source again && good || bad "$type to F32"
    rm -r sharded
done

assay convert again.gguf q8.gguf --type Q8_0 2>err || bad "convert to Q8_0" "$(cat err)"
same "types are said" 1 "$(assay inspect q8.gguf | grep -c 'attention *Q8_0')"
same "and memory is predicted" 1 "$(assay inspect q8.gguf --context 100 --json |
    grep -c '"memory": {"context": 100')"
assay convert "$repo/datasets/demo/model.gguf" q4.gguf --type q4_k 2>err || bad "q4_k" "$(cat err)"
same "the demo in Q4_K runs" 1 "$(assay inspect q4.gguf | grep -c '^runs here  *yes')"
before=$(sha256sum q4.gguf)

head -c 100000 q4.gguf >cut.gguf
refused "a source that is cut" cut.gguf convert cut.gguf q4.gguf --type F16
refused "a source that is not there" nothing convert nothing q4.gguf --type F16
refused "a folder without a config" config.json convert . q4.gguf --type F16
mkdir unknown && echo '{"model_type": "mamba"}' >unknown/config.json
refused "a family that cannot run" mamba convert unknown q4.gguf --type F16
refused "a target that cannot be written" "nowhere/x.gguf" convert q8.gguf nowhere/x.gguf --type F16
same "the file that was there" "$before" "$(sha256sum q4.gguf)"
same "and nothing beside it" 0 "$(ls ./*.part 2>/dev/null | wc -l)"

refused "inspecting a cut file" cut.gguf inspect cut.gguf
refused "inspecting nothing" nothing inspect nothing
mkdir empty
refused "inspecting an empty folder" "no model and no tokenizer" inspect empty
finish
