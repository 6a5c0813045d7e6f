#include "classifiers/policy.h"

#include <stdio.h>
#include <stdlib.h>

#include "classifiers/allow_list.h"
#include "classifiers/policy_stage.h"
#include "classifiers/strict_json.h"
#include "engine/base/arena.h"
#include "engine/base/json.h"
#include "engine/base/limits.h"

#define DEFAULT_REDACTION "[redacted]"

extern const struct text embedded_classifiers_policies_strict_json;
extern const struct text embedded_classifiers_policies_balanced_json;
extern const struct text embedded_classifiers_policies_audit_json;

static const char *const preset_names[] = {"strict", "balanced", "audit"};
static const struct text *const preset_texts[] = {
    &embedded_classifiers_policies_strict_json,
    &embedded_classifiers_policies_balanced_json,
    &embedded_classifiers_policies_audit_json,
};

#define N_PRESETS (sizeof preset_names / sizeof preset_names[0])

struct policy {
    struct policy_info info;
    const char *specs[POLICY_MAX_CLASSIFIERS];
    struct arena arena; /* every text of `info` */
    struct allow_list *allow;
    struct strbuf canonical;
};

const char *const *policy_presets(size_t *n)
{
    *n = N_PRESETS;
    return preset_names;
}

const struct policy_info *policy_get_info(const struct policy *policy)
{
    return &policy->info;
}

void policy_free(struct policy *policy)
{
    if (!policy) return;
    strbuf_release(&policy->canonical);
    allow_list_free(policy->allow);
    arena_release(&policy->arena);
    free(policy);
}

/* ---- reading ---- */

/* A string of one or more bytes without NULs, copied for the policy. */
static status_code copy_text(struct policy *policy, const struct json_value *value,
                             struct text *out, struct status *st)
{
    if (json_kind(value) != JSON_STRING)
        return status_set(st, STATUS_BAD_INPUT, "is %s, expected a string",
                          json_kind_name(json_kind(value)));
    struct text text = json_text(value);
    if (!text.length || memchr(text.data, '\0', text.length))
        return status_set(st, STATUS_BAD_INPUT, "is empty or holds a NUL");
    char *copy = arena_strndup(&policy->arena, text.data, text.length);
    if (!copy) return status_no_memory(st, "a policy");
    *out = (struct text){copy, text.length};
    return STATUS_OK;
}

static status_code read_classifiers(struct policy *policy, const struct json_value *root,
                                    struct status *st)
{
    const struct json_value *array;
    status_code code = json_get_array(root, "classifiers", &array, st);
    if (code != STATUS_OK) return code;
    size_t n = json_count(array);
    if (!n || n > POLICY_MAX_CLASSIFIERS)
        return status_set(st, STATUS_BAD_INPUT, "field \"classifiers\" has %zu, expected 1 to %d",
                          n, POLICY_MAX_CLASSIFIERS);
    for (const struct json_value *v = json_first(array); v; v = json_next(v)) {
        struct text spec;
        int i = policy->info.n_classifiers;
        code = copy_text(policy, v, &spec, st);
        if (code != STATUS_OK) return status_prefix(st, "field \"classifiers\"[%d]", i);
        for (int j = 0; j < i; j++)
            if (strcmp(policy->specs[j], spec.data) == 0)
                return status_set(st, STATUS_BAD_INPUT,
                                  "field \"classifiers\"[%d]: \"%.100s\" is there twice", i,
                                  spec.data);
        policy->specs[i] = spec.data;
        policy->info.n_classifiers++;
    }
    policy->info.classifiers = policy->specs;
    return STATUS_OK;
}

static status_code read_stage(struct policy *policy, const struct json_value *root,
                              enum guard_stage which, struct status *st)
{
    const struct json_value *object = json_member(root, guard_stage_name(which));
    if (!object) return STATUS_OK;
    status_code code =
        policy_stage_read(object, which, &policy->info, &policy->info.stage[which], st);
    return code == STATUS_OK ? code : status_prefix(st, "field \"%s\"", guard_stage_name(which));
}

