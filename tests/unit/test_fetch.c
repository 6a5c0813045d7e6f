/* Downloads that break in every way, and archives that want to write elsewhere. */
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "datasets/fetch.h"
#include "datasets/tar_reader.h"
#include "engine/base/clock.h"
#include "engine/base/fetched_file.h"
#include "engine/base/http_download.h"
#include "tests/unit/scratch.h"

/* ---- a server that answers by the path, one connection after the other ---- */

#define WHOLE 5000 /* bytes of the file that it serves, byte i being letter i % 26 */

struct server {
    int socket, port;
    pthread_t thread;
    const char *extra; /* what /extra serves */
    size_t extra_length;
};

static char letter(size_t i)
{
    return (char)('a' + i % 26);
}

static void send_all(int fd, const char *bytes, size_t n)
{
    while (n) {
        ssize_t sent = send(fd, bytes, n, MSG_NOSIGNAL);
        if (sent <= 0) return;
        bytes += sent;
        n -= (size_t)sent;
    }
}

static void send_letters(int fd, size_t from, size_t n)
{
    char bytes[WHOLE + 100];
    for (size_t i = 0; i < n; i++) bytes[i] = letter(from + i);
    send_all(fd, bytes, n);
}

static void send_head(int fd, const char *head)
{
    send_all(fd, head, strlen(head));
}

static void answer(const struct server *server, int fd, const char *path, size_t from)
{
    char head[256];
    if (strcmp(path, "/stall") == 0) {
        snprintf(head, sizeof head,
                 "HTTP/1.1 %s\r\nContent-Length: %d\r\nContent-Range: bytes %zu-%d/%d\r\n\r\n",
                 from ? "206 x" : "200 x", WHOLE - (int)from, from, WHOLE - 1, WHOLE);
        send_head(fd, head);
        send_letters(fd, from, from ? WHOLE - from : 1000);
        if (!from) sleep(3);
    } else if (strcmp(path, "/down") == 0) {
        send_head(fd, "HTTP/1.1 503 x\r\nContent-Length: 4\r\n\r\nbusy");
    } else if (strcmp(path, "/other-part") == 0) {
        send_head(fd, from ? "HTTP/1.1 206 x\r\nContent-Range: bytes 7-4999/5000\r\n\r\n"
                           : "HTTP/1.1 200 x\r\nContent-Length: 5000\r\n\r\n");
        send_letters(fd, from ? 7 : 0, from ? WHOLE - 7 : WHOLE);
    } else if (strcmp(path, "/no-length") == 0) {
        send_head(fd, from ? "HTTP/1.1 200 x\r\n\r\n" : "HTTP/1.1 200 x\r\n\r\n");
        send_letters(fd, 0, WHOLE);
    } else if (strcmp(path, "/short") == 0) { /* no length, and never the end */
        send_head(fd, "HTTP/1.1 200 x\r\n\r\n");
        send_letters(fd, 0, 100);
    } else if (strcmp(path, "/no-http") == 0) {
        send_head(fd, "SSH-2.0-OpenSSH_9.2\r\n");
    } else if (strcmp(path, "/empty") == 0) {
        send_head(fd, "HTTP/1.1 200 x\r\nContent-Length: 0\r\n\r\n");
    } else if (strcmp(path, "/extra") == 0) {
        snprintf(head, sizeof head, "HTTP/1.1 200 x\r\nContent-Length: %zu\r\n\r\n",
                 server->extra_length);
        send_head(fd, head);
        send_all(fd, server->extra, server->extra_length);
    }
}

