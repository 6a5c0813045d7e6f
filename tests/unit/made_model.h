/* made_model.h - a model of random weights as large as a test wants it.
 *
 *   const char *path = made_model("wide.gguf", "--shape gemma-2b --layers 1 --type bf16");
 *
 * tests/make_model.c writes it, as a GGUF file of the scratch folder.
 */
#ifndef ASSAY_TESTS_MADE_MODEL_H
#define ASSAY_TESTS_MADE_MODEL_H

#include <unistd.h>

#include "tests/unit/scratch.h"

/* The path is good until the next call. */
static inline const char *made_model(const char *name, const char *options)
{
    static char path[128];
    char program[512], command[1024];
    ssize_t n = readlink("/proc/self/exe", program, sizeof program - 1);
    CU_ASSERT_FATAL(n > 0);
    program[n] = '\0';
    for (int up = 0; up < 2; up++) *strrchr(program, '/') = '\0';
    make_scratch();
    snprintf(path, sizeof path, "%s/%s", scratch, name);
    remember(path);
    snprintf(command, sizeof command, "%s/make_model --format gguf %s %s >/dev/null", program,
             options, path);
    CU_ASSERT_EQUAL_FATAL(system(command), 0);
    return path;
}

#endif
