#include <stdlib.h>
#include <string.h>

#include "tests/support/model_writer.h"

/* 72 bytes of "f32", 68 of "q8_0" and 12 of "half", each padded to a multiple of 32. */
#define SAMPLE_DATA_BYTES 224

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

/* A pair up to its value; `claimed` is the length that the key is said to have. */
static void begin_pair(struct gguf_writer *w, const char *key, size_t n, uint64_t claimed,
                       uint32_t type)
{
    put_u64(&w->pairs, claimed);
    put(&w->pairs, key, n);
    put_u32(&w->pairs, type);
    w->n_pairs++;
}

static void scalar(struct gguf_writer *w, const char *key, enum gguf_type type, const void *value,
                   size_t bytes)
{
    begin_pair(w, key, strlen(key), strlen(key), type);
    put(&w->pairs, value, bytes);
}

static void add_sample_pairs(struct gguf_writer *w)
{
    gguf_writer_text(w, "general.architecture", "test");
    scalar(w, "u8", GGUF_U8, &(uint8_t){200}, 1);
    scalar(w, "i8", GGUF_I8, &(int8_t){-100}, 1);
    scalar(w, "u16", GGUF_U16, &(uint16_t){60000}, 2);
    scalar(w, "i16", GGUF_I16, &(int16_t){-30000}, 2);
    gguf_writer_u32(w, "u32", 4000000000u);
    scalar(w, "i32", GGUF_I32, &(int32_t){-2000000000}, 4);
    gguf_writer_f32(w, "f32", 1e-6f);
    gguf_writer_bool(w, "bool", true);
    scalar(w, "u64", GGUF_U64, &(uint64_t){UINT64_MAX}, 8);
    scalar(w, "i64", GGUF_I64, &(int64_t){INT64_MIN}, 8);
    scalar(w, "f64", GGUF_F64, &(double){0.1}, 8);
    scalar(w, "nan", GGUF_F32, &(uint32_t){0x7fc00000u}, 4);
    gguf_writer_array(w, "texts", GGUF_STRING, 3);
    gguf_writer_put_text(w, text_of("one"));
    gguf_writer_put_text(w, text_of(""));
    gguf_writer_put_text(w, (struct text){"t\0o", 3});
    gguf_writer_array(w, "floats", GGUF_F32, 2);
    gguf_writer_put(w, (const float[]){0.5f, -2.0f}, 2 * sizeof(float));
    gguf_writer_array(w, "ints", GGUF_I32, 2);
    gguf_writer_put(w, (const int32_t[]){7, -8}, 2 * sizeof(int32_t));
    gguf_writer_array(w, "none", GGUF_STRING, 0);
}

#define END    SAMPLE_DATA_BYTES
#define TWENTY "nnnnnnnnnnnnnnnnnnnn"
#define LONG_NAME                                                                                  \
    TWENTY TWENTY TWENTY TWENTY TWENTY TWENTY TWENTY TWENTY TWENTY TWENTY TWENTY TWENTY TWENTY

