/* strict_json.h - objects that hold what their format names and nothing else.
 *
 * Policies and word lists are read strictly: a misspelt field would otherwise be a rule that
 * silently does nothing.  Task files are read the same way (benchmarks/task_file.c).
 */
#ifndef ASSAY_STRICT_JSON_H
#define ASSAY_STRICT_JSON_H

#include "engine/base/json.h"

#define STRICT_NAME_BYTES 64

/* Fails when the value is not an object, or has a member that is not one of the n names (at most
 * 32), or has one twice. */
status_code strict_json_fields(const struct json_value *object, const char *const *names, size_t n,
                               struct status *st) MUST_CHECK;

/* A required string of 1 to STRICT_NAME_BYTES letters, digits, '.', '_' and '-': fit to be a part
 * of an id. */
status_code strict_json_name(const struct json_value *object, const char *key, struct text *out,
                             struct status *st) MUST_CHECK;

#endif
