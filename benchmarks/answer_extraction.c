#include "benchmarks/answer_extraction.h"

#include <stdlib.h>

#include "engine/base/limits.h"
#include "engine/base/regex.h"
#include "engine/base/utf8.h"

/* An extraction's steps with their patterns. */
struct compiled_rule {
    struct extraction_step own; /* of a rule that names no steps */
    const struct extraction_step *steps;
    struct regex **patterns; /* (n); NULL where the step has none */
    int n;
};

struct answer_checker {
    const struct answer_extraction *rules;
    int n_rules;
    struct compiled_rule *compiled; /* (n_rules) */
    bool ignore_case, ignore_punctuation, ignore_numbers;
    int n_ignored;
    struct regex *ignored[EXACT_MATCH_MAX_REGEXES];
};

static status_code compile_rule(struct compiled_rule *out, const struct answer_extraction *rule,
                                struct status *st)
{
    out->own = (struct extraction_step){
        .kind = rule->pattern ? EXTRACT_REGEX : EXTRACT_STRIP,
        .pattern = rule->pattern,
        .group_select = rule->group_select,
    };
    out->steps = rule->steps ? rule->steps : &out->own;
    out->patterns = calloc((size_t)rule->n_steps + 1, sizeof(struct regex *));
    if (!out->patterns) return status_no_memory(st, "answer extraction");
    out->n = rule->steps ? rule->n_steps : 1;
    status_code code = STATUS_OK;
    for (int i = 0; i < out->n && code == STATUS_OK; i++)
        if (out->steps[i].kind == EXTRACT_REGEX)
            code = regex_compile(&out->patterns[i], out->steps[i].pattern, st);
    return code == STATUS_OK ? code : status_prefix(st, "extraction %s", rule->name);
}

static status_code compile_rules(struct answer_checker *checker,
                                 const struct exact_match_options *options, struct status *st)
{
    status_code code = STATUS_OK;
    for (int i = 0; i < checker->n_rules && code == STATUS_OK; i++)
        code = compile_rule(&checker->compiled[i], &checker->rules[i], st);
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
    checker->ignore_numbers = options->ignore_numbers;
    checker->compiled = calloc((size_t)n + 1, sizeof *checker->compiled);
    status_code code = checker->compiled ? compile_rules(checker, options, st)
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
    for (int i = 0; checker->compiled && i < checker->n_rules; i++) {
        for (int s = 0; s < checker->compiled[i].n; s++)
            regex_free(checker->compiled[i].patterns[s]);
        free(checker->compiled[i].patterns);
    }
    for (int i = 0; i < checker->n_ignored; i++) regex_free(checker->ignored[i]);
    free(checker->compiled);
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

/* Replaces *text by what a step makes of it. */
static status_code take_step(const struct extraction_step *step, const struct regex *pattern,
                             struct strbuf *text, bool *found, struct status *st)
{
    struct text taken = {0}, whole = {text->data, text->length};
    struct strbuf next;
    bool matched = true;
    status_code code = STATUS_OK;
    strbuf_init(&next, text->max_bytes);
    if (step->kind == EXTRACT_REGEX) {
        code = select_match(pattern, whole, step->group_select, &taken, &matched, st);
        if (!matched) taken = text_of(step->fallback ? step->fallback : EXTRACTION_INVALID);
        if (matched) taken = utf8_strip(taken);
        *found = *found && matched;
    } else {
        taken = step->kind == EXTRACT_STRIP ? utf8_strip(whole) : whole;
    }
    if (code == STATUS_OK && step->kind == EXTRACT_LOWER)
        utf8_append_lower(&next, taken);
    else if (code == STATUS_OK && step->kind == EXTRACT_UPPER)
        utf8_append_upper(&next, taken);
    else if (code == STATUS_OK)
        strbuf_append(&next, taken.data, taken.length);
    strbuf_release(text);
    *text = next;
    return code == STATUS_OK ? strbuf_check(text, "extracted answer", st) : code;
}

status_code answer_checker_extract(const struct answer_checker *checker, int index,
                                   struct text reply, struct strbuf *out, bool *found,
                                   struct status *st)
{
    const struct compiled_rule *rule = &checker->compiled[index];
    struct strbuf text;
    strbuf_init(&text, 3 * (size_t)LIMIT_REPLY_BYTES); /* U+FFFD is three bytes */
    utf8_append_valid(&text, reply);
    *found = true;
    status_code code = strbuf_check(&text, "reply", st);
    for (int i = 0; i < rule->n && code == STATUS_OK; i++)
        code = take_step(&rule->steps[i], rule->patterns[i], &text, found, st);
    if (code == STATUS_OK) {
        strbuf_append(out, text.data, text.length);
        code = strbuf_check(out, "extracted answer", st);
    }
    strbuf_release(&text);
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
static bool is_punctuation(char c)
{
    bool printed = c > ' ' && c < 0x7f;
    bool plain = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
    return printed && !plain;
}

/* Python's string.digits. */
static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static void delete_bytes(struct strbuf *text, bool (*unwanted)(char c))
{
    size_t kept = 0;
    for (size_t i = 0; i < text->length; i++)
        if (!unwanted(text->data[i])) text->data[kept++] = text->data[i];
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
    if (code == STATUS_OK && checker->ignore_punctuation) delete_bytes(out, is_punctuation);
    if (code == STATUS_OK && checker->ignore_numbers) delete_bytes(out, is_digit);
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
