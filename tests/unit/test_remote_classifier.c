/* Remote classifiers against a server that fails in every way it can: nothing is lost, nothing is
 * scored 0. */
#define _DEFAULT_SOURCE /* MAP_ANONYMOUS */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>

#include "benchmarks/store_cache.h"
#include "classifiers/remote_classifier.h"
#include "engine/base/clock.h"
#include "engine/base/json.h"
#include "tests/unit/suite.h"

/* ---- the server: one child process on a port of its own ---- */

#define GOOD_PERSPECTIVE                                                                           \
    "{\"attributeScores\":{"                                                                       \
    "\"TOXICITY\":{\"summaryScore\":{\"value\":0.75,\"type\":\"PROBABILITY\"}},"                   \
    "\"SEVERE_TOXICITY\":{\"summaryScore\":{\"value\":0}},"                                        \
    "\"PROFANITY\":{\"summaryScore\":{\"value\":0.5}},"                                            \
    "\"THREAT\":{\"summaryScore\":{\"value\":1}},"                                                 \
    "\"INSULT\":{\"summaryScore\":{\"value\":0.25}},"                                              \
    "\"IDENTITY_ATTACK\":{\"summaryScore\":{\"value\":0.125}},"                                    \
    "\"SEXUALLY_EXPLICIT\":{\"summaryScore\":{\"value\":0.0625}}},\"languages\":[\"en\"]}"

#define GOOD_MODERATION                                                                            \
    "{\"results\":[{\"flagged\":true,\"category_scores\":{\"sexual\":0.1,\"hate\":0.2,"            \
    "\"hate/threatening\":0.3,\"harassment\":0.4,\"harassment/threatening\":0.6,"                  \
    "\"self-harm\":0.05,\"violence\":0.7}}]}"

/* What the server answers to a path; `failures` times the second answer comes first. */
struct script {
    const char *path;
    const char *status; /* NULL: the connection is cut */
    const char *type, *body;
    int failures;
    const char *failure_status;
    const char *failure_headers;
};

static const struct script scripts[] = {
    {"/good", "200 OK", "application/json", GOOD_PERSPECTIVE, 0, NULL, ""},
    {"/busy", "200 OK", "application/json", GOOD_PERSPECTIVE, 2, "429 Too Many Requests", ""},
    {"/later", "200 OK", "application/json", GOOD_PERSPECTIVE, 1, "503 Unavailable",
     "Retry-After: 3600\r\n"},
    {"/wait", "200 OK", "application/json", GOOD_PERSPECTIVE, 1, "429 Too Many Requests",
     "Retry-After: 1\r\n"},
    {"/broken", "500 Internal", "text/html", "<h1>no</h1>", 0, NULL, ""},
    {"/refused", "400 Bad Request", "application/json", "{\"error\": \"COMMENT_EMPTY\"}", 0, NULL,
     ""},
    {"/moved", "302 Found", "text/html", "elsewhere", 0, NULL, ""},
    {"/cut", NULL, NULL, "", 0, NULL, ""},
    {"/slow", "200 OK", "application/json", "slow", 0, NULL, ""},
    {"/html", "200 OK", "text/html", "<html>not JSON</html>", 0, NULL, ""},
    {"/half", "200 OK", "application/json", "{\"attributeScores\":{\"TOXICITY\":", 0, NULL, ""},
    {"/less", "200 OK", "application/json", "{\"attributeScores\":{}}", 0, NULL, ""},
    {"/over", "200 OK", "application/json",
     "{\"attributeScores\":{\"TOXICITY\":{\"summaryScore\":{\"value\":1.5}}}}", 0, NULL, ""},
    {"/text", "200 OK", "application/json",
     "{\"attributeScores\":{\"TOXICITY\":{\"summaryScore\":{\"value\":\"high\"}}}}", 0, NULL, ""},
    {"/mod", "200 OK", "application/json", GOOD_MODERATION, 0, NULL, ""},
    {"/empty", "200 OK", "application/json", "{\"results\":[]}", 0, NULL, ""},
};
#define N_SCRIPTS (sizeof scripts / sizeof scripts[0])

/* What goes wrong below the answer: bytes as they are sent, after which the connection is closed
 * without a word. */
