#define _GNU_SOURCE /* POLLRDHUP */

#include "engine/base/worker_process.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/base/clock.h"
#include "engine/base/limits.h"

struct worker_process {
    worker_serve_fn *serve;
    void *user;
    pthread_mutex_t mutex; /* around a whole request */
    pid_t pid;             /* 0: there is none now */
    int socket;
};

/* ---- bytes; every message is its length (u64, this machine's order) and its bytes ---- */

/* Waits until the socket is ready; false at the deadline, which INFINITY never comes to. */
static bool wait_for(int socket, short events, double deadline)
{
    for (;;) {
        double left = deadline - clock_seconds();
        if (left <= 0) return false;
        int ms = left > 1000 ? 1000000 : (int)(left * 1000) + 1;
        struct pollfd p = {.fd = socket, .events = events};
        int n = poll(&p, 1, ms);
        if (n > 0 || (n < 0 && errno != EINTR)) return true; /* an error shows in what follows */
    }
}

static status_code send_bytes(int socket, const void *bytes, size_t n, double deadline)
{
    for (const char *p = bytes; n;) {
        if (!wait_for(socket, POLLOUT, deadline)) return STATUS_TIMEOUT;
        ssize_t sent = send(socket, p, n, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0 && (errno == EINTR || errno == EAGAIN)) continue;
        if (sent <= 0) return STATUS_IO;
        p += sent;
        n -= (size_t)sent;
    }
    return STATUS_OK;
}

static status_code receive_bytes(int socket, void *bytes, size_t n, double deadline)
{
    for (char *p = bytes; n;) {
        if (!wait_for(socket, POLLIN, deadline)) return STATUS_TIMEOUT;
        ssize_t got = recv(socket, p, n, MSG_DONTWAIT);
        if (got < 0 && (errno == EINTR || errno == EAGAIN)) continue;
        if (got <= 0) return STATUS_IO;
        p += got;
        n -= (size_t)got;
    }
    return STATUS_OK;
}

static status_code send_message(int socket, struct text message, double deadline)
{
    uint64_t length = message.length;
    status_code code = send_bytes(socket, &length, sizeof length, deadline);
    return code == STATUS_OK ? send_bytes(socket, message.data, message.length, deadline) : code;
}

static status_code receive_message(int socket, struct strbuf *out, double deadline)
{
    char chunk[4096];
    uint64_t left;
    status_code code = receive_bytes(socket, &left, sizeof left, deadline);
    while (code == STATUS_OK && left) {
        size_t n = left < sizeof chunk ? (size_t)left : sizeof chunk;
        code = receive_bytes(socket, chunk, n, deadline);
        if (code == STATUS_OK) strbuf_append(out, chunk, n);
        left -= n;
    }
    return code == STATUS_OK ? out->state : code;
}

/* ---- the worker's side ---- */

struct service {
    worker_serve_fn *serve;
    void *user;
    int socket;
};

static void *serve_all(void *argument)
{
    const struct service *service = argument;
    struct strbuf request, answer;
    const double forever = 1e300;
    strbuf_init(&request, LIMIT_JSON_BYTES);
    strbuf_init(&answer, LIMIT_JSON_BYTES);
    for (;;) {
        strbuf_clear(&request);
        strbuf_clear(&answer);
        if (receive_message(service->socket, &request, forever) != STATUS_OK) _exit(0);
        service->serve(service->user, (struct text){request.data, request.length}, &answer);
        if (answer.state != STATUS_OK) _exit(1);
        struct text bytes = {answer.data, answer.length};
        if (send_message(service->socket, bytes, forever) != STATUS_OK) _exit(0);
    }
    return NULL;
}

/* The caller's files are not the worker's: a listener, say, would stay open with it. */
static void close_others(int socket)
{
    if (socket > 3) syscall(SYS_close_range, 3u, (unsigned)socket - 1, 0);
    syscall(SYS_close_range, (unsigned)socket + 1, ~0u, 0);
}

/* Ctrl-C is for the caller, who finishes what is in flight; a crash has its default end. */
static void reset_signals(void)
{
    static const int crashes[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTERM};
    for (size_t i = 0; i < sizeof crashes / sizeof crashes[0]; i++) signal(crashes[i], SIG_DFL);
    signal(SIGINT, SIG_IGN);
    const struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
}

