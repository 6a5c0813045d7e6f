#include "engine/tokenizer/tokenizer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "engine/base/limits.h"
#include "engine/base/mapped_file.h"
#include "engine/base/utf8.h"
#include "engine/gguf/gguf.h"
#include "engine/tokenizer/added_tokens.h"
#include "engine/tokenizer/tokenizer_cache.h"

/* ---- lists ---- */

void token_list_release(struct token_list *list)
{
    free(list->ids);
    *list = (struct token_list){0};
}

status_code token_list_append(struct token_list *list, int32_t id, struct status *st)
{
    if (list->count == list->capacity) {
        size_t capacity = list->capacity ? list->capacity + list->capacity / 2 : 64;
        int32_t *ids =
            capacity <= SIZE_MAX / sizeof *ids ? realloc(list->ids, capacity * sizeof *ids) : NULL;
        if (!ids) return status_no_memory(st, "token ids");
        list->ids = ids;
        list->capacity = capacity;
    }
    list->ids[list->count++] = id;
    return STATUS_OK;
}

/* ---- building ---- */

status_code tokenizer_create(struct tokenizer **out, enum tokenizer_kind kind, const char *digest,
                             struct status *st)
{
    static const char *const kinds[] = {
        [TOKENIZER_BPE] = "bpe",
        [TOKENIZER_SPM] = "spm",
        [TOKENIZER_UNIGRAM] = "unigram",
        [TOKENIZER_WORDPIECE] = "wordpiece",
    };
    struct tokenizer *tokenizer = calloc(1, sizeof *tokenizer);
    if (!tokenizer) return status_no_memory(st, "a tokenizer");
    arena_init(&tokenizer->arena, LIMIT_TOKENIZER_MEMORY);
    tokenizer->kind = kind;
    tokenizer->info = (struct tokenizer_info){
        .kind = kinds[kind],
        .bos = -1,
        .eos = -1,
        .unknown = -1,
        .pad = -1,
        .chat_template = {"", 0},
    };
    memcpy(tokenizer->info.sha256, digest, SHA256_HEX_SIZE);
    *out = tokenizer;
    return STATUS_OK;
}

void tokenizer_free(struct tokenizer *tokenizer)
{
    if (!tokenizer) return;
    normalizer_release(&tokenizer->normalizer);
    pre_tokenizer_release(&tokenizer->pre_tokenizer);
    arena_release(&tokenizer->arena);
    mapped_file_release(&tokenizer->compiled);
    free(tokenizer->whole);
    free(tokenizer);
}

status_code tokenizer_prepare_encoding(struct tokenizer *tokenizer, struct status *st)
{
    tokenizer->whole = calloc((size_t)tokenizer->vocab.n, sizeof *tokenizer->whole);
    if (!tokenizer->whole) return status_no_memory(st, "the vocabulary");
    for (int c = 0; c < 128; c++) {
        char character = (char)c;
        tokenizer->ascii_ids[c] = vocabulary_find(&tokenizer->vocab, (struct text){&character, 1});
    }
    for (int byte = 0; byte < 256; byte++) {
        struct byte_spelling *as = &tokenizer->spellings[byte];
        char spelled[4] = {0};
        as->length = (uint8_t)utf8_encode(byte_character((unsigned char)byte), spelled);
        memcpy(as->bytes, spelled, sizeof as->bytes);
    }
    return STATUS_OK;
}

status_code tokenizer_finish(struct tokenizer *tokenizer, struct status *st)
{
    struct vocabulary *vocab = &tokenizer->vocab;
    struct tokenizer_info *info = &tokenizer->info;
    int32_t ids[] = {info->bos, info->eos, info->unknown, info->pad};
    for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++) BUG_IF(ids[i] >= vocab->n);
    if (info->unknown < 0 && !tokenizer->byte_fallback && !tokenizer->byte_level)
        return status_set(st, STATUS_UNSUPPORTED,
                          "the vocabulary has neither an unknown piece nor byte pieces");
    info->n_vocab = vocab->n;
    info->add_bos = info->add_bos && info->bos >= 0;
    info->add_eos = info->add_eos && info->eos >= 0;
    if (tokenizer->byte_level) info->kind = "byte-bpe";
    vocab->unknown = info->unknown;
    vocabulary_mark_ends(vocab, info->eos);
    if (!tokenizer->byte_level) seams_init(&tokenizer->seams, vocab);
    return tokenizer_prepare_encoding(tokenizer, st);
}

