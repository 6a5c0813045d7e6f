#include "engine/base/utf8.h"

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

bool utf8_valid(struct text text)
{
    uint32_t cp;
    for (size_t i = 0; i < text.length;) {
        if ((unsigned char)text.data[i] < 0x80) {
            i++;
            continue;
        }
        size_t used = utf8_decode(text.data + i, text.length - i, &cp);
        if (!used) return false;
        i += used;
    }
    return true;
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

void utf8_append_lower(struct strbuf *sb, struct text text)
{
    for (size_t i = 0; i < text.length;) {
        uint32_t cp;
        char lower[4];
        size_t used = utf8_decode(text.data + i, text.length - i, &cp);
        if (used) {
            cp = (uint32_t)utf8proc_tolower((utf8proc_int32_t)cp);
            strbuf_append(sb, lower, utf8_encode(cp, lower));
        } else {
            strbuf_append_char(sb, text.data[i]);
        }
        i += used ? used : 1;
    }
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

size_t utf8_complete_length(struct text text)
{
    if (!text.length) return 0;
    size_t start = last_start(text);
    unsigned char lead = (unsigned char)text.data[start];
    size_t want = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc0 ? 2 : 1;
    return text.length - start < want ? start : text.length;
}
