/* The methods and filters of templates, as Python's str and list and Jinja2's filters have them. */
#include "benchmarks/template_internal.h"

#include <stdint.h>
#include <string.h>

#include "engine/base/limits.h"
#include "engine/base/utf8.h"

static struct template_value text_value(struct text text)
{
    return (struct template_value){.kind = TEMPLATE_TEXT, .text = text};
}

static struct template_value number_value(double number)
{
    return (struct template_value){.kind = TEMPLATE_NUMBER, .number = number};
}

status_code template_keep(struct strbuf *sb, struct arena *arena, struct template_value *out,
                          struct status *st)
{
    status_code code = strbuf_check(sb, "text", st);
    const char *copy = code == STATUS_OK ? arena_strndup(arena, sb->data, sb->length) : NULL;
    *out = text_value((struct text){copy, sb->length});
    strbuf_release(sb);
    if (code != STATUS_OK) return code;
    return copy ? STATUS_OK
                : status_set(st, STATUS_LIMIT, "the texts that it makes take too much memory");
}

static status_code expect(const struct template_value *value, enum template_kind kind,
                          struct status *st)
{
    if (value->kind == kind) return STATUS_OK;
    return status_set(st, STATUS_BAD_INPUT, "is applied to %s, expected %s",
                      template_kind_name(value->kind), template_kind_name(kind));
}

static status_code expect_texts(const struct template_value *self,
                                const struct template_value *arguments, int n, struct status *st)
{
    status_code code = expect(self, TEMPLATE_TEXT, st);
    for (int i = 0; i < n && code == STATUS_OK; i++)
        if (arguments[i].kind != TEMPLATE_TEXT)
            code = status_set(st, STATUS_BAD_INPUT, "argument %d is %s, expected a text", i + 1,
                              template_kind_name(arguments[i].kind));
    return code;
}

/* ---- texts ---- */

/* The bytes of the character at the start of a text; an invalid byte counts as one. */
static size_t first_length(struct text text)
{
    uint32_t ignored;
    size_t n = utf8_decode(text.data, text.length, &ignored);
    return n ? n : 1;
}

static bool holds(struct text set, struct text character)
{
    for (size_t i = 0; i < set.length;) {
        struct text own = {set.data + i, 0};
        own.length = first_length((struct text){own.data, set.length - i});
        if (text_equal(own, character)) return true;
        i += own.length;
    }
    return false;
}

static struct text without_front(struct text text, struct text set)
{
    while (text.length) {
        size_t n = first_length(text);
        if (!holds(set, (struct text){text.data, n})) break;
        text.data += n;
        text.length -= n;
    }
    return text;
}

static struct text without_back(struct text text, struct text set)
{
    while (text.length) {
        size_t n = 1; /* steps back over continuation bytes */
        while (n < 4 && n < text.length &&
               ((unsigned char)text.data[text.length - n] & 0xc0) == 0x80)
            n++;
        if (!holds(set, (struct text){text.data + text.length - n, n})) break;
        text.length -= n;
    }
    return text;
}

static status_code strip_ends(const struct template_value *self, const struct template_value *set,
                              int n, bool front, bool back, struct template_value *out,
                              struct status *st)
{
    status_code code = expect_texts(self, set, n, st);
    if (code != STATUS_OK) return code;
    struct text text = self->text;
    if (n && front) text = without_front(text, set->text);
    if (n && back) text = without_back(text, set->text);
    if (!n && front) text = utf8_lstrip(text);
    if (!n && back) text = utf8_rstrip(text);
    *out = text_value(text);
    return STATUS_OK;
}

#define FUNCTION(name)                                                                             \
    static status_code name(const struct template_value *self, const struct template_value *args,  \
                            int n, struct arena *arena, struct template_value *out,                \
                            struct status *st)

FUNCTION(strip)
{
    (void)arena;
    return strip_ends(self, args, n, true, true, out, st);
}

