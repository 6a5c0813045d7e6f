#include "benchmarks/template.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "benchmarks/template_internal.h"
#include "engine/base/limits.h"
#include "engine/base/utf8.h"

#define MAX_DEPTH 64 /* of expressions inside each other */

enum node_kind {
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

struct node {
    enum node_kind kind;
    struct text text;
    double number;
    const struct template_function *function;
    struct node *base, *first, *second;
    struct node *next; /* in the list of another node */
};

struct template
{
    struct arena arena;
    struct text source;
    struct node *root;
    bool is_plain; /* no expression in it: it may be the name of a field */
};

const char *template_kind_name(enum template_kind kind)
{
    static const char *const names[] = {"none",   "a truth value", "a number",
                                        "a text", "a list",        "an object"};
    return names[kind];
}

/* ---- parsing ---- */

struct parser {
    struct arena *arena;
    struct text source;
    size_t at;
    int depth;
};

static status_code parse_error(const struct parser *p, struct status *st, const char *what)
{
    return status_set(st, STATUS_BAD_INPUT, "at character %zu: %s", p->at + 1, what);
}

static struct node *new_node(struct parser *p, enum node_kind kind)
{
    struct node *node = arena_alloc(p->arena, sizeof *node);
    if (node) node->kind = kind;
    return node;
}

static status_code make(struct parser *p, enum node_kind kind, struct node **out, struct status *st)
{
    *out = new_node(p, kind);
    return *out ? STATUS_OK : status_set(st, STATUS_LIMIT, "the template is too long");
}

static char peek(const struct parser *p)
{
    return p->at < p->source.length ? p->source.data[p->at] : '\0';
}

static void skip_spaces(struct parser *p)
{
    while (peek(p) == ' ' || peek(p) == '\n' || peek(p) == '\t' || peek(p) == '\r') p->at++;
}

static bool take(struct parser *p, char c)
{
    skip_spaces(p);
    if (peek(p) != c || p->at >= p->source.length) return false;
    p->at++;
    return true;
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static struct text take_name(struct parser *p)
{
    skip_spaces(p);
    size_t from = p->at;
    while (is_letter(peek(p)) || (p->at > from && is_digit(peek(p)))) p->at++;
    return (struct text){p->source.data + from, p->at - from};
}

static status_code parse_expression(struct parser *p, struct node **out, struct status *st);

/* A quoted text, whose escapes are Python's plain ones. */
static status_code parse_text(struct parser *p, struct node **out, struct status *st)
{
    static const char escapes[] = "ntr\\'\"", meanings[] = "\n\t\r\\'\"";
    char quote = p->source.data[p->at++];
    struct strbuf sb;
    status_code code = make(p, NODE_TEXT, out, st);
    strbuf_init(&sb, LIMIT_CONFIG_BYTES);
    while (code == STATUS_OK && peek(p) != quote) {
        if (p->at >= p->source.length) {
            code = parse_error(p, st, "a quote is never closed");
            break;
        }
        char c = p->source.data[p->at++];
        if (c == '\\') {
            const char *known = peek(p) ? strchr(escapes, peek(p)) : NULL;
            if (!known) {
                code = parse_error(p, st, "unknown escape after a backslash");
                break;
            }
            c = meanings[known - escapes];
            p->at++;
        }
        strbuf_append_char(&sb, c);
    }
    if (code == STATUS_OK) code = strbuf_check(&sb, "text", st);
    if (code == STATUS_OK) {
        p->at++;
        (*out)->text = (struct text){arena_strndup(p->arena, sb.data, sb.length), sb.length};
        if (!(*out)->text.data) code = status_set(st, STATUS_LIMIT, "the template is too long");
    }
    strbuf_release(&sb);
    return code;
}

static status_code parse_number(struct parser *p, struct node **out, struct status *st)
{
    bool minus = take(p, '-');
    size_t from = p->at;
    double number = 0;
    while (is_digit(peek(p)) && p->at - from < 9)
        number = 10 * number + (p->source.data[p->at++] - '0');
    if (p->at == from || is_digit(peek(p)) || peek(p) == '.')
        return parse_error(p, st, "expected a whole number of at most 9 digits");
    status_code code = make(p, NODE_NUMBER, out, st);
    if (code == STATUS_OK) (*out)->number = minus ? -number : number;
    return code;
}

/* Expressions up to a closing character, as a list of nodes. */
static status_code parse_list(struct parser *p, char close, struct node **out, int *count,
                              struct status *st)
{
    struct node **end = out;
    *count = 0;
    *out = NULL;
    while (!take(p, close)) {
        if (*count && !take(p, ',')) return parse_error(p, st, "expected a comma");
        if (*count && take(p, close)) break;
        status_code code = parse_expression(p, end, st);
        if (code != STATUS_OK) return code;
        end = &(*end)->next;
        ++*count;
    }
    return STATUS_OK;
}

static status_code parse_primary(struct parser *p, struct node **out, struct status *st)
{
    static const char *const none[] = {"none", "None", "null"};
    int count;
    skip_spaces(p);
    char c = peek(p);
    if (c == '\'' || c == '"') return parse_text(p, out, st);
    if (c == '-' || is_digit(c)) return parse_number(p, out, st);
    if (take(p, '(')) {
        status_code code = parse_expression(p, out, st);
        if (code != STATUS_OK) return code;
        return take(p, ')') ? STATUS_OK : parse_error(p, st, "expected \")\"");
    }
    if (take(p, '[')) {
        status_code code = make(p, NODE_LIST, out, st);
        return code == STATUS_OK ? parse_list(p, ']', &(*out)->first, &count, st) : code;
    }
    struct text name = take_name(p);
    if (!name.length) return parse_error(p, st, "expected a field, a text, a number or a list");
    status_code code = make(p, NODE_FIELD, out, st);
    if (code == STATUS_OK) (*out)->text = name;
    for (size_t i = 0; code == STATUS_OK && i < sizeof none / sizeof none[0]; i++)
        if (text_equal(name, text_of(none[i]))) (*out)->kind = NODE_NONE;
    return code;
}

static status_code check_arguments(const struct parser *p, const struct template_function *f, int n,
                                   struct status *st)
{
    if (n >= f->min_arguments && n <= f->max_arguments) return STATUS_OK;
    return status_set(st, STATUS_BAD_INPUT, "at character %zu: %s takes %d to %d arguments, not %d",
                      p->at + 1, f->name, f->min_arguments, f->max_arguments, n);
}

static status_code parse_call(struct parser *p, struct text name, bool as_method, struct node *base,
                              struct node **out, struct status *st)
{
    int n = 0;
    const struct template_function *f = template_find_function(name, as_method);
    if (!f)
        return status_set(st, STATUS_BAD_INPUT, "at character %zu: there is no %s \"%.*s\"",
                          p->at + 1, as_method ? "method" : "filter",
                          (int)(name.length > 40 ? 40 : name.length), name.data);
    status_code code = make(p, NODE_CALL, out, st);
    if (code != STATUS_OK) return code;
    (*out)->function = f;
    (*out)->base = base;
    if (take(p, '(')) code = parse_list(p, ')', &(*out)->first, &n, st);
    return code == STATUS_OK ? check_arguments(p, f, n, st) : code;
}

/* What stands between brackets behind a value: an index, or from:to. */
static status_code parse_subscript(struct parser *p, struct node *base, struct node **out,
                                   struct status *st)
{
    status_code code = make(p, NODE_INDEX, out, st);
    if (code != STATUS_OK) return code;
    (*out)->base = base;
    skip_spaces(p);
    if (peek(p) != ':') code = parse_expression(p, &(*out)->first, st);
    if (code == STATUS_OK && take(p, ':')) {
        (*out)->kind = NODE_SLICE;
        skip_spaces(p);
        if (peek(p) != ']') code = parse_expression(p, &(*out)->second, st);
    }
    if (code != STATUS_OK) return code;
    return take(p, ']') ? STATUS_OK : parse_error(p, st, "expected \"]\"");
}

static status_code parse_member(struct parser *p, struct node *base, struct node **out,
                                struct status *st)
{
    struct text name = take_name(p);
    if (!name.length) return parse_error(p, st, "expected a name behind the dot");
    skip_spaces(p);
    if (peek(p) == '(') return parse_call(p, name, true, base, out, st);
    status_code code = make(p, NODE_MEMBER, out, st);
    if (code != STATUS_OK) return code;
    (*out)->base = base;
    (*out)->text = name;
    return STATUS_OK;
}

/* A value with members, subscripts, methods and filters behind it. */
static status_code parse_chain(struct parser *p, struct node **out, struct status *st)
{
    struct node *base;
    status_code code = parse_primary(p, &base, st);
    for (int links = 0; code == STATUS_OK; links++) {
        *out = base;
        if (links == MAX_DEPTH) return parse_error(p, st, "the expression is too long");
        if (take(p, '.'))
            code = parse_member(p, base, out, st);
        else if (take(p, '['))
            code = parse_subscript(p, base, out, st);
        else if (take(p, '|'))
            code = parse_call(p, take_name(p), false, base, out, st);
        else
            return STATUS_OK;
        base = *out;
    }
    return code;
}

static status_code parse_expression(struct parser *p, struct node **out, struct status *st)
{
    if (++p->depth > MAX_DEPTH) return parse_error(p, st, "the expression is too deep");
    status_code code = parse_chain(p, out, st);
    for (int terms = 0; code == STATUS_OK; terms++) {
        enum node_kind kind = take(p, '+') ? NODE_PLUS : NODE_JOINED;
        if (kind == NODE_JOINED && !take(p, '~')) break;
        if (terms == MAX_DEPTH) return parse_error(p, st, "the expression is too long");
        struct node *sum;
        code = make(p, kind, &sum, st);
        if (code != STATUS_OK) return code;
        sum->base = *out;
        *out = sum;
        code = parse_chain(p, &sum->first, st);
    }
    p->depth--;
    return code;
}

/* The literal text up to the next opening brace pair. */
static status_code parse_literal(struct parser *p, struct node **out, struct status *st)
{
    size_t from = p->at;
    while (p->at < p->source.length) {
        char next = p->at + 1 < p->source.length ? p->source.data[p->at + 1] : '\0';
        if (peek(p) == '{' && next == '{') break;
        if (peek(p) == '{' && (next == '%' || next == '#'))
            return parse_error(p, st, "statements and comments are not part of the language");
        p->at++;
    }
    status_code code = make(p, NODE_TEXT, out, st);
    if (code == STATUS_OK) (*out)->text = (struct text){p->source.data + from, p->at - from};
    return code;
}

/* A part of the source behind those before it. */
static status_code add_part(struct parser *p, struct node **root, struct node *part,
                            struct status *st)
{
    if (part->kind == NODE_TEXT && !part->text.length) return STATUS_OK;
    if (!*root) {
        *root = part;
        return STATUS_OK;
    }
    struct node *joined;
    status_code code = make(p, NODE_JOINED, &joined, st);
    if (code != STATUS_OK) return code;
    joined->base = *root;
    joined->first = part;
    *root = joined;
    return STATUS_OK;
}

static status_code parse_source(struct parser *p, struct template *t, struct status *st)
{
    int parts = 0;
    t->is_plain = true;
    while (p->at < p->source.length) {
        struct node *part = NULL;
        status_code code = parse_literal(p, &part, st);
        if (code == STATUS_OK) code = add_part(p, &t->root, part, st);
        if (code != STATUS_OK || p->at == p->source.length) return code;
        if (++parts > MAX_DEPTH) return parse_error(p, st, "the template has too many expressions");
        p->at += 2;
        t->is_plain = false;
        code = parse_expression(p, &part, st);
        if (code != STATUS_OK) return code;
        if (!take(p, '}') || peek(p) != '}') return parse_error(p, st, "expected \"}}\"");
        p->at++;
        code = add_part(p, &t->root, part, st);
        if (code != STATUS_OK) return code;
    }
    return STATUS_OK;
}

status_code template_compile(struct template **out, struct text source, struct status *st)
{
    struct template *t = calloc(1, sizeof *t);
    if (!t) return status_no_memory(st, "a template");
    arena_init(&t->arena, 4 * (size_t)LIMIT_CONFIG_BYTES);
    t->source = (struct text){arena_strndup(&t->arena, source.data, source.length), source.length};
    struct parser p = {.arena = &t->arena, .source = t->source};
    status_code code = t->source.data ? STATUS_OK : status_no_memory(st, "a template");
    if (code == STATUS_OK) code = parse_source(&p, t, st);
    if (code == STATUS_OK && !t->root) code = make(&p, NODE_TEXT, &t->root, st);
    if (code != STATUS_OK) {
        template_free(t);
        return code;
    }
    *out = t;
    return STATUS_OK;
}

void template_free(struct template *t)
{
    if (!t) return;
    arena_release(&t->arena);
    free(t);
}

/* ---- values ---- */

static struct template_value value_of(const struct json_value *json)
{
    struct template_value value = {.kind = TEMPLATE_NONE};
    switch (json_kind(json)) {
    case JSON_NULL:
        break;
    case JSON_BOOL:
        value.kind = TEMPLATE_BOOL;
        value.number = json_bool(json);
        break;
    case JSON_NUMBER:
        value.kind = TEMPLATE_NUMBER;
        value.number = json_number(json);
        break;
    case JSON_STRING:
        value.kind = TEMPLATE_TEXT;
        value.text = json_text(json);
        break;
    case JSON_ARRAY:
        value.kind = TEMPLATE_LIST;
        value.json = json;
        break;
    case JSON_OBJECT:
        value.kind = TEMPLATE_MAP;
        value.json = json;
        break;
    }
    return value;
}

size_t template_count(const struct template_value *list)
{
    return list->json ? json_count(list->json) : list->n_items;
}

struct template_value template_item(const struct template_value *list, size_t index)
{
    if (!list->json) return list->items[index];
    const struct json_value *item = json_first(list->json);
    while (index--) item = json_next(item);
    return value_of(item);
}

status_code template_append_value(struct strbuf *out, const struct template_value *value,
                                  struct status *st)
{
    switch (value->kind) {
    case TEMPLATE_NONE:
        strbuf_append_str(out, "None");
        return STATUS_OK;
    case TEMPLATE_BOOL:
        strbuf_append_str(out, value->number > 0 ? "True" : "False");
        return STATUS_OK;
    case TEMPLATE_NUMBER:
        json_append_number(out, value->number);
        return STATUS_OK;
    case TEMPLATE_TEXT:
        strbuf_append(out, value->text.data, value->text.length);
        return STATUS_OK;
    case TEMPLATE_LIST:
    case TEMPLATE_MAP:
        break;
    }
    return status_set(st, STATUS_BAD_INPUT, "%s is no text", template_kind_name(value->kind));
}

/* ---- evaluating ---- */

struct evaluation {
    const struct json_value *row;
    struct arena *arena;
    struct status *st;
};

static status_code evaluate(const struct evaluation *e, const struct node *node,
                            struct template_value *out);

static status_code find_member(const struct evaluation *e, const struct json_value *object,
                               struct text name, struct template_value *out)
{
    for (const struct json_value *m = object ? json_first(object) : NULL; m; m = json_next(m))
        if (text_equal(name, text_of(json_key(m)))) {
            *out = value_of(m);
            return STATUS_OK;
        }
    return status_set(e->st, STATUS_BAD_INPUT, "field \"%.*s\" is missing",
                      (int)(name.length > 80 ? 80 : name.length), name.data);
}

static status_code evaluate_list(const struct evaluation *e, const struct node *node,
                                 struct template_value *out)
{
    size_t n = 0;
    for (const struct node *i = node->first; i; i = i->next) n++;
    struct template_value *items = arena_array(e->arena, n + 1, sizeof *items);
    if (!items) return status_set(e->st, STATUS_LIMIT, "a list is too long");
    n = 0;
    for (const struct node *i = node->first; i; i = i->next) {
        status_code code = evaluate(e, i, &items[n++]);
        if (code != STATUS_OK) return code;
    }
    *out = (struct template_value){.kind = TEMPLATE_LIST, .items = items, .n_items = n};
    return STATUS_OK;
}

static status_code evaluate_member(const struct evaluation *e, const struct node *node,
                                   struct template_value *out)
{
    struct template_value base;
    status_code code = evaluate(e, node->base, &base);
    if (code != STATUS_OK) return code;
    if (base.kind != TEMPLATE_MAP)
        return status_set(e->st, STATUS_BAD_INPUT, "field \"%.*s\" is asked of %s",
                          (int)(node->text.length > 80 ? 80 : node->text.length), node->text.data,
                          template_kind_name(base.kind));
    return find_member(e, base.json, node->text, out);
}

/* A position in n elements, counted from the end where it is negative. */
static double position(double index, size_t n)
{
    return index < 0 ? index + (double)n : index;
}

static status_code evaluate_index(const struct evaluation *e, const struct node *node,
                                  struct template_value *out)
{
    struct template_value base, index;
    status_code code = evaluate(e, node->base, &base);
    if (code == STATUS_OK) code = evaluate(e, node->first, &index);
    if (code != STATUS_OK) return code;
    if (base.kind == TEMPLATE_MAP && index.kind == TEMPLATE_TEXT)
        return find_member(e, base.json, index.text, out);
    if (base.kind != TEMPLATE_LIST || index.kind != TEMPLATE_NUMBER)
        return status_set(e->st, STATUS_BAD_INPUT, "%s has no element at %s",
                          template_kind_name(base.kind), template_kind_name(index.kind));
    size_t n = template_count(&base);
    double at = position(index.number, n);
    if (!(at >= 0 && at < (double)n))
        return status_set(e->st, STATUS_BAD_INPUT, "a list of %zu has no element %g", n,
                          index.number);
    *out = template_item(&base, (size_t)at);
    return STATUS_OK;
}

/* One end of a slice, within 0 and n as Python has it. */
static status_code slice_end(const struct evaluation *e, const struct node *node, size_t n,
                             size_t missing, size_t *out)
{
    struct template_value end;
    *out = missing;
    if (!node) return STATUS_OK;
    status_code code = evaluate(e, node, &end);
    if (code != STATUS_OK) return code;
    if (end.kind != TEMPLATE_NUMBER)
        return status_set(e->st, STATUS_BAD_INPUT, "a slice ends at %s, expected a number",
                          template_kind_name(end.kind));
    double at = position(end.number, n);
    *out = at < 0 ? 0 : at > (double)n ? n : (size_t)at;
    return STATUS_OK;
}

static size_t byte_of(struct text text, size_t code_points)
{
    size_t at = 0;
    for (; code_points && at < text.length; code_points--) do
            at++;
        while (at < text.length && ((unsigned char)text.data[at] & 0xc0) == 0x80);
    return at;
}

static status_code evaluate_slice(const struct evaluation *e, const struct node *node,
                                  struct template_value *out)
{
    struct template_value base;
    size_t from = 0, to = 0;
    status_code code = evaluate(e, node->base, &base);
    if (code != STATUS_OK) return code;
    if (base.kind != TEMPLATE_LIST && base.kind != TEMPLATE_TEXT)
        return status_set(e->st, STATUS_BAD_INPUT, "a slice is taken of %s",
                          template_kind_name(base.kind));
    bool is_text = base.kind == TEMPLATE_TEXT;
    size_t n = is_text ? utf8_count(base.text) : template_count(&base);
    code = slice_end(e, node->first, n, 0, &from);
    if (code == STATUS_OK) code = slice_end(e, node->second, n, n, &to);
    if (code != STATUS_OK) return code;
    if (to < from) to = from;
    *out = (struct template_value){.kind = base.kind};
    if (is_text) {
        size_t start = byte_of(base.text, from), end = byte_of(base.text, to);
        out->text = (struct text){base.text.data + start, end - start};
        return STATUS_OK;
    }
    struct template_value *items = arena_array(e->arena, to - from + 1, sizeof *items);
    if (!items) return status_set(e->st, STATUS_LIMIT, "a list is too long");
    for (size_t i = from; i < to; i++) items[i - from] = template_item(&base, i);
    out->items = items;
    out->n_items = to - from;
    return STATUS_OK;
}

static status_code evaluate_call(const struct evaluation *e, const struct node *node,
                                 struct template_value *out)
{
    struct template_value self, arguments[TEMPLATE_MAX_ARGUMENTS];
    int n = 0;
    status_code code = evaluate(e, node->base, &self);
    for (const struct node *a = node->first; a && code == STATUS_OK; a = a->next)
        code = evaluate(e, a, &arguments[n++]);
    if (code != STATUS_OK) return code;
    code = node->function->apply(&self, arguments, n, e->arena, out, e->st);
    return code == STATUS_OK ? code : status_prefix(e->st, "%s", node->function->name);
}

/* The two sides joined as texts. */
static status_code concatenate(const struct evaluation *e, const struct template_value *a,
                               const struct template_value *b, struct template_value *out)
{
    struct strbuf sb;
    strbuf_init(&sb, LIMIT_PROMPT_BYTES);
    status_code code = template_append_value(&sb, a, e->st);
    if (code == STATUS_OK) code = template_append_value(&sb, b, e->st);
    if (code == STATUS_OK) return template_keep(&sb, e->arena, out, e->st);
    strbuf_release(&sb);
    return code;
}

static status_code evaluate_sum(const struct evaluation *e, const struct node *node,
                                struct template_value *out)
{
    struct template_value a, b;
    status_code code = evaluate(e, node->base, &a);
    if (code == STATUS_OK) code = evaluate(e, node->first, &b);
    if (code != STATUS_OK) return code;
    if (node->kind == NODE_JOINED || (a.kind == TEMPLATE_TEXT && b.kind == TEMPLATE_TEXT))
        return concatenate(e, &a, &b, out);
    if (a.kind != TEMPLATE_NUMBER || b.kind != TEMPLATE_NUMBER)
        return status_set(e->st, STATUS_BAD_INPUT, "%s + %s: expected two texts or two numbers",
                          template_kind_name(a.kind), template_kind_name(b.kind));
    *out = (struct template_value){.kind = TEMPLATE_NUMBER, .number = a.number + b.number};
    return STATUS_OK;
}

static status_code evaluate(const struct evaluation *e, const struct node *node,
                            struct template_value *out)
{
    switch (node->kind) {
    case NODE_TEXT:
        *out = (struct template_value){.kind = TEMPLATE_TEXT, .text = node->text};
        return STATUS_OK;
    case NODE_NUMBER:
        *out = (struct template_value){.kind = TEMPLATE_NUMBER, .number = node->number};
        return STATUS_OK;
    case NODE_NONE:
        *out = (struct template_value){.kind = TEMPLATE_NONE};
        return STATUS_OK;
    case NODE_FIELD:
        return find_member(e, e->row, node->text, out);
    case NODE_LIST:
        return evaluate_list(e, node, out);
    case NODE_MEMBER:
        return evaluate_member(e, node, out);
    case NODE_INDEX:
        return evaluate_index(e, node, out);
    case NODE_SLICE:
        return evaluate_slice(e, node, out);
    case NODE_CALL:
        return evaluate_call(e, node, out);
    case NODE_PLUS:
    case NODE_JOINED:
        break;
    }
    return evaluate_sum(e, node, out);
}

bool template_has_expressions(const struct template *t)
{
    return !t->is_plain;
}

status_code template_evaluate(const struct template *t, const struct json_value *row,
                              struct arena *arena, struct template_value *out, struct status *st)
{
    const struct evaluation e = {row, arena, st};
    if (t->is_plain) {
        struct status ignored = {0};
        const struct evaluation look = {row, arena, &ignored};
        if (find_member(&look, row, t->source, out) == STATUS_OK) return STATUS_OK;
    }
    return evaluate(&e, t->root, out);
}
