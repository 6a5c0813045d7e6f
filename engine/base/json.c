#include "engine/base/json.h"

#include <cjson/cJSON.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/limits.h"
#include "engine/base/utf8.h"

static const cJSON *node(const struct json_value *value)
{
    return (const cJSON *)(const void *)value;
}

static const struct json_value *from_node(const cJSON *item)
{
    return (const struct json_value *)(const void *)item;
}

/* ---- NULs ----
 * cJSON ends strings at a NUL.  An escaped one is therefore given to it as the overlong C0 80,
 * which valid UTF-8 cannot contain, and turned back afterwards; the length of such a string is kept
 * in `valueint`, which cJSON leaves 0 in strings. */

static bool escapes_nul(struct text text, size_t backslash)
{
    return text.length - backslash >= 6 && memcmp(text.data + backslash, "\\u0000", 6) == 0;
}

static bool protect_nuls(struct strbuf *out, struct text text)
{
    bool found = false;
    size_t kept = 0;
    for (size_t i = 0; i < text.length; i++) {
        if (text.data[i] != '\\') continue;
        if (escapes_nul(text, i)) {
            strbuf_append(out, text.data + kept, i - kept);
            strbuf_append_str(out, "\xc0\x80");
            kept = i + 6;
            found = true;
        }
        i++; /* the escaped character is not a backslash of its own */
    }
    strbuf_append(out, text.data + kept, text.length - kept);
    return found;
}

static void restore_nuls(cJSON *item)
{
    for (; item; item = item->next) {
        if (cJSON_IsString(item)) {
            char *from = item->valuestring, *to = from;
            for (; *from; from++, to++) {
                bool nul = (unsigned char)from[0] == 0xc0;
                *to = nul ? '\0' : *from;
                from += nul;
            }
            *to = '\0';
            item->valueint = (int)(to - item->valuestring);
        }
        restore_nuls(item->child);
    }
}

/* ---- parsing ---- */

static status_code parse_error(struct text text, const char *at, struct status *st)
{
    size_t offset = at >= text.data && at <= text.data + text.length ? (size_t)(at - text.data) : 0;
    size_t line = 1, column = 1;
    for (size_t i = 0; i < offset; i++) {
        column++;
        if (text.data[i] == '\n') line++, column = 1;
    }
    return status_set(st, STATUS_BAD_INPUT, "not valid JSON at line %zu column %zu", line, column);
}

static status_code parse_protected(cJSON **out, struct text text, struct status *st)
{
    const char *end = text.data;
    cJSON *root = cJSON_ParseWithLengthOpts(text.data, text.length, &end, false);
    if (!root) return parse_error(text, end, st);
    while (end < text.data + text.length && strchr(" \t\r\n", *end) && *end) end++;
    if (end != text.data + text.length) {
        cJSON_Delete(root);
        return parse_error(text, end, st);
    }
    *out = root;
    return STATUS_OK;
}

status_code json_parse(struct json_value **out, struct text text, struct status *st)
{
    if (text.length > LIMIT_JSON_BYTES)
        return status_set(st, STATUS_LIMIT, "JSON is longer than %zu bytes",
                          (size_t)LIMIT_JSON_BYTES);
    if (!text.length) return status_set(st, STATUS_BAD_INPUT, "not valid JSON: there is no text");
    if (!utf8_valid(text)) return status_set(st, STATUS_BAD_INPUT, "JSON is not valid UTF-8");
    bool nuls = false;
    status_code code = STATUS_OK;
    struct strbuf protected_text;
    strbuf_init(&protected_text, LIMIT_JSON_BYTES);
    for (size_t i = 0; i + 6 <= text.length && !nuls; i++) {
        const char *backslash = memchr(text.data + i, '\\', text.length - i);
        if (!backslash) break;
        i = (size_t)(backslash - text.data);
        nuls = escapes_nul(text, i);
    }
    if (nuls) {
        nuls = protect_nuls(&protected_text, text);
        code = strbuf_check(&protected_text, "JSON", st);
        text = (struct text){protected_text.data, protected_text.length};
    }
    cJSON *root = NULL;
    if (code == STATUS_OK) code = parse_protected(&root, text, st);
    strbuf_release(&protected_text);
    if (code != STATUS_OK) return code;
    if (nuls) restore_nuls(root);
    *out = (struct json_value *)(void *)root;
    return STATUS_OK;
}

status_code json_parse_file(struct json_value **out, const char *path, size_t max_bytes,
                            struct status *st)
{
    struct strbuf sb;
    strbuf_init(&sb, max_bytes);
    status_code code = strbuf_read_file(&sb, path, st);
    if (code == STATUS_OK) {
        code = json_parse(out, (struct text){sb.data, sb.length}, st);
        if (code != STATUS_OK) status_prefix(st, "%s", path);
    }
    strbuf_release(&sb);
    return code;
}

