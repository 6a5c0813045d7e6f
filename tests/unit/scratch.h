/* scratch.h - files for a test, in a folder of its own that is removed at the end.
 *
 *   const char *path = PUT("gsm8k/test.jsonl", "{...}");   makes scratch/gsm8k/test.jsonl
 */
#ifndef ASSAY_TESTS_SCRATCH_H
#define ASSAY_TESTS_SCRATCH_H

#include <sys/stat.h>

#include "tests/unit/suite.h"

static char scratch[64];   /* a folder of this program's own */
static char made[64][160]; /* what is in it, folders before their files */
static size_t n_made;

static inline void remember(const char *path)
{
    for (size_t i = 0; i < n_made; i++)
        if (!strcmp(made[i], path)) return;
    CU_ASSERT_FATAL(n_made < sizeof made / sizeof *made);
    snprintf(made[n_made++], sizeof *made, "%s", path);
}

static inline void clean(void)
{
    while (n_made) remove(made[--n_made]);
}

static inline void make_scratch(void)
{
    if (*scratch) return;
    strcpy(scratch, "/tmp/assay_test_XXXXXX");
    CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(scratch));
    remember(scratch);
    atexit(clean);
}

/* Writes scratch/relative, making its folders, and returns the path. */
static inline const char *put(const char *relative, const char *bytes, size_t n)
{
    static char path[160];
    make_scratch();
    snprintf(path, sizeof path, "%s/%s", scratch, relative);
    for (char *slash = path + strlen(scratch) + 1; (slash = strchr(slash, '/')) != NULL; slash++) {
        *slash = '\0';
        mkdir(path, 0700);
        remember(path);
        *slash = '/';
    }
    remember(path);
    FILE *file = fopen(path, "wb");
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    CU_ASSERT_EQUAL_FATAL(fwrite(bytes, 1, n, file), n);
    fclose(file);
    return path;
}

#define PUT(relative, literal) put(relative, literal, sizeof(literal) - 1)

#endif