struct raw_script {
    const char *path;
    const char *bytes;
    int failures; /* so many times `failure` comes first */
    const char *failure;
    size_t padding; /* zeros behind the bytes */
    bool stalls;    /* nothing more comes, and the connection stays open for a while */
};

#define OK_HEAD "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"

static const struct raw_script raw_scripts[] = {
    {.path = "/chunked",
     .bytes = OK_HEAD "Transfer-Encoding: chunked\r\n\r\n"
                      "1\r\n{\r\n2c\r\n\"results\":[{\"category_scores\":{\"sexual\":0.1,\r\n"
                      "5d\r\n\"hate\":0.2,\"hate/threatening\":0.3,\"harassment\":0.4,"
                      "\"harassment/threatening\":0.6,\"self-harm\":0\r\n"
                      "14\r\n.05,\"violence\":0.7}}\r\n2\r\n]}\r\n0\r\n\r\n"},
    {.path = "/half-chunk",
     .bytes = OK_HEAD "Transfer-Encoding: chunked\r\n\r\n40\r\n{\"results\":["},
    {.path = "/no-last-chunk", .bytes = OK_HEAD "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n"},
    {.path = "/short-body", .bytes = OK_HEAD "Content-Length: 500\r\n\r\n" GOOD_MODERATION},
    {.path = "/only-head", .bytes = OK_HEAD "Content-Length: 20\r\n\r\n", .stalls = true},
    {.path = "/no-http", .bytes = "SSH-2.0-OpenSSH_9.2\r\n"},
    {.path = "/nothing", .bytes = OK_HEAD "Content-Length: 0\r\n\r\n"},
    {.path = "/no-content", .bytes = "HTTP/1.1 204 No Content\r\n\r\n"},
    {.path = "/announces",
     .bytes = OK_HEAD "Content-Length: 9000000000\r\n\r\n",
     .padding = 100000},
    {.path = "/endless", .bytes = OK_HEAD "\r\n", .padding = 100000},
    {.path = "/circle",
     .bytes = "HTTP/1.1 307 Temporary Redirect\r\nLocation: /circle\r\n"
              "Content-Length: 0\r\n\r\n"},
    {.path = "/dated",
     .bytes = OK_HEAD "Connection: close\r\n\r\n" GOOD_MODERATION,
     .failures = 1,
     .failure = "HTTP/1.1 503 Busy\r\nRetry-After: Fri, 31 Dec 2100 23:59:59 GMT\r\n"
                "Content-Length: 0\r\n\r\n"},
    {.path = "/odd-wait",
     .bytes = OK_HEAD "Connection: close\r\n\r\n" GOOD_MODERATION,
     .failures = 1,
     .failure = "HTTP/1.1 429 Slow\r\nRetry-After: -99999999999999999999\r\n"
                "Content-Length: 0\r\n\r\n"},
    /* What is sent says that the connection stays, and then it does not. */
    {.path = "/leaves",
     .bytes = OK_HEAD "Keep-Alive: timeout=600\r\nContent-Length: 175\r\n\r\n" GOOD_MODERATION},
    {.path = "/cut-once",
     .bytes = OK_HEAD "Connection: close\r\n\r\n" GOOD_MODERATION,
     .failures = 2,
     .failure = OK_HEAD "Content-Length: 500\r\n\r\n{\"results\""},
};
#define N_RAW_SCRIPTS (sizeof raw_scripts / sizeof raw_scripts[0])

static void send_all(int connection, const char *bytes, size_t n)
{
    while (n) {
        ssize_t sent = send(connection, bytes, n, MSG_NOSIGNAL);
        if (sent <= 0) return;
        bytes += sent;
        n -= (size_t)sent;
    }
}

static void answer_raw(int connection, const struct raw_script *script, int *served)
{
    static const char zeros[1000];
    const char *bytes = (*served)++ < script->failures ? script->failure : script->bytes;
    send_all(connection, bytes, strlen(bytes));
    for (size_t i = 0; i < script->padding; i += sizeof zeros)
        send_all(connection, zeros, sizeof zeros);
    if (script->stalls) sleep(1);
}

static bool asks_for(const char *request, const char *path)
{
    const char *asked = strchr(request, ' ');
    size_t length = strlen(path);
    return asked && strncmp(asked + 1, path, length) == 0 && strchr(" ?", asked[1 + length]);
}

