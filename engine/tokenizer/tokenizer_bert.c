/* BERT's rules for text, and its vocab.txt: one piece a line, ids from 0. */
#include <string.h>

#include "engine/tokenizer/tokenizer_core.h"

/* ASCII's and Unicode's punctuation: bert.rs of the tokenizers library.  Unicode's is that of
 * version 8.0 (see normalizer.c): without what came later in these ranges, and with two that were.
 */
#define NEWER                                                                                      \
    "\\x{61d}\\x{9fd}-\\x{a76}\\x{c77}-\\x{c84}\\x{1b7d}\\x{1b7e}\\x{2e43}-\\x{2e5d}"              \
    "\\x{10ead}-\\x{10f89}\\x{1144b}-\\x{1145d}\\x{11660}-\\x{116b9}\\x{1183b}-\\x{11fff}"         \
    "\\x{12ff1}\\x{12ff2}\\x{16e97}-\\x{16fe2}\\x{1e95e}\\x{1e95f}"
#define PUNCTUATION "[!-/:-@\\[-`{-~\\p{P}\\x{166d}\\x{111c9}](?<![" NEWER "])"

status_code tokenizer_use_bert_normalizer(struct tokenizer *tokenizer, struct bert_rules rules,
                                          struct status *st)
{
    const struct {
        bool wanted;
        struct normalizer_step step;
    } steps[] = {
        {rules.clean, {.kind = NORMALIZE_CLEAN}},
        {rules.chinese, {.kind = NORMALIZE_APART}},
        {rules.strip_accents, {.kind = NORMALIZE_FORM, .form = UTF8_NFD}},
        {rules.strip_accents, {.kind = NORMALIZE_STRIP_ACCENTS}},
        {rules.lower, {.kind = NORMALIZE_LOWER}},
    };
    status_code code = STATUS_OK;
    for (size_t i = 0; i < sizeof steps / sizeof steps[0] && code == STATUS_OK; i++)
        if (steps[i].wanted) code = normalizer_add(&tokenizer->normalizer, steps[i].step, st);
    return code;
}

status_code tokenizer_use_bert_pre_tokenizer(struct tokenizer *tokenizer, struct status *st)
{
    struct pre_tokenizer *pre = &tokenizer->pre_tokenizer;
    status_code code = pre_tokenizer_add_split(pre, text_of("\\s"), SPLIT_REMOVED, false, st);
    if (code != STATUS_OK) return code;
    return pre_tokenizer_add_split(pre, text_of(PUNCTUATION), SPLIT_ISOLATED, false, st);
}

/* ---- vocab.txt ---- */

