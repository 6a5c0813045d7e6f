#include "engine/tokenizer/vocabulary.h"

#include <stdlib.h>
#include <string.h>

#include "engine/base/limits.h"
#include "engine/base/utf8.h"

/* Gemma, Llama 3, ChatML, Phi 3 and Phi 4, and the document ends of GPT-2 and Llama 3.  "</s>" is
 * not among them: Gemma's vocabulary has it as the HTML tag. */
static const char *const end_pieces[] = {"<end_of_turn>", "<|eot_id|>", "<|eom_id|>",
                                         "<|im_end|>",    "<|end|>",    "<|end_of_text|>",
                                         "<|endoftext|>", "<eos>"};

/* What the formats of chat_template.c are made of.  Vocabularies have some of these as user-defined
 * pieces, which any text can spell. */
static const char *const turn_pieces[] = {
    "<bos>",
    "<eos>",
    "<start_of_turn>",
    "<end_of_turn>",
    "<|im_start|>",
    "<|im_end|>",
    "<|endoftext|>",
    "<|start_header_id|>",
    "<|end_header_id|>",
    "<|eot_id|>",
    "<|begin_of_text|>",
    "[INST]",
    "[/INST]",
    "<|start_of_role|>",
    "<|end_of_role|>",
    "<|end_of_text|>",
};