FUNCTION(lstrip)
{
    (void)arena;
    return strip_ends(self, args, n, true, false, out, st);
}

FUNCTION(rstrip)
{
    (void)arena;
    return strip_ends(self, args, n, false, true, out, st);
}

static status_code change(const struct template_value *self,
                          void (*append)(struct strbuf *sb, struct text text), struct arena *arena,
                          struct template_value *out, struct status *st)
{
    status_code code = expect(self, TEMPLATE_TEXT, st);
    if (code != STATUS_OK) return code;
    struct strbuf sb;
    strbuf_init(&sb, LIMIT_PROMPT_BYTES);
    append(&sb, self->text);
    return template_keep(&sb, arena, out, st);
}

FUNCTION(lower)
{
    (void)args;
    (void)n;
    return change(self, utf8_append_lower, arena, out, st);
}

FUNCTION(upper)
{
    (void)args;
    (void)n;
    return change(self, utf8_append_upper, arena, out, st);
}

FUNCTION(capitalize)
{
    (void)args;
    (void)n;
    return change(self, utf8_append_capitalized, arena, out, st);
}

static const char *find(struct text text, struct text part)
{
    for (size_t i = 0; part.length && i + part.length <= text.length; i++)
        if (memcmp(text.data + i, part.data, part.length) == 0) return text.data + i;
    return NULL;
}

/* What follows `at` in a text, without the n bytes there. */
static struct text after(struct text text, const char *at, size_t n)
{
    return (struct text){at + n, text.length - (size_t)(at - text.data) - n};
}

FUNCTION(replace)
{
    status_code code = expect_texts(self, args, n, st);
    if (code != STATUS_OK) return code;
    if (!args[0].text.length)
        return status_set(st, STATUS_BAD_INPUT, "argument 1 is an empty text");
    struct strbuf sb;
    struct text rest = self->text;
    strbuf_init(&sb, LIMIT_PROMPT_BYTES);
    for (const char *at; (at = find(rest, args[0].text)) != NULL;) {
        strbuf_append(&sb, rest.data, (size_t)(at - rest.data));
        strbuf_append(&sb, args[1].text.data, args[1].text.length);
        rest = after(rest, at, args[0].text.length);
    }
    strbuf_append(&sb, rest.data, rest.length);
    return template_keep(&sb, arena, out, st);
}

/* The part before the next separator, of which `rest` keeps what is behind it; without a separator,
 * the next run that is not white space.  False when nothing is left. */
static bool next_part(struct text *rest, const struct text *separator, bool last, struct text *part)
{
    if (!rest->data) return false;
    if (separator) {
        const char *at = last ? NULL : find(*rest, *separator);
        *part = at ? (struct text){rest->data, (size_t)(at - rest->data)} : *rest;
        *rest = at ? after(*rest, at, separator->length) : (struct text){0};
        return true;
    }
    *rest = utf8_lstrip(*rest);
    size_t end = 0;
    while (end < rest->length) {
        uint32_t c;
        size_t n = utf8_decode(rest->data + end, rest->length - end, &c);
        if (n && utf8_is_space(c)) break;
        end += n ? n : 1;
    }
    *part = (struct text){rest->data, end};
    *rest = after(*rest, rest->data, end);
    return end > 0;
}