status_code tokenizer_add_merge(struct tokenizer *tokenizer, struct text left, struct text right,
                                size_t rank, struct status *st)
{
    const struct vocabulary *vocab = &tokenizer->vocab;
    char bytes[2 * LIMIT_PIECE_BYTES];
    struct text parts[3] = {left, right, {bytes, left.length + right.length}};
    int32_t ids[3];
    for (int i = 0; i < 3; i++) {
        if (i == 2) {
            memcpy(bytes, left.data, left.length);
            memcpy(bytes + left.length, right.data, right.length);
        }
        ids[i] = vocabulary_find(vocab, parts[i]);
        if (ids[i] < 0)
            return status_set(st, STATUS_BAD_INPUT,
                              "merge %zu, of \"%.*s\" and \"%.*s\": \"%.*s\" is not in the "
                              "vocabulary",
                              rank, TEXT_ARGS(piece_for_message(left)),
                              TEXT_ARGS(piece_for_message(right)),
                              TEXT_ARGS(piece_for_message(parts[i])));
    }
    /* Text never becomes a control piece, so a rule that would make one is left out: the library
     * finds such text as an added token before any merge. */
    if (vocab->pieces[ids[2]].type != PIECE_CONTROL)
        merge_table_add(&tokenizer->merges, ids[0], ids[1], (uint32_t)rank, ids[2]);
    return STATUS_OK;
}

status_code tokenizer_add_charsmap(struct tokenizer *tokenizer, struct text bytes,
                                   enum normalizer_kind kind, struct status *st)
{
    struct normalizer_step step = {.kind = kind};
    char *copy = arena_strndup(&tokenizer->arena, bytes.data, bytes.length);
    if (!copy) return status_no_memory(st, "a tokenizer");
    status_code code = charsmap_init(&step.charsmap, (struct text){copy, bytes.length}, st);
    return code == STATUS_OK ? normalizer_add(&tokenizer->normalizer, step, st) : code;
}

/* Room in the two matchers for all that add_matches() puts there. */
static status_code make_matchers(struct tokenizer *tokenizer,
                                 const struct sentencepiece_rules *rules, struct status *st)
{
    size_t raw = 0, frozen = 0;
    for (int id = 0; id < tokenizer->vocab.n; id++) {
        const struct piece *piece = &tokenizer->vocab.pieces[id];
        if (piece->type == PIECE_CONTROL || piece->type == PIECE_UNKNOWN)
            raw += piece->stored.length;
        if (piece->type == PIECE_USER_DEFINED && !piece->is_word) frozen += piece->stored.length;
        tokenizer->n_unused += piece->type == PIECE_UNUSED;
    }
    for (size_t i = 0; i < rules->n_added; i++) raw += rules->added[i].content.length;
    status_code code = STATUS_OK;
    if (raw) code = matcher_create(&tokenizer->raw, &tokenizer->arena, raw, st);
    if (code == STATUS_OK && frozen)
        code = matcher_create(&tokenizer->frozen, &tokenizer->arena, frozen, st);
    if (code != STATUS_OK || !tokenizer->n_unused) return code;
    tokenizer->unused =
        arena_array(&tokenizer->arena, (size_t)tokenizer->n_unused, sizeof *tokenizer->unused);
    return tokenizer->unused ? STATUS_OK : status_no_memory(st, "the vocabulary");
}

