#!/bin/sh
# What the Makefile says where something that it needs is missing: once, before anything is compiled.
. tests/cli_lib.sh
unset MAKEFLAGS MFLAGS MAKELEVEL BUILD PKG_CONFIG_PATH
mkdir "$scratch/none" "$scratch/most"

without() { PKG_CONFIG_LIBDIR=$1 make -n "$2" 2>&1; }
told() { # NAME OUTPUT TEXT
    case $2 in *"$3"*) good ;; *) bad "$1" "$2" ;; esac
}

output=$(without "$scratch/none" all)
same "no library, no build" 1 "$(printf '%s\n' "$output" | wc -l)"
for package in libcurl4-openssl-dev libcjson-dev libsqlite3-dev libpcre2-dev zlib1g-dev libssl-dev \
    libutf8proc-dev; do
    told "$package" "$output" " $package"
done
told "the way out" "$output" "make deps"
told "help needs none" "$(without "$scratch/none" help)" "expand -t 12"
told "nor does deps" "$(without "$scratch/none" deps)" 'tests/install_packages.sh gcc make pkg-config'

# All but one.
for folder in $(pkg-config --variable pc_path pkg-config | tr : ' '); do
    cp "$folder"/*.pc "$scratch/most" 2>/dev/null
done
rm "$scratch/most/libpcre2-8.pc" "$scratch/most/cunit.pc"
told "one library" "$(without "$scratch/most" all)" 'missing: libpcre2-8 (Debian: libpcre2-dev)'
told "and one for the tests" "$(without "$scratch/most" check)" \
    'missing: libpcre2-8 cunit (Debian: libpcre2-dev libcunit1-dev)'
finish