/* A pair that follows the valid ones; arrays have an element type and a count before the value. */
static const struct bad_pair {
    const char *key;
    size_t n_key;
    uint64_t claimed;
    uint32_t type, element;
    uint64_t count, value;
    size_t n_value;
} bad_pairs[GGUF_FAULT_COUNT] = {
    [KV_KEY_LENGTH_LIES] = {"bad", 3, UINT64_MAX, GGUF_U64, .n_value = 8},
    [KV_KEY_EMPTY] = {"", 0, 0, GGUF_U64, .n_value = 8},
    [KV_KEY_HOLDS_NUL] = {"b\0d", 3, 3, GGUF_U64, .n_value = 8},
    [KV_KEY_NOT_UTF8] = {"b\xff\xfe", 3, 3, GGUF_U64, .n_value = 8},
    [KV_DUPLICATE_KEY] = {"u64", 3, 3, GGUF_U64, .n_value = 8},
    [KV_UNKNOWN_TYPE] = {"bad", 3, 3, 13, .n_value = 8},
    [KV_BOOL_2] = {"bad", 3, 3, GGUF_BOOL, .value = 2, .n_value = 1},
    [KV_STRING_LENGTH_LIES] = {"bad", 3, 3, GGUF_STRING, .value = UINT64_MAX / 3, .n_value = 8},
    [KV_ARRAY_OF_ARRAYS] = {"bad", 3, 3, GGUF_ARRAY, GGUF_ARRAY, 1, 1, 8},
    [KV_ARRAY_UNKNOWN_TYPE] = {"bad", 3, 3, GGUF_ARRAY, 77, 1, 1, 8},
    [KV_ARRAY_COUNT_OVER_LIMIT] = {"bad", 3, 3, GGUF_ARRAY, GGUF_U64, (uint64_t)1 << 61, 1, 8},
    [KV_ARRAY_COUNT_LIES] = {"bad", 3, 3, GGUF_ARRAY, GGUF_U64, 1000000, 1, 8},
    [KV_STRINGS_COUNT_LIES] = {"bad", 3, 3, GGUF_ARRAY, GGUF_STRING, 1000000, 1, 8},
    [KV_STRINGS_LENGTH_LIES] = {"bad", 3, 3, GGUF_ARRAY, GGUF_STRING, 1, UINT64_MAX - 7, 8},
    [KV_ALIGNMENT_24] = {"general.alignment", 17, 17, GGUF_U32, .value = 24, .n_value = 4},
    [KV_ALIGNMENT_0] = {"general.alignment", 17, 17, GGUF_U32, .value = 0, .n_value = 4},
    [KV_ALIGNMENT_NOT_INTEGER] = {"general.alignment", 17, 17, GGUF_STRING, .n_value = 8},
};

static void add_bad_pair(struct gguf_writer *w, enum gguf_fault fault)
{
    const struct bad_pair *bad = &bad_pairs[fault];
    if (fault == KV_KEY_TOO_LONG) {
        char *key = calloc(1, LIMIT_METADATA_KEY + 1);
        if (!key) return;
        memset(key, 'k', LIMIT_METADATA_KEY + 1);
        begin_pair(w, key, LIMIT_METADATA_KEY + 1, LIMIT_METADATA_KEY + 1, GGUF_U8);
        put(&w->pairs, "\1", 1);
        free(key);
    }
    if (!bad->key) return;
    begin_pair(w, bad->key, bad->n_key, bad->claimed, bad->type);
    if (bad->type == GGUF_ARRAY) {
        put_u32(&w->pairs, bad->element);
        put_u64(&w->pairs, bad->count);
    }
    put(&w->pairs, &bad->value, bad->n_value);
}

/* A tensor that follows the valid ones; sizes are innermost first. */
static const struct bad_tensor {
    const char *name;
    uint32_t n_dims;
    uint64_t sizes[5];
    uint32_t type;
    uint64_t offset;
} bad_tensors[GGUF_FAULT_COUNT] = {
    [TENSOR_NAME_TOO_LONG] = {LONG_NAME, 1, {8}, TENSOR_F32, END},
    [TENSOR_NAME_EMPTY] = {"", 1, {8}, TENSOR_F32, END},
    [TENSOR_NAME_NOT_UTF8] = {"b\xc3", 1, {8}, TENSOR_F32, END},
    [TENSOR_DUPLICATE_NAME] = {"half", 1, {8}, TENSOR_F32, END},
    [TENSOR_NO_DIMENSION] = {"bad", 0, {0}, TENSOR_F32, END},
    [TENSOR_FIVE_DIMENSIONS] = {"bad", 5, {1, 1, 1, 1, 1}, TENSOR_F32, END},
    [TENSOR_ZERO_DIMENSION] = {"bad", 2, {8, 0}, TENSOR_F32, END},
    [TENSOR_COUNT_OVERFLOWS] = {"bad", 2, {(uint64_t)1 << 40, (uint64_t)1 << 40}, TENSOR_F32, END},
    [TENSOR_BYTES_OVERFLOW] = {"bad", 1, {(uint64_t)1 << 62}, TENSOR_F32, END},
    [TENSOR_TYPE_UNREADABLE] = {"bad", 1, {256}, 16, END},
    [TENSOR_TYPE_UNKNOWN] = {"bad", 1, {8}, 9999, END},
    [TENSOR_ROW_NOT_WHOLE_BLOCKS] = {"bad", 2, {33, 32}, TENSOR_Q8_0, END},
    [TENSOR_OFFSET_UNALIGNED] = {"bad", 1, {8}, TENSOR_F32, END + 4},
    [TENSOR_OFFSET_PAST_END] = {"bad", 1, {8}, TENSOR_F32, END + 64},
    [TENSOR_OFFSET_HUGE] = {"bad", 1, {8}, TENSOR_F32, UINT64_MAX - 31},
    [TENSORS_OVERLAP] = {"bad", 1, {8}, TENSOR_F32, 32},
};