void json_free(struct json_value *root)
{
    cJSON_Delete((cJSON *)(void *)root);
}

/* ---- reading ---- */

enum json_kind json_kind(const struct json_value *value)
{
    const cJSON *item = node(value);
    if (cJSON_IsBool(item)) return JSON_BOOL;
    if (cJSON_IsNumber(item)) return JSON_NUMBER;
    if (cJSON_IsString(item)) return JSON_STRING;
    if (cJSON_IsArray(item)) return JSON_ARRAY;
    if (cJSON_IsObject(item)) return JSON_OBJECT;
    return JSON_NULL;
}

const char *json_kind_name(enum json_kind kind)
{
    static const char *const names[] = {"null",     "true or false", "a number",
                                        "a string", "an array",      "an object"};
    return names[kind];
}

const struct json_value *json_first(const struct json_value *container)
{
    return from_node(node(container)->child);
}

const struct json_value *json_next(const struct json_value *value)
{
    return from_node(node(value)->next);
}

const char *json_key(const struct json_value *member)
{
    return node(member)->string;
}

size_t json_count(const struct json_value *container)
{
    size_t count = 0;
    for (const cJSON *item = node(container)->child; item; item = item->next) count++;
    return count;
}

const struct json_value *json_member(const struct json_value *object, const char *key)
{
    if (!cJSON_IsObject(node(object))) return NULL;
    return from_node(cJSON_GetObjectItemCaseSensitive(node(object), key));
}

struct text json_text(const struct json_value *string)
{
    const cJSON *item = node(string);
    BUG_IF(!cJSON_IsString(item));
    size_t n = item->valueint > 0 ? (size_t)item->valueint : strlen(item->valuestring);
    return (struct text){item->valuestring, n};
}

double json_number(const struct json_value *number)
{
    BUG_IF(!cJSON_IsNumber(node(number)));
    return node(number)->valuedouble;
}

bool json_bool(const struct json_value *boolean)
{
    BUG_IF(!cJSON_IsBool(node(boolean)));
    return cJSON_IsTrue(node(boolean));
}

bool json_has(const struct json_value *object, const char *key)
{
    const struct json_value *member = json_member(object, key);
    return member && json_kind(member) != JSON_NULL;
}

static status_code get(const struct json_value *object, const char *key, enum json_kind kind,
                       const struct json_value **out, struct status *st)
{
    if (json_kind(object) != JSON_OBJECT)
        return status_set(st, STATUS_BAD_INPUT, "expected an object with field \"%s\"", key);
    const struct json_value *member = json_member(object, key);
    if (!member) return status_set(st, STATUS_BAD_INPUT, "field \"%s\" is missing", key);
    if (json_kind(member) != kind)
        return status_set(st, STATUS_BAD_INPUT, "field \"%s\" is %s, expected %s", key,
                          json_kind_name(json_kind(member)), json_kind_name(kind));
    *out = member;
    return STATUS_OK;
}

status_code json_get_text(const struct json_value *object, const char *key, struct text *out,
                          struct status *st)
{
    const struct json_value *member;
    status_code code = get(object, key, JSON_STRING, &member, st);
    if (code == STATUS_OK) *out = json_text(member);
    return code;
}

status_code json_get_int(const struct json_value *object, const char *key, int64_t min, int64_t max,
                         int64_t *out, struct status *st)
{
    const struct json_value *member;
    status_code code = get(object, key, JSON_NUMBER, &member, st);
    if (code != STATUS_OK) return code;
    double number = json_number(member);
    if (!(number >= (double)min && number <= (double)max) || number != floor(number))
        return status_set(st, STATUS_BAD_INPUT,
                          "field \"%s\" is %.17g, expected a whole number from %lld to %lld", key,
                          number, (long long)min, (long long)max);
    *out = (int64_t)number;
    return STATUS_OK;
}

status_code json_get_double(const struct json_value *object, const char *key, double *out,
                            struct status *st)
{
    const struct json_value *member;
    status_code code = get(object, key, JSON_NUMBER, &member, st);
    if (code != STATUS_OK) return code;
    if (!isfinite(json_number(member)))
        return status_set(st, STATUS_BAD_INPUT, "field \"%s\" is not a finite number", key);
    *out = json_number(member);
    return STATUS_OK;
}

status_code json_get_bool(const struct json_value *object, const char *key, bool *out,
                          struct status *st)
{
    const struct json_value *member;
    status_code code = get(object, key, JSON_BOOL, &member, st);
    if (code == STATUS_OK) *out = json_bool(member);
    return code;
}

