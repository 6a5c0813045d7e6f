/* Hugging Face tokenizer.json: BPE, Unigram or WordPiece.  README.md lists where the Rust and the
 * JavaScript library differ, and which of them is followed. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/json.h"
#include "engine/base/limits.h"
#include "engine/tokenizer/added_tokens.h"
#include "engine/tokenizer/tokenizer_core.h"

/* What a reader of the file needs at hand. */
struct json_tokenizer {
    struct tokenizer *tokenizer;
    const struct json_value *root, *model, *vocab, *merges;
    const struct json_value *added; /* may be NULL */
    enum tokenizer_kind kind;
    struct text unknown; /* "" where there is none */
    int64_t unknown_id;  /* of Unigram, or -1 */
};

static status_code get_flag(const struct json_value *object, const char *key, bool *flag,
                            struct status *st)
{
    return json_has(object, key) ? json_get_bool(object, key, flag, st) : STATUS_OK;
}

/* ---- model ---- */

static status_code check_type(struct json_tokenizer *j, struct status *st)
{
    static const struct {
        const char *name;
        enum tokenizer_kind kind;
    } types[] = {
        {"BPE", TOKENIZER_BPE}, {"Unigram", TOKENIZER_UNIGRAM}, {"WordPiece", TOKENIZER_WORDPIECE}};
    struct text type;
    status_code code = json_get_object(j->root, "model", &j->model, st);
    if (code != STATUS_OK) return code;
    code = json_get_text(j->model, "type", &type, st);
    if (code != STATUS_OK) return status_prefix(st, "model");
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        j->kind = types[i].kind;
        if (text_equal(type, text_of(types[i].name))) return STATUS_OK;
    }
    return status_set(st, STATUS_UNSUPPORTED,
                      "model.type is \"%.*s\", only \"BPE\", \"Unigram\" and \"WordPiece\" are "
                      "supported",
                      TEXT_ARGS(piece_for_message(type)));
}

/* Options that would change how text is split, and that nothing here follows. */
static status_code check_options(const struct json_tokenizer *j, struct status *st)
{
    static const char *const affixes[] = {"continuing_subword_prefix", "end_of_word_suffix",
                                          "continuing_subword_suffix"};
    for (size_t i = 0; i < sizeof affixes / sizeof affixes[0]; i++) {
        struct text affix;
        if (!json_has(j->model, affixes[i])) continue;
        status_code code = json_get_text(j->model, affixes[i], &affix, st);
        if (code != STATUS_OK) return code;
        if (affix.length)
            return status_set(st, STATUS_UNSUPPORTED, "field \"%s\" is not supported", affixes[i]);
    }
    double dropout = 0;
    status_code code = STATUS_OK;
    if (json_has(j->model, "dropout")) code = json_get_double(j->model, "dropout", &dropout, st);
    if (code != STATUS_OK) return code;
    if (dropout > 0)
        return status_set(st, STATUS_UNSUPPORTED, "field \"dropout\" is not supported");
    return STATUS_OK;
}

static status_code read_bpe(struct json_tokenizer *j, struct status *st)
{
    struct tokenizer *tokenizer = j->tokenizer;
    status_code code = check_options(j, st);
    if (code == STATUS_OK) code = json_get_object(j->model, "vocab", &j->vocab, st);
    if (code == STATUS_OK) code = json_get_array(j->model, "merges", &j->merges, st);
    if (code == STATUS_OK)
        code = get_flag(j->model, "byte_fallback", &tokenizer->byte_fallback, st);
    if (code == STATUS_OK)
        code = get_flag(j->model, "ignore_merges", &tokenizer->ignore_merges, st);
    if (code == STATUS_OK) code = get_flag(j->model, "fuse_unk", &tokenizer->fuse_unknown, st);
    if (code == STATUS_OK && json_has(j->model, "unk_token"))
        code = json_get_text(j->model, "unk_token", &j->unknown, st);
    return code;
}

/* The library always fuses unknown characters of this kind. */
static status_code read_unigram(struct json_tokenizer *j, struct status *st)
{
    struct tokenizer *tokenizer = j->tokenizer;
    tokenizer->fuse_unknown = true;
    status_code code = json_get_array(j->model, "vocab", &j->vocab, st);
    if (code == STATUS_OK)
        code = get_flag(j->model, "byte_fallback", &tokenizer->byte_fallback, st);
    if (code == STATUS_OK && json_has(j->model, "unk_id"))
        code = json_get_int(j->model, "unk_id", 0, LIMIT_VOCAB - 1, &j->unknown_id, st);
    return code;
}

