/* template.h - the small template language of task files: a row of data to text, or to a list.
 *
 *   "Question: {{question.strip()}}\nAnswer:" -> template_compile() -> a template, immutable
 *   template + a row (a JSON object)          -> template_evaluate() -> a value
 *
 * It is the part of Jinja2 that the prompts of lm-evaluation-harness use, and means what Jinja2
 * makes of it there; benchmarks/README.md lists it.  There are no statements and no loops, so that
 * a template ends, and what is not part of the language is an error when it is compiled.  A field
 * that the row does not have is an error when it is evaluated, never an empty text.
 *
 * A source that is nothing but one {{expression}} has that expression's value, which may be a list
 * or a number; so has one that is the name of a field.  Any other is a text.
 *
 *   struct template *t;
 *   if (template_compile(&t, text_of("{{choices.label.index(answerKey)}}"), st) != STATUS_OK) ...
 *   if (template_evaluate(t, row, &arena, &value, st) != STATUS_OK) ...
 *   template_free(t);
 *
 * Values point into the row, the template and the arena.
 */
#ifndef ASSAY_TEMPLATE_H
#define ASSAY_TEMPLATE_H

#include "engine/base/arena.h"
#include "engine/base/json.h"

struct template; /* opaque */

enum template_kind {
    TEMPLATE_NONE,
    TEMPLATE_BOOL,
    TEMPLATE_NUMBER,
    TEMPLATE_TEXT,
    TEMPLATE_LIST,
    TEMPLATE_MAP
};
const char *template_kind_name(enum template_kind kind); /* "a text", "a list", ... */

struct template_value {
    enum template_kind kind;
    double number;                      /* 0 or 1 of a truth value */
    struct text text;                   /* of a text */
    const struct json_value *json;      /* of a list or a map that is part of the row, or NULL */
    const struct template_value *items; /* of a list that an expression made */
    size_t n_items;
};

/* Errors say at which character of the source. */
status_code template_compile(struct template **out, struct text source,
                             struct status *st) MUST_CHECK;
void template_free(struct template *t);

/* Whether there is an {{expression}} in the source: without one it may be the name of a field. */
bool template_has_expressions(const struct template *t);

/* What a template is worth for a row.  Errors name the field. */
status_code template_evaluate(const struct template *t, const struct json_value *row,
                              struct arena *arena, struct template_value *out,
                              struct status *st) MUST_CHECK;

/* Elements of a list; `index` must be below the count. */
size_t template_count(const struct template_value *list);
struct template_value template_item(const struct template_value *list, size_t index);

/* Appends a text, or a number, a truth value or None as Python prints them.  Lists and maps are no
 * texts. */
status_code template_append_value(struct strbuf *out, const struct template_value *value,
                                  struct status *st) MUST_CHECK;

#endif
