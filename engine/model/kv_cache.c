#include "engine/model/kv_cache.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define ALIGN ((size_t)64) /* of a block: whole cache lines for vector loads */

bool kv_cache_has_near(const struct model_config *c, int n_context)
{
    if (c->window <= 0 || n_context <= c->window) return false;
    for (int i = 0; i < c->n_layers; i++)
        if (c->windowed[i]) return true;
    return false;
}

int kv_cache_near_blocks(const struct model_config *c, int n_context, int pass_tokens)
{
    if (!kv_cache_has_near(c, n_context)) return 0;
    /* Positions p - window + 1 .. p + pass - 1, which may begin and end inside a block. */
    int64_t blocks = ((int64_t)c->window + pass_tokens - 2) / KV_BLOCK + 2;
    return blocks < KV_BLOCKS(n_context) ? (int)blocks : KV_BLOCKS(n_context);
}

/* Bytes of a block's positions in one layer: a multiple of ALIGN. */
static size_t layer_bytes(const struct model_config *c)
{
    return 2 * KV_BLOCK * (size_t)c->n_kv_heads * (size_t)c->head_dim * sizeof(float);
}

static size_t count_near(const struct model_config *c, int n_context)
{
    size_t n = 0;
    if (!kv_cache_has_near(c, n_context)) return 0;
    for (int i = 0; i < c->n_layers; i++) n += c->windowed[i];
    return n;
}

size_t kv_cache_far_bytes(const struct model_config *c, int n_context)
{
    return ((size_t)c->n_layers - count_near(c, n_context)) * layer_bytes(c);
}

size_t kv_cache_near_bytes(const struct model_config *c, int n_context)
{
    return count_near(c, n_context) * layer_bytes(c);
}

size_t kv_cache_bytes(const struct model_config *c, const struct kv_sizes *sizes)
{
    size_t far = kv_cache_far_bytes(c, sizes->n_context);
    size_t near = kv_cache_near_bytes(c, sizes->n_context);
    size_t most = SIZE_MAX / 4;
    if ((far && (size_t)sizes->n_blocks > most / far) ||
        (near && (size_t)sizes->n_near > most / near))
        return SIZE_MAX;
    return (size_t)sizes->n_blocks * (far + sizeof(int)) +
           (size_t)sizes->n_near * (near + sizeof(int)) + ALIGN;
}

static void place_layers(struct kv_cache *cache, const struct model_config *c)
{
    int n_far = 0, n_near = 0;
    for (int i = 0; i < c->n_layers; i++) {
        cache->is_near[i] = cache->window > 0 && c->windowed[i];
        cache->place[i] = cache->is_near[i] ? n_near++ : n_far++;
    }
}

status_code kv_cache_init(struct kv_cache *cache, const struct model_config *c,
                          const struct kv_sizes *sizes, struct status *st)
{
    *cache = (struct kv_cache){
        .sizes = *sizes,
        .n_layers = c->n_layers,
        .kv_dim = (size_t)c->n_kv_heads * (size_t)c->head_dim,
        .window = kv_cache_has_near(c, sizes->n_context) ? c->window : 0,
        .far_floats = kv_cache_far_bytes(c, sizes->n_context) / sizeof(float),
        .near_floats = kv_cache_near_bytes(c, sizes->n_context) / sizeof(float),
        .n_free_near = sizes->n_near,
    };
    place_layers(cache, c);
    size_t n_blocks = (size_t)sizes->n_blocks, n_near = (size_t)sizes->n_near;
    if (kv_cache_bytes(c, sizes) != SIZE_MAX) {
        cache->memory = malloc(
            (n_blocks * cache->far_floats + n_near * cache->near_floats) * sizeof(float) + ALIGN);
        cache->near_of = calloc(n_blocks, sizeof *cache->near_of);
        cache->free_near = calloc(n_near + 1, sizeof *cache->free_near);
    }
    if (!cache->memory || !cache->near_of || !cache->free_near) {
        kv_cache_release(cache);
        return status_set(
            st, STATUS_NO_MEMORY,
            "out of memory for the keys and values of %d positions; ask for a shorter "
            "context",
            sizes->n_context);
    }
    uintptr_t start = (uintptr_t)cache->memory;
    cache->far = (float *)cache->memory + (ALIGN - start % ALIGN) % ALIGN / sizeof(float);
    cache->near = cache->far + n_blocks * cache->far_floats;
    for (size_t i = 0; i < n_blocks; i++) cache->near_of[i] = -1;
    for (int i = 0; i < sizes->n_near; i++) cache->free_near[i] = sizes->n_near - 1 - i;
    return STATUS_OK;
}

void kv_cache_release(struct kv_cache *cache)
{
    free(cache->memory);
    free(cache->near_of);
    free(cache->free_near);
    *cache = (struct kv_cache){0};
}

float *kv_cache_keys(const struct kv_cache *cache, int layer, int block)
{
    size_t place = (size_t)cache->place[layer] * 2 * KV_BLOCK * cache->kv_dim;
    if (!cache->is_near[layer]) return cache->far + (size_t)block * cache->far_floats + place;
    return cache->near + (size_t)cache->near_of[block] * cache->near_floats + place;
}

float *kv_cache_values(const struct kv_cache *cache, int layer, int block)
{
    return kv_cache_keys(cache, layer, block) + KV_BLOCK * cache->kv_dim;
}

bool kv_cache_take_near(struct kv_cache *cache, int block)
{
    if (kv_cache_near_present(cache, block)) return true;
    if (cache->n_free_near == 0) return false;
    cache->near_of[block] = cache->free_near[--cache->n_free_near];
    return true;
}

bool kv_cache_near_present(const struct kv_cache *cache, int block)
{
    return cache->window == 0 || cache->near_of[block] >= 0;
}

void kv_cache_drop_near(struct kv_cache *cache, int block)
{
    if (cache->near_of[block] < 0) return;
    cache->free_near[cache->n_free_near++] = cache->near_of[block];
    cache->near_of[block] = -1;
}

void kv_cache_copy(struct kv_cache *cache, int to, int from, int n)
{
    size_t bytes = (size_t)n * cache->kv_dim * sizeof(float);
    for (int layer = 0; layer < cache->n_layers; layer++) {
        memcpy(kv_cache_keys(cache, layer, to), kv_cache_keys(cache, layer, from), bytes);
        memcpy(kv_cache_values(cache, layer, to), kv_cache_values(cache, layer, from), bytes);
    }
}
