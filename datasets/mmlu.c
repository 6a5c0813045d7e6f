#include "datasets/mmlu.h"

#include "datasets/table_reader.h"
#include "engine/base/limits.h"

#define N_COLUMNS (1 + MMLU_CHOICES + 1) /* question, choices, letter */

const char *mmlu_file(struct dataset *dataset, const char *subject, const char *split)
{
    return dataset_name_file(dataset, "%s/%s_%s.csv", split, subject, split);
}

static bool copy_text(struct arena *arena, struct text from, struct text *to)
{
    *to = (struct text){arena_strndup(arena, from.data, from.length), from.length};
    return to->data != NULL;
}

static status_code read_question(struct arena *arena, const struct table_row *row,
                                 struct mmlu_question *out, struct status *st)
{
    if (row->n_fields != N_COLUMNS)
        return status_set(st, STATUS_BAD_INPUT,
                          "has %zu fields, expected %d: question, four choices, letter",
                          row->n_fields, N_COLUMNS);
    struct text letter = row->fields[N_COLUMNS - 1];
    if (letter.length != 1 || letter.data[0] < 'A' || letter.data[0] >= 'A' + MMLU_CHOICES)
        return status_set(st, STATUS_BAD_INPUT,
                          "field %d (the answer) is \"%.*s\", expected A, B, C or D", N_COLUMNS,
                          (int)(letter.length > 40 ? 40 : letter.length), letter.data);
    bool kept = copy_text(arena, row->fields[0], &out->question);
    for (int i = 0; i < MMLU_CHOICES; i++)
        kept = kept && copy_text(arena, row->fields[1 + i], &out->choices[i]);
    out->answer = letter.data[0] - 'A';
    return kept ? STATUS_OK : status_no_memory(st, "a question");
}

static status_code read_rows(struct dataset *dataset, struct table_reader *reader, const char *path,
                             struct mmlu_question **out, size_t *count, struct status *st)
{
    struct table_row row;
    struct mmlu_question *questions = NULL;
    size_t n = 0;
    status_code code;
    while ((code = table_reader_next(reader, &row, st)) == STATUS_OK && row.n_fields) {
        if (n == LIMIT_DATASET_ROWS)
            return status_set(st, STATUS_LIMIT, "%s: more than %u rows", path, LIMIT_DATASET_ROWS);
        questions = dataset_grow(dataset, questions, n, sizeof *questions);
        if (!questions) return status_no_memory(st, path);
        code = read_question(dataset_arena(dataset), &row, &questions[n++], st);
        if (code != STATUS_OK) return status_prefix(st, "%s: line %zu", path, row.line);
    }
    if (code == STATUS_OK && !n)
        code = status_set(st, STATUS_BAD_INPUT, "%s: the file has no rows", path);
    *out = questions;
    *count = n;
    return code;
}

status_code mmlu_load(struct dataset *dataset, const char *subject, const char *split,
                      const struct mmlu_question **out, size_t *count, struct status *st)
{
    const char *relative = mmlu_file(dataset, subject, split);
    const char *path = relative ? dataset_path(dataset, relative) : NULL;
    if (!path) return status_no_memory(st, "a path");
    struct strbuf bytes;
    struct mmlu_question *questions = NULL;
    status_code code = dataset_read(dataset, relative, &bytes, st);
    if (code == STATUS_OK) {
        struct table_reader *reader;
        code = table_reader_create(&reader, TABLE_CSV, path,
                                   (struct text){bytes.data, bytes.length}, st);
        if (code == STATUS_OK) {
            code = read_rows(dataset, reader, path, &questions, count, st);
            table_reader_free(reader);
        }
    }
    strbuf_release(&bytes);
    *out = questions;
    return code;
}
