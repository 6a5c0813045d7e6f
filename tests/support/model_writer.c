#include "tests/support/model_writer.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "engine/base/json.h"

#define HEADER_BYTES   ((size_t)1 << 30)
#define GGUF_ALIGNMENT 32

/* ---- GGUF headers ---- */

static void put(struct strbuf *sb, const void *bytes, size_t n)
{
    strbuf_append(sb, bytes, n);
}

static void put_u32(struct strbuf *sb, uint32_t value)
{
    put(sb, &value, sizeof value);
}

static void put_u64(struct strbuf *sb, uint64_t value)
{
    put(sb, &value, sizeof value);
}

static void put_text(struct strbuf *sb, struct text text)
{
    put_u64(sb, text.length);
    put(sb, text.data, text.length);
}

static void begin_pair(struct gguf_writer *w, struct text key, uint32_t type)
{
    put_text(&w->pairs, key);
    put_u32(&w->pairs, type);
    w->n_pairs++;
}

void gguf_writer_init(struct gguf_writer *w)
{
    *w = (struct gguf_writer){0};
    strbuf_init(&w->pairs, HEADER_BYTES);
    strbuf_init(&w->tensors, HEADER_BYTES);
}

void gguf_writer_release(struct gguf_writer *w)
{
    strbuf_release(&w->pairs);
    strbuf_release(&w->tensors);
}

void gguf_writer_u32(struct gguf_writer *w, const char *key, uint32_t value)
{
    begin_pair(w, text_of(key), GGUF_U32);
    put_u32(&w->pairs, value);
}

void gguf_writer_f32(struct gguf_writer *w, const char *key, float value)
{
    begin_pair(w, text_of(key), GGUF_F32);
    put(&w->pairs, &value, sizeof value);
}

void gguf_writer_bool(struct gguf_writer *w, const char *key, bool value)
{
    begin_pair(w, text_of(key), GGUF_BOOL);
    put(&w->pairs, value ? "\1" : "\0", 1);
}

void gguf_writer_text(struct gguf_writer *w, const char *key, const char *value)
{
    begin_pair(w, text_of(key), GGUF_STRING);
    put_text(&w->pairs, text_of(value));
}

void gguf_writer_array(struct gguf_writer *w, const char *key, enum gguf_type element,
                       uint64_t count)
{
    begin_pair(w, text_of(key), GGUF_ARRAY);
    put_u32(&w->pairs, element);
    put_u64(&w->pairs, count);
}

void gguf_writer_put(struct gguf_writer *w, const void *element, size_t bytes)
{
    put(&w->pairs, element, bytes);
}

void gguf_writer_put_text(struct gguf_writer *w, struct text text)
{
    put_text(&w->pairs, text);
}

size_t gguf_writer_padding(uint64_t bytes)
{
    return (size_t)((GGUF_ALIGNMENT - bytes % GGUF_ALIGNMENT) % GGUF_ALIGNMENT);
}

/* Any tensor, also one that no reader should accept. */
static void put_tensor(struct gguf_writer *w, struct text name, uint32_t n_dims,
                       const uint64_t *innermost_first, uint32_t type, uint64_t offset)
{
    put_text(&w->tensors, name);
    put_u32(&w->tensors, n_dims);
    for (uint32_t d = 0; d < n_dims; d++) put_u64(&w->tensors, innermost_first[d]);
    put_u32(&w->tensors, type);
    put_u64(&w->tensors, offset);
    w->n_tensors++;
}

void gguf_writer_tensor(struct gguf_writer *w, const char *name, enum tensor_type type, int n_dims,
                        const uint64_t *shape)
{
    uint64_t sizes[LIMIT_TENSOR_DIMS], n = 1;
    for (int d = 0; d < n_dims; d++) {
        sizes[n_dims - 1 - d] = shape[d];
        n *= shape[d];
    }
    put_tensor(w, text_of(name), (uint32_t)n_dims, sizes, type, w->data_bytes);
    uint64_t bytes = tensor_type_bytes(type, (size_t)n);
    w->data_bytes += bytes + gguf_writer_padding(bytes);
}

void gguf_writer_header(const struct gguf_writer *w, struct strbuf *out)
{
    size_t start = out->length;
    strbuf_append_str(out, "GGUF");
    put_u32(out, 3);
    put_u64(out, w->n_tensors);
    put_u64(out, w->n_pairs);
    put(out, w->pairs.data, w->pairs.length);
    put(out, w->tensors.data, w->tensors.length);
    for (size_t n = gguf_writer_padding(out->length - start); n; n--) strbuf_append_char(out, '\0');
    if (out->state == STATUS_OK) out->state = w->pairs.state;
    if (out->state == STATUS_OK) out->state = w->tensors.state;
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
