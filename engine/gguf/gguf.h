/* gguf.h - a GGUF file to metadata and tensor views.
 *
 *   gguf_open() -> gguf_get_...(), gguf_tensor() -> values, views -> gguf_free()
 *
 * Layout, little-endian (ggml/docs/gguf.md, versions 2 and 3):
 *   1. magic "GGUF", u32 version, u64 tensor count, u64 key-value count
 *   2. per pair: string key, u32 type, value;  a string is u64 length and bytes;
 *      an array is u32 element type, u64 count and the elements
 *   3. per tensor: string name, u32 dimension count, u64 sizes innermost first, u32 type,
 *      u64 offset from the start of the data
 *   4. padding to `general.alignment` (32 by default), then the data
 *
 * A `gguf` owns the read-only mapping; everything read from it lives until gguf_free().  The whole
 * header is checked on opening: a file that opens has no offset, length or count that lies.
 * It is immutable afterwards and may be shared by threads.
 *
 *   struct gguf *file;
 *   if (gguf_open(&file, path, st) != STATUS_OK) ...
 *   if (gguf_get_int(file, "gemma.block_count", 1, LIMIT_LAYERS, &n_layers, st) != STATUS_OK) ...
 *   const struct tensor_view *embedding = gguf_tensor(file, "token_embd.weight");
 *   gguf_free(file);
 */
#ifndef ASSAY_GGUF_H
#define ASSAY_GGUF_H

#include "engine/base/text.h"
#include "engine/quants/tensor.h"

struct gguf; /* opaque */

enum gguf_type {
    GGUF_U8,
    GGUF_I8,
    GGUF_U16,
    GGUF_I16,
    GGUF_U32,
    GGUF_I32,
    GGUF_F32,
    GGUF_BOOL,
    GGUF_STRING,
    GGUF_ARRAY,
    GGUF_U64,
    GGUF_I64,
    GGUF_F64
};

/* Opens and checks a file.  Errors start with the path and name the key or tensor.  A type or
 * version that nothing here reads is STATUS_UNSUPPORTED. */
status_code gguf_open(struct gguf **out, const char *path, struct status *st) MUST_CHECK;
/* The same for a file that is only looked at: a tensor of a type that nothing here reads keeps its
 * name, shape and type number, and has no data and 0 bytes. */
status_code gguf_open_to_describe(struct gguf **out, const char *path,
                                  struct status *st) MUST_CHECK;
void gguf_free(struct gguf *file);

/* Fails with STATUS_IO when the file was written to or shortened since it was opened. */
status_code gguf_check(const struct gguf *file, struct status *st) MUST_CHECK;

/* Fails with STATUS_UNSUPPORTED where the file is one of several that a model was cut into. */
status_code gguf_check_whole(const struct gguf *file, struct status *st) MUST_CHECK;

const char *gguf_path(const struct gguf *file);
bool gguf_has(const struct gguf *file, const char *key);

/* A value of the asked kind; any integer type converts when it fits [min, max], both floating types
 * convert when finite.  Missing keys and wrong kinds are STATUS_BAD_INPUT, naming file and key. */
status_code gguf_get_int(const struct gguf *file, const char *key, int64_t min, int64_t max,
                         int64_t *out, struct status *st) MUST_CHECK;
status_code gguf_get_double(const struct gguf *file, const char *key, double *out,
                            struct status *st) MUST_CHECK;
status_code gguf_get_bool(const struct gguf *file, const char *key, bool *out,
                          struct status *st) MUST_CHECK;
status_code gguf_get_text(const struct gguf *file, const char *key, struct text *out,
                          struct status *st) MUST_CHECK;

/* An array of the asked element kind; elements are then read by index. */
struct gguf_array {
    enum gguf_type type; /* of the elements */
    size_t count;
    const unsigned char *data; /* fixed-size elements, unaligned; NULL for strings */
    const struct text *texts;  /* strings; NULL for other elements */
};
status_code gguf_get_array(const struct gguf *file, const char *key, enum gguf_type element,
                           struct gguf_array *out, struct status *st) MUST_CHECK;

/* Element i < count of an array of GGUF_F32, of GGUF_I32. */
float gguf_array_f32(const struct gguf_array *array, size_t i);
int32_t gguf_array_i32(const struct gguf_array *array, size_t i);

/* All pairs, in file order; a scalar is an array of one. */
struct gguf_pair {
    struct text key;
    bool is_array;
    struct gguf_array values;
};
size_t gguf_pair_count(const struct gguf *file);
struct gguf_pair gguf_pair_at(const struct gguf *file, size_t i);

/* The size of one element; 0 for strings and arrays. */
size_t gguf_type_bytes(enum gguf_type type);

size_t gguf_tensor_count(const struct gguf *file);
const struct tensor_view *gguf_tensor_at(const struct gguf *file, size_t i); /* in file order */
const struct tensor_view *gguf_tensor(const struct gguf *file, const char *name); /* or NULL */

#endif
