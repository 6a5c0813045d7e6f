#include "reports/report_escape.h"

#include "engine/base/utf8.h"

#define REPLACEMENT 0xFFFDu

enum format { FORMAT_HTML, FORMAT_XML, FORMAT_MARKDOWN, FORMAT_LINE };

/* What stands for a character of this format, or NULL where it stands for itself. */
static const char *reference_of(uint32_t c, enum format format)
{
    bool markup = format != FORMAT_LINE;
    switch (c) {
    case '&':
        return markup ? "&amp;" : NULL;
    case '<':
        return markup ? "&lt;" : NULL;
    case '>':
        return markup ? "&gt;" : NULL;
    case '"':
        return format == FORMAT_HTML || format == FORMAT_XML ? "&quot;" : NULL;
    case '\'':
        return format == FORMAT_HTML || format == FORMAT_XML ? "&#39;" : NULL;
    case '\n':
        return format == FORMAT_HTML ? NULL : format == FORMAT_XML ? "&#10;" : " ";
    case '\t':
        return format == FORMAT_HTML ? NULL : format == FORMAT_XML ? "&#9;" : " ";
    case '|':
        return format == FORMAT_MARKDOWN ? "\\|" : NULL;
    case '\\':
        return format == FORMAT_MARKDOWN ? "\\\\" : NULL;
    case '*':
        return format == FORMAT_MARKDOWN ? "\\*" : NULL;
    case '`':
        return format == FORMAT_MARKDOWN ? "\\`" : NULL;
    case '[':
        return format == FORMAT_MARKDOWN ? "\\[" : NULL;
    case ']':
        return format == FORMAT_MARKDOWN ? "\\]" : NULL;
    default:
        return NULL;
    }
}

/* A character that every format can show. */
static uint32_t visible(uint32_t c)
{
    if (c == '\n' || c == '\t') return c;
    if (c < 0x20) return 0x2400 + c;
    if (c == 0x7f) return 0x2421;
    if (c >= 0x80 && c < 0xa0) return REPLACEMENT;  /* C1: a terminal may obey them */
    if ((c & 0xfffe) == 0xfffe) return REPLACEMENT; /* not characters; XML forbids two of them */
    return c;
}

static void escape(struct strbuf *out, struct text text, enum format format)
{
    for (size_t i = 0; i < text.length;) {
        uint32_t c = 0;
        char bytes[4];
        size_t n = utf8_decode(text.data + i, text.length - i, &c);
        i += n ? n : 1;
        c = n ? visible(c) : REPLACEMENT;
        const char *reference = reference_of(c, format);
        if (reference)
            strbuf_append_str(out, reference);
        else
            strbuf_append(out, bytes, utf8_encode(c, bytes));
    }
}

void escape_html(struct strbuf *out, struct text text)
{
    escape(out, text, FORMAT_HTML);
}

void escape_xml(struct strbuf *out, struct text text)
{
    escape(out, text, FORMAT_XML);
}

void escape_markdown(struct strbuf *out, struct text text)
{
    escape(out, text, FORMAT_MARKDOWN);
}

void escape_line(struct strbuf *out, struct text text)
{
    escape(out, text, FORMAT_LINE);
}
