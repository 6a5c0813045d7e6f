#include "engine/tokenizer/added_tokens.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/json.h"
#include "engine/base/limits.h"

#define CONFIG_NAME   "tokenizer_config.json"
#define ADDED_NAME    "added_tokens.json"
#define SPECIALS_NAME "special_tokens_map.json"
#define DECODER_FIELD "added_tokens_decoder"
#define MORE_FIELD    "additional_special_tokens"

/* In the order in which transformers gives new ids to those that have none
 * (SPECIAL_TOKENS_ATTRIBUTES of tokenization_utils_base.py). */
static const char *const named_fields[] = {"bos_token", "eos_token", "unk_token", "sep_token",
                                           "pad_token", "cls_token", "mask_token"};
#define N_NAMED (sizeof named_fields / sizeof named_fields[0])

/* ---- one token ---- */

static status_code get_flag(const struct json_value *object, const char *key, bool *flag,
                            struct status *st)
{
    return json_has(object, key) ? json_get_bool(object, key, flag, st) : STATUS_OK;
}

status_code added_token_read(const struct json_value *node, struct added_token *out,
                             struct status *st)
{
    bool lstrip = false, rstrip = false, single_word = false;
    *out = (struct added_token){0};
    status_code code = json_get_text(node, "content", &out->content, st);
    if (code == STATUS_OK) code = get_flag(node, "special", &out->special, st);
    out->normalized = !out->special;
    if (code == STATUS_OK) code = get_flag(node, "normalized", &out->normalized, st);
    if (code == STATUS_OK) code = get_flag(node, "lstrip", &lstrip, st);
    if (code == STATUS_OK) code = get_flag(node, "rstrip", &rstrip, st);
    if (code == STATUS_OK) code = get_flag(node, "single_word", &single_word, st);
    out->flags = (out->special ? MATCH_SPECIAL : 0u) | (lstrip ? MATCH_LSTRIP : 0u) |
                 (rstrip ? MATCH_RSTRIP : 0u) | (single_word ? MATCH_WORD : 0u);
    return code;
}

static status_code append(struct added_tokens *list, struct added_token token, const char *source,
                          struct status *st)
{
    if (!token.content.length) return STATUS_OK;
    if (list->n == list->capacity) {
        size_t capacity = list->capacity ? 2 * list->capacity : 16;
        struct added_token *items = realloc(list->items, capacity * sizeof *items);
        if (!items) return status_no_memory(st, source);
        list->items = items;
        list->capacity = capacity;
    }
    token.rank = list->n;
    token.source = source;
    list->items[list->n++] = token;
    return STATUS_OK;
}

/* ---- tokens with ids ---- */

/* A key such as "32000". */
static status_code read_key(const char *key, int64_t *id, struct status *st)
{
    char *end;
    errno = 0;
    long long value = strtoll(key, &end, 10);
    if (end == key || *end || errno || value < 0 || value >= LIMIT_VOCAB)
        return status_set(st, STATUS_BAD_INPUT, "\"%.40s\" is no id from 0 to %d", key,
                          LIMIT_VOCAB - 1);
    *id = value;
    return STATUS_OK;
}

/* {"32000": {"content": "<x>", ...}} */
static status_code collect_decoder(struct added_tokens *list, const struct json_value *decoder,
                                   struct status *st)
{
    for (const struct json_value *v = json_first(decoder); v; v = json_next(v)) {
        struct added_token token;
        int64_t id = 0;
        status_code code = read_key(json_key(v), &id, st);
        if (code == STATUS_OK) code = added_token_read(v, &token, st);
        if (code != STATUS_OK) return status_prefix(st, CONFIG_NAME ": " DECODER_FIELD);
        token.id = id;
        if ((code = append(list, token, CONFIG_NAME, st)) != STATUS_OK) return code;
    }
    return STATUS_OK;
}