/* "block", which is also what is meant where nothing is said, or "allow". */
static status_code read_closed(const struct json_value *root, const char *field, bool *blocks,
                               struct status *st)
{
    struct text word;
    *blocks = true;
    if (!json_member(root, field)) return STATUS_OK;
    status_code code = json_get_text(root, field, &word, st);
    if (code != STATUS_OK) return code;
    *blocks = text_equal(word, text_of("block"));
    if (!*blocks && !text_equal(word, text_of("allow")))
        return status_set(st, STATUS_BAD_INPUT,
                          "field \"%s\" is \"%.*s\", expected \"block\" or \"allow\"", field,
                          (int)(word.length > 64 ? 64 : word.length), word.data);
    return STATUS_OK;
}

static status_code read_refusal(struct policy *policy, const struct json_value *root,
                                struct status *st)
{
    const struct json_value *refusal = json_member(root, "refusal");
    if (!refusal) return status_set(st, STATUS_BAD_INPUT, "field \"refusal\" is missing");
    status_code code = copy_text(policy, refusal, &policy->info.refusal, st);
    return code == STATUS_OK ? code : status_prefix(st, "field \"refusal\"");
}

static status_code read_redaction(struct policy *policy, const struct json_value *root,
                                  struct status *st)
{
    const struct json_value *redaction = json_member(root, "redaction");
    policy->info.redaction = text_of(DEFAULT_REDACTION);
    if (!redaction) return STATUS_OK;
    status_code code = copy_text(policy, redaction, &policy->info.redaction, st);
    return code == STATUS_OK ? code : status_prefix(st, "field \"redaction\"");
}

static status_code read_allow(struct policy *policy, const struct json_value *root,
                              struct status *st)
{
    const struct json_value *allow = json_member(root, "allow");
    if (!allow) return STATUS_OK;
    status_code code = allow_list_read(&policy->allow, allow, st);
    if (code != STATUS_OK) return status_prefix(st, "field \"allow\"");
    policy->info.allow = policy->allow;
    return STATUS_OK;
}

static status_code read_policy(struct policy *policy, const struct json_value *root,
                               struct status *st)
{
    static const char *const fields[] = {"name",      "version",  "classifiers", "input",
                                         "output",    "on_error", "on_timeout",  "refusal",
                                         "redaction", "allow"};
    struct text name;
    int64_t version;
    status_code code = strict_json_fields(root, fields, sizeof fields / sizeof fields[0], st);
    if (code == STATUS_OK) code = strict_json_name(root, "name", &name, st);
    if (code == STATUS_OK) code = json_get_int(root, "version", 1, 1000000, &version, st);
    if (code == STATUS_OK) code = read_classifiers(policy, root, st);
    if (code == STATUS_OK) code = read_stage(policy, root, GUARD_INPUT, st);
    if (code == STATUS_OK) code = read_stage(policy, root, GUARD_OUTPUT, st);
    struct policy_info *info = &policy->info;
    if (code == STATUS_OK) code = read_closed(root, "on_error", &info->blocks_on_error, st);
    if (code == STATUS_OK) code = read_closed(root, "on_timeout", &info->blocks_on_timeout, st);
    if (code == STATUS_OK) code = read_refusal(policy, root, st);
    if (code == STATUS_OK) code = read_redaction(policy, root, st);
    if (code == STATUS_OK) code = read_allow(policy, root, st);
    if (code != STATUS_OK) return code;
    if (!info->stage[GUARD_INPUT].present && !info->stage[GUARD_OUTPUT].present)
        return status_set(st, STATUS_BAD_INPUT,
                          "has neither \"input\" nor \"output\": it would guard nothing");
    info->version = (int)version;
    info->name = arena_strndup(&policy->arena, name.data, name.length);
    return info->name ? STATUS_OK : status_no_memory(st, "a policy");
}

