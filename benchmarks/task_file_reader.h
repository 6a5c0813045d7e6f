/* task_file_reader.h - what the readers of a task file's fields share: task_file.c and
 * task_file_scoring.c; nobody else includes it. */
#ifndef ASSAY_TASK_FILE_READER_H
#define ASSAY_TASK_FILE_READER_H

#include <string.h>

#include "benchmarks/task_file_internal.h"
#include "engine/base/json.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* A file while it is read; errors name the field. */
struct reader {
    struct task_file *file;
    const struct json_value *root;
    struct status *st;
};

static inline status_code bad_field(const struct reader *r, const char *key, const char *problem)
{
    return status_set(r->st, STATUS_BAD_INPUT, "field \"%s\" %s", key, problem);
}

static inline status_code in_field(const struct reader *r, const char *key, status_code code)
{
    return code == STATUS_OK ? code : status_prefix(r->st, "field \"%s\"", key);
}

static inline status_code keep_text(const struct reader *r, struct text text, const char **out)
{
    if (text.length && memchr(text.data, '\0', text.length))
        return status_set(r->st, STATUS_BAD_INPUT, "a text holds a NUL");
    *out = arena_strndup(&r->file->arena, text.data, text.length);
    return *out ? STATUS_OK : status_no_memory(r->st, "a task file");
}

/* An optional text; *out stays as it is where the field is missing or null. */
static inline status_code read_text(const struct reader *r, const struct json_value *object,
                                    const char *key, const char **out)
{
    struct text text;
    if (!json_has(object, key)) return STATUS_OK;
    status_code code = json_get_text(object, key, &text, r->st);
    return code == STATUS_OK ? in_field(r, key, keep_text(r, text, out)) : code;
}

static inline status_code read_flag(const struct reader *r, const struct json_value *object,
                                    const char *key, bool *out)
{
    return json_has(object, key) ? json_get_bool(object, key, out, r->st) : STATUS_OK;
}

static inline status_code read_int(const struct reader *r, const struct json_value *object,
                                   const char *key, int64_t min, int64_t max, int *out)
{
    int64_t number = 0;
    if (!json_has(object, key)) return STATUS_OK;
    status_code code = json_get_int(object, key, min, max, &number, r->st);
    if (code == STATUS_OK) *out = (int)number;
    return code;
}

static inline status_code read_template(const struct reader *r, const struct json_value *object,
                                        const char *key, struct template **out)
{
    struct text text;
    if (!json_has(object, key)) return STATUS_OK;
    status_code code = json_get_text(object, key, &text, r->st);
    return code == STATUS_OK ? in_field(r, key, template_compile(out, text, r->st)) : code;
}

/* filter_list: the row's extractions.  Without a list the reply is taken as it is, under the name
 * "none". */
status_code task_file_read_filters(const struct reader *r) MUST_CHECK;

/* metric_list: the row's metrics, and what they are told. */
status_code task_file_read_metrics(const struct reader *r) MUST_CHECK;

#endif
