#include "engine/base/utf8.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

size_t utf8_decode(const char *p, size_t n, uint32_t *code_point)
{
    utf8proc_int32_t cp;
    if (!n) return 0;
    utf8proc_ssize_t used =
        utf8proc_iterate((const utf8proc_uint8_t *)p, n > 4 ? 4 : (utf8proc_ssize_t)n, &cp);
    if (used <= 0 || cp < 0) return 0;
    *code_point = (uint32_t)cp;
    return (size_t)used;
}

size_t utf8_encode(uint32_t code_point, char out[4])
{
    return (size_t)utf8proc_encode_char((utf8proc_int32_t)code_point, (utf8proc_uint8_t *)out);
}

size_t utf8_ascii_length(struct text text)
{
    size_t i = 0;
    for (uint64_t eight; text.length - i >= sizeof eight; i += sizeof eight) {
        memcpy(&eight, text.data + i, sizeof eight);
        if (eight & 0x8080808080808080u) break;
    }
    while (i < text.length && (unsigned char)text.data[i] < 0x80) i++;
    return i;
}

size_t utf8_valid_length(struct text text)
{
    uint32_t cp;
    for (size_t i = 0;;) {
        i += utf8_ascii_length((struct text){text.data + i, text.length - i});
        size_t used = utf8_decode(text.data + i, text.length - i, &cp);
        if (!used) return i;
        i += used;
    }
}

bool utf8_valid(struct text text)
{
    return utf8_valid_length(text) == text.length;
}

size_t utf8_count(struct text text)
{
    size_t count = 0;
    uint32_t cp;
    for (size_t i = 0; i < text.length; count++) {
        size_t used = utf8_decode(text.data + i, text.length - i, &cp);
        i += used ? used : 1;
    }
    return count;
}

bool utf8_is_space(uint32_t cp)
{
    return (cp >= 0x09 && cp <= 0x0d) || (cp >= 0x1c && cp <= 0x20) || cp == 0x85 || cp == 0xa0 ||
           cp == 0x1680 || (cp >= 0x2000 && cp <= 0x200a) || cp == 0x2028 || cp == 0x2029 ||
           cp == 0x202f || cp == 0x205f || cp == 0x3000;
}

struct text utf8_lstrip(struct text text)
{
    uint32_t cp;
    size_t used;
    while ((used = utf8_decode(text.data, text.length, &cp)) != 0 && utf8_is_space(cp)) {
        text.data += used;
        text.length -= used;
    }
    return text;
}

/* The start of the last sequence in a non-empty text. */
static size_t last_start(struct text text)
{
    size_t i = text.length - 1;
    while (i > 0 && text.length - i < 4 && ((unsigned char)text.data[i] & 0xc0) == 0x80) i--;
    return i;
}

struct text utf8_rstrip(struct text text)
{
    while (text.length) {
        uint32_t cp;
        size_t start = last_start(text);
        size_t used = utf8_decode(text.data + start, text.length - start, &cp);
        if (used != text.length - start || !utf8_is_space(cp)) break;
        text.length = start;
    }
    return text;
}

struct text utf8_strip(struct text text)
{
    return utf8_lstrip(utf8_rstrip(text));
}

static void append_mapped(struct strbuf *sb, struct text text,
                          utf8proc_int32_t (*map)(utf8proc_int32_t))
{
    for (size_t i = 0; i < text.length;) {
        uint32_t cp;
        char mapped[4];
        size_t used = utf8_decode(text.data + i, text.length - i, &cp);
        if (used)
            strbuf_append(sb, mapped, utf8_encode((uint32_t)map((utf8proc_int32_t)cp), mapped));
        else
            strbuf_append_char(sb, text.data[i]);
        i += used ? used : 1;
    }
}

void utf8_append_lower(struct strbuf *sb, struct text text)
{
    append_mapped(sb, text, utf8proc_tolower);
}

void utf8_append_upper(struct strbuf *sb, struct text text)
{
    append_mapped(sb, text, utf8proc_toupper);
}

void utf8_append_capitalized(struct strbuf *sb, struct text text)
{
    uint32_t cp = 0;
    char title[4];
    size_t used = utf8_decode(text.data, text.length, &cp);
    if (used) {
        cp = (uint32_t)utf8proc_totitle((utf8proc_int32_t)cp);
        strbuf_append(sb, title, utf8_encode(cp, title));
    } else if (text.length) {
        strbuf_append_char(sb, text.data[used++]);
    }
    utf8_append_lower(sb, (struct text){text.data + used, text.length - used});
}

void utf8_append_valid(struct strbuf *sb, struct text text)
{
    size_t kept = 0; /* everything before this is appended */
    for (size_t i = 0; i < text.length;) {
        uint32_t cp;
        size_t used = utf8_decode(text.data + i, text.length - i, &cp);
        if (used) {
            i += used;
            continue;
        }
        strbuf_append(sb, text.data + kept, i - kept);
        strbuf_append_str(sb, "\xef\xbf\xbd");
        kept = ++i;
    }
    strbuf_append(sb, text.data + kept, text.length - kept);
}

enum utf8_class utf8_classify(uint32_t code_point)
{
    switch (utf8proc_category((utf8proc_int32_t)code_point)) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_NO:
        return UTF8_WORD;
    case UTF8PROC_CATEGORY_SM:
    case UTF8PROC_CATEGORY_SC:
    case UTF8PROC_CATEGORY_SK:
    case UTF8PROC_CATEGORY_SO:
        return UTF8_SYMBOL;
    case UTF8PROC_CATEGORY_CF:
        return UTF8_HIDDEN;
    default:
        return UTF8_BREAK;
    }
}

