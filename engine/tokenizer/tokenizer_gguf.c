/* The vocabulary inside a GGUF file: keys "tokenizer.ggml.*" (ggml/docs/gguf.md). */
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/limits.h"
#include "engine/gguf/gguf.h"
#include "engine/tokenizer/tokenizer_core.h"

#define KEY(name) "tokenizer.ggml." name

struct vocabulary_arrays {
    struct gguf_array tokens, scores, types, merges; /* a count of 0: there is none */
};

/* tokenizer.ggml.model. */
static const struct gguf_kind {
    const char *name;
    enum tokenizer_kind kind;
    bool has_scores, has_merges;
} gguf_kinds[] = {
    {"llama", TOKENIZER_SPM, true, false},
    {"gpt2", TOKENIZER_BPE, false, true},
    {"bert", TOKENIZER_WORDPIECE, false, false},
    {"t5", TOKENIZER_UNIGRAM, true, false},
};

static status_code find_kind(const struct gguf *file, const struct gguf_kind **kind,
                             struct status *st)
{
    struct text model;
    status_code code = gguf_get_text(file, KEY("model"), &model, st);
    if (code != STATUS_OK) return code;
    for (size_t i = 0; i < sizeof gguf_kinds / sizeof gguf_kinds[0]; i++) {
        *kind = &gguf_kinds[i];
        if (text_equal(model, text_of(gguf_kinds[i].name))) return STATUS_OK;
    }
    return status_set(st, STATUS_UNSUPPORTED,
                      "%s: %s is \"%.*s\", only \"llama\", \"gpt2\", \"bert\" and \"t5\" are "
                      "supported",
                      gguf_path(file), KEY("model"), TEXT_ARGS(piece_for_message(model)));
}

static status_code get_arrays(const struct gguf *file, const struct gguf_kind *kind,
                              struct vocabulary_arrays *arrays, struct status *st)
{
    *arrays = (struct vocabulary_arrays){0};
    status_code code = gguf_get_array(file, KEY("tokens"), GGUF_STRING, &arrays->tokens, st);
    if (code == STATUS_OK && kind->has_scores)
        code = gguf_get_array(file, KEY("scores"), GGUF_F32, &arrays->scores, st);
    if (code == STATUS_OK)
        code = gguf_get_array(file, KEY("token_type"), GGUF_I32, &arrays->types, st);
    if (code == STATUS_OK && kind->has_merges)
        code = gguf_get_array(file, KEY("merges"), GGUF_STRING, &arrays->merges, st);
    if (code != STATUS_OK) return code;
    size_t n = arrays->tokens.count;
    if (arrays->types.count != n || (kind->has_scores && arrays->scores.count != n))
        return status_set(st, STATUS_BAD_INPUT,
                          "%s: %zu tokens have %zu scores and %zu token types", gguf_path(file), n,
                          arrays->scores.count, arrays->types.count);
    if (arrays->merges.count > LIMIT_MERGES)
        return status_set(st, STATUS_LIMIT, "%s: %s has %zu elements, more than %u",
                          gguf_path(file), KEY("merges"), arrays->merges.count, LIMIT_MERGES);
    return STATUS_OK;
}

static void digest_texts(struct sha256 *hash, const struct gguf_array *array)
{
    for (size_t i = 0; i < array->count; i++) {
        struct text text = array->texts[i];
        unsigned char length[8];
        for (int byte = 0; byte < 8; byte++)
            length[byte] = (unsigned char)((uint64_t)text.length >> (8 * byte));
        sha256_add(hash, length, sizeof length);
        sha256_add(hash, text.data, text.length);
    }
}

/* Over each token's length as 8 bytes, little-endian, and its bytes; then the scores, the types,
 * and the merges like tokens. */
static status_code digest_arrays(const struct vocabulary_arrays *arrays,
                                 char digest[SHA256_HEX_SIZE], struct status *st)
{
    struct sha256 *hash;
    status_code code = sha256_create(&hash, st);
    if (code != STATUS_OK) return code;
    digest_texts(hash, &arrays->tokens);
    sha256_add(hash, arrays->scores.data, arrays->scores.count * sizeof(float));
    sha256_add(hash, arrays->types.data, arrays->types.count * sizeof(int32_t));
    digest_texts(hash, &arrays->merges);
    sha256_finish(hash, digest);
    sha256_free(hash);
    return STATUS_OK;
}