static void read_request(int connection, char *out, size_t size)
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

static void answer(int connection, const struct script *script, int *served)
{
    char reply[4096];
    bool fails = *served < script->failures;
    (*served)++;
    if (!script->status) return;
    if (strcmp(script->path, "/slow") == 0) sleep(2);
    const char *body = fails ? "wait" : script->body;
    int n =
        snprintf(reply, sizeof reply,
                 "HTTP/1.1 %s\r\nContent-Type: %s\r\n%sLocation: /good\r\nContent-Length: %zu\r\n"
                 "Connection: close\r\n\r\n%s",
                 fails ? script->failure_status : script->status, script->type,
                 fails ? script->failure_headers : "", strlen(body), body);
    if (send(connection, reply, (size_t)n, MSG_NOSIGNAL) != n) return;
}

_Noreturn static void serve(int listener)
{
    int served[N_SCRIPTS] = {0}, raw_served[N_RAW_SCRIPTS] = {0};
    static char request[1 << 16];
    for (;;) {
        int connection = accept(listener, NULL, NULL);
        if (connection < 0) _exit(0);
        read_request(connection, request, sizeof request);
        for (size_t i = 0; i < N_SCRIPTS; i++)
            if (asks_for(request, scripts[i].path)) answer(connection, &scripts[i], &served[i]);
        for (size_t i = 0; i < N_RAW_SCRIPTS; i++)
            if (asks_for(request, raw_scripts[i].path))
                answer_raw(connection, &raw_scripts[i], &raw_served[i]);
        close(connection);
    }
}

struct server {
    pid_t pid;
    int port;
};

static int listen_somewhere(int *port)
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

static struct server start_server(void)
{
    struct server server = {0};
    int listener = listen_somewhere(&server.port);
    server.pid = fork();
    if (server.pid == 0) serve(listener);
    close(listener);
    return server;
}

static void stop_server(struct server server)
{
    kill(server.pid, SIGKILL);
    waitpid(server.pid, NULL, 0);
}

/* ---- the tests ---- */

static struct classifier *open_at(struct server server, enum remote_service service,
                                  const char *path)
{
    struct status st = {0};
    struct classifier *c = NULL;
    char url[128];
    const struct http_options options = {.timeout_seconds = 0.4,
                                         .max_attempts = 3,
                                         .first_delay_seconds = 0.01,
                                         .max_delay_seconds = 0.05,
                                         .max_reply_bytes = 50000};
    snprintf(url, sizeof url, "http://127.0.0.1:%d%s", server.port, path);
    ASSERT_OK(remote_classifier_open(&c, service, url, &options, &st));
    return c;
}

static void test_perspective(void)
{
    struct server server = start_server();
    struct status st = {0};
    struct hazard_scores scores;
    static const char *const paths[] = {"/good", "/busy", "/later"};
    for (int i = 0; i < 3; i++) {
        struct classifier *c = open_at(server, REMOTE_PERSPECTIVE, paths[i]);
        double start = clock_seconds();
        ASSERT_OK(classifier_score(c, text_of("a prompt"), text_of("a \"text\"\n"), &scores, &st));
        CU_ASSERT_TRUE(clock_seconds() - start < 2); /* Retry-After: 3600 meets the ceiling */
        CU_ASSERT_EQUAL(scores.of[HAZARD_TOXICITY].probability, 0.75);
        CU_ASSERT_DOUBLE_EQUAL(scores.of[HAZARD_TOXICITY].logit, 1.0986122886681098, 1e-12);
        CU_ASSERT_EQUAL(scores.of[HAZARD_OBSCENE].probability, 0.5);
        CU_ASSERT_EQUAL(scores.of[HAZARD_SEVERE_TOXICITY].logit, -30);
        CU_ASSERT_EQUAL(scores.of[HAZARD_THREAT].logit, 30);
        CU_ASSERT_FALSE(scores.of[HAZARD_SELF_HARM].scored);
        classifier_free(c);
    }
    stop_server(server);
}

