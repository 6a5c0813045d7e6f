/* task_fixture.h - loading one task, and scoring a replies file into memory, for tests of tasks. */
#ifndef ASSAY_TESTS_TASK_FIXTURE_H
#define ASSAY_TESTS_TASK_FIXTURE_H

#include "tests/unit/suite.h"

#include "benchmarks/offline_scoring.h"
#include "benchmarks/task_registry.h"
#include "engine/base/json.h"

static inline struct task_instance *load(const char *name, int num_fewshot,
                                         const struct dataset_lookup *lookup)
{
    struct status st = {0};
    struct task_selection selection;
    struct task_instance *task;
    ASSERT_OK(task_registry_select(&selection, name, NULL, lookup, &st));
    CU_ASSERT_EQUAL_FATAL(selection.count, 1);
    const struct task_options options = {.num_fewshot = num_fewshot, .lookup = *lookup};
    ASSERT_OK(task_instance_load(&task, &selection.refs[0], &options, &st));
    task_selection_release(&selection);
    return task;
}

static inline status_code collect(void *user, struct text line, struct status *st)
{
    (void)st;
    strbuf_append((struct strbuf *)user, line.data, line.length);
    return STATUS_OK;
}

/* Scores a replies file; `lines` and `summary` are cleared first. */
static inline status_code score_file(const char *tasks, const char *path, bool apply_stops,
                                     const struct dataset_lookup *lookup, struct strbuf *lines,
                                     struct strbuf *summary, struct status *st)
{
    struct task_selection selection;
    strbuf_clear(lines);
    strbuf_clear(summary);
    status_code code = task_registry_select(&selection, tasks, NULL, lookup, st);
    if (code != STATUS_OK) return code;
    const struct offline_score_options options = {.lookup = *lookup, .apply_stops = apply_stops};
    code =
        offline_score(&selection, path, &options, &(struct line_sink){collect, lines}, summary, st);
    task_selection_release(&selection);
    return code;
}

static inline double summary_number(const struct strbuf *summary, const char *metric,
                                    const char *key)
{
    struct status st = {0};
    struct json_value *root;
    double number = -1;
    ASSERT_OK(json_parse(&root, (struct text){summary->data, summary->length}, &st));
    const struct json_value *values = json_member(json_member(root, "metrics"), metric);
    CU_ASSERT_PTR_NOT_NULL_FATAL(values);
    if (json_has(values, key)) number = json_number(json_member(values, key));
    json_free(root);
    return number;
}

#endif
