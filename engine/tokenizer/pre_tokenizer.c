#include "engine/tokenizer/pre_tokenizer.h"

#include <stdlib.h>
#include <string.h>

#include "engine/base/limits.h"
#include "engine/base/utf8.h"

/* ---- patterns ---- */

/* White_Space, as a part of a bracketed class: PCRE2's \s has U+180E as well. */
#define WHITE_SPACE "\\x09-\\x0d\\x{85}\\p{Z}"

static status_code refuse_pattern(struct text pattern, const char *what, struct status *st)
{
    return status_set(st, STATUS_UNSUPPORTED, "pattern \"%.*s\": %s is not supported",
                      TEXT_ARGS(pattern), what);
}

/* One escape at `p`, which is not the last character. */
static status_code translate_escape(struct strbuf *out, struct text pattern, const char *p,
                                    bool in_class, struct status *st)
{
    if (p[1] == 's') {
        strbuf_append_str(out, in_class ? WHITE_SPACE : "[" WHITE_SPACE "]");
    } else if (p[1] == 'S') {
        if (in_class) return refuse_pattern(pattern, "\\S in brackets", st);
        strbuf_append_str(out, "[^" WHITE_SPACE "]");
    } else if (strchr("hHRXKGOyYZgk", p[1])) {
        return refuse_pattern(pattern, "an escape of this kind", st);
    } else {
        strbuf_append(out, p, 2);
    }
    return STATUS_OK;
}

status_code pre_tokenizer_translate(struct strbuf *out, struct text pattern, struct status *st)
{
    bool in_class = false;
    for (size_t i = 0; i < pattern.length; i++) {
        const char *p = pattern.data + i;
        bool last = i + 1 == pattern.length;
        if (*p == '\\' && !last) {
            status_code code = translate_escape(out, pattern, p, in_class, st);
            if (code != STATUS_OK) return code;
            i++;
            continue;
        }
        if (!*p) return refuse_pattern(pattern, "a NUL", st);
        if (!in_class && (*p == '^' || *p == '$')) return refuse_pattern(pattern, "an anchor", st);
        if (in_class && !last && p[0] == '&' && p[1] == '&')
            return refuse_pattern(pattern, "an intersection of classes", st);
        if (in_class && *p == '[' && (last || p[1] != ':'))
            return refuse_pattern(pattern, "a class in a class", st);
        strbuf_append_char(out, *p);
        if (!in_class && *p == '[') {
            in_class = true;
            if (!last && p[1] == '^') strbuf_append_char(out, pattern.data[++i]);
        } else if (in_class && *p == ']') {
            in_class = false;
        }
    }
    return strbuf_check(out, "a pattern", st);
}

status_code pre_tokenizer_compile(struct regex **out, struct text pattern, struct status *st)
{
    struct strbuf translated;
    strbuf_init(&translated, LIMIT_PATTERN_BYTES);
    status_code code = pre_tokenizer_translate(&translated, pattern, st);
    if (code == STATUS_OK) code = regex_compile(out, translated.data, st);
    strbuf_release(&translated);
    if (code == STATUS_OK) regex_speed_up(*out);
    return code;
}

/* ---- building ---- */

static status_code next_step(struct pre_tokenizer *pre, struct pre_tokenizer_step **step,
                             struct status *st)
{
    if (pre->n_steps == PRE_TOKENIZER_MAX_STEPS)
        return status_set(st, STATUS_UNSUPPORTED, "more than %d pre_tokenizer steps",
                          PRE_TOKENIZER_MAX_STEPS);
    *step = &pre->steps[pre->n_steps];
    **step = (struct pre_tokenizer_step){0};
    return STATUS_OK;
}

status_code pre_tokenizer_add_split(struct pre_tokenizer *pre, struct text pattern,
                                    enum split_behaviour behaviour, bool invert, struct status *st)
{
    struct pre_tokenizer_step *step = NULL;
    status_code code = next_step(pre, &step, st);
    if (code == STATUS_OK) code = pre_tokenizer_compile(&step->regex, pattern, st);
    if (code != STATUS_OK) return code;
    step->pattern = strndup(pattern.data, pattern.length);
    if (!step->pattern) {
        regex_free(step->regex);
        return status_no_memory(st, "a pattern");
    }
    sha256_text(pattern, step->pattern_sha256);
    step->behaviour = behaviour;
    step->invert = invert;
    pre->n_steps++;
    return STATUS_OK;
}

status_code pre_tokenizer_add_rewrite(struct pre_tokenizer *pre, struct normalizer **rewrite,
                                      struct status *st)
{
    struct pre_tokenizer_step *step = NULL;
    status_code code = next_step(pre, &step, st);
    if (code != STATUS_OK) return code;
    *rewrite = &step->rewrite;
    pre->n_steps++;
    return STATUS_OK;
}

void pre_tokenizer_release(struct pre_tokenizer *pre)
{
    for (int i = 0; i < pre->n_steps; i++) {
        regex_free(pre->steps[i].regex);
        free(pre->steps[i].pattern);
        normalizer_release(&pre->steps[i].rewrite);
    }
    *pre = (struct pre_tokenizer){0};
}

void pre_tokenizer_scratch_init(struct pre_tokenizer_scratch *scratch, size_t max_bytes)
{
    for (int i = 0; i < PRE_TOKENIZER_MAX_STEPS; i++)
        for (int j = 0; j < 2; j++) strbuf_init(&scratch->rewritten[i][j], max_bytes);
}

