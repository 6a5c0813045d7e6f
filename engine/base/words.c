#include "engine/base/words.h"

#include <string.h>

const char *guard_mode_name(enum guard_mode mode)
{
    static const char *const names[] = {"off", "shadow", "enforce"};
    return names[mode];
}

bool guard_mode_find(const char *name, enum guard_mode *out)
{
    for (int mode = GUARD_OFF; mode <= GUARD_ENFORCE; mode++)
        if (strcmp(name, guard_mode_name((enum guard_mode)mode)) == 0) {
            *out = (enum guard_mode)mode;
            return true;
        }
    return false;
}

const char *guard_stage_name(enum guard_stage stage)
{
    static const char *const names[GUARD_STAGES] = {"input", "output"};
    return names[stage];
}

bool guard_stage_find(const char *name, enum guard_stage *out)
{
    for (int s = 0; s < GUARD_STAGES; s++) {
        *out = (enum guard_stage)s;
        if (strcmp(name, guard_stage_name(*out)) == 0) return true;
    }
    return false;
}

const char *guard_verdict_name(enum guard_verdict verdict)
{
    static const char *const names[] = {"allow", "block", "error"};
    return names[verdict];
}

const char *outcome_name(enum outcome outcome)
{
    static const char *const names[OUTCOMES] = {
        [OUTCOME_CORRECT] = "correct",
        [OUTCOME_WRONG] = "wrong",
        [OUTCOME_EXTRACTION_FAILED] = "extraction_failed",
        [OUTCOME_TRUNCATED] = "truncated",
        [OUTCOME_EMPTY] = "empty",
        [OUTCOME_REFUSED] = "refused",
        [OUTCOME_BLOCKED_INPUT] = "blocked_input",
        [OUTCOME_BLOCKED_OUTPUT] = "blocked_output",
        [OUTCOME_EXECUTION_TIMEOUT] = "execution_timeout",
        [OUTCOME_EXECUTION_FAILED] = "execution_failed",
        [OUTCOME_INFRASTRUCTURE_ERROR] = "infrastructure_error",
    };
    return names[outcome];
}
