/* template_internal.h - what the files of templates share; nobody else includes it. */
#ifndef ASSAY_TEMPLATE_INTERNAL_H
#define ASSAY_TEMPLATE_INTERNAL_H

#include "benchmarks/template.h"

#define TEMPLATE_MAX_ARGUMENTS 2

struct template_function;

/* The tree that template_parse.c makes and template.c evaluates; in the arena of its template. */
enum template_node_kind {
    NODE_TEXT,
    NODE_NUMBER,
    NODE_NONE,
    NODE_FIELD,  /* of the row */
    NODE_LIST,   /* of `first` and those next to it */
    NODE_MEMBER, /* base.text */
    NODE_INDEX,  /* base[first] */
    NODE_SLICE,  /* base[first:second]; either may be missing */
    NODE_CALL,   /* function(base, first...) */
    NODE_PLUS,   /* base + first */
    NODE_JOINED  /* base ~ first: both as texts; the parts of a source too */
};

struct template_node {
    enum template_node_kind kind;
    struct text text;
    double number;
    const struct template_function *function;
    struct template_node *base, *first, *second;
    struct template_node *next; /* in the list of another node */
};

struct template
{
    struct arena arena;
    struct text source;
    struct template_node *root;
    bool is_plain; /* no expression in it: it may be the name of a field */
};

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