static status_code read_wordpiece(struct json_tokenizer *j, struct status *st)
{
    struct tokenizer *tokenizer = j->tokenizer;
    struct text prefix = text_of("##");
    int64_t longest = 100;
    j->unknown = text_of("[UNK]");
    status_code code = json_get_object(j->model, "vocab", &j->vocab, st);
    if (code == STATUS_OK && json_has(j->model, "unk_token"))
        code = json_get_text(j->model, "unk_token", &j->unknown, st);
    if (code == STATUS_OK && json_has(j->model, "continuing_subword_prefix"))
        code = json_get_text(j->model, "continuing_subword_prefix", &prefix, st);
    if (code == STATUS_OK && json_has(j->model, "max_input_chars_per_word"))
        code =
            json_get_int(j->model, "max_input_chars_per_word", 1, LIMIT_PIECE_BYTES, &longest, st);
    if (code != STATUS_OK) return code;
    char *copy = arena_strndup(&tokenizer->arena, prefix.data, prefix.length);
    if (!copy) return status_no_memory(st, "a tokenizer");
    tokenizer->wordpiece.continuing_prefix = (struct text){copy, prefix.length};
    tokenizer->wordpiece.max_characters = (size_t)longest;
    return STATUS_OK;
}

static status_code read_model(struct json_tokenizer *j, struct status *st)
{
    j->unknown = text_of("");
    j->unknown_id = -1;
    status_code code = j->kind == TOKENIZER_BPE       ? read_bpe(j, st)
                       : j->kind == TOKENIZER_UNIGRAM ? read_unigram(j, st)
                                                      : read_wordpiece(j, st);
    if (code != STATUS_OK) return status_prefix(st, "model");
    if (json_has(j->root, "added_tokens"))
        code = json_get_array(j->root, "added_tokens", &j->added, st);
    return code;
}

/* ---- pieces ---- */

static status_code read_added(const struct json_value *node, struct added_token *added,
                              struct status *st)
{
    status_code code = added_token_read(node, added, st);
    if (code == STATUS_OK) code = json_get_int(node, "id", 0, LIMIT_VOCAB - 1, &added->id, st);
    return code == STATUS_OK ? code : status_prefix(st, "added_tokens");
}

/* One piece of model.vocab: "piece": id in an object, ["piece", score] in Unigram's array. */
struct vocab_entry {
    struct text piece; /* of an object: as json_key() gives it */
    int64_t id;
    double score;
};

static status_code read_entry(const struct json_tokenizer *j, const struct json_value *node,
                              int64_t index, struct vocab_entry *entry, struct status *st)
{
    if (j->kind == TOKENIZER_UNIGRAM) {
        const struct json_value *piece = json_first(node), *score = piece ? json_next(piece) : NULL;
        if (!score || json_kind(node) != JSON_ARRAY || json_kind(piece) != JSON_STRING ||
            json_kind(score) != JSON_NUMBER)
            return status_set(st, STATUS_BAD_INPUT,
                              "model.vocab: element %lld is not a piece and its score",
                              (long long)index);
        *entry = (struct vocab_entry){json_text(piece), index, json_number(score)};
        return STATUS_OK;
    }
    double number = json_kind(node) == JSON_NUMBER ? json_number(node) : -1;
    *entry = (struct vocab_entry){.piece = text_of(json_key(node))};
    if (!(number >= 0 && number < LIMIT_VOCAB) || number != floor(number))
        return status_set(st, STATUS_BAD_INPUT,
                          "model.vocab: piece \"%.*s\" has no id from 0 to %d",
                          TEXT_ARGS(piece_for_message(entry->piece)), LIMIT_VOCAB - 1);
    entry->id = (int64_t)number;
    return STATUS_OK;
}

