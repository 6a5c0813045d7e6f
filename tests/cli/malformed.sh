#!/bin/sh
# Every kind of broken model file says its own line (tests/fixtures/malformed.txt), names the file and
# ends with exit code 3.
. tests/cli_lib.sh
lines=$repo/tests/fixtures/malformed.txt
cd "$scratch" || exit 1
echo '[1]' >ids.json

# says NAME LINE COMMAND...: exit code 3 and exactly this line.
says() {
    name=$1 expected=$2
    shift 2
    output=$(assay "$@" 2>&1 </dev/null)
    same "$name" "3 assay: $expected" "$? $output"
}

# ---- one fault in a small whole file ----
for fault in $("$build/tests/make_faulty" list); do
    line=$(sed -n "s/^$fault | assay: //p" "$lines")
    case $fault in
        GGUF_* | KV_* | TENSOR*)
            "$build/tests/make_faulty" "$fault" bad.gguf
            says "$fault" "$line" logits --model bad.gguf --tokens ids.json --out out.f32
            ;;
        *)
            "$build/tests/make_faulty" "$fault" bad.safetensors
            says "$fault" "$line" inspect bad.safetensors
            ;;
    esac
done
same "every line has its fault" "$("$build/tests/make_faulty" list | wc -l)" "$(grep -c ' | ' "$lines")"

# ---- folders ----
"$build/tests/make_model" --format safetensors --type bf16 --shape tiny --shards 2 folder
says_folder() { says "$1" "$2" logits --model folder --tokens ids.json --out out.f32; }
mv folder/model-00002-of-00002.safetensors kept
says_folder SHARD_MISSING \
    'folder/model.safetensors.index.json: shard folder/model-00002-of-00002.safetensors is not there: fetch it too'
head -c 5000 kept >folder/model-00002-of-00002.safetensors
says_folder SHARD_CUT 'folder/model-00002-of-00002.safetensors: tensor "model.layers.1.self_attn.q_proj.weight" ends at byte 16512 of the data and the file has 3960: it is incomplete, fetch it again'
# A weight in a type that holds no weights: the name and the type are as long, so the header stays.
sed 's/"BF16"/"I16" /g' kept >folder/model-00002-of-00002.safetensors
says_folder WEIGHT_OF_WRONG_DTYPE \
    'folder: tensor "model.norm.weight" has dtype I16, which cannot be read'
sed 's/model.norm.weight/model.norn.weight/' kept >folder/model-00002-of-00002.safetensors
says_folder WEIGHT_MISNAMED \
    'folder/model.safetensors.index.json: tensor "model.norm.weight" is not in its shard model-00002-of-00002.safetensors'
cp kept folder/model-00002-of-00002.safetensors
sed 's/"hidden_size": *64/"hidden_size": 32/' folder/config.json >config && mv config folder/config.json
says_folder WEIGHT_OF_WRONG_SHAPE \
    'folder: tensor "model.embed_tokens.weight" has 2 dimensions (512, 64), the config asks for (512, 32)'

# ---- files that are cut short after they were opened ----
# The pipe holds the program back until its model is mapped; then the file loses its end.
mkfifo pipe
cut_in_use() { # NAME MODEL FILE
    assay logits --model "$2" --tokens ids.json --out pipe --type f32 2>err &
    pid=$!
    for i in $(seq 200); do
        grep -q "/$(basename "$3")" /proc/$pid/maps 2>/dev/null && break
        sleep 0.05
    done
    truncate -s 4096 "$3"
    cat pipe >/dev/null
    wait $pid
    same "$1" "3 1" "$? $(grep -c "^assay: .*$(basename "$3"): was cut short while it was in use" err)"
    [ -p pipe ] && good "$1: the pipe stays" || bad "$1: the pipe stays"
}
"$build/tests/make_model" --format gguf --type f32 --shape tiny mapped.gguf
"$build/tests/make_model" --format safetensors --type f32 --shape tiny mapped
cut_in_use GGUF_CUT_IN_USE mapped.gguf mapped.gguf
cut_in_use SAFETENSORS_CUT_IN_USE mapped mapped/model.safetensors

