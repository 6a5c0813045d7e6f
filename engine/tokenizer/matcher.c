#include "engine/tokenizer/matcher.h"

status_code matcher_create(struct matcher *matcher, struct arena *arena, size_t total_bytes,
                           struct status *st)
{
    *matcher = (struct matcher){.n_nodes = 1};
    if (total_bytes >= UINT32_MAX - 1)
        return status_set(st, STATUS_LIMIT, "added tokens are longer than %u bytes together",
                          UINT32_MAX);
    matcher->nodes = arena_array(arena, total_bytes + 1, sizeof *matcher->nodes);
    return matcher->nodes ? STATUS_OK : status_no_memory(st, "the added tokens");
}

/* The node for `byte` in the list that starts at *link, made where there is none. */
static uint32_t make_step(struct matcher *matcher, uint32_t *link, unsigned char byte)
{
    while (*link && matcher->nodes[*link].byte != byte) link = &matcher->nodes[*link].sibling;
    if (!*link) {
        uint32_t node = matcher->n_nodes++;
        matcher->nodes[node] = (struct matcher_node){.id = -1, .byte = byte};
        *link = node;
    }
    return *link;
}

void matcher_add(struct matcher *matcher, struct text string, int32_t id, unsigned flags)
{
    if (!string.length) return;
    uint32_t node = 0;
    for (size_t i = 0; i < string.length; i++) {
        unsigned char byte = (unsigned char)string.data[i];
        node = make_step(matcher, i ? &matcher->nodes[node].child : &matcher->first[byte], byte);
    }
    matcher->nodes[node].id = id;
    matcher->nodes[node].flags = (unsigned char)flags;
}

uint32_t matcher_step(const struct matcher *matcher, uint32_t node, unsigned char byte)
{
    if (!node) return matcher->first[byte];
    node = matcher->nodes[node].child;
    while (node && matcher->nodes[node].byte != byte) node = matcher->nodes[node].sibling;
    return node;
}

struct match matcher_longest(const struct matcher *matcher, struct text text, unsigned hidden)
{
    struct match best = {0};
    uint32_t node = 0;
    for (size_t i = 0; i < text.length; i++) {
        node = matcher_step(matcher, node, (unsigned char)text.data[i]);
        if (!node) break;
        const struct matcher_node *here = &matcher->nodes[node];
        if (here->id >= 0 && !(here->flags & hidden))
            best = (struct match){i + 1, here->id, here->flags};
    }
    return best;
}
