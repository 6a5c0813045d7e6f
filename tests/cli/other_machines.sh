#!/bin/sh
# Kernels of other machines: cross-compiled, and run against the portable twin in an emulator.
# A set is known only to programs for its machine.
#
# Threads are not tried here, since the engine needs libraries that are seldom installed for two
# machines.  With them at hand, whole forward passes (BF16 and Q8_0, the sets neon and generic, linked
# either way, GNU OpenMP waiting actively and passively) gave the same bits with 1, 2 and 4 threads
# in qemu-user 7.2, and none of 50 runs with 2 threads hung.  Threads share counters with sequential
# consistency, and activations behind OpenMP barriers: nothing relies on the order of stores on x86.
. tests/cli_lib.sh

machine=$(uname -m)
compiler=aarch64-linux-gnu-gcc
emulator=$(command -v qemu-aarch64-static || command -v qemu-aarch64)

case $machine in
aarch64) foreign=avx2 ;;
*) foreign=neon ;;
esac
said=$(assay generate --model demo --kernels $foreign --max-tokens 1 hello 2>&1)
code=$?
same "$foreign is not for this machine" \
    "2 assay: there are no kernels \"$foreign\"; try auto or generic" "$code $said"

# in_emulator TEST: builds it for 64-bit Arm and runs it.
in_emulator() {
    made=$(env -u MAKEFLAGS -u MFLAGS -u MAKEOVERRIDES make -s CC=$compiler BUILD=cross CFLAGS= \
        "build/cross/tests/cross/$1" 2>&1) || { bad "$1 for aarch64 compiles" "$made"; return; }
    out=$("$emulator" "build/cross/tests/cross/$1" 2>&1)
    code=$?
    [ $code = 0 ] || echo "$out"
    same "$1 on aarch64" 0 "$code"
}

if [ "$machine" = aarch64 ]; then
    echo "  skipped: kernels of aarch64 in an emulator: this machine runs them itself"
elif ! command -v $compiler >/dev/null || [ -z "$emulator" ]; then
    echo "  skipped: kernels of aarch64: $compiler or qemu-aarch64-static is not here"
else
    in_emulator test_kernels
    # A set that the emulated processor lacked would not have been tested.
    same "neon was tested" "set neon" "$(echo "$out" | grep '^set neon')"
    in_emulator test_packed
fi
finish
