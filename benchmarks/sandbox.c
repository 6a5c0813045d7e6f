/* wait4() and a processor count are not in POSIX. */
#define _GNU_SOURCE

#include "benchmarks/sandbox_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/base/clock.h"
#include "engine/base/json.h"
#include "engine/base/limits.h"
#include "engine/base/utf8.h"

#define KEPT_OUTPUT     16384
#define TRIES           3 /* of a sandbox that did not start */
#define TICK_SECONDS    0.5
#define MOST_PATIENCE   4.0 /* times the wall time, on a machine that is busy */
#define SECONDS_TO_END  2.0 /* a candidate that closed its channel is given to end by itself */
#define ENDING_TICK_MS  5
#define JUDGE_EXTRA_CPU 10 /* seconds: the judge may not be what runs out of time */

const char *sandbox_outcome_name(enum sandbox_outcome outcome)
{
    static const char *const names[] = {"passed", "failed", "failed", "timeout",
                                        "memory", "killed", "syntax"};
    return names[outcome];
}

void sandbox_result_release(struct sandbox_result *result)
{
    strbuf_release(&result->output);
}

const struct sandbox_info *sandbox_get_info(const struct sandbox *sandbox)
{
    return &sandbox->info;
}

void sandbox_close_all(int *fds, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (fds[i] >= 0) close(fds[i]);
}

void sandbox_end_process(pid_t *pid, int *status, struct rusage *usage)
{
    if (*pid <= 0) return;
    kill(-*pid, SIGKILL);
    while (wait4(*pid, status, 0, usage) < 0 && errno == EINTR) continue;
    *pid = -1;
}

/* ---- one candidate ---- */

struct slot {
    bool busy;
    size_t job;
    int tries;
    pid_t judge, candidate;
    int verdict, output;      /* what they write; -1 once closed */
    double born;              /* when it was started */
    double started, deadline; /* the same and its end, without time in which all stood still */
    double waited;            /* for its processes to end, while others ran on */
    struct strbuf said;       /* on `verdict` */
    bool flooded, late;
};

/* A file of these bytes that has no name, at its beginning. */
static int file_of(struct text bytes)
{
    FILE *file = tmpfile();
    if (!file) return -1;
    bool good = fwrite(bytes.data, 1, bytes.length, file) == bytes.length && fflush(file) == 0;
    int fd = good ? fcntl(fileno(file), F_DUPFD_CLOEXEC, SANDBOX_FIRST_FREE_FD) : -1;
    fclose(file);
    if (fd >= 0) lseek(fd, 0, SEEK_SET);
    return fd;
}

static void append_member(struct strbuf *out, const char *key, struct text text)
{
    strbuf_appendf(out, "%s\"%s\": ", out->length ? ", " : "{", key);
    json_append_text(out, text);
}

static int job_file(const struct sandbox_job *job)
{
    struct strbuf json;
    strbuf_init(&json, 8 * (size_t)LIMIT_PROMPT_BYTES);
    append_member(&json, "prelude", job->prelude);
    append_member(&json, "tests", job->tests);
    append_member(&json, "entry_point", job->entry_point);
    strbuf_append_char(&json, '}');
    int fd = json.state == STATUS_OK ? file_of((struct text){json.data, json.length}) : -1;
    strbuf_release(&json);
    return fd;
}

/* The descriptors that the two processes are started with. */
struct wiring {
    int program, job;
    int channel[2], verdict[2], output[2];
};

static bool wire(struct wiring *w, const struct sandbox_job *job)
{
    int pair[2] = {-1, -1};
    w->program = file_of(job->program);
    w->job = job_file(job);
    bool good = sandbox_pipe(w->verdict);
    good = sandbox_pipe(w->output) && good;
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) != 0) good = false;
    w->channel[0] = sandbox_move_fd(pair[0]);
    w->channel[1] = sandbox_move_fd(pair[1]);
    return good && w->program >= 0 && w->job >= 0 && w->channel[0] >= 0 && w->channel[1] >= 0;
}

