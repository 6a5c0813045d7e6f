/* matcher.h - the longest of many fixed strings that starts here.  Internal to the tokenizer.
 *
 *   matcher_create() -> matcher_add() for each string -> matcher_longest()
 *
 * A byte trie in the tokenizer's arena.  A `match` of length 0 is none.
 */
#ifndef ASSAY_MATCHER_H
#define ASSAY_MATCHER_H

#include <stdint.h>

#include "engine/base/arena.h"
#include "engine/base/status.h"
#include "engine/base/text.h"

enum match_flags {
    MATCH_SPECIAL = 1, /* a control piece: seen only where the caller asks for it */
    MATCH_LSTRIP = 2,  /* swallows the white space before it */
    MATCH_RSTRIP = 4,  /* and after it */
    MATCH_MARKER = 8,  /* divides turns of a chat: not seen in what a user wrote */
    MATCH_WORD = 16    /* only where no word goes on before it or after it */
};

struct matcher_node {
    uint32_t child, sibling; /* 0 is none */
    int32_t id;              /* -1 where no string ends */
    unsigned char byte, flags;
};

/* {0} matches nothing. */
struct matcher {
    struct matcher_node *nodes; /* [0] is unused */
    uint32_t n_nodes;
    uint32_t first[256]; /* the node of each first byte */
};

struct match {
    size_t length;
    int32_t id;
    unsigned flags;
};

/* Room for strings of `total_bytes` together. */
status_code matcher_create(struct matcher *matcher, struct arena *arena, size_t total_bytes,
                           struct status *st) MUST_CHECK;

/* A string that is added again gets the new id and flags.  The empty string is ignored. */
void matcher_add(struct matcher *matcher, struct text string, int32_t id, unsigned flags);

/* The longest string that `text` starts with, of those that have no flag of `hidden`. */
struct match matcher_longest(const struct matcher *matcher, struct text text, unsigned hidden);

/* One byte further from a node (0 is the start), or 0 where no string goes on like that. */
uint32_t matcher_step(const struct matcher *matcher, uint32_t node, unsigned char byte);

#endif