/* str.split([separator[, most]]). */
FUNCTION(split)
{
    status_code code = expect_texts(self, args, n ? 1 : 0, st);
    if (code == STATUS_OK && n && !args[0].text.length)
        code = status_set(st, STATUS_BAD_INPUT, "argument 1 is an empty text");
    if (code == STATUS_OK && n > 1 && args[1].kind != TEMPLATE_NUMBER)
        code = status_set(st, STATUS_BAD_INPUT, "argument 2 is %s, expected a number",
                          template_kind_name(args[1].kind));
    if (code != STATUS_OK) return code;
    const struct text *separator = n ? &args[0].text : NULL;
    bool bounded = n > 1 && args[1].number >= 0;
    struct text part, rest = self->text;
    size_t count = 0;
    while (next_part(&rest, separator, bounded && (double)count >= args[1].number, &part)) count++;
    struct template_value *items = arena_array(arena, count + 1, sizeof *items);
    if (!items) return status_set(st, STATUS_LIMIT, "a list of %zu texts is too long", count);
    rest = self->text;
    for (size_t i = 0; i < count; i++) {
        (void)next_part(&rest, separator, bounded && (double)i >= args[1].number, &part);
        items[i] = text_value(part);
    }
    *out = (struct template_value){.kind = TEMPLATE_LIST, .items = items, .n_items = count};
    return STATUS_OK;
}

/* ---- lists ---- */

static status_code join(const struct template_value *list, struct text separator,
                        struct arena *arena, struct template_value *out, struct status *st)
{
    status_code code = expect(list, TEMPLATE_LIST, st);
    if (code != STATUS_OK) return code;
    struct strbuf sb;
    strbuf_init(&sb, LIMIT_PROMPT_BYTES);
    for (size_t i = 0; i < template_count(list) && code == STATUS_OK; i++) {
        struct template_value item = template_item(list, i);
        if (i) strbuf_append(&sb, separator.data, separator.length);
        code = template_append_value(&sb, &item, st);
    }
    if (code == STATUS_OK) return template_keep(&sb, arena, out, st);
    strbuf_release(&sb);
    return code;
}

FUNCTION(join_filter)
{
    if (n && args[0].kind != TEMPLATE_TEXT)
        return status_set(st, STATUS_BAD_INPUT, "argument 1 is %s, expected a text",
                          template_kind_name(args[0].kind));
    return join(self, n ? args[0].text : text_of(""), arena, out, st);
}

FUNCTION(join_method)
{
    (void)n;
    status_code code = expect(self, TEMPLATE_TEXT, st);
    return code == STATUS_OK ? join(&args[0], self->text, arena, out, st) : code;
}

static bool same_value(const struct template_value *a, const struct template_value *b)
{
    if (a->kind != b->kind) return false;
    if (a->kind == TEMPLATE_TEXT) return text_equal(a->text, b->text);
    return (a->kind == TEMPLATE_NUMBER || a->kind == TEMPLATE_BOOL) && !(a->number < b->number) &&
           !(a->number > b->number);
}

static status_code not_found(const struct template_value *wanted, struct status *st)
{
    if (wanted->kind != TEMPLATE_TEXT)
        return status_set(st, STATUS_BAD_INPUT, "does not find its argument");
    int shown = wanted->text.length > 80 ? 80 : (int)wanted->text.length;
    return status_set(st, STATUS_BAD_INPUT, "does not find \"%.*s\"", shown, wanted->text.data);
}

/* list.index(x), or str.index(x) in code points. */
FUNCTION(find_index)
{
    (void)n;
    (void)arena;
    if (self->kind == TEMPLATE_TEXT) {
        status_code code = expect_texts(self, args, 1, st);
        const char *at = code == STATUS_OK ? find(self->text, args[0].text) : NULL;
        if (code != STATUS_OK) return code;
        if (!at) return not_found(&args[0], st);
        *out = number_value(
            (double)utf8_count((struct text){self->text.data, (size_t)(at - self->text.data)}));
        return STATUS_OK;
    }
    status_code code = expect(self, TEMPLATE_LIST, st);
    for (size_t i = 0; code == STATUS_OK && i < template_count(self); i++) {
        struct template_value item = template_item(self, i);
        if (!same_value(&item, &args[0])) continue;
        *out = number_value((double)i);
        return STATUS_OK;
    }
    return code == STATUS_OK ? not_found(&args[0], st) : code;
}

