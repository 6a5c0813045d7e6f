/* sandbox_open.c - finds what a sandbox is made of, and shows that it isolates before it is used.
 */
/* realpath() is not in plain POSIX. */
#define _GNU_SOURCE

#include "benchmarks/sandbox_internal.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "engine/base/json.h"
#include "engine/base/limits.h"

#define PROBE_MS      20000 /* a cold disk may be slow */
#define PROBE_TICK_MS 50

extern const struct text embedded_benchmarks_sandbox_values_py;
extern const struct text embedded_benchmarks_sandbox_numpy_py;
extern const struct text embedded_benchmarks_sandbox_candidate_py;
extern const struct text embedded_benchmarks_sandbox_judge_py;
extern const struct text embedded_benchmarks_sandbox_probe_py;

#define REMEDY_INSTALL "apt-get install bubblewrap python3"

/* The first of PATH's folders that has an executable file of this name. */
static bool find_program(const char *name, char *out, size_t size)
{
    const char *path = getenv("PATH");
    if (!path || !*path) path = "/usr/bin:/bin";
    while (*path) {
        size_t n = strcspn(path, ":");
        int length = snprintf(out, size, "%.*s/%s", (int)n, path, name);
        if (n && length > 0 && (size_t)length < size && access(out, X_OK) == 0) return true;
        path += n + (path[n] == ':');
    }
    return false;
}

/* The interpreter must be below /usr: nothing else of the machine is there inside. */
static bool find_python(char *out, size_t size)
{
    static const char *const places[] = {"/usr/bin/python3", "/usr/local/bin/python3"};
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        char *real = realpath(places[i], NULL);
        bool good = real && strncmp(real, "/usr/", 5) == 0 && access(real, X_OK) == 0;
        if (good) snprintf(out, size, "%s", real);
        free(real);
        if (good) return true;
    }
    return false;
}

/* Where the loader and the C library are looked for: links into /usr on every merged system. */
static status_code find_libraries(struct sandbox *sandbox, struct status *st)
{
    static const char *const names[] = {"/bin", "/lib", "/lib64"};
    int n = 0;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char *target = sandbox->links[i][0];
        ssize_t length = readlink(names[i], target, sizeof sandbox->links[i][0] - 1);
        if (length < 0 && access(names[i], F_OK) != 0) continue;
        if (length < 0)
            return status_set(st, STATUS_UNSUPPORTED,
                              "code cannot be isolated: %s is not a link into /usr", names[i]);
        target[length] = '\0';
        snprintf(sandbox->links[i][1], sizeof sandbox->links[i][1], "%s", names[i]);
        sandbox->setup.libraries[n++] = target;
        sandbox->setup.libraries[n++] = sandbox->links[i][1];
    }
    return STATUS_OK;
}

static void set_defaults(struct sandbox *sandbox, const struct sandbox_options *options)
{
    struct sandbox_options *o = &sandbox->options;
    *o = *options;
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    if (o->workers <= 0) o->workers = processors > 0 ? (int)(2 * processors) : 2;
    if (o->workers > SANDBOX_MAX_WORKERS) o->workers = SANDBOX_MAX_WORKERS;
    if (o->cpu_seconds <= 0) o->cpu_seconds = 3;
    if (!(o->wall_seconds > 0)) o->wall_seconds = 30;
    if (!o->memory_bytes) o->memory_bytes = 1u << 30;
    if (!o->output_bytes) o->output_bytes = 64u << 20;
    sandbox->setup.bwrap = sandbox->bwrap;
    sandbox->setup.python = sandbox->python;
    sandbox->setup.cpu_seconds = o->cpu_seconds;
    sandbox->setup.memory_bytes = o->memory_bytes;
    sandbox->info = (struct sandbox_info){.interpreter = sandbox->python,
                                          .version = sandbox->version,
                                          .seccomp = sandbox_has_seccomp(),
                                          .workers = o->workers};
}

/* What a process writes on a pipe until it closes it or was silent for too long.  Waits are counted
 * and not measured, so that time in which this program stands still is not the other's. */
static void read_pipe(int fd, int *patience_ms, struct strbuf *out)
{
    char bytes[4096];
    ssize_t got = 1;
    while (got > 0 && *patience_ms > 0) {
        struct pollfd ready = {.fd = fd, .events = POLLIN};
        if (poll(&ready, 1, PROBE_TICK_MS) <= 0) {
            *patience_ms -= PROBE_TICK_MS;
            continue;
        }
        got = read(fd, bytes, sizeof bytes);
        if (got > 0) strbuf_append(out, bytes, (size_t)got);
    }
}

static status_code refuse(const struct strbuf *complaint, struct status *st)
{
    size_t line = strcspn(complaint->data, "\n");
    return status_set(st, STATUS_UNSUPPORTED,
                      "code cannot be isolated: %.*s (allow user namespaces: sysctl "
                      "user.max_user_namespaces, kernel.unprivileged_userns_clone=1, "
                      "kernel.apparmor_restrict_unprivileged_userns=0)",
                      line > 200 ? 200 : (int)line,
                      line ? complaint->data : "bubblewrap ended without a word");
}