static void add_matches(struct tokenizer *tokenizer, const struct sentencepiece_rules *rules)
{
    int n_unused = 0;
    for (int id = 0; id < tokenizer->vocab.n; id++) {
        const struct piece *piece = &tokenizer->vocab.pieces[id];
        switch (piece->type) {
        case PIECE_CONTROL:
        case PIECE_UNKNOWN:
            matcher_add(&tokenizer->raw, piece->stored, id, MATCH_SPECIAL);
            break;
        case PIECE_USER_DEFINED:
            if (!piece->is_word)
                matcher_add(&tokenizer->frozen, piece->stored, id,
                            piece->is_marker ? MATCH_MARKER : 0);
            break;
        case PIECE_UNUSED:
            tokenizer->unused[n_unused++] = id;
            break;
        default:
            break;
        }
    }
    for (size_t i = 0; i < rules->n_added; i++) {
        const struct added_token *added = &rules->added[i];
        bool is_marker = tokenizer->vocab.pieces[added->id].is_marker;
        matcher_add(&tokenizer->raw, added->content, (int32_t)added->id,
                    added->flags | (is_marker ? MATCH_MARKER : 0u));
    }
}

static status_code add_normalizer_steps(struct tokenizer *tokenizer,
                                        const struct sentencepiece_rules *rules, struct status *st)
{
    struct normalizer *normalizer = &tokenizer->normalizer;
    struct text symbol = text_of(SPACE_SYMBOL);
    struct normalizer_step prefix = {.kind = rules->prefix_start_only ? NORMALIZE_PREPEND_START
                                                                      : NORMALIZE_PREPEND,
                                     .to = symbol};
    struct normalizer_step escape = {.kind = NORMALIZE_REPLACE, .from = text_of(" "), .to = symbol};
    status_code code = STATUS_OK;
    normalizer->whole = &tokenizer->frozen;
    if (rules->remove_extra_whitespaces)
        code = normalizer_add(normalizer, (struct normalizer_step){.kind = NORMALIZE_COLLAPSE}, st);
    if (code == STATUS_OK && rules->add_dummy_prefix) code = normalizer_add(normalizer, prefix, st);
    return code == STATUS_OK ? normalizer_add(normalizer, escape, st) : code;
}

status_code tokenizer_use_sentencepiece_rules(struct tokenizer *tokenizer,
                                              const struct sentencepiece_rules *rules,
                                              struct status *st)
{
    status_code code = make_matchers(tokenizer, rules, st);
    if (code != STATUS_OK) return code;
    add_matches(tokenizer, rules);
    tokenizer->fuse_unknown = true;
    tokenizer->strip_first_space = rules->add_dummy_prefix;
    tokenizer->strip_leading_spaces = rules->remove_extra_whitespaces;
    return add_normalizer_steps(tokenizer, rules, st);
}

/* ---- loading ---- */

/* Small files take no longer to read than to look for. */
#define MIN_CACHED_BYTES ((size_t)512 << 10)

static status_code read_json(struct tokenizer **out, struct text bytes, const char *directory,
                             struct status *st)
{
    struct tokenizer_cache_key key;
    if (bytes.length < MIN_CACHED_BYTES) return tokenizer_read_json(out, bytes, directory, st);
    tokenizer_cache_key(&key, bytes, directory);
    if (tokenizer_cache_load(out, &key)) return STATUS_OK;
    status_code code = tokenizer_read_json(out, bytes, directory, st);
    if (code == STATUS_OK) tokenizer_cache_save(*out, &key);
    return code;
}

static status_code read_bytes(struct tokenizer **out, struct text bytes, bool is_list,
                              const char *directory, struct status *st)
{
    if (bytes.length > LIMIT_TOKENIZER_BYTES)
        return status_set(st, STATUS_LIMIT, "%zu bytes, more than %zu", bytes.length,
                          (size_t)LIMIT_TOKENIZER_BYTES);
    if (is_list) return tokenizer_read_vocab_txt(out, bytes, directory, st);
    size_t start = 0;
    while (start < bytes.length && bytes.data[start] && strchr(" \t\r\n", bytes.data[start]))
        start++;
    if (start < bytes.length && bytes.data[start] == '{')
        return read_json(out, bytes, directory, st);
    /* A tokenizer.model starts with its first piece: field 1, a message. */
    if (bytes.length && bytes.data[0] == '\n') return tokenizer_read_spm(out, bytes, directory, st);
    return status_set(
        st, STATUS_BAD_INPUT,
        "neither a tokenizer.json, nor a tokenizer.model, nor a vocab.txt, nor a GGUF "
        "file");
}

