#include "datasets/jsonl_reader.h"

#include <string.h>

#include "engine/base/limits.h"
#include "engine/base/utf8.h"

struct jsonl_reader jsonl_reader_start(const char *path, struct text bytes)
{
    static const char bom[] = "\xef\xbb\xbf";
    if (bytes.length >= 3 && memcmp(bytes.data, bom, 3) == 0) {
        bytes.data += 3;
        bytes.length -= 3;
    }
    return (struct jsonl_reader){.path = path, .rest = bytes};
}

status_code jsonl_reader_prefix(const struct jsonl_reader *reader, struct status *st)
{
    return status_prefix(st, "%s: line %zu", reader->path, reader->line);
}

static struct text take_line(struct jsonl_reader *reader)
{
    struct text line = reader->rest;
    const char *newline = memchr(line.data, '\n', line.length);
    size_t used = line.length;
    if (newline) {
        line.length = (size_t)(newline - line.data);
        used = line.length + 1;
    }
    reader->rest.data += used;
    reader->rest.length -= used;
    reader->line++;
    return line;
}

static status_code parse_line(struct json_value **out, struct text line, struct status *st)
{
    if (line.length > LIMIT_LINE_BYTES)
        return status_set(st, STATUS_LIMIT, "longer than %zu bytes", (size_t)LIMIT_LINE_BYTES);
    if (memchr(line.data, '\0', line.length))
        return status_set(st, STATUS_BAD_INPUT, "holds a NUL byte");
    if (!utf8_valid(line)) return status_set(st, STATUS_BAD_INPUT, "not valid UTF-8");
    struct json_value *value;
    status_code code = json_parse(&value, line, st);
    if (code == STATUS_BAD_INPUT) {
        /* The parser counts lines of what it was given, which is always one here. */
        const char *column = strstr(st->message, "column ");
        char where[64] = "";
        if (column) strncpy(where, column, sizeof where - 1);
        return status_set(st, code, "not valid JSON at %s", column ? where : "some column");
    }
    if (code != STATUS_OK) return code;
    if (json_kind(value) != JSON_OBJECT) {
        code = status_set(st, STATUS_BAD_INPUT, "is %s, expected an object",
                          json_kind_name(json_kind(value)));
        json_free(value);
        return code;
    }
    *out = value;
    return STATUS_OK;
}

status_code jsonl_reader_next(struct jsonl_reader *reader, struct json_value **out,
                              struct status *st)
{
    *out = NULL;
    while (reader->rest.length) {
        struct text line = take_line(reader);
        if (!utf8_strip(line).length) continue;
        if (parse_line(out, line, st) != STATUS_OK) return jsonl_reader_prefix(reader, st);
        return STATUS_OK;
    }
    return STATUS_OK;
}
