#!/bin/sh
# Broken model files, tokenizers and data: one line that names the file, exit 3, the store intact.
. tests/cli_lib.sh
cd "$scratch" || exit 1
demo=$repo/datasets/demo
assay run --model demo --tasks gsm8k --limit 1 --max-gen-toks 4 --store kept.sqlite >/dev/null 2>&1
before=$(dump_rows kept.sqlite "$(sqlite3 kept.sqlite 'SELECT run FROM run')" | sha256sum)

refused() { # refused NAME FILE ARGUMENTS...: exit 3 and one line that names FILE
    name=$1 file=$2
    shift 2
    output=$(assay "$@" 2>&1 </dev/null)
    code=$?
    if [ $code = 3 ] && [ "$(echo "$output" | wc -l)" = 1 ]; then
        case $output in *"$file"*) good "$name" ;; *) bad "$name" "$output" ;; esac
    else
        bad "$name" "exit $code: $output"
    fi
}
refused_model() { refused "$1" "${3:-$2}" run --model "$2" --tasks gsm8k --limit 1 --store kept.sqlite; }
refused_data() { refused "$1" "$2" run --model demo --tasks "$3" --data data --store kept.sqlite; }

size=$(wc -c <"$demo/model.gguf")
for bytes in 0 3 4 20 1000 100000 $((size / 2)) $((size - 1)); do
    head -c $bytes "$demo/model.gguf" >cut.gguf
    refused_model "a model cut at $bytes bytes" cut.gguf
done
sed 's/tokenizer.ggml.tokens/tokenizer.ggml.tokenz/' "$demo/model.gguf" >nokey.gguf
refused_model "a missing key" nokey.gguf
sed 's/blk.0.attn_q.weight/blk.0.attn_z.weight/' "$demo/model.gguf" >notensor.gguf
refused_model "a missing tensor" notensor.gguf
sed 's/general.architecture/general.architecturf/' "$demo/model.gguf" >noarch.gguf
refused_model "no architecture" noarch.gguf
mkdir directory
refused_model "an empty folder" directory
mkdir hf && echo '{"model_type": "gemma"}' >hf/config.json
refused_model "a config without shapes" hf hf/config.json
echo '{"model_type": "mamba"}' >hf/config.json
refused_model "an unknown architecture" hf hf/config.json
echo '{"model_type": "gemma", "hidden_size": 1e99}' >hf/config.json
refused_model "a size beyond reason" hf hf/config.json
mkfifo pipe.gguf
refused_model "a pipe" pipe.gguf

mkdir tok && echo '{"model": {"type": "BPE", "vocab": {"a": 7}, "merges": []}}' >tok/tokenizer.json
refused "a vocabulary with holes" tokenizer.json tokenize --model tok
echo '{"model": {"type": "Unigram", "vocab": []}}' >tok/tokenizer.json
refused "an unsupported tokenizer" tokenizer.json tokenize --model tok
rm tok/tokenizer.json && printf '\012\377\377\377\377\377\377\377\377\377\377\001' >tok/tokenizer.model
refused "a broken tokenizer.model" tokenizer.model tokenize --model tok

mkdir -p data/gsm8k data/mmlu/dev data/mmlu/test
cp "$demo/gsm8k/train.jsonl" data/gsm8k/
refused_data "no test split" gsm8k/test.jsonl gsm8k
: >data/gsm8k/test.jsonl
refused_data "an empty test split" gsm8k/test.jsonl gsm8k
printf '{"question": "a", "answer": "b"}\n{"question": ' >data/gsm8k/test.jsonl
refused_data "half a line" gsm8k/test.jsonl gsm8k
printf '{"question": "a"}\n' >data/gsm8k/test.jsonl
refused_data "a missing field" gsm8k/test.jsonl gsm8k
printf '{"question": "\377", "answer": "b"}\n' >data/gsm8k/test.jsonl
refused_data "text that is not UTF-8" gsm8k/test.jsonl gsm8k
cp "$demo"/mmlu/dev/virology_dev.csv data/mmlu/dev/
printf 'a,b,c,d,e,F\n' >data/mmlu/test/virology_test.csv
refused_data "a label that is no choice" virology_test.csv mmlu_virology
printf 'a,b,c,d,A\n' >data/mmlu/test/virology_test.csv
refused_data "too few columns" virology_test.csv mmlu_virology
printf '"a,b,c,d,e,A\n' >data/mmlu/test/virology_test.csv
refused_data "a quote that never ends" virology_test.csv mmlu_virology
refused_data "missing subjects" mmlu/ mmlu

after=$(dump_rows kept.sqlite "$(sqlite3 kept.sqlite 'SELECT run FROM run')" | sha256sum)
same "the store is as it was" "$before" "$after"
# A link, such as /dev/stdout, is written through: a file in its place would be there for everybody.
printf '{"doc_id": 0, "reply": "#### 1"}\n' >replies.jsonl
ln -s summary.json link
assay score --task gsm8k --replies replies.jsonl --summary link >/dev/null 2>&1
same "a link stays a link" 1 "$([ -L link ] && grep -c '"n": 1' summary.json)"
cd "$repo" || exit 1
finish