/* ---- pieces ---- */

/* User-defined pieces are stored with plain spaces where the text has already been normalized; in
 * the vocabulary they are spelled like all others. */
static size_t copy_piece(char *out, struct text token, bool spell_spaces)
{
    size_t n = 0;
    for (size_t i = 0; i < token.length; i++) {
        bool space = spell_spaces && token.data[i] == ' ';
        size_t bytes = space ? SPACE_SYMBOL_BYTES : 1;
        memcpy(out + n, space ? SPACE_SYMBOL : token.data + i, bytes);
        n += bytes;
    }
    return n;
}

static status_code set_piece(struct tokenizer *tokenizer, const struct vocabulary_arrays *arrays,
                             int32_t id, char **next, struct status *st)
{
    size_t i = (size_t)id;
    int32_t type = gguf_array_i32(&arrays->types, i);
    float score = arrays->scores.count ? gguf_array_f32(&arrays->scores, i) : 0;
    if (type < PIECE_NORMAL || type > PIECE_BYTE)
        return status_set(st, STATUS_BAD_INPUT, "%s: element %d is %d, expected %d to %d",
                          KEY("token_type"), id, type, PIECE_NORMAL, PIECE_BYTE);
    if (isnan(score))
        return status_set(st, STATUS_BAD_INPUT, "%s: element %d is not a number", KEY("scores"),
                          id);
    bool spell_spaces = type == PIECE_USER_DEFINED && tokenizer->kind != TOKENIZER_BPE;
    size_t n = copy_piece(*next, arrays->tokens.texts[i], spell_spaces);
    struct text stored = {*next, n};
    *next += n;
    status_code code = vocabulary_set(&tokenizer->vocab, id, stored, (enum piece_type)type, st);
    if (code != STATUS_OK) return status_prefix(st, "%s", KEY("tokens"));
    tokenizer->vocab.pieces[id].order = piece_order(score);
    if (type == PIECE_UNKNOWN && tokenizer->info.unknown < 0) tokenizer->info.unknown = id;
    tokenizer->byte_fallback |= type == PIECE_BYTE;
    return STATUS_OK;
}

static status_code read_pieces(struct tokenizer *tokenizer, const struct vocabulary_arrays *arrays,
                               struct status *st)
{
    size_t n = arrays->tokens.count, total = 0;
    status_code code =
        vocabulary_create(&tokenizer->vocab, &tokenizer->arena, n, tokenizer->info.sha256, st);
    if (code != STATUS_OK) return status_prefix(st, "%s", KEY("tokens"));
    for (size_t i = 0; i < n; i++) {
        size_t length = arrays->tokens.texts[i].length;
        if (length > LIMIT_PIECE_BYTES)
            return status_set(st, STATUS_LIMIT, "%s: element %zu is longer than %d bytes",
                              KEY("tokens"), i, LIMIT_PIECE_BYTES);
        total += SPACE_SYMBOL_BYTES * length;
    }
    char *next = arena_alloc(&tokenizer->arena, total);
    if (!next) return status_no_memory(st, "the vocabulary");
    for (size_t i = 0; i < n && code == STATUS_OK; i++)
        code = set_piece(tokenizer, arrays, (int32_t)i, &next, st);
    if (code != STATUS_OK) return code;
    if (tokenizer->byte_level) tokenizer->vocab.spelling = SPELL_BYTES;
    code = vocabulary_finish(&tokenizer->vocab, st);
    return code == STATUS_OK ? code : status_prefix(st, "%s", KEY("tokens"));
}

/* ---- SentencePiece ---- */

static status_code get_flag(const struct gguf *file, const char *key, bool *flag, struct status *st)
{
    return gguf_has(file, key) ? gguf_get_bool(file, key, flag, st) : STATUS_OK;
}

