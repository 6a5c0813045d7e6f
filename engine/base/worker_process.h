/* worker_process.h - a function in a process of its own: it may crash or hang, its caller goes on.
 *
 *   worker_process_create() -> worker_process_ask() many times -> worker_process_free()
 *
 * A `worker_process` is forked from its caller, so it has all that was there when it started (the
 * mapped weights of a model among it) and shares nothing that changes afterwards.  It answers one
 * request at a time.  When it dies, or does not answer in time and is ended, the request fails with
 * a reason, and the next request starts another one.  It ends with its caller, however that ends.
 *
 *   struct worker_process *worker;
 *   if (worker_process_create(&worker, serve, user, st) != STATUS_OK) ...
 *   if (worker_process_ask(worker, request, 2.5, &answer, st) != STATUS_OK) ...
 *   worker_process_free(worker);
 *
 * Threads may share a worker; they wait for each other.  The worker serves on a thread of its own,
 * so that OpenMP makes its team anew there: a team does not survive a fork.
 */
#ifndef ASSAY_BASE_WORKER_PROCESS_H
#define ASSAY_BASE_WORKER_PROCESS_H

#include "engine/base/strbuf.h"
#include "engine/base/text.h"

struct worker_process; /* opaque */

/* Runs in the worker: appends the answer to a request.  `user` is the caller's, as it was when the
 * worker started. */
typedef void worker_serve_fn(void *user, struct text request, struct strbuf *answer);

/* Starts the first worker. */
status_code worker_process_create(struct worker_process **out, worker_serve_fn *serve, void *user,
                                  struct status *st) MUST_CHECK;
void worker_process_free(struct worker_process *worker);

/* Appends the answer to *answer, which bounds it.  STATUS_TIMEOUT when it took longer than
 * `seconds` (over 0), STATUS_IO when the worker died: the message says of what. */
status_code worker_process_ask(struct worker_process *worker, struct text request, double seconds,
                               struct strbuf *answer, struct status *st) MUST_CHECK;

#endif
