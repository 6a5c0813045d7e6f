/* model_writer.h - the bytes of model files, right or wrong in one way.
 *
 *   gguf_writer_init() -> gguf_writer_u32() ..., gguf_writer_tensor() -> gguf_writer_header()
 *   write_gguf(fault), write_safetensors(fault) -> a small whole file with that one fault
 *
 * A writer lives on the caller's stack and owns what it has collected until its release.  It writes
 * the header alone; the caller appends the tensors' bytes in the order they were named, so that a
 * model of any size needs no memory.  Memory that runs out shows in strbuf_check() of the output.
 *
 * In GGUF each tensor is padded to gguf_writer_padding(bytes) more bytes.
 */
#ifndef ASSAY_TESTS_MODEL_WRITER_H
#define ASSAY_TESTS_MODEL_WRITER_H

#include "engine/base/strbuf.h"
#include "engine/base/text.h"
#include "engine/gguf/gguf.h"

/* ---- headers ---- */

struct gguf_writer {
    struct strbuf pairs, tensors;
    uint64_t n_pairs, n_tensors;
    uint64_t data_bytes; /* of the tensors so far, padded */
};

void gguf_writer_init(struct gguf_writer *w);
void gguf_writer_release(struct gguf_writer *w);
void gguf_writer_u32(struct gguf_writer *w, const char *key, uint32_t value);
void gguf_writer_f32(struct gguf_writer *w, const char *key, float value);
void gguf_writer_bool(struct gguf_writer *w, const char *key, bool value);
void gguf_writer_text(struct gguf_writer *w, const char *key, const char *value);

/* Begins an array; exactly `count` gguf_writer_put...() calls give its elements. */
void gguf_writer_array(struct gguf_writer *w, const char *key, enum gguf_type element,
                       uint64_t count);
void gguf_writer_put(struct gguf_writer *w, const void *element, size_t bytes);
void gguf_writer_put_text(struct gguf_writer *w, struct text text);

/* `shape` is outermost first, as in a tensor_view. */
void gguf_writer_tensor(struct gguf_writer *w, const char *name, enum tensor_type type, int n_dims,
                        const uint64_t *shape);
size_t gguf_writer_padding(uint64_t bytes);

/* Appends everything before the data. */
void gguf_writer_header(const struct gguf_writer *w, struct strbuf *out);

struct safetensors_writer {
    struct strbuf members; /* JSON */
    uint64_t data_bytes;
};

void safetensors_writer_init(struct safetensors_writer *w);
void safetensors_writer_release(struct safetensors_writer *w);
void safetensors_writer_tensor(struct safetensors_writer *w, const char *name, const char *dtype,
                               uint64_t bytes, int n_dims, const uint64_t *shape);
void safetensors_writer_header(const struct safetensors_writer *w, struct strbuf *out);

/* ---- whole files ---- */

/* Each way in which a GGUF file is wrong.  The whole file of GGUF_VALID has architecture "test",
 * one pair of every type, an array of strings, of f32 and of i32, and three tensors. */
