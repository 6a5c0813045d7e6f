/* guard_answer.h - what a guard model says, read while it says it.
 *
 *   pieces of the answer + margins at its verdicts -> guard_answer_add() -> hazard scores
 *
 * A `guard_answer_reader` looks for the answers of a definition in their order, one on a line.
 * Where a verdict's label comes next it asks for the margin: the log-odds of the unsafe labels
 * against the safe ones.  An answer that does not have the form is a failure, never "safe".
 *
 *   guard_answer_init(&reader, definition, is_response);
 *   while (!guard_answer_done(&reader)) {
 *       const struct guard_answer *due = guard_answer_due(&reader);
 *       ... the next token; if (due) guard_answer_margin(&reader, margin) ...
 *       code = guard_answer_add(&reader, piece, st), or guard_answer_end(&reader, st)
 *   }
 *   reader.scores
 *
 * Used inside classifiers/ only.
 */
#ifndef ASSAY_GUARD_ANSWER_H
#define ASSAY_GUARD_ANSWER_H

#include "classifiers/classifier.h"
#include "classifiers/guard_definition.h"

#define GUARD_ANSWER_BYTES    4096
#define GUARD_NOT_NAMED_LOGIT (-30.0) /* of a category that the guard could have named */

struct guard_answer_reader {
    const struct guard_definition *definition;
    bool is_response;
    int next;                   /* index of the answer that is looked for or under way */
    bool under_way;             /* its label or its list has begun */
    bool line_taken;            /* the line that is being read has had its answer */
    double margin;              /* of the last verdict */
    bool is_unsafe;             /* what the last verdict says */
    size_t line, field, length; /* starts in `text`, and its end */
    char text[GUARD_ANSWER_BYTES];
    struct hazard_scores scores;
};

void guard_answer_init(struct guard_answer_reader *reader,
                       const struct guard_definition *definition, bool is_response);

/* Whether everything has been read that is wanted. */
bool guard_answer_done(const struct guard_answer_reader *reader);

/* The verdict whose label starts with the next token; NULL when that is any other token. */
const struct guard_answer *guard_answer_due(struct guard_answer_reader *reader);
void guard_answer_margin(struct guard_answer_reader *reader, double margin);

/* The next token's bytes; the end of the answer. */
status_code guard_answer_add(struct guard_answer_reader *reader, struct text piece,
                             struct status *st) MUST_CHECK;
status_code guard_answer_end(struct guard_answer_reader *reader, struct status *st) MUST_CHECK;

/* The hazard score of a margin. */
struct hazard_score guard_answer_score(double margin);

#endif
