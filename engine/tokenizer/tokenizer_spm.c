/* SentencePiece's tokenizer.model: a ModelProto (sentencepiece_model.proto). */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/limits.h"
#include "engine/tokenizer/added_tokens.h"
#include "engine/tokenizer/protobuf.h"
#include "engine/tokenizer/tokenizer_core.h"

enum {
    MODEL_PIECES = 1,
    MODEL_TRAINER_SPEC = 2,
    MODEL_NORMALIZER_SPEC = 3,
    MODEL_DENORMALIZER = 5
};

enum model_type { MODEL_UNIGRAM = 1, MODEL_BPE = 2 };

/* The parts of a ModelProto that encoding needs, with the defaults of its definition. */
struct model_proto {
    size_t n_pieces;
    int64_t model_type;
    bool byte_fallback, whitespace_as_suffix;
    struct text bos_piece, eos_piece, pad_piece;
    bool add_dummy_prefix, remove_extra_whitespaces, escape_whitespaces;
    struct text charsmap, denormalizer_charsmap;
};

static status_code read_trainer_spec(struct model_proto *model, struct text message,
                                     struct status *st)
{
    struct protobuf_reader reader = protobuf_start(message);
    struct protobuf_field f;
    status_code code;
    while ((code = protobuf_next(&reader, &f, st)) == STATUS_OK && f.number) {
        switch (f.number) {
        case 3:
            code = protobuf_get_int(&f, "model_type", &model->model_type, st);
            break;
        case 24:
            code = protobuf_get_bool(&f, "treat_whitespace_as_suffix", &model->whitespace_as_suffix,
                                     st);
            break;
        case 35:
            code = protobuf_get_bool(&f, "byte_fallback", &model->byte_fallback, st);
            break;
        case 46:
            code = protobuf_get_bytes(&f, "bos_piece", &model->bos_piece, st);
            break;
        case 47:
            code = protobuf_get_bytes(&f, "eos_piece", &model->eos_piece, st);
            break;
        case 48:
            code = protobuf_get_bytes(&f, "pad_piece", &model->pad_piece, st);
            break;
        default:
            break;
        }
        if (code != STATUS_OK) break;
    }
    return code == STATUS_OK ? code : status_prefix(st, "trainer_spec");
}

static status_code read_normalizer_spec(struct model_proto *model, struct text message,
                                        struct status *st)
{
    struct protobuf_reader reader = protobuf_start(message);
    struct protobuf_field f;
    status_code code;
    while ((code = protobuf_next(&reader, &f, st)) == STATUS_OK && f.number) {
        switch (f.number) {
        case 2:
            code = protobuf_get_bytes(&f, "precompiled_charsmap", &model->charsmap, st);
            break;
        case 3:
            code = protobuf_get_bool(&f, "add_dummy_prefix", &model->add_dummy_prefix, st);
            break;
        case 4:
            code = protobuf_get_bool(&f, "remove_extra_whitespaces",
                                     &model->remove_extra_whitespaces, st);
            break;
        case 5:
            code = protobuf_get_bool(&f, "escape_whitespaces", &model->escape_whitespaces, st);
            break;
        default:
            break;
        }
        if (code != STATUS_OK) break;
    }
    return code == STATUS_OK ? code : status_prefix(st, "normalizer_spec");
}

static status_code read_denormalizer_spec(struct model_proto *model, struct text message,
                                          struct status *st)
{
    struct model_proto unused = {0};
    status_code code = read_normalizer_spec(&unused, message, st);
    if (code == STATUS_OK) model->denormalizer_charsmap = unused.charsmap;
    return code;
}

/* Everything but the pieces, which are counted. */
static status_code read_model(struct model_proto *model, struct text bytes, struct status *st)
{
    *model = (struct model_proto){
        .model_type = MODEL_UNIGRAM,
        .bos_piece = text_of("<s>"),
        .eos_piece = text_of("</s>"),
        .pad_piece = text_of("<pad>"),
        .add_dummy_prefix = true,
        .remove_extra_whitespaces = true,
        .escape_whitespaces = true,
    };
    struct protobuf_reader reader = protobuf_start(bytes);
    struct protobuf_field f;
    struct text message;
    status_code code;
    while ((code = protobuf_next(&reader, &f, st)) == STATUS_OK && f.number) {
        if (f.number != MODEL_PIECES && f.number != MODEL_TRAINER_SPEC &&
            f.number != MODEL_NORMALIZER_SPEC && f.number != MODEL_DENORMALIZER)
            continue;
        code = protobuf_get_bytes(&f, "a field of the model", &message, st);
        if (code != STATUS_OK) break;
        switch (f.number) {
        case MODEL_PIECES:
            model->n_pieces++;
            break;
        case MODEL_TRAINER_SPEC:
            code = read_trainer_spec(model, message, st);
            break;
        case MODEL_NORMALIZER_SPEC:
            code = read_normalizer_spec(model, message, st);
            break;
        default:
            code = read_denormalizer_spec(model, message, st);
            break;
        }
        if (code != STATUS_OK) break;
    }
    return code;
}

