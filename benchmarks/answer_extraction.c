#include "benchmarks/answer_extraction.h"

#include <stdlib.h>

#include "engine/base/limits.h"
#include "engine/base/regex.h"
#include "engine/base/utf8.h"

struct answer_checker {
    const struct answer_extraction *rules;
    int n_rules;
    struct regex **patterns; /* (n_rules) */
    bool ignore_case, ignore_punctuation;
    int n_ignored;
    struct regex *ignored[EXACT_MATCH_MAX_REGEXES];
};

static status_code compile_rules(struct answer_checker *checker,
                                 const struct exact_match_options *options, struct status *st)
{
    status_code code = STATUS_OK;
    for (int i = 0; i < checker->n_rules && code == STATUS_OK; i++) {
        if (!checker->rules[i].pattern) continue;
        code = regex_compile(&checker->patterns[i], checker->rules[i].pattern, st);
        if (code != STATUS_OK) status_prefix(st, "extraction %s", checker->rules[i].name);
    }
    for (int i = 0; i < EXACT_MATCH_MAX_REGEXES && code == STATUS_OK; i++) {
        if (!options->regexes_to_ignore[i]) break;
        code = regex_compile(&checker->ignored[i], options->regexes_to_ignore[i], st);
        checker->n_ignored += code == STATUS_OK;
    }
    return code;
}

status_code answer_checker_create(struct answer_checker **out,
                                  const struct answer_extraction *extractions, int n,
                                  const struct exact_match_options *options, struct status *st)
{
    struct answer_checker *checker = calloc(1, sizeof *checker);
    if (!checker) return status_no_memory(st, "answer extraction");
    checker->rules = extractions;
    checker->n_rules = n;
    checker->ignore_case = options->ignore_case;
    checker->ignore_punctuation = options->ignore_punctuation;
    checker->patterns = calloc((size_t)n + 1, sizeof(struct regex *));
    status_code code = checker->patterns ? compile_rules(checker, options, st)
                                         : status_no_memory(st, "answer extraction");
    if (code != STATUS_OK) {
        answer_checker_free(checker);
        return code;
    }
    *out = checker;
    return STATUS_OK;
}

void answer_checker_free(struct answer_checker *checker)
{
    if (!checker) return;
    for (int i = 0; checker->patterns && i < checker->n_rules; i++)
        regex_free(checker->patterns[i]);
    for (int i = 0; i < checker->n_ignored; i++) regex_free(checker->ignored[i]);
    free(checker->patterns);
    free(checker);
}

int answer_checker_count(const struct answer_checker *checker)
{
    return checker->n_rules;
}

const struct answer_extraction *answer_checker_rule(const struct answer_checker *checker, int index)
{
    return &checker->rules[index];
}

/* ---- extraction ---- */

/* What findall() lists for a match, and what the filter makes of a tuple: the whole match, the only
 * group, or the first group that is not empty.  A group that took no part is an empty string. */
static bool listed_text(const struct regex_match *match, struct text *out)
{
    if (match->n_groups <= 1) {
        *out = match->group[match->n_groups];
        return true;
    }
    for (int i = 1; i <= match->n_groups; i++) {
        *out = match->group[i];
        if (out->length) return true;
    }
    return false;
}

static status_code count_matches(const struct regex *pattern, struct text text, long *count,
                                 struct status *st)
{
    struct regex_scan scan = regex_scan_start(pattern, text);
    struct regex_match match;
    status_code code;
    *count = 0;
    while ((code = regex_scan_next(&scan, &match, st)) == STATUS_OK && match.found) ++*count;
    return code;
}

static status_code select_match(const struct regex *pattern, struct text text, int group_select,
                                struct text *out, bool *found, struct status *st)
{
    long wanted = group_select;
    *found = false;
    if (wanted < 0) {
        long count;
        status_code code = count_matches(pattern, text, &count, st);
        if (code != STATUS_OK) return code;
        wanted += count;
        if (wanted < 0) return STATUS_OK;
    }
    struct regex_scan scan = regex_scan_start(pattern, text);
    struct regex_match match;
    for (long i = 0; i <= wanted; i++) {
        status_code code = regex_scan_next(&scan, &match, st);
        if (code != STATUS_OK || !match.found) return code;
    }
    *found = listed_text(&match, out);
    return STATUS_OK;
}