void pre_tokenizer_scratch_release(struct pre_tokenizer_scratch *scratch)
{
    for (int i = 0; i < PRE_TOKENIZER_MAX_STEPS; i++)
        for (int j = 0; j < 2; j++) strbuf_release(&scratch->rewritten[i][j]);
}

/* ---- cutting ---- */

struct walk {
    const struct pre_tokenizer *pre;
    struct pre_tokenizer_scratch *scratch;
    pre_tokenizer_word *on_word;
    void *user;
};

/* One step over one word. */
struct cut {
    const struct walk *walk;
    const struct pre_tokenizer_step *step;
    int next;         /* the step after this one */
    struct text text; /* the word */
    size_t at;        /* what was looked at */
    bool is_first;
    struct text held; /* not passed on yet; {0} is nothing */
    bool held_match;  /* whether `held` is a match, and may still grow */
};

static status_code run_steps(const struct walk *walk, int step, struct text text, bool is_first,
                             struct status *st);

static status_code pass_on(struct cut *cut, struct text word, struct status *st)
{
    if (!word.length) return STATUS_OK;
    return run_steps(cut->walk, cut->next, word, cut->is_first && word.data == cut->text.data, st);
}

/* Passes on what is held and holds a new word. */
static status_code hold(struct cut *cut, struct text word, bool is_match, struct status *st)
{
    struct text before = cut->held;
    cut->held = word;
    cut->held_match = is_match;
    return pass_on(cut, before, st);
}

static status_code take(struct cut *cut, struct text word, bool is_match, struct status *st)
{
    bool grows = false;
    if (!word.length) return STATUS_OK;
    switch (cut->step->behaviour) {
    case SPLIT_ISOLATED:
        return pass_on(cut, word, st);
    case SPLIT_REMOVED:
        return is_match ? STATUS_OK : pass_on(cut, word, st);
    case SPLIT_CONTIGUOUS:
        grows = cut->held.length && is_match == cut->held_match;
        break;
    case SPLIT_MERGED_WITH_PREVIOUS:
        grows = cut->held.length && is_match && !cut->held_match;
        break;
    case SPLIT_MERGED_WITH_NEXT:
        grows = cut->held.length && !is_match && cut->held_match;
        break;
    }
    if (!grows) return hold(cut, word, is_match, st);
    cut->held.length += word.length;
    cut->held_match = is_match;
    return STATUS_OK;
}

static status_code visit_match(void *user, struct text match, struct status *st)
{
    struct cut *cut = user;
    size_t from = (size_t)(match.data - cut->text.data);
    struct text between = {cut->text.data + cut->at, from - cut->at};
    status_code code = take(cut, between, cut->step->invert, st);
    cut->at = from + match.length;
    return code == STATUS_OK ? take(cut, match, !cut->step->invert, st) : code;
}

static status_code cut_word(const struct walk *walk, int step, struct text text, bool is_first,
                            struct status *st)
{
    struct cut cut = {
        .walk = walk,
        .step = &walk->pre->steps[step],
        .next = step + 1,
        .text = text,
        .is_first = is_first,
    };
    status_code code = regex_each(cut.step->regex, text, visit_match, &cut, st);
    struct text rest = {text.data + cut.at, text.length - cut.at};
    if (code == STATUS_OK) code = take(&cut, rest, cut.step->invert, st);
    return code == STATUS_OK ? pass_on(&cut, cut.held, st) : code;
}

/* At most PRE_TOKENIZER_MAX_STEPS deep. */
static status_code run_steps(const struct walk *walk, int step, struct text text, bool is_first,
                             struct status *st)
{
    if (step == walk->pre->n_steps) return walk->on_word(walk->user, text, st);
    if (walk->pre->steps[step].regex) return cut_word(walk, step, text, is_first, st);
    status_code code = normalizer_run(&walk->pre->steps[step].rewrite, text, is_first,
                                      walk->scratch->rewritten[step], &text, st);
    if (code != STATUS_OK || !text.length) return code;
    return run_steps(walk, step + 1, text, is_first, st);
}

static bool has_patterns(const struct pre_tokenizer *pre)
{
    for (int i = 0; i < pre->n_steps; i++)
        if (pre->steps[i].regex) return true;
    return false;
}

status_code pre_tokenizer_run(const struct pre_tokenizer *pre, struct text text, bool is_first,
                              struct pre_tokenizer_scratch *scratch, pre_tokenizer_word *on_word,
                              void *user, struct status *st)
{
    struct walk walk = {pre, scratch, on_word, user};
    if (!text.length) return STATUS_OK;
    if (!has_patterns(pre)) return run_steps(&walk, 0, text, is_first, st);
    for (size_t start = 0, i = 0; i < text.length; start = i) {
        i += utf8_valid_length((struct text){text.data + i, text.length - i});
        struct text valid = {text.data + start, i - start};
        status_code code = STATUS_OK;
        if (valid.length) code = run_steps(&walk, 0, valid, is_first && !start, st);
        if (code == STATUS_OK && i < text.length)
            code = on_word(user, (struct text){text.data + i++, 1}, st);
        if (code != STATUS_OK) return code;
    }
    return STATUS_OK;
}