size_t utf8_fold(uint32_t code_point, uint32_t out[UTF8_FOLD_MAX])
{
    utf8proc_int32_t folded[UTF8_FOLD_MAX];
    int boundary = 0; /* of grapheme clusters, which are not asked for */
    const utf8proc_option_t options =
        (utf8proc_option_t)(UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT | UTF8PROC_CASEFOLD |
                            UTF8PROC_STRIPMARK | UTF8PROC_IGNORE);
    utf8proc_ssize_t n = utf8proc_decompose_char((utf8proc_int32_t)code_point, folded,
                                                 UTF8_FOLD_MAX, options, &boundary);
    if (n < 0 || n > UTF8_FOLD_MAX) {
        out[0] = code_point;
        return 1;
    }
    for (utf8proc_ssize_t i = 0; i < n; i++) out[i] = (uint32_t)folded[i];
    return (size_t)n;
}

bool utf8_is_white_space(uint32_t cp)
{
    return utf8_is_space(cp) && !(cp >= 0x1c && cp <= 0x1f);
}

/* UTS #18, annex C: Alphabetic, M, Nd, Pc and Join_Control.  What is alphabetic and no letter, mark
 * or letter number are circled and squared letters. */
bool utf8_is_word(uint32_t cp)
{
    utf8proc_category_t category = utf8proc_category((utf8proc_int32_t)cp);
    if (category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_NL) return true;
    if (category == UTF8PROC_CATEGORY_PC || cp == 0x200c || cp == 0x200d) return true;
    return (cp >= 0x24b6 && cp <= 0x24e9) || (cp >= 0x1f130 && cp <= 0x1f149) ||
           (cp >= 0x1f150 && cp <= 0x1f169) || (cp >= 0x1f170 && cp <= 0x1f189);
}

bool utf8_is_punctuation(uint32_t cp)
{
    utf8proc_category_t category = utf8proc_category((utf8proc_int32_t)cp);
    return category >= UTF8PROC_CATEGORY_PC && category <= UTF8PROC_CATEGORY_PO;
}

bool utf8_is_formless(uint32_t cp)
{
    utf8proc_category_t category = utf8proc_category((utf8proc_int32_t)cp);
    return category >= UTF8PROC_CATEGORY_CC && category <= UTF8PROC_CATEGORY_CO;
}

bool utf8_is_mark(uint32_t cp)
{
    utf8proc_category_t category = utf8proc_category((utf8proc_int32_t)cp);
    return category >= UTF8PROC_CATEGORY_MN && category <= UTF8PROC_CATEGORY_ME;
}

bool utf8_is_nonspacing_mark(uint32_t cp)
{
    return utf8proc_category((utf8proc_int32_t)cp) == UTF8PROC_CATEGORY_MN;
}

/* A text without invalid bytes. */
static status_code append_valid_form(struct strbuf *sb, struct text text, enum utf8_form form,
                                     struct status *st)
{
    static const int options[] = {
        [UTF8_NFC] = UTF8PROC_COMPOSE,
        [UTF8_NFD] = UTF8PROC_DECOMPOSE,
        [UTF8_NFKC] = UTF8PROC_COMPOSE | UTF8PROC_COMPAT,
        [UTF8_NFKD] = UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT,
    };
    utf8proc_uint8_t *out = NULL;
    utf8proc_ssize_t n =
        utf8proc_map((const utf8proc_uint8_t *)text.data, (utf8proc_ssize_t)text.length, &out,
                     (utf8proc_option_t)(options[form] | UTF8PROC_STABLE));
    if (n < 0) return status_no_memory(st, "normalized text");
    strbuf_append(sb, (const char *)out, (size_t)n);
    free(out);
    return STATUS_OK;
}

status_code utf8_append_form(struct strbuf *sb, struct text text, enum utf8_form form,
                             struct status *st)
{
    if (utf8_ascii_length(text) == text.length) { /* no form changes ASCII */
        strbuf_append(sb, text.data, text.length);
        return STATUS_OK;
    }
    for (size_t start = 0, i = 0; i < text.length; start = i) {
        i += utf8_valid_length((struct text){text.data + i, text.length - i});
        if (i > start) {
            struct text part = {text.data + start, i - start};
            status_code code = append_valid_form(sb, part, form, st);
            if (code != STATUS_OK) return code;
        }
        if (i < text.length) strbuf_append_char(sb, text.data[i++]);
    }
    return STATUS_OK;
}

size_t utf8_grapheme_length(struct text text)
{
    uint32_t cp, next;
    utf8proc_int32_t state = 0;
    if (!text.length) return 0;
    size_t at = utf8_decode(text.data, text.length, &cp);
    if (!at) return 1;
    for (size_t used; (used = utf8_decode(text.data + at, text.length - at, &next)) != 0;) {
        if (utf8proc_grapheme_break_stateful((utf8proc_int32_t)cp, (utf8proc_int32_t)next, &state))
            break;
        at += used;
        cp = next;
    }
    return at;
}

size_t utf8_complete_length(struct text text)
{
    if (!text.length) return 0;
    size_t start = last_start(text);
    unsigned char lead = (unsigned char)text.data[start];
    size_t want = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc0 ? 2 : 1;
    return text.length - start < want ? start : text.length;
}
