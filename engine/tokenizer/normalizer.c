#include "engine/tokenizer/normalizer.h"

#include <string.h>

#include "engine/base/utf8.h"
#include "engine/tokenizer/vocabulary.h"

status_code normalizer_add(struct normalizer *normalizer, struct normalizer_step step,
                           struct status *st)
{
    if (normalizer->n_steps == NORMALIZER_MAX_STEPS) {
        regex_free(step.pattern);
        return status_set(st, STATUS_UNSUPPORTED, "more than %d normalizer steps",
                          NORMALIZER_MAX_STEPS);
    }
    normalizer->steps[normalizer->n_steps++] = step;
    return STATUS_OK;
}

void normalizer_release(struct normalizer *normalizer)
{
    for (int i = 0; i < normalizer->n_steps; i++) regex_free(normalizer->steps[i].pattern);
    *normalizer = (struct normalizer){0};
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
    if (whole) match = matcher_longest(whole, text, 0);
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
    case NORMALIZE_PREPEND_START:
        return is_first;
    case NORMALIZE_PREPEND_MISSING:
        return !starts_with(text, step->to);
    case NORMALIZE_PREPEND_FIRST:
        return is_first && !starts_with(text, step->to);
    default:
        return false;
    }
}

/* ---- character by character ---- */

/* Chinese characters as BERT sees them; the gap before U+2B920 is Hugging Face's (bert.rs). */
static bool is_chinese(uint32_t cp)
{
    return (cp >= 0x4e00 && cp <= 0x9fff) || (cp >= 0x3400 && cp <= 0x4dbf) ||
           (cp >= 0x20000 && cp <= 0x2a6df) || (cp >= 0x2a700 && cp <= 0x2b73f) ||
           (cp >= 0x2b740 && cp <= 0x2b81f) || (cp >= 0x2b920 && cp <= 0x2ceaf) ||
           (cp >= 0xf900 && cp <= 0xfaff) || (cp >= 0x2f800 && cp <= 0x2fa1f);
}

/* bert.rs of the tokenizers library asks Unicode 8.0 (crate unicode_categories 0.1) what characters
 * are.  The nonspacing marks and the formats in these ranges came later, or were not yet that. */
static const uint32_t newer_marks[][2] = {
    {0x7fd, 0x7fd},     {0x898, 0x8e1},     {0x9fe, 0x9fe},     {0xafa, 0xaff},
    {0xb55, 0xb55},     {0xc04, 0xc3c},     {0xd00, 0xd00},     {0xd3b, 0xd3c},
    {0xd81, 0xd81},     {0xeba, 0xeba},     {0xece, 0xece},     {0x180f, 0x1886},
    {0x1abf, 0x1ace},   {0x1df6, 0x1dfb},   {0xa82c, 0xa82c},   {0xa8c5, 0xa8c5},
    {0xa8ff, 0xa8ff},   {0xa9bd, 0xa9bd},   {0x10d24, 0x10f85}, {0x11070, 0x11074},
    {0x110c2, 0x110c2}, {0x111c9, 0x111c9}, {0x111cf, 0x111cf}, {0x1123e, 0x11241},
    {0x1133b, 0x1133b}, {0x11438, 0x1145e}, {0x1182f, 0x13455}, {0x16f4f, 0x16f4f},
    {0x16fe4, 0x16fe4}, {0x1cf00, 0x1cf46}, {0x1e000, 0x1e4ef}, {0x1e944, 0x1e94a},
};
static const uint32_t newer_formats[][2] = {
    {0x890, 0x891}, {0x8e2, 0x8e2}, {0x110cd, 0x110cd}, {0x13430, 0x1343f}};

static bool is_among(uint32_t cp, const uint32_t ranges[][2], size_t n)
{
    size_t i = 0;
    while (i < n && cp > ranges[i][1]) i++;
    return i < n && cp >= ranges[i][0];
}

static bool is_accent(uint32_t cp)
{
    if (cp == 0x1734) return true; /* became a spacing mark */
    return utf8_is_nonspacing_mark(cp) &&
           !is_among(cp, newer_marks, sizeof newer_marks / sizeof newer_marks[0]);
}

static bool is_clean(uint32_t cp)
{
    if (cp == '\t' || cp == '\n' || cp == '\r') return true;
    return cp != 0xfffd &&
           (!utf8_is_formless(cp) ||
            is_among(cp, newer_formats, sizeof newer_formats / sizeof newer_formats[0]));
}

