/* http_fixture.h - servers for the tests of what asks over HTTP: a socket on a port of its own, in
 * a child process, and one that answers what a text tells it to.
 */
#ifndef ASSAY_TESTS_HTTP_FIXTURE_H
#define ASSAY_TESTS_HTTP_FIXTURE_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>

#include "classifiers/remote_classifier.h"
#include "tests/unit/suite.h"

static inline void send_all(int connection, const char *bytes, size_t n)
{
    while (n) {
        ssize_t sent = send(connection, bytes, n, MSG_NOSIGNAL);
        if (sent <= 0) return;
        bytes += sent;
        n -= (size_t)sent;
    }
}

static inline void read_request(int connection, char *out, size_t size)
{
    size_t n = 0;
    while (n + 1 < size) {
        ssize_t got = recv(connection, out + n, size - 1 - n, 0);
        if (got <= 0) break;
        n += (size_t)got;
        out[n] = '\0';
        const char *end = strstr(out, "\r\n\r\n"), *length = strstr(out, "Content-Length: ");
        if (end && (!length || n - (size_t)(end + 4 - out) >= strtoul(length + 16, NULL, 10)))
            break;
    }
    out[n] = '\0';
}

struct server {
    pid_t pid;
    int port;
};

static inline int listen_somewhere(int *port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    CU_ASSERT_EQUAL_FATAL(bind(listener, (struct sockaddr *)&address, sizeof address), 0);
    CU_ASSERT_EQUAL_FATAL(listen(listener, 16), 0);
    CU_ASSERT_EQUAL_FATAL(getsockname(listener, (struct sockaddr *)&address, &length), 0);
    *port = ntohs(address.sin_port);
    return listener;
}

static inline void stop_server(struct server server)
{
    kill(server.pid, SIGKILL);
    waitpid(server.pid, NULL, 0);
}

/* ---- the tests ---- */

/* ---- a server that answers what the text says ---- */

/* What the processes of the echo server share. */
struct echo_counts {
    _Atomic int now, most, asked;
};

/* "v=0.25" in a text is its violence; FAIL is refused.  It takes a while, so that requests meet. */
_Noreturn static inline void echo(int connection, struct echo_counts *counts)
{
    static char request[1 << 16];
    char body[512], reply[1024];
    const struct timespec pause = {.tv_nsec = 60000000};
    read_request(connection, request, sizeof request);
    int now = ++counts->now, most = counts->most;
    while (now > most && !atomic_compare_exchange_weak(&counts->most, &most, now)) continue;
    counts->asked++;
    nanosleep(&pause, NULL);
    const char *v = strstr(request, "v=");
    snprintf(body, sizeof body,
             "{\"results\":[{\"category_scores\":{\"sexual\":0,\"hate\":0,\"hate/threatening\":0,"
             "\"harassment\":0,\"harassment/threatening\":0,\"self-harm\":0,\"violence\":%g}}]}",
             v ? strtod(v + 2, NULL) : 0.5);
    int n = snprintf(reply, sizeof reply,
                     "HTTP/1.1 %s\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n%s",
                     strstr(request, "FAIL") ? "400 No" : "200 OK", strlen(body), body);
    counts->now--;
    send_all(connection, reply, (size_t)n);
    _exit(0);
}

_Noreturn static inline void serve_echo(int listener, struct echo_counts *counts)
{
    signal(SIGCHLD, SIG_IGN);
    for (;;) {
        int connection = accept(listener, NULL, NULL);
        if (connection < 0) _exit(0);
        if (fork() == 0) echo(connection, counts);
        close(connection);
    }
}

struct echo_setting {
    struct server server;
    struct echo_counts *counts;
    char url[64];
};

static inline void echo_start(struct echo_setting *s)
{
    int listener = listen_somewhere(&s->server.port);
    s->counts =
        mmap(NULL, sizeof *s->counts, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CU_ASSERT_FATAL(s->counts != MAP_FAILED);
    s->server.pid = fork();
    if (s->server.pid == 0) serve_echo(listener, s->counts);
    close(listener);
    snprintf(s->url, sizeof s->url, "http://127.0.0.1:%d/x", s->server.port);
}

static inline void echo_stop(struct echo_setting *s)
{
    stop_server(s->server);
    munmap(s->counts, sizeof *s->counts);
}

static inline struct classifier *echo_open(const struct echo_setting *s, int max_parallel)
{
    struct status st = {0};
    struct classifier *c = NULL;
    const struct http_options options = {.max_attempts = 1, .max_parallel = max_parallel};
    ASSERT_OK(remote_classifier_open(&c, REMOTE_MODERATION, s->url, &options, &st));
    return c;
}

#endif
