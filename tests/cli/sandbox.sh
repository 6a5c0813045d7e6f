#!/bin/sh
# Model-written programs from the command line: scored in a sandbox, with the interpreter in the
# store; refused, before anything is loaded or run, where code cannot be isolated.
. tests/cli_lib.sh
cd "$scratch" || exit 1

printf '{"doc_id": 0, "reply": "    return a + b\\n"}\n{"doc_id": 0, "reply": "    return a\\n"}\n' >replies.jsonl
refused() { # refused NAME ARGUMENTS...: exit code 3 and one line with the remedy
    name=$1
    shift
    said=$(PATH=/nonexistent "$build/assay" "$@" 2>&1 >out)
    same "$name: exit code" 3 $?
    same "$name: says why" 1 "$(echo "$said" | grep -c 'code cannot be isolated: bwrap is not installed: apt-get install bubblewrap')"
    same "$name: prints nothing" 0 "$(wc -c <out | tr -d ' ')"
}
refused score score --task humaneval --replies replies.jsonl
refused run run --model demo --tasks humaneval --limit 1 --store refused.sqlite
same "a refused run leaves no store" 1 "$([ ! -e refused.sqlite ] && echo 1)"
PATH=/nonexistent "$build/assay" prompts --task humaneval --limit 1 >out 2>&1
same "prompts need no sandbox" 0 $?

# A bubblewrap that cannot, and one that does not, isolate.
mkdir broken open
chmod 755 "$scratch" broken open
printf '#!/bin/sh\necho "bwrap: No permissions to create new namespace" >&2\nexit 1\n' >broken/bwrap
printf '#!/bin/sh\nwhile [ "$1" != -- ]; do shift; done\nshift\nexec "$@" 6>&6\n' >open/bwrap
chmod 755 broken/bwrap open/bwrap
said=$(PATH=$scratch/broken "$build/assay" score --task humaneval --replies replies.jsonl 2>&1)
same "no namespaces: exit code" 3 $?
same "no namespaces: says what to allow" 1 "$(echo "$said" | grep -c 'No permissions to create new namespace (allow user namespaces: sysctl')"
said=$(PATH=$scratch/open "$build/assay" score --task humaneval --replies replies.jsonl 2>&1)
same "no isolation: exit code" 3 $?
same "no isolation: says what is seen" 1 "$(echo "$said" | grep -c 'code cannot be isolated: in the sandbox, it sees /')"

if assay score --task humaneval --replies replies.jsonl --summary summary.json >scores 2>said; then
    same "two replies" 2 "$(grep -c '"task": "humaneval"' scores)"
    same "one passes" 1 "$(grep -c '"extracted": {"none": "passed"}, "metrics": {"pass@1": 1}' scores)"
    same "whose Python" 1 "$(grep -c '"interpreter": {"path": "/.*python3.*", "version": "3\..*", "sha256": "[0-9a-f]\{64\}"' summary.json)"
    same "pass@1 and pass@2" 1 "$(grep -c '"pass@1": {"value": 0.5,.*"pass@2": {"value": 1,' summary.json)"
    assay run --model demo --tasks humaneval --limit 2 --repeats 2 --temperature 0.7 --max-gen-toks 4 \
        --store s.sqlite >table 2>said
    same "run" 0 $?
    same "every reply has a verdict" 4 "$(sqlite3 s.sqlite "SELECT count(*) FROM verdict WHERE metric = 'pass@1' AND value = 0 AND extracted IS NOT NULL")"
    same "the table has pass@2" 1 "$(grep -c 'lm-eval@1.0 .*pass@2' table)"
    same "the interpreter is kept" 1 "$(sqlite3 s.sqlite "SELECT count(*) FROM run_artifact r JOIN artifact a USING (sha256) WHERE r.role = 'interpreter' AND a.name LIKE '/usr/%python3%' AND json_extract(a.meta, '\$.version') LIKE '3.%'")"
    # Where no reply of a batch came about there is nothing to run, and the samples say why.
    assay run --model demo --tasks humaneval --limit 2 --max-context 200 --store none.sqlite >table 2>said
    same "no reply, no program: incomplete" 4 $?
    same "no reply, no program: failed samples" 2 "$(sqlite3 none.sqlite "SELECT count(*) FROM sample WHERE state = 'failed'")"
    # Killed in the middle, the program leaves no candidate behind.
    marker=assay_marker_$$
    mkdir -p data/humaneval
    printf '{"task_id": "T/0", "prompt": "def %s():\\n", "entry_point": "%s", "canonical_solution": "    return 1\\n", "test": "def check(candidate):\\n    assert candidate() == 1\\n"}\n' $marker $marker >data/humaneval/HumanEval.jsonl
    printf '{"doc_id": 0, "reply": "    import time\\n    time.sleep(600)\\n"}\n' >sleep.jsonl
    alive() { grep -ls "[a]${marker#a}" /proc/[0-9]*/cmdline 2>/dev/null | wc -l | tr -d ' '; }
    "$build/assay" score --task humaneval --data data --replies sleep.jsonl >/dev/null 2>&1 &
    pid=$!
    for i in $(seq 40); do [ "$(alive)" -ge 1 ] && break; sleep 0.3; done
    same "the candidate runs" 1 "$([ "$(alive)" -ge 1 ] && echo 1)"
    kill -9 $pid
    wait $pid 2>/dev/null
    for i in $(seq 40); do [ "$(alive)" = 0 ] && break; sleep 0.3; done
    same "and dies with the program" 0 "$(alive)"
else
    same "refuses with one line" 1 "$(grep -c 'code cannot be isolated' said)"
    echo "  skipped: $(cat said)"
fi
cd "$repo" || exit 1
finish
