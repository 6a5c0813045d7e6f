#include "engine/base/regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdlib.h>

#include "engine/base/limits.h"

struct regex {
    pcre2_code *code;
    pcre2_match_context *match_context;
    int n_groups;
    bool is_fast; /* PCRE2 made machine code of it */
};

static status_code compile_error(const char *pattern, int error, size_t offset, struct status *st)
{
    PCRE2_UCHAR message[200];
    pcre2_get_error_message(error, message, sizeof message);
    return status_set(st, STATUS_BAD_INPUT, "pattern \"%s\", character %zu: %s", pattern, offset,
                      (const char *)message);
}

/* PCRE2's defaults depend on how it was built; Python's do not. */
static pcre2_compile_context *python_context(void)
{
    pcre2_compile_context *context = pcre2_compile_context_create(NULL);
    if (context) pcre2_set_newline(context, PCRE2_NEWLINE_LF);
    return context;
}

status_code regex_compile(struct regex **out, const char *pattern, struct status *st)
{
    int error;
    PCRE2_SIZE offset;
    uint32_t n_groups = 0;
    struct regex *regex = calloc(1, sizeof *regex);
    pcre2_compile_context *context = python_context();
    if (regex && context) {
        regex->code = pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED,
                                    PCRE2_UTF | PCRE2_UCP, &error, &offset, context);
        regex->match_context = pcre2_match_context_create(NULL);
    }
    bool no_memory = !regex || !context || !regex->match_context;
    pcre2_compile_context_free(context);
    if (no_memory || !regex->code) {
        regex_free(regex);
        return no_memory ? status_no_memory(st, pattern)
                         : compile_error(pattern, error, offset, st);
    }
    pcre2_set_match_limit(regex->match_context, LIMIT_REGEX_STEPS);
    pcre2_pattern_info(regex->code, PCRE2_INFO_CAPTURECOUNT, &n_groups);
    if (n_groups >= REGEX_MAX_GROUPS) {
        regex_free(regex);
        return status_set(st, STATUS_BAD_INPUT, "pattern \"%s\" has more than %d groups", pattern,
                          REGEX_MAX_GROUPS - 1);
    }
    regex->n_groups = (int)n_groups;
    *out = regex;
    return STATUS_OK;
}

void regex_speed_up(struct regex *regex)
{
    regex->is_fast = pcre2_jit_compile(regex->code, PCRE2_JIT_COMPLETE) == 0;
}

void regex_free(struct regex *regex)
{
    if (!regex) return;
    pcre2_code_free(regex->code);
    pcre2_match_context_free(regex->match_context);
    free(regex);
}

struct regex_scan regex_scan_start(const struct regex *regex, struct text text)
{
    if (!text.length) text.data = ""; /* a group's NULL data means that it took no part */
    return (struct regex_scan){.regex = regex, .text = text};
}

static void read_groups(const struct regex_scan *scan, pcre2_match_data *data,
                        struct regex_match *match)
{
    const PCRE2_SIZE *bounds = pcre2_get_ovector_pointer(data);
    match->n_groups = scan->regex->n_groups;
    for (int i = 0; i <= match->n_groups; i++) {
        PCRE2_SIZE from = bounds[2 * i], to = bounds[2 * i + 1];
        match->group[i] = from == PCRE2_UNSET ? (struct text){0}
                                              : (struct text){scan->text.data + from, to - from};
    }
}

/* The next match from scan->position into `data`; *rc is PCRE2's: below 1 there is none. */
static status_code match_next(struct regex_scan *scan, pcre2_match_data *data, int *rc,
                              struct status *st)
{
    uint32_t options = scan->must_advance ? PCRE2_NOTEMPTY_ATSTART : 0;
    if (scan->is_valid) options |= PCRE2_NO_UTF_CHECK; /* it looks at all that is left */
    const struct regex *regex = scan->regex;
    PCRE2_SPTR text = (PCRE2_SPTR)scan->text.data;
    if (regex->is_fast && scan->is_valid) {
        *rc = pcre2_jit_match(regex->code, text, scan->text.length, scan->position, options, data,
                              regex->match_context);
        if (*rc == PCRE2_ERROR_JIT_STACKLIMIT) options |= PCRE2_NO_JIT;
    }
    if (!regex->is_fast || !scan->is_valid || (options & PCRE2_NO_JIT))
        *rc = pcre2_match(regex->code, text, scan->text.length, scan->position,
                          options | PCRE2_NO_JIT, data, regex->match_context);
    if (*rc > 0 || *rc == PCRE2_ERROR_NOMATCH) {
        scan->is_valid = true;
        if (*rc <= 0) return STATUS_OK;
        const PCRE2_SIZE *bounds = pcre2_get_ovector_pointer(data);
        scan->position = bounds[1];
        scan->must_advance = bounds[0] == bounds[1];
        return STATUS_OK;
    }
    PCRE2_UCHAR message[200];
    pcre2_get_error_message(*rc, message, sizeof message);
    return status_set(st, STATUS_LIMIT, "pattern match stopped: %s", (const char *)message);
}

status_code regex_scan_next(struct regex_scan *scan, struct regex_match *match, struct status *st)
{
    *match = (struct regex_match){0};
    pcre2_match_data *data = pcre2_match_data_create_from_pattern(scan->regex->code, NULL);
    if (!data) return status_no_memory(st, "a pattern match");
    int rc;
    status_code code = match_next(scan, data, &rc, st);
    if (code == STATUS_OK && rc > 0) {
        match->found = true;
        read_groups(scan, data, match);
    }
    pcre2_match_data_free(data);
    return code;
}

status_code regex_each(const struct regex *regex, struct text text, regex_visit *visit, void *user,
                       struct status *st)
{
    struct regex_scan scan = regex_scan_start(regex, text);
    scan.is_valid = true;
    pcre2_match_data *data = pcre2_match_data_create_from_pattern(regex->code, NULL);
    if (!data) return status_no_memory(st, "a pattern match");
    const PCRE2_SIZE *bounds = pcre2_get_ovector_pointer(data);
    int rc;
    status_code code;
    while ((code = match_next(&scan, data, &rc, st)) == STATUS_OK && rc > 0) {
        struct text match = {scan.text.data + bounds[0], bounds[1] - bounds[0]};
        if ((code = visit(user, match, st)) != STATUS_OK) break;
    }
    pcre2_match_data_free(data);
    return code;
}

status_code regex_replace(const struct regex *regex, struct text text, const char *replacement,
                          struct strbuf *out, struct status *st)
{
    struct regex_scan scan = regex_scan_start(regex, text);
    struct regex_match match;
    size_t kept = 0;
    status_code code;
    while ((code = regex_scan_next(&scan, &match, st)) == STATUS_OK && match.found) {
        size_t from = (size_t)(match.group[0].data - scan.text.data);
        strbuf_append(out, scan.text.data + kept, from - kept);
        strbuf_append_str(out, replacement);
        kept = from + match.group[0].length;
    }
    if (code == STATUS_OK) strbuf_append(out, text.data + kept, text.length - kept);
    return code;
}
