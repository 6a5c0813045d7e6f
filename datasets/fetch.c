#include "datasets/fetch.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "datasets/tar_reader.h"
#include "engine/base/limits.h"

#define RECORD "FETCHED.json"

/* A dataset under way. */
struct job {
    const struct fetch_options *options;
    struct fetch_record record;
    char folder[PATH_MAX];
    struct fetch_result *result;
};

/* ---- the record ---- */

void fetch_record_file(struct fetch_record *record, const char *path, const char *url,
                       const char *sha256, int64_t bytes)
{
    struct strbuf *out = &record->files;
    strbuf_append_str(out, out->length ? ",\n    {\"path\": " : "\n    {\"path\": ");
    json_append_str(out, path);
    strbuf_append_str(out, ", \"url\": ");
    json_append_str(out, url);
    strbuf_appendf(out, ", \"sha256\": \"%s\", \"bytes\": %" PRId64 "}", sha256, bytes);
}

/* Writes a file under its name only when it is whole. */
static status_code write_file(const char *path, struct text bytes, struct status *st)
{
    char part[PATH_MAX];
    if (snprintf(part, sizeof part, "%s.part", path) >= (int)sizeof part)
        return status_set(st, STATUS_USAGE, "%.200s...: the path is too long", path);
    FILE *file = fopen(part, "wb");
    bool good = file && fwrite(bytes.data, 1, bytes.length, file) == bytes.length;
    if (file) good = fclose(file) == 0 && good;
    if (good && rename(part, path) == 0) return STATUS_OK;
    status_set(st, STATUS_IO, "%s: %s", part, strerror(errno));
    unlink(part);
    return st->code;
}

status_code fetch_record_write(const struct fetch_record *record, struct status *st)
{
    struct strbuf out;
    char path[PATH_MAX], now[32] = "";
    time_t seconds = time(NULL);
    struct tm utc;
    if (gmtime_r(&seconds, &utc)) strftime(now, sizeof now, "%Y-%m-%dT%H:%M:%SZ", &utc);
    strbuf_init(&out, LIMIT_CONFIG_BYTES);
    strbuf_append_str(&out, "{\n  \"name\": ");
    json_append_text(&out, record->name);
    strbuf_append_str(&out, ",\n  \"source\": ");
    json_append_text(&out, record->source);
    strbuf_append_str(&out, ",\n  \"licence\": ");
    if (record->licence.data)
        json_append_text(&out, record->licence);
    else
        strbuf_append_str(&out, "null");
    if (record->revision) {
        strbuf_append_str(&out, ",\n  \"revision\": ");
        json_append_str(&out, record->revision);
    }
    strbuf_appendf(&out, ",\n  \"fetched_at\": \"%s\",\n  \"files\": [", now);
    strbuf_append(&out, record->files.data, record->files.length);
    strbuf_append_str(&out, "\n  ]\n}\n");
    status_code code = strbuf_check(&record->files, "the list of fetched files", st);
    if (code == STATUS_OK) code = strbuf_check(&out, "the list of fetched files", st);
    if (code == STATUS_OK &&
        snprintf(path, sizeof path, "%s/" RECORD, record->folder) >= (int)sizeof path)
        code = status_set(st, STATUS_USAGE, "%.200s...: the path is too long", record->folder);
    if (code == STATUS_OK) code = write_file(path, (struct text){out.data, out.length}, st);
    strbuf_release(&out);
    return code;
}

/* Whether the record names this archive and every file that it names is there as it was. */
static bool is_unpacked(const struct job *job, const char *archive_sha256)
{
    struct json_value *root = NULL;
    struct status ignored = {0}; /* without a good record, nothing is known to be there */
    char path[PATH_MAX], actual[SHA256_HEX_SIZE];
    const struct json_value *files;
    bool named = false, whole = true;
    if (snprintf(path, sizeof path, "%s/" RECORD, job->folder) >= (int)sizeof path ||
        json_parse_file(&root, path, LIMIT_CONFIG_BYTES, &ignored) != STATUS_OK)
        return false;
    if (json_get_array(root, "files", &files, &ignored) != STATUS_OK) files = NULL;
    for (const struct json_value *f = files ? json_first(files) : NULL; f && whole;
         f = json_next(f)) {
        struct text name, sha256;
        whole = json_get_text(f, "path", &name, &ignored) == STATUS_OK &&
                json_get_text(f, "sha256", &sha256, &ignored) == STATUS_OK;
        if (whole && text_equal(sha256, text_of(archive_sha256))) {
            named = true;
            continue;
        }
        whole = whole &&
                snprintf(path, sizeof path, "%s/%.*s", job->options->directory, TEXT_ARGS(name)) <
                    (int)sizeof path &&
                sha256_file(path, actual, &ignored) == STATUS_OK &&
                text_equal(sha256, text_of(actual));
    }
    job->result->n_files += named && whole ? (int)json_count(files) - 1 : 0;
    json_free(root);
    return named && whole;
}

