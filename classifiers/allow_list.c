#include "classifiers/allow_list.h"

#include <stdlib.h>

#include "classifiers/strict_json.h"
#include "classifiers/text_ranges.h"
#include "classifiers/word_reader.h"
#include "engine/base/arena.h"
#include "engine/base/limits.h"
#include "engine/base/regex.h"
#include "engine/base/utf8.h"

#define MAX_PHRASE_WORDS 16
#define WORD_ROOM        (4 * WORD_MAX_BYTES) /* a word in lower case */

struct phrase {
    struct text words[MAX_PHRASE_WORDS];
    int n_words;
};

struct pattern {
    const char *source;  /* as the policy wrote it */
    struct regex *regex; /* of `texts`: anchored at both ends */
};

enum list_kind { PHRASES, MATCHES, TEXTS, LIST_KINDS };
static const char *const list_names[LIST_KINDS] = {"phrases", "matches", "texts"};

struct allow_list {
    struct arena arena; /* holds what follows */
    struct phrase *phrases;
    const char **phrase_sources;
    struct pattern *patterns[LIST_KINDS]; /* none for PHRASES */
    int n[LIST_KINDS];
};

void allow_list_free(struct allow_list *list)
{
    if (!list) return;
    for (int kind = MATCHES; kind <= TEXTS; kind++)
        for (int i = 0; i < list->n[kind]; i++) regex_free(list->patterns[kind][i].regex);
    arena_release(&list->arena);
    free(list);
}

/* ---- reading ---- */

static status_code add_phrase(struct allow_list *list, const char *source, struct status *st)
{
    struct phrase *phrase = &list->phrases[list->n[PHRASES]];
    struct word_reader reader;
    status_code code = STATUS_OK;
    word_reader_init(&reader, text_of(source));
    while (code == STATUS_OK && word_reader_next(&reader)) {
        if (phrase->n_words == MAX_PHRASE_WORDS || reader.is_cut) {
            code = status_set(st, STATUS_BAD_INPUT, "has over %d words, or one over %d bytes long",
                              MAX_PHRASE_WORDS, WORD_MAX_BYTES);
            break;
        }
        char *word = arena_strndup(&list->arena, reader.word.data, reader.word.length);
        if (!word) code = status_no_memory(st, "an allow list");
        phrase->words[phrase->n_words++] = (struct text){word, reader.word.length};
    }
    if (code == STATUS_OK) code = word_reader_check(&reader, st);
    word_reader_release(&reader);
    if (code == STATUS_OK && !phrase->n_words)
        code = status_set(st, STATUS_BAD_INPUT, "has no word");
    if (code == STATUS_OK) list->phrase_sources[list->n[PHRASES]++] = source;
    return code;
}

/* Compiles the pattern alone first: what is not a pattern by itself must not become one between the
 * anchors, where "a)|(b" would lose them. */
static status_code compile(struct pattern *pattern, enum list_kind kind, struct status *st)
{
    struct regex_match match = {0};
    status_code code = regex_compile(&pattern->regex, pattern->source, st);
    if (code != STATUS_OK) return code;
    struct regex_scan scan = regex_scan_start(pattern->regex, text_of(""));
    code = regex_scan_next(&scan, &match, st);
    if (code == STATUS_OK && match.found)
        code = status_set(st, STATUS_BAD_INPUT, "matches the empty text");
    if (code == STATUS_OK && kind != TEXTS) return STATUS_OK;
    regex_free(pattern->regex);
    pattern->regex = NULL;
    if (code != STATUS_OK) return code;
    struct strbuf anchored;
    strbuf_init(&anchored, LIMIT_POLICY_BYTES + 16);
    strbuf_append_str(&anchored, "\\A(?:");
    strbuf_append_str(&anchored, pattern->source);
    strbuf_append_str(&anchored, ")\\z");
    code = strbuf_check(&anchored, "a pattern", st);
    if (code == STATUS_OK) code = regex_compile(&pattern->regex, anchored.data, st);
    strbuf_release(&anchored);
    return code;
}

