#include "classifiers/word_reader.h"

#include "engine/base/utf8.h"

enum character { SEPARATOR, WORD, INVISIBLE };

struct range {
    uint32_t first, last;
    enum character is;
};

/* What is not part of a word, in ascending order; read off Unicode's general categories for the
 * blocks where punctuation and symbols stand apart from letters. */
static const struct range ranges[] = {
    {0x80, 0xa9, SEPARATOR},       {0xab, 0xac, SEPARATOR},     {0xad, 0xad, INVISIBLE},
    {0xae, 0xb4, SEPARATOR},       {0xb6, 0xb9, SEPARATOR},     {0xbb, 0xbf, SEPARATOR},
    {0xd7, 0xd7, SEPARATOR},       {0xf7, 0xf7, SEPARATOR},     {0x34f, 0x34f, INVISIBLE},
    {0x37e, 0x37e, SEPARATOR},     {0x387, 0x387, SEPARATOR},   {0x55a, 0x55f, SEPARATOR},
    {0x589, 0x58a, SEPARATOR},     {0x5be, 0x5be, SEPARATOR},   {0x5c0, 0x5c0, SEPARATOR},
    {0x5c3, 0x5c3, SEPARATOR},     {0x5f3, 0x5f4, SEPARATOR},   {0x60c, 0x60d, SEPARATOR},
    {0x61b, 0x61f, SEPARATOR},     {0x66a, 0x66d, SEPARATOR},   {0x6d4, 0x6d4, SEPARATOR},
    {0x964, 0x965, SEPARATOR},     {0x970, 0x970, SEPARATOR},   {0x1680, 0x1680, SEPARATOR},
    {0x2000, 0x200a, SEPARATOR},   {0x200b, 0x200f, INVISIBLE}, {0x2010, 0x2029, SEPARATOR},
    {0x202a, 0x202e, INVISIBLE},   {0x202f, 0x205f, SEPARATOR}, {0x2060, 0x206f, INVISIBLE},
    {0x20a0, 0x20cf, SEPARATOR},   {0x2190, 0x245f, SEPARATOR}, {0x2500, 0x2bff, SEPARATOR},
    {0x2e00, 0x2e7f, SEPARATOR},   {0x3000, 0x3004, SEPARATOR}, {0x3008, 0x3020, SEPARATOR},
    {0x3030, 0x3030, SEPARATOR},   {0x30fb, 0x30fb, SEPARATOR}, {0xfe00, 0xfe0f, INVISIBLE},
    {0xfe10, 0xfe1f, SEPARATOR},   {0xfe30, 0xfe6f, SEPARATOR}, {0xfeff, 0xfeff, INVISIBLE},
    {0xff00, 0xff0f, SEPARATOR},   {0xff1a, 0xff20, SEPARATOR}, {0xff3b, 0xff40, SEPARATOR},
    {0xff5b, 0xff65, SEPARATOR},   {0xffe0, 0xfffd, SEPARATOR}, {0x1f000, 0x1faff, SEPARATOR},
    {0xe0000, 0xe01ef, INVISIBLE},
};

static enum character classify_code_point(uint32_t cp)
{
    size_t low = 0, high = sizeof ranges / sizeof ranges[0];
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (cp > ranges[middle].last)
            low = middle + 1;
        else
            high = middle;
    }
    bool inside = low < sizeof ranges / sizeof ranges[0] && cp >= ranges[low].first;
    return inside ? ranges[low].is : WORD;
}

/* Reads one character of the text and says what it is; an invalid byte separates. */
static enum character read_character(struct text text, size_t position, size_t *n_bytes)
{
    unsigned char c = (unsigned char)text.data[position];
    *n_bytes = 1;
    if (c < 0x80) {
        bool letter = ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || (c >= '0' && c <= '9');
        return letter ? WORD : SEPARATOR;
    }
    uint32_t cp;
    size_t used = utf8_decode(text.data + position, text.length - position, &cp);
    if (!used) return SEPARATOR;
    *n_bytes = used;
    return classify_code_point(cp);
}

void word_reader_init(struct word_reader *reader, struct text text)
{
    *reader = (struct word_reader){.text = text};
    strbuf_init(&reader->lower, 4 * WORD_MAX_BYTES);
}

void word_reader_release(struct word_reader *reader)
{
    strbuf_release(&reader->lower);
}

status_code word_reader_check(const struct word_reader *reader, struct status *st)
{
    return strbuf_check(&reader->lower, "a word", st);
}

/* Puts the word that reader->raw holds into lower case; false when memory ran out. */
static bool set_word(struct word_reader *reader, size_t length, bool ascii)
{
    if (ascii) {
        for (size_t i = 0; i < length; i++)
            if (reader->raw[i] >= 'A' && reader->raw[i] <= 'Z') reader->raw[i] |= 0x20;
        reader->word = (struct text){reader->raw, length};
        return true;
    }
    strbuf_clear(&reader->lower);
    utf8_append_lower(&reader->lower, (struct text){reader->raw, length});
    reader->word = (struct text){reader->lower.data, reader->lower.length};
    return reader->lower.state == STATUS_OK;
}

bool word_reader_next(struct word_reader *reader)
{
    struct text text = reader->text;
    size_t length = 0, n_bytes;
    bool ascii = true;
    reader->is_cut = false;
    for (; reader->position < text.length; reader->position += n_bytes) {
        enum character is = read_character(text, reader->position, &n_bytes);
        if (is == SEPARATOR && length) break;
        if (is != WORD) continue;
        if (!length) reader->start = reader->position;
        reader->end = reader->position + n_bytes;
        if (n_bytes > WORD_MAX_BYTES - length) reader->is_cut = true;
        if (reader->is_cut) continue;
        if (n_bytes > 1) ascii = false;
        memcpy(reader->raw + length, text.data + reader->position, n_bytes);
        length += n_bytes;
    }
    return length > 0 && set_word(reader, length, ascii);
}
