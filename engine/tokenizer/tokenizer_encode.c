/* Text to ids.  The whole of a prompt can be one word, so merging uses a heap of candidates over a
 * linked list of symbols: O(n log n) for n characters, where rescanning would be quadratic. */
#include <stdlib.h>
#include <string.h>

#include "engine/base/limits.h"
#include "engine/base/utf8.h"
#include "engine/tokenizer/tokenizer_core.h"

/* Normalizing turns one byte into at most a few: a space into a space symbol. */
#define LIMIT_NORMALIZED_BYTES (4 * (size_t)LIMIT_PROMPT_BYTES)

struct symbol {
    uint32_t start, length; /* bytes of the encoder's text; length 0 once it merged into its left */
    int32_t prev, next;     /* -1 at the ends */
    int32_t id;             /* -1 where no piece spells it */
    bool frozen;
};

/* Two neighbours that may merge.  It is stale when either has changed since: then the lengths no
 * longer add up. */
struct candidate {
    uint64_t key; /* order << 32 | left symbol: the best first, leftmost on ties */
    int32_t right;
    int32_t merged; /* the piece they become */
    uint32_t length;
};

struct encoder {
    const struct tokenizer *tokenizer;
    unsigned hidden; /* of match_flags: what this text may not become */
    struct token_list *out;
    size_t bos_at; /* out->count right after BOS, or SIZE_MAX */
    struct strbuf scratch[2];
    struct pre_tokenizer_scratch pre_scratch;
    struct unigram_path path; /* TOKENIZER_UNIGRAM */
    struct text text;         /* what the symbols point into */
    struct symbol *symbols;
    size_t n_symbols, symbol_capacity;
    struct candidate *heap;
    size_t n_heap, heap_capacity;
    uint32_t *split_at; /* (n_unused) where an unused piece's last candidate was put together */
    bool after_unknown;
};

static struct text slice(struct text text, size_t from, size_t to)
{
    return (struct text){text.data + from, to - from};
}

/* ---- the heap ---- */

