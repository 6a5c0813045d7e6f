/* Text to ids. */
#include <stdlib.h>
#include <string.h>

#include "engine/base/limits.h"
#include "engine/base/utf8.h"
#include "engine/tokenizer/merger.h"

/* Normalizing turns one byte into at most a few: a space into a space symbol. */
#define LIMIT_NORMALIZED_BYTES (4 * (size_t)LIMIT_PROMPT_BYTES)

struct encoder {
    const struct tokenizer *tokenizer;
    unsigned hidden; /* of match_flags: what this text may not become */
    struct token_list *out;
    size_t bos_at; /* out->count right after BOS, or SIZE_MAX */
    struct strbuf scratch[2];
    struct pre_tokenizer_scratch pre_scratch;
    struct merger merger;     /* TOKENIZER_BPE, TOKENIZER_SPM */
    struct unigram_path path; /* TOKENIZER_UNIGRAM */
    bool after_unknown;
};

static struct text slice(struct text text, size_t from, size_t to)
{
    return (struct text){text.data + from, to - from};
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
    uint32_t split = merger_split_of(&e->merger, id);
    if (!split) return append(e, id, st);
    struct text left = slice(bytes, 0, split), right = slice(bytes, split, bytes.length);
    status_code code = emit(e, left, merger_find(&e->merger, left), st);
    return code == STATUS_OK ? emit(e, right, merger_find(&e->merger, right), st) : code;
}

/* ---- words ---- */

/* The piece that spells a whole word, or -1. */
static int32_t find_whole(const struct encoder *e, struct text word)
{
    const struct tokenizer *tokenizer = e->tokenizer;
    char spelled[LIMIT_PIECE_BYTES];
    size_t n = 0;
    if (!tokenizer->byte_level) return merger_find(&e->merger, word);
    if (2 * word.length > sizeof spelled) return -1;
    for (size_t i = 0; i < word.length; i++) {
        const struct byte_spelling *as = &tokenizer->spellings[(unsigned char)word.data[i]];
        memcpy(spelled + n, as->bytes, 2);
        n += as->length;
    }
    return merger_find(&e->merger, (struct text){spelled, n});
}

/* What is known of a piece's own spelling, for texts of two kinds: two bits each. */
enum { WHOLE_KNOWN = 1, WHOLE_IS_PIECE = 2 };
static unsigned whole_shift(const struct encoder *e)
{
    return e->hidden & MATCH_MARKER ? 2 : 0;
}

/* A part that merges on its own.  Most parts of most texts spell a piece, and most pieces are what
 * their own spelling merges into: found out once, that is remembered.  Not where an unused piece
 * was met, which other parts may have put together as well. */
static status_code encode_part(struct encoder *e, struct text part, struct status *st)
{
    struct merger *merger = &e->merger;
    int32_t whole = find_whole(e, part);
    atomic_uchar *memo = whole >= 0 ? &e->tokenizer->whole[whole] : NULL;
    unsigned known = memo ? atomic_load_explicit(memo, memory_order_relaxed) : 0;
    known = known >> whole_shift(e) & 3;
    if (known & WHOLE_IS_PIECE) return append(e, whole, st);
    status_code code = merger_run(merger, part, st);
    if (code != STATUS_OK) return code;
    if (memo && !known && !merger->met_unused) {
        bool is_piece = merger->symbols[0].next < 0 && merger->symbols[0].id == whole;
        unsigned bits = WHOLE_KNOWN | (is_piece ? WHOLE_IS_PIECE : 0);
        atomic_fetch_or_explicit(memo, (unsigned char)(bits << whole_shift(e)),
                                 memory_order_relaxed);
    }
    for (int32_t i = 0; i >= 0 && code == STATUS_OK; i = merger->symbols[i].next) {
        const struct symbol *symbol = &merger->symbols[i];
        struct text bytes = slice(part, symbol->start, symbol->start + symbol->length);
        code = emit(e, bytes, symbol->id, st);
    }
    return code;
}

/* Part by part; all at once where unused pieces come into it, since how one is taken apart depends
 * on the whole word. */
static status_code encode_merges(struct encoder *e, struct text word, struct status *st)
{
    const struct tokenizer *tokenizer = e->tokenizer;
    size_t count_before = e->out->count;
    status_code code = STATUS_OK;
    if (tokenizer->ignore_merges) {
        int32_t whole = find_whole(e, word);
        if (whole >= 0) return append(e, whole, st);
    }
    e->merger.met_unused = false;
    if (tokenizer->byte_level) return encode_part(e, word, st);
    for (size_t from = 0, to; from < word.length && code == STATUS_OK; from = to) {
        to = seams_next(&tokenizer->seams, word, from);
        code = encode_part(e, slice(word, from, to), st);
        if (e->merger.met_unused && (from || to < word.length)) break;
    }
    if (code != STATUS_OK || !e->merger.met_unused) return code;
    e->out->count = count_before;
    e->after_unknown = false;
    return encode_part(e, word, st);
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
    e->after_unknown = false;
    switch (tokenizer->kind) {
    case TOKENIZER_WORDPIECE:
        return tokenizer_split_wordpiece(tokenizer, text, e->out, st);
    case TOKENIZER_UNIGRAM:
        return encode_unigram(e, text, st);
    default:
        return encode_merges(e, text, st);
    }
}

/* ---- added tokens ---- */

/* The character that a text ends with; returns its bytes, 0 where it ends with none. */
static size_t last_character(struct text text, uint32_t *cp)
{
    if (!text.length) return 0;
    size_t start = text.length - 1;
    while (start && text.length - start < 4 && ((unsigned char)text.data[start] & 0xc0) == 0x80)
        start--;
    size_t used = utf8_decode(text.data + start, text.length - start, cp);
    return used == text.length - start ? used : 0;
}

static struct text strip_end(struct text text)
{
    uint32_t cp;
    size_t used;
    while ((used = last_character(text, &cp)) != 0 && utf8_is_white_space(cp)) text.length -= used;
    return text;
}

/* Whether a match of MATCH_WORD is one: no word goes on before it or after it. */
static bool is_single_word(struct text text, size_t from, size_t to)
{
    uint32_t cp;
    if (last_character(slice(text, 0, from), &cp) && utf8_is_word(cp)) return false;
    return !utf8_decode(text.data + to, text.length - to, &cp) || !utf8_is_word(cp);
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
        if (!used || !utf8_is_white_space(cp)) break;
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

/* Splits at the added tokens of one stage, leftmost first and longest first; within one that is no
 * single word and should be, no other is looked for.  A text that BOS was put in front of and that
 * spells BOS itself gets one. */
static status_code encode_stage(struct encoder *e, struct text text, bool normalized, bool is_first,
                                struct status *st)
{
    const struct matcher *matcher = normalized ? &e->tokenizer->normalized : &e->tokenizer->raw;
    status_code code = STATUS_OK;
    size_t start = 0; /* of the text since the last match */
    for (size_t i = 0; matcher->n_nodes && i < text.length && code == STATUS_OK;) {
        struct match match = matcher_longest(matcher, slice(text, i, text.length), e->hidden);
        bool is_part = (match.flags & MATCH_WORD) && !is_single_word(text, i, i + match.length);
        if (!match.length || is_part) {
            i += match.length ? match.length : 1;
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
    status_code code = merger_init(&e->merger, e->tokenizer, e->hidden, st);
    if (code != STATUS_OK) return code;
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
    merger_release(&e.merger);
    free(e.path.steps);
    return code;
}
