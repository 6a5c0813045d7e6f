#include "classifiers/policy_stage.h"

#include "classifiers/strict_json.h"
#include "engine/base/limits.h"

#define DEFAULT_CHECK_EVERY_TOKENS 16
#define MIN_WINDOW_BYTES           64
#define MAX_BUDGET_MS              3600000

static const char *const action_names[] = {
    [GUARD_ACTION_LOG] = "log",
    [GUARD_ACTION_REDACT] = "redact",
    [GUARD_ACTION_REFUSE] = "refuse",
    [GUARD_ACTION_STOP] = "stop",
    [GUARD_ACTION_REGENERATE] = "regenerate",
};
#define N_ACTIONS (int)(sizeof action_names / sizeof action_names[0])

const char *guard_action_name(enum guard_action action)
{
    BUG_IF((unsigned)action >= (unsigned)N_ACTIONS);
    return action_names[action];
}

/* For "%.*s" of a word in a message: no more of it than a message should hold. */
static int shown(struct text text)
{
    return (int)(text.length > 64 ? 64 : text.length);
}

/* ---- thresholds and bands ---- */

static bool is_probability(const struct json_value *value)
{
    return json_kind(value) == JSON_NUMBER && json_number(value) >= 0 && json_number(value) <= 1;
}

static status_code read_threshold(const struct json_value *member, struct hazard_band *band,
                                  struct status *st)
{
    if (json_kind(member) != JSON_NUMBER)
        return status_set(st, STATUS_BAD_INPUT, "\"%s\" is %s, expected a number", json_key(member),
                          json_kind_name(json_kind(member)));
    if (!is_probability(member))
        return status_set(st, STATUS_BAD_INPUT, "\"%s\" is %g, expected a number from 0 to 1",
                          json_key(member), json_number(member));
    band->low = band->high = json_number(member) + 0.0; /* -0 is 0 */
    return STATUS_OK;
}

static status_code read_band(const struct json_value *member, struct hazard_band *band,
                             struct status *st)
{
    const struct json_value *low = json_kind(member) == JSON_ARRAY ? json_first(member) : NULL;
    const struct json_value *high = low ? json_next(low) : NULL;
    if (!high || json_next(high) || !is_probability(low) || !is_probability(high) ||
        json_number(low) > json_number(high))
        return status_set(st, STATUS_BAD_INPUT,
                          "\"%s\" is not a band: [low, high] with 0 <= low <= high <= 1",
                          json_key(member));
    band->low = json_number(low) + 0.0;
    band->high = json_number(high) + 0.0;
    return STATUS_OK;
}

typedef status_code read_rule(const struct json_value *member, struct hazard_band *band,
                              struct status *st);

/* Reads an object of categories, "thresholds" or "bands", into a step. */
static status_code read_rules(const struct json_value *object, const char *field, read_rule *read,
                              struct policy_step *step, struct status *st)
{
    const struct json_value *rules;
    enum hazard_category category;
    status_code code = json_get_object(object, field, &rules, st);
    if (code != STATUS_OK) return code;
    for (const struct json_value *m = json_first(rules); m && code == STATUS_OK; m = json_next(m)) {
        if (!hazard_find(text_of(json_key(m)), &category))
            code = status_set(st, STATUS_BAD_INPUT,
                              "unknown category \"%.64s\"; `assay list classifiers` names them",
                              json_key(m));
        else if (step->categories & HAZARD_BIT(category))
            code = status_set(st, STATUS_BAD_INPUT, "\"%s\" is there twice", json_key(m));
        else
            code = read(m, &step->band[category], st);
        if (code == STATUS_OK) step->categories |= HAZARD_BIT(category);
    }
    if (code != STATUS_OK) return status_prefix(st, "field \"%s\"", field);
    if (!step->categories)
        return status_set(st, STATUS_BAD_INPUT, "field \"%s\" names no category", field);
    return STATUS_OK;
}

/* Plain thresholds: every classifier is asked, and each is held to all of them. */
static status_code read_thresholds(const struct json_value *object, const struct policy_info *info,
                                   struct policy_stage *stage, struct status *st)
{
    struct policy_step step = {0};
    status_code code = read_rules(object, "thresholds", read_threshold, &step, st);
    if (code != STATUS_OK) return code;
    stage->categories = step.categories;
    stage->n_steps = info->n_classifiers;
    for (int i = 0; i < stage->n_steps; i++) {
        stage->steps[i] = step;
        stage->steps[i].classifier = i;
    }
    return STATUS_OK;
}

/* ---- cascades ---- */

