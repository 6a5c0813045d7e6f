/* model_writer.h - the bytes of model files, right or wrong in one way.
 *
 *   safetensors_writer_init() -> safetensors_writer_tensor() ... -> safetensors_writer_header()
 *   write_gguf(fault), write_safetensors(fault) -> a small whole file with that one fault
 *
 * The header of a GGUF file is written by engine/gguf/gguf_writer.h; this is its twin for
 * safetensors, which the program itself never writes.
 */
#ifndef ASSAY_TESTS_MODEL_WRITER_H
#define ASSAY_TESTS_MODEL_WRITER_H

#include "engine/base/strbuf.h"
#include "engine/base/text.h"
#include "engine/gguf/gguf_writer.h"

/* ---- headers ---- */

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