static void *serve(void *user)
{
    struct server *server = user;
    for (;;) {
        char request[4096], path[256] = "";
        size_t n = 0, from = 0;
        int fd = accept(server->socket, NULL, NULL);
        if (fd < 0) return NULL;
        for (ssize_t got; n + 1 < sizeof request; n += (size_t)got) {
            request[n] = '\0';
            if (strstr(request, "\r\n\r\n")) break;
            got = recv(fd, request + n, sizeof request - 1 - n, 0);
            if (got <= 0) break;
        }
        const char *range = strstr(request, "Range: bytes=");
        if (range) from = strtoul(range + 13, NULL, 10);
        if (sscanf(request, "GET %255s", path) == 1) answer(server, fd, path, from);
        shutdown(fd, SHUT_WR);
        while (recv(fd, request, sizeof request, 0) > 0) continue;
        close(fd);
    }
}

static void start(struct server *server)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    server->socket = socket(AF_INET, SOCK_STREAM, 0);
    CU_ASSERT_EQUAL_FATAL(bind(server->socket, (struct sockaddr *)&address, length), 0);
    CU_ASSERT_EQUAL_FATAL(listen(server->socket, 8), 0);
    getsockname(server->socket, (struct sockaddr *)&address, &length);
    server->port = ntohs(address.sin_port);
    pthread_create(&server->thread, NULL, serve, server);
}

static void stop_server(struct server *server)
{
    shutdown(server->socket, SHUT_RDWR);
    pthread_join(server->thread, NULL);
    close(server->socket);
}

/* ---- downloads ---- */

struct kept {
    char bytes[2 * WHOLE];
    size_t n;
    int n_restarts;
    bool full, stopped;
};

static status_code keep_bytes(void *user, const char *bytes, size_t n, struct status *st)
{
    struct kept *kept = user;
    if (kept->full) return status_set(st, STATUS_IO, "no room");
    CU_ASSERT_FATAL(kept->n + n <= sizeof kept->bytes);
    memcpy(kept->bytes + kept->n, bytes, n);
    kept->n += n;
    return STATUS_OK;
}

static status_code start_over(void *user, struct status *st)
{
    struct kept *kept = user;
    (void)st;
    kept->n = 0;
    kept->n_restarts++;
    return STATUS_OK;
}

static bool is_stopped(void *user)
{
    return ((struct kept *)user)->stopped;
}

static bool is_whole(const struct kept *kept)
{
    for (size_t i = 0; i < kept->n; i++)
        if (kept->bytes[i] != letter(i)) return false;
    return kept->n == WHOLE;
}

static void test_downloads(void)
{
    static const struct {
        const char *path;
        int have;
        int64_t bytes, max_bytes;
        status_code code;
        const char *says;
        int n_restarts;
    } cases[] = {
        {"/stall", 0, 0, WHOLE, STATUS_OK, "", 0},
        {"/other-part", 1000, 0, WHOLE, STATUS_OK, "", 1},
        {"/no-length", 1000, 0, WHOLE, STATUS_OK, "", 1},
        {"/no-length", 0, WHOLE, WHOLE, STATUS_OK, "", 0},
        {"/no-length", 0, 0, WHOLE - 1, STATUS_LIMIT, "has more than 4999 bytes", 0},
        {"/other-part", 0, 0, WHOLE - 1, STATUS_LIMIT, "has 5000 bytes, at most 4999", 0},
        {"/other-part", 0, 4999, WHOLE, STATUS_BAD_INPUT, "has 5000 bytes, expected 4999", 0},
        {"/short", 0, WHOLE, WHOLE, STATUS_IO, "the connection was cut (3 tries)", -1},
        {"/down", 0, 0, WHOLE, STATUS_IO, "HTTP 503: busy (3 tries)", 0},
        {"/no-http", 0, 0, WHOLE, STATUS_IO, "Unsupported protocol", 0},
        {"/nothing", 0, 0, WHOLE, STATUS_IO, "(3 tries)", 0},
    };
    struct server server = {0};
    start(&server);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct kept kept = {.n = (size_t)cases[i].have};
        struct status st = {0};
        char url[64];
        for (size_t k = 0; k < kept.n; k++) kept.bytes[k] = letter(k);
        snprintf(url, sizeof url, "http://127.0.0.1:%d%s", server.port, cases[i].path);
        const struct http_sink sink = {keep_bytes, start_over, is_stopped, &kept};
        const struct http_download d = {.url = url,
                                        .have = cases[i].have,
                                        .bytes = cases[i].bytes,
                                        .max_bytes = cases[i].max_bytes,
                                        .stall_seconds = 1,
                                        .max_attempts = 3,
                                        .first_delay_seconds = 0.01};
        if (cases[i].code == STATUS_OK) {
            ASSERT_OK(http_download(&d, &sink, &st));
            CU_ASSERT_TRUE(is_whole(&kept));
        } else {
            ASSERT_FAILS(http_download(&d, &sink, &st), cases[i].code, cases[i].says);
        }
        if (cases[i].n_restarts >= 0) CU_ASSERT_EQUAL(kept.n_restarts, cases[i].n_restarts);
    }
    stop_server(&server);
}