static status_code read_step(const struct json_value *object, const struct policy_info *info,
                             struct policy_step *step, struct status *st)
{
    static const char *const fields[] = {"classifier", "bands", "thresholds"};
    struct text spec;
    status_code code = strict_json_fields(object, fields, 3, st);
    if (code == STATUS_OK) code = json_get_text(object, "classifier", &spec, st);
    if (code != STATUS_OK) return code;
    int i = 0;
    while (i < info->n_classifiers && !text_equal(spec, text_of(info->classifiers[i]))) i++;
    if (i == info->n_classifiers)
        return status_set(st, STATUS_BAD_INPUT,
                          "field \"classifier\": \"%.*s\" is not in the policy's \"classifiers\"",
                          shown(spec), spec.data);
    step->classifier = i;
    bool has_bands = json_member(object, "bands"), is_final = json_member(object, "thresholds");
    if (has_bands == is_final)
        return status_set(st, STATUS_BAD_INPUT,
                          "has %s of \"bands\" and \"thresholds\", expected one of them",
                          has_bands ? "both" : "neither");
    return has_bands ? read_rules(object, "bands", read_band, step, st)
                     : read_rules(object, "thresholds", read_threshold, step, st);
}

/* The last step that judges a category must decide it: nobody is left to be asked. */
static status_code check_decided(const struct policy_stage *stage, struct status *st)
{
    hazard_set decided = 0;
    for (int s = stage->n_steps - 1; s >= 0; s--) {
        const struct policy_step *step = &stage->steps[s];
        for (int c = 0; c < HAZARD_COUNT; c++) {
            if (!(step->categories & ~decided & HAZARD_BIT(c))) continue;
            if (step->band[c].low < step->band[c].high)
                return status_set(st, STATUS_BAD_INPUT,
                                  "field \"cascade\"[%d]: no step after it decides \"%s\" between "
                                  "%g and %g; the last step needs a threshold",
                                  s, hazard_get((enum hazard_category)c)->name, step->band[c].low,
                                  step->band[c].high);
        }
        decided |= step->categories;
    }
    return STATUS_OK;
}

static status_code read_cascade(const struct json_value *object, const struct policy_info *info,
                                struct policy_stage *stage, struct status *st)
{
    const struct json_value *steps;
    status_code code = json_get_array(object, "cascade", &steps, st);
    if (code != STATUS_OK) return code;
    size_t n = json_count(steps);
    if (!n || n > POLICY_MAX_CLASSIFIERS)
        return status_set(st, STATUS_BAD_INPUT, "field \"cascade\" has %zu steps, expected 1 to %d",
                          n, POLICY_MAX_CLASSIFIERS);
    stage->is_cascade = true;
    for (const struct json_value *v = json_first(steps); v; v = json_next(v)) {
        int i = stage->n_steps++;
        struct policy_step *step = &stage->steps[i];
        code = read_step(v, info, step, st);
        for (int j = 0; j < i && code == STATUS_OK; j++)
            if (stage->steps[j].classifier == step->classifier)
                code = status_set(st, STATUS_BAD_INPUT, "asks the classifier of step %d again", j);
        if (code != STATUS_OK) return status_prefix(st, "field \"cascade\"[%d]", i);
        stage->categories |= step->categories;
    }
    return check_decided(stage, st);
}

/* ---- the other fields ---- */

static status_code read_action(const struct json_value *object, enum guard_stage which,
                               struct policy_stage *stage, struct status *st)
{
    struct text word;
    int64_t attempts = 0;
    status_code code = json_get_text(object, "action", &word, st);
    if (code != STATUS_OK) return code;
    int action = 0;
    while (action < N_ACTIONS && !text_equal(word, text_of(action_names[action]))) action++;
    if (action == N_ACTIONS)
        return status_set(st, STATUS_BAD_INPUT,
                          "field \"action\" is \"%.*s\", expected \"log\", \"redact\", \"refuse\", "
                          "\"stop\" or \"regenerate\"",
                          shown(word), word.data);
    if (which == GUARD_INPUT && action != GUARD_ACTION_LOG && action != GUARD_ACTION_REFUSE)
        return status_set(st, STATUS_BAD_INPUT,
                          "field \"action\" is \"%s\", which is for replies; a prompt has \"log\" "
                          "or \"refuse\"",
                          action_names[action]);
    stage->action = (enum guard_action)action;
    if (action == GUARD_ACTION_REGENERATE)
        code = json_get_int(object, "attempts", 1, POLICY_MAX_ATTEMPTS, &attempts, st);
    else if (json_member(object, "attempts"))
        code =
            status_set(st, STATUS_BAD_INPUT, "field \"attempts\" is for the action \"regenerate\"");
    stage->attempts = (int)attempts;
    return code;
}

static status_code read_window(const struct json_value *object, struct policy_stage *stage,
                               struct status *st)
{
    int64_t bytes = 0, overlap = 0;
    bool has_overlap = json_member(object, "window_overlap_bytes");
    if (!json_member(object, "window_bytes"))
        return has_overlap ? status_set(st, STATUS_BAD_INPUT,
                                        "field \"window_overlap_bytes\" needs \"window_bytes\"")
                           : STATUS_OK;
    status_code code =
        json_get_int(object, "window_bytes", MIN_WINDOW_BYTES, LIMIT_PROMPT_BYTES, &bytes, st);
    if (code == STATUS_OK && has_overlap)
        code = json_get_int(object, "window_overlap_bytes", 0, bytes / 2, &overlap, st);
    stage->window_bytes = (size_t)bytes;
    stage->window_overlap_bytes = (size_t)(has_overlap ? overlap : bytes / 4);
    return code;
}

