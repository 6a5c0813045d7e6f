/* One word to pieces, for the algorithms that do not merge: WordPiece and Unigram. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/limits.h"
#include "engine/base/utf8.h"
#include "engine/tokenizer/tokenizer_core.h"

/* ---- WordPiece: wordpiece/mod.rs of the tokenizers library ---- */

/* A character where it starts, for the walk back from the end. */
static size_t previous_start(struct text word, size_t end)
{
    size_t start = end - 1;
    while (start && end - start < 4 && ((unsigned char)word.data[start] & 0xc0) == 0x80) start--;
    uint32_t cp;
    return utf8_decode(word.data + start, end - start, &cp) == end - start ? start : end - 1;
}

/* The longest piece that starts at `from`; *end is where it ends.  -1 where there is none. */
static int32_t longest_piece(const struct tokenizer *tokenizer, struct text word, size_t from,
                             size_t *end)
{
    const struct vocabulary *vocab = &tokenizer->vocab;
    struct text prefix =
        from ? tokenizer->wordpiece.continuing_prefix : tokenizer->wordpiece.initial_prefix;
    char bytes[LIMIT_PIECE_BYTES];
    for (*end = word.length; *end > from; *end = previous_start(word, *end)) {
        size_t length = *end - from;
        if (prefix.length + length > vocab->max_bytes) continue;
        if (prefix.length) memcpy(bytes, prefix.data, prefix.length);
        memcpy(bytes + prefix.length, word.data + from, length);
        int32_t id = vocabulary_find(vocab, (struct text){bytes, prefix.length + length});
        if (id >= 0 && vocab->pieces[id].type == PIECE_NORMAL) return id;
    }
    return -1;
}

/* A word that is too long, or that has a part without a piece, is unknown as a whole. */
status_code tokenizer_split_wordpiece(const struct tokenizer *tokenizer, struct text word,
                                      struct token_list *out, struct status *st)
{
    size_t count_before = out->count;
    bool known = utf8_count(word) <= tokenizer->wordpiece.max_characters;
    for (size_t at = 0, end; known && at < word.length; at = end) {
        int32_t id = longest_piece(tokenizer, word, at, &end);
        known = id >= 0;
        status_code code = known ? token_list_append(out, id, st) : STATUS_OK;
        if (code != STATUS_OK) return code;
    }
    if (known) return STATUS_OK;
    out->count = count_before;
    return token_list_append(out, tokenizer->vocab.unknown, st);
}

/* ---- Unigram ---- */

/* unigram_model.cc: an unknown character costs 10 more than the worst piece, and a user-defined one
 * is better than any piece of its length. */
#define UNKNOWN_PENALTY 10.0

static bool is_candidate(enum piece_type type)
{
    return type == PIECE_NORMAL || type == PIECE_USER_DEFINED;
}

status_code tokenizer_use_scores(struct tokenizer *tokenizer, const double *scores, int n,
                                 bool is_float, struct status *st)
{
    struct vocabulary *vocab = &tokenizer->vocab;
    struct unigram *unigram = &tokenizer->unigram;
    size_t total = 0;
    double least = (double)INFINITY, greatest = (double)-INFINITY;
    for (int id = 0; id < n; id++) {
        const struct piece *piece = &vocab->pieces[id];
        if (is_candidate(piece->type)) total += piece->stored.length;
        if (is_float && piece->type != PIECE_NORMAL) continue;
        least = fmin(least, scores[id]);
        greatest = fmax(greatest, scores[id]);
    }
    if (!isfinite(least) || !isfinite(greatest))
        return status_set(st, STATUS_BAD_INPUT, "the vocabulary has no piece with a finite score");
    unigram->is_float = is_float;
    unigram->unknown_score = least - UNKNOWN_PENALTY;
    unigram->user_defined_score = greatest;
    unigram->scores = arena_array(&tokenizer->arena, (size_t)n, sizeof *scores);
    if (!unigram->scores) return status_no_memory(st, "the vocabulary");
    memcpy(unigram->scores, scores, (size_t)n * sizeof *scores);
    status_code code = matcher_create(&unigram->pieces, &tokenizer->arena, total, st);
    if (code != STATUS_OK) return code;
    for (int id = 0; id < n; id++) {
        const struct piece *piece = &vocab->pieces[id];
        if (is_candidate(piece->type))
            matcher_add(&unigram->pieces, piece->stored, id, piece->is_marker ? MATCH_MARKER : 0);
    }
    return STATUS_OK;
}

static double piece_score(const struct tokenizer *tokenizer, int32_t id, size_t length)
{
    const struct unigram *unigram = &tokenizer->unigram;
    if (unigram->is_float && tokenizer->vocab.pieces[id].type == PIECE_USER_DEFINED)
        return (double)length * unigram->user_defined_score - 0.1;
    return unigram->scores[id];
}

/* Keeps the better of two ways to get here; the one found first where they are equal. */
static void offer(struct unigram_step *step, double score, bool is_float, size_t start, int32_t id)
{
    if (step->start != UINT32_MAX && score <= step->score) return;
    *step = (struct unigram_step){is_float ? (double)(float)score : score, (uint32_t)start, id};
}

static status_code make_room(struct unigram_path *path, size_t n, struct status *st)
{
    if (n > path->capacity) {
        struct unigram_step *steps = realloc(path->steps, n * sizeof *steps);
        if (!steps) return status_no_memory(st, "tokenizing");
        path->steps = steps;
        path->capacity = n;
    }
    for (size_t i = 0; i < n; i++) path->steps[i].start = UINT32_MAX;
    return STATUS_OK;
}

/* EncodeOptimized() of unigram_model.cc and encode_optimized() of unigram/model.rs. */
status_code tokenizer_split_unigram(const struct tokenizer *tokenizer, struct text word,
                                    unsigned hidden, struct unigram_path *path, struct status *st)
{
    const struct unigram *unigram = &tokenizer->unigram;
    const struct matcher *pieces = &unigram->pieces;
    status_code code = make_room(path, word.length + 1, st);
    if (code != STATUS_OK) return code;
    path->steps[0] = (struct unigram_step){.start = 0, .id = -1};
    for (size_t at = 0, used; at < word.length; at += used) {
        uint32_t cp;
        double so_far = path->steps[at].score;
        bool has_single = false;
        used = utf8_decode(word.data + at, word.length - at, &cp);
        if (!used) used = 1;
        uint32_t node = 0;
        for (size_t i = at; i < word.length; i++) {
            node = matcher_step(pieces, node, (unsigned char)word.data[i]);
            if (!node) break;
            const struct matcher_node *here = &pieces->nodes[node];
            if (here->id < 0 || (here->flags & hidden)) continue;
            double score = so_far + piece_score(tokenizer, here->id, i + 1 - at);
            offer(&path->steps[i + 1], score, unigram->is_float, at, here->id);
            has_single |= i + 1 - at == used;
        }
        if (!has_single)
            offer(&path->steps[at + used], so_far + unigram->unknown_score, unigram->is_float, at,
                  -1);
    }
    return STATUS_OK;
}