/* ---- one file ---- */

/* The address, or the same path at the mirror. */
static status_code append_address(struct strbuf *out, const struct job *job, struct text url,
                                  struct status *st)
{
    const char *endpoint = job->options->endpoint;
    if (endpoint) {
        const char *host = NULL, *path = NULL;
        for (size_t i = 0; i + 3 <= url.length && !host; i++)
            if (memcmp(url.data + i, "://", 3) == 0) host = url.data + i + 3;
        if (host) path = memchr(host, '/', url.length - (size_t)(host - url.data));
        if (!path) return status_set(st, STATUS_BAD_INPUT, "\"url\": no address with a path");
        size_t n = strlen(endpoint);
        strbuf_append(out, endpoint, n && endpoint[n - 1] == '/' ? n - 1 : n);
        url = (struct text){path, url.length - (size_t)(path - url.data)};
    }
    strbuf_append(out, url.data, url.length);
    return strbuf_check(out, "an address", st);
}

static status_code explain(const struct job *job, const char *path, struct status *st)
{
    char why[sizeof st->message];
    snprintf(why, sizeof why, "%s", st->message);
    if (st->code != STATUS_IO && st->code != STATUS_NOT_FOUND) return st->code;
    if (strncmp(why, job->options->directory, strlen(job->options->directory)) == 0)
        return st->code; /* of a file here */
    return status_set(st, st->code,
                      "%.250s; try again, name a mirror with --endpoint, or put the file at %.150s "
                      "yourself",
                      why, path);
}

/* An entry of the manifest to the file that it describes.  Path: DIR/entry's own. */
static status_code fetch_entry(struct job *job, const struct json_value *entry, const char *path,
                               struct fetch_outcome *outcome, struct status *st)
{
    struct text url, sha256;
    char digest[SHA256_HEX_SIZE];
    int64_t bytes = 0;
    if (json_get_text(entry, "url", &url, st) != STATUS_OK ||
        json_get_text(entry, "sha256", &sha256, st) != STATUS_OK ||
        (json_has(entry, "bytes") &&
         json_get_int(entry, "bytes", 1, LIMIT_DATASET_BYTES, &bytes, st) != STATUS_OK))
        return st->code;
    if (sha256.length != SHA256_HEX_SIZE - 1)
        return status_set(st, STATUS_BAD_INPUT, "\"sha256\": expected 64 digits");
    snprintf(digest, sizeof digest, "%.*s", TEXT_ARGS(sha256));
    struct strbuf address;
    strbuf_init(&address, 8192);
    status_code code = append_address(&address, job, url, st);
    if (code == STATUS_OK) {
        const struct fetched_file file = {.url = address.data,
                                          .path = path,
                                          .sha256 = digest,
                                          .bytes = bytes,
                                          .max_bytes = LIMIT_DATASET_BYTES};
        code = fetch_file(&file, job->options->listener, outcome, st);
        if (code != STATUS_OK) explain(job, path, st);
    }
    if (code == STATUS_OK && !outcome->was_there) job->result->bytes += outcome->bytes;
    strbuf_release(&address);
    return code;
}

/* Below the dataset's own folder and nowhere else. */
static bool is_inside(const struct job *job, struct text path)
{
    size_t n = job->record.name.length;
    bool inside = path.length > n + 1 && memcmp(path.data, job->record.name.data, n) == 0 &&
                  path.data[n] == '/' && !memchr(path.data, '\0', path.length);
    for (size_t i = 0; i + 1 < path.length; i++)
        inside = inside && memcmp(path.data + i, "..", 2) != 0;
    return inside;
}

