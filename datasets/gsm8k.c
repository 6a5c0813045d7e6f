#include "datasets/gsm8k.h"

#include "datasets/jsonl_reader.h"
#include "engine/base/limits.h"

static status_code read_text(struct arena *arena, const struct json_value *object, const char *key,
                             struct text *out, struct status *st)
{
    struct text text;
    status_code code = json_get_text(object, key, &text, st);
    if (code != STATUS_OK) return code;
    *out = (struct text){arena_strndup(arena, text.data, text.length), text.length};
    return out->data ? STATUS_OK : status_no_memory(st, key);
}

static status_code read_problem(struct arena *arena, const struct json_value *object,
                                struct gsm8k_problem *out, struct status *st)
{
    status_code code = read_text(arena, object, "question", &out->question, st);
    return code == STATUS_OK ? read_text(arena, object, "answer", &out->answer, st) : code;
}

static status_code read_lines(struct dataset *dataset, struct jsonl_reader *reader,
                              struct gsm8k_problem **out, size_t *count, struct status *st)
{
    struct json_value *object;
    struct gsm8k_problem *problems = NULL;
    size_t n = 0;
    status_code code;
    while ((code = jsonl_reader_next(reader, &object, st)) == STATUS_OK && object) {
        if (n == LIMIT_DATASET_ROWS)
            code = status_set(st, STATUS_LIMIT, "more than %u rows", LIMIT_DATASET_ROWS);
        else if (!(problems = dataset_grow(dataset, problems, n, sizeof *problems)))
            code = status_no_memory(st, "a problem");
        else
            code = read_problem(dataset_arena(dataset), object, &problems[n++], st);
        json_free(object);
        if (code != STATUS_OK) return jsonl_reader_prefix(reader, st);
    }
    if (code == STATUS_OK && !n)
        code = status_set(st, STATUS_BAD_INPUT, "%s: the file has no rows", reader->path);
    *out = problems;
    *count = n;
    return code;
}

status_code gsm8k_load(struct dataset *dataset, const char *split, const struct gsm8k_problem **out,
                       size_t *count, struct status *st)
{
    const char *relative = dataset_name_file(dataset, "%s.jsonl", split);
    const char *path = relative ? dataset_path(dataset, relative) : NULL;
    if (!path) return status_no_memory(st, "a path");
    struct strbuf bytes;
    struct gsm8k_problem *problems = NULL;
    status_code code = dataset_read(dataset, relative, &bytes, st);
    if (code == STATUS_OK) {
        struct jsonl_reader reader =
            jsonl_reader_start(path, (struct text){bytes.data, bytes.length});
        code = read_lines(dataset, &reader, &problems, count, st);
    }
    strbuf_release(&bytes);
    *out = problems;
    return code;
}
