/* SentencePiece's tokenizer.model: a ModelProto (sentencepiece_model.proto). */
#include <math.h>
#include <stdlib.h>
#include <string.h>

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
    return code == STATUS_OK ? vocabulary_finish(&tokenizer->vocab, st) : code;
}

static status_code read_pieces(struct tokenizer *tokenizer, const struct model_proto *model,
                               struct text bytes, struct status *st)
{
    size_t n = model->n_pieces;
    status_code code =
        vocabulary_create(&tokenizer->vocab, &tokenizer->arena, n, tokenizer->info.sha256, st);
    if (code != STATUS_OK) return code;
    double *scores = calloc(n, sizeof *scores);
    if (!scores) return status_no_memory(st, "the vocabulary");
    code = set_pieces(tokenizer, bytes, scores, st);
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

static status_code read_policy(struct tokenizer *tokenizer, const struct model_proto *model,
                               const char *directory, struct status *st)
{
    struct tokenizer_info *info = &tokenizer->info;
    info->bos = vocabulary_find_control(&tokenizer->vocab, model->bos_piece);
    info->eos = vocabulary_find_control(&tokenizer->vocab, model->eos_piece);
    info->pad = vocabulary_find_control(&tokenizer->vocab, model->pad_piece);
    struct tokenizer_config config;
    status_code code = tokenizer_config_open(&config, directory, st);
    if (code != STATUS_OK) return code;
    info->add_bos = config.has_add_bos ? config.add_bos : true;
    code = tokenizer_config_template(&config, directory, tokenizer, st);
    tokenizer_config_close(&config);
    return code;
}

static status_code fill(struct tokenizer *tokenizer, const struct model_proto *model,
                        struct text bytes, const char *directory, struct status *st)
{
    status_code code = read_pieces(tokenizer, model, bytes, st);
    if (code == STATUS_OK) code = check_bytes(tokenizer, model, st);
    if (code == STATUS_OK) code = read_policy(tokenizer, model, directory, st);
    if (code == STATUS_OK) code = tokenizer_config_ends(directory, &tokenizer->vocab, st);
    tokenizer->byte_fallback = model->byte_fallback;
    if (code == STATUS_OK && model->charsmap.length) {
        code = tokenizer_add_charsmap(tokenizer, model->charsmap, NORMALIZE_CHARSMAP, st);
        if (code != STATUS_OK) status_prefix(st, "normalizer_spec.precompiled_charsmap");
    }
    if (code == STATUS_OK)
        code = tokenizer_use_sentencepiece_rules(tokenizer, model->add_dummy_prefix,
                                                 model->remove_extra_whitespaces, st);
    return code == STATUS_OK ? tokenizer_finish(tokenizer, st) : code;
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
    struct tokenizer *tokenizer;
    enum tokenizer_kind kind = model.model_type == MODEL_BPE ? TOKENIZER_SPM : TOKENIZER_UNIGRAM;
    code = tokenizer_create(&tokenizer, kind, digest, st);
    if (code != STATUS_OK) return code;
    code = fill(tokenizer, &model, bytes, directory, st);
    if (code == STATUS_OK)
        *out = tokenizer;
    else
        tokenizer_free(tokenizer);
    return code;
}
