/* Remote classifiers against a server that fails in every way it can: nothing is lost, nothing is
 * scored 0. */
#define _DEFAULT_SOURCE /* MAP_ANONYMOUS */
#include <pthread.h>
#include <time.h>

#include "benchmarks/store_cache.h"
#include "classifiers/remote_classifier.h"
#include "engine/base/clock.h"
#include "engine/base/json.h"
#include "tests/unit/http_fixture.h"

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

static struct server start_server(void)
{
    struct server server = {0};
    int listener = listen_somewhere(&server.port);
    server.pid = fork();
    if (server.pid == 0) serve(listener);
    close(listener);
    return server;
}

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
