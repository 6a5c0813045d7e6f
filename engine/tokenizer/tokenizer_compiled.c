#include "engine/tokenizer/tokenizer_compiled.h"

#include <stdlib.h>
#include <string.h>

#include "engine/base/limits.h"

#define MAGIC   "assaytk1" /* its digit changes with the layout */
#define ALIGN   64
#define N_TRIES 4

struct span {
    uint64_t at, count;
};

struct compiled_header {
    char magic[8];
    uint64_t payload_bytes;
    char payload_sha256[SHA256_HEX_SIZE], key[SHA256_HEX_SIZE];
    char zeros[256 - 16 - 2 * SHA256_HEX_SIZE];
};
_Static_assert(sizeof(struct compiled_header) == 256, "the payload starts at a multiple of 64");

struct compiled_piece {
    uint32_t stored_at, surface_at; /* in `bytes` */
    uint32_t order;
    uint16_t stored_bytes, surface_bytes;
    uint8_t type, is_end, is_marker, is_word;
};
_Static_assert(sizeof(struct compiled_piece) == 20, "one layout for all compilers");
_Static_assert(sizeof(struct vocabulary_slot) == 8 && sizeof(struct merge_rule) == 16 &&
                   sizeof(struct matcher_node) == 16,
               "tables are used in place");

struct compiled_step {
    struct span from, to, charsmap;
    uint32_t kind, form, left, right;
};

struct compiled_normalizer {
    struct compiled_step steps[NORMALIZER_MAX_STEPS];
    uint32_t n_steps, has_whole; /* `whole` is the tokenizer's `frozen` */
};

struct compiled_cut {
    struct compiled_normalizer rewrite;
    struct span pattern; /* {0} for a rewriting step */
    uint32_t behaviour, invert;
};

struct compiled_trie {
    struct span nodes;
    uint32_t first[256];
};

struct compiled_root {
    uint32_t kind, spelling;
    int32_t bos, eos, unknown, pad;
    uint8_t add_bos, add_eos, byte_level, ignore_merges, byte_fallback, fuse_unknown;
    uint8_t strip_first_space, strip_leading_spaces, unigram_is_float, zeros[7];
    char sha256[SHA256_HEX_SIZE], more_zeros[7];
    uint64_t seed, max_characters;
    double unknown_score, user_defined_score;
    struct span pieces, bytes, slots, merges, scores, unused, chat_template;
    struct span initial_prefix, word_prefix, continuing_prefix;
    struct compiled_trie tries[N_TRIES];
    struct compiled_normalizer normalizer;
    struct compiled_cut cuts[PRE_TOKENIZER_MAX_STEPS];
    uint32_t n_cuts, zero;
    int32_t byte_ids[256];
    struct seams seams;
};

/* ---- writing ---- */

static struct span put(struct strbuf *out, size_t start, const void *data, size_t count,
                       size_t size)
{
    static const char zeros[ALIGN];
    strbuf_append(out, zeros, (ALIGN - out->length % ALIGN) % ALIGN);
    struct span span = {out->length - start, count};
    strbuf_append(out, data, count * size);
    return span;
}

/* A NUL that does not count follows, since some are used as strings. */
static struct span put_text(struct strbuf *out, size_t start, struct text text)
{
    struct span span = put(out, start, text.length ? text.data : "", text.length, 1);
    strbuf_append_char(out, '\0');
    return span;
}

static struct compiled_trie put_trie(struct strbuf *out, size_t start,
                                     const struct matcher *matcher)
{
    struct compiled_trie trie = {
        .nodes = put(out, start, matcher->nodes, matcher->n_nodes, sizeof *matcher->nodes)};
    memcpy(trie.first, matcher->first, sizeof trie.first);
    return trie;
}

static struct compiled_normalizer put_normalizer(struct strbuf *out, size_t start,
                                                 const struct normalizer *normalizer)
{
    struct compiled_normalizer compiled = {.n_steps = (uint32_t)normalizer->n_steps,
                                           .has_whole = normalizer->whole != NULL};
    for (int i = 0; i < normalizer->n_steps; i++) {
        const struct normalizer_step *step = &normalizer->steps[i];
        struct compiled_step *to = &compiled.steps[i];
        *to = (struct compiled_step){.kind = (uint32_t)step->kind,
                                     .form = (uint32_t)step->form,
                                     .left = step->left,
                                     .right = step->right};
        to->from = put_text(out, start, step->from);
        to->to = put_text(out, start, step->to);
        const struct charsmap *map = &step->charsmap;
        if (map->n_units) /* the size of the trie stands in front of it */
            to->charsmap =
                put(out, start, map->units - 4, 4 + 4 * map->n_units + map->replacements.length, 1);
    }
    return compiled;
}