static void apply_to_character(struct strbuf *out, enum normalizer_kind kind, struct text bytes,
                               uint32_t cp)
{
    switch (kind) {
    case NORMALIZE_LOWER:
        utf8_append_lower(out, bytes);
        if (cp == 0x130) strbuf_append_str(out, "\xcc\x87"); /* the only one that becomes two */
        break;
    case NORMALIZE_STRIP_MARKS:
        if (!utf8_is_mark(cp)) strbuf_append(out, bytes.data, bytes.length);
        break;
    case NORMALIZE_STRIP_ACCENTS:
        if (!is_accent(cp)) strbuf_append(out, bytes.data, bytes.length);
        break;
    case NORMALIZE_CLEAN:
        if (!is_clean(cp)) break;
        if (utf8_is_white_space(cp))
            strbuf_append_char(out, ' ');
        else
            strbuf_append(out, bytes.data, bytes.length);
        break;
    default: /* NORMALIZE_APART */
        if (is_chinese(cp)) strbuf_append_char(out, ' ');
        strbuf_append(out, bytes.data, bytes.length);
        if (is_chinese(cp)) strbuf_append_char(out, ' ');
        break;
    }
}

/* What the steps make of one ASCII character: itself, a space, a small letter, or nothing (-1). */
static int of_ascii(enum normalizer_kind kind, char c)
{
    if (kind == NORMALIZE_LOWER) return c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c;
    if (kind != NORMALIZE_CLEAN) return c;
    if (c == ' ' || c == '\t' || c == '\n' || c == '\r') return ' ';
    return c > ' ' && c != 0x7f ? c : -1;
}

static void apply_to_ascii(struct strbuf *out, enum normalizer_kind kind, struct text text)
{
    char bytes[256];
    size_t n = 0;
    for (size_t i = 0; i < text.length; i++) {
        int to = of_ascii(kind, text.data[i]);
        if (to >= 0) bytes[n++] = (char)to;
        if (n == sizeof bytes || i + 1 == text.length) {
            strbuf_append(out, bytes, n);
            n = 0;
        }
    }
}

/* Invalid bytes stay. */
static void apply_to_each(struct strbuf *out, enum normalizer_kind kind, struct text text)
{
    for (size_t i = 0, used; i < text.length; i += used ? used : 1) {
        uint32_t cp;
        used = utf8_ascii_length((struct text){text.data + i, text.length - i});
        if (used) {
            apply_to_ascii(out, kind, (struct text){text.data + i, used});
            continue;
        }
        used = utf8_decode(text.data + i, text.length - i, &cp);
        if (used)
            apply_to_character(out, kind, (struct text){text.data + i, used}, cp);
        else
            strbuf_append_char(out, text.data[i]);
    }
}

static struct text strip(struct text text, bool left, bool right)
{
    uint32_t cp;
    size_t used;
    while (left && (used = utf8_decode(text.data, text.length, &cp)) != 0 &&
           utf8_is_white_space(cp))
        text.data += used, text.length -= used;
    while (right && text.length) {
        size_t start = text.length - 1;
        while (start && text.length - start < 4 && ((unsigned char)text.data[start] & 0xc0) == 0x80)
            start--;
        used = utf8_decode(text.data + start, text.length - start, &cp);
        if (used != text.length - start || !utf8_is_white_space(cp)) break;
        text.length = start;
    }
    return text;
}

/* ---- character maps ---- */

/* normalizer.cc: the longest key at each place, user-defined symbols excepted. */
static void map_units(struct strbuf *out, const struct charsmap *map, struct text text,
                      const struct matcher *whole)
{
    while (text.length) {
        struct match match = {0};
        struct text to;
        if (whole) match = matcher_longest(whole, text, 0);
        size_t used = match.length ? 0 : charsmap_longest(map, text, &to);
        if (used) {
            strbuf_append(out, to.data, to.length);
        } else {
            used = unit_length(whole, text);
            strbuf_append(out, text.data, used);
        }
        text.data += used;
        text.length -= used;
    }
}

/* precompiled.rs of the tokenizers library: a grapheme cluster of at most 5 bytes is looked up as a
 * whole, then each character; what is found is the shortest key that it starts with. */
static void map_graphemes(struct strbuf *out, const struct charsmap *map, struct text text)
{
    while (text.length) {
        struct text cluster = {text.data, utf8_grapheme_length(text)}, to;
        text.data += cluster.length;
        text.length -= cluster.length;
        if (cluster.length < 6 && charsmap_shortest(map, cluster, &to)) {
            strbuf_append(out, to.data, to.length);
            continue;
        }
        while (cluster.length) {
            struct text one = {cluster.data, unit_length(NULL, cluster)};
            if (!charsmap_shortest(map, one, &to)) to = one;
            strbuf_append(out, to.data, to.length);
            cluster.data += one.length;
            cluster.length -= one.length;
        }
    }
}

