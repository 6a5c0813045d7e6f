/* The fields of a task file that say how replies are scored: filter_list and metric_list. */
#include <math.h>
#include <string.h>

#include "benchmarks/task_file_reader.h"
#include "classifiers/strict_json.h"
#include "engine/base/limits.h"
#include "engine/base/regex.h"

/* ---- extraction ---- */

static const struct {
    const char *function;
    enum extraction_kind kind;
    bool is_step; /* take_first is none: every reply is scored */
} filters[] = {
    {"regex", EXTRACT_REGEX, true},       {"remove_whitespace", EXTRACT_STRIP, true},
    {"lowercase", EXTRACT_LOWER, true},   {"uppercase", EXTRACT_UPPER, true},
    {"take_first", EXTRACT_STRIP, false},
};

/* What a filter list says of the replies to a document as a whole. */
struct ballot {
    int first_k; /* take_first_k's k; 0: all */
    bool votes;  /* majority_vote */
};

/* Takes a step that looks at several replies; *is_one is false for another. */
static status_code read_ballot(const struct reader *r, const struct json_value *object,
                               struct text function, struct ballot *ballot, bool *is_one)
{
    static const char *const names[] = {"function", "k"};
    bool takes = text_equal(function, text_of("take_first_k"));
    *is_one = takes || text_equal(function, text_of("majority_vote"));
    if (!*is_one) return STATUS_OK;
    status_code code = strict_json_fields(object, names, takes ? 2 : 1, r->st);
    if (code != STATUS_OK) return code;
    if (ballot->votes || (takes && ballot->first_k))
        return bad_field(r, "function", "votes twice, or chooses replies after the vote");
    ballot->votes = !takes;
    if (!takes) return STATUS_OK;
    code = read_int(r, object, "k", 1, LIMIT_REPEATS, &ballot->first_k);
    return code == STATUS_OK && !ballot->first_k ? bad_field(r, "k", "is missing") : code;
}

static status_code check_pattern(const struct reader *r, const char *key, const char *pattern)
{
    struct regex *regex = NULL;
    status_code code = pattern ? regex_compile(&regex, pattern, r->st) : STATUS_OK;
    regex_free(regex);
    return in_field(r, key, code);
}

/* Adds a step of an extraction, unless it is none. */
static status_code read_step(const struct reader *r, const struct json_value *object,
                             struct extraction_step *steps, int *n, struct ballot *ballot)
{
    static const char *const names[] = {"function", "regex_pattern", "group_select", "fallback"};
    struct text function;
    size_t kind = 0;
    bool is_ballot;
    status_code code = json_get_text(object, "function", &function, r->st);
    if (code == STATUS_OK) code = read_ballot(r, object, function, ballot, &is_ballot);
    if (code != STATUS_OK || is_ballot) return code;
    code = strict_json_fields(object, names, COUNT(names), r->st);
    if (code != STATUS_OK) return code;
    while (kind < COUNT(filters) && !text_equal(function, text_of(filters[kind].function))) kind++;
    if (kind == COUNT(filters))
        return status_set(r->st, STATUS_BAD_INPUT, "field \"function\" is \"%.*s\", which is none",
                          (int)(function.length > 40 ? 40 : function.length), function.data);
    struct extraction_step step = {.kind = filters[kind].kind};
    bool is_regex = step.kind == EXTRACT_REGEX;
    for (size_t i = 1; i < COUNT(names) && !is_regex; i++)
        if (json_has(object, names[i]))
            return bad_field(r, names[i], "has meaning for regex alone");
    code = read_text(r, object, "regex_pattern", &step.pattern);
    if (code == STATUS_OK)
        code = read_int(r, object, "group_select", -1000, 1000, &step.group_select);
    if (code == STATUS_OK) code = read_text(r, object, "fallback", &step.fallback);
    if (code != STATUS_OK) return code;
    if (is_regex && !step.pattern) return bad_field(r, "regex_pattern", "is missing");
    if (filters[kind].is_step && ballot->votes)
        return bad_field(r, "function", "changes an answer after the vote");
    if (filters[kind].is_step) steps[(*n)++] = step;
    return check_pattern(r, "regex_pattern", step.pattern);
}

