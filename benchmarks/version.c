#include "benchmarks/version.h"

const char *version_commit(void)
{
    return ASSAY_COMMIT;
}

const char *version_compiler(void)
{
#if defined(__clang__)
    return "clang " __clang_version__;
#else
    return "gcc " __VERSION__;
#endif
}

const char *version_build_flags(void)
{
    return ASSAY_BUILD_FLAGS;
}