/* ---- Unicode's forms ---- */

/* The tokenizers library knows the forms of Unicode 9.0 (crate unicode-normalization-alignments):
 * what these ranges hold that decomposes or changes places with its neighbours came later. */
static const uint32_t newer_forms[][2] = {
    {0x7fd, 0x7fd},     {0x898, 0x8d3},     {0x9fe, 0x9fe},     {0xc3c, 0xc3c},
    {0xd3b, 0xd3c},     {0xeba, 0xeba},     {0x1715, 0x1715},   {0x1abf, 0x1ace},
    {0x1df6, 0x1dfa},   {0x32ff, 0x32ff},   {0xa7f2, 0xa7f4},   {0xa82c, 0xa82c},
    {0xab69, 0xab69},   {0x10781, 0x107ba}, {0x10d24, 0x10f85}, {0x11070, 0x11070},
    {0x1133b, 0x1133b}, {0x1145e, 0x1145e}, {0x11839, 0x11a99}, {0x11d42, 0x11f42},
    {0x16ff0, 0x16ff1}, {0x1e030, 0x1e4ef}, {0x1f16c, 0x1f16c}, {0x1fbf0, 0x1fbf9},
};

/* To it they are characters that stay as they are and part what is around them. */
static status_code apply_form(struct strbuf *out, struct text text, enum utf8_form form,
                              struct status *st)
{
    const size_t n = sizeof newer_forms / sizeof newer_forms[0];
    size_t done = 0;
    for (size_t i = utf8_ascii_length(text), used; i < text.length; i += used ? used : 1) {
        uint32_t cp;
        used = utf8_decode(text.data + i, text.length - i, &cp);
        if (!used || cp < newer_forms[0][0] || !is_among(cp, newer_forms, n)) continue;
        struct text before = {text.data + done, i - done};
        status_code code = utf8_append_form(out, before, form, st);
        if (code != STATUS_OK) return code;
        strbuf_append(out, text.data + i, used);
        done = i + used;
    }
    return utf8_append_form(out, (struct text){text.data + done, text.length - done}, form, st);
}

/* ---- the steps ---- */

static status_code replace_pattern(struct strbuf *out, const struct normalizer_step *step,
                                   struct text text, struct status *st)
{
    if (utf8_valid(text)) return regex_replace(step->pattern, text, step->to.data, out, st);
    strbuf_append(out, text.data, text.length);
    return STATUS_OK;
}

static status_code apply(const struct normalizer *normalizer, const struct normalizer_step *step,
                         struct text text, bool is_first, struct strbuf *out, struct status *st)
{
    switch (step->kind) {
    case NORMALIZE_REPLACE:
        replace_all(out, text, step->from, step->to);
        break;
    case NORMALIZE_COLLAPSE:
        collapse_spaces(out, text, normalizer->whole);
        break;
    case NORMALIZE_PREPEND:
    case NORMALIZE_PREPEND_START:
    case NORMALIZE_PREPEND_MISSING:
    case NORMALIZE_PREPEND_FIRST:
        if (adds_prefix(step, text, is_first)) strbuf_append(out, step->to.data, step->to.length);
        strbuf_append(out, text.data, text.length);
        break;
    case NORMALIZE_REPLACE_PATTERN:
        return replace_pattern(out, step, text, st);
    case NORMALIZE_FORM:
        return apply_form(out, text, step->form, st);
    case NORMALIZE_STRIP:
        text = strip(text, step->left, step->right);
        strbuf_append(out, text.data, text.length);
        break;
    case NORMALIZE_CHARSMAP:
        map_units(out, &step->charsmap, text, normalizer->whole);
        break;
    case NORMALIZE_CHARSMAP_HF:
        map_graphemes(out, &step->charsmap, text);
        break;
    default:
        apply_to_each(out, step->kind, text);
        break;
    }
    return STATUS_OK;
}

status_code normalizer_run(const struct normalizer *normalizer, struct text text, bool is_first,
                           struct strbuf scratch[2], struct text *out, struct status *st)
{
    for (int i = 0; i < normalizer->n_steps && text.length; i++) {
        struct strbuf *to = text.data == scratch[0].data ? &scratch[1] : &scratch[0];
        strbuf_clear(to);
        status_code code = apply(normalizer, &normalizer->steps[i], text, is_first, to, st);
        if (code == STATUS_OK) code = strbuf_check(to, "normalized text", st);
        if (code != STATUS_OK) return code;
        text = (struct text){to->data, to->length};
    }
    *out = text;
    return STATUS_OK;
}