static status_code heap_push(struct encoder *e, struct candidate candidate, struct status *st)
{
    if (e->n_heap == e->heap_capacity) {
        size_t capacity = e->heap_capacity ? 2 * e->heap_capacity : 256;
        struct candidate *heap = realloc(e->heap, capacity * sizeof *heap);
        if (!heap) return status_no_memory(st, "tokenizing");
        e->heap = heap;
        e->heap_capacity = capacity;
    }
    size_t at = e->n_heap++;
    while (at && e->heap[(at - 1) / 2].key > candidate.key) {
        e->heap[at] = e->heap[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    e->heap[at] = candidate;
    return STATUS_OK;
}

static struct candidate heap_pop(struct encoder *e)
{
    struct candidate top = e->heap[0], last = e->heap[--e->n_heap];
    size_t at = 0, child;
    while ((child = 2 * at + 1) < e->n_heap) {
        if (child + 1 < e->n_heap && e->heap[child + 1].key < e->heap[child].key) child++;
        if (e->heap[child].key >= last.key) break;
        e->heap[at] = e->heap[child];
        at = child;
    }
    e->heap[at] = last;
    return top;
}

/* ---- symbols and merges ---- */

/* Whether this text may become the piece. */
static bool is_allowed(const struct encoder *e, int32_t id)
{
    const struct piece *piece = &e->tokenizer->vocab.pieces[id];
    if (piece->is_marker && (e->hidden & MATCH_MARKER)) return false;
    return piece->type != PIECE_CONTROL && piece->type != PIECE_UNKNOWN;
}

/* The piece that spells these bytes and that this text may become. */
static int32_t find_piece(const struct encoder *e, struct text bytes)
{
    int32_t id = vocabulary_find(&e->tokenizer->vocab, bytes);
    return id >= 0 && is_allowed(e, id) ? id : -1;
}

static uint32_t *find_split(const struct encoder *e, int32_t id)
{
    int low = 0, high = e->tokenizer->n_unused - 1;
    while (low < high) {
        int middle = low + (high - low) / 2;
        if (e->tokenizer->unused[middle] < id)
            low = middle + 1;
        else
            high = middle;
    }
    return &e->split_at[low];
}

static bool find_merge(struct encoder *e, int32_t left_index, struct candidate *out)
{
    const struct tokenizer *tokenizer = e->tokenizer;
    const struct symbol *left = &e->symbols[left_index], *right = &e->symbols[left->next];
    *out = (struct candidate){.right = left->next, .length = left->length + right->length};
    uint32_t order;
    if (tokenizer->kind == TOKENIZER_BPE) {
        if (left->id < 0 || right->id < 0) return false;
        const struct merge_rule *rule = merge_table_find(&tokenizer->merges, left->id, right->id);
        if (!rule || !is_allowed(e, rule->merged)) return false;
        order = rule->rank;
        out->merged = rule->merged;
    } else {
        if (out->length > tokenizer->vocab.max_bytes) return false;
        out->merged = find_piece(e, slice(e->text, left->start, left->start + out->length));
        if (out->merged < 0) return false;
        const struct piece *piece = &tokenizer->vocab.pieces[out->merged];
        if (piece->type == PIECE_BYTE) return false;
        if (piece->type == PIECE_UNUSED) *find_split(e, out->merged) = left->length;
        order = piece->order;
    }
    out->key = (uint64_t)order << 32 | (uint32_t)left_index;
    return true;
}

static status_code consider(struct encoder *e, int32_t left, struct status *st)
{
    struct candidate candidate;
    if (left < 0 || e->symbols[left].frozen) return STATUS_OK;
    int32_t right = e->symbols[left].next;
    if (right < 0 || e->symbols[right].frozen || !find_merge(e, left, &candidate)) return STATUS_OK;
    return heap_push(e, candidate, st);
}

static struct symbol next_symbol(const struct encoder *e, size_t at)
{
    struct text rest = slice(e->text, at, e->text.length);
    struct symbol symbol = {.start = (uint32_t)at, .id = -1};
    if (e->tokenizer->byte_level) {
        symbol.length = 1;
        symbol.id = e->tokenizer->vocab.byte_ids[(unsigned char)rest.data[0]];
        return symbol;
    }
    struct match match = matcher_longest(&e->tokenizer->frozen, rest, e->hidden & MATCH_MARKER);
    if (match.length) {
        symbol.length = (uint32_t)match.length;
        symbol.id = match.id;
        symbol.frozen = true;
        return symbol;
    }
    uint32_t cp;
    size_t used = utf8_decode(rest.data, rest.length, &cp);
    symbol.length = used ? (uint32_t)used : 1;
    symbol.frozen = !used; /* an invalid byte is nobody's neighbour */
    if (used) symbol.id = find_piece(e, slice(rest, 0, used));
    return symbol;
}

static status_code build_symbols(struct encoder *e, struct status *st)
{
    size_t most = e->tokenizer->byte_level ? e->text.length : utf8_count(e->text);
    if (most > e->symbol_capacity) {
        struct symbol *symbols = realloc(e->symbols, most * sizeof *symbols);
        if (!symbols) return status_no_memory(st, "tokenizing");
        e->symbols = symbols;
        e->symbol_capacity = most;
    }
    e->n_symbols = 0;
    for (size_t at = 0; at < e->text.length; e->n_symbols++) {
        struct symbol symbol = next_symbol(e, at);
        at += symbol.length;
        symbol.prev = (int32_t)e->n_symbols - 1;
        symbol.next = at < e->text.length ? (int32_t)e->n_symbols + 1 : -1;
        e->symbols[e->n_symbols] = symbol;
    }
    return STATUS_OK;
}

static status_code merge_symbols(struct encoder *e, struct status *st)
{
    e->n_heap = 0;
    for (size_t i = 0; i < e->n_symbols; i++) {
        status_code code = consider(e, (int32_t)i, st);
        if (code != STATUS_OK) return code;
    }
    while (e->n_heap) {
        struct candidate best = heap_pop(e);
        int32_t left_index = (int32_t)(uint32_t)best.key;
        struct symbol *left = &e->symbols[left_index], *right = &e->symbols[best.right];
        if (!left->length || !right->length || left->length + right->length != best.length)
            continue;
        left->length = best.length;
        left->id = best.merged;
        left->next = right->next;
        right->length = 0;
        if (left->next >= 0) e->symbols[left->next].prev = left_index;
        status_code code = consider(e, left->prev, st);
        if (code == STATUS_OK) code = consider(e, left_index, st);
        if (code != STATUS_OK) return code;
    }
    return STATUS_OK;
}

/* ---- ids ---- */

static status_code append(struct encoder *e, int32_t id, struct status *st)
{
    e->after_unknown = false;
    return token_list_append(e->out, id, st);
}

static bool has_all_bytes(const struct vocabulary *vocab, struct text bytes)
{
    for (size_t i = 0; i < bytes.length; i++)
        if (vocab->byte_ids[(unsigned char)bytes.data[i]] < 0) return false;
    return true;
}

static status_code emit_unknown(struct encoder *e, struct text bytes, struct status *st)
{
    const struct vocabulary *vocab = &e->tokenizer->vocab;
    if (e->tokenizer->byte_fallback && has_all_bytes(vocab, bytes)) {
        status_code code = STATUS_OK;
        for (size_t i = 0; i < bytes.length && code == STATUS_OK; i++)
            code = append(e, vocab->byte_ids[(unsigned char)bytes.data[i]], st);
        return code;
    }
    if (vocab->unknown < 0)
        return status_set(st, STATUS_UNSUPPORTED,
                          "the vocabulary has no piece for \"%.*s\", and no unknown piece",
                          TEXT_ARGS(piece_for_message(bytes)));
    if (e->tokenizer->fuse_unknown && e->after_unknown) return STATUS_OK;
    status_code code = append(e, vocab->unknown, st);
    e->after_unknown = true;
    return code;
}

/* One finished symbol.  SentencePiece takes unused pieces apart again, the way they were put
 * together last; each part is shorter, and no piece is longer than LIMIT_PIECE_BYTES. */
static status_code emit(struct encoder *e, struct text bytes, int32_t id, struct status *st)
{
    if (id < 0) return emit_unknown(e, bytes, st);
    uint32_t split = 0;
    if (e->split_at && e->tokenizer->vocab.pieces[id].type == PIECE_UNUSED)
        split = *find_split(e, id);
    if (!split) return append(e, id, st);
    struct text left = slice(bytes, 0, split), right = slice(bytes, split, bytes.length);
    status_code code = emit(e, left, find_piece(e, left), st);
    return code == STATUS_OK ? emit(e, right, find_piece(e, right), st) : code;
}

/* The piece that a whole word is, or -1. */
static int32_t find_whole(const struct encoder *e, struct text word)
{
    char spelled[LIMIT_PIECE_BYTES];
    size_t n = 0;
    if (!e->tokenizer->byte_level) return find_piece(e, word);
    if (2 * word.length > sizeof spelled) return -1;
    for (size_t i = 0; i < word.length; i++)
        n += utf8_encode(byte_character((unsigned char)word.data[i]), spelled + n);
    return find_piece(e, (struct text){spelled, n});
}

static status_code encode_merges(struct encoder *e, struct text text, struct status *st)
{
    status_code code = build_symbols(e, st);
    if (code == STATUS_OK) code = merge_symbols(e, st);
    for (int32_t i = 0; i >= 0 && code == STATUS_OK; i = e->symbols[i].next) {
        const struct symbol *symbol = &e->symbols[i];
        struct text bytes = slice(text, symbol->start, symbol->start + symbol->length);
        code = emit(e, bytes, symbol->id, st);
    }
    return code;
}

/* The path is linked from its end: turned round first. */
static status_code encode_unigram(struct encoder *e, struct text text, struct status *st)
{
    unsigned hidden = e->hidden & MATCH_MARKER;
    status_code code = tokenizer_split_unigram(e->tokenizer, text, hidden, &e->path, st);
    if (code != STATUS_OK) return code;
    struct unigram_step *steps = e->path.steps;
    uint32_t end = (uint32_t)text.length, next = 0;
    while (end) {
        uint32_t start = steps[end].start;
        steps[end].start = next; /* from now on where the piece after it ends */
        next = end;
        end = start;
    }
    for (uint32_t from = 0; next && code == STATUS_OK; next = steps[next].start) {
        code = emit(e, slice(text, from, next), steps[next].id, st);
        from = next;
    }
    return code;
}

static status_code encode_word(void *user, struct text text, struct status *st)
{
    struct encoder *e = user;
    const struct tokenizer *tokenizer = e->tokenizer;
    if (!text.length) return STATUS_OK;
    e->text = text;
    e->after_unknown = false;
    switch (tokenizer->kind) {
    case TOKENIZER_WORDPIECE:
        return tokenizer_split_wordpiece(tokenizer, text, e->out, st);
    case TOKENIZER_UNIGRAM:
        return encode_unigram(e, text, st);
    default:
        if (tokenizer->ignore_merges) {
            int32_t whole = find_whole(e, text);
            if (whole >= 0) return append(e, whole, st);
        }
        return encode_merges(e, text, st);
    }
}

/* ---- added tokens ---- */

/* What trim() of ECMAScript takes: the strip options of added tokens mean this. */
static bool is_strippable(uint32_t cp)
{
    return cp == 0xfeff || (utf8_is_space(cp) && cp != 0x85 && !(cp >= 0x1c && cp <= 0x1f));
}

static struct text strip_end(struct text text)
{
    while (text.length) {
        size_t start = text.length - 1;
        while (start && text.length - start < 4 && ((unsigned char)text.data[start] & 0xc0) == 0x80)
            start--;
        uint32_t cp;
        size_t used = utf8_decode(text.data + start, text.length - start, &cp);
        if (used != text.length - start || !is_strippable(cp)) break;
        text.length = start;
    }
    return text;
}

/* The white space that a token strips after itself ends where the next token starts. */
static size_t strippable_length(const struct encoder *e, const struct matcher *matcher,
                                struct text text)
{
    size_t at = 0;
    while (at < text.length) {
        struct text rest = slice(text, at, text.length);
        uint32_t cp;
        size_t used = utf8_decode(rest.data, rest.length, &cp);
        if (!used || !is_strippable(cp)) break;
        if (matcher_longest(matcher, rest, e->hidden).length) break;
        at += used;
    }
    return at;
}

static status_code encode_stage(struct encoder *e, struct text text, bool normalized, bool is_first,
                                struct status *st);

/* The text between two matches: on to the next stage. */
static status_code encode_between(struct encoder *e, struct text text, bool normalized,
                                  bool is_first, struct status *st)
{
    const struct tokenizer *tokenizer = e->tokenizer;
    if (!text.length) return STATUS_OK;
    if (normalized)
        return pre_tokenizer_run(&tokenizer->pre_tokenizer, text, is_first, &e->pre_scratch,
                                 encode_word, e, st);
    status_code code =
        normalizer_run(&tokenizer->normalizer, text, is_first, e->scratch, &text, st);
    return code == STATUS_OK ? encode_stage(e, text, true, is_first, st) : code;
}

/* Splits at the added tokens of one stage, leftmost first and longest first.  A text that BOS was
 * put in front of and that spells BOS itself gets one. */
static status_code encode_stage(struct encoder *e, struct text text, bool normalized, bool is_first,
                                struct status *st)
{
    const struct matcher *matcher = normalized ? &e->tokenizer->normalized : &e->tokenizer->raw;
    status_code code = STATUS_OK;
    size_t start = 0; /* of the text since the last match */
    for (size_t i = 0; matcher->n_nodes && i < text.length && code == STATUS_OK;) {
        struct match match = matcher_longest(matcher, slice(text, i, text.length), e->hidden);
        if (!match.length) {
            i++;
            continue;
        }
        struct text before = slice(text, start, i);
        if (match.flags & MATCH_LSTRIP) before = strip_end(before);
        code = encode_between(e, before, normalized, is_first && (normalized || !start), st);
        bool second_bos = match.id == e->tokenizer->info.bos && e->out->count == e->bos_at;
        if (code == STATUS_OK && !second_bos) code = append(e, match.id, st);
        e->bos_at = SIZE_MAX;
        i += match.length;
        if (match.flags & MATCH_RSTRIP)
            i += strippable_length(e, matcher, slice(text, i, text.length));
        start = i;
    }
    if (code != STATUS_OK) return code;
    return encode_between(e, slice(text, start, text.length), normalized,
                          is_first && (normalized || !start), st);
}

static status_code encode_all(struct encoder *e, struct text text, enum tokenize_flags flags,
                              struct status *st)
{
    const struct tokenizer_info *info = &e->tokenizer->info;
    status_code code = STATUS_OK;
    if (e->tokenizer->n_unused) {
        e->split_at = calloc((size_t)e->tokenizer->n_unused, sizeof *e->split_at);
        if (!e->split_at) return status_no_memory(st, "tokenizing");
    }
    if ((flags & TOKENIZE_ADD_BOS) && info->bos >= 0) {
        code = token_list_append(e->out, info->bos, st);
        e->bos_at = e->out->count;
    }
    if (code == STATUS_OK) code = encode_stage(e, text, false, !(flags & TOKENIZE_CONTINUED), st);
    if (code == STATUS_OK && (flags & TOKENIZE_ADD_EOS) && info->eos >= 0)
        code = token_list_append(e->out, info->eos, st);
    return code;
}

status_code tokenizer_encode(const struct tokenizer *tokenizer, struct text text,
                             enum tokenize_flags flags, struct token_list *out, struct status *st)
{
    if (text.length > LIMIT_PROMPT_BYTES)
        return status_set(st, STATUS_LIMIT, "a text of %zu bytes is longer than %zu", text.length,
                          (size_t)LIMIT_PROMPT_BYTES);
    struct encoder e = {.tokenizer = tokenizer, .out = out, .bos_at = SIZE_MAX};
    if (!(flags & TOKENIZE_PARSE_SPECIAL)) e.hidden |= MATCH_SPECIAL;
    if (flags & TOKENIZE_USER_TEXT) e.hidden |= MATCH_SPECIAL | MATCH_MARKER;
    for (int i = 0; i < 2; i++) strbuf_init(&e.scratch[i], LIMIT_NORMALIZED_BYTES);
    pre_tokenizer_scratch_init(&e.pre_scratch, LIMIT_NORMALIZED_BYTES);
    size_t count_before = out->count;
    status_code code = encode_all(&e, text, flags, st);
    if (code != STATUS_OK) out->count = count_before;
    for (int i = 0; i < 2; i++) strbuf_release(&e.scratch[i]);
    pre_tokenizer_scratch_release(&e.pre_scratch);
    free(e.symbols);
    free(e.heap);
    free(e.split_at);
    free(e.path.steps);
    return code;
}
