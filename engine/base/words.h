/* words.h - the words that several modules use and the store keeps.
 *
 * Guards say them, scorers say them and reports count them; none of these modules may include
 * another, so the words live below all of them.  Every enum has its stored spelling here.
 */
#ifndef ASSAY_BASE_WORDS_H
#define ASSAY_BASE_WORDS_H

#include <stdbool.h>

/* What is done with a guard's verdicts: nothing is judged; judged and recorded; acted on. */
enum guard_mode { GUARD_OFF, GUARD_SHADOW, GUARD_ENFORCE };
const char *guard_mode_name(enum guard_mode mode); /* "off", "shadow", "enforce" */
bool guard_mode_find(const char *name, enum guard_mode *out);

/* Which text a guard looks at: the prompt or the reply. */
enum guard_stage { GUARD_INPUT, GUARD_OUTPUT, GUARD_STAGES };
const char *guard_stage_name(enum guard_stage stage); /* "input", "output" */
bool guard_stage_find(const char *name, enum guard_stage *out);

enum guard_verdict { GUARD_ALLOW, GUARD_BLOCK, GUARD_ERROR };
const char *guard_verdict_name(enum guard_verdict verdict); /* "allow", "block", "error" */

/* How a sample ended, the same in every benchmark. */
enum outcome {
    OUTCOME_CORRECT,
    OUTCOME_WRONG,
    OUTCOME_EXTRACTION_FAILED,
    OUTCOME_TRUNCATED,
    OUTCOME_EMPTY,
    OUTCOME_REFUSED,
    OUTCOME_BLOCKED_INPUT,
    OUTCOME_BLOCKED_OUTPUT,
    OUTCOME_EXECUTION_TIMEOUT,
    OUTCOME_EXECUTION_FAILED,
    OUTCOME_INFRASTRUCTURE_ERROR
};
#define OUTCOMES 11
const char *outcome_name(enum outcome outcome);

#endif