static status_code put_pieces(struct compiled_root *root, struct strbuf *out, size_t start,
                              const struct vocabulary *vocab, struct status *st)
{
    struct strbuf bytes;
    struct compiled_piece *pieces = calloc((size_t)vocab->n, sizeof *pieces);
    if (!pieces) return status_no_memory(st, "a compiled vocabulary");
    strbuf_init(&bytes, LIMIT_TOKENIZER_MEMORY);
    for (int id = 0; id < vocab->n; id++) {
        const struct piece *piece = &vocab->pieces[id];
        struct compiled_piece *to = &pieces[id];
        bool same = text_equal(piece->stored, piece->surface);
        *to = (struct compiled_piece){.stored_at = (uint32_t)bytes.length,
                                      .order = piece->order,
                                      .stored_bytes = (uint16_t)piece->stored.length,
                                      .surface_bytes = (uint16_t)piece->surface.length,
                                      .type = (uint8_t)piece->type,
                                      .is_end = piece->is_end,
                                      .is_marker = piece->is_marker,
                                      .is_word = piece->is_word};
        strbuf_append(&bytes, piece->stored.data, piece->stored.length);
        to->surface_at = same ? to->stored_at : (uint32_t)bytes.length;
        if (!same) strbuf_append(&bytes, piece->surface.data, piece->surface.length);
    }
    root->pieces = put(out, start, pieces, (size_t)vocab->n, sizeof *pieces);
    root->bytes = put(out, start, bytes.data, bytes.length, 1);
    status_code code = strbuf_check(&bytes, "a compiled vocabulary", st);
    strbuf_release(&bytes);
    free(pieces);
    return code;
}

static void put_numbers(struct compiled_root *root, const struct tokenizer *t)
{
    root->kind = (uint32_t)t->kind;
    root->spelling = (uint32_t)t->vocab.spelling;
    root->bos = t->info.bos, root->eos = t->info.eos;
    root->unknown = t->info.unknown, root->pad = t->info.pad;
    root->add_bos = t->info.add_bos, root->add_eos = t->info.add_eos;
    root->byte_level = t->byte_level, root->ignore_merges = t->ignore_merges;
    root->byte_fallback = t->byte_fallback, root->fuse_unknown = t->fuse_unknown;
    root->strip_first_space = t->strip_first_space;
    root->strip_leading_spaces = t->strip_leading_spaces;
    root->unigram_is_float = t->unigram.is_float;
    memcpy(root->sha256, t->info.sha256, sizeof root->sha256);
    root->seed = t->vocab.seed;
    root->max_characters = t->wordpiece.max_characters;
    root->unknown_score = t->unigram.unknown_score;
    root->user_defined_score = t->unigram.user_defined_score;
    memcpy(root->byte_ids, t->vocab.byte_ids, sizeof root->byte_ids);
    root->seams = t->seams;
}

static void put_rules(struct compiled_root *root, struct strbuf *out, size_t start,
                      const struct tokenizer *t)
{
    root->normalizer = put_normalizer(out, start, &t->normalizer);
    root->n_cuts = (uint32_t)t->pre_tokenizer.n_steps;
    for (int i = 0; i < t->pre_tokenizer.n_steps; i++) {
        const struct pre_tokenizer_step *step = &t->pre_tokenizer.steps[i];
        struct compiled_cut *cut = &root->cuts[i];
        cut->rewrite = put_normalizer(out, start, &step->rewrite);
        if (step->pattern) cut->pattern = put_text(out, start, text_of(step->pattern));
        cut->behaviour = (uint32_t)step->behaviour;
        cut->invert = step->invert;
    }
    root->chat_template = put_text(out, start, t->info.chat_template);
    root->initial_prefix = put_text(out, start, t->wordpiece.initial_prefix);
    root->word_prefix = put_text(out, start, t->wordpiece.continuing_prefix);
    root->continuing_prefix = put_text(out, start, t->vocab.continuing_prefix);
}