static status_code read_charsmap(struct tokenizer *tokenizer, const struct gguf *file,
                                 struct status *st)
{
    struct gguf_array bytes;
    const char *key = KEY("precompiled_charsmap");
    struct status ignored = {0};
    if (!gguf_has(file, key)) return STATUS_OK;
    /* Writers call the bytes signed or unsigned. */
    if (gguf_get_array(file, key, GGUF_I8, &bytes, &ignored) != STATUS_OK) {
        status_code code = gguf_get_array(file, key, GGUF_U8, &bytes, st);
        if (code != STATUS_OK) return code;
    }
    struct text map = {(const char *)bytes.data, bytes.count};
    status_code code = tokenizer_add_charsmap(tokenizer, map, NORMALIZE_CHARSMAP, st);
    return code == STATUS_OK ? code : status_prefix(st, "%s", key);
}

static status_code read_scores(struct tokenizer *tokenizer, const struct gguf_array *scores,
                               struct status *st)
{
    double *wide = malloc(scores->count * sizeof *wide);
    if (!wide) return status_no_memory(st, "the vocabulary");
    for (size_t i = 0; i < scores->count; i++) wide[i] = (double)gguf_array_f32(scores, i);
    status_code code = tokenizer_use_scores(tokenizer, wide, (int)scores->count, true, st);
    free(wide);
    return code;
}

static status_code read_sentencepiece(struct tokenizer *tokenizer, const struct gguf *file,
                                      const struct vocabulary_arrays *arrays, struct status *st)
{
    struct sentencepiece_rules rules = {.add_dummy_prefix = true};
    bool unigram = tokenizer->kind == TOKENIZER_UNIGRAM;
    status_code code = get_flag(file, KEY("add_space_prefix"), &rules.add_dummy_prefix, st);
    if (code == STATUS_OK)
        code = get_flag(file, KEY("remove_extra_whitespaces"), &rules.remove_extra_whitespaces, st);
    if (code == STATUS_OK && unigram) code = read_charsmap(tokenizer, file, st);
    if (code == STATUS_OK && unigram) code = read_scores(tokenizer, &arrays->scores, st);
    if (code != STATUS_OK) return code;
    return tokenizer_use_sentencepiece_rules(tokenizer, &rules, st);
}

/* ---- byte-level BPE ---- */

/* The patterns are those of the models' own tokenizer.json; llama.cpp's names for them are in
 * src/llama-vocab.cpp. */
#define LLAMA3_PATTERN(digits)                                                                     \
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|" digits                           \
    "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"

/* What some have in front of that: a number's characters stand alone. */
#define DIGIT_PATTERN "\\p{N}"

/* Mistral Nemo's: words begin with their capitals, digits stand alone. */
#define TEKKEN_PATTERN                                                                             \
    "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+"    \
    "|[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*"   \
    "|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"

static const struct gguf_pre {
    const char *name, *pattern;
    bool digits_first, ignore_merges, add_bos;
} gguf_pres[] = {
    {"gpt-2", GPT2_PATTERN, false, false, false},
    {"phi-2", GPT2_PATTERN, false, false, false},
    {"roberta-bpe", GPT2_PATTERN, false, false, true},
    {"refact", GPT2_PATTERN, true, false, false}, /* StarCoder's and Granite's */
    {"llama-bpe", LLAMA3_PATTERN("\\p{N}{1,3}"), false, true, true},
    {"llama3", LLAMA3_PATTERN("\\p{N}{1,3}"), false, true, true},
    {"llama-v3", LLAMA3_PATTERN("\\p{N}{1,3}"), false, true, true},
    {"qwen2", LLAMA3_PATTERN("\\p{N}"), false, false, false},
    {"tekken", TEKKEN_PATTERN, false, true, true},
};
#define N_PRES (sizeof gguf_pres / sizeof gguf_pres[0])

static bool composes(const struct gguf_pre *pre)
{
    return strcmp(pre->name, "qwen2") == 0;
}

static bool cuts_by(const struct pre_tokenizer_step *step, const char *pattern)
{
    char digest[SHA256_HEX_SIZE];
    sha256_text(text_of(pattern), digest);
    return step->regex && step->behaviour == SPLIT_ISOLATED && !step->invert &&
           strcmp(digest, step->pattern_sha256) == 0;
}