/* The largest id and the bytes of all pieces together. */
static status_code measure(const struct json_tokenizer *j, int64_t *largest, size_t *bytes,
                           struct status *st)
{
    status_code code;
    int64_t index = 0;
    *largest = -1;
    *bytes = 0;
    for (const struct json_value *v = json_first(j->vocab); v; v = json_next(v)) {
        struct vocab_entry entry;
        if ((code = read_entry(j, v, index++, &entry, st)) != STATUS_OK) return code;
        if (entry.id > *largest) *largest = entry.id;
        *bytes += entry.piece.length;
    }
    const struct json_value *v = j->added ? json_first(j->added) : NULL;
    for (; v; v = json_next(v)) {
        struct added_token added;
        if ((code = read_added(v, &added, st)) != STATUS_OK) return code;
        if (added.id > *largest) *largest = added.id;
        *bytes += added.content.length;
    }
    return STATUS_OK;
}

/* A key of the tree ends at a NUL, so json.h gives an escaped one as C0 80. */
static struct text copy_piece(char **next, struct text piece)
{
    struct text copy = {*next, 0};
    for (size_t i = 0; i < piece.length; i++) {
        const unsigned char *p = (const unsigned char *)piece.data + i;
        bool nul = i + 1 < piece.length && p[0] == 0xc0 && p[1] == 0x80;
        *(*next)++ = nul ? '\0' : (char)*p;
        i += nul;
    }
    copy.length = (size_t)(*next - copy.data);
    return copy;
}

static enum piece_type type_of(const struct json_tokenizer *j, struct text stored, int64_t id)
{
    if (j->unknown.length && text_equal(stored, j->unknown)) return PIECE_UNKNOWN;
    if (id == j->unknown_id) return PIECE_UNKNOWN;
    if (j->tokenizer->byte_fallback && piece_spelled_byte(stored) >= 0) return PIECE_BYTE;
    return PIECE_NORMAL;
}

static status_code set_vocab(struct json_tokenizer *j, char **next, struct status *st)
{
    struct tokenizer *tokenizer = j->tokenizer;
    int64_t index = 0;
    for (const struct json_value *v = json_first(j->vocab); v; v = json_next(v)) {
        struct vocab_entry entry;
        status_code code = read_entry(j, v, index++, &entry, st);
        if (code != STATUS_OK) return code;
        struct text stored = copy_piece(next, entry.piece);
        enum piece_type type = type_of(j, stored, entry.id);
        code = vocabulary_set(&tokenizer->vocab, entry.id, stored, type, st);
        if (code != STATUS_OK) return status_prefix(st, "model.vocab");
        if (type == PIECE_UNKNOWN) tokenizer->info.unknown = (int32_t)entry.id;
    }
    if (j->unknown.length && tokenizer->info.unknown < 0)
        return status_set(st, STATUS_BAD_INPUT,
                          "model.unk_token is \"%.*s\", which is not in model.vocab",
                          TEXT_ARGS(piece_for_message(j->unknown)));
    if (j->unknown_id >= 0 && tokenizer->info.unknown < 0)
        return status_set(st, STATUS_BAD_INPUT, "model.unk_id is %lld, which is not in model.vocab",
                          (long long)j->unknown_id);
    return STATUS_OK;
}

/* After vocabulary_finish(). */
static status_code read_scores(struct json_tokenizer *j, struct status *st)
{
    size_t n = json_count(j->vocab);
    double *scores = n ? calloc(n, sizeof *scores) : NULL;
    if (!scores) return status_no_memory(st, "the vocabulary");
    int64_t index = 0;
    status_code code = STATUS_OK;
    const struct json_value *v = json_first(j->vocab);
    for (; v && code == STATUS_OK; v = json_next(v)) {
        struct vocab_entry entry = {0};
        code = read_entry(j, v, index++, &entry, st);
        if (code == STATUS_OK) scores[entry.id] = entry.score;
    }
    if (code == STATUS_OK) code = tokenizer_use_scores(j->tokenizer, scores, (int)n, false, st);
    free(scores);
    return code;
}

/* Added tokens repeat pieces of model.vocab or come after them. */
static status_code set_added(struct json_tokenizer *j, char **next, struct status *st)
{
    struct vocabulary *vocab = &j->tokenizer->vocab;
    const struct json_value *v = j->added ? json_first(j->added) : NULL;
    for (; v; v = json_next(v)) {
        struct added_token added;
        status_code code = read_added(v, &added, st);
        if (code != STATUS_OK) return code;
        struct piece *piece = &vocab->pieces[added.id];
        if (!piece->stored.data || !text_equal(piece->stored, added.content)) {
            struct text stored = {*next, added.content.length};
            memcpy(*next, added.content.data, added.content.length);
            *next += added.content.length;
            code = vocabulary_set(vocab, added.id, stored, PIECE_NORMAL, st);
            if (code != STATUS_OK) return status_prefix(st, "added_tokens");
            piece->is_word = (added.flags & MATCH_WORD) != 0;
        }
        if (piece->type != PIECE_UNKNOWN)
            piece->type = added.special ? PIECE_CONTROL : PIECE_USER_DEFINED;
    }
    return STATUS_OK;
}

