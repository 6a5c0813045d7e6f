/* answer_extraction.h - from a free reply to the answer in it, by the rules of lm-eval's filters.
 *
 *   answer_extraction (a regex as data) + reply -> the extracted text, or "[invalid]"
 *   extracted text + target -> exact match, after the same deletions on both
 *
 * Protocol parity needs Python's rules to the letter: re.findall() and its choice between whole
 * match, group and tuple, a negative index from the end, str.strip(), re.sub() in list order.
 *
 * An `answer_checker` holds the compiled rules of one task.  It is immutable and may be shared.
 *
 *   struct answer_checker *checker;
 *   if (answer_checker_create(&checker, task->extractions, n, &task->exact_match, st) ...
 *   if (answer_checker_extract(checker, 0, reply, &extracted, &found, st) != STATUS_OK) ...
 *   if (answer_checker_matches(checker, extracted_text, target, &equal, st) != STATUS_OK) ...
 *   answer_checker_free(checker);
 */
#ifndef ASSAY_ANSWER_EXTRACTION_H
#define ASSAY_ANSWER_EXTRACTION_H

#include "engine/base/status.h"
#include "engine/base/strbuf.h"
#include "engine/base/text.h"

#define EXACT_MATCH_MAX_REGEXES 8
#define EXTRACTION_INVALID      "[invalid]"

/* One of lm-eval's filters.  Its regex filter takes match number `group_select` of findall(),
 * counted from the end when it is negative; of several groups the first that is not empty;
 * stripped.
 */
enum extraction_kind { EXTRACT_REGEX, EXTRACT_STRIP, EXTRACT_LOWER, EXTRACT_UPPER };
struct extraction_step {
    enum extraction_kind kind;
    const char *pattern; /* of EXTRACT_REGEX */
    int group_select;
    const char *fallback; /* what a regex without a match gives; NULL: EXTRACTION_INVALID */
};

struct answer_extraction {
    const char *name;    /* "strict-match"; NULL ends a list */
    const char *pattern; /* one regex; NULL: the whole reply, stripped (its remove_whitespace) */
    int group_select;
    /* In place of the two before: one step after the other.  No steps at all leave the reply as it
     * is.  NULL: the two before. */
    const struct extraction_step *steps;
    int n_steps;
    /* Above 0: what most of the document's first so many replies say counts for all of them
     * (lm-eval's take_first_k and majority_vote); VOTES_ALL: of all its replies. */
    int votes;
};
#define VOTES_ALL (-1)

/* lm-eval's exact_match: deletions by regex in list order, then lower case, then without ASCII
 * punctuation, then without digits. */
struct exact_match_options {
    const char *regexes_to_ignore[EXACT_MATCH_MAX_REGEXES]; /* NULL ends the list */
    bool ignore_case;
    bool ignore_punctuation;
    bool ignore_numbers;
};

struct answer_checker; /* opaque */

/* The rules must outlive the checker.  `n` may be 0. */
status_code answer_checker_create(struct answer_checker **out,
                                  const struct answer_extraction *extractions, int n,
                                  const struct exact_match_options *options,
                                  struct status *st) MUST_CHECK;
void answer_checker_free(struct answer_checker *checker);

int answer_checker_count(const struct answer_checker *checker);
const struct answer_extraction *answer_checker_rule(const struct answer_checker *checker,
                                                    int index);

/* Appends what extraction `index` takes from the reply; *found is false, and the text is
 * EXTRACTION_INVALID or another fallback, when a regex had nothing to take.  Invalid UTF-8 counts
 * as U+FFFD. */
status_code answer_checker_extract(const struct answer_checker *checker, int index,
                                   struct text reply, struct strbuf *out, bool *found,
                                   struct status *st) MUST_CHECK;

status_code answer_checker_matches(const struct answer_checker *checker, struct text prediction,
                                   struct text target, bool *equal, struct status *st) MUST_CHECK;

#endif