const char *tokenizer_gguf_pre(const struct tokenizer *tokenizer)
{
    const struct normalizer *normalizer = &tokenizer->normalizer;
    const struct pre_tokenizer_step *steps = tokenizer->pre_tokenizer.steps;
    const int n_steps = tokenizer->pre_tokenizer.n_steps;
    bool nfc = normalizer->n_steps == 1 && normalizer->steps[0].kind == NORMALIZE_FORM &&
               normalizer->steps[0].form == UTF8_NFC;
    if (!tokenizer->byte_level || (normalizer->n_steps > 0 && !nfc)) return NULL;
    for (size_t i = 0; i < N_PRES; i++) {
        const struct gguf_pre *pre = &gguf_pres[i];
        if (n_steps != 1 + pre->digits_first) continue;
        if (pre->digits_first && !cuts_by(&steps[0], DIGIT_PATTERN)) continue;
        if (cuts_by(&steps[n_steps - 1], pre->pattern) && composes(pre) == nfc &&
            pre->ignore_merges == tokenizer->ignore_merges)
            return pre->name;
    }
    return NULL;
}

/* Files from before the key was invented have none: GPT-2's and Phi-2's mean GPT-2's pattern. */
static status_code find_pre(const struct gguf *file, const struct gguf_pre **pre, struct status *st)
{
    struct text name = text_of(""), architecture;
    if (gguf_has(file, KEY("pre"))) {
        status_code code = gguf_get_text(file, KEY("pre"), &name, st);
        if (code != STATUS_OK) return code;
    } else if (gguf_has(file, "general.architecture")) {
        status_code code = gguf_get_text(file, "general.architecture", &architecture, st);
        if (code != STATUS_OK) return code;
        if (text_equal(architecture, text_of("gpt2")) || text_equal(architecture, text_of("phi2")))
            name = text_of("gpt-2");
    }
    for (size_t i = 0; i < N_PRES; i++) {
        *pre = &gguf_pres[i];
        if (text_equal(name, text_of(gguf_pres[i].name))) return STATUS_OK;
    }
    return status_set(st, STATUS_UNSUPPORTED,
                      "%s: %s is \"%.*s\", only gpt-2, phi-2, roberta-bpe, refact, llama-bpe, "
                      "llama3, llama-v3, qwen2 and tekken are supported",
                      gguf_path(file), KEY("pre"), TEXT_ARGS(piece_for_message(name)));
}

/* "left right": no piece of the alphabet holds a space. */
static status_code read_merges(struct tokenizer *tokenizer, const struct gguf_array *merges,
                               struct status *st)
{
    status_code code = merge_table_create(&tokenizer->merges, &tokenizer->arena, merges->count,
                                          tokenizer->vocab.seed, st);
    for (size_t i = 0; i < merges->count && code == STATUS_OK; i++) {
        struct text both = merges->texts[i];
        const char *space = both.length ? memchr(both.data, ' ', both.length) : NULL;
        if (!space) return status_set(st, STATUS_BAD_INPUT, "merge %zu has no space", i);
        struct text left = {both.data, (size_t)(space - both.data)};
        struct text right = {space + 1, both.length - left.length - 1};
        if (left.length > LIMIT_PIECE_BYTES || right.length > LIMIT_PIECE_BYTES)
            return status_set(st, STATUS_LIMIT, "merge %zu is longer than %d bytes", i,
                              2 * LIMIT_PIECE_BYTES);
        code = tokenizer_add_merge(tokenizer, left, right, i, st);
    }
    return code;
}

/* Added tokens are looked for in the text as it is given: all that are not normal. */
static status_code add_matches(struct tokenizer *tokenizer, struct status *st)
{
    const struct vocabulary *vocab = &tokenizer->vocab;
    size_t total = 0;
    for (int id = 0; id < vocab->n; id++)
        if (vocab->pieces[id].type != PIECE_NORMAL) total += vocab->pieces[id].stored.length;
    if (!total) return STATUS_OK;
    status_code code = matcher_create(&tokenizer->raw, &tokenizer->arena, total, st);
    for (int id = 0; id < vocab->n && code == STATUS_OK; id++) {
        const struct piece *piece = &vocab->pieces[id];
        if (piece->type == PIECE_NORMAL || piece->type == PIECE_UNUSED) continue;
        unsigned flags = piece->type == PIECE_USER_DEFINED ? 0 : MATCH_SPECIAL;
        if (piece->is_marker) flags |= MATCH_MARKER;
        matcher_add(&tokenizer->raw, piece->stored, id, flags);
    }
    return code;
}