static status_code join_path(const struct job *job, struct text below, char out[PATH_MAX],
                             struct status *st)
{
    if (!is_inside(job, below))
        return status_set(st, STATUS_BAD_INPUT, "\"%.*s\" is not below the dataset's folder",
                          below.length < 100 ? (int)below.length : 100, below.data);
    int n = snprintf(out, PATH_MAX, "%s/%.*s", job->options->directory, TEXT_ARGS(below));
    if (n > 0 && n < PATH_MAX - 8) return STATUS_OK;
    return status_set(st, STATUS_USAGE, "%.200s...: the path is too long", job->options->directory);
}

static status_code fetch_plain(struct job *job, const struct json_value *entry, struct status *st)
{
    struct text path, url;
    struct fetch_outcome outcome;
    char whole[PATH_MAX], name[PATH_MAX], from[8192];
    if (json_get_text(entry, "path", &path, st) != STATUS_OK ||
        json_get_text(entry, "url", &url, st) != STATUS_OK ||
        join_path(job, path, whole, st) != STATUS_OK ||
        fetch_entry(job, entry, whole, &outcome, st) != STATUS_OK)
        return st->code;
    job->result->n_files++;
    job->result->n_fetched += !outcome.was_there;
    snprintf(name, sizeof name, "%.*s", TEXT_ARGS(path));
    snprintf(from, sizeof from, "%.*s", TEXT_ARGS(url));
    fetch_record_file(&job->record, name, from, outcome.sha256, outcome.bytes);
    return STATUS_OK;
}

/* ---- archives ---- */