static void add_bad_tensor(struct gguf_writer *w, enum gguf_fault fault)
{
    const struct bad_tensor *bad = &bad_tensors[fault];
    if (!bad->name) return;
    put_u64(&w->tensors, strlen(bad->name));
    strbuf_append_str(&w->tensors, bad->name);
    put_u32(&w->tensors, bad->n_dims);
    put(&w->tensors, bad->sizes, bad->n_dims * sizeof bad->sizes[0]);
    put_u32(&w->tensors, bad->type);
    put_u64(&w->tensors, bad->offset);
    w->n_tensors++;
}

#define COUNT_1000 "\xe8\3\0\0\0\0\0\0"
#define COUNT_2_40 "\0\0\0\0\0\1\0\0"

/* What is written over the finished file. */
static const struct patch {
    size_t at, n;
    const char *bytes;
} patches[GGUF_FAULT_COUNT] = {
    [GGUF_BAD_MAGIC] = {0, 4, "GGML"},
    [GGUF_BIG_ENDIAN] = {4, 4, "\0\0\0\3"},
    [GGUF_VERSION_1] = {4, 4, "\1\0\0\0"},
    [GGUF_VERSION_4] = {4, 4, "\4\0\0\0"},
    [GGUF_TENSOR_COUNT_OVER_LIMIT] = {8, 8, COUNT_2_40},
    [GGUF_TENSOR_COUNT_LIES] = {8, 8, COUNT_1000},
    [GGUF_PAIR_COUNT_OVER_LIMIT] = {16, 8, COUNT_2_40},
    [GGUF_PAIR_COUNT_LIES] = {16, 8, COUNT_1000},
};

static void break_bytes(struct strbuf *out, enum gguf_fault fault, size_t header_bytes)
{
    const struct patch *patch = &patches[fault];
    if (patch->bytes) memcpy(out->data + patch->at, patch->bytes, patch->n);
    if (fault == GGUF_EMPTY) strbuf_truncate(out, 0);
    if (fault == GGUF_HEADER_TRUNCATED) strbuf_truncate(out, 10);
    if (fault == GGUF_PAIRS_TRUNCATED) strbuf_truncate(out, 300);
    if (fault == TENSOR_DATA_TRUNCATED) strbuf_truncate(out, header_bytes + 100);
    if (fault == TENSOR_DATA_MISSING) strbuf_truncate(out, header_bytes - 1);
}

void write_gguf(struct strbuf *out, enum gguf_fault fault)
{
    struct gguf_writer w;
    gguf_writer_init(&w);
    add_sample_pairs(&w);
    add_bad_pair(&w, fault);
    gguf_writer_tensor(&w, "f32", TENSOR_F32, 2, (const uint64_t[]){3, 6});
    gguf_writer_tensor(&w, "q8_0", TENSOR_Q8_0, 2, (const uint64_t[]){2, 32});
    gguf_writer_tensor(&w, "half", TENSOR_F16, 3, (const uint64_t[]){1, 2, 3});
    add_bad_tensor(&w, fault);
    gguf_writer_header(&w, out);
    size_t header_bytes = out->length;
    for (int i = 0; i < SAMPLE_DATA_BYTES + 32; i++) strbuf_append_char(out, (char)i);
    if (out->state == STATUS_OK) break_bytes(out, fault, header_bytes);
    gguf_writer_release(&w);
}