static status_code add_entry(struct allow_list *list, enum list_kind kind,
                             const struct json_value *value, struct status *st)
{
    if (json_kind(value) != JSON_STRING)
        return status_set(st, STATUS_BAD_INPUT, "is %s, expected a string",
                          json_kind_name(json_kind(value)));
    struct text text = json_text(value);
    if (!text.length || memchr(text.data, '\0', text.length))
        return status_set(st, STATUS_BAD_INPUT, "is empty or holds a NUL");
    char *source = arena_strndup(&list->arena, text.data, text.length);
    if (!source) return status_no_memory(st, "an allow list");
    if (kind == PHRASES) return add_phrase(list, source, st);
    struct pattern *pattern = &list->patterns[kind][list->n[kind]];
    pattern->source = source;
    status_code code = compile(pattern, kind, st);
    if (code == STATUS_OK) list->n[kind]++;
    return code;
}

static status_code make_room(struct allow_list *list, enum list_kind kind, size_t n,
                             struct status *st)
{
    bool good;
    if (kind == PHRASES) {
        list->phrases = arena_array(&list->arena, n, sizeof *list->phrases);
        list->phrase_sources = arena_array(&list->arena, n, sizeof *list->phrase_sources);
        good = list->phrases && list->phrase_sources;
    } else {
        list->patterns[kind] = arena_array(&list->arena, n, sizeof *list->patterns[kind]);
        good = list->patterns[kind];
    }
    return good ? STATUS_OK : status_no_memory(st, "an allow list");
}

static status_code read_list(struct allow_list *list, enum list_kind kind,
                             const struct json_value *object, struct status *st)
{
    const struct json_value *array;
    if (!json_member(object, list_names[kind])) return STATUS_OK;
    status_code code = json_get_array(object, list_names[kind], &array, st);
    if (code != STATUS_OK) return code;
    size_t n = json_count(array);
    if (!n || n > LIMIT_ALLOW_ENTRIES)
        return status_set(st, STATUS_BAD_INPUT, "field \"%s\" has %zu, expected 1 to %d",
                          list_names[kind], n, LIMIT_ALLOW_ENTRIES);
    code = make_room(list, kind, n, st);
    int i = 0;
    for (const struct json_value *v = json_first(array); v && code == STATUS_OK;
         v = json_next(v), i++) {
        code = add_entry(list, kind, v, st);
        if (code != STATUS_OK) status_prefix(st, "field \"%s\"[%d]", list_names[kind], i);
    }
    return code;
}

status_code allow_list_read(struct allow_list **out, const struct json_value *object,
                            struct status *st)
{
    status_code code = strict_json_fields(object, list_names, LIST_KINDS, st);
    if (code != STATUS_OK) return code;
    struct allow_list *list = calloc(1, sizeof *list);
    if (!list) return status_no_memory(st, "an allow list");
    arena_init(&list->arena, SIZE_MAX); /* bounded by the policy's size and LIMIT_ALLOW_ENTRIES */
    for (int kind = 0; kind < LIST_KINDS && code == STATUS_OK; kind++)
        code = read_list(list, (enum list_kind)kind, object, st);
    if (code == STATUS_OK && !list->n[PHRASES] && !list->n[MATCHES] && !list->n[TEXTS])
        code = status_set(st, STATUS_BAD_INPUT, "allows nothing");
    if (code == STATUS_OK)
        *out = list;
    else
        allow_list_free(list);
    return code;
}

void allow_list_append(const struct allow_list *list, struct strbuf *out)
{
    const char *separator = "{";
    for (int kind = 0; kind < LIST_KINDS; kind++) {
        if (!list->n[kind]) continue;
        strbuf_appendf(out, "%s\"%s\":[", separator, list_names[kind]);
        for (int i = 0; i < list->n[kind]; i++) {
            if (i) strbuf_append_char(out, ',');
            json_append_str(out, kind == PHRASES ? list->phrase_sources[i]
                                                 : list->patterns[kind][i].source);
        }
        strbuf_append_char(out, ']');
        separator = ",";
    }
    strbuf_append_char(out, '}');
}

/* ---- matching ---- */

