#include "datasets/hellaswag.h"

#include "datasets/jsonl_rows.h"

/* A member that preprocessed rows do not have. */
static status_code read_optional(struct arena *arena, const struct json_value *object,
                                 const char *key, struct text *out, struct status *st)
{
    *out = (struct text){"", 0};
    return json_has(object, key) ? jsonl_row_text(arena, object, key, out, st) : STATUS_OK;
}

static status_code read_endings(struct arena *arena, const struct json_value *object,
                                struct hellaswag_item *out, struct status *st)
{
    const struct json_value *array;
    status_code code = json_get_array(object, "endings", &array, st);
    if (code != STATUS_OK) return code;
    if (json_count(array) != HELLASWAG_ENDINGS)
        return status_set(st, STATUS_BAD_INPUT, "field \"endings\" has %zu texts, expected %d",
                          json_count(array), HELLASWAG_ENDINGS);
    int n = 0;
    for (const struct json_value *e = json_first(array); e; e = json_next(e)) {
        if (json_kind(e) != JSON_STRING)
            return status_set(st, STATUS_BAD_INPUT, "field \"endings\": text %d is %s", n,
                              json_kind_name(json_kind(e)));
        code = jsonl_row_keep(arena, json_text(e), &out->endings[n++], st);
        if (code != STATUS_OK) return code;
    }
    return STATUS_OK;
}

/* A number, or a digit in quotes as the Hugging Face copy has it. */
static status_code read_label(const struct json_value *object, int *out, struct status *st)
{
    int64_t label = 0;
    const struct json_value *member = json_member(object, "label");
    if (member && json_kind(member) == JSON_STRING) {
        struct text text = json_text(member);
        if (text.length == 1 && text.data[0] >= '0' && text.data[0] < '0' + HELLASWAG_ENDINGS) {
            *out = text.data[0] - '0';
            return STATUS_OK;
        }
        return status_set(st, STATUS_BAD_INPUT, "field \"label\" is \"%.*s\", expected 0 to %d",
                          text.length > 20 ? 20 : (int)text.length, text.data,
                          HELLASWAG_ENDINGS - 1);
    }
    status_code code = json_get_int(object, "label", 0, HELLASWAG_ENDINGS - 1, &label, st);
    *out = (int)label;
    return code;
}

static status_code read_item(struct arena *arena, const struct json_value *object, void *row,
                             struct status *st)
{
    struct hellaswag_item *out = row;
    status_code code;
    if ((code = json_get_int(object, "ind", 0, INT64_MAX, &out->ind, st)) != STATUS_OK ||
        (code = jsonl_row_text(arena, object, "activity_label", &out->activity_label, st)) !=
            STATUS_OK ||
        (code = read_optional(arena, object, "split", &out->split, st)) != STATUS_OK ||
        (code = read_optional(arena, object, "split_type", &out->split_type, st)) != STATUS_OK ||
        (code = read_optional(arena, object, "source_id", &out->source_id, st)) != STATUS_OK ||
        (code = read_label(object, &out->label, st)) != STATUS_OK ||
        (code = read_endings(arena, object, out, st)) != STATUS_OK)
        return code;
    if (!json_has(object, "ctx_a")) return jsonl_row_text(arena, object, "ctx", &out->ctx, st);
    if ((code = jsonl_row_text(arena, object, "ctx_a", &out->ctx_a, st)) != STATUS_OK ||
        (code = jsonl_row_text(arena, object, "ctx_b", &out->ctx_b, st)) != STATUS_OK)
        return code;
    return read_optional(arena, object, "ctx", &out->ctx, st);
}

/* The official file, unless only the preprocessed one is there. */
static const char *file_of(struct dataset *dataset, const char *split)
{
    bool validation = strcmp(split, "validation") == 0;
    const char *name = dataset_name_file(dataset, "hellaswag_%s.jsonl", validation ? "val" : split);
    const char *other = "hellaswag_val_preprocessed.jsonl";
    if (name && validation && !dataset_has(dataset, name) && dataset_has(dataset, other))
        return other;
    return name;
}

status_code hellaswag_load(struct dataset *dataset, const char *split,
                           const struct hellaswag_item **out, size_t *count, struct status *st)
{
    static const struct jsonl_row_kind kind = {sizeof(struct hellaswag_item), read_item};
    const void *rows = NULL;
    status_code code = jsonl_rows_load(dataset, file_of(dataset, split), &kind, &rows, count, st);
    *out = rows;
    return code;
}