static const char *const specials[] = {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"};
enum { PAD, UNKNOWN, CLS, SEP };

static bool next_line(struct text *rest, struct text *line)
{
    if (!rest->length) return false;
    const char *end = memchr(rest->data, '\n', rest->length);
    size_t length = end ? (size_t)(end - rest->data) : rest->length;
    *line = (struct text){rest->data, length};
    rest->data += length + (end != NULL);
    rest->length -= length + (end != NULL);
    if (line->length && line->data[line->length - 1] == '\r') line->length--;
    return true;
}

static enum piece_type type_of(struct text piece)
{
    for (size_t i = 0; i < sizeof specials / sizeof specials[0]; i++)
        if (text_equal(piece, text_of(specials[i])))
            return i == UNKNOWN ? PIECE_UNKNOWN : PIECE_CONTROL;
    return PIECE_NORMAL;
}

/* Pieces stay in the arena's copy of the file. */
static status_code read_pieces(struct tokenizer *tokenizer, struct text bytes, struct status *st)
{
    struct vocabulary *vocab = &tokenizer->vocab;
    struct text line, rest = bytes;
    size_t n = 0;
    while (next_line(&rest, &line)) n++;
    status_code code = vocabulary_create(vocab, &tokenizer->arena, n, tokenizer->info.sha256, st);
    if (code != STATUS_OK) return code;
    rest.data = arena_strndup(&tokenizer->arena, bytes.data, bytes.length);
    rest.length = bytes.length;
    if (!rest.data) return status_no_memory(st, "the vocabulary");
    for (int32_t id = 0; next_line(&rest, &line); id++) {
        code = vocabulary_set(vocab, id, line, type_of(line), st);
        if (code != STATUS_OK) return status_prefix(st, "line %d", id + 1);
    }
    vocab->spelling = SPELL_CONTINUING;
    vocab->continuing_prefix = tokenizer->wordpiece.continuing_prefix;
    return vocabulary_finish(vocab, st);
}

/* BertTokenizer's own defaults: accents go when letters become small. */
static status_code read_rules(struct tokenizer *tokenizer, const struct tokenizer_config *config,
                              struct status *st)
{
    struct bert_rules rules = {.clean = true, .chinese = true, .lower = true};
    status_code code = tokenizer_config_flag(config, "do_lower_case", &rules.lower, st);
    rules.strip_accents = rules.lower;
    if (code == STATUS_OK)
        code = tokenizer_config_flag(config, "strip_accents", &rules.strip_accents, st);
    if (code == STATUS_OK)
        code = tokenizer_config_flag(config, "tokenize_chinese_chars", &rules.chinese, st);
    if (code == STATUS_OK) code = tokenizer_use_bert_normalizer(tokenizer, rules, st);
    return code == STATUS_OK ? tokenizer_use_bert_pre_tokenizer(tokenizer, st) : code;
}

/* Control pieces are looked for in the text as it is given. */
static status_code add_specials(struct tokenizer *tokenizer, struct status *st)
{
    size_t total = 0;
    for (size_t i = 0; i < sizeof specials / sizeof specials[0]; i++) total += strlen(specials[i]);
    status_code code = matcher_create(&tokenizer->raw, &tokenizer->arena, total, st);
    if (code != STATUS_OK) return code;
    for (size_t i = 0; i < sizeof specials / sizeof specials[0]; i++) {
        struct text piece = text_of(specials[i]);
        int32_t id = vocabulary_find(&tokenizer->vocab, piece);
        if (id >= 0) matcher_add(&tokenizer->raw, piece, id, MATCH_SPECIAL);
    }
    return STATUS_OK;
}

static status_code fill(struct tokenizer *tokenizer, struct text bytes, const char *directory,
                        struct status *st)
{
    struct tokenizer_info *info = &tokenizer->info;
    struct tokenizer_config config;
    tokenizer->wordpiece =
        (struct wordpiece){.continuing_prefix = text_of("##"), .max_characters = 100};
    tokenizer->strip_first_space = true;
    status_code code = read_pieces(tokenizer, bytes, st);
    if (code == STATUS_OK) code = tokenizer_config_open(&config, directory, st);
    if (code != STATUS_OK) return code;
    code = read_rules(tokenizer, &config, st);
    tokenizer_config_close(&config);
    if (code == STATUS_OK) code = add_specials(tokenizer, st);
    if (code != STATUS_OK) return code;
    info->unknown = vocabulary_find(&tokenizer->vocab, text_of(specials[UNKNOWN]));
    info->bos = vocabulary_find_control(&tokenizer->vocab, text_of(specials[CLS]));
    info->eos = vocabulary_find_control(&tokenizer->vocab, text_of(specials[SEP]));
    info->pad = vocabulary_find_control(&tokenizer->vocab, text_of(specials[PAD]));
    info->add_bos = info->add_eos = true;
    return tokenizer_finish(tokenizer, st);
}

status_code tokenizer_read_vocab_txt(struct tokenizer **out, struct text bytes,
                                     const char *directory, struct status *st)
{
    char digest[SHA256_HEX_SIZE];
    struct tokenizer *tokenizer;
    sha256_text(bytes, digest);
    status_code code = tokenizer_create(&tokenizer, TOKENIZER_WORDPIECE, digest, st);
    if (code != STATUS_OK) return code;
    code = fill(tokenizer, bytes, directory, st);
    if (code == STATUS_OK)
        *out = tokenizer;
    else
        tokenizer_free(tokenizer);
    return code;
}