static status_code read_pieces(struct json_tokenizer *j, struct status *st)
{
    struct tokenizer *tokenizer = j->tokenizer;
    int64_t largest;
    size_t bytes;
    status_code code = measure(j, &largest, &bytes, st);
    if (code != STATUS_OK) return code;
    code = vocabulary_create(&tokenizer->vocab, &tokenizer->arena, (size_t)(largest + 1),
                             tokenizer->info.sha256, st);
    if (code != STATUS_OK) return code;
    char *next = arena_alloc(&tokenizer->arena, bytes);
    if (!next) return status_no_memory(st, "the vocabulary");
    code = set_vocab(j, &next, st);
    if (code == STATUS_OK) code = set_added(j, &next, st);
    if (code != STATUS_OK) return code;
    if (tokenizer->byte_level) tokenizer->vocab.spelling = SPELL_BYTES;
    if (j->kind == TOKENIZER_WORDPIECE) {
        tokenizer->vocab.spelling = SPELL_CONTINUING;
        tokenizer->vocab.continuing_prefix = tokenizer->wordpiece.continuing_prefix;
    }
    code = vocabulary_finish(&tokenizer->vocab, st);
    return code == STATUS_OK ? code : status_prefix(st, "model.vocab");
}

/* ---- added tokens in text ---- */

/* Without a normalizer there is nothing to wait for: all are looked for at once. */
static bool is_raw(const struct tokenizer *tokenizer, const struct added_token *added)
{
    return !added->normalized || !tokenizer->normalizer.n_steps;
}

static status_code add_match(struct tokenizer *tokenizer, const struct added_token *added,
                             struct strbuf scratch[2], struct status *st)
{
    struct text content = added->content;
    bool is_marker = tokenizer->vocab.pieces[added->id].is_marker;
    unsigned flags = added->flags | (is_marker ? MATCH_MARKER : 0u);
    if (is_raw(tokenizer, added)) {
        matcher_add(&tokenizer->raw, content, (int32_t)added->id, flags);
        return STATUS_OK;
    }
    status_code code = normalizer_run(&tokenizer->normalizer, content, true, scratch, &content, st);
    if (code != STATUS_OK) return status_prefix(st, "added_tokens");
    if (content.length > LIMIT_PIECE_BYTES)
        return status_set(st, STATUS_LIMIT, "added_tokens: \"%.*s...\" is longer than %d bytes",
                          TEXT_ARGS(piece_for_message(content)), LIMIT_PIECE_BYTES);
    struct matcher *matcher = &tokenizer->normalized;
    matcher_add(matcher, content, (int32_t)added->id, flags);
    return STATUS_OK;
}

/* Bytes that all contents need in the two matchers. */
static status_code measure_matches(const struct json_tokenizer *j, struct strbuf scratch[2],
                                   size_t *raw, size_t *normalized, struct status *st)
{
    for (const struct json_value *v = json_first(j->added); v; v = json_next(v)) {
        struct added_token added;
        status_code code = read_added(v, &added, st);
        struct text content = added.content;
        bool as_given = code != STATUS_OK || is_raw(j->tokenizer, &added);
        if (!as_given)
            code = normalizer_run(&j->tokenizer->normalizer, content, true, scratch, &content, st);
        if (code != STATUS_OK) return code;
        *(as_given ? raw : normalized) += content.length;
    }
    return STATUS_OK;
}

