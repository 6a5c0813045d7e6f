/* sandbox_process.h - one Python process inside bubblewrap; for the sandbox only.
 *
 *   setup + script + descriptors -> sandbox_process_start() -> a process group to wait for or kill
 *
 * Inside, descriptor 0 is `input`, 1 and 2 are `output`, 4 is `channel` and 6 is `verdict`, where
 * they are given; 1 and 2 are /dev/null where `output` is not.
 */
#ifndef ASSAY_SANDBOX_PROCESS_H
#define ASSAY_SANDBOX_PROCESS_H

#include <sys/types.h>

#include "engine/base/status.h"

#define SANDBOX_NO_FD (-1)

struct sandbox_setup {
    const char *bwrap;
    const char *python;
    const char *libraries[8]; /* pairs: "usr/lib" and "/lib" for --symlink; NULL ends the list */
    bool drop_root; /* become "nobody" first: limits on a user's processes do not bind root */
    int cpu_seconds;
    unsigned long long memory_bytes;
};

struct sandbox_process {
    const char *script;
    const char *argument; /* sys.argv[1], or NULL */
    int input, output, channel, verdict;
};

/* Whether this build has a seccomp filter for the machine. */
bool sandbox_has_seccomp(void);

/* All descriptors must be above SANDBOX_FIRST_FREE_FD. */
#define SANDBOX_FIRST_FREE_FD 16
status_code sandbox_process_start(pid_t *pid, const struct sandbox_setup *setup,
                                  const struct sandbox_process *process,
                                  struct status *st) MUST_CHECK;

/* A descriptor above SANDBOX_FIRST_FREE_FD that no other program inherits, in place of `fd`, which
 * is closed; -1 when there is none. */
int sandbox_move_fd(int fd);

/* pipe() of such descriptors. */
bool sandbox_pipe(int ends[2]);

#endif
