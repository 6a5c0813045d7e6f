#include "benchmarks/training_variants.h"

#include <math.h>
#include <string.h>

#include "classifiers/strict_json.h"

#define HOLE "{text}"

/* ---- reading ---- */

static status_code read_words(const struct json_value *list, struct text *out, size_t *n,
                              struct status *st)
{
    *n = 0;
    if (json_kind(list) != JSON_ARRAY || json_count(list) < 1 ||
        json_count(list) > VARIANTS_MAX_WORDS)
        return status_set(st, STATUS_BAD_INPUT, "not a list of 1 to %d texts", VARIANTS_MAX_WORDS);
    for (const struct json_value *v = json_first(list); v; v = json_next(v)) {
        if (json_kind(v) != JSON_STRING || !json_text(v).length)
            return status_set(st, STATUS_BAD_INPUT, "entry %zu is not a text", *n);
        out[(*n)++] = json_text(v);
    }
    return STATUS_OK;
}

static status_code read_lists(struct training_variants *variants, const struct json_value *lists,
                              struct status *st)
{
    if (json_count(lists) > VARIANTS_MAX_LISTS)
        return status_set(st, STATUS_LIMIT, "more than %d lists", VARIANTS_MAX_LISTS);
    for (const struct json_value *v = json_first(lists); v; v = json_next(v)) {
        struct word_list *list = &variants->lists[variants->n_lists];
        status_code code = read_words(v, list->words, &list->n, st);
        if (code == STATUS_OK && list->n < 2)
            code = status_set(st, STATUS_BAD_INPUT, "a single word has no other");
        if (code != STATUS_OK) return status_prefix(st, "list %zu", variants->n_lists);
        variants->n_lists++;
    }
    return STATUS_OK;
}

static bool find_head(const struct training_options *options, struct text name, int *head)
{
    for (*head = 0; *head < options->n_heads; (*head)++)
        if (text_equal(name, text_of(hazard_get(options->category[*head])->name))) return true;
    return false;
}

static status_code read_label(struct training_variants *variants, const struct json_value *value,
                              const struct training_options *options, struct status *st)
{
    int head;
    double label = json_kind(value) == JSON_NUMBER ? json_number(value) : -1;
    if (!find_head(options, text_of(json_key(value)), &head) || !(label >= 0 && label <= 1))
        return status_set(st, STATUS_BAD_INPUT,
                          "\"%.64s\" is not one of \"categories\" with a number of 0 to 1",
                          json_key(value));
    variants->quoted_label[head] = (float)label;
    return STATUS_OK;
}

static const char *find_hole(struct text sentence)
{
    for (size_t i = 0; i + strlen(HOLE) <= sentence.length; i++)
        if (memcmp(sentence.data + i, HOLE, strlen(HOLE)) == 0) return sentence.data + i;
    return NULL;
}

static status_code read_quote(struct training_variants *variants, const struct json_value *quote,
                              const struct training_options *options, struct status *st)
{
    const struct json_value *sentences, *labels;
    static const char *const fields[] = {"of", "from", "labels", "sentences"};
    struct text of;
    double from;
    status_code code = strict_json_fields(quote, fields, 4, st);
    if (code == STATUS_OK) code = json_get_array(quote, "sentences", &sentences, st);
    if (code == STATUS_OK)
        code = read_words(sentences, variants->sentences, &variants->n_sentences, st);
    if (code == STATUS_OK) code = json_get_text(quote, "of", &of, st);
    if (code == STATUS_OK) code = json_get_double(quote, "from", &from, st);
    if (code == STATUS_OK) code = json_get_object(quote, "labels", &labels, st);
    if (code != STATUS_OK) return code;
    if (!find_head(options, of, &variants->quoted_head))
        return status_set(st, STATUS_BAD_INPUT, "field \"of\" is not one of \"categories\"");
    variants->quoted_from = (float)from;
    for (size_t i = 0; i < variants->n_sentences; i++)
        if (!find_hole(variants->sentences[i]))
            return status_set(st, STATUS_BAD_INPUT, "sentence %zu has no %s", i, HOLE);
    for (const struct json_value *v = json_first(labels); v; v = json_next(v)) {
        code = read_label(variants, v, options, st);
        if (code != STATUS_OK) return status_prefix(st, "field \"labels\"");
    }
    return STATUS_OK;
}