enum gguf_fault {
    GGUF_VALID,
    GGUF_EMPTY,
    GGUF_BAD_MAGIC,
    GGUF_BIG_ENDIAN,
    GGUF_VERSION_1,
    GGUF_VERSION_4,
    GGUF_HEADER_TRUNCATED,
    GGUF_PAIRS_TRUNCATED,
    GGUF_TENSOR_COUNT_OVER_LIMIT,
    GGUF_TENSOR_COUNT_LIES,
    GGUF_PAIR_COUNT_OVER_LIMIT,
    GGUF_PAIR_COUNT_LIES,
    KV_KEY_LENGTH_LIES,
    KV_KEY_TOO_LONG,
    KV_KEY_EMPTY,
    KV_KEY_HOLDS_NUL,
    KV_KEY_NOT_UTF8,
    KV_DUPLICATE_KEY,
    KV_UNKNOWN_TYPE,
    KV_BOOL_2,
    KV_STRING_LENGTH_LIES,
    KV_ARRAY_OF_ARRAYS,
    KV_ARRAY_UNKNOWN_TYPE,
    KV_ARRAY_COUNT_OVER_LIMIT,
    KV_ARRAY_COUNT_LIES,
    KV_STRINGS_COUNT_LIES,
    KV_STRINGS_LENGTH_LIES,
    KV_ALIGNMENT_24,
    KV_ALIGNMENT_0,
    KV_ALIGNMENT_NOT_INTEGER,
    TENSOR_NAME_TOO_LONG,
    TENSOR_NAME_EMPTY,
    TENSOR_NAME_NOT_UTF8,
    TENSOR_DUPLICATE_NAME,
    TENSOR_NO_DIMENSION,
    TENSOR_FIVE_DIMENSIONS,
    TENSOR_ZERO_DIMENSION,
    TENSOR_COUNT_OVERFLOWS,
    TENSOR_BYTES_OVERFLOW,
    TENSOR_TYPE_UNREADABLE,
    TENSOR_TYPE_UNKNOWN,
    TENSOR_ROW_NOT_WHOLE_BLOCKS,
    TENSOR_OFFSET_UNALIGNED,
    TENSOR_OFFSET_PAST_END,
    TENSOR_OFFSET_HUGE,
    TENSOR_DATA_TRUNCATED,
    TENSOR_DATA_MISSING,
    TENSORS_OVERLAP,
    GGUF_FAULT_COUNT
};
/* Appends the file to an empty `out`. */
void write_gguf(struct strbuf *out, enum gguf_fault fault);

/* Each way in which a safetensors file is wrong.  The whole file of SAFETENSORS_VALID has tensors
 * "a" (F32 [2,3]), "b" (BF16 [4]), "empty" (F32 [0,5]), "scalar" (F32 []) and "ids" (I64 [1]). */
enum safetensors_fault {
    SAFETENSORS_VALID,
    SAFETENSORS_EMPTY,
    SAFETENSORS_SEVEN_BYTES,
    SAFETENSORS_TRUNCATED,
    SAFETENSORS_TRAILING_BYTES,
    HEADER_LENGTH_PAST_END,
    HEADER_LENGTH_ZERO,
    HEADER_IS_ARRAY,
    HEADER_STARTS_WITH_SPACE,
    HEADER_NOT_JSON,
    HEADER_NOT_UTF8,
    METADATA_NOT_OBJECT,
    METADATA_NOT_STRINGS,
    MEMBER_NOT_OBJECT,
    MEMBER_NAME_TOO_LONG,
    MEMBER_NAME_HOLDS_NUL,
    MEMBER_DUPLICATE_NAME,
    DTYPE_MISSING,
    DTYPE_NOT_TEXT,
    DTYPE_UNKNOWN,
    SHAPE_MISSING,
    SHAPE_NOT_ARRAY,
    SHAPE_NEGATIVE,
    SHAPE_FRACTION,
    SHAPE_OVERFLOWS,
    SHAPE_BITS_OVERFLOW,
    SHAPE_DISAGREES,
    SHAPE_HALF_A_BYTE,
    OFFSETS_MISSING,
    OFFSETS_ONE,
    OFFSETS_THREE,
    OFFSETS_NEGATIVE,
    OFFSETS_BACKWARDS,
    OFFSETS_PAST_END,
    OFFSETS_OVERLAP,
    OFFSETS_LEAVE_HOLE,
    SAFETENSORS_FAULT_COUNT
};
/* Appends the file to an empty `out`. */
void write_safetensors(struct strbuf *out, enum safetensors_fault fault);

/* ---- files on disk ---- */

/* Writes n bytes as directory/name; false when the operating system refuses. */
bool write_file(const char *directory, const char *name, const void *bytes, size_t n);

#endif
