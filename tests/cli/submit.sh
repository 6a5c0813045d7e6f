#!/bin/sh
# `submit` against an sbatch that runs jobs here: an array of shards that ends in the merged run,
# whatever the paths are called.
. tests/cli_lib.sh
mkdir "$scratch/bin" "$scratch/a b'c \$(touch hit) %j"
cd "$scratch/a b'c \$(touch hit) %j" || exit 1
cat >"$scratch/bin/sbatch" <<'END'
#!/bin/sh
# Runs the job at once, as Slurm would later; prints its id.
printf '[%s]' "$@" >>"$SPY"; echo >>"$SPY"
[ -n "$REFUSE" ] && { echo "error: invalid partition" >&2; exit 1; }
n=0
for word in "$@"; do
    case $word in
    --array=1-*) n=${word#--array=1-} ;;
    --dependency=*) [ -n "$REFUSE_MERGE" ] && exit 1 ;;
    esac
    script=$word
done
cp "$script" "$script.spooled" # as Slurm does
i=1
while [ $i -le $n ]; do
    SLURM_ARRAY_TASK_ID=$i SLURM_CPUS_PER_TASK=1 sh "$script.spooled" >>"$LOG" 2>&1 || echo "shard $i: $?" >>"$SPY"
    i=$((i + 1))
done
[ $n = 0 ] && { sh "$script.spooled" >>"$LOG" 2>&1 || echo "merge: $?" >>"$SPY"; }
echo "$((40 + n));cluster"
END
chmod +x "$scratch/bin/sbatch"
export SPY=$scratch/spy LOG=$scratch/log
plain=$PATH
PATH=$scratch/bin:$PATH

assay run --model demo --tasks gsm8k,hellaswag --limit 5 --max-gen-toks 8 --chat-template gemma --system-as drop --system "a 'b' \$c" --store whole.sqlite >table 2>&1
assay submit --slurm 3 --store "out '1'.sqlite" --sbatch "--comment=a b" --sbatch=--time=10 \
    --model demo --tasks gsm8k,hellaswag --limit 5 --max-gen-toks 8 --chat-template gemma --system-as drop --system "a 'b' \$c" >jobs 2>said
same "submit" "0 43 40" "$? $(tr '\n' ' ' <jobs | sed 's/ $//')"
same "and says so" 1 "$(grep -c "3 shards are job 43, the merge into out '1'.sqlite is job 40" said)"
same "what sbatch was given" "[--parsable][--comment=a b][--time=10][--array=1-3][out '1'.sqlite.shards.sh]
[--parsable][--dependency=afterok:43][--kill-on-invalid-dep=yes][out '1'.sqlite.merge.sh]" "$(cat "$SPY")"
id() { sqlite3 "$1" 'SELECT run FROM run'; }
dump_rows whole.sqlite "$(id whole.sqlite)" >"$scratch/expected"
dump_rows "out '1'.sqlite" "$(id "out '1'.sqlite")" >"$scratch/actual"
[ -n "$(id whole.sqlite)" ] && cmp -s "$scratch/expected" "$scratch/actual" && good "the run in one piece" ||
    bad "the run in one piece" "$(diff "$scratch/expected" "$scratch/actual" | head -5; tail -5 "$LOG")"
same "threads are what Slurm gives" 1 "$(sqlite3 "out '1'.sqlite.shard-2" 'SELECT threads FROM run')"
same "nothing in a path was run" "" "$(find "$scratch" -name hit)"

# A shard that Slurm starts again goes on, or finds that it is done.
sqlite3 "out '1'.sqlite.shard-2" "UPDATE run SET state = 'interrupted'; DELETE FROM verdict; DELETE FROM reply;
    DELETE FROM choice_logprob; UPDATE sample SET state = 'pending'"
for again in resumed done; do
    SLURM_ARRAY_TASK_ID=2 sh "out '1'.sqlite.shards.sh" >out 2>said
    same "a shard again: $again" "0 done" "$? $(sqlite3 "out '1'.sqlite.shard-2" 'SELECT state FROM run')"
done

assay submit --slurm 3 --store "out '1'.sqlite" --model demo --tasks gsm8k >out 2>said
same "stores that are there stay" "2 1" "$? $(grep -c 'is there already' said)"
: >"$SPY"
assay submit --dry-run --slurm=2 --store new.sqlite --model 'x"y' --tasks gsm8k --threads 3 >shown 2>said
same "--dry-run writes and submits nothing" "0 0 0" "$? $(ls new* 2>/dev/null | wc -l | tr -d ' ') $(wc -l <"$SPY" | tr -d ' ')"
same "and shows what would be" "1 1 1 0" "$(grep -c -- '"$assay" run --model .x"y. --tasks gsm8k --threads 3' shown) \
$(grep -c 'sbatch --parsable --array=1-2 new.sqlite.shards.sh' shown) $(grep -c 'dependency=afterok:JOB' shown) \
$(grep -c SLURM_CPUS shown)"
sh -n shown && good "it is a script" || bad "it is a script"

REFUSE=1 assay submit --slurm 2 --store r.sqlite --model demo --tasks gsm8k >out 2>said
same "refused" "3 1" "$? $(grep -c 'sbatch refused the job (exit code 1)' said)"
REFUSE_MERGE=1 assay submit --slurm 2 --store m.sqlite --model demo --tasks gsm8k --limit 2 --max-gen-toks 2 >out 2>said
same "the merge refused" "3 1" "$? $(grep -c 'the shards are job 42 (scancel 42), but not the merge' said)"
PATH=$plain
if ! command -v sbatch >/dev/null; then
    assay submit --slurm 2 --store n.sqlite --model demo --tasks gsm8k >out 2>said
    same "no sbatch" "3 1" "$? $(grep -c 'sbatch is not here' said)"
fi
usage() { # usage ARGUMENTS...: exit code 2
    assay submit "$@" >out 2>said
    same "submit $*" 2 $?
}
usage --model demo --tasks gsm8k
usage --slurm 1 --model demo --tasks gsm8k
usage --slurm x --model demo --tasks gsm8k
usage --slurm 4 --tasks gsm8k
usage --slurm 4 --model demo --tasks gsm8k --shard 1/2
usage --slurm 4 --model demo --tasks gsm8k --store
usage --slurm 4 --store -x --model demo --tasks gsm8k
cd "$repo" || exit 1
finish
