/* make_faulty.c - writes a small model file that is wrong in one way.
 *
 *   make build/release/tests/make_faulty
 *   make_faulty list                            prints the name of every fault
 *   make_faulty KV_DUPLICATE_KEY bad.gguf       faults of enum gguf_fault: a GGUF file
 *   make_faulty OFFSETS_OVERLAP bad.safetensors faults of enum safetensors_fault
 */
#include <stdio.h>
#include <string.h>

#include "tests/support/model_writer.h"

#define NAMED(fault) [fault] = #fault
static const char *const gguf_faults[GGUF_FAULT_COUNT] = {
    NAMED(GGUF_VALID),
    NAMED(GGUF_EMPTY),
    NAMED(GGUF_BAD_MAGIC),
    NAMED(GGUF_BIG_ENDIAN),
    NAMED(GGUF_VERSION_1),
    NAMED(GGUF_VERSION_4),
    NAMED(GGUF_HEADER_TRUNCATED),
    NAMED(GGUF_PAIRS_TRUNCATED),
    NAMED(GGUF_TENSOR_COUNT_OVER_LIMIT),
    NAMED(GGUF_TENSOR_COUNT_LIES),
    NAMED(GGUF_PAIR_COUNT_OVER_LIMIT),
    NAMED(GGUF_PAIR_COUNT_LIES),
    NAMED(KV_KEY_LENGTH_LIES),
    NAMED(KV_KEY_TOO_LONG),
    NAMED(KV_KEY_EMPTY),
    NAMED(KV_KEY_HOLDS_NUL),
    NAMED(KV_KEY_NOT_UTF8),
    NAMED(KV_DUPLICATE_KEY),
    NAMED(KV_UNKNOWN_TYPE),
    NAMED(KV_BOOL_2),
    NAMED(KV_STRING_LENGTH_LIES),
    NAMED(KV_ARRAY_OF_ARRAYS),
    NAMED(KV_ARRAY_UNKNOWN_TYPE),
    NAMED(KV_ARRAY_COUNT_OVER_LIMIT),
    NAMED(KV_ARRAY_COUNT_LIES),
    NAMED(KV_STRINGS_COUNT_LIES),
    NAMED(KV_STRINGS_LENGTH_LIES),
    NAMED(KV_ALIGNMENT_24),
    NAMED(KV_ALIGNMENT_0),
    NAMED(KV_ALIGNMENT_NOT_INTEGER),
    NAMED(TENSOR_NAME_TOO_LONG),
    NAMED(TENSOR_NAME_EMPTY),
    NAMED(TENSOR_NAME_NOT_UTF8),
    NAMED(TENSOR_DUPLICATE_NAME),
    NAMED(TENSOR_NO_DIMENSION),
    NAMED(TENSOR_FIVE_DIMENSIONS),
    NAMED(TENSOR_ZERO_DIMENSION),
    NAMED(TENSOR_COUNT_OVERFLOWS),
    NAMED(TENSOR_BYTES_OVERFLOW),
    NAMED(TENSOR_TYPE_UNREADABLE),
    NAMED(TENSOR_TYPE_UNKNOWN),
    NAMED(TENSOR_ROW_NOT_WHOLE_BLOCKS),
    NAMED(TENSOR_OFFSET_UNALIGNED),
    NAMED(TENSOR_OFFSET_PAST_END),
    NAMED(TENSOR_OFFSET_HUGE),
    NAMED(TENSOR_DATA_TRUNCATED),
    NAMED(TENSOR_DATA_MISSING),
    NAMED(TENSORS_OVERLAP),
};
static const char *const safetensors_faults[SAFETENSORS_FAULT_COUNT] = {
    NAMED(SAFETENSORS_VALID),
    NAMED(SAFETENSORS_EMPTY),
    NAMED(SAFETENSORS_SEVEN_BYTES),
    NAMED(SAFETENSORS_TRUNCATED),
    NAMED(SAFETENSORS_TRAILING_BYTES),
    NAMED(HEADER_LENGTH_PAST_END),
    NAMED(HEADER_LENGTH_ZERO),
    NAMED(HEADER_IS_ARRAY),
    NAMED(HEADER_STARTS_WITH_SPACE),
    NAMED(HEADER_NOT_JSON),
    NAMED(HEADER_NOT_UTF8),
    NAMED(METADATA_NOT_OBJECT),
    NAMED(METADATA_NOT_STRINGS),
    NAMED(MEMBER_NOT_OBJECT),
    NAMED(MEMBER_NAME_TOO_LONG),
    NAMED(MEMBER_NAME_HOLDS_NUL),
    NAMED(MEMBER_DUPLICATE_NAME),
    NAMED(DTYPE_MISSING),
    NAMED(DTYPE_NOT_TEXT),
    NAMED(DTYPE_UNKNOWN),
    NAMED(SHAPE_MISSING),
    NAMED(SHAPE_NOT_ARRAY),
    NAMED(SHAPE_NEGATIVE),
    NAMED(SHAPE_FRACTION),
    NAMED(SHAPE_OVERFLOWS),
    NAMED(SHAPE_BITS_OVERFLOW),
    NAMED(SHAPE_DISAGREES),
    NAMED(SHAPE_HALF_A_BYTE),
    NAMED(OFFSETS_MISSING),
    NAMED(OFFSETS_ONE),
    NAMED(OFFSETS_THREE),
    NAMED(OFFSETS_NEGATIVE),
    NAMED(OFFSETS_BACKWARDS),
    NAMED(OFFSETS_PAST_END),
    NAMED(OFFSETS_OVERLAP),
    NAMED(OFFSETS_LEAVE_HOLE),
};

static int list(void)
{
    for (int i = 1; i < GGUF_FAULT_COUNT; i++) puts(gguf_faults[i]);
    for (int i = 1; i < SAFETENSORS_FAULT_COUNT; i++) puts(safetensors_faults[i]);
    return 0;
}

/* False for a name that no fault has. */
static bool build(struct strbuf *out, const char *name)
{
    for (int i = 1; i < GGUF_FAULT_COUNT; i++)
        if (strcmp(name, gguf_faults[i]) == 0) {
            write_gguf(out, (enum gguf_fault)i);
            return true;
        }
    for (int i = 1; i < SAFETENSORS_FAULT_COUNT; i++)
        if (strcmp(name, safetensors_faults[i]) == 0) {
            write_safetensors(out, (enum safetensors_fault)i);
            return true;
        }
    return false;
}

int main(int argc, char **argv)
{
    struct strbuf out;
    if (argc == 2 && strcmp(argv[1], "list") == 0) return list();
    if (argc != 3) return 2;
    strbuf_init(&out, 1 << 24);
    bool good = build(&out, argv[1]) && out.state == STATUS_OK &&
                write_file(".", argv[2], out.data, out.length);
    strbuf_release(&out);
    return good ? 0 : 2;
}
