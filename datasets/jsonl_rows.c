#include "datasets/jsonl_rows.h"

#include "datasets/jsonl_reader.h"
#include "engine/base/limits.h"

status_code jsonl_row_keep(struct arena *arena, struct text text, struct text *out,
                           struct status *st)
{
    *out = (struct text){arena_strndup(arena, text.data, text.length), text.length};
    return out->data ? STATUS_OK : status_no_memory(st, "a row");
}

status_code jsonl_row_text(struct arena *arena, const struct json_value *object, const char *key,
                           struct text *out, struct status *st)
{
    struct text text;
    status_code code = json_get_text(object, key, &text, st);
    return code == STATUS_OK ? jsonl_row_keep(arena, text, out, st) : code;
}

static status_code read_lines(struct dataset *dataset, struct jsonl_reader *reader,
                              const struct jsonl_row_kind *kind, const void **out, size_t *count,
                              struct status *st)
{
    struct json_value *object;
    char *rows = NULL;
    size_t n = 0;
    status_code code;
    while ((code = jsonl_reader_next(reader, &object, st)) == STATUS_OK && object) {
        if (n == LIMIT_DATASET_ROWS)
            code = status_set(st, STATUS_LIMIT, "more than %u rows", LIMIT_DATASET_ROWS);
        else if (!(rows = dataset_grow(dataset, rows, n, kind->size)))
            code = status_no_memory(st, "a row");
        else
            code = kind->read(dataset_arena(dataset), object, rows + n++ * kind->size, st);
        json_free(object);
        if (code != STATUS_OK) return jsonl_reader_prefix(reader, st);
    }
    if (code == STATUS_OK && !n)
        code = status_set(st, STATUS_BAD_INPUT, "%s: the file has no rows", reader->path);
    *out = rows;
    *count = n;
    return code;
}

status_code jsonl_rows_load(struct dataset *dataset, const char *relative,
                            const struct jsonl_row_kind *kind, const void **rows, size_t *count,
                            struct status *st)
{
    const char *path = relative ? dataset_path(dataset, relative) : NULL;
    if (!path) return status_no_memory(st, "a path");
    struct strbuf bytes;
    status_code code = dataset_read(dataset, relative, &bytes, st);
    if (code == STATUS_OK) {
        struct jsonl_reader reader =
            jsonl_reader_start(path, (struct text){bytes.data, bytes.length});
        code = read_lines(dataset, &reader, kind, rows, count, st);
    }
    strbuf_release(&bytes);
    return code;
}
