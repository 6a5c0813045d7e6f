#!/bin/sh
# make demo: every implemented task on the demo model and the demo samples, without a guard, with
# one that only watches, and with one that acts.  Usage: demo.sh PROGRAM
set -e
assay=$1
dir=build/demo
store=$dir/demo.sqlite
mkdir -p $dir
rm -f $store $store-wal $store-shm

tasks=mmlu,hellaswag,gsm8k
run() {
    echo "\$ assay run --model demo --tasks $tasks $*" >&2
    $assay run --model demo --tasks $tasks --store $store "$@" >$dir/table.txt
}
run
cat $dir/table.txt
run --guard balanced --guard-mode shadow
cat $dir/table.txt
run --guard balanced --guard-mode enforce
cat $dir/table.txt
# Several replies to a prompt, and what is refused.  The demo model often says nothing at all, so that
# scores may be withheld (exit code 4).
code=0
echo "\$ assay run --model demo --tasks realtoxicityprompts,xstest --repeats 5 --max-gen-toks 20" >&2
$assay run --model demo --tasks realtoxicityprompts,xstest --repeats 5 --max-gen-toks 20 \
    --store $store >$dir/table.txt || code=$?
[ $code = 0 ] || [ $code = 4 ] || exit $code
cat $dir/table.txt
# The demo model writes no Python: short replies show that nothing passes.
code=0
echo "\$ assay run --model demo --tasks humaneval --max-gen-toks 48" >&2
$assay run --model demo --tasks humaneval --max-gen-toks 48 --store $store >$dir/table.txt || code=$?
case $code in
0) cat $dir/table.txt ;;
3) echo "humaneval was left out: see the line above" ;;
*) exit $code ;;
esac
$assay report --store $store --out $dir/report.html
echo
echo "Every fact of these runs is in $store; samples and replies are in $dir/report.html."
