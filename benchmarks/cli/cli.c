#include "benchmarks/cli/cli.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/base/limits.h"

bool cli_parse(const struct command *self, const struct option_row *rows, int n_rows, int argc,
               const char **argv, struct command_line *words, int *exit_code)
{
    struct status st = {0};
    if (options_parse(rows, n_rows, argc, argv, words, &st) != STATUS_OK) {
        *exit_code = cli_usage_error(self, "%s", st.message);
        return false;
    }
    if (!words->help) return true;
    printf("usage: assay %s %s\n\n%s\n", self->name, self->usage, self->summary);
    if (n_rows) printf("\n");
    options_print(rows, n_rows, stdout);
    *exit_code = EXIT_DONE;
    return false;
}

static int exit_code_for(status_code code)
{
    if (code == STATUS_OK) return EXIT_DONE;
    if (code == STATUS_USAGE) return EXIT_USAGE;
    if (code == STATUS_INTERRUPTED) return EXIT_INTERRUPTED;
    return EXIT_CANNOT_RUN;
}

int cli_fail(const struct status *st)
{
    fprintf(stderr, "assay: %s\n", st->message);
    return exit_code_for(st->code);
}

int cli_usage_error(const struct command *self, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fprintf(stderr, "assay %s: ", self->name);
    vfprintf(stderr, format, args);
    fprintf(stderr, "\nusage: assay %s %s\n", self->name, self->usage);
    va_end(args);
    return EXIT_USAGE;
}

status_code cli_flush(struct status *st)
{
    if (fflush(stdout) == 0) return STATUS_OK;
    return status_set(st, STATUS_IO, "standard output: %s", strerror(errno));
}

status_code cli_write_line(void *unused, struct text line, struct status *st)
{
    (void)unused;
    if (fwrite(line.data, 1, line.length, stdout) == line.length) return STATUS_OK;
    return status_set(st, STATUS_IO, "standard output: %s", strerror(errno));
}

status_code cli_write(const struct strbuf *text, struct status *st)
{
    status_code code = cli_write_line(NULL, (struct text){text->data, text->length}, st);
    return code == STATUS_OK ? cli_flush(st) : code;
}

static bool write_whole(const char *path, const struct strbuf *text)
{
    FILE *file = fopen(path, "wb");
    if (!file) return false;
    bool good = fwrite(text->data, 1, text->length, file) == text->length;
    return fclose(file) == 0 && good;
}

/* A link, a pipe or a device is written through: renaming would put a file in its place. */
static bool is_special(const char *path)
{
    struct stat info;
    return lstat(path, &info) == 0 && !S_ISREG(info.st_mode);
}

status_code cli_write_file(const char *path, const struct strbuf *text, struct status *st)
{
    char temporary[PATH_MAX];
    int n = snprintf(temporary, sizeof temporary, "%s.part", path);
    if (n < 0 || (size_t)n >= sizeof temporary)
        return status_set(st, STATUS_USAGE, "%s: the path is too long", path);
    if (is_special(path)) {
        if (write_whole(path, text)) return STATUS_OK;
        return status_set(st, STATUS_IO, "%s: %s", path, strerror(errno));
    }
    if (write_whole(temporary, text) && rename(temporary, path) == 0) return STATUS_OK;
    status_set(st, STATUS_IO, "%s: %s", path, strerror(errno));
    remove(temporary);
    return st->code;
}

/* Waits for more input; none is the end. */
static status_code refill(struct cli_input *in, struct status *st)
{
    ssize_t n;
    if (cli_flush(st) != STATUS_OK) return st->code;
    while ((n = read(STDIN_FILENO, in->bytes, sizeof in->bytes)) < 0 && errno == EINTR) continue;
    if (n < 0) return status_set(st, STATUS_IO, "standard input: %s", strerror(errno));
    in->next = 0;
    in->end = (size_t)n;
    return STATUS_OK;
}

status_code cli_read_line(struct cli_input *in, struct strbuf *line, bool *more, struct status *st)
{
    const char *newline = NULL;
    strbuf_clear(line);
    *more = false;
    while (!newline) {
        if (in->next == in->end && refill(in, st) != STATUS_OK) return st->code;
        if (in->next == in->end) break;
        const char *start = in->bytes + in->next;
        newline = memchr(start, '\n', in->end - in->next);
        size_t n = newline ? (size_t)(newline - start) : in->end - in->next;
        strbuf_append(line, start, n);
        in->next += n + (newline != NULL);
        *more = true;
    }
    return strbuf_check(line, "a line of standard input", st);
}