static status_code put_tables(struct compiled_root *root, struct strbuf *out, size_t start,
                              const struct tokenizer *t, struct status *st)
{
    const struct matcher *tries[N_TRIES] = {&t->raw, &t->normalized, &t->frozen,
                                            &t->unigram.pieces};
    const struct vocabulary *vocab = &t->vocab;
    status_code code = put_pieces(root, out, start, vocab, st);
    if (code != STATUS_OK) return code;
    root->slots = put(out, start, vocab->slots, vocab->slot_mask + 1, sizeof *vocab->slots);
    if (t->merges.slots)
        root->merges =
            put(out, start, t->merges.slots, t->merges.mask + 1, sizeof *t->merges.slots);
    if (t->unigram.scores)
        root->scores = put(out, start, t->unigram.scores, (size_t)vocab->n, sizeof(double));
    if (t->n_unused)
        root->unused = put(out, start, t->unused, (size_t)t->n_unused, sizeof *t->unused);
    for (int i = 0; i < N_TRIES; i++) root->tries[i] = put_trie(out, start, tries[i]);
    return STATUS_OK;
}

status_code tokenizer_compile(const struct tokenizer *tokenizer, const char key[SHA256_HEX_SIZE],
                              struct strbuf *out, struct status *st)
{
    struct compiled_header header = {.magic = MAGIC};
    struct compiled_root *root = calloc(1, sizeof *root);
    if (!root) return status_no_memory(st, "a compiled vocabulary");
    strbuf_clear(out);
    put(out, 0, &header, 1, sizeof header);
    put(out, 0, root, 1, sizeof *root);
    put_numbers(root, tokenizer);
    status_code code = put_tables(root, out, sizeof header, tokenizer, st);
    if (code == STATUS_OK) put_rules(root, out, sizeof header, tokenizer);
    if (code == STATUS_OK) code = strbuf_check(out, "a compiled vocabulary", st);
    if (code == STATUS_OK) {
        memcpy(out->data + sizeof header, root, sizeof *root);
        struct text payload = {out->data + sizeof header, out->length - sizeof header};
        header.payload_bytes = payload.length;
        sha256_text(payload, header.payload_sha256);
        memcpy(header.key, key, SHA256_HEX_SIZE);
        memcpy(out->data, &header, sizeof header);
    }
    free(root);
    return code;
}

/* ---- reading ---- */

struct reader {
    struct text payload;
    const struct compiled_root *root;
    struct tokenizer *tokenizer;
    int n; /* pieces */
};

static status_code refuse(const char *what, struct status *st)
{
    return status_set(st, STATUS_BAD_INPUT, "compiled vocabulary: %s", what);
}

/* The objects of a span, or NULL where it does not lie in the payload. */
static const void *look(const struct reader *r, struct span span, size_t size)
{
    if (span.at % ALIGN || span.at > r->payload.length) return NULL;
    if (span.count > (r->payload.length - span.at) / size) return NULL;
    return r->payload.data + span.at;
}

static bool look_text(const struct reader *r, struct span span, struct text *out)
{
    const char *data = look(r, span, 1);
    if (!data || span.count > LIMIT_TOKENIZER_BYTES || span.count >= r->payload.length - span.at ||
        data[span.count])
        return false;
    *out = (struct text){data, span.count};
    return true;
}

static bool is_id(const struct reader *r, int32_t id)
{
    return id >= -1 && id < r->n;
}

static status_code read_pieces(struct reader *r, struct status *st)
{
    const struct compiled_root *root = r->root;
    const struct compiled_piece *pieces = look(r, root->pieces, sizeof *pieces);
    const char *bytes = look(r, root->bytes, 1);
    struct vocabulary *vocab = &r->tokenizer->vocab;
    if (!pieces || !bytes || root->pieces.count < 1 || root->pieces.count > LIMIT_VOCAB)
        return refuse("pieces", st);
    r->n = (int)root->pieces.count;
    *vocab = (struct vocabulary){.arena = &r->tokenizer->arena, .n = r->n, .seed = root->seed};
    vocab->pieces = arena_array(vocab->arena, root->pieces.count, sizeof *vocab->pieces);
    if (!vocab->pieces) return status_no_memory(st, "the vocabulary");
    for (int id = 0; id < r->n; id++) {
        const struct compiled_piece *from = &pieces[id];
        if (from->stored_at > root->bytes.count || from->surface_at > root->bytes.count ||
            from->stored_bytes > root->bytes.count - from->stored_at ||
            from->surface_bytes > root->bytes.count - from->surface_at ||
            from->stored_bytes > LIMIT_PIECE_BYTES || from->type < PIECE_NORMAL ||
            from->type > PIECE_BYTE)
            return refuse("a piece", st);
        vocab->pieces[id] =
            (struct piece){.stored = {bytes + from->stored_at, from->stored_bytes},
                           .surface = {bytes + from->surface_at, from->surface_bytes},
                           .order = from->order,
                           .type = (enum piece_type)from->type,
                           .is_end = from->is_end != 0,
                           .is_marker = from->is_marker != 0,
                           .is_word = from->is_word != 0};
        if (from->stored_bytes > vocab->max_bytes) vocab->max_bytes = from->stored_bytes;
    }
    return STATUS_OK;
}