static status_code start_pair(const struct sandbox *sandbox, struct slot *slot,
                              const struct wiring *w, struct text entry_point, struct status *st)
{
    char name[256];
    if (entry_point.length >= sizeof name)
        return status_set(st, STATUS_BAD_INPUT, "the entry point's name is too long");
    snprintf(name, sizeof name, "%.*s", TEXT_ARGS(entry_point));
    const struct sandbox_process candidate = {.script = sandbox->candidate.data,
                                              .argument = name,
                                              .input = w->program,
                                              .output = w->output[1],
                                              .channel = w->channel[0],
                                              .verdict = SANDBOX_NO_FD};
    const struct sandbox_process judge = {
        .script = sandbox->judge.data,
        .input = w->job,
        .output = SANDBOX_NO_FD,
        .channel = w->channel[1],
        .verdict = w->verdict[1],
    };
    struct sandbox_setup judge_setup = sandbox->setup;
    judge_setup.cpu_seconds += JUDGE_EXTRA_CPU;
    status_code code = sandbox_process_start(&slot->candidate, &sandbox->setup, &candidate, st);
    if (code == STATUS_OK) code = sandbox_process_start(&slot->judge, &judge_setup, &judge, st);
    return code;
}

static status_code start_slot(const struct sandbox *sandbox, struct slot *slot,
                              const struct sandbox_job *job, struct status *st)
{
    struct wiring w = {-1, -1, {-1, -1}, {-1, -1}, {-1, -1}};
    slot->judge = slot->candidate = -1;
    slot->flooded = slot->late = false;
    strbuf_clear(&slot->said);
    status_code code =
        wire(&w, job) ? start_pair(sandbox, slot, &w, job->entry_point, st)
                      : status_set(st, STATUS_IO, "cannot start a sandbox: %s", strerror(errno));
    int ours[] = {w.program, w.job, w.channel[0], w.channel[1], w.verdict[1], w.output[1]};
    sandbox_close_all(ours, sizeof ours / sizeof ours[0]);
    slot->verdict = w.verdict[0];
    slot->output = w.output[0];
    slot->busy = true;
    slot->born = slot->started = clock_seconds();
    slot->deadline = slot->started + sandbox->options.wall_seconds;
    return code;
}

/* Ends what is left of the candidate, without asking how it ended. */
static void stop_slot(struct slot *slot)
{
    int status;
    struct rusage usage;
    sandbox_end_process(&slot->candidate, &status, &usage);
    sandbox_end_process(&slot->judge, &status, &usage);
    sandbox_close_all((int[]){slot->verdict, slot->output}, 2);
    slot->verdict = slot->output = -1;
    slot->busy = false;
}

/* ---- verdicts ---- */

/* How one process ended. */
struct ending {
    bool by_itself;
    int signal; /* 0: it exited */
    int exit_code;
    double cpu_seconds;
};

static double seconds_of(const struct rusage *usage)
{
    return (double)(usage->ru_utime.tv_sec + usage->ru_stime.tv_sec) +
           1e-6 * (double)(usage->ru_utime.tv_usec + usage->ru_stime.tv_usec);
}

/* How much longer a candidate may take where others wait for the processors as well. */
static double patience(void)
{
    double load, processors = (double)sysconf(_SC_NPROCESSORS_ONLN);
    if (processors < 1 || getloadavg(&load, 1) != 1 || load <= processors) return 1;
    return load / processors < MOST_PATIENCE ? load / processors : MOST_PATIENCE;
}

/* Waits up to `seconds`, longer on a busy machine, then kills.  bubblewrap reports its child's
 * signal as 128 + number. */
static struct ending await_end(struct slot *slot, pid_t *pid, double seconds)
{
    struct ending end = {0};
    int status = 0;
    struct rusage usage = {0};
    double left_ms = 1000 * seconds * patience();
    pid_t ended;
    while ((ended = wait4(*pid, &status, WNOHANG, &usage)) == 0 && left_ms > 0) {
        poll(NULL, 0, ENDING_TICK_MS);
        left_ms -= ENDING_TICK_MS;
        slot->waited += ENDING_TICK_MS / 1000.0;
    }
    end.by_itself = ended > 0;
    if (ended > 0)
        *pid = -1;
    else
        sandbox_end_process(pid, &status, &usage);
    end.cpu_seconds = seconds_of(&usage);
    end.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 0;
    if (WIFSIGNALED(status)) end.signal = WTERMSIG(status);
    if (end.exit_code > 128) end.signal = end.exit_code - 128;
    return end;
}