struct text piece_for_message(struct text piece)
{
    if (piece.length <= 40) return piece;
    struct text head = {piece.data, 40};
    head.length = utf8_complete_length(head);
    return head;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

int piece_spelled_byte(struct text stored)
{
    if (stored.length != 6 || memcmp(stored.data, "<0x", 3) != 0 || stored.data[5] != '>')
        return -1;
    int high = hex_digit(stored.data[3]), low = hex_digit(stored.data[4]);
    return high < 0 || low < 0 ? -1 : high * 16 + low;
}

uint32_t piece_order(float score)
{
    float canonical = score + 0.0f; /* -0 and 0 are one score */
    uint32_t bits;
    memcpy(&bits, &canonical, sizeof bits);
    uint32_t ascending = bits & 0x80000000u ? ~bits : bits | 0x80000000u;
    return ~ascending;
}

/* ---- building ---- */

status_code vocabulary_create(struct vocabulary *vocab, struct arena *arena, size_t n,
                              const char *digest, struct status *st)
{
    if (n < 1) return status_set(st, STATUS_BAD_INPUT, "the vocabulary is empty");
    if (n > LIMIT_VOCAB)
        return status_set(st, STATUS_LIMIT, "the vocabulary has %zu pieces, more than %d", n,
                          LIMIT_VOCAB);
    char head[17];
    memcpy(head, digest, 16);
    head[16] = '\0';
    size_t slots = 16;
    while (slots < 2 * n) slots *= 2;
    *vocab = (struct vocabulary){
        .arena = arena,
        .pieces = arena_array(arena, n, sizeof *vocab->pieces),
        .n = (int)n,
        .seed = strtoull(head, NULL, 16),
        .slots = arena_array(arena, slots, sizeof *vocab->slots),
        .slot_mask = slots - 1,
        .unknown = -1,
    };
    if (!vocab->pieces || !vocab->slots) return status_no_memory(st, "the vocabulary");
    memset(vocab->slots, 0xff, slots * sizeof *vocab->slots);
    memset(vocab->byte_ids, 0xff, sizeof vocab->byte_ids);
    return STATUS_OK;
}

status_code vocabulary_set(struct vocabulary *vocab, int64_t id, struct text stored,
                           enum piece_type type, struct status *st)
{
    struct text shown = piece_for_message(stored);
    if (id < 0 || id >= vocab->n)
        return status_set(st, STATUS_BAD_INPUT, "piece \"%.*s\" has id %lld, expected 0 to %d",
                          TEXT_ARGS(shown), (long long)id, vocab->n - 1);
    if (stored.length > LIMIT_PIECE_BYTES)
        return status_set(st, STATUS_LIMIT, "piece %lld \"%.*s...\" is longer than %d bytes",
                          (long long)id, TEXT_ARGS(shown), LIMIT_PIECE_BYTES);
    struct piece *piece = &vocab->pieces[id];
    if (piece->stored.data)
        return status_set(st, STATUS_BAD_INPUT,
                          "id %lld belongs to two pieces, \"%.*s\" and \"%.*s\"", (long long)id,
                          TEXT_ARGS(piece_for_message(piece->stored)), TEXT_ARGS(shown));
    *piece = (struct piece){.stored = stored, .type = type};
    if (stored.length > vocab->max_bytes) vocab->max_bytes = stored.length;
    return STATUS_OK;
}

/* ---- the table ---- */

uint64_t vocabulary_mix(uint64_t key)
{
    key ^= key >> 32;
    key *= 0x9e3779b97f4a7c15u;
    key ^= key >> 29;
    return key;
}

/* FNV-1a over the bytes, from a seeded basis. */
static uint64_t hash_of(const struct vocabulary *vocab, struct text stored)
{
    uint64_t hash = 0xcbf29ce484222325u ^ vocab->seed;
    for (size_t i = 0; i < stored.length; i++)
        hash = (hash ^ (unsigned char)stored.data[i]) * 0x100000001b3u;
    return vocabulary_mix(hash);
}

/* The slot that holds these bytes, or the free one where they belong. */
static struct vocabulary_slot *find_slot(const struct vocabulary *vocab, struct text stored,
                                         uint64_t hash)
{
    uint32_t tag = (uint32_t)(hash >> 32);
    size_t at = (size_t)hash & vocab->slot_mask;
    for (;; at = (at + 1) & vocab->slot_mask) {
        struct vocabulary_slot *slot = &vocab->slots[at];
        if (slot->id < 0) return slot;
        if (slot->tag == tag && text_equal(vocab->pieces[slot->id].stored, stored)) return slot;
    }
}

int32_t vocabulary_find(const struct vocabulary *vocab, struct text stored)
{
    return find_slot(vocab, stored, hash_of(vocab, stored))->id;
}

int32_t vocabulary_find_control(const struct vocabulary *vocab, struct text stored)
{
    int32_t id = vocabulary_find(vocab, stored);
    return id >= 0 && vocab->pieces[id].type == PIECE_CONTROL ? id : -1;
}

static status_code build_table(struct vocabulary *vocab, struct status *st)
{
    for (int id = 0; id < vocab->n; id++) {
        struct text stored = vocab->pieces[id].stored;
        if (!stored.data)
            return status_set(st, STATUS_BAD_INPUT,
                              "no piece has id %d, though larger ids are used", id);
        uint64_t hash = hash_of(vocab, stored);
        struct vocabulary_slot *slot = find_slot(vocab, stored, hash);
        if (slot->id >= 0)
            return status_set(st, STATUS_BAD_INPUT, "piece \"%.*s\" is there twice, as %d and %d",
                              TEXT_ARGS(piece_for_message(stored)), slot->id, id);
        *slot = (struct vocabulary_slot){(uint32_t)(hash >> 32), id};
    }
    return STATUS_OK;
}

/* ---- surfaces ---- */

static bool starts_with_space(struct text text)
{
    return text.length >= SPACE_SYMBOL_BYTES &&
           memcmp(text.data, SPACE_SYMBOL, SPACE_SYMBOL_BYTES) == 0;
}

static size_t write_surface(char *out, struct text stored)
{
    char *end = out;
    while (stored.length) {
        bool space = starts_with_space(stored);
        size_t used = space ? SPACE_SYMBOL_BYTES : 1;
        *end++ = space ? ' ' : stored.data[0];
        stored.data += used;
        stored.length -= used;
    }
    return (size_t)(end - out);
}

static bool has_shape(unsigned char byte)
{
    return (byte >= '!' && byte <= '~') || (byte >= 0xa1 && byte != 0xad);
}

uint32_t byte_character(unsigned char byte)
{
    uint32_t shapeless_before = 0;
    if (has_shape(byte)) return byte;
    for (unsigned char other = 0; other < byte; other++) shapeless_before += !has_shape(other);
    return 0x100 + shapeless_before;
}

/* The byte of each character below U+0144, or -1. */
#define N_BYTE_CHARACTERS 0x144
static void invert_alphabet(int16_t bytes[N_BYTE_CHARACTERS])
{
    memset(bytes, 0xff, N_BYTE_CHARACTERS * sizeof *bytes);
    for (int byte = 0; byte < 256; byte++)
        bytes[byte_character((unsigned char)byte)] = (int16_t)byte;
}

static size_t write_same(char *out, struct text stored)
{
    if (stored.length) memcpy(out, stored.data, stored.length);
    return stored.length;
}

/* A piece with a character that stands for no byte is itself. */
static size_t write_bytes(char *out, struct text stored, const int16_t bytes[N_BYTE_CHARACTERS])
{
    size_t n = 0;
    for (size_t i = 0, used; i < stored.length; i += used) {
        uint32_t cp;
        used = utf8_decode(stored.data + i, stored.length - i, &cp);
        if (!used || cp >= N_BYTE_CHARACTERS || bytes[cp] < 0) return write_same(out, stored);
        out[n++] = (char)(unsigned char)bytes[cp];
    }
    return n;
}

/* Words are apart by a space in front of the pieces that start them. */
static size_t write_word_part(char *out, struct text stored, struct text continuing)
{
    bool continues = stored.length > continuing.length &&
                     memcmp(stored.data, continuing.data, continuing.length) == 0;
    size_t skip = continues ? continuing.length : 0;
    if (!continues) *out++ = ' ';
    memcpy(out, stored.data + skip, stored.length - skip);
    return stored.length - skip + !continues;
}

static bool has_surface(enum piece_type type)
{
    return type != PIECE_CONTROL && type != PIECE_UNKNOWN;
}

static status_code derive_byte(struct vocabulary *vocab, int32_t id, char *out, struct status *st)
{
    struct text stored = vocab->pieces[id].stored;
    int byte = piece_spelled_byte(stored);
    if (byte < 0)
        return status_set(st, STATUS_BAD_INPUT,
                          "piece %d \"%.*s\" has type byte, expected \"<0x00>\" to \"<0xFF>\"", id,
                          TEXT_ARGS(piece_for_message(stored)));
    vocab->byte_ids[byte] = id;
    *out = (char)(unsigned char)byte;
    return STATUS_OK;
}

static status_code derive_surfaces(struct vocabulary *vocab, struct status *st)
{
    size_t total = 0;
    int16_t bytes[N_BYTE_CHARACTERS];
    invert_alphabet(bytes);
    for (int id = 0; id < vocab->n; id++) total += vocab->pieces[id].stored.length + 1;
    char *next = arena_alloc(vocab->arena, total);
    if (!next) return status_no_memory(st, "the vocabulary");
    for (int id = 0; id < vocab->n; id++) {
        struct piece *piece = &vocab->pieces[id];
        size_t n = 1;
        piece->surface = (struct text){"", 0};
        if (!has_surface(piece->type)) continue;
        if (piece->type == PIECE_BYTE) {
            status_code code = derive_byte(vocab, id, next, st);
            if (code != STATUS_OK) return code;
        } else if (vocab->spelling == SPELL_BYTES) {
            n = piece->type == PIECE_USER_DEFINED ? write_same(next, piece->stored)
                                                  : write_bytes(next, piece->stored, bytes);
        } else if (vocab->spelling == SPELL_CONTINUING) {
            n = write_word_part(next, piece->stored, vocab->continuing_prefix);
        } else {
            n = write_surface(next, piece->stored);
        }
        piece->surface = (struct text){next, n};
        next += n;
    }
    return STATUS_OK;
}

static void find_byte_characters(struct vocabulary *vocab)
{
    for (int byte = 0; byte < 256; byte++) {
        char character[4];
        struct text piece = {character,
                             utf8_encode(byte_character((unsigned char)byte), character)};
        int32_t id = vocabulary_find(vocab, piece);
        if (id >= 0 && has_surface(vocab->pieces[id].type)) vocab->byte_ids[byte] = id;
    }
}

static void mark_turns(struct vocabulary *vocab)
{
    for (size_t i = 0; i < sizeof turn_pieces / sizeof turn_pieces[0]; i++) {
        int32_t id = vocabulary_find(vocab, text_of(turn_pieces[i]));
        if (id >= 0) vocab->pieces[id].is_marker = true;
    }
}

status_code vocabulary_finish(struct vocabulary *vocab, struct status *st)
{
    status_code code = build_table(vocab, st);
    if (code == STATUS_OK) code = derive_surfaces(vocab, st);
    if (code != STATUS_OK) return code;
    if (vocab->spelling == SPELL_BYTES) find_byte_characters(vocab);
    mark_turns(vocab);
    return STATUS_OK;
}

void vocabulary_mark_ends(struct vocabulary *vocab, int32_t eos)
{
    if (eos >= 0) vocab->pieces[eos].is_end = true;
    for (size_t i = 0; i < sizeof end_pieces / sizeof end_pieces[0]; i++) {
        int32_t id = vocabulary_find(vocab, text_of(end_pieces[i]));
        if (id >= 0) vocab->pieces[id].is_end = true;
    }
}
