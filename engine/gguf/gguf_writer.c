#include "engine/gguf/gguf_writer.h"

#define HEADER_BYTES   ((size_t)1 << 30)
#define GGUF_ALIGNMENT 32

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

void gguf_writer_pair(struct gguf_writer *w, const struct gguf_pair *pair)
{
    const struct gguf_array *values = &pair->values;
    begin_pair(w, pair->key, pair->is_array ? GGUF_ARRAY : values->type);
    if (pair->is_array) {
        put_u32(&w->pairs, values->type);
        put_u64(&w->pairs, values->count);
    }
    if (values->type != GGUF_STRING)
        put(&w->pairs, values->data, values->count * gguf_type_bytes(values->type));
    for (size_t i = 0; values->type == GGUF_STRING && i < values->count; i++)
        put_text(&w->pairs, values->texts[i]);
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

void gguf_writer_tensor(struct gguf_writer *w, const char *name, enum tensor_type type, int n_dims,
                        const uint64_t *shape)
{
    uint64_t n = 1;
    put_text(&w->tensors, text_of(name));
    put_u32(&w->tensors, (uint32_t)n_dims);
    for (int d = n_dims - 1; d >= 0; d--) { /* innermost first */
        put_u64(&w->tensors, shape[d]);
        n *= shape[d];
    }
    put_u32(&w->tensors, type);
    put_u64(&w->tensors, w->data_bytes);
    w->n_tensors++;
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