/* Tables with a free place, so that looking up ends.  They are only read, though not const. */
static status_code read_hash_tables(struct reader *r, struct status *st)
{
    const struct compiled_root *root = r->root;
    struct tokenizer *t = r->tokenizer;
    const struct vocabulary_slot *slots = look(r, root->slots, sizeof *slots);
    const struct merge_rule *rules = look(r, root->merges, sizeof *rules);
    size_t n_slots = root->slots.count, n_rules = root->merges.count, n_free = 0;
    bool is_bpe = t->kind == TOKENIZER_BPE;
    if (!slots || !rules || !n_slots || (n_slots & (n_slots - 1)) || (n_rules & (n_rules - 1)) ||
        is_bpe != (n_rules != 0))
        return refuse("tables", st);
    for (size_t i = 0; i < n_slots; i++) {
        if (!is_id(r, slots[i].id)) return refuse("a slot", st);
        n_free += slots[i].id < 0;
    }
    if (!n_free) return refuse("a full table", st);
    n_free = 0;
    for (size_t i = 0; i < n_rules; i++) {
        bool is_free = rules[i].pair == UINT64_MAX;
        if (!is_free && (rules[i].merged < 0 || rules[i].merged >= r->n))
            return refuse("a rule", st);
        n_free += is_free;
    }
    if (n_rules && !n_free) return refuse("a full table", st);
    t->vocab.slots = (struct vocabulary_slot *)(uintptr_t)slots;
    t->vocab.slot_mask = n_slots - 1;
    if (n_rules)
        t->merges = (struct merge_table){.slots = (struct merge_rule *)(uintptr_t)rules,
                                         .mask = n_rules - 1,
                                         .seed = root->seed};
    return STATUS_OK;
}

/* Links lead to nodes behind their own, so that walks end. */
static status_code read_trie(const struct reader *r, const struct compiled_trie *from,
                             struct matcher *to, struct status *st)
{
    const struct matcher_node *nodes = look(r, from->nodes, sizeof *nodes);
    uint64_t n = from->nodes.count;
    if (!nodes || n >= UINT32_MAX) return refuse("a trie", st);
    for (uint64_t i = 1; i < n; i++) {
        const struct matcher_node *node = &nodes[i];
        bool goes_on = (!node->child || node->child > i) && (!node->sibling || node->sibling > i);
        if (!goes_on || node->child >= n || node->sibling >= n || !is_id(r, node->id))
            return refuse("a trie's node", st);
    }
    for (int byte = 0; byte < 256; byte++)
        if (from->first[byte] && from->first[byte] >= n) return refuse("a trie's start", st);
    to->nodes = (struct matcher_node *)(uintptr_t)nodes;
    to->n_nodes = (uint32_t)n;
    memcpy(to->first, from->first, sizeof to->first);
    return STATUS_OK;
}