/* Serves on another thread and ends when the caller is gone, even from the middle of a request. */
_Noreturn static void run_worker(const struct worker_process *worker, int socket)
{
    struct service service = {worker->serve, worker->user, socket};
    pthread_t thread;
    reset_signals();
    close_others(socket);
    if (pthread_create(&thread, NULL, serve_all, &service) != 0) _exit(1);
    for (;;) {
        struct pollfd p = {.fd = socket, .events = POLLRDHUP};
        if (poll(&p, 1, -1) > 0 && p.revents & (POLLRDHUP | POLLHUP | POLLERR)) _exit(0);
    }
}

/* ---- the caller's side ---- */

static status_code start(struct worker_process *worker, struct status *st)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
        return status_set(st, STATUS_IO, "a worker process: %s", strerror(errno));
    pid_t pid = fork();
    if (pid == 0) {
        close(pair[0]);
        run_worker(worker, pair[1]);
    }
    close(pair[1]);
    if (pid < 0) {
        close(pair[0]);
        return status_set(st, STATUS_IO, "a worker process: %s", strerror(errno));
    }
    worker->pid = pid;
    worker->socket = pair[0];
    return STATUS_OK;
}

/* Ends the worker and says how it had ended, if it had. */
static int stop(struct worker_process *worker)
{
    int how = 0;
    if (!worker->pid) return 0;
    close(worker->socket);
    kill(worker->pid, SIGKILL);
    while (waitpid(worker->pid, &how, 0) < 0 && errno == EINTR) continue;
    worker->pid = 0;
    return how;
}

/* A worker that closed its socket is about to be gone: how it ends is worth a moment. */
static void await_end(const struct worker_process *worker)
{
    for (int i = 0; i < 200; i++) {
        siginfo_t info = {0};
        if (waitid(P_PID, (id_t)worker->pid, &info, WEXITED | WNOHANG | WNOWAIT) != 0) return;
        if (info.si_pid) return;
        poll(NULL, 0, 5);
    }
}

static status_code died(struct worker_process *worker, struct status *st)
{
    await_end(worker);
    int how = stop(worker);
    if (WIFSIGNALED(how))
        return status_set(st, STATUS_IO, "its process died of signal %d (%s)", WTERMSIG(how),
                          strsignal(WTERMSIG(how)));
    return status_set(st, STATUS_IO, "its process ended with code %d", WEXITSTATUS(how));
}

static status_code ask(struct worker_process *worker, struct text request, double seconds,
                       struct strbuf *answer, struct status *st)
{
    double deadline = clock_seconds() + seconds;
    status_code code = worker->pid ? STATUS_OK : start(worker, st);
    if (code != STATUS_OK) return code;
    code = send_message(worker->socket, request, deadline);
    if (code == STATUS_OK) code = receive_message(worker->socket, answer, deadline);
    if (code == STATUS_OK) return code;
    if (code == STATUS_IO) return died(worker, st);
    stop(worker);
    if (code == STATUS_TIMEOUT)
        return status_set(st, code, "no answer in %g s; its process was ended", seconds);
    return strbuf_check(answer, "a worker's answer", st);
}

status_code worker_process_ask(struct worker_process *worker, struct text request, double seconds,
                               struct strbuf *answer, struct status *st)
{
    pthread_mutex_lock(&worker->mutex);
    status_code code = ask(worker, request, seconds, answer, st);
    pthread_mutex_unlock(&worker->mutex);
    return code;
}

status_code worker_process_create(struct worker_process **out, worker_serve_fn *serve, void *user,
                                  struct status *st)
{
    struct worker_process *worker = calloc(1, sizeof *worker);
    if (!worker || pthread_mutex_init(&worker->mutex, NULL) != 0) {
        free(worker);
        return status_no_memory(st, "a worker process");
    }
    worker->serve = serve;
    worker->user = user;
    status_code code = start(worker, st);
    if (code != STATUS_OK) {
        worker_process_free(worker);
        return code;
    }
    *out = worker;
    return STATUS_OK;
}

void worker_process_free(struct worker_process *worker)
{
    if (!worker) return;
    stop(worker);
    pthread_mutex_destroy(&worker->mutex);
    free(worker);
}
