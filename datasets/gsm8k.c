#include "datasets/gsm8k.h"

#include "datasets/jsonl_rows.h"

static status_code read_problem(struct arena *arena, const struct json_value *object, void *row,
                                struct status *st)
{
    struct gsm8k_problem *out = row;
    status_code code = jsonl_row_text(arena, object, "question", &out->question, st);
    return code == STATUS_OK ? jsonl_row_text(arena, object, "answer", &out->answer, st) : code;
}

status_code gsm8k_load(struct dataset *dataset, const char *split, const struct gsm8k_problem **out,
                       size_t *count, struct status *st)
{
    static const struct jsonl_row_kind kind = {sizeof(struct gsm8k_problem), read_problem};
    const char *relative = dataset_name_file(dataset, "%s.jsonl", split);
    const void *rows = NULL;
    status_code code = jsonl_rows_load(dataset, relative, &kind, &rows, count, st);
    *out = rows;
    return code;
}
