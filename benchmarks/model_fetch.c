#include "benchmarks/model_fetch.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "engine/base/http.h"
#include "engine/base/limits.h"

#define MAX_HEADER 4096

struct job {
    const struct model_fetch *request;
    struct model_fetched *out;
    char folder[3072];
    char authorization[MAX_HEADER];
    const char *headers[2];
    struct fetch_record record;
};

/* ---- names ---- */

static bool is_plain_name(struct text name)
{
    bool plain = name.length > 0 && name.length < 200 && name.data[0] != '.';
    for (size_t i = 0; i < name.length; i++) {
        unsigned char c = (unsigned char)name.data[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        plain = plain && (letter || (c && strchr("._-", c)));
    }
    return plain;
}

static bool is_hub_name(const char *name)
{
    const char *slash = strchr(name, '/');
    return slash && is_plain_name((struct text){name, (size_t)(slash - name)}) &&
           is_plain_name(text_of(slash + 1));
}

static bool ends_with(struct text name, const char *suffix)
{
    size_t n = strlen(suffix);
    return name.length >= n && memcmp(name.data + name.length - n, suffix, n) == 0;
}

/* What the engine reads of a folder, and what says under which terms. */
static bool is_needed(struct text name)
{
    static const char *const exact[] = {"config.json",
                                        "generation_config.json",
                                        "tokenizer.json",
                                        "tokenizer.model",
                                        "tokenizer_config.json",
                                        "special_tokens_map.json",
                                        "added_tokens.json",
                                        "vocab.txt",
                                        "vocab.json",
                                        "merges.txt",
                                        "chat_template.jinja",
                                        "chat_template.json",
                                        "adapter_config.json",
                                        "README.md",
                                        "model.safetensors.index.json",
                                        "LICENSE"};
    for (size_t i = 0; i < sizeof exact / sizeof exact[0]; i++)
        if (text_equal(name, text_of(exact[i]))) return true;
    bool copy = name.length > 12 && memcmp(name.data, "consolidated", 12) == 0;
    return ends_with(name, ".safetensors") && !copy;
}

/* ---- the hub's list ---- */

static status_code ask_hub(struct job *job, struct json_value **out, struct status *st)
{
    const struct model_fetch *r = job->request;
    const struct http_options options = {.max_attempts = 4,
                                         .first_delay_seconds = r->first_delay_seconds};
    struct http_client *client;
    struct http_reply reply;
    struct strbuf url;
    if (http_client_create(&client, &options, st) != STATUS_OK) return st->code;
    strbuf_init(&url, 8192);
    strbuf_appendf(&url, "%s/api/models/%s/revision/%s?blobs=true", r->endpoint, r->name,
                   r->revision ? r->revision : "main");
    const struct http_request request = {.url = url.data, .headers = job->headers};
    status_code code = http_send(client, &request, &reply, st);
    if (code == STATUS_OK) {
        code = json_parse(out, (struct text){reply.body.data, reply.body.length}, st);
        if (code != STATUS_OK) status_prefix(st, "%s", url.data);
    } else if (reply.status == 401 || reply.status == 403 || reply.status == 404) {
        status_set(
            st, reply.status == 404 ? STATUS_NOT_FOUND : STATUS_IO,
            "%s: HTTP %ld for model %s: there is no such model or revision, or its terms have "
            "to be accepted on the hub and $HF_TOKEN set",
            r->endpoint, reply.status, r->name);
    } else {
        char why[sizeof st->message];
        snprintf(why, sizeof why, "%s", st->message);
        status_set(st, st->code, "%.300s; try again, or name a mirror with --endpoint", why);
    }
    http_reply_release(&reply);
    strbuf_release(&url);
    http_client_free(client);
    return code;
}

/* The card's own word, or the tag that the hub makes of it. */
static struct text licence_of(const struct json_value *info)
{
    const struct json_value *card = json_member(info, "cardData");
    const struct json_value *licence = card ? json_member(card, "license") : NULL;
    const struct json_value *tags = json_member(info, "tags");
    if (licence && json_kind(licence) == JSON_STRING) return json_text(licence);
    if (!tags || json_kind(tags) != JSON_ARRAY) return (struct text){0};
    for (const struct json_value *tag = json_first(tags); tag; tag = json_next(tag)) {
        struct text word = json_kind(tag) == JSON_STRING ? json_text(tag) : (struct text){0};
        if (word.length > 8 && memcmp(word.data, "license:", 8) == 0)
            return (struct text){word.data + 8, word.length - 8};
    }
    return (struct text){0};
}

static void keep_licence(struct job *job, struct text text)
{
    if (!text.data) return;
    if (text.length > sizeof job->out->licence - 1) text.length = sizeof job->out->licence - 1;
    snprintf(job->out->licence, sizeof job->out->licence, "%.*s", TEXT_ARGS(text));
    job->record.licence = text_of(job->out->licence);
}

/* ---- the files ---- */

static status_code fetch_one(struct job *job, const struct json_value *entry, struct text name,
                             struct status *st)
{
    const struct model_fetch *r = job->request;
    const struct json_value *lfs = json_member(entry, "lfs");
    char path[4096], plain[256], digest[SHA256_HEX_SIZE] = "";
    struct fetch_outcome outcome;
    struct text sha256 = {0};
    int64_t bytes = 0;
    if (lfs && json_kind(lfs) == JSON_OBJECT) {
        if (json_get_text(lfs, "sha256", &sha256, st) != STATUS_OK) return st->code;
        if (sha256.length != SHA256_HEX_SIZE - 1)
            return status_set(st, STATUS_BAD_INPUT, "\"sha256\": expected 64 digits");
        snprintf(digest, sizeof digest, "%.*s", TEXT_ARGS(sha256));
    }
    if (json_has(entry, "size") &&
        json_get_int(entry, "size", 0, LIMIT_MODEL_FILE_BYTES, &bytes, st) != STATUS_OK)
        return st->code;
    snprintf(plain, sizeof plain, "%.*s", TEXT_ARGS(name));
    if (snprintf(path, sizeof path, "%s/%s", job->folder, plain) >= (int)sizeof path - 8)
        return status_set(st, STATUS_USAGE, "%.200s...: the path is too long", job->folder);
    struct strbuf url;
    strbuf_init(&url, 8192);
    strbuf_appendf(&url, "%s/%s/resolve/%s/%s", r->endpoint, r->name, job->out->commit, plain);
    const struct fetched_file file = {.url = url.data,
                                      .headers = job->headers,
                                      .path = path,
                                      .sha256 = *digest ? digest : NULL,
                                      .bytes = bytes,
                                      .max_bytes = LIMIT_MODEL_FILE_BYTES,
                                      .first_delay_seconds = r->first_delay_seconds};
    status_code code = strbuf_check(&url, "an address", st);
    if (code == STATUS_OK) code = fetch_file(&file, r->listener, &outcome, st);
    if (code == STATUS_OK) {
        job->out->files.n_files++;
        job->out->files.n_fetched += !outcome.was_there;
        if (!outcome.was_there) job->out->files.bytes += outcome.bytes;
        fetch_record_file(&job->record, plain, url.data, outcome.sha256, outcome.bytes);
    }
    strbuf_release(&url);
    return code;
}

static status_code nothing_wanted(const struct job *job, const struct json_value *siblings,
                                  struct status *st)
{
    struct text some = {0}, name;
    struct status ignored = {0};
    for (const struct json_value *s = json_first(siblings); s && !some.data; s = json_next(s))
        if (json_get_text(s, "rfilename", &name, &ignored) == STATUS_OK && ends_with(name, ".gguf"))
            some = name;
    if (job->request->file)
        return status_set(st, STATUS_NOT_FOUND, "model %s has no file %s", job->request->name,
                          job->request->file);
    return status_set(st, STATUS_UNSUPPORTED, "model %s has no *.safetensors%s%.*s",
                      job->request->name, some.data ? "; name one file with --file, such as " : "",
                      (int)(some.length < 100 ? some.length : 100), some.data ? some.data : "");
}

static status_code fetch_wanted(struct job *job, const struct json_value *info, struct status *st)
{
    const struct json_value *siblings;
    const char *only = job->request->file;
    bool any = false;
    status_code code = json_get_array(info, "siblings", &siblings, st);
    if (code != STATUS_OK) return code;
    for (const struct json_value *s = json_first(siblings); s && !any; s = json_next(s)) {
        struct text name;
        if (json_get_text(s, "rfilename", &name, st) != STATUS_OK) return st->code;
        any = only ? text_equal(name, text_of(only)) : ends_with(name, ".safetensors");
    }
    if (!any) return nothing_wanted(job, siblings, st);
    for (const struct json_value *s = json_first(siblings); s && code == STATUS_OK;
         s = json_next(s)) {
        struct text name;
        code = json_get_text(s, "rfilename", &name, st);
        if (code != STATUS_OK || !is_plain_name(name)) continue;
        if (only ? text_equal(name, text_of(only)) : is_needed(name))
            code = fetch_one(job, s, name, st);
    }
    return code;
}

static status_code fetch_listed(struct job *job, const struct json_value *info, struct status *st)
{
    struct text commit;
    struct strbuf source;
    if (json_get_text(info, "sha", &commit, st) != STATUS_OK)
        return status_prefix(st, "%s: what it says of model %s", job->request->endpoint,
                             job->request->name);
    if (!is_plain_name(commit) || commit.length >= sizeof job->out->commit)
        return status_set(st, STATUS_BAD_INPUT, "\"sha\": not a commit");
    snprintf(job->out->commit, sizeof job->out->commit, "%.*s", TEXT_ARGS(commit));
    keep_licence(job, licence_of(info));
    strbuf_init(&source, 8192);
    strbuf_init(&job->record.files, LIMIT_CONFIG_BYTES);
    strbuf_appendf(&source, "%s/%s", job->request->endpoint, job->request->name);
    job->record.folder = job->folder;
    job->record.name = text_of(job->request->name);
    job->record.source = (struct text){source.data, source.length};
    job->record.revision = job->out->commit;
    status_code code = fetch_wanted(job, info, st);
    if (code == STATUS_OK) code = fetch_record_write(&job->record, st);
    strbuf_release(&job->record.files);
    strbuf_release(&source);
    return code;
}

status_code model_fetch(const struct model_fetch *request, struct model_fetched *out,
                        struct status *st)
{
    struct job job = {.request = request, .out = out};
    struct json_value *info = NULL;
    *out = (struct model_fetched){0};
    if (!is_hub_name(request->name))
        return status_set(st, STATUS_USAGE, "\"%.100s\" is not a model's name on a hub: ORG/NAME",
                          request->name);
    if ((request->revision && !is_plain_name(text_of(request->revision))) ||
        (request->file && !is_plain_name(text_of(request->file))))
        return status_set(st, STATUS_USAGE, "a revision and a file are plain names");
    if (request->token) {
        int n = snprintf(job.authorization, sizeof job.authorization, "Authorization: Bearer %s",
                         request->token);
        if (n >= (int)sizeof job.authorization || strpbrk(request->token, "\r\n"))
            return status_set(st, STATUS_USAGE, "$HF_TOKEN is not a token");
        job.headers[0] = job.authorization;
    }
    if (snprintf(job.folder, sizeof job.folder, "%s/%s", request->root, request->name) >=
        (int)sizeof job.folder)
        return status_set(st, STATUS_USAGE, "%.200s...: the path is too long", request->root);
    snprintf(out->path, sizeof out->path, "%s%s%s", job.folder, request->file ? "/" : "",
             request->file ? request->file : "");
    status_code code = ask_hub(&job, &info, st);
    if (code == STATUS_OK) code = fetch_listed(&job, info, st);
    json_free(info);
    return code;
}
