#include "engine/scheduler/scheduler_plan.h"

#include "engine/scheduler/pass.h"
#include "engine/scheduler/prefix_tree.h"

/* What short contexts get as well, so that several sequences find room: positions, and bytes. */
#define DEFAULT_POSITIONS 8192
#define DEFAULT_BYTES     ((size_t)1 << 30)

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

/* Blocks of several sequences of the whole context; one more for each, see sequence.h. */
static size_t default_blocks(const struct run_sizes *run, size_t one, size_t block_bytes)
{
    size_t several = (size_t)run->n_sequences * one;
    size_t most = DEFAULT_POSITIONS / KV_BLOCK + 1;
    if (block_bytes) most = smaller(most, DEFAULT_BYTES / block_bytes);
    return larger(one, smaller(several, most));
}

/* Divides the bytes between whole blocks and their near parts: first what one sequence needs, then
 * as many of one as of the other. */
static void size_cache(struct kv_sizes *out, const struct model_config *c,
                       const struct run_sizes *run, size_t cache_bytes)
{
    size_t far = kv_cache_far_bytes(c, run->n_context),
           near = kv_cache_near_bytes(c, run->n_context);
    size_t one = (size_t)KV_BLOCKS(run->n_context) + 1;
    int window_blocks = kv_cache_near_blocks(c, run->n_context, out->pass_tokens);
    size_t one_near = window_blocks ? (size_t)window_blocks + 1 : 0;
    size_t n, n_near;
    if (cache_bytes == 0) {
        n = default_blocks(run, one, far + near);
        n_near = one_near ? one_near + (n - one) : 0;
    } else if (cache_bytes / (far + near) <= one_near) {
        n_near = one_near ? cache_bytes / (far + near) : 0;
        n = far ? cache_bytes / (far + near) : one;
    } else {
        size_t left = cache_bytes - one_near * near;
        size_t first = far ? smaller(one, left / far) : one;
        size_t extra = (left - first * far) / (far + near);
        n = first + extra;
        n_near = one_near ? one_near + extra : 0;
    }
    out->n_blocks = (int)smaller(n, LIMIT_CONTEXT);
    out->n_near = (int)smaller(n_near, (size_t)out->n_blocks);
}

status_code scheduler_plan_make(struct scheduler_plan *out, const struct model_config *c,
                                const struct run_sizes *run, size_t cache_bytes, struct status *st)
{
    *out = (struct scheduler_plan){.run = *run, .pass_tokens = run_state_max_tokens(c, run)};
    out->cache.n_context = run->n_context;
    out->cache.pass_tokens = (int)smaller((size_t)out->pass_tokens, (size_t)run->n_context);
    size_cache(&out->cache, c, run, cache_bytes);
    if (out->cache.n_blocks < 2)
        return status_set(
            st, STATUS_LIMIT, "a cache of %zu bytes holds no sequence; the smallest takes %zu",
            cache_bytes,
            2 * (kv_cache_far_bytes(c, run->n_context) + kv_cache_near_bytes(c, run->n_context)));
    out->cache_bytes = kv_cache_bytes(c, &out->cache);
    out->other_bytes = run_state_bytes(c, run);
    size_t more = prefix_tree_bytes(out->cache.n_blocks) +
                  pass_bytes(out->pass_tokens, run->n_sequences) +
                  (size_t)run->n_sequences * ((size_t)KV_BLOCKS(run->n_context) + 1) * sizeof(int);
    out->other_bytes = out->other_bytes > SIZE_MAX - more ? SIZE_MAX : out->other_bytes + more;
    return STATUS_OK;
}
