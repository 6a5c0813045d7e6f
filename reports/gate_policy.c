#include "reports/gate_policy.h"

#include <stdlib.h>
#include <string.h>

#include "engine/base/json.h"
#include "engine/base/limits.h"

/* An optional number in (low, high), or [low, high) where `from_low`. */
static status_code read_number(const struct json_value *object, const char *key, double low,
                               bool from_low, double high, double *out, struct status *st)
{
    double value = 0;
    if (!json_member(object, key)) return STATUS_OK;
    if (json_get_double(object, key, &value, st) != STATUS_OK) return st->code;
    if (!(value < high && (from_low ? value >= low : value > low)))
        return status_set(st, STATUS_BAD_INPUT, "\"%s\" is %g; it must be %s %g and below %g", key,
                          value, from_low ? "at least" : "above", low, high);
    *out = value;
    return STATUS_OK;
}

static status_code read_string(const struct json_value *object, const char *key,
                               struct arena *arena, const char **out, struct status *st)
{
    struct text text;
    if (!json_member(object, key)) return STATUS_OK;
    if (json_get_text(object, key, &text, st) != STATUS_OK) return st->code;
    *out = arena_strndup(arena, text.data, text.length);
    return *out ? STATUS_OK : status_no_memory(st, "the policy");
}

/* Every member is one of `known`, and none comes twice. */
static status_code check_fields(const struct json_value *object, const char *const *known,
                                struct status *st)
{
    for (const struct json_value *m = json_first(object); m; m = json_next(m)) {
        const char *const *name = known;
        while (*name && strcmp(*name, json_key(m)) != 0) name++;
        if (!*name) return status_set(st, STATUS_BAD_INPUT, "unknown field \"%s\"", json_key(m));
        if (json_member(object, json_key(m)) != m)
            return status_set(st, STATUS_BAD_INPUT, "\"%s\" is there twice", json_key(m));
    }
    return STATUS_OK;
}

static status_code read_rule(struct gate_policy *policy, const struct json_value *value,
                             struct gate_rule *rule, struct status *st)
{
    static const char *const known[] = {"margin", "metric", "extraction", NULL};
    if (json_kind(value) != JSON_OBJECT)
        return status_set(st, STATUS_BAD_INPUT, "expected an object, not %s",
                          json_kind_name(json_kind(value)));
    rule->margin = policy->margin;
    rule->name = arena_strdup(&policy->arena, json_key(value));
    if (!rule->name) return status_no_memory(st, "the policy");
    if (check_fields(value, known, st) != STATUS_OK ||
        read_number(value, "margin", 0, true, 1e9, &rule->margin, st) != STATUS_OK ||
        read_string(value, "metric", &policy->arena, &rule->metric, st) != STATUS_OK ||
        read_string(value, "extraction", &policy->arena, &rule->extraction, st) != STATUS_OK)
        return st->code;
    return STATUS_OK;
}

static status_code read_rules(struct gate_policy *policy, const struct json_value *root,
                              struct status *st)
{
    const struct json_value *tasks;
    if (!json_member(root, "tasks")) return STATUS_OK;
    if (json_get_object(root, "tasks", &tasks, st) != STATUS_OK) return st->code;
    size_t n = json_count(tasks);
    if (n > LIMIT_TASKS)
        return status_set(st, STATUS_LIMIT, "\"tasks\" has more than %d members", LIMIT_TASKS);
    policy->rules = arena_array(&policy->arena, n ? n : 1, sizeof *policy->rules);
    if (!policy->rules) return status_no_memory(st, "the policy");
    for (const struct json_value *m = json_first(tasks); m; m = json_next(m)) {
        if (json_member(tasks, json_key(m)) != m)
            return status_set(st, STATUS_BAD_INPUT, "\"tasks\": \"%s\" is there twice",
                              json_key(m));
        if (read_rule(policy, m, &policy->rules[policy->n_rules++], st) != STATUS_OK)
            return status_prefix(st, "\"tasks\": \"%s\"", json_key(m));
    }
    return STATUS_OK;
}

static status_code read_column(struct gate_policy *policy, const struct json_value *root,
                               struct status *st)
{
    struct text text;
    if (!json_member(root, "column")) return STATUS_OK;
    if (json_get_text(root, "column", &text, st) != STATUS_OK) return st->code;
    if (text_equal(text, text_of("off")))
        policy->column = COMPARE_OFF;
    else if (text_equal(text, text_of("enforce")))
        policy->column = COMPARE_ENFORCE;
    else
        return status_set(st, STATUS_BAD_INPUT,
                          "\"column\" is \"%.*s\"; it must be \"off\" or "
                          "\"enforce\"",
                          TEXT_ARGS(text));
    return STATUS_OK;
}

static status_code read_policy(struct gate_policy *policy, const struct json_value *root,
                               struct status *st)
{
    static const char *const known[] = {
        "margin", "alpha", "coverage_floor", "alert_improvement", "column", "tasks", NULL};
    if (json_kind(root) != JSON_OBJECT)
        return status_set(st, STATUS_BAD_INPUT, "expected an object, not %s",
                          json_kind_name(json_kind(root)));
    /* 1 is allowed as a floor, and the next double above it is the bound. */
    if (check_fields(root, known, st) != STATUS_OK ||
        read_number(root, "margin", 0, true, 1e9, &policy->margin, st) != STATUS_OK ||
        read_number(root, "alpha", 0, false, 0.5, &policy->alpha, st) != STATUS_OK ||
        read_number(root, "coverage_floor", 0, true, 1 + 1e-12, &policy->coverage_floor, st) !=
            STATUS_OK ||
        read_number(root, "alert_improvement", 0, false, 1e9, &policy->alert_improvement, st) !=
            STATUS_OK ||
        read_column(policy, root, st) != STATUS_OK || read_rules(policy, root, st) != STATUS_OK)
        return st->code;
    return STATUS_OK;
}

static status_code policy_from(struct gate_policy **out, const struct json_value *root,
                               struct status *st)
{
    struct gate_policy *policy = calloc(1, sizeof *policy);
    if (!policy) return status_no_memory(st, "the policy");
    arena_init(&policy->arena, LIMIT_POLICY_BYTES);
    policy->margin = 0.01;
    policy->alpha = 0.05;
    policy->coverage_floor = SCORE_COVERAGE_FLOOR;
    policy->alert_improvement = 0.10;
    if (root && read_policy(policy, root, st) != STATUS_OK) {
        gate_policy_free(policy);
        return st->code;
    }
    *out = policy;
    return STATUS_OK;
}

status_code gate_policy_parse(struct gate_policy **out, struct text json, struct status *st)
{
    struct json_value *root = NULL;
    *out = NULL;
    if (json_parse(&root, json, st) != STATUS_OK) return st->code;
    status_code code = policy_from(out, root, st);
    json_free(root);
    return code;
}

status_code gate_policy_load(struct gate_policy **out, const char *path, struct status *st)
{
    struct json_value *root = NULL;
    *out = NULL;
    if (!path) return policy_from(out, NULL, st);
    if (json_parse_file(&root, path, LIMIT_POLICY_BYTES, st) != STATUS_OK) return st->code;
    status_code code = policy_from(out, root, st);
    json_free(root);
    return code == STATUS_OK ? code : status_prefix(st, "%s", path);
}

void gate_policy_free(struct gate_policy *policy)
{
    if (!policy) return;
    arena_release(&policy->arena);
    free(policy);
}
