/* vocabulary.h - pieces by id and by their bytes.  Internal to the tokenizer.
 *
 *   vocabulary_create() -> vocabulary_set() for each id -> vocabulary_finish() -> vocabulary_find()
 *
 * A `piece` is one entry: the bytes its file stores, and the bytes it stands for.  Everything lives
 * in the tokenizer's arena.  Ids run from 0 without holes, and no two pieces are equal.
 *
 * The table's hash is seeded with the file's own digest, so that a file cannot be made to collide
 * in it.
 */
#ifndef ASSAY_VOCABULARY_H
#define ASSAY_VOCABULARY_H

#include <stdint.h>

#include "engine/base/arena.h"
#include "engine/base/text.h"
#include "engine/base/status.h"

#define SPACE_SYMBOL       "\xe2\x96\x81" /* U+2581, how vocabularies spell a space */
#define SPACE_SYMBOL_BYTES 3

/* SentencePiece's numbers (sentencepiece_model.proto), which GGUF stores too. */
enum piece_type {
    PIECE_NORMAL = 1,
    PIECE_UNKNOWN,
    PIECE_CONTROL,
    PIECE_USER_DEFINED,
    PIECE_UNUSED,
    PIECE_BYTE
};

struct piece {
    struct text stored;
    struct text surface; /* "" for control and unknown pieces */
    uint32_t order;      /* where pieces merge by score: the highest score has the lowest */
    enum piece_type type;
    bool is_end;    /* a reply ends with it */
    bool is_marker; /* of turns in a chat: never part of what a user wrote */
    bool is_word;   /* added as a word of its own: nothing else merges into it */
};

/* One place of the table: some bits of a piece's hash, so that other pieces are told apart without
 * being looked at, and its id; -1 is free. */
struct vocabulary_slot {
    uint32_t tag;
    int32_t id;
};

/* How pieces are spelled in a file. */
enum piece_spelling {
    SPELL_SPACES,    /* U+2581 for a space */
    SPELL_BYTES,     /* each byte as one character: GPT-2's alphabet */
    SPELL_CONTINUING /* a prefix marks pieces that continue a word; others start one */
};

struct vocabulary {
    struct arena *arena;
    struct piece *pieces; /* (n) */
    int n;
    size_t max_bytes; /* of the longest stored piece */
    uint64_t seed;
    struct vocabulary_slot *slots; /* (slot_mask + 1) open addressing */
    size_t slot_mask;
    int32_t byte_ids[256]; /* -1 where the vocabulary has no piece for the byte */
    int32_t unknown;       /* -1 where there is none */
    enum piece_spelling spelling;
    struct text continuing_prefix; /* SPELL_CONTINUING */
};

/* The character that stands for a byte in GPT-2's alphabet (bytes_to_unicode() of its encoder.py):
 * bytes with a shape are themselves, the others follow U+0100 in order. */
uint32_t byte_character(unsigned char byte);

/* A piece's bytes for a message: at most 40 of them, cut between characters. */
struct text piece_for_message(struct text piece);

/* The byte that "<0x41>" spells, or -1 where the text is nothing of the kind. */
int piece_spelled_byte(struct text stored);

/* The order of a score: ascending as scores descend.  The score may not be NaN. */
uint32_t piece_order(float score);

/* Mixes the bits of a table's key. */
uint64_t vocabulary_mix(uint64_t key);

/* Room for n pieces, 1 <= n <= LIMIT_VOCAB; `digest` is the file's SHA-256 in hexadecimal. */
status_code vocabulary_create(struct vocabulary *vocab, struct arena *arena, size_t n,
                              const char *digest, struct status *st) MUST_CHECK;

/* Sets one id, once, and `stored` must outlive the vocabulary. */
status_code vocabulary_set(struct vocabulary *vocab, int64_t id, struct text stored,
                           enum piece_type type, struct status *st) MUST_CHECK;

/* Checks that every id has a piece, builds the table, derives surfaces and byte ids, and marks the
 * pieces that divide turns.  Types and the spelling are final before this. */
status_code vocabulary_finish(struct vocabulary *vocab, struct status *st) MUST_CHECK;

/* The id whose stored bytes are these, or -1. */
int32_t vocabulary_find(const struct vocabulary *vocab, struct text stored);

/* vocabulary_find() of a control piece alone. */
int32_t vocabulary_find_control(const struct vocabulary *vocab, struct text stored);

/* Marks what ends a reply: `eos`, and the known end-of-turn pieces that the vocabulary has. */
void vocabulary_mark_ends(struct vocabulary *vocab, int32_t eos);

#endif