bool allow_list_exempts_text(const struct allow_list *list, struct text text)
{
    struct status st = {0};
    if (!list->n[TEXTS] || !utf8_valid(text)) return false;
    for (int i = 0; i < list->n[TEXTS]; i++) {
        struct regex_match match = {0};
        struct regex_scan scan = regex_scan_start(list->patterns[TEXTS][i].regex, text);
        if (regex_scan_next(&scan, &match, &st) != STATUS_OK || !match.found) continue;
        if (match.group[0].data == text.data && match.group[0].length == text.length) return true;
    }
    return false;
}

/* The last words of a text, in lower case, by their number modulo MAX_PHRASE_WORDS. */
struct recent_words {
    char bytes[MAX_PHRASE_WORDS][WORD_ROOM];
    size_t length[MAX_PHRASE_WORDS]; /* WORD_ROOM + 1: of a word that matches nothing */
    size_t start[MAX_PHRASE_WORDS];
    size_t count; /* words so far */
};

static void remember(struct recent_words *recent, const struct word_reader *reader)
{
    size_t at = recent->count++ % MAX_PHRASE_WORDS;
    recent->start[at] = reader->start;
    recent->length[at] = WORD_ROOM + 1;
    if (reader->is_cut || reader->word.length > WORD_ROOM) return;
    memcpy(recent->bytes[at], reader->word.data, reader->word.length);
    recent->length[at] = reader->word.length;
}

static bool ends_with(const struct recent_words *recent, const struct phrase *phrase)
{
    if (recent->count < (size_t)phrase->n_words) return false;
    for (int i = 0; i < phrase->n_words; i++) {
        size_t at = (recent->count - 1 - (size_t)i) % MAX_PHRASE_WORDS;
        struct text word = {recent->bytes[at], recent->length[at]};
        if (!text_equal(word, phrase->words[phrase->n_words - 1 - i])) return false;
    }
    return true;
}

static status_code find_phrases(const struct allow_list *list, struct text text,
                                struct text_ranges *ranges, struct status *st)
{
    struct word_reader reader;
    struct recent_words recent;
    status_code code = STATUS_OK;
    recent.count = 0;
    word_reader_init(&reader, text);
    while (code == STATUS_OK && list->n[PHRASES] && word_reader_next(&reader)) {
        remember(&recent, &reader);
        for (int i = 0; i < list->n[PHRASES] && code == STATUS_OK; i++) {
            const struct phrase *phrase = &list->phrases[i];
            if (!ends_with(&recent, phrase)) continue;
            size_t first = (recent.count - (size_t)phrase->n_words) % MAX_PHRASE_WORDS;
            code = text_ranges_add(ranges, recent.start[first], reader.end, st);
        }
    }
    if (code == STATUS_OK) code = word_reader_check(&reader, st);
    word_reader_release(&reader);
    return code;
}

/* A pattern that runs out of steps has allowed nothing beyond what it found so far. */
static status_code find_matches(const struct allow_list *list, struct text text,
                                struct text_ranges *ranges, struct status *st)
{
    status_code code = STATUS_OK;
    if (!list->n[MATCHES] || !utf8_valid(text)) return STATUS_OK;
    for (int i = 0; i < list->n[MATCHES]; i++) {
        struct status stopped = {0};
        struct regex_match match = {0};
        struct regex_scan scan = regex_scan_start(list->patterns[MATCHES][i].regex, text);
        while (code == STATUS_OK && regex_scan_next(&scan, &match, &stopped) == STATUS_OK &&
               match.found) {
            size_t start = (size_t)(match.group[0].data - text.data);
            code = text_ranges_add(ranges, start, start + match.group[0].length, st);
        }
    }
    return code;
}

status_code allow_list_mask(const struct allow_list *list, struct text text, struct strbuf *out,
                            bool *masked, struct status *st)
{
    struct text_ranges ranges;
    text_ranges_init(&ranges);
    status_code code = find_phrases(list, text, &ranges, st);
    if (code == STATUS_OK) code = find_matches(list, text, &ranges, st);
    if (code == STATUS_OK) code = text_ranges_replace(&ranges, text, text_of(" "), out, st);
    *masked = ranges.count > 0;
    text_ranges_release(&ranges);
    return code;
}