/* A name such as "maj@8". */
static status_code read_extraction_name(const struct reader *r, const struct json_value *object,
                                        const char **out)
{
    static const char letters[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-@";
    status_code code = json_member(object, "name") ? read_text(r, object, "name", out)
                                                   : bad_field(r, "name", "is missing");
    if (code != STATUS_OK) return code;
    size_t n = *out ? strlen(*out) : 0;
    if (!n || n > STRICT_NAME_BYTES || strspn(*out, letters) != n)
        return bad_field(r, "name", "must be some letters, digits, '.', '_', '-' or '@'");
    return STATUS_OK;
}

static status_code read_extraction(const struct reader *r, const struct json_value *object,
                                   struct answer_extraction *out)
{
    static const char *const names[] = {"name", "filter"};
    const struct json_value *list;
    struct ballot ballot = {0};
    status_code code = strict_json_fields(object, names, COUNT(names), r->st);
    if (code == STATUS_OK) code = read_extraction_name(r, object, &out->name);
    if (code == STATUS_OK) code = json_get_array(object, "filter", &list, r->st);
    if (code != STATUS_OK) return code;
    struct extraction_step *steps =
        arena_array(&r->file->arena, json_count(list) + 1, sizeof *steps);
    if (!steps) return status_no_memory(r->st, "a task file");
    for (const struct json_value *s = json_first(list); s && code == STATUS_OK; s = json_next(s))
        code = read_step(r, s, steps, &out->n_steps, &ballot);
    out->steps = steps;
    if (ballot.votes) out->votes = ballot.first_k ? ballot.first_k : VOTES_ALL;
    if (code == STATUS_OK && ballot.first_k && !ballot.votes)
        code = bad_field(r, "function", "take_first_k has meaning before majority_vote alone");
    return in_field(r, "filter", code);
}

status_code task_file_read_filters(const struct reader *r)
{
    static const struct extraction_step nothing = {.kind = EXTRACT_STRIP};
    struct task *row = &r->file->row;
    const struct json_value *list;
    int n = 0;
    if (row->output_type != OUTPUT_GENERATE_UNTIL) return STATUS_OK;
    row->extractions[0] = (struct answer_extraction){.name = "none", .steps = &nothing};
    if (!json_has(r->root, "filter_list")) return STATUS_OK;
    status_code code = json_get_array(r->root, "filter_list", &list, r->st);
    if (code != STATUS_OK) return code;
    if (!json_count(list) || json_count(list) > TASK_MAX_EXTRACTIONS)
        return status_set(r->st, STATUS_BAD_INPUT,
                          "field \"filter_list\" has %zu entries, expected 1 to %d",
                          json_count(list), TASK_MAX_EXTRACTIONS);
    row->extractions[0] = (struct answer_extraction){0};
    for (const struct json_value *e = json_first(list); e && code == STATUS_OK; e = json_next(e)) {
        code = read_extraction(r, e, &row->extractions[n++]);
        for (int i = 0; i + 1 < n && code == STATUS_OK; i++)
            if (strcmp(row->extractions[i].name, row->extractions[n - 1].name) == 0)
                code = bad_field(r, "name", "is there twice");
    }
    return in_field(r, "filter_list", code);
}

/* ---- metrics ---- */

static const struct {
    const char *name;
    enum output_type type;
    bool blocked_is_unknown; /* where no number stands for a reply that a guard blocked */
} metrics[] = {
    {"acc", OUTPUT_MULTIPLE_CHOICE, false},        {"acc_norm", OUTPUT_MULTIPLE_CHOICE, false},
    {"acc_bytes", OUTPUT_MULTIPLE_CHOICE, false},  {"mc2", OUTPUT_MULTIPLE_CHOICE, false},
    {"exact_match", OUTPUT_GENERATE_UNTIL, false}, {"acc", OUTPUT_LOGLIKELIHOOD, false},
    {"loglikelihood", OUTPUT_LOGLIKELIHOOD, true},
};

static status_code read_ignored(const struct reader *r, const struct json_value *object)
{
    struct exact_match_options *options = &r->file->row.exact_match;
    const struct json_value *list;
    int n = 0;
    status_code code;
    if ((code = read_flag(r, object, "ignore_case", &options->ignore_case)) != STATUS_OK ||
        (code = read_flag(r, object, "ignore_punctuation", &options->ignore_punctuation)) !=
            STATUS_OK ||
        (code = read_flag(r, object, "ignore_numbers", &options->ignore_numbers)) != STATUS_OK ||
        !json_has(object, "regexes_to_ignore"))
        return code;
    code = json_get_array(object, "regexes_to_ignore", &list, r->st);
    if (code == STATUS_OK && json_count(list) > EXACT_MATCH_MAX_REGEXES)
        code = bad_field(r, "regexes_to_ignore", "has too many entries");
    if (code != STATUS_OK) return code;
    for (const struct json_value *p = json_first(list); p && code == STATUS_OK; p = json_next(p)) {
        if (json_kind(p) != JSON_STRING)
            return bad_field(r, "regexes_to_ignore", "holds what is no text");
        const char **kept = &options->regexes_to_ignore[n++];
        code = in_field(r, "regexes_to_ignore", keep_text(r, json_text(p), kept));
        if (code == STATUS_OK) code = check_pattern(r, "regexes_to_ignore", *kept);
    }
    return code;
}

/* Fields that only one metric has. */
static status_code check_own_fields(const struct reader *r, const struct json_value *object,
                                    const char *metric)
{
    static const struct {
        const char *field, *metric;
    } own[] = {{"labels", "mc2"},
               {"ignore_case", "exact_match"},
               {"ignore_punctuation", "exact_match"},
               {"ignore_numbers", "exact_match"},
               {"regexes_to_ignore", "exact_match"}};
    for (size_t i = 0; i < COUNT(own); i++)
        if (json_member(object, own[i].field) && strcmp(own[i].metric, metric) != 0)
            return status_set(r->st, STATUS_BAD_INPUT, "field \"%s\" has meaning for %s alone",
                              own[i].field, own[i].metric);
    return STATUS_OK;
}

static status_code find_metric(const struct reader *r, const struct json_value *object,
                               struct metric *out)
{
    struct text name;
    status_code code = json_get_text(object, "metric", &name, r->st);
    if (code != STATUS_OK) return code;
    for (size_t i = 0; i < COUNT(metrics); i++) {
        if (metrics[i].type != r->file->row.output_type) continue;
        if (!text_equal(name, text_of(metrics[i].name))) continue;
        *out = (struct metric){
            .name = metrics[i].name,
            .aggregation = "mean",
            .higher_is_better = true,
            .blocked_value = metrics[i].blocked_is_unknown ? (double)NAN : 0,
        };
        return STATUS_OK;
    }
    return status_set(r->st, STATUS_BAD_INPUT,
                      "field \"metric\" is \"%.*s\", which %s does not have",
                      (int)(name.length > 40 ? 40 : name.length), name.data,
                      output_type_name(r->file->row.output_type));
}

static status_code read_metric(const struct reader *r, const struct json_value *object,
                               struct metric *out)
{
    static const char *const names[] = {"metric",         "aggregation",      "higher_is_better",
                                        "labels",         "ignore_case",      "ignore_punctuation",
                                        "ignore_numbers", "regexes_to_ignore"};
    struct text aggregation;
    status_code code = strict_json_fields(object, names, COUNT(names), r->st);
    if (code == STATUS_OK) code = find_metric(r, object, out);
    if (code == STATUS_OK) code = check_own_fields(r, object, out->name);
    if (code == STATUS_OK && json_has(object, "aggregation")) {
        code = json_get_text(object, "aggregation", &aggregation, r->st);
        if (code == STATUS_OK && !text_equal(aggregation, text_of("mean")))
            code = bad_field(r, "aggregation", "is not \"mean\"");
    }
    if (code == STATUS_OK) code = read_flag(r, object, "higher_is_better", &out->higher_is_better);
    if (code == STATUS_OK) code = read_template(r, object, "labels", &r->file->labels);
    if (code == STATUS_OK) code = read_ignored(r, object);
    if (code == STATUS_OK && strcmp(out->name, "mc2") == 0 && !r->file->labels)
        code = bad_field(r, "labels", "is missing: which choices are true");
    return code;
}

status_code task_file_read_metrics(const struct reader *r)
{
    struct task *row = &r->file->row;
    const struct json_value *list;
    int n = 0;
    status_code code = json_get_array(r->root, "metric_list", &list, r->st);
    if (code != STATUS_OK) return code;
    if (!json_count(list) || json_count(list) > SCORE_MAX_VALUES)
        return status_set(r->st, STATUS_BAD_INPUT,
                          "field \"metric_list\" has %zu entries, expected 1 to %d",
                          json_count(list), SCORE_MAX_VALUES);
    for (const struct json_value *m = json_first(list); m && code == STATUS_OK; m = json_next(m)) {
        code = read_metric(r, m, &row->metrics[n++]);
        for (int i = 0; i + 1 < n && code == STATUS_OK; i++)
            if (strcmp(row->metrics[i].name, row->metrics[n - 1].name) == 0)
                code = bad_field(r, "metric", "is there twice");
    }
    return in_field(r, "metric_list", code);
}
