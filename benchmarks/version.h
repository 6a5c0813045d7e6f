/* version.h - which program produced a number: recorded with every run. */
#ifndef ASSAY_VERSION_H
#define ASSAY_VERSION_H

#define ASSAY_VERSION "0.1.0"

const char *version_commit(void);      /* the git commit, "-dirty" behind it where files differ */
const char *version_compiler(void);    /* "gcc 12.2.0" */
const char *version_build_flags(void); /* those that can change a result */

#endif
