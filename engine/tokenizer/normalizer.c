#include "engine/tokenizer/normalizer.h"

#include <string.h>

#include "engine/base/utf8.h"
#include "engine/tokenizer/vocabulary.h"

status_code normalizer_add(struct normalizer *normalizer, struct normalizer_step step,
                           struct status *st)
{
    if (normalizer->n_steps == NORMALIZER_MAX_STEPS)
        return status_set(st, STATUS_UNSUPPORTED, "more than %d normalizer steps",
                          NORMALIZER_MAX_STEPS);
    normalizer->steps[normalizer->n_steps++] = step;
    return STATUS_OK;
}

static bool starts_with(struct text text, struct text prefix)
{
    return text.length >= prefix.length && memcmp(text.data, prefix.data, prefix.length) == 0;
}

static void replace_all(struct strbuf *out, struct text text, struct text from, struct text to)
{
    size_t kept = 0, at = 0;
    while (at + from.length <= text.length) {
        const char *hit = memchr(text.data + at, from.data[0], text.length - at);
        if (!hit) break;
        at = (size_t)(hit - text.data);
        if (!starts_with((struct text){hit, text.length - at}, from)) {
            at++;
            continue;
        }
        strbuf_append(out, text.data + kept, at - kept);
        strbuf_append(out, to.data, to.length);
        at += from.length;
        kept = at;
    }
    strbuf_append(out, text.data + kept, text.length - kept);
}

/* What counts as one character: a user-defined symbol, a code point, or an invalid byte. */
static size_t unit_length(const struct matcher *whole, struct text text)
{
    uint32_t cp;
    struct match match = {0};
    if (whole) match = matcher_longest(whole, text, false);
    if (match.length) return match.length;
    size_t used = utf8_decode(text.data, text.length, &cp);
    return used ? used : 1;
}

/* Drops spaces at both ends and all but one of each run, as SentencePiece's normalizer.cc does: a
 * user-defined symbol is taken whole, and space symbols at the end go with the spaces. */
static void collapse_spaces(struct strbuf *out, struct text text, const struct matcher *whole)
{
    bool after_space = true;
    while (text.length) {
        struct text unit = {text.data, unit_length(whole, text)};
        text.data += unit.length;
        text.length -= unit.length;
        while (after_space && unit.length && unit.data[0] == ' ') unit.data++, unit.length--;
        strbuf_append(out, unit.data, unit.length);
        if (unit.length) after_space = unit.data[unit.length - 1] == ' ';
    }
    while (out->length) {
        struct text end = {out->data, out->length};
        if (end.data[end.length - 1] == ' ')
            strbuf_truncate(out, end.length - 1);
        else if (end.length >= SPACE_SYMBOL_BYTES &&
                 starts_with(
                     (struct text){end.data + end.length - SPACE_SYMBOL_BYTES, SPACE_SYMBOL_BYTES},
                     text_of(SPACE_SYMBOL)))
            strbuf_truncate(out, end.length - SPACE_SYMBOL_BYTES);
        else
            break;
    }
}

static bool adds_prefix(const struct normalizer_step *step, struct text text, bool is_first)
{
    switch (step->kind) {
    case NORMALIZE_PREPEND:
        return true;
    case NORMALIZE_PREPEND_MISSING:
        return !starts_with(text, step->to);
    case NORMALIZE_PREPEND_FIRST:
        return is_first && !starts_with(text, step->to);
    default:
        return false;
    }
}

status_code normalizer_run(const struct normalizer *normalizer, struct text text, bool is_first,
                           struct strbuf scratch[2], struct text *out, struct status *st)
{
    for (int i = 0; i < normalizer->n_steps && text.length; i++) {
        const struct normalizer_step *step = &normalizer->steps[i];
        struct strbuf *to = text.data == scratch[0].data ? &scratch[1] : &scratch[0];
        strbuf_clear(to);
        if (step->kind == NORMALIZE_REPLACE) {
            replace_all(to, text, step->from, step->to);
        } else if (step->kind == NORMALIZE_COLLAPSE) {
            collapse_spaces(to, text, normalizer->whole);
        } else {
            if (adds_prefix(step, text, is_first))
                strbuf_append(to, step->to.data, step->to.length);
            strbuf_append(to, text.data, text.length);
        }
        status_code code = strbuf_check(to, "normalized text", st);
        if (code != STATUS_OK) return code;
        text = (struct text){to->data, to->length};
    }
    *out = text;
    return STATUS_OK;
}