static void test_moderation(void)
{
    struct server server = start_server();
    struct status st = {0};
    struct hazard_scores scores;
    struct classifier *c = open_at(server, REMOTE_MODERATION, "/mod#some-model");
    ASSERT_OK(classifier_score(c, (struct text){0}, text_of("x"), &scores, &st));
    CU_ASSERT_EQUAL(scores.of[HAZARD_THREAT].probability, 0.6); /* the higher of two names */
    CU_ASSERT_EQUAL(scores.of[HAZARD_VIOLENCE].probability, 0.7);
    CU_ASSERT_FALSE(scores.of[HAZARD_TOXICITY].scored);
    CU_ASSERT_PTR_NOT_NULL(strstr(classifier_id(c), "some-model"));
    classifier_free(c);
    c = open_at(server, REMOTE_MODERATION, "/empty");
    ASSERT_FAILS(classifier_score(c, (struct text){0}, text_of("x"), &scores, &st),
                 STATUS_BAD_INPUT, "\"results\" is empty");
    classifier_free(c);
    stop_server(server);
}

/* Every failure is a status with a reason and leaves no score behind. */
static void test_faults(void)
{
    static const struct {
        const char *path;
        status_code code;
        const char *says;
    } faults[] = {
        {"/broken", STATUS_IO, "HTTP 500 (3 tries)"},
        {"/refused", STATUS_IO, "HTTP 400 (1 tries): {\"error\": \"COMMENT_EMPTY\"}"},
        {"/moved", STATUS_IO, "HTTP 302"},
        {"/cut", STATUS_IO, "3 tries"},
        {"/html", STATUS_BAD_INPUT, "not valid JSON"},
        {"/half", STATUS_BAD_INPUT, "not valid JSON"},
        {"/less", STATUS_BAD_INPUT, "field \"TOXICITY\" is missing"},
        {"/over", STATUS_BAD_INPUT, "1.5, which is no probability"},
        {"/text", STATUS_BAD_INPUT, "field \"value\" is a string"},
        {"/slow", STATUS_IO, "imeout"}, /* last: the server answers one at a time */
    };
    struct server server = start_server();
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
        struct status st = {0};
        struct hazard_scores scores;
        struct classifier *c = open_at(server, REMOTE_PERSPECTIVE, faults[i].path);
        ASSERT_FAILS(classifier_score(c, (struct text){0}, text_of("x"), &scores, &st),
                     faults[i].code, faults[i].says);
        for (int h = 0; h < HAZARD_COUNT; h++) CU_ASSERT_FALSE(scores.of[h].scored);
        classifier_free(c);
    }
    stop_server(server);
    struct status st = {0};
    struct hazard_scores scores;
    struct classifier *c = open_at(server, REMOTE_PERSPECTIVE, "/good"); /* nobody is there now */
    ASSERT_FAILS(classifier_score(c, (struct text){0}, text_of("x"), &scores, &st), STATUS_IO,
                 "onnect");
    classifier_free(c);
}

/* Faults below the answer: connections and bodies that are not what they say. */
static void test_connections(void)
{
    static const struct {
        const char *path;
        status_code code;
        const char *says; /* NULL: it is scored */
    } cases[] = {
        {"/chunked", STATUS_OK, NULL},
        {"/dated", STATUS_OK, NULL},
        {"/odd-wait", STATUS_OK, NULL},
        {"/leaves", STATUS_OK, NULL},
        {"/cut-once", STATUS_OK, NULL},
        {"/half-chunk", STATUS_IO, "(3 tries)"},
        {"/no-last-chunk", STATUS_IO, "(3 tries)"},
        {"/short-body", STATUS_IO, "(3 tries)"},
        {"/no-http", STATUS_IO, "tries)"},
        {"/nothing", STATUS_BAD_INPUT, "not valid JSON"},
        {"/no-content", STATUS_BAD_INPUT, "not valid JSON"},
        {"/announces", STATUS_LIMIT, "longer than 50000 bytes"},
        {"/endless", STATUS_LIMIT, "longer than 50000 bytes"},
        {"/circle", STATUS_IO, "HTTP 307 (1 tries)"},
        {"/only-head", STATUS_IO, "imeout"},
    };
    struct server server = start_server();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct status st = {0};
        struct hazard_scores scores;
        struct classifier *c = open_at(server, REMOTE_MODERATION, cases[i].path);
        for (int round = 0; round < 3; round++) { /* one client, so that connections are kept */
            double start = clock_seconds();
            status_code code = classifier_score(c, (struct text){0}, text_of("x"), &scores, &st);
            CU_ASSERT_EQUAL(code, cases[i].code);
            if (code != cases[i].code) fprintf(stderr, "  %s: %s\n", cases[i].path, st.message);
            CU_ASSERT_TRUE(clock_seconds() - start < 10); /* whatever Retry-After asks for */
            if (cases[i].says) CU_ASSERT_PTR_NOT_NULL(strstr(st.message, cases[i].says));
            CU_ASSERT_EQUAL(scores.of[HAZARD_VIOLENCE].scored, !cases[i].says);
            CU_ASSERT_EQUAL(scores.of[HAZARD_VIOLENCE].probability, cases[i].says ? 0 : 0.7);
            if (strcmp(cases[i].path, "/only-head") == 0) break;
        }
        classifier_free(c);
    }
    stop_server(server);
}

