/* sandbox_internal.h - what sandbox.c and sandbox_open.c share; nobody else includes it. */
#ifndef ASSAY_SANDBOX_INTERNAL_H
#define ASSAY_SANDBOX_INTERNAL_H

#include <sys/types.h>

#include "benchmarks/sandbox.h"
#include "benchmarks/sandbox_process.h"

#define SANDBOX_MAX_WORKERS   32
#define SANDBOX_VERDICT_BYTES 8192

struct sandbox {
    struct sandbox_options options;
    struct sandbox_info info;
    struct sandbox_setup setup;
    char bwrap[512], python[512];
    char links[3][2][64]; /* "usr/lib" and "/lib" */
    char version[256];
    struct strbuf judge, candidate, probe; /* scripts */
};

/* Closes those that are open: not negative. */
void sandbox_close_all(int *fds, size_t n);

struct rusage;

/* Kills a process group whose leader has not been waited for, and waits. */
void sandbox_end_process(pid_t *pid, int *status, struct rusage *usage);

#endif
