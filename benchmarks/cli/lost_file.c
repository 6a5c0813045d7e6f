#define _GNU_SOURCE /* siginfo_t's si_addr under every C library */
#include "benchmarks/cli/lost_file.h"

#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include "benchmarks/cli/cli.h"

/* A line of /proc/self/maps, "from-to perms offset device inode path", read byte by byte: a signal
 * handler may neither allocate nor use stdio. */
struct map_line {
    uintptr_t bounds[2];
    int field; /* 0, 1: the bounds; 2: before the path; 3: in it */
    char path[PATH_MAX];
    size_t length;
};

static void take_byte(struct map_line *line, char c)
{
    if (line->field < 2) {
        bool is_digit = c >= '0' && c <= '9';
        if (c == '-' || c == ' ')
            line->field++;
        else
            line->bounds[line->field] =
                line->bounds[line->field] * 16 + (uintptr_t)(is_digit ? c - '0' : c - 'a' + 10);
        return;
    }
    if (c == '/') line->field = 3;
    if (line->field == 3 && line->length + 1 < sizeof line->path) line->path[line->length++] = c;
}

/* The file that is mapped at an address; false where there is none. */
static bool find_file(uintptr_t address, struct map_line *line)
{
    char bytes[4096];
    ssize_t n;
    int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
    if (fd < 0) return false;
    memset(line, 0, sizeof *line);
    while ((n = read(fd, bytes, sizeof bytes)) > 0)
        for (ssize_t i = 0; i < n; i++) {
            if (bytes[i] != '\n') {
                take_byte(line, bytes[i]);
                continue;
            }
            if (address >= line->bounds[0] && address < line->bounds[1]) {
                close(fd);
                return line->length > 0;
            }
            memset(line, 0, offsetof(struct map_line, path));
            line->length = 0;
        }
    close(fd);
    return false;
}

/* Back from here the instruction is tried again: a fault of another kind then ends the program as
 * it would have without us. */
static void on_bus_error(int number, siginfo_t *info, void *context)
{
    struct map_line line;
    (void)context;
    if (!find_file((uintptr_t)info->si_addr, &line)) {
        signal(number, SIG_DFL);
        return;
    }
    static const char before[] = "assay: ", after[] = ": was cut short while it was in use\n";
    bool told = write(STDERR_FILENO, before, sizeof before - 1) > 0 &&
                write(STDERR_FILENO, line.path, line.length) > 0 &&
                write(STDERR_FILENO, after, sizeof after - 1) > 0;
    (void)told; /* nobody is left to tell */
    _exit(EXIT_CANNOT_RUN);
}

void lost_file_watch(void)
{
    struct sigaction action = {.sa_flags = SA_SIGINFO};
    action.sa_sigaction = on_bus_error;
    sigemptyset(&action.sa_mask);
    sigaction(SIGBUS, &action, NULL);
}
