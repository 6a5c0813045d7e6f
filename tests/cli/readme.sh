#!/bin/sh
# Every command that README.md shows runs: the lines of its ```sh blocks that start with "assay",
# in order, in one scratch folder.  So does every query of the ```sql blocks of reports/README.md, on
# the store that they leave.
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
sed -n '/^```sql$/,/^```$/p' "$repo/reports/README.md" |
    awk '/^```sql/ { n++; next } /^```/ { next } { print > ("query" n) }'
for query in query*; do
    output=$(sqlite3 assay.sqlite <"$query" 2>&1)
    code=$?
    [ $code = 0 ] && [ -n "$output" ] && good "$query" || bad "$query: $(cat "$query")" "exit code $code: $output"
done
same "reports/README.md shows queries" 3 "$(ls query* | wc -l)"
cd "$repo" || exit 1
finish
