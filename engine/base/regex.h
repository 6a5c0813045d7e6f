/* regex.h - regular expressions with the meaning that Python's `re` gives them, over PCRE2.
 *
 *   regex_compile() -> a pattern, immutable and shared -> regex_scan_next() -> matches
 *
 * Patterns and texts are UTF-8 and classes such as \d are Unicode, as for a Python str.  `$`
 * matches at the end and before a final newline; `.` matches anything but a newline.  Matching is
 * bounded in steps, so that a pattern that backtracks without end fails with STATUS_LIMIT.
 *
 *   struct regex_scan scan = regex_scan_start(re, text);
 *   while ((code = regex_scan_next(&scan, &match, st)) == STATUS_OK && match.found) ...
 */
#ifndef ASSAY_BASE_REGEX_H
#define ASSAY_BASE_REGEX_H

#include "engine/base/strbuf.h"
#include "engine/base/text.h"

#define REGEX_MAX_GROUPS 10

struct regex; /* opaque; a compiled pattern */

struct regex_match {
    bool found;
    int n_groups;                        /* capturing groups in the pattern */
    struct text group[REGEX_MAX_GROUPS]; /* [0] is the whole match; data NULL = did not take part */
};

/* A walk over the non-overlapping matches of one text: re.finditer(). */
struct regex_scan {
    const struct regex *regex;
    struct text text;
    size_t position;
    bool must_advance; /* the last match was empty: the next may not be empty at `position` */
    bool is_valid;     /* the text has been checked to be UTF-8 */
};

/* Fails with STATUS_BAD_INPUT on a pattern that is malformed or has too many groups. */
status_code regex_compile(struct regex **out, const char *pattern, struct status *st) MUST_CHECK;
void regex_free(struct regex *regex);

/* For a pattern that is matched all the time: makes machine code of it where the system lets
 * programs do that.  The matches are the same. */
void regex_speed_up(struct regex *regex);

struct regex_scan regex_scan_start(const struct regex *regex, struct text text);

/* The next match; match->found is false when there are no more.  `text` must be valid UTF-8. */
status_code regex_scan_next(struct regex_scan *scan, struct regex_match *match,
                            struct status *st) MUST_CHECK;

/* Calls `visit` for each match from left to right, at less cost than a scan: for patterns that cut
 * a text into words.  The text is not looked through first: the caller knows that it is UTF-8.  A
 * visit that fails ends the walk with its code. */
typedef status_code regex_visit(void *user, struct text match, struct status *st);
status_code regex_each(const struct regex *regex, struct text text, regex_visit *visit, void *user,
                       struct status *st) MUST_CHECK;

/* Appends the text with every match replaced by `replacement`, taken literally: re.sub(). */
status_code regex_replace(const struct regex *regex, struct text text, const char *replacement,
                          struct strbuf *out, struct status *st) MUST_CHECK;

#endif
