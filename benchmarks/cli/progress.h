/* progress.h - what `run` and `resume` show while they work, and how Ctrl-C reaches them.
 *
 * On a terminal one line is rewritten; elsewhere a line is printed every ten seconds.  The first
 * Ctrl-C (or SIGTERM) asks the runner to stop after the batch in flight; the second kills.
 */
#ifndef ASSAY_CLI_PROGRESS_H
#define ASSAY_CLI_PROGRESS_H

#include "benchmarks/cli/print_table.h"
#include "benchmarks/runner.h"

/* Ctrl-C and SIGTERM ask to stop from here on; and whether one came.  `user` is not looked at. */
void progress_listen_for_signals(void);
bool progress_should_stop(void *user);

/* Runs runner_work() under a progress line, then prints the table of the run to stdout and what
 * is missing to stderr.  Returns the command's exit code. */
int progress_work(struct runner *runner, struct store *store, enum table_format format);

#endif
