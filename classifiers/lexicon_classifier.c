/* A word list as a classifier: which phrases of the list are in the text, and how strong are they?
 *
 * A phrase is 1 to MAX_PHRASE_WORDS words (word_reader.h), matched word for word.  Each entry
 * counts once however often its phrase occurs, so that length alone raises nothing:
 *
 *   probability = 1 - product over the entries found of (1 - strength)
 *   logit       = ln(probability / (1 - probability)), kept within +-LOGIT_BOUND
 *
 * At each word of the text, every phrase that ends there is looked up by the ids of its words: at
 * most MAX_PHRASE_WORDS look-ups, however long the text and the list are.
 */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "classifiers/classifier_vtable.h"
#include "classifiers/strict_json.h"
#include "classifiers/word_reader.h"
#include "engine/base/arena.h"
#include "engine/base/json.h"
#include "engine/base/limits.h"

#define MAX_PHRASE_WORDS 16
#define LOGIT_BOUND      20.0
#define NONE             (-1)

extern const struct text embedded_classifiers_lexicons_demo_json;

struct word {
    struct text text; /* owned by the arena */
    uint64_t hash;
};

struct phrase {
    const int32_t *words; /* (n_words), owned by the arena */
    int32_t n_words;
    int32_t first_entry;
    uint64_t hash;
};

struct entry {
    enum hazard_category category;
    double strength;
    int32_t next; /* the next entry of the same phrase, or NONE */
};

/* Open addressing: a slot holds an index or NONE; the size is a power of two and half empty. */
struct slots {
    int32_t *index;
    size_t mask;
};

struct lexicon {
    struct classifier base;
    struct arena arena;
    struct word *words;
    struct phrase *phrases;
    struct entry *entries;
    int32_t n_words, n_phrases, n_entries;
    struct slots word_slots, phrase_slots;
    /* Part of every hash.  It comes from the file's own digest, so that no file can be made whose
     * words all fall into one slot. */
    uint64_t hash_seed;
    uint32_t lengths; /* bit n: there is a phrase of n words */
};

static uint64_t hash_bytes(uint64_t hash, const void *data, size_t n)
{
    const unsigned char *p = data;
    for (size_t i = 0; i < n; i++) hash = (hash ^ p[i]) * 0x100000001b3u; /* FNV-1a */
    return hash;
}

static uint64_t hash_id(uint64_t hash, int32_t id)
{
    hash = (hash ^ (uint64_t)id) * 0x9e3779b97f4a7c15u;
    return hash ^ hash >> 29;
}

/* ---- look-up ---- */

/* The word's id, or NONE.  *slot is where it is or belongs. */
static int32_t find_word(const struct lexicon *lexicon, struct text word, uint64_t hash,
                         size_t *slot)
{
    const struct slots *slots = &lexicon->word_slots;
    size_t i = (size_t)(hash ^ hash >> 32) & slots->mask;
    for (; slots->index[i] != NONE; i = (i + 1) & slots->mask) {
        const struct word *known = &lexicon->words[slots->index[i]];
        if (known->hash == hash && text_equal(known->text, word)) break;
    }
    *slot = i;
    return slots->index[i];
}

/* The phrase made of ring[(last - n_words + 1) .. last] modulo MAX_PHRASE_WORDS, or NONE. */
static int32_t find_phrase(const struct lexicon *lexicon, const int32_t *ring, size_t last,
                           int32_t n_words, uint64_t hash, size_t *slot)
{
    const struct slots *slots = &lexicon->phrase_slots;
    size_t i = (size_t)(hash ^ hash >> 32) & slots->mask;
    for (; slots->index[i] != NONE; i = (i + 1) & slots->mask) {
        const struct phrase *known = &lexicon->phrases[slots->index[i]];
        if (known->hash != hash || known->n_words != n_words) continue;
        int32_t same = 0;
        while (same < n_words &&
               known->words[n_words - 1 - same] == ring[(last - (size_t)same) % MAX_PHRASE_WORDS])
            same++;
        if (same == n_words) break;
    }
    *slot = i;
    return slots->index[i];
}

/* An entry was found at text[start, end). */
typedef void on_match(void *user, const struct lexicon *lexicon, int32_t entry, size_t start,
                      size_t end);

/* Reports the phrases that end at the last of n words; longer ones come later. */
static void match_at(const struct lexicon *lexicon, const int32_t *ids, const size_t *starts,
                     size_t n, size_t end, on_match *report, void *user)
{
    uint64_t hash = lexicon->hash_seed;
    size_t last = n - 1;
    for (int32_t length = 1; length <= MAX_PHRASE_WORDS && (size_t)length <= n; length++) {
        size_t first = (last - (size_t)length + 1) % MAX_PHRASE_WORDS;
        size_t slot;
        if (ids[first] == NONE) return;
        hash = hash_id(hash, ids[first]);
        if (!(lexicon->lengths & (uint32_t)1 << length)) continue;
        int32_t phrase = find_phrase(lexicon, ids, last, length, hash, &slot);
        if (phrase == NONE) continue;
        for (int32_t e = lexicon->phrases[phrase].first_entry; e != NONE;
             e = lexicon->entries[e].next)
            report(user, lexicon, e, starts[first], end);
    }
}