static status_code load_gguf_file(struct tokenizer **out, const char *path, struct status *st)
{
    struct gguf *file;
    status_code code = gguf_open(&file, path, st);
    if (code != STATUS_OK) return code;
    code = tokenizer_load_gguf(out, file, st);
    gguf_free(file);
    return code;
}

static status_code load_file(struct tokenizer **out, const char *path, const char *directory,
                             struct status *st)
{
    struct mapped_file file;
    status_code code = mapped_file_init(&file, path, st);
    if (code != STATUS_OK) return code;
    if (file.size >= 4 && memcmp(file.data, "GGUF", 4) == 0) {
        code = load_gguf_file(out, path, st);
    } else {
        struct text bytes = {file.size ? (const char *)file.data : "", file.size};
        size_t n = strlen(path);
        bool is_list = n >= 4 && strcmp(path + n - 4, ".txt") == 0;
        code = read_bytes(out, bytes, is_list, directory, st);
        if (code != STATUS_OK) status_prefix(st, "%s", path);
    }
    mapped_file_release(&file);
    return code;
}

static bool is_file(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && !S_ISDIR(info.st_mode);
}

/* vocab.json and merges.txt. */
static status_code load_pair(struct tokenizer **out, const char *directory, struct status *st)
{
    struct strbuf path, bytes[2], json;
    static const char *const names[] = {"vocab.json", "merges.txt"};
    status_code code = STATUS_OK;
    strbuf_init(&path, LIMIT_CONFIG_BYTES);
    strbuf_init(&json, LIMIT_TOKENIZER_BYTES);
    for (int i = 0; i < 2; i++) strbuf_init(&bytes[i], LIMIT_TOKENIZER_BYTES);
    for (int i = 0; i < 2 && code == STATUS_OK; i++) {
        strbuf_clear(&path);
        strbuf_appendf(&path, "%s/%s", directory, names[i]);
        code = strbuf_read_file(&bytes[i], path.data, st);
    }
    if (code == STATUS_OK) {
        const struct text vocab = {bytes[0].data, bytes[0].length};
        const struct text merges = {bytes[1].data, bytes[1].length};
        code = tokenizer_spell_pair(&json, vocab, merges, directory, st);
        if (code == STATUS_OK)
            code = read_json(out, (struct text){json.data, json.length}, directory, st);
        if (code != STATUS_OK) status_prefix(st, "%s", directory);
    }
    for (int i = 0; i < 2; i++) strbuf_release(&bytes[i]);
    strbuf_release(&path);
    strbuf_release(&json);
    return code;
}

static bool has_pair(const char *directory)
{
    struct strbuf path;
    strbuf_init(&path, LIMIT_CONFIG_BYTES);
    strbuf_appendf(&path, "%s/vocab.json", directory);
    bool found = is_file(path.data);
    strbuf_clear(&path);
    strbuf_appendf(&path, "%s/merges.txt", directory);
    found = found && is_file(path.data);
    strbuf_release(&path);
    return found;
}

static status_code load_directory(struct tokenizer **out, const char *directory, struct status *st)
{
    static const char *const names[] = {"tokenizer.json", "tokenizer.model", "vocab.txt"};
    struct strbuf path;
    strbuf_init(&path, LIMIT_CONFIG_BYTES);
    bool found = false;
    for (size_t i = 0; i < sizeof names / sizeof names[0] && !found; i++) {
        strbuf_clear(&path);
        strbuf_appendf(&path, "%s/%s", directory, names[i]);
        found = is_file(path.data);
    }
    status_code code = strbuf_check(&path, "the path", st);
    bool pair = !found && has_pair(directory);
    if (code == STATUS_OK && !found && !pair)
        code =
            status_set(st, STATUS_NOT_FOUND, "%s: has no %s, %s, %s, or vocab.json and merges.txt",
                       directory, names[0], names[1], names[2]);
    if (code == STATUS_OK && pair) code = load_pair(out, directory, st);
    if (code == STATUS_OK && !pair) code = load_file(out, path.data, directory, st);
    strbuf_release(&path);
    return code;
}

