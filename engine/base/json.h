/* json.h - JSON text to a tree and back, over cJSON.
 *
 *   json_parse() -> a root -> json_member(), json_first()/json_next() -> values -> json_free()
 *
 * A root owns its tree; values and texts read from it live until json_free().  Input must be valid
 * UTF-8 and nothing may follow the value.  Strings may hold NULs (\u0000), so they come as `text`.
 *
 *   struct json_value *root;
 *   if (json_parse_file(&root, path, LIMIT_CONFIG_BYTES, st) != STATUS_OK) ...
 *   if (json_get_int(root, "hidden_size", 1, LIMIT_HIDDEN, &n, st) != STATUS_OK) ...
 *   json_free(root);
 *
 * The json_get functions name the field and what was expected; callers put the file in front with
 * status_prefix().  The json_append functions write into a strbuf; structure is the caller's.
 */
#ifndef ASSAY_BASE_JSON_H
#define ASSAY_BASE_JSON_H

#include <stdint.h>

#include "engine/base/strbuf.h"
#include "engine/base/text.h"

struct json_value; /* opaque; a node of the tree */

enum json_kind { JSON_NULL, JSON_BOOL, JSON_NUMBER, JSON_STRING, JSON_ARRAY, JSON_OBJECT };

/* Parses n bytes.  Errors say the line and column. */
status_code json_parse(struct json_value **out, struct text text, struct status *st) MUST_CHECK;

/* Parses a whole file of at most max_bytes; the message starts with the path. */
status_code json_parse_file(struct json_value **out, const char *path, size_t max_bytes,
                            struct status *st) MUST_CHECK;
void json_free(struct json_value *root);

enum json_kind json_kind(const struct json_value *value);
const char *json_kind_name(enum json_kind kind); /* "a string", "an object", ... */

/* Members and elements in file order.  NULL when there is none. */
const struct json_value *json_first(const struct json_value *container);
const struct json_value *json_next(const struct json_value *value);
const char *json_key(const struct json_value *member); /* NULL outside an object */
size_t json_count(const struct json_value *container);

/* The member with this exact key, or NULL; also NULL when `object` is not an object. */
const struct json_value *json_member(const struct json_value *object, const char *key);

/* What a value of that kind holds.  Asking the wrong kind is our own mistake. */
struct text json_text(const struct json_value *string);
double json_number(const struct json_value *number);
bool json_bool(const struct json_value *boolean);

/* A required member of the right kind and range. */
status_code json_get_text(const struct json_value *object, const char *key, struct text *out,
                          struct status *st) MUST_CHECK;
status_code json_get_int(const struct json_value *object, const char *key, int64_t min, int64_t max,
                         int64_t *out, struct status *st) MUST_CHECK;
status_code json_get_double(const struct json_value *object, const char *key, double *out,
                            struct status *st) MUST_CHECK;
status_code json_get_bool(const struct json_value *object, const char *key, bool *out,
                          struct status *st) MUST_CHECK;
status_code json_get_array(const struct json_value *object, const char *key,
                           const struct json_value **out, struct status *st) MUST_CHECK;
status_code json_get_object(const struct json_value *object, const char *key,
                            const struct json_value **out, struct status *st) MUST_CHECK;

/* True when the member is there and not null: what an optional field asks first. */
bool json_has(const struct json_value *object, const char *key);

/* Appends a quoted string as Python's json.dumps(ensure_ascii=False) does; invalid bytes become
 * U+FFFD, so that the output is always valid JSON. */
void json_append_text(struct strbuf *sb, struct text text);

/* json_append_text() of a NUL-terminated string. */
void json_append_str(struct strbuf *sb, const char *string);

/* Appends the shortest decimal that reads back as the same double; NaN and infinities as null. */
void json_append_number(struct strbuf *sb, double number);

/* Appends a whole value in compact form. */
void json_append_value(struct strbuf *sb, const struct json_value *value);

/* The same over several lines, as Python's json.dumps(indent=2, ensure_ascii=False) does. */
void json_append_indented(struct strbuf *sb, const struct json_value *value);

#endif