/* A sink that cannot write, and one that wants no more, end it at once. */
static void test_sinks(void)
{
    struct server server = {0};
    struct kept full = {.full = true}, stopped = {.stopped = true}, empty = {0};
    struct status st = {0};
    char url[64];
    start(&server);
    snprintf(url, sizeof url, "http://127.0.0.1:%d/no-length", server.port);
    struct http_download d = {.url = url, .max_bytes = WHOLE, .first_delay_seconds = 30};
    double began = clock_seconds();
    ASSERT_FAILS(http_download(&d, &(struct http_sink){keep_bytes, start_over, NULL, &full}, &st),
                 STATUS_IO, "no room");
    ASSERT_FAILS(
        http_download(&d, &(struct http_sink){keep_bytes, start_over, is_stopped, &stopped}, &st),
        STATUS_INTERRUPTED, "interrupted");
    snprintf(url, sizeof url, "http://127.0.0.1:%d/down", server.port);
    d.max_attempts = 2;
    ASSERT_FAILS(
        http_download(&d, &(struct http_sink){keep_bytes, start_over, is_stopped, &stopped}, &st),
        STATUS_INTERRUPTED, "interrupted");
    snprintf(url, sizeof url, "http://127.0.0.1:%d/empty", server.port);
    ASSERT_OK(http_download(&d, &(struct http_sink){keep_bytes, start_over, NULL, &empty}, &st));
    CU_ASSERT_EQUAL(empty.n, 0);
    CU_ASSERT_TRUE(clock_seconds() - began < 20);
    stop_server(&server);
}

/* ---- two processes ---- */

/* Holds the lock on a file until it is killed; writes a byte to `ready` when it has it. */
static void hold_lock(const char *path, int ready)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    int fd = open(path, O_RDWR | O_CREAT, 0666);
    bool good = fd >= 0 && fcntl(fd, F_SETLK, &lock) == 0 && write(ready, "x", 1) == 1;
    while (good) pause();
    _exit(1);
}

static void test_two_processes(void)
{
    char path[600], part[700], byte;
    struct status st = {0};
    struct fetch_listener silent = {0};
    struct fetch_outcome outcome;
    int ready[2];
    snprintf(part, sizeof part, "%s", put("two.part", "", 0));
    snprintf(path, sizeof path, "%.*s", (int)strlen(part) - 5, part);
    CU_ASSERT_EQUAL_FATAL(pipe(ready), 0);
    pid_t child = fork();
    if (child == 0) hold_lock(part, ready[1]);
    CU_ASSERT_EQUAL_FATAL(read(ready[0], &byte, 1), 1);
    const struct fetched_file file = {
        .url = "http://127.0.0.1:9/two", .path = path, .bytes = 10, .max_bytes = 10};
    ASSERT_FAILS(fetch_file(&file, &silent, &outcome, &st), STATUS_IO,
                 "two.part: another process is fetching this file");
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    close(ready[0]);
    close(ready[1]);
}

/* ---- archives ---- */

struct archive {
    char bytes[64 * 512];
    size_t n;
};

