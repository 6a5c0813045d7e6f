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

#include "engine/kernels/kernels.h"

struct machine {
    const struct kernel_set *kernels;
    const struct kernel_peak *peak; /* of the set, or NULL */
    int n_threads;
    const char *compute;   /* what `operations` counts: "f32", "bf16" or "int8" products */
    double operations;     /* per second, all threads; a multiply-add counts as two */
    double read_bandwidth; /* bytes per second from memory, all threads */
    void *memory;          /* what is read: far larger than any cache, in huge pages if there are */
    size_t n_bytes;
};

/* `compute` names the kind of products; one that the kernel set has no loop for is "f32". */
status_code machine_init(struct machine *machine, const struct kernel_set *kernels,
                         const char *compute, int n_threads, struct status *st) MUST_CHECK;
void machine_release(struct machine *machine);

/* Measures both once more and keeps the better figures. */
void machine_sample(struct machine *machine);

/* "model name" of /proc/cpuinfo; empty where the system does not tell. */
void machine_cpu_name(char *out, size_t size);

#endif
