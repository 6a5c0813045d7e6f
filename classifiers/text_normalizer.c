#include "classifiers/text_normalizer.h"

#include "engine/base/utf8.h"

/* What an ASCII character does: letters and digits are themselves in lower case; a sign may stand
 * for a letter; an apostrophe joins; the rest separates. */
enum { SEPARATES = 0, JOINS = 1 };

#define BRAILLE_BLANK 0x2800 /* a picture of nothing */

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

/* Letters, in folded form and in ascending order, that are drawn like a Latin one: with a stroke or
 * as a small capital, Greek, Cyrillic, Armenian, Cherokee, Canadian, Lisu (after Unicode's
 * confusables.txt, and what writes text in "fonts"). */
static const struct look_alike look_alikes[] = {
    {0xf8, 'o'},   {0x111, 'd'},  {0x127, 'h'},  {0x131, 'i'},  {0x142, 'l'},  {0x167, 't'},
    {0x180, 'b'},  {0x192, 'f'},  {0x199, 'k'},  {0x19a, 'l'},  {0x19e, 'n'},  {0x1ad, 't'},
    {0x1b4, 'y'},  {0x1b6, 'z'},  {0x1dd, 'e'},  {0x1e5, 'g'},  {0x23c, 'c'},  {0x23f, 's'},
    {0x240, 'z'},  {0x247, 'e'},  {0x249, 'j'},  {0x24b, 'q'},  {0x24d, 'r'},  {0x24f, 'y'},
    {0x250, 'a'},  {0x251, 'a'},  {0x253, 'b'},  {0x257, 'd'},  {0x259, 'e'},  {0x261, 'g'},
    {0x262, 'g'},  {0x268, 'i'},  {0x269, 'i'},  {0x26a, 'i'},  {0x26f, 'w'},  {0x274, 'n'},
    {0x280, 'r'},  {0x289, 'u'},  {0x28b, 'v'},  {0x28f, 'y'},  {0x299, 'b'},  {0x29c, 'h'},
    {0x29f, 'l'},  {0x3b1, 'a'},  {0x3b5, 'e'},  {0x3b7, 'n'},  {0x3b9, 'i'},  {0x3ba, 'k'},
    {0x3bd, 'v'},  {0x3bf, 'o'},  {0x3c1, 'p'},  {0x3c3, 'o'},  {0x3c4, 't'},  {0x3c5, 'u'},
    {0x3c7, 'x'},  {0x3c9, 'w'},  {0x3f2, 'c'},  {0x430, 'a'},  {0x432, 'b'},  {0x433, 'r'},
    {0x435, 'e'},  {0x438, 'n'},  {0x43a, 'k'},  {0x43c, 'm'},  {0x43d, 'h'},  {0x43e, 'o'},
    {0x43f, 'n'},  {0x440, 'p'},  {0x441, 'c'},  {0x442, 't'},  {0x443, 'y'},  {0x445, 'x'},
    {0x448, 'w'},  {0x44c, 'b'},  {0x455, 's'},  {0x456, 'i'},  {0x458, 'j'},  {0x461, 'w'},
    {0x475, 'v'},  {0x493, 'f'},  {0x49b, 'k'},  {0x49d, 'k'},  {0x4a3, 'h'},  {0x4af, 'y'},
    {0x4b1, 'y'},  {0x4b3, 'x'},  {0x4bb, 'h'},  {0x4bd, 'e'},  {0x4c8, 'h'},  {0x4cf, 'l'},
    {0x4e9, 'o'},  {0x501, 'd'},  {0x50d, 'g'},  {0x51b, 'q'},  {0x51d, 'w'},  {0x563, 'q'},
    {0x566, 'q'},  {0x570, 'h'},  {0x575, 'j'},  {0x578, 'n'},  {0x57c, 'n'},  {0x57d, 'u'},
    {0x581, 'g'},  {0x585, 'o'},  {0x13a0, 'd'}, {0x13a1, 'r'}, {0x13a2, 't'}, {0x13a5, 'i'},
    {0x13aa, 'a'}, {0x13ab, 'j'}, {0x13ac, 'e'}, {0x13b3, 'w'}, {0x13b7, 'm'}, {0x13bb, 'h'},
    {0x13bd, 'y'}, {0x13c0, 'g'}, {0x13c3, 'z'}, {0x13cf, 'b'}, {0x13d2, 'r'}, {0x13d5, 's'},
    {0x13d9, 'v'}, {0x13da, 's'}, {0x13de, 'l'}, {0x13df, 'c'}, {0x13e2, 'p'}, {0x13e6, 'k'},
    {0x13e7, 'd'}, {0x13f4, 'b'}, {0x142f, 'v'}, {0x144c, 'u'}, {0x144e, 'n'}, {0x1455, 'c'},
    {0x146b, 'q'}, {0x146d, 'p'}, {0x148d, 'j'}, {0x14aa, 'l'}, {0x1515, 's'}, {0x157c, 'h'},
    {0x1587, 'r'}, {0x15b4, 'f'}, {0x15e9, 'a'}, {0x15ea, 'd'}, {0x15ef, 'w'}, {0x15f0, 'm'},
    {0x15f7, 'b'}, {0x1614, 'z'}, {0x166d, 'x'}, {0x1d00, 'a'}, {0x1d04, 'c'}, {0x1d05, 'd'},
    {0x1d07, 'e'}, {0x1d0a, 'j'}, {0x1d0b, 'k'}, {0x1d0d, 'm'}, {0x1d0f, 'o'}, {0x1d18, 'p'},
    {0x1d1b, 't'}, {0x1d1c, 'u'}, {0x1d20, 'v'}, {0x1d21, 'w'}, {0x1d22, 'z'}, {0x2c61, 'l'},
    {0x2c65, 'a'}, {0x2c66, 't'}, {0xa4d0, 'b'}, {0xa4d1, 'p'}, {0xa4d3, 'd'}, {0xa4d4, 't'},
    {0xa4d6, 'g'}, {0xa4d7, 'k'}, {0xa4d9, 'j'}, {0xa4da, 'c'}, {0xa4dc, 'z'}, {0xa4dd, 'f'},
    {0xa4df, 'm'}, {0xa4e0, 'n'}, {0xa4e1, 'l'}, {0xa4e2, 's'}, {0xa4e3, 'r'}, {0xa4e6, 'v'},
    {0xa4e7, 'h'}, {0xa4ea, 'w'}, {0xa4eb, 'x'}, {0xa4ec, 'y'}, {0xa4ee, 'a'}, {0xa4f0, 'e'},
    {0xa4f2, 'i'}, {0xa4f3, 'o'}, {0xa4f4, 'u'}, {0xa730, 'f'}, {0xa731, 's'}, {0xa7af, 'q'},
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

static void read_run(uint32_t *word, size_t first, size_t stop)
{
    for (size_t k = first; k < stop; k++) word[k] = letter_for(word[k]);
}

/* Trims signs off both ends; a star belongs to the end of the word, a dollar after a letter too,
 * and one dollar before a letter.  "@$$" is a word. */
static void trim_signs(uint32_t *word, size_t *first, size_t *last)
{
    size_t start = *first;
    if (*last - start >= 3 && word[start] == '@' && word[start + 1] == '$' &&
        word[start + 2] == '$')
        read_run(word, start, start + 3);
    while (*first < *last && (word[*first] == '@' || word[*first] == '$' || word[*first] == '!'))
        (*first)++;
    while (*last > *first && (word[*last - 1] == '@' || word[*last - 1] == '!')) (*last)--;
    if (*first == start + 1 && *first < *last && word[start] == '$' && is_letter(word[*first]))
        *first = start;
}

/* Trims stars that mark a stretch up: those in front, and as many at the end of this word or of a
 * later one.  Other stars at the end stand for letters. */
static void trim_stars(struct text_normalizer *normalizer, const uint32_t *word, size_t *first,
                       size_t *last)
{
    size_t before = 0, behind = 0;
    while (*first < *last && word[*first] == '*') (*first)++, before++;
    while (*last - behind > *first && word[*last - 1 - behind] == '*') behind++;
    bool is_word = *first < *last;
    if (before && is_word) normalizer->open_stars = before;
    bool closes = normalizer->open_stars && (is_word ? behind : before) == normalizer->open_stars;
    if (!closes) return;
    normalizer->open_stars = 0;
    *last -= behind;
}

/* "f*u*c*k": stars between single letters hide nothing. */
static size_t drop_stars_between(uint32_t *word, size_t n)
{
    if (n < 5 || n % 2 == 0) return n;
    for (size_t i = 0; i < n; i++)
        if (i % 2 ? word[i] != '*' : !is_letter(word[i])) return n;
    for (size_t i = 0; i < n; i += 2) word[i / 2] = word[i];
    return n / 2 + 1;
}

/* How many digits or signs for letters stand from `first` on. */
static size_t run_length(const uint32_t *word, size_t first, size_t n)
{
    size_t stop = first;
    while (stop < n && letter_for(word[stop])) stop++;
    return stop - first;
}

/* Digits and signs at the ends: those of a word that has some for letters elsewhere; one dollar in
 * front; one digit in front of three letters ("5hit", not "7pm" or "1st"). */
static void read_ends(uint32_t *word, size_t n, bool has_inside)
{
    size_t front = run_length(word, 0, n), back = 0;
    while (back < n && letter_for(word[n - 1 - back])) back++;
    if (front == n) return;
    bool is_spelled = has_inside || (front && back);
    bool is_like_letter =
        front == 1 && (word[0] == '$' ||
                       (n >= 4 && is_letter(word[1]) && is_letter(word[2]) && is_letter(word[3])));
    if (is_like_letter || (is_spelled && front <= 3)) read_run(word, 0, front);
    if (is_spelled && back <= 3) read_run(word, n - back, n);
}

/* A digit or sign in a row of at most four between letters is read as a letter, and so is a dollar
 * at the end of a word of letters. */
static void read_signs(uint32_t *word, size_t n)
{
    bool has_inside = false;
    for (size_t i = 1, length; i < n; i += length + 1) {
        length = run_length(word, i, n);
        size_t stop = i + length;
        bool is_inside = length && length <= 4 && is_letter(word[i - 1]) &&
                         (stop < n ? is_letter(word[stop]) : word[stop - 1] == '$');
        if (!is_inside) continue;
        read_run(word, i, stop);
        has_inside = has_inside || stop < n;
    }
    read_ends(word, n, has_inside);
}

/* Letters that English hardly doubles: a, h, i, j, k, q, u, v, w, x, y. */
static bool stands_alone(uint32_t c)
{
    return c >= 'a' && c <= 'z' && 0x1f10781u >> (c - 'a') & 1;
}

/* Three or more of a letter become one, and two of some.  Returns the new length. */
static size_t squeeze(uint32_t *word, size_t n)
{
    size_t kept = 1;
    while (kept < n && word[kept] != word[kept - 1]) kept++;
    if (kept >= n) return n;
    kept--;
    for (size_t i = kept; i < n;) {
        size_t stop = i;
        while (stop < n && word[stop] == word[i]) stop++;
        bool is_one = word[i] != '*' && (stop - i >= 3 || stands_alone(word[i]));
        size_t copies = is_one ? 1 : stop - i;
        uint32_t c = word[i];
        for (size_t k = 0; k < copies; k++) word[kept++] = c;
        i = stop;
    }
    return kept;
}

/* ---- censored words ---- */

/* Words that are written with stars so often that the stars say what they are, and how many of
 * their letters have to be seen; the longest first.  Perspective scored "f**k" much like the word
 * itself: 0.77 to 0.94 in RealToxicityPrompts. */
static const struct {
    const char *word;
    size_t seen;
} censored_words[] = {
    {"fucking", 1}, {"asshole", 1}, {"bastard", 1}, {"niggers", 1}, {"nigger", 1}, {"fucked", 1},
    {"faggot", 2},  {"retard", 2},  {"tranny", 3},  {"wanker", 3},  {"stupid", 4}, {"bitch", 1},
    {"nigga", 1},   {"pussy", 1},   {"whore", 1},   {"chink", 3},   {"moron", 3},  {"idiot", 3},
    {"prick", 2},   {"fuck", 1},    {"shit", 1},    {"cunt", 1},    {"dick", 1},   {"damn", 2},
    {"cock", 2},    {"crap", 2},    {"slut", 2},    {"piss", 2},    {"rape", 2},   {"kill", 2},
    {"porn", 2},    {"twat", 2},    {"tits", 2},    {"kike", 3},    {"spic", 3},   {"dyke", 3},
    {"suck", 3},    {"ass", 1},     {"fag", 2},     {"cum", 2},     {"sex", 2},
};
#define N_CENSORED (sizeof censored_words / sizeof censored_words[0])

/* Whether `hidden` at its place in the word, where it covers every star, is what is censored.  A
 * star at the very end of a short word may belong to a footnote ("as*"). */
static bool hides(const uint32_t *word, size_t n, size_t at, const char *hidden, size_t must_see)
{
    size_t length = strlen(hidden), seen = 0;
    if (word[at] != (unsigned char)hidden[0]) return false;
    for (size_t i = 0; i < n; i++) {
        bool is_star = word[i] == '*', is_covered = i >= at && i < at + length;
        if (is_star && !is_covered) return false;
        if (!is_star && is_covered && word[i] != (unsigned char)hidden[i - at]) return false;
        seen += !is_star && is_covered;
    }
    bool is_footnote = length == 3 && seen == 2 && word[at + 2] == '*';
    return seen >= must_see && seen < length && !is_footnote;
}

/* Puts the letters back that the stars of a word stand for, where it is one of those. */
static void uncensor(uint32_t *word, size_t n)
{
    for (size_t k = 0; k < N_CENSORED; k++) {
        const char *hidden = censored_words[k].word;
        size_t length = strlen(hidden);
        for (size_t at = 0; at + length <= n; at++) {
            if (!hides(word, n, at, hidden, censored_words[k].seen)) continue;
            for (size_t i = 0; i < length; i++) word[at + i] = (unsigned char)hidden[i];
            return;
        }
    }
}

/* ---- the end of a word ---- */

/* Whether single letters in a row spell a word: three or more, unless they may be words
 * themselves ("u r a"). */
static bool spell_a_word(const uint32_t *letters, size_t n)
{
    size_t words = 0;
    for (size_t i = 0; i < n; i++)
        words += letters[i] < 0x80 && memchr("abciknoruy", (int)letters[i], 10) != NULL;
    return n > 3 || (n == 3 && words < 3);
}

/* Hands single letters over: as the word that they spell, or one by one. */
static void end_spaced(struct text_normalizer *normalizer, on_normalized_word *on_word, void *user)
{
    size_t n = normalizer->n_spaced;
    struct spaced_letter *letters = normalizer->spaced;
    uint32_t word[SPACED_WORD_MAX];
    normalizer->n_spaced = 0;
    for (size_t i = 0; i < n; i++) word[i] = letters[i].letter;
    if (spell_a_word(word, n)) {
        on_word(user, &(struct normalized_word){word, squeeze(word, n), letters[0].start,
                                                letters[n - 1].end});
        return;
    }
    for (size_t i = 0; i < n; i++)
        on_word(user, &(struct normalized_word){&word[i], 1, letters[i].start, letters[i].end});
}

static void add_spaced(struct text_normalizer *normalizer, uint32_t letter,
                       on_normalized_word *on_word, void *user)
{
    if (normalizer->n_spaced == SPACED_WORD_MAX) end_spaced(normalizer, on_word, user);
    normalizer->spaced[normalizer->n_spaced++] =
        (struct spaced_letter){letter, normalizer->word_start, normalizer->word_end};
}

/* A letter of an alphabet: what words are spelled of. */
static bool spells(uint32_t c)
{
    return is_letter(c) && c < 0x2000;
}

static bool has_stars(const uint32_t *word, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (word[i] == '*') return true;
    return false;
}

/* The length without digits behind three or more letters ("name123"). */
static size_t without_number(const uint32_t *word, size_t n)
{
    size_t stop = n;
    while (stop && is_digit(word[stop - 1])) stop--;
    bool is_word = stop >= 3;
    for (size_t i = 0; i < stop && is_word; i++) is_word = is_letter(word[i]);
    return is_word ? stop : n;
}

/* Undoes what hides a word; returns its length. */
static size_t reveal(uint32_t *word, size_t n)
{
    size_t digits = 0, letters = 0;
    while (letters < n && word[letters] - 'a' < 26) letters++;
    if (letters == n) return squeeze(word, n);
    while (digits < n && is_digit(word[digits])) digits++;
    if (digits == n) {
        word[0] = '0';
        return 1;
    }
    if (has_stars(word, n)) {
        n = drop_stars_between(word, n);
        uncensor(word, n);
    }
    read_signs(word, n);
    return squeeze(word, without_number(word, n));
}

static void end_word(struct text_normalizer *normalizer, on_normalized_word *on_word, void *user)
{
    uint32_t *word = normalizer->word;
    size_t first = 0, last = normalizer->n_word;
    normalizer->n_word = 0;
    trim_signs(word, &first, &last);
    trim_stars(normalizer, word, &first, &last);
    if (first == last) return;
    word += first;
    size_t n = reveal(word, last - first);
    if (n == 1 && normalizer->after_angle) return;
    if (n == 1 && spells(word[0])) {
        add_spaced(normalizer, word[0], on_word, user);
        return;
    }
    end_spaced(normalizer, on_word, user);
    on_word(user, &(struct normalized_word){word, n, normalizer->word_start, normalizer->word_end});
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
    bool is_upper = c >= 'A' && c <= 'Z';
    if (role == SEPARATES) {
        if (normalizer->n_word) end_word(normalizer, on_word, user);
        normalizer->in_tag = c == '#';
        normalizer->after_angle = c == '<' || (c == '/' && normalizer->after_angle);
        if (c == '\n') normalizer->open_stars = 0;
    } else if (role != JOINS) {
        if (is_upper && normalizer->in_tag && normalizer->after_lower)
            end_word(normalizer, on_word, user);
        add_letter(normalizer, role, start, end, on_word, user);
    }
    normalizer->after_lower = c >= 'a' && c <= 'z';
}

/* The letter that a picture of a letter shows, or 0: white on a disc, white on a square, and the
 * letters of which flags are made. */
static uint32_t pictured_letter(uint32_t c)
{
    static const uint32_t starts[] = {0x1f150, 0x1f170, 0x1f1e6};
    for (int i = 0; i < 3; i++)
        if (c >= starts[i] && c < starts[i] + 26) return 'a' + (c - starts[i]);
    return 0;
}

static void add_wide(struct text_normalizer *normalizer, uint32_t c, size_t start, size_t end,
                     on_normalized_word *on_word, void *user)
{
    uint32_t folded[UTF8_FOLD_MAX];
    enum utf8_class class = utf8_classify(c);
    if (c == 0x2019 || c == 0x2018 || class == UTF8_HIDDEN) return;
    if (c == BRAILLE_BLANK) class = UTF8_BREAK;
    size_t n = utf8_fold(c, folded);
    if (pictured_letter(c)) {
        folded[0] = pictured_letter(c);
        class = UTF8_WORD;
    }
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