static status_code match_text(const struct lexicon *lexicon, struct text text, on_match *report,
                              void *user, struct status *st)
{
    int32_t ids[MAX_PHRASE_WORDS]; /* ring over the last words: id, or NONE */
    size_t starts[MAX_PHRASE_WORDS];
    struct word_reader reader;
    word_reader_init(&reader, text);
    for (size_t n = 0; word_reader_next(&reader); n++) {
        size_t slot;
        uint64_t hash = hash_bytes(lexicon->hash_seed, reader.word.data, reader.word.length);
        ids[n % MAX_PHRASE_WORDS] =
            reader.is_cut ? NONE : find_word(lexicon, reader.word, hash, &slot);
        starts[n % MAX_PHRASE_WORDS] = reader.start;
        match_at(lexicon, ids, starts, n + 1, reader.end, report, user);
    }
    status_code code = word_reader_check(&reader, st);
    word_reader_release(&reader);
    return code;
}

/* ---- the classifier ---- */

struct tally {
    bool *seen;                /* (n_entries) */
    double miss[HAZARD_COUNT]; /* product of (1 - strength) over the entries seen */
};

static void tally_match(void *user, const struct lexicon *lexicon, int32_t entry, size_t start,
                        size_t end)
{
    (void)start;
    (void)end;
    struct tally *tally = user;
    if (tally->seen[entry]) return;
    tally->seen[entry] = true;
    tally->miss[lexicon->entries[entry].category] *= 1 - lexicon->entries[entry].strength;
}

static status_code lexicon_score(const struct classifier *classifier, struct text prompt,
                                 struct text text, struct hazard_scores *out, struct status *st)
{
    (void)prompt; /* words mean the same to a list whatever they answer */
    const struct lexicon *lexicon = (const struct lexicon *)classifier;
    struct tally tally = {.seen = calloc((size_t)lexicon->n_entries, sizeof *tally.seen)};
    if (!tally.seen) return status_no_memory(st, "the entries seen in a text");
    for (int c = 0; c < HAZARD_COUNT; c++) tally.miss[c] = 1;
    status_code code = match_text(lexicon, text, tally_match, &tally, st);
    free(tally.seen);
    if (code != STATUS_OK) return code;
    for (int c = 0; c < HAZARD_COUNT; c++) {
        if (!(classifier->categories & HAZARD_BIT(c))) continue;
        double p = 1 - tally.miss[c];
        double logit = log(p) - log(tally.miss[c]);
        out->of[c] = (struct hazard_score){true, fmax(-LOGIT_BOUND, fmin(LOGIT_BOUND, logit)), p};
    }
    return STATUS_OK;
}

struct span_report {
    void (*on_span)(void *user, const struct hazard_span *span);
    void *user;
    struct text text;
};

static void report_span(void *user, const struct lexicon *lexicon, int32_t entry, size_t start,
                        size_t end)
{
    const struct span_report *report = user;
    struct hazard_span span = {{report->text.data + start, end - start},
                               lexicon->entries[entry].category,
                               lexicon->entries[entry].strength};
    report->on_span(report->user, &span);
}

static status_code lexicon_explain(const struct classifier *classifier, struct text prompt,
                                   struct text text,
                                   void (*on_span)(void *user, const struct hazard_span *span),
                                   void *user, struct status *st)
{
    (void)prompt;
    struct span_report report = {on_span, user, text};
    return match_text((const struct lexicon *)classifier, text, report_span, &report, st);
}

static void lexicon_free(struct classifier *classifier)
{
    struct lexicon *lexicon = (struct lexicon *)classifier;
    arena_release(&lexicon->arena);
    free(lexicon);
}

/* ---- reading the list ---- */

struct entry_text {
    struct text phrase;
    enum hazard_category category;
    double strength;
};

static status_code read_entry(const struct json_value *value, struct entry_text *out,
                              struct status *st)
{
    static const char *const fields[] = {"phrase", "category", "strength"};
    struct text category;
    status_code code = strict_json_fields(value, fields, 3, st);
    if (code == STATUS_OK) code = json_get_text(value, "phrase", &out->phrase, st);
    if (code == STATUS_OK) code = json_get_text(value, "category", &category, st);
    if (code == STATUS_OK) code = json_get_double(value, "strength", &out->strength, st);
    if (code != STATUS_OK) return code;
    if (!hazard_find(category, &out->category))
        return status_set(st, STATUS_BAD_INPUT, "field \"category\": unknown category \"%.*s\"",
                          (int)(category.length > 64 ? 64 : category.length), category.data);
    if (!(out->strength > 0 && out->strength <= 1))
        return status_set(st, STATUS_BAD_INPUT,
                          "field \"strength\" is %g, expected a number above 0 and up to 1",
                          out->strength);
    return STATUS_OK;
}

