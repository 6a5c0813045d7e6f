#!/bin/sh
# make demo: every implemented task on the demo model and the demo samples, without a guard, with
# one that only watches, and with one that acts.  Usage: demo.sh PROGRAM
set -e
assay=$1
dir=build/demo
store=$dir/demo.sqlite
export OMP_WAIT_POLICY=passive # the demo shares the machine: waiting threads sleep
mkdir -p $dir
rm -f $store $store-wal $store-shm

run() {
    echo "\$ assay run --model demo --tasks mmlu,gsm8k $*" >&2
    $assay run --model demo --tasks mmlu,gsm8k --store $store "$@" >$dir/table.txt
}
run
cat $dir/table.txt
run --guard balanced --guard-mode shadow
cat $dir/table.txt
run --guard balanced --guard-mode enforce
cat $dir/table.txt
$assay report --store $store --out $dir/report.html
echo
echo "Every fact of these runs is in $store; samples and replies are in $dir/report.html."
