/* suite.h - one CUnit program per module.
 *
 *   static const struct test_case tests[] = {{"what is true", test_function}, ...};
 *   SUITE("module", tests)
 *
 * The program exits with 1 when an assertion failed or when no test ran.
 */
#ifndef ASSAY_TESTS_SUITE_H
#define ASSAY_TESTS_SUITE_H

#include <CUnit/Basic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/base/status.h"

struct test_case {
    const char *name;
    void (*run)(void);
};

/* The call succeeded; prints the message where it did not. */
#define ASSERT_OK(call)                                                                            \
    do {                                                                                           \
        status_code code_ = (call);                                                                \
        if (code_ != STATUS_OK) fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, st.message);    \
        CU_ASSERT_EQUAL_FATAL(code_, STATUS_OK);                                                   \
    } while (0)

/* The call failed with this code, and its message holds this text. */
#define ASSERT_FAILS(call, expected_code, expected_text)                                           \
    do {                                                                                           \
        status_code code_ = (call);                                                                \
        bool says_ = code_ != STATUS_OK && strstr(st.message, (expected_text)) != NULL;            \
        if (code_ != (expected_code) || !says_)                                                    \
            fprintf(stderr, "%s:%d: code %d, message \"%s\", expected %d and \"%s\"\n", __FILE__,  \
                    __LINE__, (int)code_, st.message, (int)(expected_code), (expected_text));      \
        CU_ASSERT_EQUAL(code_, (expected_code));                                                   \
        CU_ASSERT_TRUE(says_);                                                                     \
    } while (0)

/* The path of a file below ../shared, or NULL (after saying so) where shared data is absent. */
static inline const char *shared_path(const char *relative)
{
    static char path[1024];
    snprintf(path, sizeof path, "../shared/%s", relative);
    if (access(path, R_OK) == 0) return path;
    fprintf(stderr, "  skipped: ../shared/%s is not here\n", relative);
    return NULL;
}

static inline int suite_run(const char *name, const struct test_case *tests, size_t n)
{
    if (CU_initialize_registry() != CUE_SUCCESS) return 1;
    CU_pSuite suite = CU_add_suite(name, NULL, NULL);
    for (size_t i = 0; suite && i < n; i++)
        if (!CU_add_test(suite, tests[i].name, tests[i].run)) suite = NULL;
    if (!suite) return 1;
    CU_basic_set_mode(CU_BRM_NORMAL);
    CU_basic_run_tests();
    bool good = CU_get_number_of_tests_run() == n && CU_get_number_of_failures() == 0;
    printf("suite %s: %u run, %u failed\n", name, CU_get_number_of_tests_run(),
           CU_get_number_of_tests_failed());
    CU_cleanup_registry();
    return good ? 0 : 1;
}

#define SUITE(name, tests)                                                                         \
    int main(void)                                                                                 \
    {                                                                                              \
        return suite_run(name, tests, sizeof(tests) / sizeof(tests)[0]);                           \
    }

#endif