/* Adds the phrase's words to *total, or says what is wrong with it. */
static status_code count_words(struct text phrase, size_t *total, struct status *st)
{
    struct word_reader reader;
    size_t count = 0;
    bool is_cut = false;
    word_reader_init(&reader, phrase);
    while (word_reader_next(&reader)) {
        count++;
        is_cut = is_cut || reader.is_cut;
    }
    status_code code = word_reader_check(&reader, st);
    word_reader_release(&reader);
    if (code != STATUS_OK) return code;
    if (is_cut)
        return status_set(st, STATUS_BAD_INPUT, "field \"phrase\" has a word of over %d bytes",
                          WORD_MAX_BYTES);
    if (!count || count > MAX_PHRASE_WORDS)
        return status_set(st, STATUS_BAD_INPUT, "field \"phrase\" has %zu words, expected 1 to %d",
                          count, MAX_PHRASE_WORDS);
    *total += count;
    return STATUS_OK;
}

static status_code intern_word(struct lexicon *lexicon, struct text word, int32_t *id,
                               struct status *st)
{
    size_t slot;
    uint64_t hash = hash_bytes(lexicon->hash_seed, word.data, word.length);
    *id = find_word(lexicon, word, hash, &slot);
    if (*id != NONE) return STATUS_OK;
    char *copy = arena_strndup(&lexicon->arena, word.data, word.length);
    if (!copy) return status_no_memory(st, "the words of a lexicon");
    lexicon->words[lexicon->n_words] = (struct word){{copy, word.length}, hash};
    *id = lexicon->word_slots.index[slot] = lexicon->n_words++;
    return STATUS_OK;
}

static status_code intern_phrase(struct lexicon *lexicon, const int32_t *ids, int32_t n,
                                 int32_t *out, struct status *st)
{
    size_t slot;
    uint64_t hash = lexicon->hash_seed;
    for (int32_t i = n - 1; i >= 0; i--) hash = hash_id(hash, ids[i]);
    *out = find_phrase(lexicon, ids, (size_t)n - 1, n, hash, &slot);
    if (*out != NONE) return STATUS_OK;
    int32_t *copy = arena_array(&lexicon->arena, (size_t)n, sizeof *copy);
    if (!copy) return status_no_memory(st, "the phrases of a lexicon");
    memcpy(copy, ids, (size_t)n * sizeof *copy);
    lexicon->phrases[lexicon->n_phrases] = (struct phrase){copy, n, NONE, hash};
    lexicon->lengths |= (uint32_t)1 << n;
    *out = lexicon->phrase_slots.index[slot] = lexicon->n_phrases++;
    return STATUS_OK;
}

static status_code add_entry(struct lexicon *lexicon, const struct entry_text *entry,
                             struct status *st)
{
    int32_t ids[MAX_PHRASE_WORDS], n = 0, phrase;
    struct word_reader reader;
    status_code code = STATUS_OK;
    word_reader_init(&reader, entry->phrase);
    while (code == STATUS_OK && word_reader_next(&reader))
        code = intern_word(lexicon, reader.word, &ids[n++], st);
    if (code == STATUS_OK) code = word_reader_check(&reader, st);
    word_reader_release(&reader);
    if (code == STATUS_OK) code = intern_phrase(lexicon, ids, n, &phrase, st);
    if (code != STATUS_OK) return code;

    int32_t *link = &lexicon->phrases[phrase].first_entry;
    for (; *link != NONE; link = &lexicon->entries[*link].next)
        if (lexicon->entries[*link].category == entry->category)
            return status_set(
                st, STATUS_BAD_INPUT,
                "field \"phrase\": entry %d has these words and this category already", (int)*link);
    *link = lexicon->n_entries;
    lexicon->entries[lexicon->n_entries++] = (struct entry){entry->category, entry->strength, NONE};
    lexicon->base.categories |= HAZARD_BIT(entry->category);
    return STATUS_OK;
}

static status_code make_slots(struct lexicon *lexicon, struct slots *slots, size_t n_items,
                              struct status *st)
{
    size_t size = 16;
    while (size < 2 * n_items) size *= 2;
    slots->index = arena_array(&lexicon->arena, size, sizeof *slots->index);
    if (!slots->index) return status_no_memory(st, "the index of a lexicon");
    for (size_t i = 0; i < size; i++) slots->index[i] = NONE;
    slots->mask = size - 1;
    return STATUS_OK;
}