status_code answer_checker_extract(const struct answer_checker *checker, int index,
                                   struct text reply, struct strbuf *out, bool *found,
                                   struct status *st)
{
    const struct answer_extraction *rule = &checker->rules[index];
    struct strbuf valid;
    strbuf_init(&valid, 3 * (size_t)LIMIT_REPLY_BYTES); /* U+FFFD is three bytes */
    utf8_append_valid(&valid, reply);
    struct text taken = {0}, whole = {valid.data, valid.length};
    status_code code = strbuf_check(&valid, "reply", st);
    if (code == STATUS_OK && rule->pattern)
        code = select_match(checker->patterns[index], whole, rule->group_select, &taken, found, st);
    if (code == STATUS_OK && !rule->pattern) {
        *found = true;
        taken = whole;
    }
    if (code == STATUS_OK) {
        taken = *found ? utf8_strip(taken) : text_of(EXTRACTION_INVALID);
        strbuf_append(out, taken.data, taken.length);
        code = strbuf_check(out, "extracted answer", st);
    }
    strbuf_release(&valid);
    return code;
}

/* ---- exact match ---- */

/* Replaces *text by itself without what the pattern matches. */
static status_code delete_matches(const struct regex *pattern, struct strbuf *text,
                                  struct status *st)
{
    struct strbuf rest;
    strbuf_init(&rest, text->max_bytes);
    status_code code =
        regex_replace(pattern, (struct text){text->data, text->length}, "", &rest, st);
    if (code == STATUS_OK) code = strbuf_check(&rest, "answer", st);
    if (code == STATUS_OK) {
        strbuf_release(text);
        *text = rest;
    } else {
        strbuf_release(&rest);
    }
    return code;
}

static status_code lower(struct strbuf *text, struct status *st)
{
    struct strbuf lowered;
    strbuf_init(&lowered, text->max_bytes);
    utf8_append_lower(&lowered, (struct text){text->data, text->length});
    status_code code = strbuf_check(&lowered, "answer", st);
    strbuf_release(text);
    *text = lowered;
    return code;
}

/* Python's string.punctuation. */
static void delete_punctuation(struct strbuf *text)
{
    size_t kept = 0;
    for (size_t i = 0; i < text->length; i++) {
        char c = text->data[i];
        bool printed = c > ' ' && c < 0x7f;
        bool plain = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
        if (!printed || plain) text->data[kept++] = c;
    }
    text->length = kept;
    if (text->data) text->data[kept] = '\0';
}

/* Initialises `out`; the caller releases it, also after a failure. */
static status_code normalise(const struct answer_checker *checker, struct text text,
                             struct strbuf *out, struct status *st)
{
    strbuf_init(out, 3 * (size_t)LIMIT_REPLY_BYTES);
    utf8_append_valid(out, text);
    status_code code = strbuf_check(out, "answer", st);
    for (int i = 0; i < checker->n_ignored && code == STATUS_OK; i++)
        code = delete_matches(checker->ignored[i], out, st);
    if (code == STATUS_OK && checker->ignore_case) code = lower(out, st);
    if (code == STATUS_OK && checker->ignore_punctuation) delete_punctuation(out);
    return code;
}

status_code answer_checker_matches(const struct answer_checker *checker, struct text prediction,
                                   struct text target, bool *equal, struct status *st)
{
    struct strbuf left, right;
    strbuf_init(&right, 0);
    status_code code = normalise(checker, prediction, &left, st);
    if (code == STATUS_OK) code = normalise(checker, target, &right, st);
    if (code == STATUS_OK)
        *equal = text_equal((struct text){left.data, left.length},
                            (struct text){right.data, right.length});
    strbuf_release(&left);
    strbuf_release(&right);
    return code;
}