static status_code read_probe(struct sandbox *sandbox, struct text said, struct status *st)
{
    struct json_value *root;
    struct text version, problem;
    bool can_fork;
    status_code code = json_parse(&root, said, st);
    if (code != STATUS_OK) return status_prefix(st, "code cannot be isolated: the probe");
    if ((code = json_get_text(root, "version", &version, st)) == STATUS_OK &&
        (code = json_get_text(root, "problem", &problem, st)) == STATUS_OK &&
        (code = json_get_bool(root, "can_fork", &can_fork, st)) == STATUS_OK) {
        snprintf(sandbox->version, sizeof sandbox->version, "%.*s", TEXT_ARGS(version));
        if (problem.length)
            code = status_set(st, STATUS_UNSUPPORTED,
                              "code cannot be isolated: in the sandbox, %.*s", TEXT_ARGS(problem));
        else if (can_fork && sandbox->info.seccomp)
            code = status_set(st, STATUS_UNSUPPORTED,
                              "code cannot be isolated: the seccomp filter has no effect");
    }
    json_free(root);
    return code;
}

/* Starts one Python inside and looks around.  Fails when any part of the isolation is missing. */
static status_code probe(struct sandbox *sandbox, struct status *st)
{
    int verdict[2] = {-1, -1}, output[2] = {-1, -1};
    struct strbuf said, complaint;
    pid_t pid = -1;
    int ended;
    struct rusage usage;
    strbuf_init(&said, SANDBOX_VERDICT_BYTES);
    strbuf_init(&complaint, SANDBOX_VERDICT_BYTES);
    status_code code = STATUS_OK;
    if (!sandbox_pipe(verdict) || !sandbox_pipe(output))
        code = status_set(st, STATUS_IO, "cannot start a sandbox: %s", strerror(errno));
    const struct sandbox_process process = {
        .script = sandbox->probe.data,
        .input = SANDBOX_NO_FD,
        .output = output[1],
        .channel = SANDBOX_NO_FD,
        .verdict = verdict[1],
    };
    if (code == STATUS_OK) code = sandbox_process_start(&pid, &sandbox->setup, &process, st);
    sandbox_close_all((int[]){verdict[1], output[1]}, 2);
    if (code == STATUS_OK) {
        int patience_ms = PROBE_MS;
        read_pipe(verdict[0], &patience_ms, &said);
        if (!said.length) read_pipe(output[0], &patience_ms, &complaint);
        sandbox_end_process(&pid, &ended, &usage);
        code = said.length ? read_probe(sandbox, (struct text){said.data, said.length}, st)
                           : refuse(&complaint, st);
    }
    sandbox_close_all((int[]){verdict[0], output[0]}, 2);
    strbuf_release(&said);
    strbuf_release(&complaint);
    return code;
}

/* Root tries to be nobody first; where that user cannot make namespaces, root may. */
static status_code probe_both_ways(struct sandbox *sandbox, struct status *st)
{
    struct status first = {0};
    sandbox->setup.drop_root = geteuid() == 0;
    if (probe(sandbox, &first) == STATUS_OK) return STATUS_OK;
    if (sandbox->setup.drop_root) {
        struct status second = {0};
        sandbox->setup.drop_root = false;
        if (probe(sandbox, &second) == STATUS_OK) return STATUS_OK;
    }
    *st = first;
    return st->code;
}

static status_code build_script(struct strbuf *out, const struct text *const *parts,
                                struct status *st)
{
    strbuf_init(out, LIMIT_CONFIG_BYTES);
    for (; *parts; parts++) strbuf_append(out, (*parts)->data, (*parts)->length);
    return strbuf_check(out, "script", st);
}

static status_code build_scripts(struct sandbox *sandbox, struct status *st)
{
    const struct text *values = &embedded_benchmarks_sandbox_values_py;
    const struct text *numpy = &embedded_benchmarks_sandbox_numpy_py;
    const struct text *const judge[] = {values, &embedded_benchmarks_sandbox_judge_py, NULL};
    const struct text *const candidate[] = {values, numpy,
                                            &embedded_benchmarks_sandbox_candidate_py, NULL};
    const struct text *const probe_script[] = {numpy, &embedded_benchmarks_sandbox_probe_py, NULL};
    status_code code = build_script(&sandbox->judge, judge, st);
    if (code == STATUS_OK) code = build_script(&sandbox->candidate, candidate, st);
    if (code == STATUS_OK) code = build_script(&sandbox->probe, probe_script, st);
    return code;
}

static status_code open_sandbox(struct sandbox *sandbox, struct status *st)
{
    status_code code = build_scripts(sandbox, st);
    if (code != STATUS_OK) return code;
    if (!find_program("bwrap", sandbox->bwrap, sizeof sandbox->bwrap))
        return status_set(st, STATUS_UNSUPPORTED,
                          "code cannot be isolated: bwrap is not installed: " REMEDY_INSTALL);
    if (!find_python(sandbox->python, sizeof sandbox->python))
        return status_set(st, STATUS_UNSUPPORTED,
                          "code cannot be run: there is no Python below /usr: " REMEDY_INSTALL);
    if ((code = find_libraries(sandbox, st)) != STATUS_OK) return code;
    if ((code = probe_both_ways(sandbox, st)) != STATUS_OK) return code;
    return sha256_file(sandbox->python, sandbox->info.interpreter_sha256, st);
}

status_code sandbox_open(struct sandbox **out, const struct sandbox_options *options,
                         struct status *st)
{
    struct sandbox *sandbox = calloc(1, sizeof *sandbox);
    if (!sandbox) return status_no_memory(st, "a sandbox");
    set_defaults(sandbox, options);
    status_code code = open_sandbox(sandbox, st);
    if (code != STATUS_OK) {
        sandbox_free(sandbox);
        return code;
    }
    *out = sandbox;
    return STATUS_OK;
}

void sandbox_free(struct sandbox *sandbox)
{
    if (!sandbox) return;
    strbuf_release(&sandbox->judge);
    strbuf_release(&sandbox->candidate);
    strbuf_release(&sandbox->probe);
    free(sandbox);
}