/* ---- many texts at once ---- */

/* What the processes of the echo server share. */
struct echo_counts {
    _Atomic int now, most, asked;
};

/* "v=0.25" in a text is its violence; FAIL is refused.  It takes a while, so that requests meet. */
_Noreturn static void echo(int connection, struct echo_counts *counts)
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

_Noreturn static void serve_echo(int listener, struct echo_counts *counts)
{
    signal(SIGCHLD, SIG_IGN);
    for (;;) {
        int connection = accept(listener, NULL, NULL);
        if (connection < 0) _exit(0);
        if (fork() == 0) echo(connection, counts);
        close(connection);
    }
}

#define N_ITEMS 20

/* Twenty texts: two that fail, two that are the same as another. */
static void make_items(struct classifier_item items[N_ITEMS], char (*texts)[32])
{
    for (int i = 0; i < N_ITEMS; i++) {
        if (i % 10 == 7)
            snprintf(texts[i], 32, "FAIL %d", i);
        else
            snprintf(texts[i], 32, "v=0.%02d", i == 12 || i == 15 ? 3 : i);
        items[i] = (struct classifier_item){.prompt = text_of(""), .text = text_of(texts[i])};
    }
}

static void check_items(const struct classifier_item items[N_ITEMS])
{
    for (int i = 0; i < N_ITEMS; i++) {
        const struct hazard_score *violence = &items[i].scores.of[HAZARD_VIOLENCE];
        bool fails = i % 10 == 7;
        CU_ASSERT_EQUAL(items[i].status.code, fails ? STATUS_IO : STATUS_OK);
        CU_ASSERT_EQUAL(violence->scored, !fails);
        CU_ASSERT_EQUAL(violence->probability, fails ? 0 : strtod(items[i].text.data + 2, NULL));
        if (fails) CU_ASSERT_PTR_NOT_NULL(strstr(items[i].status.message, "HTTP 400"));
    }
}

struct echo_setting {
    struct server server;
    struct echo_counts *counts;
    struct classifier *classifier;
    struct classifier_item items[N_ITEMS];
    char texts[N_ITEMS][32];
};