status_code training_variants_read(struct training_variants *variants,
                                   const struct json_value *value,
                                   const struct training_options *options, struct status *st)
{
    static const char *const fields[] = {"max_bytes", "swap", "quote"};
    int64_t max_bytes;
    const struct json_value *lists, *quote;
    *variants = (struct training_variants){.n_lists = 0};
    for (int h = 0; h < LINEAR_MAX_HEADS; h++) variants->quoted_label[h] = NAN;
    status_code code = strict_json_fields(value, fields, 3, st);
    if (code == STATUS_OK) code = json_get_int(value, "max_bytes", 1, 1 << 20, &max_bytes, st);
    if (code != STATUS_OK) return code;
    variants->max_bytes = (size_t)max_bytes;
    code = json_get_array(value, "swap", &lists, st);
    if (code == STATUS_OK) code = read_lists(variants, lists, st);
    if (code != STATUS_OK) return status_prefix(st, "swap");
    code = json_get_object(value, "quote", &quote, st);
    if (code == STATUS_OK) code = read_quote(variants, quote, options, st);
    return code == STATUS_OK ? code : status_prefix(st, "quote");
}

/* ---- writing ---- */

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

static bool is_word_byte(char c)
{
    return (lower(c) >= 'a' && lower(c) <= 'z') || (c >= '0' && c <= '9') || (unsigned char)c > 127;
}

/* Whether `word` stands at a place of the text, as a whole. */
static bool stands_at(struct text text, size_t at, struct text word)
{
    size_t end = at + word.length;
    if (end > text.length || (end < text.length && is_word_byte(text.data[end]))) return false;
    for (size_t i = 0; i < word.length; i++)
        if (lower(text.data[at + i]) != word.data[i]) return false;
    return true;
}

/* The longest word of a list that stands at a place, or n. */
static size_t word_at(const struct word_list *list, struct text text, size_t at)
{
    size_t best = list->n;
    if (at && is_word_byte(text.data[at - 1])) return best;
    for (size_t i = 0; i < list->n; i++)
        if (stands_at(text, at, list->words[i]) &&
            (best == list->n || list->words[i].length > list->words[best].length))
            best = i;
    return best;
}

/* Replaces each word of the list by the one `shift` places on; false when there is none. */
static bool swap_words(const struct word_list *list, struct text text, size_t shift,
                       struct strbuf *out)
{
    bool found = false;
    strbuf_clear(out);
    for (size_t i = 0; i < text.length;) {
        size_t word = word_at(list, text, i);
        if (word == list->n) {
            strbuf_append_char(out, text.data[i++]);
            continue;
        }
        struct text other = list->words[(word + shift) % list->n];
        strbuf_append(out, other.data, other.length);
        i += list->words[word].length;
        found = true;
    }
    return found;
}

bool training_variants_swap(const struct training_variants *variants, struct text text,
                            uint64_t random, struct strbuf *out)
{
    if (text.length > variants->max_bytes) return false;
    for (size_t i = 0; i < variants->n_lists; i++) {
        const struct word_list *list = &variants->lists[i];
        if (swap_words(list, text, 1 + (size_t)(random % (list->n - 1)), out)) return true;
    }
    return false;
}

bool training_variants_quote(const struct training_variants *variants,
                             struct training_example *example, uint64_t random, struct strbuf *out)
{
    if (!variants->n_sentences || example->text.length > variants->max_bytes) return false;
    if (!(example->label[variants->quoted_head] >= variants->quoted_from)) return false;
    struct text sentence = variants->sentences[random % variants->n_sentences];
    size_t before = (size_t)(find_hole(sentence) - sentence.data), after = before + strlen(HOLE);
    strbuf_clear(out);
    strbuf_append(out, sentence.data, before);
    strbuf_append(out, example->text.data, example->text.length);
    strbuf_append(out, sentence.data + after, sentence.length - after);
    memcpy(example->label, variants->quoted_label, sizeof example->label);
    return true;
}
