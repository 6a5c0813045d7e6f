/* published.h - what others report, to stand beside what was measured here.
 *
 *   published_load() -> rows of (model, set, protocol, metric, value, source)
 *   published_append_table(), published_append_json() -> for people, for programs
 *
 * The figures are data (published/NAME.json) inside the program, each with its source; nothing is
 * derived from them.  They are there to be looked at: protocols differ, and are often not stated.
 *
 *   struct published *figures;
 *   if (published_load(&figures, "guards", st) != STATUS_OK) ...
 *   published_append_table(figures, NULL, 0, out);
 *   published_free(figures);
 */
#ifndef ASSAY_PUBLISHED_H
#define ASSAY_PUBLISHED_H

#include "engine/base/strbuf.h"
#include "engine/base/text.h"

struct published; /* opaque; immutable */

struct published_row {
    const char *model;
    const char *set;      /* the data set, or the task as this program names it */
    const char *protocol; /* "" where the file names none */
    const char *metric;
    double value;
    const char *source; /* a whole citation */
};

/* "guards" or "benchmarks". */
status_code published_load(struct published **out, const char *name, struct status *st) MUST_CHECK;

/* The same from text at hand; `source` takes the place of the file's name in errors. */
status_code published_parse(struct published **out, struct text json, const char *source,
                            struct status *st) MUST_CHECK;
void published_free(struct published *figures);

size_t published_count(const struct published *figures);
const struct published_row *published_at(const struct published *figures, size_t index);
const char *published_note(const struct published *figures);

/* The rows whose set is one of the n names, all of them where n is 0; then their sources. */
void published_append_table(const struct published *figures, const char *const *sets, size_t n,
                            struct strbuf *out);
void published_append_json(const struct published *figures, const char *const *sets, size_t n,
                           struct strbuf *out); /* an array */

#endif
