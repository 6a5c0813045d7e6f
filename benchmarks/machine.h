/* machine.h - what this machine can do at all: arithmetic and reading memory.
 *
 *   machine_init() -> machine_sample() between the things that are measured -> the best so far
 *
 * The bounds that a model's speed is set beside.  Other programs and the machine's host slow
 * everything down from time to time; so a sample is short, samples are taken in between what is
 * measured, and the best one is the bound.
 */
#ifndef ASSAY_MACHINE_H
#define ASSAY_MACHINE_H

#include <stddef.h>
#include <stdint.h>

#include "engine/kernels/kernels.h"

struct machine {
    const struct kernel_set *kernels;
    const struct kernel_peak *peak; /* of the set, or NULL */
    int n_threads;
    const char *compute;   /* what `operations` counts: "f32", "bf16" or "int8" products */
    double operations;     /* per second, all threads; a multiply-add counts as two */
    double read_bandwidth; /* bytes per second from memory, all threads */
    const uint64_t
        *memory; /* what is read: far larger than any cache, in huge pages if there are */
    size_t n_bytes;
    uint64_t sum; /* of what was read: nothing is read for nobody */
    void *own;    /* the memory, unless it is the caller's */
};

/* What to measure with. */
struct machine_options {
    const struct kernel_set *kernels;
    const char
        *compute; /* the kind of products; one that the kernel set has no loop for is "f32" */
    int n_threads;
    /* What reading is measured on, 64 MB or more and aligned; or too little, for memory of its own.
     * Pages differ: under a host with several memory controllers some are twice as far away as
     * others, so a bound for reading weights is measured on the weights. */
    const void *memory;
    size_t n_bytes;
};

status_code machine_init(struct machine *machine, const struct machine_options *options,
                         struct status *st) MUST_CHECK;
void machine_release(struct machine *machine);

/* Measures both once more and keeps the better figures. */
void machine_sample(struct machine *machine);

/* "model name" of /proc/cpuinfo; empty where the system does not tell. */
void machine_cpu_name(char *out, size_t size);

#endif