static status_code read_byte_level(struct tokenizer *tokenizer, const struct gguf_pre *pre,
                                   const struct vocabulary_arrays *arrays, struct status *st)
{
    struct normalizer_step compose = {.kind = NORMALIZE_FORM, .form = UTF8_NFC};
    tokenizer->ignore_merges = pre->ignore_merges;
    status_code code = STATUS_OK;
    if (composes(pre)) code = normalizer_add(&tokenizer->normalizer, compose, st);
    if (code == STATUS_OK && pre->digits_first)
        code = pre_tokenizer_add_split(&tokenizer->pre_tokenizer, text_of(DIGIT_PATTERN),
                                       SPLIT_ISOLATED, false, st);
    if (code == STATUS_OK)
        code = pre_tokenizer_add_split(&tokenizer->pre_tokenizer, text_of(pre->pattern),
                                       SPLIT_ISOLATED, false, st);
    if (code == STATUS_OK) code = add_matches(tokenizer, st);
    if (code != STATUS_OK) return code;
    code = read_merges(tokenizer, &arrays->merges, st);
    return code == STATUS_OK ? code : status_prefix(st, "%s", KEY("merges"));
}

/* ---- WordPiece ---- */

/* Pieces that start a word are spelled with U+2581 in front, others as they are.  The file does not
 * say whether letters become small: vocabularies of this kind are uncased. */
static status_code read_wordpiece(struct tokenizer *tokenizer, struct status *st)
{
    struct bert_rules rules = {
        .clean = true, .chinese = true, .strip_accents = true, .lower = true};
    tokenizer->wordpiece.initial_prefix = text_of(SPACE_SYMBOL);
    tokenizer->wordpiece.max_characters = 100;
    tokenizer->strip_first_space = true;
    status_code code = tokenizer_use_bert_normalizer(tokenizer, rules, st);
    if (code == STATUS_OK) code = tokenizer_use_bert_pre_tokenizer(tokenizer, st);
    return code == STATUS_OK ? add_matches(tokenizer, st) : code;
}

/* ---- policy ---- */

/* Some writers say "none" with 2^32 - 1. */
static status_code get_id(const struct gguf *file, const char *key, int n_vocab, int32_t *id,
                          struct status *st)
{
    int64_t value;
    if (!gguf_has(file, key)) return STATUS_OK;
    status_code code = gguf_get_int(file, key, -1, UINT32_MAX, &value, st);
    if (code != STATUS_OK) return code;
    if (value >= n_vocab && value != UINT32_MAX)
        return status_set(st, STATUS_BAD_INPUT, "%s: %s is %lld, expected an id below %d",
                          gguf_path(file), key, (long long)value, n_vocab);
    *id = value == UINT32_MAX ? -1 : (int32_t)value;
    return STATUS_OK;
}

static int32_t control_at(const struct vocabulary *vocab, int32_t id)
{
    return id < vocab->n && vocab->pieces[id].type == PIECE_CONTROL ? id : -1;
}

/* What is meant where there is no key: a SentencePiece vocabulary begins <unk>, <s>, </s>. */
static void set_defaults(struct tokenizer *tokenizer, const struct gguf_pre *pre)
{
    struct tokenizer_info *info = &tokenizer->info;
    switch (tokenizer->kind) {
    case TOKENIZER_SPM:
        info->bos = control_at(&tokenizer->vocab, 1);
        info->eos = control_at(&tokenizer->vocab, 2);
        info->add_bos = true;
        break;
    case TOKENIZER_BPE:
        info->add_bos = pre->add_bos;
        break;
    case TOKENIZER_WORDPIECE:
        info->add_bos = info->add_eos = true;
        break;
    case TOKENIZER_UNIGRAM:
        info->add_eos = true;
        break;
    }
}

