#include "tests/support/model_writer.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "engine/base/json.h"

#define HEADER_BYTES ((size_t)1 << 30)

static void put(struct strbuf *sb, const void *bytes, size_t n)
{
    strbuf_append(sb, bytes, n);
}

static void put_u64(struct strbuf *sb, uint64_t value)
{
    put(sb, &value, sizeof value);
}

/* ---- safetensors headers ---- */

void safetensors_writer_init(struct safetensors_writer *w)
{
    *w = (struct safetensors_writer){0};
    strbuf_init(&w->members, HEADER_BYTES);
}

void safetensors_writer_release(struct safetensors_writer *w)
{
    strbuf_release(&w->members);
}

void safetensors_writer_tensor(struct safetensors_writer *w, const char *name, const char *dtype,
                               uint64_t bytes, int n_dims, const uint64_t *shape)
{
    struct strbuf *sb = &w->members;
    strbuf_append_str(sb, ",");
    json_append_str(sb, name);
    strbuf_appendf(sb, ":{\"dtype\":\"%s\",\"shape\":[", dtype);
    for (int d = 0; d < n_dims; d++)
        strbuf_appendf(sb, "%s%llu", d ? "," : "", (unsigned long long)shape[d]);
    strbuf_appendf(sb, "],\"data_offsets\":[%llu,%llu]}", (unsigned long long)w->data_bytes,
                   (unsigned long long)(w->data_bytes + bytes));
    w->data_bytes += bytes;
}

static void put_json_header(struct strbuf *out, const struct strbuf *json)
{
    size_t padding = (8 - json->length % 8) % 8;
    put_u64(out, json->length + padding);
    put(out, json->data, json->length);
    for (; padding; padding--) strbuf_append_char(out, ' ');
    if (out->state == STATUS_OK) out->state = json->state;
}

void safetensors_writer_header(const struct safetensors_writer *w, struct strbuf *out)
{
    struct strbuf json;
    strbuf_init(&json, HEADER_BYTES);
    strbuf_append_str(&json, "{\"__metadata__\":{\"format\":\"pt\"}");
    put(&json, w->members.data, w->members.length);
    strbuf_append_str(&json, "}");
    if (json.state == STATUS_OK) json.state = w->members.state;
    put_json_header(out, &json);
    strbuf_release(&json);
}

bool write_file(const char *directory, const char *name, const void *bytes, size_t n)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    unlink(path); /* some file systems flush a file that is emptied and written again */
    FILE *file = fopen(path, "wb");
    if (!file) return false;
    bool good = fwrite(bytes, 1, n, file) == n;
    return fclose(file) == 0 && good;
}