static status_code check_supported(const struct model_proto *model, struct status *st)
{
    if (model->model_type != MODEL_BPE && model->model_type != MODEL_UNIGRAM)
        return status_set(st, STATUS_UNSUPPORTED,
                          "trainer_spec.model_type is %lld, only 1 (unigram) and 2 (bpe) are "
                          "supported",
                          (long long)model->model_type);
    if (model->denormalizer_charsmap.length)
        return status_set(st, STATUS_UNSUPPORTED,
                          "denormalizer_spec.precompiled_charsmap is not supported");
    if (!model->escape_whitespaces)
        return status_set(st, STATUS_UNSUPPORTED,
                          "normalizer_spec.escape_whitespaces false is not supported");
    if (model->whitespace_as_suffix)
        return status_set(st, STATUS_UNSUPPORTED,
                          "trainer_spec.treat_whitespace_as_suffix true is not supported");
    return STATUS_OK;
}

/* ---- pieces ---- */

static status_code read_piece(struct text message, struct text *stored, float *score, int64_t *type,
                              struct status *st)
{
    struct protobuf_reader reader = protobuf_start(message);
    struct protobuf_field f;
    status_code code;
    *stored = (struct text){"", 0};
    *score = 0;
    *type = PIECE_NORMAL;
    while ((code = protobuf_next(&reader, &f, st)) == STATUS_OK && f.number) {
        switch (f.number) {
        case 1:
            code = protobuf_get_bytes(&f, "piece", stored, st);
            break;
        case 2:
            code = protobuf_get_float(&f, "score", score, st);
            break;
        case 3:
            code = protobuf_get_int(&f, "type", type, st);
            break;
        default:
            break;
        }
        if (code != STATUS_OK) return code;
    }
    if (code != STATUS_OK) return code;
    if (!stored->length) return status_set(st, STATUS_BAD_INPUT, "field \"piece\" is empty");
    if (isnan(*score)) return status_set(st, STATUS_BAD_INPUT, "field \"score\" is not a number");
    if (*type < PIECE_NORMAL || *type > PIECE_BYTE)
        return status_set(st, STATUS_BAD_INPUT, "field \"type\" is %lld, expected %d to %d",
                          (long long)*type, PIECE_NORMAL, PIECE_BYTE);
    return STATUS_OK;
}

static status_code set_piece(struct tokenizer *tokenizer, int32_t id, struct text message,
                             double *scores, struct status *st)
{
    struct text stored;
    float score;
    int64_t type;
    status_code code = read_piece(message, &stored, &score, &type, st);
    if (code != STATUS_OK) return status_prefix(st, "piece %d", id);
    code = vocabulary_set(&tokenizer->vocab, id, stored, (enum piece_type)type, st);
    if (code != STATUS_OK) return code;
    tokenizer->vocab.pieces[id].order = piece_order(score);
    scores[id] = (double)score;
    if (type != PIECE_UNKNOWN) return STATUS_OK;
    if (tokenizer->info.unknown >= 0)
        return status_set(st, STATUS_BAD_INPUT, "pieces %d and %d both have type unknown",
                          tokenizer->info.unknown, id);
    tokenizer->info.unknown = id;
    return STATUS_OK;
}

/* Pieces stay in the arena's copy of the file. */
static status_code set_pieces(struct tokenizer *tokenizer, struct text bytes, double *scores,
                              struct status *st)
{
    status_code code;
    char *copy = arena_strndup(&tokenizer->arena, bytes.data, bytes.length);
    if (!copy) return status_no_memory(st, "the vocabulary");
    struct protobuf_reader reader = protobuf_start((struct text){copy, bytes.length});
    struct protobuf_field f;
    int32_t id = 0;
    while ((code = protobuf_next(&reader, &f, st)) == STATUS_OK && f.number) {
        if (f.number == MODEL_PIECES) code = set_piece(tokenizer, id++, f.bytes, scores, st);
        if (code != STATUS_OK) return code;
    }
    if (code == STATUS_OK && tokenizer->info.unknown < 0)
        code = status_set(st, STATUS_BAD_INPUT, "no piece has type unknown");
    return code;
}

