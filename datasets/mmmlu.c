#include "datasets/mmmlu.h"

#include "datasets/table_reader.h"
#include "engine/base/limits.h"

enum column { QUESTION, FIRST_CHOICE, ANSWER = FIRST_CHOICE + MMLU_CHOICES, SUBJECT, COLUMNS };

static const char *const names[COLUMNS] = {"Question", "A", "B", "C", "D", "Answer", "Subject"};

const char *mmmlu_file(struct dataset *dataset, const char *locale)
{
    return dataset_name_file(dataset, "mmlu_%s.csv", locale);
}

static status_code find_columns(const struct table_row *header, size_t at[COLUMNS],
                                struct status *st)
{
    for (int c = 0; c < COLUMNS; c++) {
        at[c] = 0;
        while (at[c] < header->n_fields && !text_equal(header->fields[at[c]], text_of(names[c])))
            at[c]++;
        if (at[c] == header->n_fields)
            return status_set(st, STATUS_BAD_INPUT, "the header has no column \"%s\"", names[c]);
    }
    return STATUS_OK;
}

static status_code read_question(struct arena *arena, const size_t at[COLUMNS],
                                 const struct table_row *row, struct mmmlu_question *out,
                                 struct status *st)
{
    struct text fields[COLUMNS];
    for (int c = 0; c < COLUMNS; c++) {
        if (at[c] >= row->n_fields)
            return status_set(st, STATUS_BAD_INPUT,
                              "field \"%s\" is missing: the row has %zu fields", names[c],
                              row->n_fields);
        struct text field = row->fields[at[c]];
        fields[c] = (struct text){arena_strndup(arena, field.data, field.length), field.length};
        if (!fields[c].data) return status_no_memory(st, "a question");
    }
    struct text letter = fields[ANSWER];
    if (letter.length != 1 || letter.data[0] < 'A' || letter.data[0] >= 'A' + MMLU_CHOICES)
        return status_set(st, STATUS_BAD_INPUT,
                          "field \"Answer\" is \"%.*s\", expected A, B, C or D",
                          (int)(letter.length > 40 ? 40 : letter.length), letter.data);
    out->question.question = fields[QUESTION];
    for (int i = 0; i < MMLU_CHOICES; i++) out->question.choices[i] = fields[FIRST_CHOICE + i];
    out->question.answer = letter.data[0] - 'A';
    out->subject = fields[SUBJECT];
    return STATUS_OK;
}

static status_code read_rows(struct dataset *dataset, struct table_reader *reader, const char *path,
                             struct mmmlu_question **out, size_t *count, struct status *st)
{
    struct table_row row;
    struct mmmlu_question *questions = NULL;
    size_t at[COLUMNS], n = 0;
    status_code code = table_reader_next(reader, &row, st);
    if (code == STATUS_OK) code = find_columns(&row, at, st);
    if (code != STATUS_OK) return status_prefix(st, "%s", path);
    while ((code = table_reader_next(reader, &row, st)) == STATUS_OK && row.n_fields) {
        if (n == LIMIT_DATASET_ROWS)
            return status_set(st, STATUS_LIMIT, "%s: more than %u rows", path, LIMIT_DATASET_ROWS);
        questions = dataset_grow(dataset, questions, n, sizeof *questions);
        if (!questions) return status_no_memory(st, path);
        code = read_question(dataset_arena(dataset), at, &row, &questions[n++], st);
        if (code != STATUS_OK) return status_prefix(st, "%s: line %zu", path, row.line);
    }
    if (code == STATUS_OK && !n)
        code = status_set(st, STATUS_BAD_INPUT, "%s: the file has no rows", path);
    *out = questions;
    *count = n;
    return code;
}

status_code mmmlu_load(struct dataset *dataset, const char *locale,
                       const struct mmmlu_question **out, size_t *count, struct status *st)
{
    const char *relative = mmmlu_file(dataset, locale);
    const char *path = relative ? dataset_path(dataset, relative) : NULL;
    if (!path) return status_no_memory(st, "a path");
    struct strbuf bytes;
    struct mmmlu_question *questions = NULL;
    struct table_reader *reader;
    status_code code = dataset_read(dataset, relative, &bytes, st);
    if (code == STATUS_OK)
        code = table_reader_create(&reader, TABLE_CSV, path,
                                   (struct text){bytes.data, bytes.length}, st);
    if (code == STATUS_OK) {
        code = read_rows(dataset, reader, path, &questions, count, st);
        table_reader_free(reader);
    }
    strbuf_release(&bytes);
    *out = questions;
    return code;
}
