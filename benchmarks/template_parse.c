/* template_parse.c - a template's source to the tree that template.c evaluates. */
#include <stdlib.h>
#include <string.h>

#include "benchmarks/template_internal.h"
#include "engine/base/limits.h"
#include "engine/base/utf8.h"

#define MAX_DEPTH 64 /* of expressions inside each other */

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

static struct template_node *new_node(struct parser *p, enum template_node_kind kind)
{
    struct template_node *node = arena_alloc(p->arena, sizeof *node);
    if (node) node->kind = kind;
    return node;
}

static status_code make(struct parser *p, enum template_node_kind kind, struct template_node **out,
                        struct status *st)
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

static status_code parse_expression(struct parser *p, struct template_node **out,
                                    struct status *st);

/* A quoted text, whose escapes are Python's plain ones. */
static status_code parse_text(struct parser *p, struct template_node **out, struct status *st)
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

static status_code parse_number(struct parser *p, struct template_node **out, struct status *st)
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
static status_code parse_list(struct parser *p, char close, struct template_node **out, int *count,
                              struct status *st)
{
    struct template_node **end = out;
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

static status_code parse_primary(struct parser *p, struct template_node **out, struct status *st)
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

static status_code parse_call(struct parser *p, struct text name, bool as_method,
                              struct template_node *base, struct template_node **out,
                              struct status *st)
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
static status_code parse_subscript(struct parser *p, struct template_node *base,
                                   struct template_node **out, struct status *st)
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

static status_code parse_member(struct parser *p, struct template_node *base,
                                struct template_node **out, struct status *st)
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
static status_code parse_chain(struct parser *p, struct template_node **out, struct status *st)
{
    struct template_node *base;
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

static status_code parse_expression(struct parser *p, struct template_node **out, struct status *st)
{
    if (++p->depth > MAX_DEPTH) return parse_error(p, st, "the expression is too deep");
    status_code code = parse_chain(p, out, st);
    for (int terms = 0; code == STATUS_OK; terms++) {
        enum template_node_kind kind = take(p, '+') ? NODE_PLUS : NODE_JOINED;
        if (kind == NODE_JOINED && !take(p, '~')) break;
        if (terms == MAX_DEPTH) return parse_error(p, st, "the expression is too long");
        struct template_node *sum;
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
static status_code parse_literal(struct parser *p, struct template_node **out, struct status *st)
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
static status_code add_part(struct parser *p, struct template_node **root,
                            struct template_node *part, struct status *st)
{
    if (part->kind == NODE_TEXT && !part->text.length) return STATUS_OK;
    if (!*root) {
        *root = part;
        return STATUS_OK;
    }
    struct template_node *joined;
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
        struct template_node *part = NULL;
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
