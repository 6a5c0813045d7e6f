#include "datasets/mgsm.h"

#include "datasets/table_reader.h"
#include "engine/base/limits.h"
#include "engine/base/utf8.h"

const char *mgsm_file(struct dataset *dataset, const char *language)
{
    return dataset_name_file(dataset, "mgsm_%s.tsv", language);
}

/* Digits, with an optional sign in front; commas are left out. */
static status_code read_number(struct arena *arena, struct text field, struct text *out,
                               struct status *st)
{
    struct text number = utf8_strip(field);
    char *digits = arena_alloc(arena, number.length + 1);
    size_t n = 0;
    bool good = number.length > 0;
    if (!digits) return status_no_memory(st, "an answer");
    for (size_t i = 0; i < number.length; i++) {
        char c = number.data[i];
        good = good && ((c >= '0' && c <= '9') || (c == '-' && i == 0) || (c == ',' && i > 0));
        if (c != ',') digits[n++] = c;
    }
    digits[n] = '\0';
    *out = (struct text){digits, n};
    if (good) return STATUS_OK;
    return status_set(st, STATUS_BAD_INPUT, "field 2 (the answer) is \"%.*s\", expected a number",
                      (int)(number.length > 40 ? 40 : number.length), number.data);
}

static status_code read_problem(struct arena *arena, const struct table_row *row,
                                struct mgsm_problem *out, struct status *st)
{
    if (row->n_fields != 2)
        return status_set(st, STATUS_BAD_INPUT, "has %zu fields, expected 2: question, answer",
                          row->n_fields);
    struct text question = row->fields[0];
    out->question =
        (struct text){arena_strndup(arena, question.data, question.length), question.length};
    if (!out->question.data) return status_no_memory(st, "a question");
    return read_number(arena, row->fields[1], &out->answer, st);
}

static status_code read_rows(struct dataset *dataset, struct table_reader *reader, const char *path,
                             struct mgsm_problem **out, size_t *count, struct status *st)
{
    struct table_row row;
    struct mgsm_problem *problems = NULL;
    size_t n = 0;
    status_code code;
    while ((code = table_reader_next(reader, &row, st)) == STATUS_OK && row.n_fields) {
        if (n == LIMIT_DATASET_ROWS)
            return status_set(st, STATUS_LIMIT, "%s: more than %u rows", path, LIMIT_DATASET_ROWS);
        problems = dataset_grow(dataset, problems, n, sizeof *problems);
        if (!problems) return status_no_memory(st, path);
        code = read_problem(dataset_arena(dataset), &row, &problems[n++], st);
        if (code != STATUS_OK) return status_prefix(st, "%s: line %zu", path, row.line);
    }
    if (code == STATUS_OK && !n)
        code = status_set(st, STATUS_BAD_INPUT, "%s: the file has no rows", path);
    *out = problems;
    *count = n;
    return code;
}

status_code mgsm_load(struct dataset *dataset, const char *language,
                      const struct mgsm_problem **out, size_t *count, struct status *st)
{
    const char *relative = mgsm_file(dataset, language);
    const char *path = relative ? dataset_path(dataset, relative) : NULL;
    if (!path) return status_no_memory(st, "a path");
    struct strbuf bytes;
    struct mgsm_problem *problems = NULL;
    struct table_reader *reader;
    status_code code = dataset_read(dataset, relative, &bytes, st);
    if (code == STATUS_OK)
        code = table_reader_create(&reader, TABLE_TSV, path,
                                   (struct text){bytes.data, bytes.length}, st);
    if (code == STATUS_OK) {
        code = read_rows(dataset, reader, path, &problems, count, st);
        table_reader_free(reader);
    }
    strbuf_release(&bytes);
    *out = problems;
    return code;
}