/* {"<x>": 32000} */
static status_code collect_added(struct added_tokens *list, struct status *st)
{
    if (list->added && json_kind(list->added) != JSON_OBJECT)
        return status_set(st, STATUS_BAD_INPUT, "%s: is no object", ADDED_NAME);
    const struct json_value *v = list->added ? json_first(list->added) : NULL;
    for (; v; v = json_next(v)) {
        const char *key = json_key(v);
        struct added_token token = {.content = text_of(key)};
        status_code code = json_get_int(list->added, key, 0, LIMIT_VOCAB - 1, &token.id, st);
        if (code != STATUS_OK) return status_prefix(st, ADDED_NAME);
        if ((code = append(list, token, ADDED_NAME, st)) != STATUS_OK) return code;
    }
    return STATUS_OK;
}

/* ---- tokens that are named ---- */

/* "<s>" or {"content": "<s>", ...} */
static status_code collect_special(struct added_tokens *list, const struct json_value *node,
                                   const char *field, const char *source, struct status *st)
{
    struct added_token token = {0};
    if (json_kind(node) == JSON_STRING) {
        token.content = json_text(node);
    } else {
        status_code code = added_token_read(node, &token, st);
        if (code != STATUS_OK) return status_prefix(st, "%s: field \"%s\"", source, field);
    }
    token.special = true;
    token.flags |= MATCH_SPECIAL;
    token.id = -1;
    return append(list, token, source, st);
}

/* The file that says what a field is: the map goes before the config. */
static const struct json_value *find_field(const struct added_tokens *list,
                                           const struct tokenizer_config *config, const char *field,
                                           const char **source)
{
    bool in_map = json_has(list->specials, field);
    *source = in_map ? SPECIALS_NAME : CONFIG_NAME;
    if (in_map) return json_member(list->specials, field);
    return json_has(config->root, field) ? json_member(config->root, field) : NULL;
}

static status_code collect_more(struct added_tokens *list, const struct json_value *root,
                                const char *source, struct status *st)
{
    if (!json_has(root, MORE_FIELD)) return STATUS_OK;
    const struct json_value *more;
    status_code code = json_get_array(root, MORE_FIELD, &more, st);
    if (code != STATUS_OK) return status_prefix(st, "%s", source);
    for (const struct json_value *v = json_first(more); v && code == STATUS_OK; v = json_next(v))
        code = collect_special(list, v, MORE_FIELD, source, st);
    return code;
}

static status_code collect_specials(struct added_tokens *list,
                                    const struct tokenizer_config *config, struct status *st)
{
    status_code code = STATUS_OK;
    for (size_t i = 0; i < N_NAMED && code == STATUS_OK; i++) {
        const char *source;
        const struct json_value *node = find_field(list, config, named_fields[i], &source);
        if (node) code = collect_special(list, node, named_fields[i], source, st);
    }
    if (code == STATUS_OK) code = collect_more(list, config->root, CONFIG_NAME, st);
    if (code == STATUS_OK) code = collect_more(list, list->specials, SPECIALS_NAME, st);
    return code;
}

/* ---- the list ---- */

static int compare_texts(struct text a, struct text b)
{
    size_t n = a.length < b.length ? a.length : b.length;
    int order = n ? memcmp(a.data, b.data, n) : 0;
    return order ? order : (a.length > b.length) - (a.length < b.length);
}

static int by_content(const void *a, const void *b)
{
    const struct added_token *left = a, *right = b;
    int order = compare_texts(left->content, right->content);
    return order ? order : (left->rank > right->rank) - (left->rank < right->rank);
}

static int by_rank(const void *a, const void *b)
{
    const struct added_token *left = a, *right = b;
    return (left->rank > right->rank) - (left->rank < right->rank);
}

static int by_id(const void *a, const void *b)
{
    const struct added_token *left = a, *right = b;
    return (left->id > right->id) - (left->id < right->id);
}

static status_code disagree(const struct added_token *token, int64_t other, struct status *st)
{
    return status_set(st, STATUS_BAD_INPUT, "%s: token \"%.*s\" has id %lld, and also %lld",
                      token->source, TEXT_ARGS(piece_for_message(token->content)),
                      (long long)token->id, (long long)other);
}