static status_code make_room(struct lexicon *lexicon, size_t n_entries, size_t n_words,
                             struct status *st)
{
    struct arena *arena = &lexicon->arena;
    lexicon->words = arena_array(arena, n_words, sizeof *lexicon->words);
    lexicon->phrases = arena_array(arena, n_entries, sizeof *lexicon->phrases);
    lexicon->entries = arena_array(arena, n_entries, sizeof *lexicon->entries);
    if (!lexicon->words || !lexicon->phrases || !lexicon->entries)
        return status_no_memory(st, "a lexicon");
    status_code code = make_slots(lexicon, &lexicon->word_slots, n_words, st);
    if (code == STATUS_OK) code = make_slots(lexicon, &lexicon->phrase_slots, n_entries, st);
    return code;
}

/* Two walks over the entries: the first checks them and counts, the second fills the tables. */
static status_code read_entries(struct lexicon *lexicon, const struct json_value *entries,
                                struct status *st)
{
    struct entry_text entry;
    size_t n_entries = json_count(entries), n_words = 0, i = 0;
    if (!n_entries || n_entries > LIMIT_LEXICON_ENTRIES)
        return status_set(st, STATUS_BAD_INPUT, "field \"entries\" has %zu, expected 1 to %d",
                          n_entries, LIMIT_LEXICON_ENTRIES);
    status_code code = STATUS_OK;
    for (const struct json_value *v = json_first(entries); v; v = json_next(v), i++) {
        code = read_entry(v, &entry, st);
        if (code == STATUS_OK) code = count_words(entry.phrase, &n_words, st);
        if (code != STATUS_OK) return status_prefix(st, "entries[%zu]", i);
    }
    code = make_room(lexicon, n_entries, n_words, st);
    if (code != STATUS_OK) return code;
    i = 0;
    for (const struct json_value *v = json_first(entries); v; v = json_next(v), i++) {
        code = read_entry(v, &entry, st);
        if (code == STATUS_OK) code = add_entry(lexicon, &entry, st);
        if (code != STATUS_OK) return status_prefix(st, "entries[%zu]", i);
    }
    return STATUS_OK;
}

static status_code read_lexicon(struct lexicon *lexicon, const struct json_value *root,
                                struct status *st)
{
    static const char *const fields[] = {"name", "version", "licence", "entries"};
    struct text name, licence;
    int64_t version;
    const struct json_value *entries;
    status_code code = strict_json_fields(root, fields, 4, st);
    if (code == STATUS_OK) code = strict_json_name(root, "name", &name, st);
    if (code == STATUS_OK) code = json_get_int(root, "version", 1, 1000000, &version, st);
    if (code == STATUS_OK) code = strict_json_name(root, "licence", &licence, st);
    if (code == STATUS_OK) code = json_get_array(root, "entries", &entries, st);
    if (code != STATUS_OK) return code;
    snprintf(lexicon->base.id, sizeof lexicon->base.id, "lexicon/%.*s-%d", TEXT_ARGS(name),
             (int)version);
    return read_entries(lexicon, entries, st);
}

static status_code parse_lexicon(struct lexicon *lexicon, struct text text, struct status *st)
{
    struct json_value *root;
    sha256_text(text, lexicon->base.sha256);
    char seed[17] = {0};
    memcpy(seed, lexicon->base.sha256, 16);
    lexicon->hash_seed = strtoull(seed, NULL, 16);
    status_code code = json_parse(&root, text, st);
    if (code != STATUS_OK) return code;
    code = read_lexicon(lexicon, root, st);
    json_free(root);
    return code;
}

status_code lexicon_classifier_open(struct classifier **out, const char *argument,
                                    struct status *st)
{
    static const struct classifier_vtable table = {
        .score = lexicon_score, .explain = lexicon_explain, .free = lexicon_free};
    struct strbuf file;
    struct text text = embedded_classifiers_lexicons_demo_json;
    strbuf_init(&file, LIMIT_LEXICON_BYTES);
    status_code code = argument ? strbuf_read_file(&file, argument, st) : STATUS_OK;
    if (argument) text = (struct text){file.data, file.length};
    struct lexicon *lexicon = NULL;
    if (code == STATUS_OK && !(lexicon = calloc(1, sizeof *lexicon)))
        code = status_no_memory(st, "a lexicon");
    if (lexicon) {
        lexicon->base.vtable = &table;
        arena_init(&lexicon->arena, SIZE_MAX); /* bounded by the file's size */
        code = parse_lexicon(lexicon, text, st);
        if (code != STATUS_OK)
            code = status_prefix(st, "%s", argument ? argument : "the built-in lexicon");
    }
    strbuf_release(&file);
    if (code == STATUS_OK)
        *out = &lexicon->base;
    else if (lexicon)
        lexicon_free(&lexicon->base);
    return code;
}