/* Which of the added tokens are pieces of the model. */
static status_code meet_pieces(struct text bytes, struct added_tokens *added, struct status *st)
{
    struct protobuf_reader reader = protobuf_start(bytes);
    struct protobuf_field f;
    struct text stored;
    float score;
    int64_t type;
    int32_t id = 0;
    status_code code;
    while ((code = protobuf_next(&reader, &f, st)) == STATUS_OK && f.number) {
        if (f.number != MODEL_PIECES) continue;
        code = read_piece(f.bytes, &stored, &score, &type, st);
        if (code != STATUS_OK) return status_prefix(st, "piece %d", id);
        if ((code = added_tokens_meet(added, id++, stored, st)) != STATUS_OK) return code;
    }
    return code;
}

/* An added token that is no piece yet is a word of its own; a piece that is called special becomes
 * a control piece. */
static status_code set_added(struct tokenizer *tokenizer, const struct added_tokens *added,
                             struct status *st)
{
    struct vocabulary *vocab = &tokenizer->vocab;
    for (size_t i = 0; i < added->n; i++) {
        const struct added_token *token = &added->items[i];
        struct piece *piece = &vocab->pieces[token->id];
        if (!piece->stored.data || !text_equal(piece->stored, token->content)) {
            char *copy =
                arena_strndup(&tokenizer->arena, token->content.data, token->content.length);
            if (!copy) return status_no_memory(st, "the vocabulary");
            struct text stored = {copy, token->content.length};
            status_code code = vocabulary_set(vocab, token->id, stored, PIECE_USER_DEFINED, st);
            if (code != STATUS_OK) return status_prefix(st, "%s", token->source);
            piece->order = piece_order(0);
            piece->is_word = true;
        }
        if (token->special && piece->type != PIECE_UNKNOWN && piece->type != PIECE_BYTE)
            piece->type = PIECE_CONTROL;
    }
    return STATUS_OK;
}

/* The digest names the vocabulary: where tokens were added, theirs is part of it. */
static status_code add_to_digest(struct tokenizer *tokenizer, const struct added_tokens *added,
                                 size_t n_pieces, struct status *st)
{
    struct strbuf text;
    strbuf_init(&text, LIMIT_TOKENIZER_BYTES);
    strbuf_append_str(&text, tokenizer->info.sha256);
    for (size_t i = 0; i < added->n; i++) {
        const struct added_token *token = &added->items[i];
        if (token->id < (int64_t)n_pieces) continue;
        strbuf_appendf(&text, "\n%lld %u ", (long long)token->id, token->flags);
        strbuf_append(&text, token->content.data, token->content.length);
    }
    status_code code = strbuf_check(&text, "added tokens", st);
    if (code == STATUS_OK)
        sha256_text((struct text){text.data, text.length}, tokenizer->info.sha256);
    strbuf_release(&text);
    return code;
}

static status_code read_pieces(struct tokenizer *tokenizer, const struct model_proto *model,
                               struct text bytes, struct added_tokens *added, struct status *st)
{
    size_t n = model->n_pieces, n_vocab;
    status_code code = meet_pieces(bytes, added, st);
    if (code == STATUS_OK) code = added_tokens_place(added, n, &n_vocab, st);
    if (code == STATUS_OK && n_vocab > n) code = add_to_digest(tokenizer, added, n, st);
    if (code != STATUS_OK) return code;
    code = vocabulary_create(&tokenizer->vocab, &tokenizer->arena, n_vocab, tokenizer->info.sha256,
                             st);
    if (code != STATUS_OK) return code;
    double *scores = calloc(n ? n : 1, sizeof *scores);
    if (!scores) return status_no_memory(st, "the vocabulary");
    code = set_pieces(tokenizer, bytes, scores, st);
    if (code == STATUS_OK) code = set_added(tokenizer, added, st);
    if (code == STATUS_OK) code = vocabulary_finish(&tokenizer->vocab, st);
    if (code == STATUS_OK && tokenizer->kind == TOKENIZER_UNIGRAM)
        code = tokenizer_use_scores(tokenizer, scores, (int)n, true, st);
    free(scores);
    return code;
}

static status_code check_bytes(const struct tokenizer *tokenizer, const struct model_proto *model,
                               struct status *st)
{
    for (int byte = 0; byte < 256; byte++) {
        bool there = tokenizer->vocab.byte_ids[byte] >= 0;
        if (there == model->byte_fallback) continue;
        return status_set(st, STATUS_BAD_INPUT,
                          there ? "piece <0x%02X> is there although trainer_spec.byte_fallback is "
                                  "false"
                                : "piece <0x%02X> is missing although trainer_spec.byte_fallback "
                                  "is true",
                          (unsigned)byte);
    }
    return STATUS_OK;
}

/* ---- the whole ---- */