static void set_up_echo(struct echo_setting *s, int max_parallel)
{
    struct status st = {0};
    char url[64];
    int listener = listen_somewhere(&s->server.port);
    s->counts =
        mmap(NULL, sizeof *s->counts, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CU_ASSERT_FATAL(s->counts != MAP_FAILED);
    s->server.pid = fork();
    if (s->server.pid == 0) serve_echo(listener, s->counts);
    close(listener);
    snprintf(url, sizeof url, "http://127.0.0.1:%d/x", s->server.port);
    const struct http_options options = {.max_attempts = 1, .max_parallel = max_parallel};
    ASSERT_OK(remote_classifier_open(&s->classifier, REMOTE_MODERATION, url, &options, &st));
    make_items(s->items, s->texts);
}

static void tear_down_echo(struct echo_setting *s)
{
    classifier_free(s->classifier);
    stop_server(s->server);
    munmap(s->counts, sizeof *s->counts);
}

/* Several requests are under way, and no more than that; every text gets its own answer. */
static void test_parallel(void)
{
    static const int parallel[] = {1, 4};
    for (int p = 0; p < 2; p++) {
        struct echo_setting s;
        set_up_echo(&s, parallel[p]);
        classifier_score_all(s.classifier, s.items, N_ITEMS);
        check_items(s.items);
        CU_ASSERT_EQUAL(s.counts->asked, N_ITEMS);
        CU_ASSERT_TRUE(s.counts->most <= parallel[p]);
        CU_ASSERT_EQUAL(s.counts->most > 1, parallel[p] > 1);
        classifier_score_all(s.classifier, s.items, 0);
        tear_down_echo(&s);
    }
}

/* With a cache each question is asked once, also of texts that come together. */
static void test_parallel_cache(void)
{
    struct status st = {0};
    struct store *store = NULL;
    struct score_cache cache = store_cache(&store);
    struct hazard_scores scores;
    struct echo_setting s;
    set_up_echo(&s, 4);
    ASSERT_OK(store_open(&store, ":memory:", STORE_WRITE, &st));
    ASSERT_OK(cached_classifier_create(&s.classifier, s.classifier, &cache, &st));
    classifier_score_all(s.classifier, s.items, N_ITEMS);
    check_items(s.items);
    CU_ASSERT_EQUAL(s.counts->asked, N_ITEMS - 2);
    classifier_score_all(s.classifier, s.items, N_ITEMS);
    check_items(s.items);
    CU_ASSERT_EQUAL(s.counts->asked, N_ITEMS); /* the two failures, again */
    ASSERT_OK(classifier_score(s.classifier, text_of(""), text_of("v=0.03"), &scores, &st));
    CU_ASSERT_EQUAL(s.counts->asked, N_ITEMS);
    tear_down_echo(&s);
    store_free(store);
}

/* ---- time and numbers ---- */

static void test_interval(void)
{
    struct server server = start_server();
    struct status st = {0};
    struct hazard_scores scores;
    struct classifier *c = NULL;
    char url[128];
    const struct http_options options = {.min_interval_seconds = 0.1};
    snprintf(url, sizeof url, "http://127.0.0.1:%d/good", server.port);
    ASSERT_OK(remote_classifier_open(&c, REMOTE_PERSPECTIVE, url, &options, &st));
    double start = clock_seconds();
    for (int i = 0; i < 4; i++)
        ASSERT_OK(classifier_score(c, (struct text){0}, text_of("x"), &scores, &st));
    CU_ASSERT_TRUE(clock_seconds() - start >= 0.3);
    classifier_free(c);
    stop_server(server);
}

static void test_retry_after(void)
{
    struct server server = start_server();
    struct status st = {0};
    struct hazard_scores scores;
    struct classifier *c = NULL;
    char url[128];
    const struct http_options options = {.first_delay_seconds = 0.01, .max_delay_seconds = 5};
    snprintf(url, sizeof url, "http://127.0.0.1:%d/wait", server.port);
    ASSERT_OK(remote_classifier_open(&c, REMOTE_PERSPECTIVE, url, &options, &st));
    double start = clock_seconds();
    ASSERT_OK(classifier_score(c, (struct text){0}, text_of("x"), &scores, &st));
    CU_ASSERT_TRUE(clock_seconds() - start >= 1);
    classifier_free(c);
    stop_server(server);
}

/* A request's seconds hold for all its tries; a pause that would outlast them is not begun. */
static void test_deadline(void)
{
    static const char *const paths[] = {"/broken", "/slow"};
    for (int i = 0; i < 2; i++) {
        struct server server = start_server();
        struct status st = {0};
        struct hazard_scores scores;
        struct classifier *c = NULL;
        char url[128];
        const struct http_options options = {.first_delay_seconds = 30, .max_delay_seconds = 60};
        snprintf(url, sizeof url, "http://127.0.0.1:%d%s", server.port, paths[i]);
        ASSERT_OK(remote_classifier_open(&c, REMOTE_PERSPECTIVE, url, &options, &st));
        double start = clock_seconds();
        ASSERT_FAILS(classifier_score_within(c, (struct text){0}, text_of("x"), 0.4, &scores, &st),
                     STATUS_TIMEOUT, "no answer in 0.4 s (1 tries)");
        CU_ASSERT_TRUE(clock_seconds() - start < 2);
        CU_ASSERT_FALSE(scores.of[HAZARD_TOXICITY].scored);
        classifier_free(c);
        stop_server(server);
    }
}

static void *score_once(void *classifier)
{
    struct status st = {0};
    struct hazard_scores scores;
    status_code code = classifier_score(classifier, (struct text){0}, text_of("x"), &scores, &st);
    CU_ASSERT_EQUAL(code, STATUS_IO);
    return NULL;
}

/* They hold too where another thread's request is in the way, here for three seconds. */
static void test_deadline_of_waiting(void)
{
    struct server server = start_server();
    struct status st = {0};
    struct hazard_scores scores;
    struct classifier *c = NULL;
    char url[128];
    pthread_t other;
    const struct http_options options = {.max_attempts = 2, .first_delay_seconds = 3};
    const struct timespec pause = {.tv_nsec = 300000000};
    snprintf(url, sizeof url, "http://127.0.0.1:%d/broken", server.port);
    ASSERT_OK(remote_classifier_open(&c, REMOTE_PERSPECTIVE, url, &options, &st));
    CU_ASSERT_EQUAL_FATAL(pthread_create(&other, NULL, score_once, c), 0);
    nanosleep(&pause, NULL);
    double start = clock_seconds();
    ASSERT_FAILS(classifier_score_within(c, (struct text){0}, text_of("x"), 0.2, &scores, &st),
                 STATUS_TIMEOUT, "no answer in 0.2 s");
    CU_ASSERT_TRUE(clock_seconds() - start < 2);
    pthread_join(other, NULL);
    classifier_free(c);
    stop_server(server);
}

static void test_quota(void)
{
    struct server server = start_server();
    struct status st = {0};
    struct hazard_scores scores;
    struct classifier *c = NULL;
    char url[128];
    const struct http_options options = {.max_requests = 2};
    snprintf(url, sizeof url, "http://127.0.0.1:%d/good", server.port);
    ASSERT_OK(remote_classifier_open(&c, REMOTE_PERSPECTIVE, url, &options, &st));
    for (int i = 0; i < 2; i++)
        ASSERT_OK(classifier_score(c, (struct text){0}, text_of("x"), &scores, &st));
    ASSERT_FAILS(classifier_score(c, (struct text){0}, text_of("x"), &scores, &st), STATUS_LIMIT,
                 "the quota of requests is spent");
    CU_ASSERT_FALSE(scores.of[HAZARD_TOXICITY].scored);
    classifier_free(c);
    stop_server(server);
}

/* What was answered is not asked again, in this run or another; what failed is not kept. */
static void test_cache(void)
{
    struct server server = start_server();
    struct status st = {0};
    struct hazard_scores first, again;
    struct store *store = NULL;
    struct score_cache cache = store_cache(&store);
    struct classifier *c = NULL;
    ASSERT_OK(store_open(&store, ":memory:", STORE_WRITE, &st));
    ASSERT_OK(
        cached_classifier_create(&c, open_at(server, REMOTE_PERSPECTIVE, "/good"), &cache, &st));
    ASSERT_OK(classifier_score(c, text_of("p"), text_of("x\xff"), &first, &st));
    stop_server(server);
    ASSERT_OK(classifier_score(c, text_of("p"), text_of("x\xff"), &again, &st));
    for (int h = 0; h < HAZARD_COUNT; h++) {
        CU_ASSERT_EQUAL(first.of[h].scored, again.of[h].scored);
        CU_ASSERT_EQUAL(first.of[h].logit, again.of[h].logit);
        CU_ASSERT_EQUAL(first.of[h].probability, again.of[h].probability);
    }
    /* Another prompt, another division of the same bytes: other keys. */
    ASSERT_FAILS(classifier_score(c, text_of("q"), text_of("x\xff"), &again, &st), STATUS_IO, "");
    ASSERT_FAILS(classifier_score(c, text_of("px"), text_of("\xff"), &again, &st), STATUS_IO, "");
    ASSERT_FAILS(classifier_score(c, (struct text){0}, text_of("new"), &again, &st), STATUS_IO, "");
    classifier_free(c);

    /* Without a store nothing is kept. */
    struct store *none = NULL;
    struct score_cache empty = store_cache(&none);
    server = start_server();
    ASSERT_OK(
        cached_classifier_create(&c, open_at(server, REMOTE_PERSPECTIVE, "/good"), &empty, &st));
    ASSERT_OK(classifier_score(c, (struct text){0}, text_of("x"), &again, &st));
    stop_server(server);
    ASSERT_FAILS(classifier_score(c, (struct text){0}, text_of("x"), &again, &st), STATUS_IO, "");
    classifier_free(c);

    store_free(store);
}

static status_code find_broken(void *user, const char key[SHA256_HEX_SIZE], struct strbuf *value,
                               bool *found, struct status *st)
{
    (void)key;
    (void)st;
    strbuf_append_str(value, user);
    *found = true;
    return STATUS_OK;
}

static void test_broken_cache(void)
{
    static char values[][32] = {"",
                                "[]",
                                "{\"toxicity\": [1]}",
                                "{\"nice\": [1, 1]}",
                                "{\"toxicity\": [1, 7]}",
                                "{\"toxicity\": 1}"};
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        struct status st = {0};
        struct hazard_scores scores;
        struct classifier *c = NULL;
        const struct score_cache cache = {.user = values[i], .find = find_broken};
        const struct server nobody = {.port = 9};
        ASSERT_OK(
            cached_classifier_create(&c, open_at(nobody, REMOTE_PERSPECTIVE, "/x"), &cache, &st));
        CU_ASSERT_EQUAL(classifier_score(c, (struct text){0}, text_of("x"), &scores, &st),
                        STATUS_BAD_INPUT);
        CU_ASSERT_FALSE(scores.of[HAZARD_TOXICITY].scored);
        classifier_free(c);
    }
}