static void set_result(struct sandbox_result *result, enum sandbox_outcome outcome,
                       const char *detail)
{
    result->outcome = outcome;
    snprintf(result->detail, sizeof result->detail, "%s", detail);
}

/* The candidate's process is gone, or closed its channel. */
static void judge_ending(const struct sandbox *sandbox, struct slot *slot,
                         struct sandbox_result *result)
{
    char detail[SANDBOX_DETAIL_SIZE];
    double lived = clock_seconds() - slot->born;
    struct ending end = await_end(slot, &slot->candidate, SECONDS_TO_END);
    /* A program that ignores SIGXCPU is killed a CPU second later.  bubblewrap does not always wait
     * for the process that used the time, so its account may be missing from ours. */
    bool was_spending =
        end.cpu_seconds >= sandbox->options.cpu_seconds || lived >= sandbox->options.cpu_seconds;
    bool spent = end.signal == SIGXCPU || (end.signal == SIGKILL && was_spending);
    if (!end.by_itself) {
        set_result(result, SANDBOX_FAILED, "the program closed descriptors that are not its own");
    } else if (spent) {
        set_result(result, SANDBOX_TIMEOUT, "CPU time");
    } else if (end.signal) {
        snprintf(detail, sizeof detail, "ended by signal %d", end.signal);
        set_result(result, SANDBOX_KILLED, detail);
    } else {
        snprintf(detail, sizeof detail, "the program ended itself with exit code %d",
                 end.exit_code);
        set_result(result, SANDBOX_FAILED, detail);
    }
}

/* What the words of sandbox_judge.py mean. */
static const struct {
    const char *word;
    enum sandbox_outcome outcome;
} verdicts[] = {
    {"passed", SANDBOX_PASSED},  {"wrong", SANDBOX_WRONG},   {"error", SANDBOX_FAILED},
    {"raised", SANDBOX_FAILED},  {"syntax", SANDBOX_SYNTAX}, {"memory", SANDBOX_MEMORY},
    {"garbled", SANDBOX_FAILED},
};

static bool is_memory_error(const char *detail)
{
    return strncmp(detail, "MemoryError", 11) == 0;
}

static bool is_word(struct text word, const char *expected)
{
    return text_equal(word, text_of(expected));
}

/* *started is false when the sandbox, and not the candidate, is what failed. */
static status_code apply_verdict(const struct sandbox *sandbox, struct slot *slot, struct text word,
                                 struct text detail, struct sandbox_result *result, bool *started,
                                 struct status *st)
{
    char text[SANDBOX_DETAIL_SIZE];
    detail.length = detail.length < sizeof text ? detail.length : sizeof text - 1;
    detail.length = utf8_complete_length(detail);
    snprintf(text, sizeof text, "%.*s", TEXT_ARGS(detail));
    *started = !is_word(word, "not_started");
    if (!*started) return STATUS_OK;
    if (is_word(word, "bad_tests"))
        return status_set(st, STATUS_BAD_INPUT, "the tests do not run: %s", text);
    if (is_word(word, "ended")) {
        judge_ending(sandbox, slot, result);
        return STATUS_OK;
    }
    for (size_t i = 0; i < sizeof verdicts / sizeof verdicts[0]; i++) {
        if (!is_word(word, verdicts[i].word)) continue;
        bool memory = verdicts[i].outcome == SANDBOX_FAILED && is_memory_error(text);
        set_result(result, memory ? SANDBOX_MEMORY : verdicts[i].outcome, text);
        return STATUS_OK;
    }
    return status_set(st, STATUS_BAD_INPUT, "the judge said something unknown");
}