/* Tokens of one content become one: the first, special when any of them is. */
static status_code merge_equal(struct added_tokens *list, struct status *st)
{
    size_t n = 0;
    if (!list->n) return STATUS_OK;
    qsort(list->items, list->n, sizeof *list->items, by_content);
    for (size_t i = 0; i < list->n; i++) {
        struct added_token *token = &list->items[i], *last = n ? &list->items[n - 1] : NULL;
        if (!last || !text_equal(last->content, token->content)) {
            list->items[n++] = *token;
            continue;
        }
        if (token->id >= 0 && token->id != last->id) return disagree(last, token->id, st);
        last->special |= token->special;
        last->flags |= token->flags & MATCH_SPECIAL;
    }
    list->n = n;
    return STATUS_OK;
}

status_code added_tokens_collect(struct added_tokens *list, const struct tokenizer_config *config,
                                 const char *directory, struct status *st)
{
    const struct json_value *decoder = NULL;
    status_code code = STATUS_OK;
    *list = (struct added_tokens){0};
    if (json_has(config->root, DECODER_FIELD)) {
        code = json_get_object(config->root, DECODER_FIELD, &decoder, st);
        if (code != STATUS_OK) status_prefix(st, CONFIG_NAME);
        if (code == STATUS_OK) code = collect_decoder(list, decoder, st);
    } else {
        code = tokenizer_config_parse(&list->added, directory, ADDED_NAME, st);
        if (code == STATUS_OK)
            code = tokenizer_config_parse(&list->specials, directory, SPECIALS_NAME, st);
        if (code == STATUS_OK) code = collect_added(list, st);
    }
    if (code == STATUS_OK) code = collect_specials(list, config, st);
    if (code == STATUS_OK) code = merge_equal(list, st);
    if (code != STATUS_OK) added_tokens_release(list);
    return code;
}

void added_tokens_release(struct added_tokens *list)
{
    json_free(list->added);
    json_free(list->specials);
    free(list->items);
    *list = (struct added_tokens){0};
}

status_code added_tokens_meet(struct added_tokens *list, int32_t id, struct text stored,
                              struct status *st)
{
    size_t low = 0, high = list->n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (compare_texts(list->items[middle].content, stored) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == list->n || !text_equal(list->items[low].content, stored)) return STATUS_OK;
    struct added_token *token = &list->items[low];
    if (token->id >= 0 && token->id != id) return disagree(token, id, st);
    token->id = id;
    return STATUS_OK;
}

status_code added_tokens_place(struct added_tokens *list, size_t n_pieces, size_t *n_vocab,
                               struct status *st)
{
    size_t n = n_pieces;
    if (list->n) qsort(list->items, list->n, sizeof *list->items, by_rank);
    for (size_t i = 0; i < list->n; i++)
        if (list->items[i].id >= (int64_t)n) n = (size_t)list->items[i].id + 1;
    for (size_t i = 0; i < list->n; i++)
        if (list->items[i].id < 0) list->items[i].id = (int64_t)n++;
    if (list->n) qsort(list->items, list->n, sizeof *list->items, by_id);
    if (n > LIMIT_VOCAB)
        return status_set(st, STATUS_LIMIT, "with added tokens there are %zu pieces, more than %d",
                          n, LIMIT_VOCAB);
    *n_vocab = n;
    return STATUS_OK;
}

struct text added_tokens_named(const struct added_tokens *list,
                               const struct tokenizer_config *config, const char *field)
{
    const char *source;
    const struct json_value *node = find_field(list, config, field, &source);
    struct text content = {"", 0};
    struct status ignored = {0}; /* added_tokens_collect() has read it before */
    if (node && json_kind(node) == JSON_STRING) return json_text(node);
    if (node && json_get_text(node, "content", &content, &ignored) == STATUS_OK) return content;
    return content;
}
