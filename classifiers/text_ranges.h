/* text_ranges.h - stretches of a text, replaced all at once.
 *
 *   text_ranges_init() -> text_ranges_add() many times -> text_ranges_replace() -> a new text
 *
 * Ranges may come in any order and overlap; those that touch or overlap are replaced as one.  Each
 * is widened to whole characters, so that no half of one is left.  Used inside classifiers/ only.
 *
 *   struct text_ranges ranges;
 *   text_ranges_init(&ranges);
 *   if (text_ranges_add(&ranges, start, end, st) != STATUS_OK) ...
 *   if (text_ranges_replace(&ranges, text, "[redacted]", &out, st) != STATUS_OK) ...
 *   text_ranges_release(&ranges);
 */
#ifndef ASSAY_TEXT_RANGES_H
#define ASSAY_TEXT_RANGES_H

#include "engine/base/strbuf.h"
#include "engine/base/text.h"

struct text_range {
    size_t start, end; /* bytes; end is the first that is not in it */
};

struct text_ranges {
    struct text_range *at; /* owned */
    size_t count, room;
};

void text_ranges_init(struct text_ranges *ranges);
void text_ranges_release(struct text_ranges *ranges);

/* An empty range is left out. */
status_code text_ranges_add(struct text_ranges *ranges, size_t start, size_t end,
                            struct status *st) MUST_CHECK;

/* Appends the text with its ranges replaced.  Sorts the ranges. */
status_code text_ranges_replace(struct text_ranges *ranges, struct text text,
                                struct text replacement, struct strbuf *out,
                                struct status *st) MUST_CHECK;

#endif