/* The judge ended without a word. */
static bool silent_ending(const struct sandbox *sandbox, struct slot *slot,
                          struct sandbox_result *result)
{
    struct ending end = await_end(slot, &slot->judge, SECONDS_TO_END);
    bool spent = end.signal == SIGXCPU || end.cpu_seconds >= sandbox->options.cpu_seconds;
    if (spent)
        set_result(result, SANDBOX_TIMEOUT, "CPU time of the tests");
    else if (end.signal && end.by_itself)
        set_result(result, SANDBOX_KILLED, "the tests were ended by a signal");
    return spent || (end.signal && end.by_itself);
}

static status_code read_verdict(const struct sandbox *sandbox, struct slot *slot,
                                struct sandbox_result *result, bool *started, struct status *st)
{
    struct json_value *root;
    struct text word, detail;
    *started = true;
    if (slot->flooded) {
        set_result(result, SANDBOX_KILLED, "too much output");
        return STATUS_OK;
    }
    if (slot->late) {
        set_result(result, SANDBOX_TIMEOUT, "wall time");
        return STATUS_OK;
    }
    if (!slot->said.length) {
        *started = silent_ending(sandbox, slot, result);
        return STATUS_OK;
    }
    status_code code = json_parse(&root, (struct text){slot->said.data, slot->said.length}, st);
    if (code != STATUS_OK) return status_prefix(st, "the judge's verdict");
    code = json_get_text(root, "verdict", &word, st);
    if (code == STATUS_OK) code = json_get_text(root, "detail", &detail, st);
    if (code == STATUS_OK) code = apply_verdict(sandbox, slot, word, detail, result, started, st);
    json_free(root);
    return code;
}

/* ---- many candidates ---- */

struct batch {
    const struct sandbox *sandbox;
    const struct sandbox_job *jobs;
    struct sandbox_result *results;
    size_t n, next;
    double looked; /* when the slots were last looked at */
    struct slot slots[SANDBOX_MAX_WORKERS];
};

/* Reads once; false at the end of the pipe. */
static bool take_verdict(struct slot *slot)
{
    char bytes[SANDBOX_VERDICT_BYTES];
    ssize_t got = read(slot->verdict, bytes, sizeof bytes);
    if (got < 0) return errno == EINTR || errno == EAGAIN;
    strbuf_append(&slot->said, bytes, (size_t)got);
    return got > 0 && slot->said.state == STATUS_OK;
}

static void take_output(const struct batch *b, struct slot *slot)
{
    char bytes[65536];
    struct sandbox_result *result = &b->results[slot->job];
    ssize_t got = read(slot->output, bytes, sizeof bytes);
    if (got < 0 && (errno == EINTR || errno == EAGAIN)) return;
    if (got <= 0) {
        close(slot->output);
        slot->output = -1;
        return;
    }
    size_t kept = result->output.length, room = KEPT_OUTPUT - kept, n = (size_t)got;
    strbuf_append(&result->output, bytes, n < room ? n : room);
    result->output_bytes += n;
    slot->flooded = result->output_bytes > b->sandbox->options.output_bytes;
}

/* What the candidate wrote before it ended is still in the pipe. */
static void drain_output(const struct batch *b, struct slot *slot)
{
    struct pollfd ready = {.fd = slot->output, .events = POLLIN};
    for (int i = 0; i < 4 && slot->output >= 0 && poll(&ready, 1, 0) > 0; i++) take_output(b, slot);
}

static status_code finish_slot(struct batch *b, struct slot *slot, struct status *st)
{
    bool started;
    struct sandbox_result *result = &b->results[slot->job];
    slot->waited = 0;
    status_code code = read_verdict(b->sandbox, slot, result, &started, st);
    b->looked += slot->waited;
    if (code == STATUS_OK && started && !slot->flooded) drain_output(b, slot);
    stop_slot(slot);
    if (code != STATUS_OK) return status_prefix(st, "candidate %zu", slot->job);
    if (started) return STATUS_OK;
    if (++slot->tries == TRIES)
        return status_set(st, STATUS_IO, "a sandbox that worked before does not start any more");
    return start_slot(b->sandbox, slot, &b->jobs[slot->job], st);
}

