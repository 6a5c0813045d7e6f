#!/bin/sh
# Every command that README.md shows runs: the lines of its ```sh blocks that start with "assay",
# in order, in one scratch folder.
. tests/cli_lib.sh
sed -n '/^```sh$/,/^```$/p' README.md | grep '^assay ' >"$scratch/commands"
same "README.md shows commands" 1 "$([ -s "$scratch/commands" ] && echo 1)"
for target in $(sed -n '/^```sh$/,/^```$/p' README.md | sed -n 's/^make \([a-z]*\).*/\1/p'); do
    grep -q "^$target:" Makefile && good "make $target" || bad "make $target is not in the Makefile"
done
# What a user brings: two adapters for the demo model.
for adapter in lora-one lora-two; do
    python3 tests/make_adapter.py "$scratch/$adapter" || bad "$adapter is made"
done
cd "$scratch" || exit 1
while IFS= read -r command; do
    output=$(sh -c "$command" 2>&1 </dev/null)
    code=$?
    [ $code = 0 ] && good "$command" || bad "$command" "exit code $code: $output"
done <commands
cd "$repo" || exit 1
finish