/* ---- the canonical text ---- */

static void append_stage(struct strbuf *sb, enum guard_stage which, const struct policy_info *info)
{
    if (!info->stage[which].present) return;
    strbuf_appendf(sb, ",\"%s\":", guard_stage_name(which));
    policy_stage_append(&info->stage[which], which, info, sb);
}

static const char *closed_name(bool blocks)
{
    return blocks ? "block" : "allow";
}

static status_code write_canonical(struct policy *policy, struct status *st)
{
    struct strbuf *sb = &policy->canonical;
    struct policy_info *info = &policy->info;
    strbuf_append_str(sb, "{\"name\":");
    json_append_str(sb, info->name);
    strbuf_appendf(sb, ",\"version\":%d,\"classifiers\":[", info->version);
    for (int i = 0; i < info->n_classifiers; i++) {
        if (i) strbuf_append_char(sb, ',');
        json_append_str(sb, info->classifiers[i]);
    }
    strbuf_append_char(sb, ']');
    append_stage(sb, GUARD_INPUT, info);
    append_stage(sb, GUARD_OUTPUT, info);
    strbuf_appendf(sb, ",\"on_error\":\"%s\",\"on_timeout\":\"%s\",\"refusal\":",
                   closed_name(info->blocks_on_error), closed_name(info->blocks_on_timeout));
    json_append_text(sb, info->refusal);
    strbuf_append_str(sb, ",\"redaction\":");
    json_append_text(sb, info->redaction);
    if (info->allow) {
        strbuf_append_str(sb, ",\"allow\":");
        allow_list_append(info->allow, sb);
    }
    strbuf_append_char(sb, '}');
    status_code code = strbuf_check(sb, "the canonical policy", st);
    if (code != STATUS_OK) return code;
    info->canonical = (struct text){sb->data, sb->length};
    sha256_text(info->canonical, info->sha256);
    return STATUS_OK;
}

/* ---- opening ---- */

static status_code parse(struct policy *policy, struct text json, struct status *st)
{
    struct json_value *root;
    if (json.length > LIMIT_POLICY_BYTES)
        return status_set(st, STATUS_LIMIT, "is longer than %u bytes", LIMIT_POLICY_BYTES);
    status_code code = json_parse(&root, json, st);
    if (code != STATUS_OK) return code;
    code = read_policy(policy, root, st);
    json_free(root);
    if (code == STATUS_OK) code = write_canonical(policy, st);
    return code;
}

status_code policy_parse(struct policy **out, struct text json, const char *source,
                         struct status *st)
{
    struct policy *policy = calloc(1, sizeof *policy);
    if (!policy) return status_no_memory(st, "a policy");
    arena_init(&policy->arena, 2 * LIMIT_POLICY_BYTES);
    strbuf_init(&policy->canonical, 8 * LIMIT_POLICY_BYTES);
    status_code code = parse(policy, json, st);
    if (code != STATUS_OK) {
        policy_free(policy);
        return status_prefix(st, "%s", source);
    }
    *out = policy;
    return STATUS_OK;
}

status_code policy_load(struct policy **out, const char *name_or_path, struct status *st)
{
    for (size_t i = 0; i < N_PRESETS; i++)
        if (strcmp(name_or_path, preset_names[i]) == 0)
            return policy_parse(out, *preset_texts[i], name_or_path, st);
    struct strbuf file;
    strbuf_init(&file, LIMIT_POLICY_BYTES);
    status_code code = strbuf_read_file(&file, name_or_path, st);
    if (code == STATUS_OK)
        code = policy_parse(out, (struct text){file.data, file.length}, name_or_path, st);
    else if (code == STATUS_NOT_FOUND)
        code = status_set(st, STATUS_NOT_FOUND,
                          "guard policy \"%.200s\" is neither a preset (strict, balanced, audit) "
                          "nor a file",
                          name_or_path);
    strbuf_release(&file);
    return code;
}