static status_code read_lists(struct reader *r, struct status *st)
{
    const struct compiled_root *root = r->root;
    struct tokenizer *t = r->tokenizer;
    const double *scores = look(r, root->scores, sizeof *scores);
    const int32_t *unused = look(r, root->unused, sizeof *unused);
    bool is_unigram = t->kind == TOKENIZER_UNIGRAM;
    if (!scores || !unused || root->scores.count != (is_unigram ? (uint64_t)r->n : 0))
        return refuse("lists", st);
    uint64_t n_unused = 0; /* exactly the pieces of that type, in order; only one kind asks */
    for (int id = 0; id < r->n && t->kind == TOKENIZER_SPM; id++)
        if (t->vocab.pieces[id].type == PIECE_UNUSED &&
            (n_unused == root->unused.count || unused[n_unused++] != id))
            return refuse("an unused piece", st);
    if (n_unused != root->unused.count) return refuse("an unused piece", st);
    for (int byte = 0; byte < 256; byte++)
        if (!is_id(r, root->byte_ids[byte])) return refuse("a byte's piece", st);
    if (is_unigram) t->unigram.scores = (double *)(uintptr_t)scores;
    t->unused = (int32_t *)(uintptr_t)unused;
    t->n_unused = (int)root->unused.count;
    memcpy(t->vocab.byte_ids, root->byte_ids, sizeof t->vocab.byte_ids);
    return STATUS_OK;
}

static status_code read_numbers(struct reader *r, struct status *st)
{
    const struct compiled_root *root = r->root;
    struct tokenizer *t = r->tokenizer;
    const int32_t ids[] = {root->bos, root->eos, root->unknown, root->pad};
    for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++)
        if (!is_id(r, ids[i])) return refuse("a special piece", st);
    t->info.bos = root->bos, t->info.eos = root->eos;
    t->info.unknown = t->vocab.unknown = root->unknown;
    t->info.pad = root->pad;
    t->info.add_bos = root->add_bos != 0 && root->bos >= 0;
    t->info.add_eos = root->add_eos != 0 && root->eos >= 0;
    t->info.n_vocab = r->n;
    t->byte_level = root->byte_level != 0, t->ignore_merges = root->ignore_merges != 0;
    t->byte_fallback = root->byte_fallback != 0, t->fuse_unknown = root->fuse_unknown != 0;
    t->strip_first_space = root->strip_first_space != 0;
    t->strip_leading_spaces = root->strip_leading_spaces != 0;
    if (t->byte_level) t->info.kind = "byte-bpe";
    if (t->kind == TOKENIZER_WORDPIECE && root->unknown < 0) return refuse("its kind", st);
    if (root->spelling > SPELL_CONTINUING ||
        (root->unknown < 0 && !t->byte_fallback && !t->byte_level))
        return refuse("its kind", st);
    t->vocab.spelling = (enum piece_spelling)root->spelling;
    t->wordpiece.max_characters = root->max_characters;
    t->unigram.unknown_score = root->unknown_score;
    t->unigram.user_defined_score = root->user_defined_score;
    t->unigram.is_float = root->unigram_is_float != 0;
    t->seams = root->seams;
    return STATUS_OK;
}

/* ---- reading the rules ---- */

static status_code read_step(const struct reader *r, const struct compiled_step *from,
                             struct normalizer_step *step, struct status *st)
{
    *step = (struct normalizer_step){.kind = (enum normalizer_kind)from->kind,
                                     .form = (enum utf8_form)from->form,
                                     .left = from->left != 0,
                                     .right = from->right != 0};
    const char *map = look(r, from->charsmap, 1);
    bool has_map = from->kind == NORMALIZE_CHARSMAP || from->kind == NORMALIZE_CHARSMAP_HF;
    if (!look_text(r, from->from, &step->from) || !look_text(r, from->to, &step->to) || !map ||
        from->kind > NORMALIZE_APART || from->form > UTF8_NFKD ||
        (from->kind == NORMALIZE_REPLACE && !step->from.length))
        return refuse("a normalizer's step", st);
    if (has_map)
        return charsmap_init(&step->charsmap, (struct text){map, from->charsmap.count}, st);
    if (from->kind != NORMALIZE_REPLACE_PATTERN) return STATUS_OK;
    return pre_tokenizer_compile(&step->pattern, step->from, st);
}

static status_code read_normalizer(const struct reader *r, const struct compiled_normalizer *from,
                                   struct normalizer *to, struct status *st)
{
    if (from->n_steps > NORMALIZER_MAX_STEPS) return refuse("a normalizer", st);
    if (from->has_whole) to->whole = &r->tokenizer->frozen;
    for (uint32_t i = 0; i < from->n_steps; i++) {
        struct normalizer_step step;
        status_code code = read_step(r, &from->steps[i], &step, st);
        if (code == STATUS_OK) code = normalizer_add(to, step, st);
        if (code != STATUS_OK) return code;
    }
    return STATUS_OK;
}

