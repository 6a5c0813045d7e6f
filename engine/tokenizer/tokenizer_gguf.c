/* The vocabulary inside a GGUF file: keys "tokenizer.ggml.*" (ggml/docs/gguf.md). */
#include <limits.h>
#include <math.h>
#include <string.h>

#include "engine/base/limits.h"
#include "engine/gguf/gguf.h"
#include "engine/tokenizer/tokenizer_core.h"

#define KEY(name) "tokenizer.ggml." name

struct vocabulary_arrays {
    struct gguf_array tokens, scores, types;
};

static status_code check_model(const struct gguf *file, struct status *st)
{
    struct text model;
    status_code code = gguf_get_text(file, KEY("model"), &model, st);
    if (code != STATUS_OK || text_equal(model, text_of("llama"))) return code;
    return status_set(st, STATUS_UNSUPPORTED,
                      "%s: %s is \"%.*s\", only \"llama\" (SentencePiece BPE) is supported",
                      gguf_path(file), KEY("model"), TEXT_ARGS(piece_for_message(model)));
}

static status_code get_arrays(const struct gguf *file, struct vocabulary_arrays *arrays,
                              struct status *st)
{
    status_code code = gguf_get_array(file, KEY("tokens"), GGUF_STRING, &arrays->tokens, st);
    if (code == STATUS_OK)
        code = gguf_get_array(file, KEY("scores"), GGUF_F32, &arrays->scores, st);
    if (code == STATUS_OK)
        code = gguf_get_array(file, KEY("token_type"), GGUF_I32, &arrays->types, st);
    if (code != STATUS_OK) return code;
    size_t n = arrays->tokens.count;
    if (arrays->scores.count == n && arrays->types.count == n) return STATUS_OK;
    return status_set(st, STATUS_BAD_INPUT, "%s: %zu tokens have %zu scores and %zu token types",
                      gguf_path(file), n, arrays->scores.count, arrays->types.count);
}

/* Over each token's length as 8 bytes, little-endian, and its bytes; then the two other arrays. */
static status_code digest_arrays(const struct vocabulary_arrays *arrays,
                                 char digest[SHA256_HEX_SIZE], struct status *st)
{
    struct sha256 *hash;
    status_code code = sha256_create(&hash, st);
    if (code != STATUS_OK) return code;
    for (size_t i = 0; i < arrays->tokens.count; i++) {
        struct text token = arrays->tokens.texts[i];
        unsigned char length[8];
        for (int byte = 0; byte < 8; byte++)
            length[byte] = (unsigned char)((uint64_t)token.length >> (8 * byte));
        sha256_add(hash, length, sizeof length);
        sha256_add(hash, token.data, token.length);
    }
    sha256_add(hash, arrays->scores.data, arrays->scores.count * sizeof(float));
    sha256_add(hash, arrays->types.data, arrays->types.count * sizeof(int32_t));
    sha256_finish(hash, digest);
    sha256_free(hash);
    return STATUS_OK;
}

/* ---- pieces ---- */

/* User-defined pieces are stored with plain spaces where the text has already been normalized; in
 * the vocabulary they are spelled like all others. */
static size_t copy_piece(char *out, struct text token, enum piece_type type)
{
    size_t n = 0;
    for (size_t i = 0; i < token.length; i++) {
        bool space = type == PIECE_USER_DEFINED && token.data[i] == ' ';
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
    float score = gguf_array_f32(&arrays->scores, i);
    if (type < PIECE_NORMAL || type > PIECE_BYTE)
        return status_set(st, STATUS_BAD_INPUT, "%s: element %d is %d, expected %d to %d",
                          KEY("token_type"), id, type, PIECE_NORMAL, PIECE_BYTE);
    if (isnan(score))
        return status_set(st, STATUS_BAD_INPUT, "%s: element %d is not a number", KEY("scores"),
                          id);
    size_t n = copy_piece(*next, arrays->tokens.texts[i], (enum piece_type)type);
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
    code = vocabulary_finish(&tokenizer->vocab, st);
    return code == STATUS_OK ? code : status_prefix(st, "%s", KEY("tokens"));
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

static status_code get_flag(const struct gguf *file, const char *key, bool *flag, struct status *st)
{
    return gguf_has(file, key) ? gguf_get_bool(file, key, flag, st) : STATUS_OK;
}

static int32_t control_at(const struct vocabulary *vocab, int32_t id)
{
    return id < vocab->n && vocab->pieces[id].type == PIECE_CONTROL ? id : -1;
}

/* Without keys, a vocabulary of this kind begins <unk>, <s>, </s>. */
static status_code read_policy(struct tokenizer *tokenizer, const struct gguf *file,
                               struct status *st)
{
    struct tokenizer_info *info = &tokenizer->info;
    struct vocabulary *vocab = &tokenizer->vocab;
    int32_t turn_end = -1;
    bool add_space_prefix = true, remove_extra_whitespaces = false;
    info->bos = control_at(vocab, 1);
    info->eos = control_at(vocab, 2);
    info->add_bos = true;
    status_code code = get_id(file, KEY("bos_token_id"), vocab->n, &info->bos, st);
    if (code == STATUS_OK) code = get_id(file, KEY("eos_token_id"), vocab->n, &info->eos, st);
    if (code == STATUS_OK) code = get_id(file, KEY("eot_token_id"), vocab->n, &turn_end, st);
    if (code == STATUS_OK)
        code = get_id(file, KEY("unknown_token_id"), vocab->n, &info->unknown, st);
    if (code == STATUS_OK) code = get_id(file, KEY("padding_token_id"), vocab->n, &info->pad, st);
    if (code == STATUS_OK) code = get_flag(file, KEY("add_bos_token"), &info->add_bos, st);
    if (code == STATUS_OK) code = get_flag(file, KEY("add_space_prefix"), &add_space_prefix, st);
    if (code == STATUS_OK)
        code = get_flag(file, KEY("remove_extra_whitespaces"), &remove_extra_whitespaces, st);
    if (code != STATUS_OK) return code;
    if (turn_end >= 0) vocab->pieces[turn_end].is_end = true;
    return tokenizer_use_sentencepiece_rules(tokenizer, add_space_prefix, remove_extra_whitespaces,
                                             st);
}

status_code tokenizer_load_gguf(struct tokenizer **out, const struct gguf *file, struct status *st)
{
    struct vocabulary_arrays arrays;
    char digest[SHA256_HEX_SIZE];
    struct tokenizer *tokenizer = NULL;
    status_code code = check_model(file, st);
    if (code == STATUS_OK) code = get_arrays(file, &arrays, st);
    if (code == STATUS_OK) code = digest_arrays(&arrays, digest, st);
    if (code == STATUS_OK) code = tokenizer_create(&tokenizer, TOKENIZER_SPM, digest, st);
    if (code != STATUS_OK) return code;
    code = read_pieces(tokenizer, &arrays, st);
    if (code != STATUS_OK) status_prefix(st, "%s", gguf_path(file));
    if (code == STATUS_OK) code = read_policy(tokenizer, file, st);
    if (code == STATUS_OK) {
        code = tokenizer_finish(tokenizer, st);
        if (code != STATUS_OK) status_prefix(st, "%s", gguf_path(file));
    }
    if (code == STATUS_OK)
        *out = tokenizer;
    else
        tokenizer_free(tokenizer);
    return code;
}