/* A plain name, which is all that a path is made of here. */
static bool is_plain(const char *name, struct text suffix)
{
    size_t n = strlen(name);
    if (!n || name[0] == '.' || n <= suffix.length || n > NAME_MAX - 8 ||
        memcmp(name + n - suffix.length, suffix.data, suffix.length) != 0)
        return false;
    for (const char *p = name; *p; p++)
        if (!((*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9') ||
              strchr("._-", *p)))
            return false;
    return true;
}

/* Where a file of the archive belongs, below DIR; false: nowhere. */
static bool find_place(const struct json_value *folders, struct text suffix, const char *name,
                       char *out, size_t size)
{
    struct status ignored = {0};
    for (const struct json_value *f = json_first(folders); f; f = json_next(f)) {
        struct text from, to;
        if (json_get_text(f, "from", &from, &ignored) != STATUS_OK ||
            json_get_text(f, "to", &to, &ignored) != STATUS_OK)
            continue;
        if (strncmp(name, from.data, from.length) != 0 || !is_plain(name + from.length, suffix))
            continue;
        int n = snprintf(out, size, "%.*s%s", TEXT_ARGS(to), name + from.length);
        return n > 0 && (size_t)n < size;
    }
    return false;
}

/* What is there and is another file stays. */
static status_code put_file(struct job *job, const char *below, struct text bytes, const char *url,
                            struct status *st)
{
    char path[PATH_MAX], expected[SHA256_HEX_SIZE], actual[SHA256_HEX_SIZE];
    if (join_path(job, text_of(below), path, st) != STATUS_OK ||
        fetch_make_folders(path, st) != STATUS_OK)
        return st->code;
    sha256_text(bytes, expected);
    if (access(path, F_OK) == 0) {
        if (sha256_file(path, actual, st) != STATUS_OK) return st->code;
        if (strcmp(expected, actual) != 0)
            return status_set(st, STATUS_BAD_INPUT,
                              "%s: is another file than the archive's; move it away to fetch the "
                              "official one",
                              path);
    } else if (write_file(path, bytes, st) != STATUS_OK) {
        return st->code;
    } else {
        job->result->n_fetched++;
    }
    job->result->n_files++;
    fetch_record_file(&job->record, below, url, expected, (int64_t)bytes.length);
    return STATUS_OK;
}

static status_code unpack(struct job *job, const struct json_value *archive, const char *path,
                          const char *url, struct status *st)
{
    struct tar *tar;
    struct tar_file file;
    struct strbuf bytes;
    const struct json_value *folders;
    struct text suffix;
    char below[PATH_MAX];
    int before = job->result->n_files;
    if (json_get_array(archive, "folders", &folders, st) != STATUS_OK ||
        json_get_text(archive, "suffix", &suffix, st) != STATUS_OK ||
        tar_open(&tar, path, st) != STATUS_OK)
        return st->code;
    strbuf_init(&bytes, LIMIT_DATASET_BYTES);
    status_code code = tar_next(tar, &file, st);
    while (code == STATUS_OK && file.name) {
        if (find_place(folders, suffix, file.name, below, sizeof below)) {
            strbuf_clear(&bytes);
            code = tar_read(tar, &bytes, st);
            if (code == STATUS_OK)
                code = put_file(job, below, (struct text){bytes.data, bytes.length}, url, st);
        }
        if (code == STATUS_OK) code = tar_next(tar, &file, st);
    }
    if (code == STATUS_OK && job->result->n_files == before)
        code = status_set(st, STATUS_BAD_INPUT, "%s: has none of the dataset's files", path);
    strbuf_release(&bytes);
    tar_free(tar);
    return code;
}

/* The archive goes when its files are there. */
static status_code fetch_archive(struct job *job, const struct json_value *archive,
                                 struct status *st)
{
    struct text url, sha256;
    char path[PATH_MAX], from[8192], digest[SHA256_HEX_SIZE];
    struct fetch_outcome outcome;
    if (json_get_text(archive, "url", &url, st) != STATUS_OK ||
        json_get_text(archive, "sha256", &sha256, st) != STATUS_OK)
        return st->code;
    snprintf(from, sizeof from, "%.*s", TEXT_ARGS(url));
    snprintf(digest, sizeof digest, "%.*s", TEXT_ARGS(sha256));
    if (is_unpacked(job, digest)) return STATUS_OK;
    if (snprintf(path, sizeof path, "%s/archive-%.12s", job->folder, digest) >=
        (int)sizeof path - 8)
        return status_set(st, STATUS_USAGE, "%.200s...: the path is too long", job->folder);
    if (fetch_entry(job, archive, path, &outcome, st) != STATUS_OK ||
        unpack(job, archive, path, from, st) != STATUS_OK)
        return st->code;
    fetch_record_file(&job->record, "", from, outcome.sha256, outcome.bytes);
    unlink(path);
    return STATUS_OK;
}

/* ---- the dataset ---- */

static status_code fetch_all(struct job *job, const struct json_value *manifest, bool *any,
                             struct status *st)
{
    const struct json_value *files, *archives = NULL;
    status_code code = json_get_array(manifest, "files", &files, st);
    if (code == STATUS_OK && json_has(manifest, "archives"))
        code = json_get_array(manifest, "archives", &archives, st);
    const struct json_value *entry = archives ? json_first(archives) : NULL;
    for (; entry && code == STATUS_OK; entry = json_next(entry)) {
        *any = true;
        code = fetch_archive(job, entry, st);
    }
    if (code != STATUS_OK) return code;
    for (entry = json_first(files); entry && code == STATUS_OK; entry = json_next(entry)) {
        if (!json_has(entry, "url")) continue;
        *any = true;
        code = fetch_plain(job, entry, st);
    }
    return code;
}

status_code fetch_dataset(const struct json_value *manifest, const struct fetch_options *options,
                          struct fetch_result *out, struct status *st)
{
    struct job job = {.options = options, .result = out};
    bool any = false;
    *out = (struct fetch_result){0};
    if (json_get_text(manifest, "name", &job.record.name, st) != STATUS_OK ||
        json_get_text(manifest, "source", &job.record.source, st) != STATUS_OK ||
        json_get_text(manifest, "licence", &job.record.licence, st) != STATUS_OK)
        return st->code;
    if (snprintf(job.folder, sizeof job.folder, "%s/%.*s", options->directory,
                 TEXT_ARGS(job.record.name)) >= (int)sizeof job.folder - 64)
        return status_set(st, STATUS_USAGE, "%.200s...: the path is too long", options->directory);
    job.record.folder = job.folder;
    strbuf_init(&job.record.files, LIMIT_CONFIG_BYTES);
    status_code code = fetch_all(&job, manifest, &any, st);
    if (code == STATUS_OK && !any)
        code =
            status_set(st, STATUS_UNSUPPORTED,
                       "dataset %.*s has no address whose content is known; get it from %.*s and "
                       "name its folder with --data",
                       TEXT_ARGS(job.record.name), TEXT_ARGS(job.record.source));
    if (code == STATUS_OK && job.record.files.length) code = fetch_record_write(&job.record, st);
    strbuf_release(&job.record.files);
    return code;
}
