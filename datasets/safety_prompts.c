#include "datasets/safety_prompts.h"

#include "datasets/table_reader.h"
#include "engine/base/limits.h"

enum column { COLUMN_ID, COLUMN_PROMPT, COLUMN_TYPE, COLUMN_LABEL, COLUMNS };

/* One file's layout: the names of its columns. */
struct layout {
    const char *file;
    const char *names[COLUMNS]; /* NULL: it has none */
};

static const struct layout xstest = {"xstest_prompts.csv", {"id", "prompt", "type", "label"}};
static const struct layout simplesafetytests = {"simplesafetytests.csv",
                                                {"id", "prompts_final", "harm_area", NULL}};

static status_code find_columns(const struct layout *layout, const struct table_row *header,
                                size_t at[COLUMNS], struct status *st)
{
    for (int c = 0; c < COLUMNS; c++) {
        at[c] = 0;
        if (!layout->names[c]) continue;
        while (at[c] < header->n_fields &&
               !text_equal(header->fields[at[c]], text_of(layout->names[c])))
            at[c]++;
        if (at[c] == header->n_fields)
            return status_set(st, STATUS_BAD_INPUT, "the header has no column \"%s\"",
                              layout->names[c]);
    }
    return STATUS_OK;
}

static status_code copy_field(struct arena *arena, const struct table_row *row, size_t at,
                              const char *name, struct text *out, struct status *st)
{
    if (at >= row->n_fields)
        return status_set(st, STATUS_BAD_INPUT, "field \"%s\" is missing: the row has %zu fields",
                          name, row->n_fields);
    struct text field = row->fields[at];
    *out = (struct text){arena_strndup(arena, field.data, field.length), field.length};
    return out->data ? STATUS_OK : status_no_memory(st, name);
}

static status_code read_prompt(struct arena *arena, const struct layout *layout,
                               const size_t at[COLUMNS], const struct table_row *row,
                               struct safety_prompt *out, struct status *st)
{
    struct text *const to[] = {&out->id, &out->prompt, &out->type};
    struct text label = {0};
    status_code code = STATUS_OK;
    out->safe = false;
    for (int c = 0; c < COLUMN_LABEL && code == STATUS_OK; c++)
        code = copy_field(arena, row, at[c], layout->names[c], to[c], st);
    if (code != STATUS_OK || !layout->names[COLUMN_LABEL]) return code;
    code = copy_field(arena, row, at[COLUMN_LABEL], layout->names[COLUMN_LABEL], &label, st);
    if (code != STATUS_OK) return code;
    out->safe = text_equal(label, text_of("safe"));
    if (out->safe || text_equal(label, text_of("unsafe"))) return STATUS_OK;
    return status_set(st, STATUS_BAD_INPUT, "field \"label\" is \"%.*s\", expected safe or unsafe",
                      (int)(label.length > 40 ? 40 : label.length), label.data);
}

static status_code read_rows(struct dataset *dataset, const struct layout *layout,
                             struct table_reader *reader, const char *path,
                             struct safety_prompt **out, size_t *count, struct status *st)
{
    struct table_row row;
    struct safety_prompt *prompts = NULL;
    size_t at[COLUMNS], n = 0;
    status_code code = table_reader_next(reader, &row, st);
    if (code == STATUS_OK) code = find_columns(layout, &row, at, st);
    if (code != STATUS_OK) return status_prefix(st, "%s", path);
    while ((code = table_reader_next(reader, &row, st)) == STATUS_OK && row.n_fields) {
        if (n == LIMIT_DATASET_ROWS)
            return status_set(st, STATUS_LIMIT, "%s: more than %u rows", path, LIMIT_DATASET_ROWS);
        prompts = dataset_grow(dataset, prompts, n, sizeof *prompts);
        if (!prompts) return status_no_memory(st, path);
        code = read_prompt(dataset_arena(dataset), layout, at, &row, &prompts[n++], st);
        if (code != STATUS_OK) return status_prefix(st, "%s: line %zu", path, row.line);
    }
    if (code == STATUS_OK && !n)
        code = status_set(st, STATUS_BAD_INPUT, "%s: the file has no rows", path);
    *out = prompts;
    *count = n;
    return code;
}

static status_code load(struct dataset *dataset, const struct layout *layout,
                        const struct safety_prompt **out, size_t *count, struct status *st)
{
    const char *path = dataset_path(dataset, layout->file);
    if (!path) return status_no_memory(st, "a path");
    struct strbuf bytes;
    struct safety_prompt *prompts = NULL;
    struct table_reader *reader;
    status_code code = dataset_read(dataset, layout->file, &bytes, st);
    if (code == STATUS_OK)
        code = table_reader_create(&reader, TABLE_CSV, path,
                                   (struct text){bytes.data, bytes.length}, st);
    if (code == STATUS_OK) {
        code = read_rows(dataset, layout, reader, path, &prompts, count, st);
        table_reader_free(reader);
    }
    strbuf_release(&bytes);
    *out = prompts;
    return code;
}

status_code xstest_load(struct dataset *dataset, const struct safety_prompt **out, size_t *count,
                        struct status *st)
{
    return load(dataset, &xstest, out, count, st);
}

status_code simplesafetytests_load(struct dataset *dataset, const struct safety_prompt **out,
                                   size_t *count, struct status *st)
{
    return load(dataset, &simplesafetytests, out, count, st);
}
