#include "engine/kernels/kernels.h"

#include <string.h>

static const struct kernel_set *const sets[] = {
#if defined(__x86_64__)
    &kernels_avx512,
    &kernels_avx2,
#elif defined(__aarch64__) && defined(__linux__)
    &kernels_neon,
#endif
    &kernels_generic,
};

const struct kernel_set *kernel_set_at(size_t i)
{
    return i < sizeof sets / sizeof sets[0] ? sets[i] : NULL;
}

status_code kernel_set_select(const struct kernel_set **out, const char *name, struct status *st)
{
    bool automatic = !name || strcmp(name, "auto") == 0;
    const struct kernel_set *set;
    for (size_t i = 0; (set = kernel_set_at(i)) != NULL; i++) {
        if (!automatic && strcmp(name, set->name) != 0) continue;
        if (set->supported()) {
            *out = set;
            return STATUS_OK;
        }
        if (!automatic)
            return status_set(st, STATUS_UNSUPPORTED,
                              "kernels \"%s\" need instructions that this processor lacks", name);
    }
    return status_set(st, STATUS_USAGE, "there are no kernels \"%s\"; try auto or generic", name);
}