static status_code read_policy(struct tokenizer *tokenizer, const struct gguf *file,
                               struct status *st)
{
    struct tokenizer_info *info = &tokenizer->info;
    int32_t turn_end = -1;
    const struct {
        const char *key;
        int32_t *id;
    } ids[] = {
        {KEY("bos_token_id"), &info->bos},     {KEY("cls_token_id"), &info->bos},
        {KEY("eos_token_id"), &info->eos},     {KEY("seperator_token_id"), &info->eos},
        {KEY("eot_token_id"), &turn_end},      {KEY("unknown_token_id"), &info->unknown},
        {KEY("padding_token_id"), &info->pad},
    };
    bool wordpiece = tokenizer->kind == TOKENIZER_WORDPIECE;
    status_code code = STATUS_OK;
    for (size_t i = 0; i < sizeof ids / sizeof ids[0] && code == STATUS_OK; i++) {
        bool encoder_only = i == 1 || i == 3; /* what BOS and EOS are called there */
        if (!encoder_only || wordpiece)
            code = get_id(file, ids[i].key, tokenizer->vocab.n, ids[i].id, st);
    }
    if (code == STATUS_OK) code = get_flag(file, KEY("add_bos_token"), &info->add_bos, st);
    if (code == STATUS_OK) code = get_flag(file, KEY("add_eos_token"), &info->add_eos, st);
    if (code == STATUS_OK && turn_end >= 0) tokenizer->vocab.pieces[turn_end].is_end = true;
    return code;
}

static status_code read_template(struct tokenizer *tokenizer, const struct gguf *file,
                                 struct status *st)
{
    struct text found;
    if (!gguf_has(file, "tokenizer.chat_template")) return STATUS_OK;
    status_code code = gguf_get_text(file, "tokenizer.chat_template", &found, st);
    if (code != STATUS_OK) return code;
    char *copy = arena_strndup(&tokenizer->arena, found.data, found.length);
    if (!copy) return status_no_memory(st, "a chat template");
    tokenizer->info.chat_template = (struct text){copy, found.length};
    return STATUS_OK;
}

/* ---- the whole ---- */

static status_code read_rules(struct tokenizer *tokenizer, const struct gguf *file,
                              const struct gguf_pre *pre, const struct vocabulary_arrays *arrays,
                              struct status *st)
{
    switch (tokenizer->kind) {
    case TOKENIZER_BPE:
        return read_byte_level(tokenizer, pre, arrays, st);
    case TOKENIZER_WORDPIECE:
        return read_wordpiece(tokenizer, st);
    default:
        return read_sentencepiece(tokenizer, file, arrays, st);
    }
}

static status_code fill(struct tokenizer *tokenizer, const struct gguf *file,
                        const struct gguf_pre *pre, const struct vocabulary_arrays *arrays,
                        struct status *st)
{
    tokenizer->byte_level = tokenizer->kind == TOKENIZER_BPE;
    status_code code = read_pieces(tokenizer, arrays, st);
    if (code == STATUS_OK) code = read_rules(tokenizer, file, pre, arrays, st);
    if (code != STATUS_OK) return status_prefix(st, "%s", gguf_path(file));
    set_defaults(tokenizer, pre);
    code = read_policy(tokenizer, file, st);
    if (code == STATUS_OK) code = read_template(tokenizer, file, st);
    if (code != STATUS_OK) return code;
    code = tokenizer_finish(tokenizer, st);
    return code == STATUS_OK ? code : status_prefix(st, "%s", gguf_path(file));
}

status_code tokenizer_load_gguf(struct tokenizer **out, const struct gguf *file, struct status *st)
{
    struct vocabulary_arrays arrays;
    const struct gguf_kind *kind;
    const struct gguf_pre *pre = NULL;
    char digest[SHA256_HEX_SIZE];
    struct tokenizer *tokenizer = NULL;
    status_code code = find_kind(file, &kind, st);
    if (code == STATUS_OK && kind->has_merges) code = find_pre(file, &pre, st);
    if (code == STATUS_OK) code = get_arrays(file, kind, &arrays, st);
    if (code == STATUS_OK) code = digest_arrays(&arrays, digest, st);
    if (code == STATUS_OK) code = tokenizer_create(&tokenizer, kind->kind, digest, st);
    if (code == STATUS_OK) code = fill(tokenizer, file, pre, &arrays, st);
    if (code == STATUS_OK)
        *out = tokenizer;
    else
        tokenizer_free(tokenizer);
    return code;
}