# ---- vocabularies in GGUF ----
"$build/tests/make_model" --format gguf --type f32 --shape tiny whole.gguf
gguf_vocabulary() { # NAME SED-EXPRESSION LINE
    sed "$2" whole.gguf >bad.gguf
    says "$1" "bad.gguf: $3" tokenize --model bad.gguf
    says "$1 (logits)" "bad.gguf: $3" logits --model bad.gguf --tokens ids.json --out out.f32
}
gguf_vocabulary GGUF_PIECE_TWICE 's/<unk>/<bos>/' 'tokenizer.ggml.tokens: piece "<bos>" is there twice, as 2 and 3'
gguf_vocabulary GGUF_BYTE_HOLE 's/<0x41>/<0x4g>/' \
    'tokenizer.ggml.tokens: piece 69 "<0x4g>" has type byte, expected "<0x00>" to "<0xFF>"'
gguf_vocabulary GGUF_NO_PIECES 's/ggml.tokens/ggml.tokenz/' 'key "tokenizer.ggml.tokens" is missing'
gguf_vocabulary GGUF_NO_SCORES 's/ggml.scores/ggml.scored/' 'key "tokenizer.ggml.scores" is missing'
gguf_vocabulary GGUF_NO_TYPES 's/ggml.token_type/ggml.token_typo/' 'key "tokenizer.ggml.token_type" is missing'

# ---- tokenizers ----
mkdir tok
says_tokenizer() { says "$1" "tok/tokenizer.$2" tokenize --model tok; }
bpe() { # bpe VOCABULARY MERGES [UNKNOWN]
    printf '{"decoder": {"type": "Replace", "pattern": {"String": "\342\226\201"}, "content": " "},
"model": {"type": "BPE", "unk_token": "%s",
"vocab": {%s}, "merges": [%s]}}' "${3:-a}" "$1" "$2" >tok/tokenizer.json
}
bpe '"a": 7' ''
says_tokenizer VOCABULARY_HOLE 'json: model.vocab: no piece has id 0, though larger ids are used'
bpe '"a": 0, "b": 0' ''
says_tokenizer VOCABULARY_ID_TWICE 'json: model.vocab: id 0 belongs to two pieces, "a" and "b"'
bpe '"a": 0, "b": 1' '"a b"'
says_tokenizer MERGE_INTO_NOTHING 'json: model.merges: merge 0, of "a" and "b": "ab" is not in the vocabulary'
bpe '"a": 0' '"a c"'
says_tokenizer MERGE_OF_NOTHING 'json: model.merges: merge 0, of "a" and "c": "c" is not in the vocabulary'
printf '{"model": ' >tok/tokenizer.json
says_tokenizer TOKENIZER_CUT 'json: not valid JSON at line 1 column 10'
# Rules that lead back to their own parts are no fault: they end, since no merge is undone.
bpe '"a": 0, "aa": 1, "": 2, "u": 3' '"a a", ["", "a"], ["a", ""], ["aa", ""]' u
same MERGE_CYCLE '{"ids": [1, 0]}' "$(echo '{"text": "aaa"}' | timeout 10 assay tokenize --model tok)"
rm tok/tokenizer.json && printf '\012\377\377\377\377\377\377\377\377\377\377\001' >tok/tokenizer.model
says_tokenizer VARINT_TOO_LONG 'model: the varint at byte 1 does not fit in 64 bits'
printf '\012\177\012\001a' >tok/tokenizer.model
says_tokenizer PIECE_CUT 'model: the message ends inside a field, at byte 2'
printf '\012\003\012\001a' >tok/tokenizer.model
says_tokenizer UNKNOWN_MISSING 'model: no piece has type unknown'
rm tok/tokenizer.model
says_vocab() { says "$1" "tok/vocab.txt: $2" tokenize --model tok; }
printf '[PAD]\n[UNK]\n[CLS]\n[SEP]\na\na\n' >tok/vocab.txt
says_vocab LINE_TWICE 'piece "a" is there twice, as 4 and 5'
printf '[PAD]\n[CLS]\n[SEP]\na\n' >tok/vocab.txt
says_vocab LINE_UNKNOWN_MISSING 'the vocabulary has neither an unknown piece nor byte pieces'
finish
