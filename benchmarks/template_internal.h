/* template_internal.h - what template.c and template_functions.c share; nobody else includes it. */
#ifndef ASSAY_TEMPLATE_INTERNAL_H
#define ASSAY_TEMPLATE_INTERNAL_H

#include "benchmarks/template.h"

#define TEMPLATE_MAX_ARGUMENTS 2

/* A method, `value.name(...)`, a filter, `value | name(...)`, or both. */
struct template_function {
    const char *name;
    bool is_method, is_filter;
    int min_arguments, max_arguments;
    status_code (*apply)(const struct template_value *self, const struct template_value *arguments,
                         int n, struct arena *arena, struct template_value *out, struct status *st);
};

/* NULL when there is none of that name. */
const struct template_function *template_find_function(struct text name, bool as_method);

/* Moves what `sb` holds into the arena, as a text, and releases it. */
status_code template_keep(struct strbuf *sb, struct arena *arena, struct template_value *out,
                          struct status *st) MUST_CHECK;

#endif
