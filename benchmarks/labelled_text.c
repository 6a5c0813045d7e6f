#include "benchmarks/labelled_text.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "datasets/file_reader.h"
#include "datasets/jsonl_reader.h"
#include "datasets/table_reader.h"
#include "engine/base/arena.h"
#include "engine/base/limits.h"

struct labelled_text {
    char *path;
    struct strbuf content;
    struct file_digests digests;
    bool is_json, has_header;
    struct jsonl_reader lines;
    struct json_value *object; /* the current line */
    struct table_reader *table;
    struct table_row row;
    struct arena names; /* of the columns */
    struct text *columns;
    size_t n_columns;
    size_t line;
};

static bool ends_with(const char *name, size_t length, const char *suffix)
{
    size_t n = strlen(suffix);
    return length >= n && memcmp(name + length - n, suffix, n) == 0;
}

static status_code read_header(struct labelled_text *rows, struct status *st)
{
    status_code code = table_reader_next(rows->table, &rows->row, st);
    if (code != STATUS_OK) return code;
    rows->n_columns = rows->row.n_fields;
    if (!rows->n_columns) return status_set(st, STATUS_BAD_INPUT, "%s: no rows", rows->path);
    rows->columns = arena_array(&rows->names, rows->n_columns, sizeof *rows->columns);
    if (!rows->columns) return status_no_memory(st, "column names");
    for (size_t i = 0; i < rows->n_columns; i++) {
        struct text name = rows->row.fields[i];
        const char *copy = arena_strndup(&rows->names, name.data, name.length);
        if (!copy) return status_no_memory(st, "column names");
        rows->columns[i] = (struct text){copy, name.length};
    }
    return STATUS_OK;
}

static status_code open_rows(struct labelled_text *rows, const char *path, struct status *st)
{
    size_t length = strlen(path);
    if (ends_with(path, length, ".gz")) length -= 3;
    bool tsv = ends_with(path, length, ".tsv"), csv = ends_with(path, length, ".csv");
    rows->is_json = ends_with(path, length, ".jsonl") || ends_with(path, length, ".json");
    if (!tsv && !csv && !rows->is_json)
        return status_set(st, STATUS_USAGE,
                          "%s: the name does not end in .csv, .tsv or .jsonl (or one of them .gz)",
                          path);
    rows->path = strdup(path);
    if (!rows->path) return status_no_memory(st, "a path");
    status_code code = file_read(&rows->content, &rows->digests, path, st);
    if (code != STATUS_OK) return code;
    struct text bytes = {rows->content.data, rows->content.length};
    if (rows->is_json) {
        rows->lines = jsonl_reader_start(rows->path, bytes);
        return STATUS_OK;
    }
    code = table_reader_create(&rows->table, tsv ? TABLE_TSV : TABLE_CSV, rows->path, bytes, st);
    if (code == STATUS_OK && rows->has_header) code = read_header(rows, st);
    return code;
}

status_code labelled_text_open(struct labelled_text **out, const char *path, bool has_header,
                               struct status *st)
{
    struct labelled_text *rows = calloc(1, sizeof *rows);
    *out = NULL;
    if (!rows) return status_no_memory(st, "a reader of labelled text");
    rows->has_header = has_header;
    strbuf_init(&rows->content, LIMIT_DATASET_BYTES);
    arena_init(&rows->names, LIMIT_CONFIG_BYTES);
    status_code code = open_rows(rows, path, st);
    if (code == STATUS_OK)
        *out = rows;
    else
        labelled_text_free(rows);
    return code;
}

void labelled_text_free(struct labelled_text *rows)
{
    if (!rows) return;
    json_free(rows->object);
    table_reader_free(rows->table);
    arena_release(&rows->names);
    strbuf_release(&rows->content);
    free(rows->path);
    free(rows);
}

status_code labelled_text_next(struct labelled_text *rows, bool *more, struct status *st)
{
    status_code code;
    if (rows->is_json) {
        json_free(rows->object);
        rows->object = NULL;
        code = jsonl_reader_next(&rows->lines, &rows->object, st);
        *more = rows->object != NULL;
        rows->line = rows->lines.line;
        return code;
    }
    code = table_reader_next(rows->table, &rows->row, st);
    *more = code == STATUS_OK && rows->row.n_fields > 0;
    rows->line = rows->row.line;
    if (*more && rows->has_header && rows->row.n_fields != rows->n_columns)
        return status_set(st, STATUS_BAD_INPUT, "%s: line %zu has %zu fields, the header has %zu",
                          rows->path, rows->line, rows->row.n_fields, rows->n_columns);
    return code;
}

