#include "engine/tokenizer/charsmap.h"

#include <stdint.h>

static uint32_t read_u32(const unsigned char *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

status_code charsmap_init(struct charsmap *map, struct text bytes, struct status *st)
{
    const unsigned char *p = (const unsigned char *)bytes.data;
    size_t trie_bytes = bytes.length >= 4 ? read_u32(p) : 0;
    if (bytes.length < 8 || trie_bytes > bytes.length - 4 || trie_bytes < 4 || trie_bytes % 4)
        return status_set(st, STATUS_BAD_INPUT,
                          "the character map of %zu bytes does not hold a trie of %zu",
                          bytes.length, trie_bytes);
    struct text rest = {bytes.data + 4 + trie_bytes, bytes.length - 4 - trie_bytes};
    if (!rest.length || rest.data[rest.length - 1])
        return status_set(st, STATUS_BAD_INPUT, "the character map does not end with a NUL");
    *map = (struct charsmap){p + 4, trie_bytes / 4, rest};
    return STATUS_OK;
}

/* darts.h, class DoubleArrayUnit: bits 0-7 and 31 are the label, bit 8 says that a leaf hangs
 * here, bit 9 scales the offset in bits 10-30 by 256; a leaf holds 31 bits of value. */
static uint32_t unit_at(const struct charsmap *map, uint32_t i)
{
    return i < map->n_units ? read_u32(map->units + 4 * (size_t)i) : 0x80000000u;
}

static uint32_t unit_label(uint32_t unit)
{
    return unit & 0x800000ffu;
}

static uint32_t unit_offset(uint32_t unit)
{
    return (unit >> 10) << ((unit & 0x200u) >> 6);
}

static bool unit_has_leaf(uint32_t unit)
{
    return unit >> 8 & 1;
}

static size_t find(const struct charsmap *map, struct text text, bool first, struct text *to)
{
    size_t best = 0;
    if (!map->n_units) return 0;
    uint32_t at = unit_offset(unit_at(map, 0));
    for (size_t i = 0; i < text.length && text.data[i]; i++) {
        unsigned char byte = (unsigned char)text.data[i];
        at ^= byte;
        uint32_t unit = unit_at(map, at);
        if (unit_label(unit) != byte) break;
        at ^= unit_offset(unit);
        if (!unit_has_leaf(unit)) continue;
        uint32_t place = unit_at(map, at) & 0x7fffffffu;
        if (place >= map->replacements.length) break;
        *to = text_of(map->replacements.data + place);
        best = i + 1;
        if (first) break;
    }
    return best;
}

size_t charsmap_longest(const struct charsmap *map, struct text text, struct text *to)
{
    return find(map, text, false, to);
}

size_t charsmap_shortest(const struct charsmap *map, struct text text, struct text *to)
{
    return find(map, text, true, to);
}
