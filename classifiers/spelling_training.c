#include "classifiers/spelling_training.h"

#include <stdlib.h>
#include <string.h>

#define SURE_TIMES   3 /* as often as a word has to be there at all */
#define TARGET_TIMES 10
#define COMMON_TIMES 25

/* Words and how often they occur: open addressing, a power of two, at most half full. */
struct counter {
    struct counted {
        int64_t count; /* 0: empty */
        size_t start;  /* in letters */
        uint32_t hash;
        unsigned char n;
    } * slots;
    size_t n_slots, n_words;
    char *letters;
    size_t n_letters, room;
    bool no_memory;
};

static bool grow_slots(struct counter *counter)
{
    size_t n = counter->n_slots ? counter->n_slots * 2 : 4096;
    struct counted *slots = calloc(n, sizeof *slots);
    if (!slots) return false;
    for (size_t i = 0; i < counter->n_slots; i++) {
        size_t at = counter->slots[i].hash & (n - 1);
        if (!counter->slots[i].count) continue;
        while (slots[at].count) at = (at + 1) & (n - 1);
        slots[at] = counter->slots[i];
    }
    free(counter->slots);
    counter->slots = slots;
    counter->n_slots = n;
    return true;
}

static bool make_room(struct counter *counter)
{
    if (2 * counter->n_words >= counter->n_slots && !grow_slots(counter)) return false;
    if (counter->n_letters + NORMALIZED_WORD_MAX <= counter->room) return true;
    size_t room = counter->room * 2 + 65536;
    char *letters = realloc(counter->letters, room);
    if (!letters) return false;
    counter->letters = letters;
    counter->room = room;
    return true;
}

static void count_word(void *user, const struct normalized_word *word)
{
    struct counter *counter = user;
    uint32_t hash = 0x811c9dc5u; /* FNV-1a */
    char letters[NORMALIZED_WORD_MAX];
    for (size_t i = 0; i < word->n; i++) {
        if (word->letters[i] - 'a' >= 26) return;
        letters[i] = (char)word->letters[i];
        hash = (hash ^ word->letters[i]) * 0x01000193u;
    }
    if (counter->no_memory || !make_room(counter)) {
        counter->no_memory = true;
        return;
    }
    size_t mask = counter->n_slots - 1, at = hash & mask;
    for (; counter->slots[at].count; at = (at + 1) & mask) {
        struct counted *found = &counter->slots[at];
        if (found->hash != hash || found->n != word->n ||
            memcmp(counter->letters + found->start, letters, word->n) != 0)
            continue;
        found->count++;
        return;
    }
    counter->slots[at] = (struct counted){1, counter->n_letters, hash, (unsigned char)word->n};
    memcpy(counter->letters + counter->n_letters, letters, word->n);
    counter->n_letters += word->n;
    counter->n_words++;
}

/* A word for sorting. */
struct ranked {
    int64_t count;
    const char *letters;
    size_t n;
};

static int compare_ranked(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;
    if (x->count != y->count) return x->count > y->count ? -1 : 1;
    int order = memcmp(x->letters, y->letters, x->n < y->n ? x->n : y->n);
    return order ? order : (x->n > y->n) - (x->n < y->n);
}

static status_code make_spelling(struct spelling **out, const struct counter *counter,
                                 int64_t min_count, struct status *st)
{
    struct spelling_size size = {0};
    struct strbuf lines;
    struct ranked *ranked = calloc(counter->n_words + 1, sizeof *ranked);
    if (!ranked) return status_no_memory(st, "the words of texts");
    for (size_t i = 0; i < counter->n_slots; i++) {
        const struct counted *word = &counter->slots[i];
        if (word->count >= min_count)
            ranked[size.n_words++] =
                (struct ranked){word->count, counter->letters + word->start, word->n};
    }
    if (!size.n_words) {
        free(ranked);
        return status_set(st, STATUS_BAD_INPUT,
                          "spelling: no word is there %lld times; lower \"min_count\"",
                          (long long)min_count);
    }
    qsort(ranked, size.n_words, sizeof *ranked, compare_ranked);
    if (size.n_words > SPELLING_MAX_WORDS) size.n_words = SPELLING_MAX_WORDS;
    strbuf_init(&lines, SPELLING_MAX_BYTES);
    for (size_t i = 0; i < size.n_words; i++) {
        size.n_sure += ranked[i].count >= SURE_TIMES * min_count;
        size.n_targets += ranked[i].count >= TARGET_TIMES * min_count;
        size.n_common += ranked[i].count >= COMMON_TIMES * min_count;
        strbuf_append(&lines, ranked[i].letters, ranked[i].n);
        strbuf_append_char(&lines, '\n');
    }
    free(ranked);
    status_code code = strbuf_check(&lines, "a spelling", st);
    if (code == STATUS_OK)
        code = spelling_parse(out, (struct text){lines.data, lines.length}, &size, st);
    strbuf_release(&lines);
    return code;
}

status_code spelling_learn(struct spelling **out, const struct training_example *examples, size_t n,
                           int64_t min_count, struct status *st)
{
    struct counter counter = {.n_slots = 0};
    *out = NULL;
    BUG_IF(min_count < 1);
    for (size_t i = 0; i < n; i++) {
        struct text_normalizer normalizer;
        if (examples[i].held_out || examples[i].is_variant) continue;
        text_normalizer_init(&normalizer);
        text_normalizer_add(&normalizer, examples[i].text, count_word, &counter);
        text_normalizer_end(&normalizer, count_word, &counter);
    }
    status_code code = counter.no_memory ? status_no_memory(st, "the words of texts")
                                         : make_spelling(out, &counter, min_count, st);
    free(counter.slots);
    free(counter.letters);
    return code;
}
