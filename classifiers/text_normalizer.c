#include "classifiers/text_normalizer.h"

#include "engine/base/utf8.h"

/* What an ASCII character does: letters and digits are themselves in lower case; a sign may stand
 * for a letter; an apostrophe joins; the rest separates. */
enum { SEPARATES = 0, JOINS = 1 };

static uint32_t ascii_role(unsigned char c)
{
    if (c >= 'a' && c <= 'z') return c;
    if (c >= 'A' && c <= 'Z') return (uint32_t)c | 0x20;
    if (c >= '0' && c <= '9') return c;
    switch (c) {
    case '@':
    case '$':
    case '!':
    case '*':
        return c;
    case '\'':
        return JOINS;
    default:
        return SEPARATES;
    }
}

static bool is_letter(uint32_t c)
{
    return (c >= 'a' && c <= 'z') || c > 0x7f;
}

static bool is_digit(uint32_t c)
{
    return c >= '0' && c <= '9';
}

/* The letter that a digit or sign is used for, or 0. */
static uint32_t letter_for(uint32_t c)
{
    switch (c) {
    case '0':
        return 'o';
    case '1':
    case '!':
        return 'i';
    case '3':
        return 'e';
    case '4':
    case '@':
        return 'a';
    case '5':
    case '$':
        return 's';
    case '7':
        return 't';
    case '8':
        return 'b';
    case '9':
        return 'g';
    default:
        return 0;
    }
}

struct look_alike {
    uint16_t from;
    char to;
};

/* Greek and Cyrillic letters, in folded form and in ascending order, that are drawn like a Latin
 * one (after Unicode's confusables.txt). */
static const struct look_alike look_alikes[] = {
    {0x131, 'i'}, {0x251, 'a'}, {0x261, 'g'}, {0x269, 'i'}, {0x3b1, 'a'}, {0x3b5, 'e'},
    {0x3b7, 'n'}, {0x3b9, 'i'}, {0x3ba, 'k'}, {0x3bd, 'v'}, {0x3bf, 'o'}, {0x3c1, 'p'},
    {0x3c3, 'o'}, {0x3c4, 't'}, {0x3c5, 'u'}, {0x3c7, 'x'}, {0x3f2, 'c'}, {0x430, 'a'},
    {0x432, 'b'}, {0x433, 'r'}, {0x435, 'e'}, {0x43a, 'k'}, {0x43c, 'm'}, {0x43d, 'h'},
    {0x43e, 'o'}, {0x43f, 'n'}, {0x440, 'p'}, {0x441, 'c'}, {0x442, 't'}, {0x443, 'y'},
    {0x445, 'x'}, {0x455, 's'}, {0x456, 'i'}, {0x458, 'j'}, {0x4bb, 'h'}, {0x501, 'd'},
    {0x51b, 'q'}, {0x51d, 'w'},
};

static uint32_t latin_for(uint32_t c)
{
    size_t low = 0, high = sizeof look_alikes / sizeof look_alikes[0];
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (look_alikes[middle].from == c) return (unsigned char)look_alikes[middle].to;
        if (look_alikes[middle].from < c)
            low = middle + 1;
        else
            high = middle;
    }
    return c;
}

/* ---- words ---- */

/* Trims signs off both ends; a star, or a dollar after a letter, belongs to the word. */
static void trim_signs(const uint32_t *word, size_t *first, size_t *last)
{
    while (*first < *last && (word[*first] == '@' || word[*first] == '$' || word[*first] == '!'))
        (*first)++;
    while (*last > *first && (word[*last - 1] == '@' || word[*last - 1] == '!')) (*last)--;
    while (*first < *last && word[*first] == '*') (*first)++;
}

/* A digit or sign in a row of at most three between letters is read as a letter, and so is a dollar
 * at the end of a word of letters. */
static void read_signs(uint32_t *word, size_t n)
{
    for (size_t i = 1; i < n; i++) {
        size_t stop = i;
        while (stop < n && stop - i < 4 && letter_for(word[stop])) stop++;
        if (stop == i) continue;
        bool between = is_letter(word[i - 1]) && stop - i <= 3 &&
                       (stop < n ? is_letter(word[stop]) : word[stop - 1] == '$');
        for (size_t k = i; k < stop && between; k++) word[k] = letter_for(word[k]);
        i = stop;
    }
}

/* Three or more of a letter become one.  Returns the new length. */
static size_t squeeze(uint32_t *word, size_t n)
{
    size_t kept = 0;
    for (size_t i = 0; i < n;) {
        size_t stop = i;
        while (stop < n && word[stop] == word[i]) stop++;
        size_t copies = stop - i >= 3 && word[i] != '*' ? 1 : stop - i;
        uint32_t c = word[i];
        for (size_t k = 0; k < copies; k++) word[kept++] = c;
        i = stop;
    }
    return kept;
}

static void end_spaced(struct text_normalizer *normalizer, on_normalized_word *on_word, void *user)
{
    size_t n = normalizer->n_spaced;
    normalizer->n_spaced = 0;
    if (n < 3) return;
    struct normalized_word word = {normalizer->spaced, n, normalizer->spaced_start,
                                   normalizer->spaced_end, true};
    on_word(user, &word);
}

static void add_spaced(struct text_normalizer *normalizer, uint32_t letter,
                       on_normalized_word *on_word, void *user)
{
    if (normalizer->n_spaced == SPACED_WORD_MAX) end_spaced(normalizer, on_word, user);
    if (!normalizer->n_spaced) normalizer->spaced_start = normalizer->word_start;
    normalizer->spaced[normalizer->n_spaced++] = letter;
    normalizer->spaced_end = normalizer->word_end;
}

