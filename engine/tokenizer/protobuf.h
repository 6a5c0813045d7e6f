/* protobuf.h - the fields of one protocol buffer message, in file order.  Internal.
 *
 *   struct protobuf_reader r = protobuf_start(bytes);
 *   while ((code = protobuf_next(&r, &field, st)) == STATUS_OK && field.number) ...
 *
 * Only the wire format (protobuf.dev/programming-guides/encoding): what a number means is the
 * caller's.  A length that passes the end, an overlong varint and the withdrawn group types are
 * STATUS_BAD_INPUT.
 */
#ifndef ASSAY_PROTOBUF_H
#define ASSAY_PROTOBUF_H

#include <stdint.h>

#include "engine/base/status.h"
#include "engine/base/text.h"

enum protobuf_type {
    PROTOBUF_VARINT = 0,
    PROTOBUF_FIXED64 = 1,
    PROTOBUF_BYTES = 2, /* strings and messages too */
    PROTOBUF_FIXED32 = 5
};

struct protobuf_field {
    uint32_t number; /* 0 after the last field */
    enum protobuf_type type;
    uint64_t value;    /* VARINT, FIXED64, FIXED32 */
    struct text bytes; /* BYTES; part of the message */
};

struct protobuf_reader {
    struct text rest;
    size_t offset; /* of `rest` in the message */
};

struct protobuf_reader protobuf_start(struct text message);

status_code protobuf_next(struct protobuf_reader *reader, struct protobuf_field *field,
                          struct status *st) MUST_CHECK;

/* A field's value as its type says, or STATUS_BAD_INPUT naming `name`. */
status_code protobuf_get_bytes(const struct protobuf_field *field, const char *name,
                               struct text *out, struct status *st) MUST_CHECK;
status_code protobuf_get_bool(const struct protobuf_field *field, const char *name, bool *out,
                              struct status *st) MUST_CHECK;
status_code protobuf_get_int(const struct protobuf_field *field, const char *name, int64_t *out,
                             struct status *st) MUST_CHECK;
status_code protobuf_get_float(const struct protobuf_field *field, const char *name, float *out,
                               struct status *st) MUST_CHECK;

#endif