static void seal(char *header)
{
    unsigned sum = 0;
    memset(header + 148, ' ', 8);
    for (int i = 0; i < 512; i++) sum += (unsigned char)header[i];
    snprintf(header + 148, 8, "%06o", sum & 0777777);
}

static char *add(struct archive *archive, const char *name, char type, const char *content)
{
    char *header = archive->bytes + archive->n;
    size_t n = strlen(content);
    memset(header, 0, 1024);
    snprintf(header, 100, "%s", name);
    snprintf(header + 124, 12, "%011o", (unsigned)n);
    header[156] = type;
    memcpy(header + 257, "ustar\00000", 8);
    seal(header);
    memcpy(header + 512, content, n);
    archive->n += n ? 1024 : 512;
    return header;
}

static void add_end(struct archive *archive)
{
    memset(archive->bytes + archive->n, 0, 1024);
    archive->n += 1024;
}

static void test_tar(void)
{
    struct archive archive = {.n = 0};
    struct status st = {0};
    struct tar *tar;
    struct tar_file file;
    struct strbuf bytes;
    add(&archive, "folder/", '5', "");
    add(&archive, "one", '0', "first");
    add(&archive, "link", '2', "");
    add(&archive, "././@LongLink", 'L', "a name of any length");
    add(&archive, "a name of a", '0', "not under this name");
    add(&archive, "pax", 'x', "18 path=somewhere\n");
    add(&archive, "cut", '0', "nor this");
    add(&archive, "pax", 'x', "20 mtime=1234567890\n");
    char *header = add(&archive, "two", '\0', "");
    snprintf(header + 345, 155, "deep/er");
    seal(header);
    add_end(&archive);
    ASSERT_OK(tar_open(&tar, put("a.tar", archive.bytes, archive.n), &st));
    strbuf_init(&bytes, 100);
    ASSERT_OK(tar_next(tar, &file, &st));
    CU_ASSERT_STRING_EQUAL(file.name, "one");
    ASSERT_OK(tar_read(tar, &bytes, &st));
    CU_ASSERT_STRING_EQUAL(bytes.data, "first");
    ASSERT_OK(tar_next(tar, &file, &st));
    CU_ASSERT_STRING_EQUAL(file.name, "deep/er/two");
    CU_ASSERT_EQUAL(file.size, 0);
    ASSERT_OK(tar_next(tar, &file, &st));
    CU_ASSERT_PTR_NULL(file.name);
    strbuf_release(&bytes);
    tar_free(tar);
}

/* Every prefix and every changed byte of a header is an archive that is read or refused. */
static void test_damaged_tar(void)
{
    struct archive archive = {.n = 0};
    int n_refused = 0;
    add(&archive, "one", '0', "first");
    add(&archive, "two", '0', "second");
    add_end(&archive);
    for (size_t i = 0; i < 700; i++) {
        struct status st = {0};
        struct tar *tar;
        struct tar_file file = {.name = ""};
        struct archive broken = archive;
        size_t n = i < 512 ? archive.n : (i - 511) * 5;
        if (i < 512) broken.bytes[i] = (char)(broken.bytes[i] ^ (1 << (i % 7)));
        ASSERT_OK(tar_open(&tar, put("b.tar", broken.bytes, n), &st));
        status_code code = STATUS_OK;
        while (code == STATUS_OK && file.name) code = tar_next(tar, &file, &st);
        n_refused += code == STATUS_BAD_INPUT;
        CU_ASSERT_TRUE(code == STATUS_OK || code == STATUS_BAD_INPUT);
        tar_free(tar);
    }
    CU_ASSERT_TRUE(n_refused > 600);
}

