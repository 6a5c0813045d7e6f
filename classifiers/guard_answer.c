#include "classifiers/guard_answer.h"

#include <math.h>
#include <string.h>

static const struct guard_answer *wanted(const struct guard_answer_reader *r)
{
    return r->next < r->definition->n_answers ? &r->definition->answers[r->next] : NULL;
}

struct hazard_score guard_answer_score(double margin)
{
    return (struct hazard_score){true, margin, 1 / (1 + exp(-margin))};
}

/* A category that could have been named and was not is one that the guard denies. */
static void deny_names(struct guard_answer_reader *r, const struct guard_answer *a)
{
    for (int i = 0; i < a->n_names; i++)
        if (a->names[i].has_category)
            r->scores.of[a->names[i].category] =
                (struct hazard_score){true, GUARD_NOT_NAMED_LOGIT, 0};
}

/* Passes over answers that are not in this template's text, and lists that a safe verdict ends. */
static void skip(struct guard_answer_reader *r)
{
    for (const struct guard_answer *a; (a = wanted(r)) != NULL; r->next++) {
        bool is_here = r->is_response ? a->for_response : a->for_prompt;
        if (is_here && !(a->only_if_unsafe && !r->is_unsafe)) return;
        if (is_here) deny_names(r, a);
    }
}

void guard_answer_init(struct guard_answer_reader *r, const struct guard_definition *definition,
                       bool is_response)
{
    memset(r, 0, sizeof *r);
    r->definition = definition;
    r->is_response = is_response;
    while (r->next < definition->n_answers &&
           !(is_response ? wanted(r)->for_response : wanted(r)->for_prompt))
        r->next++;
}

bool guard_answer_done(const struct guard_answer_reader *r)
{
    return !wanted(r);
}

const struct guard_answer *guard_answer_due(struct guard_answer_reader *r)
{
    const struct guard_answer *a = wanted(r);
    if (!a || r->under_way || r->line_taken) return NULL;
    if (!text_equal((struct text){r->text + r->line, r->length - r->line}, text_of(a->after)))
        return NULL;
    r->under_way = true;
    r->field = r->length;
    return a->is_names ? NULL : a;
}

void guard_answer_margin(struct guard_answer_reader *r, double margin)
{
    r->margin = margin;
}

static void finish(struct guard_answer_reader *r)
{
    r->under_way = false;
    r->line_taken = true;
    r->next++;
    skip(r);
}

/* ---- a verdict ---- */

/* Whether the field is one of the labels, or (as a prefix) may still become one. */
static bool fits(struct text field, const char *const *labels, int n, bool whole)
{
    for (int i = 0; i < n; i++) {
        struct text label = text_of(labels[i]);
        if (whole
                ? text_equal(field, label)
                : field.length < label.length && memcmp(field.data, label.data, field.length) == 0)
            return true;
    }
    return false;
}

static status_code read_verdict(struct guard_answer_reader *r, const struct guard_answer *a,
                                struct status *st)
{
    const struct guard_labels *labels = &a->labels;
    struct text field = {r->text + r->field, r->length - r->field};
    bool unsafe = fits(field, labels->unsafe, labels->n_unsafe, true);
    if (unsafe || fits(field, labels->safe, labels->n_safe, true)) {
        r->is_unsafe = unsafe;
        r->scores.of[a->category] = guard_answer_score(r->margin);
        finish(r);
        return STATUS_OK;
    }
    if (fits(field, labels->unsafe, labels->n_unsafe, false) ||
        fits(field, labels->safe, labels->n_safe, false))
        return STATUS_OK;
    return status_set(st, STATUS_BAD_INPUT,
                      "the guard answered \"%.*s\" after \"%.40s\", expected \"%s\" or \"%s\"",
                      (int)(field.length < 40 ? field.length : 40), field.data, a->after,
                      labels->unsafe[0], labels->safe[0]);
}