void cli_append_word(struct strbuf *out, const char *word)
{
    if (*word && !word[strcspn(word, " \t\r\n\"'\\$*?;&|<>()[]{}~#!`")]) {
        strbuf_append_str(out, word);
        return;
    }
    strbuf_append_char(out, '\'');
    for (const char *p = word; *p; p++)
        if (*p == '\'')
            strbuf_append_str(out, "'\\''");
        else
            strbuf_append_char(out, *p);
    strbuf_append_char(out, '\'');
}

void cli_append_command_line(struct strbuf *out, int argc, const char **argv)
{
    strbuf_append_str(out, "assay");
    for (int i = 0; i < argc; i++) {
        strbuf_append_char(out, ' ');
        cli_append_word(out, argv[i]);
    }
}

static void write_log(void *user, enum log_level level, const char *message)
{
    (void)user;
    fprintf(stderr, "assay: %s%s\n", level == LOG_WARNING ? "warning: " : "", message);
}

const struct logger cli_logger = {.write = write_log};

/* The folder `up` levels above the program's own, or false where the system does not tell. */
static bool program_ancestor(int up, char *out, size_t size)
{
    ssize_t n = readlink("/proc/self/exe", out, size - 1);
    out[n > 0 ? n : 0] = '\0';
    for (int i = 0; i <= up; i++) {
        char *slash = strrchr(out, '/');
        if (!slash) return false;
        *slash = '\0';
    }
    return true;
}

const char *cli_demo_dir(void)
{
    static const struct {
        int up;
        const char *below;
    } places[] = {{2, "/datasets/demo"}, {1, "/share/assay/demo"}};
    static char path[PATH_MAX];
    char directory[PATH_MAX - 64];
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        if (!program_ancestor(places[i].up, directory, sizeof directory)) continue;
        snprintf(path, sizeof path, "%s%s", directory, places[i].below);
        if (access(path, R_OK) == 0) return path;
    }
    return NULL;
}

struct dataset_lookup cli_lookup(const char *data_dir)
{
    return (struct dataset_lookup){.data_dir = data_dir, .demo_dir = cli_demo_dir()};
}

const char *cli_model_path(const char *name)
{
    static char path[PATH_MAX + 16];
    const char *demo = cli_demo_dir();
    if (strcmp(name, "demo") != 0 || !demo) return name;
    snprintf(path, sizeof path, "%s/model.gguf", demo);
    return path;
}

status_code cli_settle_chat(struct cli_chat *chat, struct status *st)
{
    const struct chat_options *o = &chat->options;
    chat->on |= o->template || o->system || chat->system_as || chat->multiturn;
    if (chat->system_as && !chat_system_as_find(chat->system_as, &chat->options.system_as))
        return status_set(st, STATUS_USAGE, "--system-as: drop, prepend-user or error");
    if (!chat->multiturn || strcmp(chat->multiturn, "true") == 0) return STATUS_OK;
    if (strcmp(chat->multiturn, "false") != 0)
        return status_set(st, STATUS_USAGE, "--fewshot-as-multiturn: true or false");
    chat->options.fewshot_in_one_turn = true;
    return STATUS_OK;
}

status_code cli_settle_guard(const char **policy, const char *mode_name, enum guard_mode *mode,
                             struct status *st)
{
    *mode = *policy ? GUARD_ENFORCE : GUARD_OFF;
    if (mode_name && !guard_mode_find(mode_name, mode))
        return status_set(st, STATUS_USAGE, "--guard-mode \"%s\": off, shadow or enforce",
                          mode_name);
    if (*mode == GUARD_OFF) *policy = NULL;
    if (*mode != GUARD_OFF && !*policy)
        return status_set(st, STATUS_USAGE, "--guard-mode %s needs --guard POLICY", mode_name);
    return STATUS_OK;
}

status_code cli_classifier_open(struct classifier **out, const char *spec, const char *endpoint,
                                const struct score_cache *cache, struct status *st)
{
    char whole[4096];
    if (!endpoint) return classifier_open_cached(out, spec, cache, st);
    int n = snprintf(whole, sizeof whole, "%s:%s", spec, endpoint);
    if (n < 0 || (size_t)n >= sizeof whole || strchr(spec, ':'))
        return status_set(st, STATUS_USAGE,
                          "--endpoint %.100s: goes with --classifier perspective or moderation",
                          endpoint);
    return classifier_open_cached(out, whole, cache, st);
}

status_code cli_pipeline_open(struct pipeline **pipeline, struct policy **policy, const char *name,
                              enum guard_stage stage, enum guard_mode mode,
                              const struct score_cache *cache, struct status *st)
{
    status_code code = policy_load(policy, name, st);
    if (code == STATUS_OK && !policy_get_info(*policy)->stage[stage].present)
        code = status_set(st, STATUS_USAGE, "policy %s has no %s stage", name,
                          guard_stage_name(stage));
    return code == STATUS_OK ? pipeline_create_cached(pipeline, *policy, mode, cache, st) : code;
}
