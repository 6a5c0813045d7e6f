#include "engine/tokenizer/tokenizer_export.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/limits.h"
#include "engine/base/utf8.h"
#include "engine/tokenizer/tokenizer_core.h"

#define KEY(name) "tokenizer.ggml." name

/* ---- rules to scores ---- */

/* Of one piece: the ranks of the rules that make it. */
struct rank_range {
    uint32_t first, last; /* first > last: no rule makes it */
};

static status_code refuse(struct status *st, struct text piece, const char *reason)
{
    return status_set(st, STATUS_UNSUPPORTED,
                      "the tokenizer cannot be written to GGUF: piece \"%.*s\" %s; put the "
                      "tokenizer.model that it was made from beside it",
                      TEXT_ARGS(piece_for_message(piece)), reason);
}

static void collect_ranks(const struct tokenizer *t, struct rank_range *ranges)
{
    for (int id = 0; id < t->vocab.n; id++) ranges[id] = (struct rank_range){UINT32_MAX, 0};
    for (size_t i = 0; i <= t->merges.mask; i++) {
        const struct merge_rule *rule = &t->merges.slots[i];
        if (rule->pair == UINT64_MAX) continue;
        struct rank_range *range = &ranges[rule->merged];
        if (rule->rank < range->first) range->first = rule->rank;
        if (rule->rank > range->last) range->last = rule->rank;
    }
}

static bool can_be_half(const struct vocabulary *vocab, int32_t id)
{
    if (id < 0) return false;
    enum piece_type type = vocab->pieces[id].type;
    return type == PIECE_NORMAL || type == PIECE_USER_DEFINED;
}

/* By score, two neighbours merge whenever together they are a piece: every way of cutting a piece
 * into two pieces needs its rule. */
static status_code check_rules_complete(const struct tokenizer *t, int32_t id, struct status *st)
{
    const struct piece *piece = &t->vocab.pieces[id];
    if (piece->type != PIECE_NORMAL) return STATUS_OK;
    struct text whole = piece->stored;
    uint32_t code_point;
    size_t cut = utf8_decode(whole.data, whole.length, &code_point);
    for (; cut && cut < whole.length;
         cut += utf8_decode(whole.data + cut, whole.length - cut, &code_point)) {
        int32_t left = vocabulary_find(&t->vocab, (struct text){whole.data, cut});
        int32_t right =
            vocabulary_find(&t->vocab, (struct text){whole.data + cut, whole.length - cut});
        if (!can_be_half(&t->vocab, left) || !can_be_half(&t->vocab, right)) continue;
        if (!merge_table_find(&t->merges, left, right))
            return refuse(st, whole, "can be cut into two pieces that no rule merges");
    }
    return STATUS_OK;
}

static int compare_uint64(const void *a, const void *b)
{
    const uint64_t *left = a, *right = b;
    return (*left > *right) - (*left < *right);
}

/* Pieces in the order of their rules get falling scores; the rules of one piece must lie together,
 * or its score could not stand for all of them. */
static status_code scores_from_rules(const struct tokenizer *t, struct arena *arena, float *scores,
                                     struct status *st)
{
    size_t n = (size_t)t->vocab.n, n_made = 0;
    struct rank_range *ranges = arena_array(arena, n, sizeof *ranges);
    uint64_t *order = arena_array(arena, n, sizeof *order); /* first rank << 32 | id */
    if (!ranges || !order) return status_no_memory(st, "the vocabulary");
    collect_ranks(t, ranges);
    for (size_t id = 0; id < n; id++) {
        status_code code = check_rules_complete(t, (int32_t)id, st);
        if (code != STATUS_OK) return code;
        if (ranges[id].first <= ranges[id].last)
            order[n_made++] = (uint64_t)ranges[id].first << 32 | (uint64_t)id;
    }
    qsort(order, n_made, sizeof *order, compare_uint64);
    for (size_t i = 0; i < n_made; i++) {
        size_t id = (size_t)(order[i] & UINT32_MAX);
        if (i + 1 < n_made && ranges[id].last > order[i + 1] >> 32)
            return refuse(st, t->vocab.pieces[id].stored, "has rules of very different ranks");
        scores[id] = -(float)(i + 1);
    }
    return STATUS_OK;
}

/* ---- pieces ---- */

static float score_of_order(uint32_t order)
{
    uint32_t ascending = ~order;
    uint32_t bits = ascending & 0x80000000u ? ascending & 0x7fffffffu : ~ascending;
    float score;
    memcpy(&score, &bits, sizeof score);
    return score;
}