static status_code read_cut(struct reader *r, const struct compiled_cut *from, struct status *st)
{
    struct pre_tokenizer *pre = &r->tokenizer->pre_tokenizer;
    struct normalizer *rewrite = NULL;
    struct text pattern;
    if (from->pattern.count) {
        if (!look_text(r, from->pattern, &pattern) || from->behaviour > SPLIT_MERGED_WITH_NEXT)
            return refuse("a pattern", st);
        return pre_tokenizer_add_split(pre, pattern, (enum split_behaviour)from->behaviour,
                                       from->invert != 0, st);
    }
    status_code code = pre_tokenizer_add_rewrite(pre, &rewrite, st);
    return code == STATUS_OK ? read_normalizer(r, &from->rewrite, rewrite, st) : code;
}

static status_code read_rules(struct reader *r, struct status *st)
{
    const struct compiled_root *root = r->root;
    struct tokenizer *t = r->tokenizer;
    if (!look_text(r, root->chat_template, &t->info.chat_template) ||
        !look_text(r, root->initial_prefix, &t->wordpiece.initial_prefix) ||
        !look_text(r, root->word_prefix, &t->wordpiece.continuing_prefix) ||
        !look_text(r, root->continuing_prefix, &t->vocab.continuing_prefix) ||
        t->wordpiece.initial_prefix.length > LIMIT_PIECE_BYTES ||
        t->wordpiece.continuing_prefix.length > LIMIT_PIECE_BYTES ||
        root->n_cuts > PRE_TOKENIZER_MAX_STEPS)
        return refuse("rules", st);
    status_code code = read_normalizer(r, &root->normalizer, &t->normalizer, st);
    for (uint32_t i = 0; i < root->n_cuts && code == STATUS_OK; i++)
        code = read_cut(r, &root->cuts[i], st);
    return code;
}

static status_code read_all(struct reader *r, struct status *st)
{
    struct tokenizer *t = r->tokenizer;
    struct matcher *const tries[N_TRIES] = {&t->raw, &t->normalized, &t->frozen,
                                            &t->unigram.pieces};
    status_code code = read_pieces(r, st);
    if (code == STATUS_OK) code = read_numbers(r, st);
    if (code == STATUS_OK) code = read_hash_tables(r, st);
    if (code == STATUS_OK) code = read_lists(r, st);
    for (int i = 0; i < N_TRIES && code == STATUS_OK; i++)
        code = read_trie(r, &r->root->tries[i], tries[i], st);
    if (code == STATUS_OK) code = read_rules(r, st);
    return code == STATUS_OK ? tokenizer_prepare_encoding(t, st) : code;
}

/* The header says what it should, and the payload is what was written. */
static bool is_whole(const struct mapped_file *file, const char key[SHA256_HEX_SIZE])
{
    const struct compiled_header *header = (const void *)file->data;
    char digest[SHA256_HEX_SIZE];
    if (file->size < sizeof *header + sizeof(struct compiled_root)) return false;
    if (memcmp(header->magic, MAGIC, sizeof header->magic) != 0 ||
        memcmp(header->key, key, SHA256_HEX_SIZE) != 0 ||
        header->payload_bytes != file->size - sizeof *header)
        return false;
    sha256_text((struct text){(const char *)file->data + sizeof *header, header->payload_bytes},
                digest);
    return memcmp(header->payload_sha256, digest, SHA256_HEX_SIZE) == 0;
}

status_code tokenizer_from_compiled(struct tokenizer **out, const struct mapped_file *file,
                                    const char key[SHA256_HEX_SIZE], struct status *st)
{
    if (!is_whole(file, key)) return refuse("damaged, or another one", st);
    struct text payload = {(const char *)file->data + sizeof(struct compiled_header),
                           file->size - sizeof(struct compiled_header)};
    struct reader r = {.payload = payload, .root = (const void *)payload.data};
    if (r.root->kind > TOKENIZER_WORDPIECE || r.root->sha256[SHA256_HEX_SIZE - 1])
        return refuse("its kind", st);
    status_code code =
        tokenizer_create(&r.tokenizer, (enum tokenizer_kind)r.root->kind, r.root->sha256, st);
    if (code == STATUS_OK) code = read_all(&r, st);
    if (code != STATUS_OK) {
        tokenizer_free(r.tokenizer);
        return code;
    }
    r.tokenizer->compiled = *file;
    *out = r.tokenizer;
    return STATUS_OK;
}
