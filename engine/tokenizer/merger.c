#include "engine/tokenizer/merger.h"

#include <stdlib.h>

#include "engine/base/utf8.h"

#define FEW_SYMBOLS  24
#define NO_CANDIDATE UINT64_MAX

static struct text slice(struct text text, size_t from, size_t to)
{
    return (struct text){text.data + from, to - from};
}

/* ---- the heap ---- */

static status_code heap_push(struct merger *m, struct candidate candidate, struct status *st)
{
    if (m->n_heap == m->heap_capacity) {
        size_t capacity = m->heap_capacity ? 2 * m->heap_capacity : 256;
        struct candidate *heap = realloc(m->heap, capacity * sizeof *heap);
        if (!heap) return status_no_memory(st, "tokenizing");
        m->heap = heap;
        m->heap_capacity = capacity;
    }
    size_t at = m->n_heap++;
    while (at && m->heap[(at - 1) / 2].key > candidate.key) {
        m->heap[at] = m->heap[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    m->heap[at] = candidate;
    return STATUS_OK;
}

static struct candidate heap_pop(struct merger *m)
{
    struct candidate top = m->heap[0], last = m->heap[--m->n_heap];
    size_t at = 0, child;
    while ((child = 2 * at + 1) < m->n_heap) {
        if (child + 1 < m->n_heap && m->heap[child + 1].key < m->heap[child].key) child++;
        if (m->heap[child].key >= last.key) break;
        m->heap[at] = m->heap[child];
        at = child;
    }
    m->heap[at] = last;
    return top;
}

/* ---- symbols and merges ---- */

/* Whether this text may become the piece. */
static bool is_allowed(const struct merger *m, int32_t id)
{
    const struct piece *piece = &m->tokenizer->vocab.pieces[id];
    if (piece->is_word || (piece->is_marker && (m->hidden & MATCH_MARKER))) return false;
    return piece->type != PIECE_CONTROL && piece->type != PIECE_UNKNOWN;
}

int32_t merger_find(const struct merger *m, struct text bytes)
{
    const struct vocabulary *vocab = &m->tokenizer->vocab;
    int32_t id = bytes.length <= vocab->max_bytes ? vocabulary_find(vocab, bytes) : -1;
    return id >= 0 && is_allowed(m, id) ? id : -1;
}

static uint32_t *find_split(const struct merger *m, int32_t id)
{
    int low = 0, high = m->tokenizer->n_unused - 1;
    while (low < high) {
        int middle = low + (high - low) / 2;
        if (m->tokenizer->unused[middle] < id)
            low = middle + 1;
        else
            high = middle;
    }
    return &m->split_at[low];
}

static bool find_merge(struct merger *m, int32_t left_index, struct candidate *out)
{
    const struct tokenizer *tokenizer = m->tokenizer;
    const struct symbol *left = &m->symbols[left_index], *right = &m->symbols[left->next];
    *out = (struct candidate){.right = left->next, .length = left->length + right->length};
    uint32_t order;
    if (tokenizer->kind == TOKENIZER_BPE) {
        if (left->id < 0 || right->id < 0) return false;
        const struct merge_rule *rule = merge_table_find(&tokenizer->merges, left->id, right->id);
        if (!rule || !is_allowed(m, rule->merged)) return false;
        order = rule->rank;
        out->merged = rule->merged;
    } else {
        out->merged = merger_find(m, slice(m->text, left->start, left->start + out->length));
        if (out->merged < 0) return false;
        const struct piece *piece = &tokenizer->vocab.pieces[out->merged];
        if (piece->type == PIECE_BYTE) return false;
        if (piece->type == PIECE_UNUSED) *find_split(m, out->merged) = left->length;
        order = piece->order;
    }
    out->key = (uint64_t)order << 32 | (uint32_t)left_index;
    return true;
}

static bool has_candidate(struct merger *m, int32_t left, struct candidate *out)
{
    if (m->symbols[left].frozen) return false;
    int32_t right = m->symbols[left].next;
    return right >= 0 && !m->symbols[right].frozen && find_merge(m, left, out);
}

static status_code consider(struct merger *m, int32_t left, struct status *st)
{
    struct candidate candidate;
    if (left < 0 || !has_candidate(m, left, &candidate)) return STATUS_OK;
    return heap_push(m, candidate, st);
}

static void join(struct merger *m, int32_t left_index, const struct candidate *candidate)
{
    struct symbol *left = &m->symbols[left_index], *right = &m->symbols[candidate->right];
    left->length = candidate->length;
    left->id = candidate->merged;
    left->next = right->next;
    right->length = 0;
    if (left->next >= 0) m->symbols[left->next].prev = left_index;
}

static struct symbol next_symbol(const struct merger *m, size_t at)
{
    struct text rest = slice(m->text, at, m->text.length);
    struct symbol symbol = {.start = (uint32_t)at, .id = -1};
    if (m->tokenizer->byte_level) {
        symbol.length = 1;
        symbol.id = m->tokenizer->vocab.byte_ids[(unsigned char)rest.data[0]];
        return symbol;
    }
    struct match match = matcher_longest(&m->tokenizer->frozen, rest, m->hidden & MATCH_MARKER);
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
    if (used == 1)         /* ASCII, which most text is */
        symbol.id = m->tokenizer->ascii_ids[cp];
    else if (used)
        symbol.id = vocabulary_find(&m->tokenizer->vocab, slice(rest, 0, used));
    if (symbol.id >= 0 && !is_allowed(m, symbol.id)) symbol.id = -1;
    return symbol;
}

static status_code build_symbols(struct merger *m, struct status *st)
{
    size_t most = m->tokenizer->byte_level ? m->text.length : utf8_count(m->text);
    if (most > m->symbol_capacity) {
        struct symbol *symbols = realloc(m->symbols, most * sizeof *symbols);
        if (!symbols) return status_no_memory(st, "tokenizing");
        m->symbols = symbols;
        m->symbol_capacity = most;
    }
    m->n_symbols = 0;
    for (size_t at = 0; at < m->text.length; m->n_symbols++) {
        struct symbol symbol = next_symbol(m, at);
        at += symbol.length;
        symbol.prev = (int32_t)m->n_symbols - 1;
        symbol.next = at < m->text.length ? (int32_t)m->n_symbols + 1 : -1;
        m->symbols[m->n_symbols] = symbol;
    }
    return STATUS_OK;
}

/* For few symbols: the candidate of each with its right neighbour, looked through for the best. */
static void merge_few(struct merger *m)
{
    struct candidate best[FEW_SYMBOLS];
    int32_t n = (int32_t)m->n_symbols;
    for (int32_t i = 0; i < n; i++)
        if (!has_candidate(m, i, &best[i])) best[i].key = NO_CANDIDATE;
    for (;;) {
        int32_t at = 0;
        for (int32_t i = 1; i < n; i++)
            if (best[i].key < best[at].key) at = i;
        if (best[at].key == NO_CANDIDATE) return;
        int32_t prev = m->symbols[at].prev;
        best[best[at].right].key = NO_CANDIDATE;
        join(m, at, &best[at]);
        if (prev >= 0 && !has_candidate(m, prev, &best[prev])) best[prev].key = NO_CANDIDATE;
        if (!has_candidate(m, at, &best[at])) best[at].key = NO_CANDIDATE;
    }
}

static status_code merge_many(struct merger *m, struct status *st)
{
    m->n_heap = 0;
    for (size_t i = 0; i < m->n_symbols; i++) {
        status_code code = consider(m, (int32_t)i, st);
        if (code != STATUS_OK) return code;
    }
    while (m->n_heap) {
        struct candidate best = heap_pop(m);
        int32_t left_index = (int32_t)(uint32_t)best.key;
        struct symbol *left = &m->symbols[left_index], *right = &m->symbols[best.right];
        if (!left->length || !right->length || left->length + right->length != best.length)
            continue;
        join(m, left_index, &best);
        status_code code = consider(m, left->prev, st);
        if (code == STATUS_OK) code = consider(m, left_index, st);
        if (code != STATUS_OK) return code;
    }
    return STATUS_OK;
}

status_code merger_init(struct merger *m, const struct tokenizer *tokenizer, unsigned hidden,
                        struct status *st)
{
    *m = (struct merger){.tokenizer = tokenizer, .hidden = hidden};
    if (!tokenizer->n_unused) return STATUS_OK;
    m->split_at = calloc((size_t)tokenizer->n_unused, sizeof *m->split_at);
    return m->split_at ? STATUS_OK : status_no_memory(st, "tokenizing");
}

void merger_release(struct merger *m)
{
    free(m->symbols);
    free(m->heap);
    free(m->split_at);
    *m = (struct merger){0};
}

status_code merger_run(struct merger *m, struct text text, struct status *st)
{
    m->text = text;
    status_code code = build_symbols(m, st);
    if (code != STATUS_OK) return code;
    if (m->n_symbols > FEW_SYMBOLS) return merge_many(m, st);
    merge_few(m);
    return STATUS_OK;
}

uint32_t merger_split_of(const struct merger *m, int32_t id)
{
    bool is_unused = m->split_at && m->tokenizer->vocab.pieces[id].type == PIECE_UNUSED;
    return is_unused ? *find_split(m, id) : 0;
}
