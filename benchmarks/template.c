#include "benchmarks/template.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "benchmarks/template_internal.h"
#include "engine/base/limits.h"
#include "engine/base/utf8.h"

const char *template_kind_name(enum template_kind kind)
{
    static const char *const names[] = {"none",   "a truth value", "a number",
                                        "a text", "a list",        "an object"};
    return names[kind];
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

static status_code evaluate(const struct evaluation *e, const struct template_node *node,
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

static status_code evaluate_list(const struct evaluation *e, const struct template_node *node,
                                 struct template_value *out)
{
    size_t n = 0;
    for (const struct template_node *i = node->first; i; i = i->next) n++;
    struct template_value *items = arena_array(e->arena, n + 1, sizeof *items);
    if (!items) return status_set(e->st, STATUS_LIMIT, "a list is too long");
    n = 0;
    for (const struct template_node *i = node->first; i; i = i->next) {
        status_code code = evaluate(e, i, &items[n++]);
        if (code != STATUS_OK) return code;
    }
    *out = (struct template_value){.kind = TEMPLATE_LIST, .items = items, .n_items = n};
    return STATUS_OK;
}

static status_code evaluate_member(const struct evaluation *e, const struct template_node *node,
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

static status_code evaluate_index(const struct evaluation *e, const struct template_node *node,
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
static status_code slice_end(const struct evaluation *e, const struct template_node *node, size_t n,
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

static status_code evaluate_slice(const struct evaluation *e, const struct template_node *node,
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

static status_code evaluate_call(const struct evaluation *e, const struct template_node *node,
                                 struct template_value *out)
{
    struct template_value self, arguments[TEMPLATE_MAX_ARGUMENTS];
    int n = 0;
    status_code code = evaluate(e, node->base, &self);
    for (const struct template_node *a = node->first; a && code == STATUS_OK; a = a->next)
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

static status_code evaluate_sum(const struct evaluation *e, const struct template_node *node,
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

static status_code evaluate(const struct evaluation *e, const struct template_node *node,
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
