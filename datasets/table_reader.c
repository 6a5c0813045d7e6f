#include "datasets/table_reader.h"

#include <stdlib.h>
#include <string.h>

#include "engine/base/limits.h"
#include "engine/base/strbuf.h"
#include "engine/base/utf8.h"

struct table_reader {
    enum table_kind kind;
    const char *path;
    const char *at, *end;
    size_t line;         /* of `at`, from 1 */
    struct strbuf bytes; /* the current row's fields, one after the other */
    size_t *starts;      /* (LIMIT_CSV_FIELDS) where each begins in `bytes` */
    struct text *fields; /* (LIMIT_CSV_FIELDS) */
    size_t n_fields;
};

status_code table_reader_create(struct table_reader **out, enum table_kind kind, const char *path,
                                struct text bytes, struct status *st)
{
    static const char bom[] = "\xef\xbb\xbf";
    struct table_reader *reader = calloc(1, sizeof *reader);
    if (!reader) return status_no_memory(st, path);
    reader->kind = kind;
    reader->path = path;
    reader->at = bytes.data;
    reader->end = bytes.data + bytes.length;
    reader->line = 1;
    if (bytes.length >= 3 && memcmp(bytes.data, bom, 3) == 0) reader->at += 3;
    strbuf_init(&reader->bytes, LIMIT_LINE_BYTES);
    reader->starts = calloc(LIMIT_CSV_FIELDS, sizeof *reader->starts);
    reader->fields = calloc(LIMIT_CSV_FIELDS, sizeof *reader->fields);
    if (!reader->starts || !reader->fields) {
        table_reader_free(reader);
        return status_no_memory(st, path);
    }
    *out = reader;
    return STATUS_OK;
}

void table_reader_free(struct table_reader *reader)
{
    if (!reader) return;
    strbuf_release(&reader->bytes);
    free(reader->starts);
    free(reader->fields);
    free(reader);
}

static bool at_line_end(const struct table_reader *reader)
{
    return reader->at == reader->end || *reader->at == '\n' || *reader->at == '\r';
}

static void skip_line_end(struct table_reader *reader)
{
    if (reader->at == reader->end) return;
    if (*reader->at == '\r' && reader->end - reader->at > 1 && reader->at[1] == '\n') reader->at++;
    reader->at++;
    reader->line++;
}

/* Takes what stands between an opening quote, already passed, and its closing one. */
static status_code take_quoted(struct table_reader *reader, struct status *st)
{
    size_t opened = reader->line;
    while (reader->at < reader->end) {
        char c = *reader->at++;
        if (c == '"') {
            if (reader->at == reader->end || *reader->at != '"') return STATUS_OK;
            reader->at++;
        } else if (c == '\n' || (c == '\r' && (reader->at == reader->end || *reader->at != '\n'))) {
            reader->line++;
        }
        strbuf_append_char(&reader->bytes, c);
    }
    return status_set(st, STATUS_BAD_INPUT, "%s: line %zu: field %zu: a quote is never closed",
                      reader->path, opened, reader->n_fields + 1);
}

static status_code take_field(struct table_reader *reader, struct status *st)
{
    char delimiter = reader->kind == TABLE_TSV ? '\t' : ',';
    if (reader->kind == TABLE_CSV && reader->at < reader->end && *reader->at == '"') {
        reader->at++;
        status_code code = take_quoted(reader, st);
        if (code != STATUS_OK) return code;
    }
    const char *from = reader->at;
    while (!at_line_end(reader) && *reader->at != delimiter) reader->at++;
    strbuf_append(&reader->bytes, from, (size_t)(reader->at - from));
    return STATUS_OK;
}

static status_code check_field(const struct table_reader *reader, size_t index, size_t line,
                               struct status *st)
{
    struct text field = reader->fields[index];
    const char *problem = NULL;
    if (field.length && memchr(field.data, '\0', field.length)) problem = "holds a NUL byte";
    if (!problem && !utf8_valid(field)) problem = "is not valid UTF-8";
    if (!problem) return STATUS_OK;
    return status_set(st, STATUS_BAD_INPUT, "%s: line %zu: field %zu %s", reader->path, line,
                      index + 1, problem);
}

/* Makes views of the row's bytes, which no longer move. */
static status_code finish_row(struct table_reader *reader, struct table_row *row, struct status *st)
{
    size_t n = reader->n_fields;
    for (size_t i = 0; i < n; i++) {
        size_t end = i + 1 < n ? reader->starts[i + 1] : reader->bytes.length;
        reader->fields[i] =
            (struct text){reader->bytes.data + reader->starts[i], end - reader->starts[i]};
        status_code code = check_field(reader, i, row->line, st);
        if (code != STATUS_OK) return code;
    }
    row->fields = reader->fields;
    row->n_fields = n;
    return STATUS_OK;
}

status_code table_reader_next(struct table_reader *reader, struct table_row *row, struct status *st)
{
    while (reader->at < reader->end && at_line_end(reader)) skip_line_end(reader);
    *row = (struct table_row){.line = reader->line};
    reader->n_fields = 0;
    strbuf_clear(&reader->bytes);
    if (reader->at == reader->end) return STATUS_OK;
    for (;;) {
        if (reader->n_fields == LIMIT_CSV_FIELDS)
            return status_set(st, STATUS_LIMIT, "%s: line %zu: more than %d fields", reader->path,
                              row->line, LIMIT_CSV_FIELDS);
        reader->starts[reader->n_fields] = reader->bytes.length;
        status_code code = take_field(reader, st);
        if (code != STATUS_OK) return code;
        if (strbuf_check(&reader->bytes, "row", st) != STATUS_OK)
            return status_prefix(st, "%s: line %zu", reader->path, row->line);
        reader->n_fields++;
        if (at_line_end(reader)) break;
        reader->at++;
    }
    skip_line_end(reader);
    return finish_row(reader, row, st);
}