static status_code find_scores(const struct tokenizer *t, struct arena *arena, float **out,
                               struct status *st)
{
    float *scores = arena_array(arena, (size_t)t->vocab.n, sizeof *scores);
    if (!scores) return status_no_memory(st, "the vocabulary");
    *out = scores;
    if (t->kind == TOKENIZER_BPE) return scores_from_rules(t, arena, scores, st);
    for (int id = 0; id < t->vocab.n; id++) scores[id] = score_of_order(t->vocab.pieces[id].order);
    return STATUS_OK;
}

/* What the file says of one id. */
static struct piece exported_piece(const struct tokenizer_export *from, int id, char padding[32])
{
    const struct vocabulary *vocab = &from->tokenizer->vocab;
    const struct vocabulary *added = from->added ? &from->added->vocab : NULL;
    if (added && id < added->n) {
        enum piece_type type = added->pieces[id].type;
        if (id >= vocab->n || type == PIECE_CONTROL || type == PIECE_USER_DEFINED)
            return added->pieces[id];
    }
    if (id < vocab->n) return vocab->pieces[id];
    snprintf(padding, 32, "[PAD%d]", id);
    return (struct piece){.stored = text_of(padding), .type = PIECE_UNUSED};
}

/* `scores` is NULL where pieces merge by rules. */
static void put_pieces(const struct tokenizer_export *from, const float *scores,
                       struct gguf_writer *w)
{
    char padding[32];
    int n = from->n_vocab;
    gguf_writer_array(w, KEY("tokens"), GGUF_STRING, (uint64_t)n);
    for (int id = 0; id < n; id++)
        gguf_writer_put_text(w, exported_piece(from, id, padding).stored);
    if (scores) gguf_writer_array(w, KEY("scores"), GGUF_F32, (uint64_t)n);
    for (int id = 0; scores && id < n; id++) {
        float score = id < from->tokenizer->vocab.n ? scores[id] : -1000.0f;
        gguf_writer_put(w, &score, sizeof score);
    }
    gguf_writer_array(w, KEY("token_type"), GGUF_I32, (uint64_t)n);
    for (int id = 0; id < n; id++) {
        int32_t type = (int32_t)exported_piece(from, id, padding).type;
        gguf_writer_put(w, &type, sizeof type);
    }
}

/* ---- policy ---- */

static void put_id(const struct tokenizer_export *from, struct gguf_writer *w, const char *key,
                   int32_t id)
{
    if (id >= 0 && id < from->n_vocab) gguf_writer_u32(w, key, (uint32_t)id);
}

static status_code read_rule(const struct normalizer_step *step, bool *add_prefix, bool *collapse,
                             struct status *st)
{
    bool spaces = step->kind == NORMALIZE_REPLACE && text_equal(step->from, text_of(" ")) &&
                  text_equal(step->to, text_of(SPACE_SYMBOL));
    bool prefix = (step->kind == NORMALIZE_PREPEND || step->kind == NORMALIZE_PREPEND_START) &&
                  text_equal(step->to, text_of(SPACE_SYMBOL));
    *add_prefix |= prefix;
    *collapse |= step->kind == NORMALIZE_COLLAPSE;
    if (spaces || prefix || step->kind == NORMALIZE_COLLAPSE) return STATUS_OK;
    return status_set(st, STATUS_UNSUPPORTED,
                      "the tokenizer cannot be written to GGUF: it rewrites text in a way "
                      "that SentencePiece does not; put the tokenizer.model that it was "
                      "made from beside it");
}

/* Which of SentencePiece's options the normalizers amount to. */
static status_code find_rules(const struct tokenizer *t, bool *add_prefix, bool *collapse,
                              struct status *st)
{
    status_code code = STATUS_OK;
    *add_prefix = *collapse = false;
    for (int i = 0; i < t->normalizer.n_steps && code == STATUS_OK; i++)
        code = read_rule(&t->normalizer.steps[i], add_prefix, collapse, st);
    for (int p = 0; p < t->pre_tokenizer.n_steps && code == STATUS_OK; p++) {
        const struct pre_tokenizer_step *step = &t->pre_tokenizer.steps[p];
        if (step->regex)
            return status_set(st, STATUS_UNSUPPORTED,
                              "the tokenizer cannot be written to GGUF: it cuts text into words");
        for (int i = 0; i < step->rewrite.n_steps && code == STATUS_OK; i++)
            code = read_rule(&step->rewrite.steps[i], add_prefix, collapse, st);
    }
    return code;
}

/* ---- byte-level ---- */

static int compare_rules(const void *a, const void *b)
{
    const struct merge_rule *const *left = a, *const *right = b;
    return ((*left)->rank > (*right)->rank) - ((*left)->rank < (*right)->rank);
}