FUNCTION(length)
{
    (void)args;
    (void)n;
    (void)arena;
    if (self->kind == TEMPLATE_TEXT) {
        *out = number_value((double)utf8_count(self->text));
        return STATUS_OK;
    }
    status_code code = expect(self, TEMPLATE_LIST, st);
    if (code == STATUS_OK) *out = number_value((double)template_count(self));
    return code;
}

static status_code pick(const struct template_value *self, bool last, struct template_value *out,
                        struct status *st)
{
    status_code code = expect(self, TEMPLATE_LIST, st);
    size_t count = code == STATUS_OK ? template_count(self) : 0;
    if (code != STATUS_OK) return code;
    if (!count) return status_set(st, STATUS_BAD_INPUT, "is applied to an empty list");
    *out = template_item(self, last ? count - 1 : 0);
    return STATUS_OK;
}

FUNCTION(first)
{
    (void)args;
    (void)n;
    (void)arena;
    return pick(self, false, out, st);
}

FUNCTION(last)
{
    (void)args;
    (void)n;
    (void)arena;
    return pick(self, true, out, st);
}

FUNCTION(to_string)
{
    (void)args;
    (void)n;
    struct strbuf sb;
    strbuf_init(&sb, LIMIT_PROMPT_BYTES);
    status_code code = template_append_value(&sb, self, st);
    if (code == STATUS_OK) return template_keep(&sb, arena, out, st);
    strbuf_release(&sb);
    return code;
}

/* A text of digits with a sign, as int() reads it; what is no number is an error, where Jinja2's
 * filter would say 0. */
FUNCTION(to_int)
{
    (void)args;
    (void)n;
    (void)arena;
    *out = number_value(self->number);
    if (self->kind == TEMPLATE_NUMBER || self->kind == TEMPLATE_BOOL) {
        out->number = (double)(int64_t)(self->number > 1e15 ? 1e15 : self->number);
        return STATUS_OK;
    }
    status_code code = expect(self, TEMPLATE_TEXT, st);
    if (code != STATUS_OK) return code;
    struct text digits = utf8_strip(self->text);
    bool minus = digits.length && digits.data[0] == '-';
    double number = 0;
    size_t i = minus;
    for (; i < digits.length && i < 16 && digits.data[i] >= '0' && digits.data[i] <= '9'; i++)
        number = 10 * number + (digits.data[i] - '0');
    if (i != digits.length || i == (size_t)minus)
        return status_set(st, STATUS_BAD_INPUT, "is applied to \"%.*s\", which is no whole number",
                          (int)(digits.length > 40 ? 40 : digits.length), digits.data);
    out->number = minus ? -number : number;
    return STATUS_OK;
}

static const struct template_function functions[] = {
    {"strip", true, false, 0, 1, strip},
    {"lstrip", true, false, 0, 1, lstrip},
    {"rstrip", true, false, 0, 1, rstrip},
    {"trim", false, true, 0, 1, strip},
    {"lower", true, true, 0, 0, lower},
    {"upper", true, true, 0, 0, upper},
    {"capitalize", true, true, 0, 0, capitalize},
    {"replace", true, true, 2, 2, replace},
    {"split", true, false, 0, 2, split},
    {"index", true, false, 1, 1, find_index},
    {"join", false, true, 0, 1, join_filter},
    {"join", true, false, 1, 1, join_method},
    {"length", false, true, 0, 0, length},
    {"first", false, true, 0, 0, first},
    {"last", false, true, 0, 0, last},
    {"string", false, true, 0, 0, to_string},
    {"int", false, true, 0, 0, to_int},
};

const struct template_function *template_find_function(struct text name, bool as_method)
{
    for (size_t i = 0; i < sizeof functions / sizeof functions[0]; i++) {
        const struct template_function *f = &functions[i];
        if ((as_method ? f->is_method : f->is_filter) && text_equal(name, text_of(f->name)))
            return f;
    }
    return NULL;
}
