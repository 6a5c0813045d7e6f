#include "engine/tokenizer/protobuf.h"

#include <string.h>

struct protobuf_reader protobuf_start(struct text message)
{
    return (struct protobuf_reader){.rest = message};
}

static void advance(struct protobuf_reader *reader, size_t n)
{
    reader->rest.data += n;
    reader->rest.length -= n;
    reader->offset += n;
}

static status_code truncated(const struct protobuf_reader *reader, struct status *st)
{
    return status_set(st, STATUS_BAD_INPUT, "the message ends inside a field, at byte %zu",
                      reader->offset);
}

static status_code read_varint(struct protobuf_reader *reader, uint64_t *out, struct status *st)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < 10; i++) {
        if (i >= reader->rest.length) return truncated(reader, st);
        unsigned char byte = (unsigned char)reader->rest.data[i];
        if (i == 9 && byte > 1) break;
        value |= (uint64_t)(byte & 0x7f) << (7 * i);
        if (byte & 0x80) continue;
        advance(reader, i + 1);
        *out = value;
        return STATUS_OK;
    }
    return status_set(st, STATUS_BAD_INPUT, "the varint at byte %zu does not fit in 64 bits",
                      reader->offset);
}

static status_code read_fixed(struct protobuf_reader *reader, size_t n, uint64_t *out,
                              struct status *st)
{
    if (reader->rest.length < n) return truncated(reader, st);
    *out = 0;
    for (size_t i = 0; i < n; i++) *out |= (uint64_t)(unsigned char)reader->rest.data[i] << (8 * i);
    advance(reader, n);
    return STATUS_OK;
}

static status_code read_bytes(struct protobuf_reader *reader, struct text *out, struct status *st)
{
    uint64_t n = 0;
    status_code code = read_varint(reader, &n, st);
    if (code != STATUS_OK) return code;
    if (n > reader->rest.length) return truncated(reader, st);
    *out = (struct text){reader->rest.data, (size_t)n};
    advance(reader, (size_t)n);
    return STATUS_OK;
}

status_code protobuf_next(struct protobuf_reader *reader, struct protobuf_field *field,
                          struct status *st)
{
    *field = (struct protobuf_field){0};
    if (!reader->rest.length) return STATUS_OK;
    size_t start = reader->offset;
    uint64_t tag = 0;
    status_code code = read_varint(reader, &tag, st);
    if (code != STATUS_OK) return code;
    if (tag >> 3 < 1 || tag >> 3 > 0x1fffffff)
        return status_set(st, STATUS_BAD_INPUT, "the field at byte %zu has number %llu", start,
                          (unsigned long long)(tag >> 3));
    field->number = (uint32_t)(tag >> 3);
    field->type = (enum protobuf_type)(tag & 7);
    switch (tag & 7) {
    case PROTOBUF_VARINT:
        return read_varint(reader, &field->value, st);
    case PROTOBUF_FIXED64:
        return read_fixed(reader, 8, &field->value, st);
    case PROTOBUF_BYTES:
        return read_bytes(reader, &field->bytes, st);
    case PROTOBUF_FIXED32:
        return read_fixed(reader, 4, &field->value, st);
    default:
        return status_set(st, STATUS_BAD_INPUT, "the field at byte %zu has wire type %u", start,
                          (unsigned)(tag & 7));
    }
}

static status_code expect(const struct protobuf_field *field, enum protobuf_type type,
                          const char *name, struct status *st)
{
    if (field->type == type) return STATUS_OK;
    return status_set(st, STATUS_BAD_INPUT, "%s has wire type %d, expected %d", name,
                      (int)field->type, (int)type);
}

status_code protobuf_get_bytes(const struct protobuf_field *field, const char *name,
                               struct text *out, struct status *st)
{
    status_code code = expect(field, PROTOBUF_BYTES, name, st);
    if (code == STATUS_OK) *out = field->bytes;
    return code;
}

status_code protobuf_get_bool(const struct protobuf_field *field, const char *name, bool *out,
                              struct status *st)
{
    status_code code = expect(field, PROTOBUF_VARINT, name, st);
    if (code == STATUS_OK) *out = field->value != 0;
    return code;
}

status_code protobuf_get_int(const struct protobuf_field *field, const char *name, int64_t *out,
                             struct status *st)
{
    status_code code = expect(field, PROTOBUF_VARINT, name, st);
    if (code != STATUS_OK) return code;
    memcpy(out, &field->value, sizeof *out);
    return STATUS_OK;
}

status_code protobuf_get_float(const struct protobuf_field *field, const char *name, float *out,
                               struct status *st)
{
    status_code code = expect(field, PROTOBUF_FIXED32, name, st);
    if (code != STATUS_OK) return code;
    uint32_t bits = (uint32_t)field->value;
    memcpy(out, &bits, sizeof *out);
    return STATUS_OK;
}
