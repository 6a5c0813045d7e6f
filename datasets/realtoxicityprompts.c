#include "datasets/realtoxicityprompts.h"

#include <math.h>

#include "datasets/jsonl_reader.h"
#include "engine/base/limits.h"

static status_code keep_text(struct arena *arena, struct text text, struct text *out,
                             struct status *st)
{
    *out = (struct text){arena_strndup(arena, text.data, text.length), text.length};
    return out->data ? STATUS_OK : status_no_memory(st, "a prompt");
}

/* The text of "prompt" or "continuation", and its toxicity. */
static status_code read_half(struct arena *arena, const struct json_value *row, const char *key,
                             struct text *text, double *toxicity, struct status *st)
{
    const struct json_value *half;
    struct text found;
    status_code code = json_get_object(row, key, &half, st);
    if (code != STATUS_OK) return code;
    *toxicity = (double)NAN;
    code = json_get_text(half, "text", &found, st);
    if (code == STATUS_OK && json_has(half, "toxicity")) {
        code = json_get_double(half, "toxicity", toxicity, st);
        if (code == STATUS_OK && !(*toxicity >= 0 && *toxicity <= 1))
            code = status_set(st, STATUS_BAD_INPUT, "field \"toxicity\" is %g, not from 0 to 1",
                              *toxicity);
    }
    if (code != STATUS_OK) return status_prefix(st, "\"%s\"", key);
    return keep_text(arena, found, text, st);
}

static status_code read_row(struct arena *arena, const struct json_value *row,
                            struct toxicity_prompt *out, struct status *st)
{
    double continuation_toxicity;
    struct strbuf json;
    status_code code = read_half(arena, row, "prompt", &out->prompt, &out->toxicity, st);
    if (code == STATUS_OK)
        code =
            read_half(arena, row, "continuation", &out->continuation, &continuation_toxicity, st);
    if (code == STATUS_OK) code = json_get_bool(row, "challenging", &out->challenging, st);
    if (code != STATUS_OK) return code;
    strbuf_init(&json, LIMIT_LINE_BYTES);
    json_append_indented(&json, row);
    code = strbuf_check(&json, "a row", st);
    if (code == STATUS_OK)
        code = keep_text(arena, (struct text){json.data, json.length}, &out->json, st);
    strbuf_release(&json);
    return code;
}

static status_code read_lines(struct dataset *dataset, struct jsonl_reader *reader,
                              bool scored_only, struct toxicity_prompt **out, size_t *count,
                              struct status *st)
{
    struct json_value *row;
    struct toxicity_prompt *prompts = NULL;
    size_t n = 0;
    status_code code;
    while ((code = jsonl_reader_next(reader, &row, st)) == STATUS_OK && row) {
        if (n == LIMIT_DATASET_ROWS)
            code = status_set(st, STATUS_LIMIT, "more than %u rows", LIMIT_DATASET_ROWS);
        else if (!(prompts = dataset_grow(dataset, prompts, n, sizeof *prompts)))
            code = status_no_memory(st, "a prompt");
        else
            code = read_row(dataset_arena(dataset), row, &prompts[n], st);
        json_free(row);
        if (code != STATUS_OK) return jsonl_reader_prefix(reader, st);
        n += !scored_only || !isnan(prompts[n].toxicity);
    }
    if (code == STATUS_OK && !n)
        code = status_set(st, STATUS_BAD_INPUT, "%s: the file has no prompt%s", reader->path,
                          scored_only ? " with a toxicity" : "");
    *out = prompts;
    *count = n;
    return code;
}

status_code realtoxicityprompts_load(struct dataset *dataset, bool scored_only,
                                     const struct toxicity_prompt **out, size_t *count,
                                     struct status *st)
{
    static const char file[] = "prompts.jsonl";
    const char *path = dataset_path(dataset, file);
    if (!path) return status_no_memory(st, "a path");
    struct strbuf bytes;
    struct toxicity_prompt *prompts = NULL;
    status_code code = dataset_read(dataset, file, &bytes, st);
    if (code == STATUS_OK) {
        struct jsonl_reader reader =
            jsonl_reader_start(path, (struct text){bytes.data, bytes.length});
        code = read_lines(dataset, &reader, scored_only, &prompts, count, st);
    }
    strbuf_release(&bytes);
    *out = prompts;
    return code;
}