/* The number that a text is as a whole, or false. */
static bool parse_number(struct text text, double *out)
{
    char copy[64], *end;
    if (!text.length || text.length >= sizeof copy) return false;
    memcpy(copy, text.data, text.length);
    copy[text.length] = '\0';
    *out = strtod(copy, &end);
    return *end == '\0' && isfinite(*out);
}

static void set_text(struct labelled_cell *cell, struct text text)
{
    if (!text.length) return;
    cell->kind = CELL_TEXT;
    cell->text = text;
    cell->is_number = parse_number(text, &cell->number);
}

/* The member, or the member's member, that a column names; NULL: the line has none. */
static const struct json_value *find_member(const struct labelled_text *rows, const char *column)
{
    const char *dot = strchr(column, '.');
    const struct json_value *value = json_member(rows->object, column);
    char outer[64];
    if (value || !dot || (size_t)(dot - column) >= sizeof outer) return value;
    memcpy(outer, column, (size_t)(dot - column));
    outer[dot - column] = '\0';
    return json_member(json_member(rows->object, outer), dot + 1);
}

static status_code json_cell(const struct labelled_text *rows, const char *column,
                             struct labelled_cell *out, struct status *st)
{
    const struct json_value *value = find_member(rows, column);
    if (!value) return STATUS_OK;
    switch (json_kind(value)) {
    case JSON_NULL:
        return STATUS_OK;
    case JSON_STRING:
        set_text(out, json_text(value));
        return STATUS_OK;
    case JSON_BOOL:
        set_text(out, text_of(json_bool(value) ? "true" : "false"));
        return STATUS_OK;
    case JSON_NUMBER:
        *out = (struct labelled_cell){CELL_NUMBER, {"", 0}, json_number(value), true};
        return STATUS_OK;
    default:
        return status_set(st, STATUS_BAD_INPUT, "field \"%.64s\" is %s, expected text or a number",
                          column, json_kind_name(json_kind(value)));
    }
}

static status_code find_column(const struct labelled_text *rows, const char *column, size_t *index,
                               struct status *st)
{
    double number;
    if (!rows->has_header && parse_number(text_of(column), &number) && number >= 0 &&
        number < (double)rows->row.n_fields) {
        *index = (size_t)number;
        return STATUS_OK;
    }
    for (size_t i = 0; i < rows->n_columns; i++) {
        *index = i;
        if (text_equal(rows->columns[i], text_of(column))) return STATUS_OK;
    }
    struct strbuf names;
    strbuf_init(&names, LIMIT_CONFIG_BYTES);
    for (size_t i = 0; i < rows->n_columns; i++)
        strbuf_appendf(&names, "%s%.*s", i ? ", " : "; there are ",
                       (int)(rows->columns[i].length > 64 ? 64 : rows->columns[i].length),
                       rows->columns[i].data);
    status_set(st, STATUS_BAD_INPUT, "there is no column \"%.64s\"%.100s", column, names.data);
    strbuf_release(&names);
    return st->code;
}

bool labelled_text_has_column(const struct labelled_text *rows, const char *column)
{
    size_t index;
    struct status none = {0};
    if (rows->is_json) return find_member(rows, column) != NULL;
    return find_column(rows, column, &index, &none) == STATUS_OK;
}

status_code labelled_text_cell(const struct labelled_text *rows, const char *column,
                               struct labelled_cell *out, struct status *st)
{
    *out = (struct labelled_cell){.kind = CELL_ABSENT, .text = {"", 0}};
    if (rows->is_json) return json_cell(rows, column, out, st);
    size_t index = 0;
    status_code code = find_column(rows, column, &index, st);
    if (code == STATUS_OK) set_text(out, rows->row.fields[index]);
    return code;
}

const char *labelled_text_sha256(const struct labelled_text *rows)
{
    return rows->digests.stored;
}

status_code labelled_text_prefix(const struct labelled_text *rows, struct status *st)
{
    return status_prefix(st, "%s: line %zu", rows->path, rows->line);
}
