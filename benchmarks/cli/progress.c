#include "benchmarks/cli/progress.h"

#include <inttypes.h>
#include <signal.h>
#include <unistd.h>

#include "benchmarks/cli/cli.h"

/* Set by the signal handler, which may touch nothing else. */
static volatile sig_atomic_t stop_requested;

static void request_stop(int signal_number)
{
    stop_requested = 1;
    signal(signal_number, SIG_DFL);
}

bool progress_should_stop(void *user)
{
    (void)user;
    return stop_requested != 0;
}

struct display {
    bool terminal;
    double last_line; /* seconds at which something was last printed */
    bool open_line;   /* the cursor stands behind a line that will be rewritten */
};

static void format_duration(double seconds, char out[32])
{
    long s = seconds > 0 ? (long)(seconds + 0.5) : 0;
    if (s >= 3600)
        snprintf(out, 32, "%ldh %02ldm", s / 3600, s % 3600 / 60);
    else if (s >= 60)
        snprintf(out, 32, "%ldm %02lds", s / 60, s % 60);
    else
        snprintf(out, 32, "%lds", s);
}

static void show(void *user, const struct runner_progress *p)
{
    struct display *d = user;
    double rate = p->seconds > 0 ? (double)p->done_this_time / p->seconds : 0;
    bool finished = p->done == p->total;
    if (!finished && p->seconds - d->last_line < (d->terminal ? 0.1 : 10)) return;
    char left[32];
    format_duration(rate > 0 ? (double)(p->total - p->done) / rate : 0, left);
    fprintf(stderr, "%s%" PRId64 "/%" PRId64 " documents, %.1f/s, %s left, %s%s",
            d->terminal ? "\r\033[K" : "", p->done, p->total, rate, left, p->task,
            d->terminal ? "" : "\n");
    fflush(stderr);
    d->last_line = p->seconds;
    d->open_line = d->terminal;
}

void progress_listen_for_signals(void)
{
    struct sigaction action = {.sa_handler = request_stop, .sa_flags = SA_RESTART};
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

static int print_result(struct runner *runner, struct store *store, enum table_format format,
                        struct status *st)
{
    int64_t failed;
    bool covered;
    const char *run = runner_run_id(runner);
    if (print_table(store, &run, 1, format, &covered, st) != STATUS_OK ||
        runner_count_failed(runner, &failed, st) != STATUS_OK)
        return cli_fail(st);
    if (failed)
        fprintf(stderr,
                "assay: %" PRId64 " documents failed; `assay resume %s --retry-failed` "
                "tries them again\n",
                failed, run);
    return failed || !covered ? EXIT_INCOMPLETE : EXIT_DONE;
}

int progress_work(struct runner *runner, struct store *store, enum table_format format)
{
    struct status st = {0};
    struct display display = {.terminal = isatty(STDERR_FILENO) != 0};
    const struct runner_hooks hooks = {show, progress_should_stop, &display};
    progress_listen_for_signals();
    status_code code = runner_work(runner, &hooks, &st);
    if (display.open_line) fputc('\n', stderr);
    if (code == STATUS_OK) return print_result(runner, store, format, &st);
    if (code == STATUS_INTERRUPTED) {
        fprintf(stderr, "assay: interrupted; continue with `assay resume %s --store %s`\n",
                runner_run_id(runner), store_path(store));
        return EXIT_INTERRUPTED;
    }
    return cli_fail(&st);
}