static void test_specs(void)
{
    struct status st = {0};
    struct classifier *c = NULL;
    unsetenv("PERSPECTIVE_API_KEY");
    ASSERT_FAILS(classifier_open(&c, "perspective", &st), STATUS_USAGE, "PERSPECTIVE_API_KEY");
    ASSERT_FAILS(classifier_open(&c, "perspective:ftp://x", &st), STATUS_USAGE, "http://");
    ASSERT_FAILS(classifier_open(&c, "moderation", &st), STATUS_USAGE, "needs an address");
    setenv("ASSAY_REMOTE_QPS", "-1", 1);
    ASSERT_FAILS(classifier_open(&c, "moderation:http://h/x", &st), STATUS_USAGE,
                 "ASSAY_REMOTE_QPS");
    unsetenv("ASSAY_REMOTE_QPS");
    setenv("PERSPECTIVE_API_KEY", "SECRET", 1);
    ASSERT_OK(classifier_open(&c, "perspective:http://127.0.0.1:9/x", &st));
    CU_ASSERT_STRING_EQUAL(classifier_id(c), "perspective/127.0.0.1:9");
    classifier_free(c);
    /* A key never shows in a message. */
    const struct http_options once = {.max_attempts = 1};
    struct hazard_scores scores;
    ASSERT_OK(remote_classifier_open(&c, REMOTE_PERSPECTIVE, "http://127.0.0.1:9/x", &once, &st));
    CU_ASSERT_EQUAL(classifier_score(c, (struct text){0}, text_of("x"), &scores, &st), STATUS_IO);
    CU_ASSERT_PTR_NULL(strstr(st.message, "SECRET"));
    classifier_free(c);
    unsetenv("PERSPECTIVE_API_KEY");
}

static const struct test_case tests[] = {
    {"Perspective's schema, with answers that come late", test_perspective},
    {"the moderation schema", test_moderation},
    {"every fault is a reason and no score", test_faults},
    {"connections and bodies that are not what they say", test_connections},
    {"many texts, several at a time", test_parallel},
    {"many texts with a cache", test_parallel_cache},
    {"requests are spaced", test_interval},
    {"Retry-After", test_retry_after},
    {"a request's seconds", test_deadline},
    {"a waiting request's seconds", test_deadline_of_waiting},
    {"a quota", test_quota},
    {"what was answered is kept", test_cache},
    {"a cache that is broken", test_broken_cache},
    {"specs, keys, rates", test_specs},
};
SUITE("remote_classifier", tests)
