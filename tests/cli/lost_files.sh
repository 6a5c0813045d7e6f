#!/bin/sh
# A model's file that is cut short, or written to, while a run uses it: one line that names it, exit
# code 3, the finished batches in the store; and with the file back, resume ends as if nothing had
# been.
. tests/cli_lib.sh
cd "$scratch" || exit 1
whole=$repo/datasets/demo/model.gguf
# Sixteen replies to each, so that a batch has four documents.
arguments="--tasks gsm8k --limit 16 --repeats 16 --max-gen-toks 10 --threads 1"
rows() { dump_rows "$1" "$(sqlite3 "$1" 'SELECT run FROM run')"; }

# begin STORE OPTIONS...: a run on a copy of the demo model, up to its first finished document.
begin() {
    store=$1
    shift
    cp "$whole" model.gguf
    assay run --model model.gguf $arguments "$@" --store "$store" >out 2>err &
    pid=$!
    for i in $(seq 200); do
        n=$(sqlite3 "$store" "SELECT count(*) FROM sample WHERE state = 'done'" 2>/dev/null)
        [ "${n:-0}" -gt 0 ] && return
        sleep 0.05
    done
}
# ended NAME TEXT STORE: how the run ended, and that it can be taken up again.
ended() {
    wait $pid
    same "$1: exit code" 3 $?
    same "$1: one line names the file" 1 "$(grep -c "^assay: .*model.gguf: $2" err)"
    same "$1: nothing else is said" 3 "$(grep -vc 'documents' err)"
    same "$1: the store is whole" ok "$(sqlite3 "$3" 'PRAGMA integrity_check')"
    done=$(sqlite3 "$3" "SELECT count(*) FROM sample WHERE state = 'done'")
    [ "$done" -gt 0 ] && [ "$done" -lt 16 ] && good "$1: in the middle" || bad "$1: in the middle" "$done"
    cp "$whole" model.gguf
    assay resume --store "$3" >out 2>err || bad "$1: resume" "$(cat err)"
    rows "$3" >actual
    cmp -s expected actual && good "$1: as if nothing had been" ||
        bad "$1: as if nothing had been" "$(diff expected actual | head -5)"
}

begin whole.sqlite --type f32
wait $pid
same "a run whose file stays" 0 $?
rows whole.sqlite >expected

begin cut.sqlite --type f32 # computes from the mapping
truncate -s 5000 model.gguf
ended "cut short" "was cut short while it was in use" cut.sqlite

begin written.sqlite --type f32
printf '\001' | dd of=model.gguf bs=1 seek=3000000 conv=notrunc 2>/dev/null
ended "written to" "was written to while it was in use" written.sqlite

# Replaced by another file of its name, or removed: who has it open still has all of it.
begin replaced.sqlite --type f32
printf 'another' >another && mv another model.gguf && rm model.gguf
wait $pid
same "replaced: exit code" 0 $?
rows replaced.sqlite >actual
cmp -s expected actual && good "replaced: the same rows" || bad "replaced: the same rows"
finish
