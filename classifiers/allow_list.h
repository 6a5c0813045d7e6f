/* allow_list.h - what a policy lets through although a classifier objects to it.
 *
 *   "allow" of a policy -> allow_list_read() -> a list, immutable and shared
 *   blocked text -> allow_list_exempts_text()          the whole text may pass
 *                -> allow_list_mask() -> a text to judge again without what is allowed
 *
 * Three lists, each of which may be left out:
 *   phrases   words that are allowed where they stand, matched word for word as a word list does
 *   matches   patterns of stretches that are allowed where they stand
 *   texts     patterns of whole texts: a text passes when all of it, first byte to last, matches
 *
 * An allowed stretch does not excuse the text around it: it is replaced by a space and the rest is
 * judged again.  A pattern that matches the empty text is refused, for it would allow anything.  A
 * pattern that runs out of steps, or a text that is not UTF-8, allows nothing.  Used inside
 * classifiers/ only; the format is in classifiers/README.md.
 */
#ifndef ASSAY_ALLOW_LIST_H
#define ASSAY_ALLOW_LIST_H

#include "engine/base/json.h"

struct allow_list; /* opaque */

/* Reads the object; errors name the list and the entry. */
status_code allow_list_read(struct allow_list **out, const struct json_value *object,
                            struct status *st) MUST_CHECK;
void allow_list_free(struct allow_list *list);

/* Appends the list as one JSON object, its lists in fixed order, the empty ones left out. */
void allow_list_append(const struct allow_list *list, struct strbuf *out);

bool allow_list_exempts_text(const struct allow_list *list, struct text text);

/* Appends the text with every allowed stretch replaced by a space; *masked says whether there was
 * one. */
status_code allow_list_mask(const struct allow_list *list, struct text text, struct strbuf *out,
                            bool *masked, struct status *st) MUST_CHECK;

#endif
