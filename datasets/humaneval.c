#include "datasets/humaneval.h"

#include "datasets/jsonl_rows.h"

static status_code read_problem(struct arena *arena, const struct json_value *object, void *row,
                                struct status *st)
{
    struct humaneval_problem *out = row;
    const struct {
        const char *key;
        struct text *to;
    } fields[] = {
        {"task_id", &out->task_id},
        {"prompt", &out->prompt},
        {"entry_point", &out->entry_point},
        {"canonical_solution", &out->canonical_solution},
        {"test", &out->test},
    };
    status_code code = STATUS_OK;
    for (size_t i = 0; i < sizeof fields / sizeof fields[0] && code == STATUS_OK; i++)
        code = jsonl_row_text(arena, object, fields[i].key, fields[i].to, st);
    return code;
}

status_code humaneval_load(struct dataset *dataset, const struct humaneval_problem **out,
                           size_t *count, struct status *st)
{
    static const struct jsonl_row_kind kind = {sizeof(struct humaneval_problem), read_problem};
    const void *rows = NULL;
    status_code code = jsonl_rows_load(dataset, "HumanEval.jsonl", &kind, &rows, count, st);
    *out = rows;
    return code;
}