/* What lies beside the file. */
struct spm_folder {
    const char *directory;
    struct tokenizer_config config;
    struct added_tokens added;
};

/* The piece that the folder gives for a role, or the model's own. */
static int32_t find_role(const struct tokenizer *tokenizer, const struct spm_folder *folder,
                         const char *field, struct text own)
{
    struct text named = added_tokens_named(&folder->added, &folder->config, field);
    int32_t id = named.length ? vocabulary_find(&tokenizer->vocab, named) : -1;
    return id >= 0 ? id : vocabulary_find_control(&tokenizer->vocab, own);
}

static status_code read_policy(struct tokenizer *tokenizer, const struct model_proto *model,
                               const struct spm_folder *folder, struct status *st)
{
    struct tokenizer_info *info = &tokenizer->info;
    info->bos = find_role(tokenizer, folder, "bos_token", model->bos_piece);
    info->eos = find_role(tokenizer, folder, "eos_token", model->eos_piece);
    info->pad = find_role(tokenizer, folder, "pad_token", model->pad_piece);
    info->add_bos = folder->config.has_add_bos ? folder->config.add_bos : true;
    return tokenizer_config_template(&folder->config, folder->directory, tokenizer, st);
}

/* transformers' LlamaTokenizer puts a space in front of every stretch between special tokens, or
 * with "legacy" false in front of the first alone. */
static status_code use_rules(struct tokenizer *tokenizer, const struct model_proto *model,
                             const struct spm_folder *folder, struct status *st)
{
    bool legacy = true;
    status_code code = tokenizer_config_flag(&folder->config, "legacy", &legacy, st);
    if (code != STATUS_OK) return code;
    const struct sentencepiece_rules rules = {
        .add_dummy_prefix = model->add_dummy_prefix,
        .remove_extra_whitespaces = model->remove_extra_whitespaces,
        .prefix_start_only = !legacy,
        .added = folder->added.items,
        .n_added = folder->added.n,
    };
    return tokenizer_use_sentencepiece_rules(tokenizer, &rules, st);
}

static status_code fill(struct tokenizer *tokenizer, const struct model_proto *model,
                        struct text bytes, struct spm_folder *folder, struct status *st)
{
    status_code code = read_pieces(tokenizer, model, bytes, &folder->added, st);
    if (code == STATUS_OK) code = check_bytes(tokenizer, model, st);
    if (code == STATUS_OK) code = read_policy(tokenizer, model, folder, st);
    if (code == STATUS_OK) code = tokenizer_config_ends(folder->directory, &tokenizer->vocab, st);
    tokenizer->byte_fallback = model->byte_fallback;
    if (code == STATUS_OK && model->charsmap.length) {
        code = tokenizer_add_charsmap(tokenizer, model->charsmap, NORMALIZE_CHARSMAP, st);
        if (code != STATUS_OK) status_prefix(st, "normalizer_spec.precompiled_charsmap");
    }
    if (code == STATUS_OK) code = use_rules(tokenizer, model, folder, st);
    return code == STATUS_OK ? tokenizer_finish(tokenizer, st) : code;
}

static status_code open_folder(struct spm_folder *folder, const char *directory, struct status *st)
{
    *folder = (struct spm_folder){.directory = directory};
    status_code code = tokenizer_config_open(&folder->config, directory, st);
    if (code != STATUS_OK) return code;
    code = added_tokens_collect(&folder->added, &folder->config, directory, st);
    if (code != STATUS_OK) tokenizer_config_close(&folder->config);
    return code;
}

static void close_folder(struct spm_folder *folder)
{
    added_tokens_release(&folder->added);
    tokenizer_config_close(&folder->config);
}

status_code tokenizer_read_spm(struct tokenizer **out, struct text bytes, const char *directory,
                               struct status *st)
{
    struct model_proto model;
    status_code code = read_model(&model, bytes, st);
    if (code == STATUS_OK) code = check_supported(&model, st);
    if (code != STATUS_OK) return code;
    char digest[SHA256_HEX_SIZE];
    sha256_text(bytes, digest);
    struct spm_folder folder;
    if ((code = open_folder(&folder, directory, st)) != STATUS_OK) return code;
    struct tokenizer *tokenizer = NULL;
    enum tokenizer_kind kind = model.model_type == MODEL_BPE ? TOKENIZER_SPM : TOKENIZER_UNIGRAM;
    code = tokenizer_create(&tokenizer, kind, digest, st);
    if (code == STATUS_OK) code = fill(tokenizer, &model, bytes, &folder, st);
    if (code == STATUS_OK)
        *out = tokenizer;
    else
        tokenizer_free(tokenizer);
    close_folder(&folder);
    return code;
}