static struct json_value *manifest_for(const struct server *server, const char *sha256,
                                       const char *to)
{
    struct status st = {0};
    struct json_value *root;
    char json[1024];
    snprintf(json, sizeof json,
             "{\"name\": \"set\", \"source\": \"here\", \"licence\": \"MIT\", \"files\": [],"
             "\"archives\": [{\"url\": \"http://127.0.0.1:%d/extra\", \"sha256\": \"%s\","
             "\"folders\": [{\"from\": \"in/\", \"to\": \"%s\"}], \"suffix\": \".csv\"}]}",
             server->port, sha256, to);
    ASSERT_OK(json_parse(&root, text_of(json), &st));
    return root;
}

static bool is_there(const char *relative)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", scratch, relative);
    return access(path, F_OK) == 0;
}

/* Only plain names of the wanted folder are taken, whatever the archive says. */
static void test_archive(void)
{
    struct archive archive = {.n = 0};
    struct server server = {0};
    struct status st = {0};
    struct fetch_result result;
    const struct fetch_listener nobody = {0};
    char sha256[SHA256_HEX_SIZE], path[256];
    static const char *const names[] = {"in/good.csv",     "in/../up.csv", "../in/up.csv",
                                        "/in/up.csv",      "in//up.csv",   "in/.up.csv",
                                        "in/sub/deep.csv", "in/up.txt",    "other/good.csv",
                                        "in/.csv",         "in/u p.csv",   "in/"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        add(&archive, names[i], '0', i ? "bad" : "good");
    add(&archive, "in/link.csv", '2', "");
    add_end(&archive);
    server.extra = archive.bytes;
    server.extra_length = archive.n;
    start(&server);
    put("data/keep", "", 0);
    snprintf(path, sizeof path, "%s/data", scratch);
    const struct fetch_options options = {.directory = path, .listener = &nobody};
    sha256_text((struct text){archive.bytes, archive.n}, sha256);
    struct json_value *manifest = manifest_for(&server, sha256, "set/test/");
    ASSERT_OK(fetch_dataset(manifest, &options, &result, &st));
    CU_ASSERT_EQUAL(result.n_files, 1);
    CU_ASSERT_EQUAL(result.n_fetched, 1);
    CU_ASSERT_TRUE(is_there("data/set/test/good.csv"));
    CU_ASSERT_TRUE(is_there("data/set/FETCHED.json"));
    CU_ASSERT_FALSE(is_there("data/set/up.csv") || is_there("data/up.csv") || is_there("up.csv") ||
                    is_there("data/set/test/link.csv") || is_there("data/set/test/deep.csv"));
    stop_server(&server); /* what is there is not asked for again */
    ASSERT_OK(fetch_dataset(manifest, &options, &result, &st));
    CU_ASSERT_EQUAL(result.n_files, 1);
    CU_ASSERT_EQUAL(result.n_fetched, 0);
    json_free(manifest);

    start(&server); /* a manifest that leads elsewhere is refused, and what was changed is kept */
    remove(put("data/set/FETCHED.json", "", 0));
    static const char *const places[] = {"set/../../", "../", "/tmp/", "other/"};
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        manifest = manifest_for(&server, sha256, places[i]);
        ASSERT_FAILS(fetch_dataset(manifest, &options, &result, &st), STATUS_BAD_INPUT,
                     "is not below the dataset's folder");
        json_free(manifest);
    }
    put("data/set/test/good.csv", "mine", 4);
    manifest = manifest_for(&server, sha256, "set/test/");
    ASSERT_FAILS(fetch_dataset(manifest, &options, &result, &st), STATUS_BAD_INPUT, "move it away");
    json_free(manifest);
    stop_server(&server);
    snprintf(path, sizeof path, "%s/data/set/archive-%.12s", scratch, sha256);
    CU_ASSERT_EQUAL(remove(path), 0); /* the archive is kept for the next attempt */
}

static const struct test_case tests[] = {
    {"downloads that break go on or say why", test_downloads},
    {"sinks end a download", test_sinks},
    {"two processes do not write one file", test_two_processes},
    {"tar: names, links, long names", test_tar},
    {"tar: damaged archives", test_damaged_tar},
    {"archives write where the manifest says", test_archive},
};
SUITE("fetch", tests)
