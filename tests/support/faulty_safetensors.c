#include <string.h>

#include "tests/support/model_writer.h"

/* The valid members take 44 bytes of data, a faulty one the 8 behind them. */
static const char sample_members[] =
    "\"__metadata__\":{\"format\":\"pt\"},"
    "\"a\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[0,24]},"
    "\"b\":{\"dtype\":\"BF16\",\"shape\":[4],\"data_offsets\":[24,32]},"
    "\"empty\":{\"dtype\":\"F32\",\"shape\":[0,5],\"data_offsets\":[32,32]},"
    "\"scalar\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[32,36]},"
    "\"ids\":{\"dtype\":\"I64\",\"shape\":[1],\"data_offsets\":[36,44]}";
#define SAMPLE_DATA_BYTES 44
#define MEMBER_DATA_BYTES 8

#define AT(from, to) "\"data_offsets\":[" from "," to "]"
#define F32_2(name)  "\"" name "\":{\"dtype\":\"F32\",\"shape\":[2]," AT("44", "52") "}"
#define TWENTY       "nnnnnnnnnnnnnnnnnnnn"
#define LONG_NAME                                                                                  \
    TWENTY TWENTY TWENTY TWENTY TWENTY TWENTY TWENTY TWENTY TWENTY TWENTY TWENTY TWENTY TWENTY

/* The member that is wrong, or that stands where the header is. */
static const char *const members[SAFETENSORS_FAULT_COUNT] = {
    [METADATA_NOT_OBJECT] = "\"__metadata__\":[]",
    [METADATA_NOT_STRINGS] = "\"__metadata__\":{\"step\":3}",
    [MEMBER_NOT_OBJECT] = "\"bad\":7",
    [MEMBER_NAME_TOO_LONG] = F32_2(LONG_NAME),
    [MEMBER_NAME_HOLDS_NUL] = F32_2("b\\u0000d"),
    [MEMBER_DUPLICATE_NAME] = F32_2("a"),
    [DTYPE_MISSING] = "\"bad\":{\"shape\":[2]," AT("44", "52") "}",
    [DTYPE_NOT_TEXT] = "\"bad\":{\"dtype\":32,\"shape\":[2]," AT("44", "52") "}",
    [DTYPE_UNKNOWN] = "\"bad\":{\"dtype\":\"F31\",\"shape\":[2]," AT("44", "52") "}",
    [SHAPE_MISSING] = "\"bad\":{\"dtype\":\"F32\"," AT("44", "52") "}",
    [SHAPE_NOT_ARRAY] = "\"bad\":{\"dtype\":\"F32\",\"shape\":2," AT("44", "52") "}",
    [SHAPE_NEGATIVE] = "\"bad\":{\"dtype\":\"F32\",\"shape\":[-2]," AT("44", "52") "}",
    [SHAPE_FRACTION] = "\"bad\":{\"dtype\":\"F32\",\"shape\":[2.5]," AT("44", "52") "}",
    [SHAPE_OVERFLOWS] =
        "\"bad\":{\"dtype\":\"F32\",\"shape\":[4294967296,4294967296,2]," AT("44", "52") "}",
    [SHAPE_BITS_OVERFLOW] =
        "\"bad\":{\"dtype\":\"F32\",\"shape\":[4294967296,1073741824]," AT("44", "52") "}",
    [SHAPE_DISAGREES] = "\"bad\":{\"dtype\":\"F32\",\"shape\":[3]," AT("44", "52") "}",
    [SHAPE_HALF_A_BYTE] = "\"bad\":{\"dtype\":\"F4\",\"shape\":[15]," AT("44", "52") "}",
    [OFFSETS_MISSING] = "\"bad\":{\"dtype\":\"F32\",\"shape\":[2]}",
    [OFFSETS_ONE] = "\"bad\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[44]}",
    [OFFSETS_THREE] = "\"bad\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[44,52,60]}",
    [OFFSETS_NEGATIVE] = "\"bad\":{\"dtype\":\"F32\",\"shape\":[2]," AT("-8", "0") "}",
    [OFFSETS_BACKWARDS] = "\"bad\":{\"dtype\":\"F32\",\"shape\":[2]," AT("52", "44") "}",
    [OFFSETS_PAST_END] = "\"bad\":{\"dtype\":\"F32\",\"shape\":[2]," AT("48", "56") "}",
    [OFFSETS_OVERLAP] = "\"bad\":{\"dtype\":\"F32\",\"shape\":[3]," AT("40", "52") "}",
    [OFFSETS_LEAVE_HOLE] = "\"bad\":{\"dtype\":\"F32\",\"shape\":[1]," AT("48", "52") "}",
};

/* What stands in place of a header. */
static const char *const headers[SAFETENSORS_FAULT_COUNT] = {
    [HEADER_IS_ARRAY] = "[]      ",
    [HEADER_STARTS_WITH_SPACE] = " {}     ",
    [HEADER_NOT_JSON] = "{\"a\":}  ",
    [HEADER_NOT_UTF8] = "{\"\xff\":{} ",
};

static void put_u64(struct strbuf *sb, uint64_t value)
{
    char bytes[sizeof value];
    memcpy(bytes, &value, sizeof value);
    strbuf_append(sb, bytes, sizeof bytes);
}

static void break_bytes(struct strbuf *out, enum safetensors_fault fault)
{
    const uint64_t lies = (uint64_t)1 << 50, zero = 0;
    switch (fault) {
    case SAFETENSORS_EMPTY:
        strbuf_truncate(out, 0);
        return;
    case SAFETENSORS_SEVEN_BYTES:
        strbuf_truncate(out, 7);
        return;
    case SAFETENSORS_TRUNCATED:
        strbuf_truncate(out, out->length - 1);
        return;
    case SAFETENSORS_TRAILING_BYTES:
        strbuf_append_char(out, 'x');
        return;
    case HEADER_LENGTH_PAST_END:
        memcpy(out->data, &lies, sizeof lies);
        return;
    case HEADER_LENGTH_ZERO:
        memcpy(out->data, &zero, sizeof zero);
        return;
    default:
        return;
    }
}

void write_safetensors(struct strbuf *out, enum safetensors_fault fault)
{
    const char *member = members[fault], *header = headers[fault];
    if (header) {
        put_u64(out, strlen(header));
        strbuf_append_str(out, header);
    } else {
        size_t length = strlen(sample_members) + 2 + (member ? strlen(member) + 1 : 0);
        put_u64(out, length);
        strbuf_appendf(out, "{%s%s%s}", sample_members, member ? "," : "", member ? member : "");
    }
    size_t bytes = SAMPLE_DATA_BYTES + (member ? MEMBER_DATA_BYTES : 0);
    for (size_t i = 0; i < bytes; i++) strbuf_append_char(out, (char)i);
    if (out->state == STATUS_OK) break_bytes(out, fault);
}