static void end_word(struct text_normalizer *normalizer, on_normalized_word *on_word, void *user)
{
    uint32_t *word = normalizer->word;
    size_t first = 0, last = normalizer->n_word;
    normalizer->n_word = 0;
    trim_signs(word, &first, &last);
    if (first == last) return;
    word += first;
    size_t n = last - first, digits = 0;
    while (digits < n && is_digit(word[digits])) digits++;
    if (digits == n) {
        word[0] = '0';
        n = 1;
    } else {
        read_signs(word, n);
        n = squeeze(word, n);
    }
    bool single = n == 1 && is_letter(word[0]);
    if (!single) end_spaced(normalizer, on_word, user);
    struct normalized_word out = {word, n, normalizer->word_start, normalizer->word_end, false};
    on_word(user, &out);
    if (single) add_spaced(normalizer, word[0], on_word, user);
}

static void add_letter(struct text_normalizer *normalizer, uint32_t c, size_t start, size_t end,
                       on_normalized_word *on_word, void *user)
{
    if (normalizer->n_word == NORMALIZED_WORD_MAX) end_word(normalizer, on_word, user);
    if (!normalizer->n_word) normalizer->word_start = start;
    normalizer->word[normalizer->n_word++] = c;
    normalizer->word_end = end;
}

/* ---- characters ---- */

static void add_ascii(struct text_normalizer *normalizer, uint32_t c, size_t start, size_t end,
                      on_normalized_word *on_word, void *user)
{
    uint32_t role = ascii_role((unsigned char)c);
    if (role == SEPARATES) {
        if (normalizer->n_word) end_word(normalizer, on_word, user);
    } else if (role != JOINS) {
        add_letter(normalizer, role, start, end, on_word, user);
    }
}

static void add_wide(struct text_normalizer *normalizer, uint32_t c, size_t start, size_t end,
                     on_normalized_word *on_word, void *user)
{
    uint32_t folded[UTF8_FOLD_MAX];
    enum utf8_class class = utf8_classify(c);
    if (c == 0x2019 || c == 0x2018 || class == UTF8_HIDDEN) return;
    size_t n = utf8_fold(c, folded);
    for (size_t i = 0; i < n; i++) {
        if (folded[i] < 0x80) {
            add_ascii(normalizer, folded[i], start, end, on_word, user);
        } else if (class == UTF8_WORD) {
            add_letter(normalizer, latin_for(folded[i]), start, end, on_word, user);
        } else {
            if (normalizer->n_word) end_word(normalizer, on_word, user);
            if (class != UTF8_SYMBOL) continue;
            add_letter(normalizer, folded[i], start, end, on_word, user);
            end_word(normalizer, on_word, user);
        }
    }
}

/* Adds the character that `partial` holds, or its first byte when it is none: an invalid byte
 * separates. */
static void add_partial(struct text_normalizer *normalizer, on_normalized_word *on_word, void *user)
{
    uint32_t c;
    size_t used = utf8_decode(normalizer->partial, normalizer->n_partial, &c);
    size_t start = normalizer->position - normalizer->n_partial;
    if (used)
        add_wide(normalizer, c, start, start + used, on_word, user);
    else if (normalizer->n_word)
        end_word(normalizer, on_word, user);
    size_t taken = used ? used : 1;
    normalizer->n_partial -= taken;
    memmove(normalizer->partial, normalizer->partial + taken, normalizer->n_partial);
}

/* True when more bytes could complete what `partial` holds. */
static bool is_incomplete(const struct text_normalizer *normalizer)
{
    struct text held = {normalizer->partial, normalizer->n_partial};
    return utf8_complete_length(held) == 0;
}

static void flush_partial(struct text_normalizer *normalizer, bool at_end,
                          on_normalized_word *on_word, void *user)
{
    while (normalizer->n_partial && (at_end || !is_incomplete(normalizer))) {
        unsigned char c = (unsigned char)normalizer->partial[0];
        if (c < 0x80) {
            size_t start = normalizer->position - normalizer->n_partial;
            add_ascii(normalizer, c, start, start + 1, on_word, user);
            memmove(normalizer->partial, normalizer->partial + 1, --normalizer->n_partial);
        } else {
            add_partial(normalizer, on_word, user);
        }
    }
}

void text_normalizer_init(struct text_normalizer *normalizer)
{
    *normalizer = (struct text_normalizer){0};
}

void text_normalizer_add(struct text_normalizer *normalizer, struct text piece,
                         on_normalized_word *on_word, void *user)
{
    for (size_t i = 0; i < piece.length; i++) {
        unsigned char c = (unsigned char)piece.data[i];
        if (c < 0x80 && !normalizer->n_partial) {
            size_t start = normalizer->position++;
            add_ascii(normalizer, c, start, start + 1, on_word, user);
            continue;
        }
        normalizer->partial[normalizer->n_partial++] = piece.data[i];
        normalizer->position++;
        flush_partial(normalizer, false, on_word, user);
    }
}

void text_normalizer_end(struct text_normalizer *normalizer, on_normalized_word *on_word,
                         void *user)
{
    flush_partial(normalizer, true, on_word, user);
    if (normalizer->n_word) end_word(normalizer, on_word, user);
    end_spaced(normalizer, on_word, user);
}