/* ---- a list of names ---- */

static status_code read_name(struct guard_answer_reader *r, const struct guard_answer *a,
                             struct text name, struct status *st)
{
    while (name.length && name.data[0] == ' ') name.data++, name.length--;
    while (name.length && name.data[name.length - 1] == ' ') name.length--;
    for (int i = 0; i < a->n_names; i++) {
        if (!text_equal(name, text_of(a->names[i].name))) continue;
        if (a->names[i].has_category)
            r->scores.of[a->names[i].category] = guard_answer_score(r->margin);
        return STATUS_OK;
    }
    return status_set(st, STATUS_BAD_INPUT, "the guard named \"%.*s\", which its policy lacks",
                      (int)(name.length < 64 ? name.length : 64), name.data);
}

/* "S1,S10", up to the end of the line or of the answer. */
static status_code read_names(struct guard_answer_reader *r, const struct guard_answer *a,
                              struct text list, struct status *st)
{
    deny_names(r, a);
    for (;;) {
        const char *comma = list.length ? memchr(list.data, ',', list.length) : NULL;
        size_t length = comma ? (size_t)(comma - list.data) : list.length;
        status_code code = read_name(r, a, (struct text){list.data, length}, st);
        if (code != STATUS_OK) return code;
        if (!comma) break;
        list = (struct text){comma + 1, list.length - length - 1};
    }
    finish(r);
    return STATUS_OK;
}

/* ---- pieces ---- */

static void find_line(struct guard_answer_reader *r)
{
    size_t start = r->length;
    while (start > r->line && r->text[start - 1] != '\n') start--;
    if (start > r->line) r->line_taken = false;
    r->line = start;
}

/* A list may begin inside a piece, since nothing is weighed at its start. */
static void find_list(struct guard_answer_reader *r, const struct guard_answer *a)
{
    size_t mark = strlen(a->after);
    if (r->under_way || r->line_taken || r->length - r->line < mark ||
        memcmp(r->text + r->line, a->after, mark) != 0)
        return;
    r->under_way = true;
    r->field = r->line + mark;
}

static status_code add_to_list(struct guard_answer_reader *r, const struct guard_answer *a,
                               struct status *st)
{
    const char *field = r->text + r->field;
    const char *end = memchr(field, '\n', r->length - r->field);
    if (!end) return STATUS_OK;
    status_code code = read_names(r, a, (struct text){field, (size_t)(end - field)}, st);
    r->line_taken = false; /* that line is over */
    return code;
}

status_code guard_answer_add(struct guard_answer_reader *r, struct text piece, struct status *st)
{
    const struct guard_answer *a = wanted(r);
    if (piece.length > sizeof r->text - r->length)
        return status_set(st, STATUS_LIMIT, "the guard's answer is longer than %zu bytes",
                          sizeof r->text);
    if (piece.length) memcpy(r->text + r->length, piece.data, piece.length);
    r->length += piece.length;
    if (r->under_way && !a->is_names) {
        status_code code = read_verdict(r, a, st);
        if (code != STATUS_OK) return code;
    }
    find_line(r);
    a = wanted(r);
    if (!a || !a->is_names) return STATUS_OK;
    find_list(r, a);
    return r->under_way ? add_to_list(r, a, st) : STATUS_OK;
}

status_code guard_answer_end(struct guard_answer_reader *r, struct status *st)
{
    const struct guard_answer *a = wanted(r);
    status_code code = STATUS_OK;
    if (r->under_way && a->is_names)
        code = read_names(r, a, (struct text){r->text + r->field, r->length - r->field}, st);
    if (code != STATUS_OK || guard_answer_done(r)) return code;
    return status_set(st, STATUS_BAD_INPUT,
                      "the guard's answer \"%.*s\" has no line that starts with \"%.40s\"",
                      (int)(r->length < 80 ? r->length : 80), r->text, wanted(r)->after);
}