status_code json_get_array(const struct json_value *object, const char *key,
                           const struct json_value **out, struct status *st)
{
    return get(object, key, JSON_ARRAY, out, st);
}

status_code json_get_object(const struct json_value *object, const char *key,
                            const struct json_value **out, struct status *st)
{
    return get(object, key, JSON_OBJECT, out, st);
}

/* ---- writing ---- */

static void append_escaped(struct strbuf *sb, struct text text)
{
    static const char short_names[] = "\b\f\n\r\t\"\\";
    static const char short_forms[] = "bfnrt\"\\";
    size_t kept = 0;
    for (size_t i = 0; i < text.length; i++) {
        unsigned char c = (unsigned char)text.data[i];
        if (c >= 0x20 && c != '"' && c != '\\') continue;
        strbuf_append(sb, text.data + kept, i - kept);
        kept = i + 1;
        const char *form = c ? strchr(short_names, c) : NULL;
        if (form)
            strbuf_appendf(sb, "\\%c", short_forms[form - short_names]);
        else
            strbuf_appendf(sb, "\\u%04x", c);
    }
    strbuf_append(sb, text.data + kept, text.length - kept);
}

void json_append_text(struct strbuf *sb, struct text text)
{
    strbuf_append_char(sb, '"');
    if (utf8_valid(text)) {
        append_escaped(sb, text);
    } else {
        struct strbuf valid;
        strbuf_init(&valid, 3 * text.length);
        utf8_append_valid(&valid, text);
        append_escaped(sb, (struct text){valid.data, valid.length});
        if (valid.state != STATUS_OK && sb->state == STATUS_OK) sb->state = valid.state;
        strbuf_release(&valid);
    }
    strbuf_append_char(sb, '"');
}

void json_append_str(struct strbuf *sb, const char *string)
{
    json_append_text(sb, text_of(string));
}

void json_append_number(struct strbuf *sb, double number)
{
    if (!isfinite(number)) {
        strbuf_append_str(sb, "null");
        return;
    }
    if (number == floor(number) && fabs(number) < 1e15) {
        strbuf_appendf(sb, "%.0f", number);
        return;
    }
    /* A number of up to 15 digits comes back as these digits, without zeros behind them, from
     * %.15g: trying fewer is worth it below the normal numbers alone, which hold less. */
    char digits[40];
    for (int precision = fabs(number) < DBL_MIN ? 1 : DBL_DIG; precision <= 17; precision++) {
        snprintf(digits, sizeof digits, "%.*g", precision, number);
        if (strtod(digits, NULL) == number) break;
    }
    strbuf_append_str(sb, digits);
}

void json_append_value(struct strbuf *sb, const struct json_value *value)
{
    bool object = false;
    switch (json_kind(value)) {
    case JSON_NULL:
        strbuf_append_str(sb, "null");
        return;
    case JSON_BOOL:
        strbuf_append_str(sb, json_bool(value) ? "true" : "false");
        return;
    case JSON_NUMBER:
        json_append_number(sb, json_number(value));
        return;
    case JSON_STRING:
        json_append_text(sb, json_text(value));
        return;
    case JSON_OBJECT:
        object = true;
        break;
    case JSON_ARRAY:
        break;
    }
    strbuf_append_char(sb, object ? '{' : '[');
    for (const struct json_value *v = json_first(value); v; v = json_next(v)) {
        if (v != json_first(value)) strbuf_append_char(sb, ',');
        if (object) {
            json_append_str(sb, json_key(v));
            strbuf_append_char(sb, ':');
        }
        json_append_value(sb, v);
    }
    strbuf_append_char(sb, object ? '}' : ']');
}

static void append_indented(struct strbuf *sb, const struct json_value *value, int depth)
{
    bool object = json_kind(value) == JSON_OBJECT;
    if ((!object && json_kind(value) != JSON_ARRAY) || !json_first(value)) {
        json_append_value(sb, value);
        return;
    }
    strbuf_append_char(sb, object ? '{' : '[');
    for (const struct json_value *v = json_first(value); v; v = json_next(v)) {
        strbuf_appendf(sb, "%s\n%*s", v == json_first(value) ? "" : ",", 2 * depth + 2, "");
        if (object) {
            json_append_str(sb, json_key(v));
            strbuf_append_str(sb, ": ");
        }
        append_indented(sb, v, depth + 1);
    }
    strbuf_appendf(sb, "\n%*s%c", 2 * depth, "", object ? '}' : ']');
}

void json_append_indented(struct strbuf *sb, const struct json_value *value)
{
    append_indented(sb, value, 0);
}
