#!/bin/sh
# Layer check: who may include whom, and the one home of each third-party header.
# Quoted includes are always written from the repository root, never "../".
rc=0

allow() { # allow MODULE OTHER... : MODULE may include itself and the others, nothing else
    module=$1
    allowed=$(echo "$*" | tr ' ' '|')
    grep -RnE --include='*.[ch]' '^ *# *include "' "$module" |
        grep -vE "include \"($allowed)/" && rc=1
}
allow engine/base
allow engine
allow datasets    engine/base
allow reports     engine/base
allow classifiers engine
allow benchmarks  engine classifiers datasets reports

only_in() { # only_in HEADER FILE : a third-party header has one home
    grep -RlE --include='*.[ch]' "^ *# *include <$1>" engine classifiers datasets reports benchmarks |
        grep -vE "^($2)$" && rc=1
}
only_in 'curl/curl.h'             'engine/base/http(_download)?.c'
only_in 'cjson/cJSON.h'           engine/base/json.c
only_in 'pcre2.h'                 engine/base/regex.c
only_in 'utf8proc.h'              engine/base/utf8.c
only_in 'openssl/.*'              engine/base/sha256.c
only_in 'zlib.h'                  datasets/file_reader.c
only_in 'sqlite3.h'               reports/results_store.c
only_in '(immintrin|arm_neon).h'  'engine/kernels/kernels_[a-z0-9_]+.[ch]'

# Nothing below benchmarks/cli/ prints or exits; these calls have bounded twins.
banned() { # banned REGEX WHERE...
    regex=$1; shift
    grep -RnE --include='*.[ch]' "(^|[^a-zA-Z0-9_.>])($regex)\(" "$@" && rc=1
}
banned 'strcpy|strcat|sprintf|strtok|gets|atoi|atof' engine classifiers datasets reports benchmarks
banned 'printf|puts|putchar|exit|_exit|abort|perror' classifiers datasets reports \
    $(ls -d engine/* | grep -v '^engine/base$') $(ls benchmarks/*.c benchmarks/tasks/*.c 2>/dev/null)

[ $rc = 0 ] && echo "layers: ok"
exit $rc