static status_code read_matches(struct json_tokenizer *j, struct status *st)
{
    struct tokenizer *tokenizer = j->tokenizer;
    struct strbuf scratch[2];
    size_t raw = 0, normalized = 0;
    if (!j->added) return STATUS_OK;
    strbuf_init(&scratch[0], LIMIT_TOKENIZER_BYTES);
    strbuf_init(&scratch[1], LIMIT_TOKENIZER_BYTES);
    status_code code = measure_matches(j, scratch, &raw, &normalized, st);
    if (code == STATUS_OK && raw)
        code = matcher_create(&tokenizer->raw, &tokenizer->arena, raw, st);
    if (code == STATUS_OK && normalized)
        code = matcher_create(&tokenizer->normalized, &tokenizer->arena, normalized, st);
    const struct json_value *v = json_first(j->added);
    for (; v && code == STATUS_OK; v = json_next(v)) {
        struct added_token added;
        code = read_added(v, &added, st);
        if (code == STATUS_OK) code = add_match(tokenizer, &added, scratch, st);
    }
    strbuf_release(&scratch[0]);
    strbuf_release(&scratch[1]);
    return code;
}

/* ---- merges ---- */

/* The two pieces of a merge: ["a", "b"], or "a b" with exactly one space. */
static bool split_merge(const struct json_value *merge, struct text *left, struct text *right)
{
    if (json_kind(merge) == JSON_ARRAY) {
        const struct json_value *a = json_first(merge), *b = a ? json_next(a) : NULL;
        if (!b || json_next(b) || json_kind(a) != JSON_STRING || json_kind(b) != JSON_STRING)
            return false;
        *left = json_text(a);
        *right = json_text(b);
        return true;
    }
    if (json_kind(merge) != JSON_STRING) return false;
    struct text both = json_text(merge);
    const char *space = both.length ? memchr(both.data, ' ', both.length) : NULL;
    if (!space) return false;
    *left = (struct text){both.data, (size_t)(space - both.data)};
    *right = (struct text){space + 1, both.length - left->length - 1};
    return !right->length || !memchr(right->data, ' ', right->length);
}

static status_code add_merge(struct tokenizer *tokenizer, const struct json_value *merge,
                             size_t rank, struct status *st)
{
    struct text left, right;
    if (!split_merge(merge, &left, &right))
        return status_set(st, STATUS_BAD_INPUT,
                          "merge %zu is neither \"left right\" nor [\"left\", \"right\"]", rank);
    return tokenizer_add_merge(tokenizer, left, right, rank, st);
}

static status_code read_merges(struct json_tokenizer *j, struct status *st)
{
    struct tokenizer *tokenizer = j->tokenizer;
    size_t n = json_count(j->merges), rank = 0;
    if (n > LIMIT_MERGES)
        return status_set(st, STATUS_LIMIT, "model.merges has %zu entries, more than %u", n,
                          LIMIT_MERGES);
    status_code code =
        merge_table_create(&tokenizer->merges, &tokenizer->arena, n, tokenizer->vocab.seed, st);
    const struct json_value *v = json_first(j->merges);
    for (; v && code == STATUS_OK; v = json_next(v)) code = add_merge(tokenizer, v, rank++, st);
    return code == STATUS_OK ? code : status_prefix(st, "model.merges");
}

/* ---- special pieces ---- */

/* The pieces that post_processor puts around a text, or -1. */
struct frame {
    int32_t first, last;
};

static int32_t find_special(const struct vocabulary *vocab, const struct json_value *part)
{
    const struct json_value *special = part ? json_member(part, "SpecialToken") : NULL;
    const struct json_value *id = special ? json_member(special, "id") : NULL;
    return id && json_kind(id) == JSON_STRING ? vocabulary_find(vocab, json_text(id)) : -1;
}

/* TemplateProcessing. */
static void read_template(const struct vocabulary *vocab, const struct json_value *list,
                          struct frame *frame)
{
    const struct json_value *first = json_first(list), *last = first;
    for (const struct json_value *v = first; v; v = json_next(v)) last = v;
    frame->first = find_special(vocab, first);
    if (last != first) frame->last = find_special(vocab, last);
}

/* BertProcessing, RobertaProcessing: ["piece", id]. */
static int32_t find_pair(const struct vocabulary *vocab, const struct json_value *pair)
{
    const struct json_value *piece = pair ? json_first(pair) : NULL;
    return piece && json_kind(piece) == JSON_STRING ? vocabulary_find(vocab, json_text(piece)) : -1;
}

static void find_frame(const struct vocabulary *vocab, const struct json_value *node,
                       struct frame *frame)
{
    const struct json_value *list = node ? json_member(node, "single") : NULL;
    if (list && json_kind(list) == JSON_ARRAY) read_template(vocab, list, frame);
    if (node && json_member(node, "cls") && json_member(node, "sep"))
        *frame = (struct frame){find_pair(vocab, json_member(node, "cls")),
                                find_pair(vocab, json_member(node, "sep"))};
}

