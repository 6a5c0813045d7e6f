/* report_json.h - members of JSON objects, with null for what is unknown. */
#ifndef ASSAY_REPORT_JSON_H
#define ASSAY_REPORT_JSON_H

#include <stdint.h>

#include "engine/base/strbuf.h"
#include "engine/base/text.h"
#include "reports/scores.h"

/* Each appends "key": value, with a comma in front unless an object or array has just begun. */
void json_member_str(struct strbuf *out, const char *key, const char *value);  /* NULL: null */
void json_member_text(struct strbuf *out, const char *key, struct text value); /* no data: null */
void json_member_int(struct strbuf *out, const char *key, int64_t value); /* STORE_UNKNOWN: null */
void json_member_number(struct strbuf *out, const char *key, double value); /* NAN: null */
void json_member_bool(struct strbuf *out, const char *key, bool value);
void json_member_direction(struct strbuf *out, const char *key,
                           enum metric_direction value); /* none: null */

/* Begins a member whose value the caller writes. */
void json_member_key(struct strbuf *out, const char *key);

/* A comma, unless an object or array has just begun. */
void json_next_item(struct strbuf *out);

#endif