static status_code fill_slots(struct batch *b, int *n_busy, struct status *st)
{
    *n_busy = 0;
    for (int i = 0; i < b->sandbox->options.workers; i++) {
        struct slot *slot = &b->slots[i];
        if (!slot->busy && b->next < b->n) {
            slot->job = b->next++;
            slot->tries = 0;
            status_code code = start_slot(b->sandbox, slot, &b->jobs[slot->job], st);
            if (code != STATUS_OK) return code;
        }
        *n_busy += slot->busy;
    }
    return STATUS_OK;
}

static bool is_late(const struct sandbox *sandbox, struct slot *slot, double now)
{
    if (now < slot->deadline) return false;
    slot->deadline = slot->started + patience() * sandbox->options.wall_seconds;
    return now >= slot->deadline;
}

/* Time in which this process itself could not go on, for the machine was suspended or the program
 * stopped, is nobody's. */
static void forgive(struct batch *b, double seconds)
{
    for (int i = 0; i < b->sandbox->options.workers; i++) {
        b->slots[i].started += seconds;
        b->slots[i].deadline += seconds;
    }
}

/* Waits until a slot has something to say, or until the first deadline. */
static void wait_for_slots(struct batch *b, struct pollfd *fds)
{
    double now = clock_seconds(), first = now + TICK_SECONDS;
    for (int i = 0; i < b->sandbox->options.workers; i++) {
        const struct slot *slot = &b->slots[i];
        fds[2 * i] = (struct pollfd){.fd = slot->busy ? slot->verdict : -1, .events = POLLIN};
        fds[2 * i + 1] = (struct pollfd){.fd = slot->busy ? slot->output : -1, .events = POLLIN};
        if (slot->busy && slot->deadline < first) first = slot->deadline;
    }
    double left = first > now ? first - now : 0;
    poll(fds, 2 * (nfds_t)b->sandbox->options.workers, (int)(left * 1000) + 1);
    double excess = clock_seconds() - b->looked - TICK_SECONDS;
    if (excess > TICK_SECONDS) forgive(b, excess);
    b->looked = clock_seconds();
}

static status_code run_batch(struct batch *b, struct status *st)
{
    struct pollfd fds[2 * SANDBOX_MAX_WORKERS];
    for (;;) {
        int n_busy;
        status_code code = fill_slots(b, &n_busy, st);
        if (code != STATUS_OK || !n_busy) return code;
        wait_for_slots(b, fds);
        double now = clock_seconds();
        for (int i = 0; i < b->sandbox->options.workers; i++) {
            struct slot *slot = &b->slots[i];
            if (!slot->busy) continue;
            bool over = fds[2 * i].revents && !take_verdict(slot);
            if (!over && fds[2 * i + 1].revents) take_output(b, slot);
            slot->late = !over && is_late(b->sandbox, slot, now);
            if (!over && !slot->flooded && !slot->late) continue;
            if ((code = finish_slot(b, slot, st)) != STATUS_OK) return code;
        }
    }
}

status_code sandbox_run(const struct sandbox *sandbox, const struct sandbox_job *jobs, size_t n,
                        struct sandbox_result *results, struct status *st)
{
    struct batch *b = calloc(1, sizeof *b);
    if (!b) return status_no_memory(st, "a batch of candidates");
    *b = (struct batch){
        .sandbox = sandbox, .jobs = jobs, .results = results, .n = n, .looked = clock_seconds()};
    for (int i = 0; i < SANDBOX_MAX_WORKERS; i++)
        strbuf_init(&b->slots[i].said, SANDBOX_VERDICT_BYTES);
    for (size_t i = 0; i < n; i++) {
        results[i] = (struct sandbox_result){0};
        strbuf_init(&results[i].output, KEPT_OUTPUT);
    }
    status_code code = run_batch(b, st);
    for (int i = 0; i < SANDBOX_MAX_WORKERS; i++) {
        if (b->slots[i].busy) stop_slot(&b->slots[i]);
        strbuf_release(&b->slots[i].said);
    }
    for (size_t i = 0; i < n && code != STATUS_OK; i++) sandbox_result_release(&results[i]);
    free(b);
    return code;
}
