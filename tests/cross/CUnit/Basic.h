/* Basic.h - as much of CUnit as kernel tests use, for machines that they are cross-compiled for and
 * whose CUnit is not at hand: names and meaning are CUnit's, the output is what suite.h prints.
 *
 * One program is one suite; a failed assertion says where, and the rest of its test runs on unless
 * the assertion is fatal, which ends the program. */
#ifndef ASSAY_TESTS_CROSS_CUNIT_H
#define ASSAY_TESTS_CROSS_CUNIT_H

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef void (*CU_TestFunc)(void);
typedef struct {
    CU_TestFunc tests[64];
    unsigned n, run, failed_tests, failures;
} * CU_pSuite;

enum { CUE_SUCCESS, CU_BRM_NORMAL };

static inline CU_pSuite cross_suite(void)
{
    static __typeof__(*(CU_pSuite)0) suite;
    return &suite;
}

static inline void cross_assert(int holds, int fatal, const char *what, const char *file, int line)
{
    if (holds) return;
    printf("%s:%d: %s\n", file, line, what);
    cross_suite()->failures++;
    if (fatal) exit(1);
}

#define CROSS_ASSERT(holds, fatal)       cross_assert((holds), (fatal), #holds, __FILE__, __LINE__)
#define CU_ASSERT_TRUE(x)                CROSS_ASSERT((x), 0)
#define CU_ASSERT_FALSE(x)               CROSS_ASSERT(!(x), 0)
#define CU_ASSERT_EQUAL(a, b)            CROSS_ASSERT((a) == (b), 0)
#define CU_ASSERT_EQUAL_FATAL(a, b)      CROSS_ASSERT((a) == (b), 1)
#define CU_ASSERT_PTR_NULL(p)            CROSS_ASSERT((p) == NULL, 0)
#define CU_ASSERT_PTR_NOT_NULL_FATAL(p)  CROSS_ASSERT((p) != NULL, 1)
#define CU_ASSERT_STRING_EQUAL(a, b)     CROSS_ASSERT(strcmp((a), (b)) == 0, 0)
#define CU_ASSERT_DOUBLE_EQUAL(a, b, by) CROSS_ASSERT(fabs((a) - (b)) <= fabs(by), 0)

static inline int CU_initialize_registry(void)
{
    return CUE_SUCCESS;
}

static inline CU_pSuite CU_add_suite(const char *name, void *before, void *after)
{
    (void)name, (void)before, (void)after;
    return cross_suite();
}

static inline int CU_add_test(CU_pSuite suite, const char *name, CU_TestFunc test)
{
    (void)name;
    if (suite->n == sizeof suite->tests / sizeof suite->tests[0]) return 0;
    suite->tests[suite->n++] = test;
    return 1;
}

static inline void CU_basic_set_mode(int mode)
{
    (void)mode;
}

static inline void CU_basic_run_tests(void)
{
    CU_pSuite suite = cross_suite();
    for (; suite->run < suite->n; suite->run++) {
        unsigned before = suite->failures;
        suite->tests[suite->run]();
        if (suite->failures != before) suite->failed_tests++;
    }
}

static inline unsigned CU_get_number_of_tests_run(void)
{
    return cross_suite()->run;
}

static inline unsigned CU_get_number_of_tests_failed(void)
{
    return cross_suite()->failed_tests;
}

static inline unsigned CU_get_number_of_failures(void)
{
    return cross_suite()->failures;
}

static inline void CU_cleanup_registry(void) {}

#endif
