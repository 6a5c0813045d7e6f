/* Descriptor closing, group dropping and wait4() are not in POSIX. */
#define _GNU_SOURCE

#include "benchmarks/sandbox_process.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define NOBODY        65534 /* the overflow uid of Linux: owns nothing */
#define SCRATCH_BYTES "67108864"
#define FILE_BYTES    (16u << 20)
#define OPEN_FILES    64
#define MAX_ARGUMENTS 96

/* Where the child finds its descriptors; 3 is read by bubblewrap itself. */
enum { FD_FILTER = 3, FD_CHANNEL = 4, FD_VERDICT = 6, FD_UNUSED = 7 };

/* ---- seccomp ---- */

#if defined(__x86_64__)
#define FILTER_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define FILTER_ARCH AUDIT_ARCH_AARCH64
#endif

#define LOAD(field)  BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define RETURN(what) BPF_STMT(BPF_RET | BPF_K, (what))
#define REFUSE(code) RETURN(SECCOMP_RET_ERRNO | (code))
#define DENY(number) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (number), 0, 1), REFUSE(EPERM)

#ifdef FILTER_ARCH
static const struct sock_filter seccomp_filter[] = {
    LOAD(arch),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, FILTER_ARCH, 1, 0),
    RETURN(SECCOMP_RET_KILL_PROCESS),
    LOAD(nr),
#ifdef __x86_64__
    /* The x32 calls have numbers of their own, which the list below does not know. */
    BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 0x40000000, 0, 1),
    REFUSE(EPERM),
#endif
    /* Its flags are in memory, where a filter cannot look; the C library then uses clone(). */
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone3, 0, 1),
    REFUSE(ENOSYS),
    /* Threads, but no processes. */
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone, 0, 4),
    LOAD(args[0]),
    BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, CLONE_THREAD, 1, 0),
    REFUSE(EPERM),
    RETURN(SECCOMP_RET_ALLOW),
#ifdef SYS_fork
    DENY(SYS_fork),
    DENY(SYS_vfork),
#endif
    DENY(SYS_socket),
    DENY(SYS_ptrace),
    DENY(SYS_process_vm_readv),
    DENY(SYS_process_vm_writev),
    DENY(SYS_unshare),
    DENY(SYS_setns),
    DENY(SYS_mount),
    DENY(SYS_umount2),
    DENY(SYS_pivot_root),
    DENY(SYS_chroot),
    DENY(SYS_name_to_handle_at),
    DENY(SYS_open_by_handle_at),
    DENY(SYS_memfd_create),
    DENY(SYS_shmget),
    DENY(SYS_msgget),
    DENY(SYS_semget),
    DENY(SYS_mq_open),
    DENY(SYS_bpf),
    DENY(SYS_perf_event_open),
    DENY(SYS_userfaultfd),
    DENY(SYS_io_uring_setup),
    DENY(SYS_add_key),
    DENY(SYS_request_key),
    DENY(SYS_keyctl),
    DENY(SYS_kexec_load),
    DENY(SYS_init_module),
    DENY(SYS_finit_module),
    DENY(SYS_delete_module),
    DENY(SYS_reboot),
    DENY(SYS_swapon),
    DENY(SYS_swapoff),
    DENY(SYS_quotactl),
    RETURN(SECCOMP_RET_ALLOW),
};
#define FILTER_BYTES sizeof seccomp_filter

static const void *filter_bytes(void)
{
    return seccomp_filter;
}
#else
#define FILTER_BYTES 0

static const void *filter_bytes(void)
{
    return NULL;
}
#endif

bool sandbox_has_seccomp(void)
{
    return filter_bytes() != NULL;
}

/* ---- descriptors ---- */

int sandbox_move_fd(int fd)
{
    if (fd < 0) return -1;
    int moved = fcntl(fd, F_DUPFD_CLOEXEC, SANDBOX_FIRST_FREE_FD);
    close(fd);
    return moved;
}

bool sandbox_pipe(int ends[2])
{
    int raw[2];
    ends[0] = ends[1] = -1;
    if (pipe(raw) != 0) return false;
    ends[0] = sandbox_move_fd(raw[0]);
    ends[1] = sandbox_move_fd(raw[1]);
    return ends[0] >= 0 && ends[1] >= 0;
}

/* A pipe that already holds the filter. */
static int open_filter(void)
{
    int ends[2];
    bool good =
        sandbox_pipe(ends) && write(ends[1], filter_bytes(), FILTER_BYTES) == (ssize_t)FILTER_BYTES;
    close(ends[1]);
    if (good) return ends[0];
    close(ends[0]);
    return -1;
}

/* ---- the command line ---- */

struct arguments {
    const char *list[MAX_ARGUMENTS + 1];
    int n;
};

static void add(struct arguments *a, const char *const *words)
{
    for (; *words; words++) {
        BUG_IF(a->n == MAX_ARGUMENTS);
        a->list[a->n++] = *words;
    }
    a->list[a->n] = NULL;
}
#define ADD(a, ...) add((a), (const char *const[]){__VA_ARGS__, NULL})