static struct frame read_frame(const struct vocabulary *vocab, const struct json_value *node)
{
    struct frame frame = {-1, -1};
    find_frame(vocab, node, &frame);
    const struct json_value *list = node ? json_member(node, "processors") : NULL;
    const struct json_value *v = list && json_kind(list) == JSON_ARRAY ? json_first(list) : NULL;
    for (; v && frame.first < 0; v = json_next(v)) find_frame(vocab, v, &frame);
    return frame;
}

static int32_t find_one_of(const struct vocabulary *vocab, const char *const names[], int n)
{
    int32_t id = -1;
    for (int i = 0; i < n && id < 0; i++) id = vocabulary_find_control(vocab, text_of(names[i]));
    return id;
}

/* The file itself does not say which piece is which: tokenizer_config.json does, and without one
 * the usual names. */
static status_code read_policy(struct json_tokenizer *j, const char *directory, struct status *st)
{
    static const char *const bos_names[] = {"<bos>", "<s>", "<|begin_of_text|>", "[CLS]"};
    static const char *const eos_names[] = {"<eos>", "</s>", "<|end_of_text|>", "<|endoftext|>",
                                            "[SEP]"};
    static const char *const pad_names[] = {"<pad>", "[PAD]"};
    struct tokenizer_info *info = &j->tokenizer->info;
    const struct vocabulary *vocab = &j->tokenizer->vocab;
    struct tokenizer_config config;
    status_code code = tokenizer_config_open(&config, directory, st);
    if (code != STATUS_OK) return code;
    struct frame frame = read_frame(vocab, json_member(j->root, "post_processor"));
    info->bos = frame.first >= 0 ? frame.first : find_one_of(vocab, bos_names, 4);
    info->eos = frame.last >= 0 ? frame.last : find_one_of(vocab, eos_names, 5);
    info->pad = find_one_of(vocab, pad_names, 2);
    code = tokenizer_config_piece(&config, vocab, "bos_token", &info->bos, st);
    if (code == STATUS_OK)
        code = tokenizer_config_piece(&config, vocab, "eos_token", &info->eos, st);
    if (code == STATUS_OK)
        code = tokenizer_config_piece(&config, vocab, "pad_token", &info->pad, st);
    info->add_bos =
        config.has_add_bos ? config.add_bos : frame.first >= 0 && frame.first == info->bos;
    info->add_eos = frame.last >= 0 && frame.last == info->eos;
    if (code == STATUS_OK) code = tokenizer_config_template(&config, directory, j->tokenizer, st);
    tokenizer_config_close(&config);
    return code;
}

/* ---- the whole ---- */

static status_code fill(struct json_tokenizer *j, const char *directory, struct status *st)
{
    status_code code = read_model(j, st);
    if (code == STATUS_OK) code = tokenizer_read_json_rules(j->tokenizer, j->root, st);
    if (code == STATUS_OK) code = read_pieces(j, st);
    if (code == STATUS_OK) code = read_matches(j, st);
    if (code == STATUS_OK && j->kind == TOKENIZER_BPE) code = read_merges(j, st);
    if (code == STATUS_OK && j->kind == TOKENIZER_UNIGRAM) code = read_scores(j, st);
    if (code == STATUS_OK) code = read_policy(j, directory, st);
    if (code == STATUS_OK) code = tokenizer_config_ends(directory, &j->tokenizer->vocab, st);
    return code == STATUS_OK ? tokenizer_finish(j->tokenizer, st) : code;
}

status_code tokenizer_read_json(struct tokenizer **out, struct text bytes, const char *directory,
                                struct status *st)
{
    struct json_value *root;
    status_code code = json_parse(&root, bytes, st);
    if (code != STATUS_OK) return code;
    struct json_tokenizer j = {.root = root};
    char digest[SHA256_HEX_SIZE];
    sha256_text(bytes, digest);
    code = check_type(&j, st);
    if (code == STATUS_OK) code = tokenizer_create(&j.tokenizer, j.kind, digest, st);
    if (code == STATUS_OK) code = fill(&j, directory, st);
    if (code == STATUS_OK)
        *out = j.tokenizer;
    else
        tokenizer_free(j.tokenizer);
    json_free(root);
    return code;
}