status_code tokenizer_load(struct tokenizer **out, const char *path, struct status *st)
{
    struct stat info;
    if (stat(path, &info) != 0)
        return status_set(st, errno == ENOENT ? STATUS_NOT_FOUND : STATUS_IO, "%s: %s", path,
                          strerror(errno));
    if (S_ISDIR(info.st_mode)) return load_directory(out, path, st);
    struct strbuf directory;
    strbuf_init(&directory, LIMIT_CONFIG_BYTES);
    const char *slash = strrchr(path, '/');
    if (slash)
        strbuf_append(&directory, path, (size_t)(slash - path) + 1);
    else
        strbuf_append_str(&directory, ".");
    status_code code = strbuf_check(&directory, "the path", st);
    if (code == STATUS_OK) code = load_file(out, path, directory.data, st);
    strbuf_release(&directory);
    return code;
}

/* ---- asking ---- */

size_t tokenizer_bytes(const struct tokenizer *tokenizer)
{
    return sizeof *tokenizer + tokenizer->arena.used + tokenizer->compiled.size +
           (size_t)tokenizer->vocab.n * sizeof *tokenizer->whole;
}

const struct tokenizer_info *tokenizer_get_info(const struct tokenizer *tokenizer)
{
    return &tokenizer->info;
}

static const struct piece *piece_of(const struct tokenizer *tokenizer, int32_t id)
{
    return id >= 0 && id < tokenizer->vocab.n ? &tokenizer->vocab.pieces[id] : NULL;
}

struct text tokenizer_piece(const struct tokenizer *tokenizer, int32_t id)
{
    const struct piece *piece = piece_of(tokenizer, id);
    return piece ? piece->surface : (struct text){"", 0};
}

/* Encoding may have put a space symbol in front of the text; it did so behind control pieces, and
 * what is unknown is left out with these.  Where it removes extra spaces, no text starts with one.
 */
void tokenizer_decode(const struct tokenizer *tokenizer, const int32_t *ids, size_t n,
                      struct strbuf *out)
{
    bool strip = tokenizer->strip_first_space || tokenizer->strip_leading_spaces;
    for (size_t i = 0; i < n; i++) {
        const struct piece *piece = piece_of(tokenizer, ids[i]);
        if (!piece || piece->type == PIECE_CONTROL || piece->type == PIECE_UNKNOWN) continue;
        struct text surface = piece->surface;
        if (strip && piece->type != PIECE_BYTE && surface.length && surface.data[0] == ' ') {
            surface.data++, surface.length--;
            strip = tokenizer->strip_leading_spaces && !surface.length;
        } else {
            strip = false;
        }
        strbuf_append(out, surface.data, surface.length);
    }
}

struct text tokenizer_piece_name(const struct tokenizer *tokenizer, int32_t id)
{
    if (id < 0 || id >= tokenizer->info.n_vocab) return (struct text){"", 0};
    return tokenizer->vocab.pieces[id].stored;
}

bool tokenizer_is_control(const struct tokenizer *tokenizer, int32_t id)
{
    const struct piece *piece = piece_of(tokenizer, id);
    return piece && piece->type == PIECE_CONTROL;
}

bool tokenizer_is_end(const struct tokenizer *tokenizer, int32_t id)
{
    const struct piece *piece = piece_of(tokenizer, id);
    return piece && piece->is_end;
}

int32_t tokenizer_find(const struct tokenizer *tokenizer, const char *piece)
{
    return vocabulary_find(&tokenizer->vocab, text_of(piece));
}