static void build_arguments(struct arguments *a, const struct sandbox_setup *setup,
                            const struct sandbox_process *process)
{
    ADD(a, setup->bwrap, "--unshare-user", "--unshare-ipc", "--unshare-pid", "--unshare-net",
        "--unshare-uts", "--unshare-cgroup-try", "--die-with-parent", "--new-session");
    ADD(a, "--uid", "65534", "--gid", "65534", "--cap-drop", "ALL", "--hostname", "sandbox");
    ADD(a, "--ro-bind", "/usr", "/usr", "--ro-bind-try", "/etc/ld.so.cache", "/etc/ld.so.cache");
    /* Debian's libraries of linear algebra are links by way of this folder. */
    ADD(a, "--ro-bind-try", "/etc/alternatives", "/etc/alternatives");
    for (int i = 0; setup->libraries[i]; i += 2)
        ADD(a, "--symlink", setup->libraries[i], setup->libraries[i + 1]);
    ADD(a, "--dev-bind", "/dev/null", "/dev/null", "--dev-bind", "/dev/zero", "/dev/zero",
        "--dev-bind", "/dev/urandom", "/dev/urandom");
    ADD(a, "--size", SCRATCH_BYTES, "--tmpfs", "/tmp", "--remount-ro", "/", "--chdir", "/tmp");
    /* A fixed hash seed: the order of a set may not differ from run to run. */
    ADD(a, "--clearenv", "--setenv", "PATH", "/usr/bin", "--setenv", "LC_ALL", "C.UTF-8",
        "--setenv", "PYTHONHASHSEED", "0");
    if (sandbox_has_seccomp()) ADD(a, "--seccomp", "3");
    ADD(a, "--", setup->python, "-S", "-s", "-B", "-c", process->script);
    if (process->argument) ADD(a, process->argument);
}

/* ---- the child ---- */

static bool limit(__rlimit_resource_t resource, unsigned long long soft, unsigned long long hard)
{
    const struct rlimit bound = {(rlim_t)soft, (rlim_t)hard};
    return setrlimit(resource, &bound) == 0;
}

static bool set_limits(const struct sandbox_setup *setup)
{
    unsigned long long cpu = (unsigned long long)setup->cpu_seconds;
    return limit(RLIMIT_CPU, cpu, cpu + 1) &&
           limit(RLIMIT_AS, setup->memory_bytes, setup->memory_bytes) &&
           limit(RLIMIT_FSIZE, FILE_BYTES, FILE_BYTES) &&
           limit(RLIMIT_NOFILE, OPEN_FILES, OPEN_FILES) && limit(RLIMIT_CORE, 0, 0);
}

static bool place(int fd, int at)
{
    return fd < 0 || dup2(fd, at) == at;
}

static bool place_descriptors(const struct sandbox_process *process, int nothing, int filter)
{
    int output = process->output >= 0 ? process->output : nothing;
    if (!place(process->input >= 0 ? process->input : nothing, 0) || !place(output, 1) ||
        !place(output, 2) || !place(filter, FD_FILTER) || !place(process->channel, FD_CHANNEL) ||
        !place(process->verdict, FD_VERDICT))
        return false;
    if (filter < 0) close(FD_FILTER);
    if (process->channel < 0) close(FD_CHANNEL);
    close(FD_CHANNEL + 1);
    if (process->verdict < 0) close(FD_VERDICT);
    return syscall(SYS_close_range, FD_UNUSED, ~0u, 0) == 0 || errno == ENOSYS;
}

static bool become_nobody(void)
{
    return setgroups(0, NULL) == 0 && setgid(NOBODY) == 0 && setuid(NOBODY) == 0;
}

/* Between fork() and exec() only system calls: the program may have other threads. */
_Noreturn static void run_child(const struct sandbox_setup *setup,
                                const struct sandbox_process *process, const struct arguments *a,
                                int nothing, int filter)
{
    setpgid(0, 0);
    if (place_descriptors(process, nothing, filter) && set_limits(setup) &&
        (!setup->drop_root || become_nobody()))
        execv(setup->bwrap, (char *const *)(uintptr_t)a->list);
    _Exit(127);
}

status_code sandbox_process_start(pid_t *pid, const struct sandbox_setup *setup,
                                  const struct sandbox_process *process, struct status *st)
{
    struct arguments arguments = {.n = 0};
    build_arguments(&arguments, setup, process);
    int nothing = sandbox_move_fd(open("/dev/null", O_RDWR | O_CLOEXEC));
    int filter = sandbox_has_seccomp() ? open_filter() : SANDBOX_NO_FD;
    *pid = -1;
    if (nothing >= 0 && (filter >= 0 || !sandbox_has_seccomp())) *pid = fork();
    if (*pid == 0) run_child(setup, process, &arguments, nothing, filter);
    int error = errno;
    if (nothing >= 0) close(nothing);
    if (filter >= 0) close(filter);
    if (*pid < 0) return status_set(st, STATUS_IO, "cannot start a sandbox: %s", strerror(error));
    setpgid(*pid, *pid); /* in both, so that neither has to wait for the other */
    return STATUS_OK;
}