static status_code read_budget(const struct json_value *object, struct policy_stage *stage,
                               struct status *st)
{
    double ms;
    if (!json_member(object, "budget_ms")) return STATUS_OK;
    status_code code = json_get_double(object, "budget_ms", &ms, st);
    if (code == STATUS_OK && !(ms > 0 && ms <= MAX_BUDGET_MS))
        code = status_set(st, STATUS_BAD_INPUT,
                          "field \"budget_ms\" is %g, expected a number above 0 and up to %d", ms,
                          MAX_BUDGET_MS);
    if (code == STATUS_OK) stage->budget_ms = ms;
    return code;
}

status_code policy_stage_read(const struct json_value *object, enum guard_stage which,
                              const struct policy_info *info, struct policy_stage *out,
                              struct status *st)
{
    static const char *const fields[] = {"thresholds", "cascade",           "action",
                                         "budget_ms",  "window_bytes",      "window_overlap_bytes",
                                         "attempts",   "check_every_tokens"};
    int64_t every = DEFAULT_CHECK_EVERY_TOKENS;
    *out = (struct policy_stage){.present = true};
    status_code code = strict_json_fields(object, fields, which == GUARD_OUTPUT ? 8 : 6, st);
    if (code != STATUS_OK) return code;
    bool simple = json_member(object, "thresholds"), cascade = json_member(object, "cascade");
    if (simple && cascade)
        return status_set(st, STATUS_BAD_INPUT,
                          "has both \"thresholds\" and \"cascade\", expected one of them");
    code = cascade ? read_cascade(object, info, out, st) : read_thresholds(object, info, out, st);
    if (code == STATUS_OK) code = read_action(object, which, out, st);
    if (code == STATUS_OK) code = read_budget(object, out, st);
    if (code == STATUS_OK) code = read_window(object, out, st);
    if (code == STATUS_OK && json_member(object, "check_every_tokens"))
        code = json_get_int(object, "check_every_tokens", 1, LIMIT_CONTEXT, &every, st);
    if (which == GUARD_OUTPUT) out->check_every_tokens = (int)every;
    return code;
}

/* ---- the canonical text ---- */

static bool decides(const struct policy_step *step)
{
    for (int c = 0; c < HAZARD_COUNT; c++)
        if (step->categories & HAZARD_BIT(c) && step->band[c].low < step->band[c].high)
            return false;
    return true;
}

static void append_rules(struct strbuf *out, const struct policy_step *step, bool bands)
{
    const char *separator = "";
    strbuf_append_str(out, bands ? "\"bands\":{" : "\"thresholds\":{");
    for (int c = 0; c < HAZARD_COUNT; c++) {
        if (!(step->categories & HAZARD_BIT(c))) continue;
        strbuf_appendf(out, "%s\"%s\":%s", separator, hazard_get((enum hazard_category)c)->name,
                       bands ? "[" : "");
        json_append_number(out, step->band[c].low);
        if (bands) {
            strbuf_append_char(out, ',');
            json_append_number(out, step->band[c].high);
            strbuf_append_char(out, ']');
        }
        separator = ",";
    }
    strbuf_append_char(out, '}');
}

static void append_cascade(struct strbuf *out, const struct policy_stage *stage,
                           const struct policy_info *info)
{
    strbuf_append_str(out, "\"cascade\":[");
    for (int i = 0; i < stage->n_steps; i++) {
        const struct policy_step *step = &stage->steps[i];
        strbuf_append_str(out, i ? ",{\"classifier\":" : "{\"classifier\":");
        json_append_str(out, info->classifiers[step->classifier]);
        strbuf_append_char(out, ',');
        append_rules(out, step, !decides(step));
        strbuf_append_char(out, '}');
    }
    strbuf_append_char(out, ']');
}

void policy_stage_append(const struct policy_stage *stage, enum guard_stage which,
                         const struct policy_info *info, struct strbuf *out)
{
    strbuf_append_char(out, '{');
    if (stage->is_cascade)
        append_cascade(out, stage, info);
    else
        append_rules(out, &stage->steps[0], false);
    strbuf_appendf(out, ",\"action\":\"%s\"", guard_action_name(stage->action));
    if (stage->attempts) strbuf_appendf(out, ",\"attempts\":%d", stage->attempts);
    if (stage->budget_ms > 0) {
        strbuf_append_str(out, ",\"budget_ms\":");
        json_append_number(out, stage->budget_ms);
    }
    if (stage->window_bytes)
        strbuf_appendf(out, ",\"window_bytes\":%zu,\"window_overlap_bytes\":%zu",
                       stage->window_bytes, stage->window_overlap_bytes);
    if (which == GUARD_OUTPUT)
        strbuf_appendf(out, ",\"check_every_tokens\":%d", stage->check_every_tokens);
    strbuf_append_char(out, '}');
}