/* "left right" in the order of their ranks; no piece of the alphabet holds a space. */
static status_code put_merges(const struct tokenizer *t, struct arena *arena, struct gguf_writer *w,
                              struct status *st)
{
    size_t n = 0;
    const struct merge_rule **rules = arena_array(arena, t->merges.mask + 1, sizeof *rules);
    if (!rules) return status_no_memory(st, "the merge rules");
    for (size_t i = 0; i <= t->merges.mask; i++)
        if (t->merges.slots[i].pair != UINT64_MAX) rules[n++] = &t->merges.slots[i];
    qsort(rules, n, sizeof *rules, compare_rules);
    gguf_writer_array(w, KEY("merges"), GGUF_STRING, n);
    struct strbuf merge;
    strbuf_init(&merge, 2 * LIMIT_PIECE_BYTES + 1);
    for (size_t i = 0; i < n; i++) {
        struct text left = t->vocab.pieces[rules[i]->pair >> 32].stored;
        struct text right = t->vocab.pieces[rules[i]->pair & UINT32_MAX].stored;
        strbuf_clear(&merge);
        strbuf_append(&merge, left.data, left.length);
        strbuf_append_char(&merge, ' ');
        strbuf_append(&merge, right.data, right.length);
        gguf_writer_put_text(w, (struct text){merge.data, merge.length});
    }
    status_code code = strbuf_check(&merge, "a merge rule", st);
    strbuf_release(&merge);
    return code;
}

static status_code put_byte_level(const struct tokenizer_export *from, struct arena *arena,
                                  struct gguf_writer *w, struct status *st)
{
    const char *pre = tokenizer_gguf_pre(from->tokenizer);
    if (!pre)
        return status_set(st, STATUS_UNSUPPORTED,
                          "the tokenizer cannot be written to GGUF: the way in which it cuts text "
                          "into words has no name there");
    gguf_writer_text(w, KEY("model"), "gpt2");
    gguf_writer_text(w, KEY("pre"), pre);
    put_pieces(from, NULL, w);
    return put_merges(from->tokenizer, arena, w, st);
}

static status_code put_sentencepiece(const struct tokenizer_export *from, struct arena *arena,
                                     struct gguf_writer *w, struct status *st)
{
    float *scores = NULL;
    bool add_prefix, collapse;
    status_code code = find_rules(from->tokenizer, &add_prefix, &collapse, st);
    if (code == STATUS_OK) code = find_scores(from->tokenizer, arena, &scores, st);
    if (code != STATUS_OK) return code;
    gguf_writer_text(w, KEY("model"), "llama");
    gguf_writer_text(w, KEY("pre"), "default");
    put_pieces(from, scores, w);
    gguf_writer_bool(w, KEY("add_space_prefix"), add_prefix);
    gguf_writer_bool(w, KEY("remove_extra_whitespaces"), collapse);
    return STATUS_OK;
}

status_code tokenizer_to_gguf(const struct tokenizer_export *from, struct gguf_writer *w,
                              struct status *st)
{
    const struct tokenizer *t = from->tokenizer;
    const struct tokenizer_info *info = from->added ? &from->added->info : &t->info;
    struct arena arena;
    if (t->kind != TOKENIZER_BPE && t->kind != TOKENIZER_SPM)
        return status_set(st, STATUS_UNSUPPORTED,
                          "a tokenizer of kind \"%s\" cannot be written to GGUF", t->info.kind);
    int surplus = from->n_vocab; /* control pieces without a row, as engine.c takes them */
    while (surplus < t->vocab.n && t->vocab.pieces[surplus].type == PIECE_CONTROL) surplus++;
    if (surplus < t->vocab.n)
        return status_set(st, STATUS_BAD_INPUT,
                          "the tokenizer has %d pieces, the embedding only %d rows", t->vocab.n,
                          from->n_vocab);
    arena_init(&arena, LIMIT_TOKENIZER_MEMORY);
    status_code code = t->byte_level ? put_byte_level(from, &arena, w, st)
                                     : put_sentencepiece(from, &arena, w, st);
    arena_release(&arena);
    if (code != STATUS_OK) return code;
    put_id(from, w, KEY("bos_token_id"), info->bos);
    put_id(from, w, KEY("eos_token_id"), info->eos);
    put_id(from, w, KEY("unknown_token_id"), info->unknown);
    put_id(from, w, KEY("padding_token_id"), info->pad);
    gguf_writer_bool(w, KEY("add_bos_token"), info->add_bos);
    gguf_writer_bool(w, KEY("add_eos_token"), info->add_eos);
    if (info->chat_template.length)
        gguf_writer_text(w, "tokenizer.chat_template", info->chat_template.data);
    return STATUS_OK;
}
