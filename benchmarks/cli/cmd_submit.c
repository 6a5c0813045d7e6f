/* assay submit: the shards of a run as a Slurm job array, and the merge behind it.
 *
 * Two scripts: F.shards.sh, whose Ith task answers shard I into F.shard-I and goes on where it
 * stopped when Slurm starts it again, and F.merge.sh, which waits for all of them.  Every word is
 * quoted for the shell, and options for sbatch stand on its command line, where nothing reads them
 * twice.
 */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "benchmarks/cli/cli.h"
#include "engine/base/limits.h"

#define MAX_SHARDS 99999
#define JOB_BYTES  64

struct submission {
    int64_t n;
    const char *store;
    struct option_list sbatch; /* options of the user's for it */
    bool dry_run;
    const char *const *words; /* of `assay run` */
    int n_words;
    char program[PATH_MAX];
};

/* ---- which words are whose ---- */

/* How many words this option and its value are, "--name value" or "--name=value"; 0 where the word
 * is another one. */
static int match(const char *name, int argc, const char **argv, int at)
{
    size_t n = strlen(name);
    if (strncmp(argv[at], "--", 2) != 0 || strncmp(argv[at] + 2, name, n) != 0) return 0;
    if (argv[at][2 + n] == '=') return 1;
    if (argv[at][2 + n]) return 0;
    return at + 1 < argc ? 2 : 1;
}

/* Moves submit's own words to the front of argv, where the option table reads them, and returns how
 * many those are; the others follow in order, from *rest. */
static int split_words(int argc, const char **argv, const char **rest, int *n_rest)
{
    static const char *const own[] = {"slurm", "store", "sbatch"};
    int n_own = 1;
    *n_rest = 0;
    for (int i = 1, taken; i < argc; i += taken) {
        taken = strcmp(argv[i], "--dry-run") == 0 || strcmp(argv[i], "-h") == 0 ||
                strcmp(argv[i], "--help") == 0;
        for (size_t k = 0; k < sizeof own / sizeof own[0] && !taken; k++)
            taken = match(own[k], argc, argv, i);
        for (int k = 0; k < taken; k++) argv[n_own++] = argv[i + k];
        if (taken) continue;
        rest[(*n_rest)++] = argv[i];
        taken = 1;
    }
    return n_own;
}

static bool has_option(const struct submission *s, const char *name)
{
    size_t n = strlen(name);
    for (int i = 0; i < s->n_words; i++) {
        const char *word = s->words[i];
        if (strncmp(word, "--", 2) == 0 && strncmp(word + 2, name, n) == 0 &&
            (!word[2 + n] || word[2 + n] == '='))
            return true;
    }
    return false;
}

/* ---- the scripts ---- */

static void append_shards(struct strbuf *out, const struct submission *s)
{
    strbuf_append_str(out, "#!/bin/sh\n# One shard of a run, and again from where it stopped.\n");
    strbuf_append_str(out, "assay=");
    cli_append_word(out, s->program);
    strbuf_append_str(out, "\nstore=");
    cli_append_word(out, s->store);
    strbuf_append_str(out, ".shard-$SLURM_ARRAY_TASK_ID\n"
                           "if [ -s \"$store\" ]; then\n"
                           "    \"$assay\" resume --store \"$store\"\n"
                           "else\n"
                           "    \"$assay\" run");
    for (int i = 0; i < s->n_words; i++) {
        strbuf_append_char(out, ' ');
        cli_append_word(out, s->words[i]);
    }
    if (!has_option(s, "threads"))
        strbuf_append_str(out, " \\\n        ${SLURM_CPUS_PER_TASK:+--threads "
                               "\"$SLURM_CPUS_PER_TASK\"}");
    strbuf_appendf(out,
                   " \\\n        --shard \"$SLURM_ARRAY_TASK_ID/%" PRId64 "\" --store \"$store\"\n"
                   "fi\n"
                   "code=$?\n"
                   "[ $code = 4 ] && code=0 # finished with gaps, which the merge reports\n"
                   "exit $code\n",
                   s->n);
}

static void append_merge(struct strbuf *out, const struct submission *s)
{
    strbuf_append_str(out, "#!/bin/sh\n# All shards as one run.\nstore=");
    cli_append_word(out, s->store);
    strbuf_appendf(out,
                   "\nset --\n"
                   "i=1\n"
                   "while [ $i -le %" PRId64 " ]; do\n"
                   "    set -- \"$@\" \"$store.shard-$i\"\n"
                   "    i=$((i + 1))\n"
                   "done\n"
                   "exec ",
                   s->n);
    cli_append_word(out, s->program);
    strbuf_append_str(out, " merge \"$store\" \"$@\"\n");
}

static void append_sbatch(struct strbuf *out, const struct submission *s, const char *script)
{
    strbuf_append_str(out, "sbatch --parsable");
    for (int i = 0; i < s->sbatch.count; i++) {
        strbuf_append_char(out, ' ');
        cli_append_word(out, s->sbatch.values[i]);
    }
    strbuf_append_char(out, ' ');
    cli_append_word(out, script);
}

static void append_array_command(struct strbuf *out, const struct submission *s, const char *script)
{
    char array[64];
    struct submission with_array = *s;
    snprintf(array, sizeof array, "--array=1-%" PRId64, s->n);
    if (with_array.sbatch.count < OPTION_LIST_MAX)
        with_array.sbatch.values[with_array.sbatch.count++] = array;
    append_sbatch(out, &with_array, script);
}

/* The merge needs little: options that the user gave are for the shards. */
static void append_merge_command(struct strbuf *out, const char *script, const char *job)
{
    struct submission bare = {0};
    char after[JOB_BYTES + 32];
    snprintf(after, sizeof after, "--dependency=afterok:%s", job);
    bare.sbatch.values[bare.sbatch.count++] = after;
    bare.sbatch.values[bare.sbatch.count++] = "--kill-on-invalid-dep=yes";
    append_sbatch(out, &bare, script);
}

/* ---- submitting ---- */

static status_code put_script(const char *path, const struct strbuf *text, struct status *st)
{
    status_code code = strbuf_check(text, "a job script", st);
    if (code == STATUS_OK) code = cli_write_file(path, text, st);
    if (code == STATUS_OK && chmod(path, 0755) != 0)
        code = status_set(st, STATUS_IO, "%s: %s", path, strerror(errno));
    return code;
}

/* Runs a command of sbatch and reads the job's id, which may be followed by ";cluster". */
static status_code run_sbatch(const struct strbuf *command, char job[JOB_BYTES], struct status *st)
{
    if (strbuf_check(command, "the command for sbatch", st) != STATUS_OK) return st->code;
    FILE *answer = popen(command->data, "r");
    if (!answer) return status_set(st, STATUS_IO, "sbatch: %s", strerror(errno));
    char line[256] = "";
    bool any = fgets(line, sizeof line, answer) != NULL;
    while (any && fgetc(answer) != EOF) continue;
    int end = pclose(answer);
    if (WIFEXITED(end) && WEXITSTATUS(end) == 127)
        return status_set(st, STATUS_NOT_FOUND,
                          "sbatch is not here: --dry-run prints the scripts for a machine that has "
                          "it");
    size_t n = strspn(line, "0123456789");
    if (end != 0 || !n || n >= JOB_BYTES)
        return status_set(st, STATUS_IO, "sbatch refused the job (exit code %d)%s%.100s",
                          WIFEXITED(end) ? WEXITSTATUS(end) : -1, *line ? ": " : "", line);
    memcpy(job, line, n);
    job[n] = '\0';
    return STATUS_OK;
}

static status_code submit(const struct submission *s, const char *const scripts[2],
                          struct strbuf *text, struct status *st)
{
    char jobs[2][JOB_BYTES];
    append_shards(text, s);
    status_code code = put_script(scripts[0], text, st);
    strbuf_clear(text);
    append_merge(text, s);
    if (code == STATUS_OK) code = put_script(scripts[1], text, st);
    strbuf_clear(text);
    append_array_command(text, s, scripts[0]);
    if (code == STATUS_OK) code = run_sbatch(text, jobs[0], st);
    if (code != STATUS_OK) return code;
    strbuf_clear(text);
    append_merge_command(text, scripts[1], jobs[0]);
    code = run_sbatch(text, jobs[1], st);
    if (code != STATUS_OK)
        return status_prefix(st, "the shards are job %s (scancel %s), but not the merge", jobs[0],
                             jobs[0]);
    fprintf(stderr, "assay: %" PRId64 " shards are job %s, the merge into %s is job %s\n", s->n,
            jobs[0], s->store, jobs[1]);
    printf("%s\n%s\n", jobs[0], jobs[1]);
    return STATUS_OK;
}

static status_code show(const struct submission *s, const char *const scripts[2],
                        struct strbuf *text, struct status *st)
{
    append_shards(text, s);
    strbuf_append_str(text, "\n# submitted as: ");
    append_array_command(text, s, scripts[0]);
    strbuf_append_str(text, "\n\n");
    append_merge(text, s);
    strbuf_append_str(text, "\n# submitted as: ");
    append_merge_command(text, scripts[1], "JOB");
    strbuf_append_char(text, '\n');
    status_code code = strbuf_check(text, "the job scripts", st);
    return code == STATUS_OK ? cli_write(text, st) : code;
}

/* A store that is there would be resumed, whatever it holds. */
static status_code check_absent(const struct submission *s, struct status *st)
{
    char path[PATH_MAX];
    for (int64_t i = 0; i <= s->n; i++) {
        int n = i ? snprintf(path, sizeof path, "%s.shard-%" PRId64, s->store, i)
                  : snprintf(path, sizeof path, "%s", s->store);
        if (n < 0 || (size_t)n >= sizeof path - 16)
            return status_set(st, STATUS_USAGE, "--store: the path is too long");
        if (access(path, F_OK) == 0)
            return status_set(st, STATUS_USAGE,
                              "%s is there already: a submission makes new stores", path);
    }
    return STATUS_OK;
}

static status_code carry_out(struct submission *s, struct status *st)
{
    char shards[PATH_MAX], merge[PATH_MAX];
    struct strbuf text;
    status_code code = check_absent(s, st);
    if (code != STATUS_OK) return code;
    ssize_t n = readlink("/proc/self/exe", s->program, sizeof s->program - 1);
    if (n <= 0) return status_set(st, STATUS_IO, "/proc/self/exe: %s", strerror(errno));
    s->program[n] = '\0';
    snprintf(shards, sizeof shards, "%s.shards.sh", s->store);
    snprintf(merge, sizeof merge, "%s.merge.sh", s->store);
    strbuf_init(&text, LIMIT_LINE_BYTES);
    code = (s->dry_run ? show : submit)(s, (const char *const[]){shards, merge}, &text, st);
    strbuf_release(&text);
    return code;
}

int cmd_submit(const struct command *self, int argc, const char **argv)
{
    const char *rest[OPTION_LIST_MAX];
    struct submission s = {.store = CLI_DEFAULT_STORE, .words = rest};
    const struct option_row rows[] = {
        {"slurm", OPTION_INT, &s.n, "N", "how many shards", 2, MAX_SHARDS},
        {"store", OPTION_TEXT, &s.store, "FILE",
         "what the shards are merged into (" CLI_DEFAULT_STORE "); theirs are FILE.shard-I", 0, 0},
        {"sbatch", OPTION_LIST, &s.sbatch, "OPTION",
         "for sbatch, such as --sbatch=--partition=long; may be given several times", 0, 0},
        {"dry-run", OPTION_FLAG, &s.dry_run, NULL, "print the scripts, write and submit nothing", 0,
         0},
    };
    struct command_line words;
    struct status st = {0};
    int code;
    if (argc > OPTION_LIST_MAX) return cli_usage_error(self, "at most %d words", OPTION_LIST_MAX);
    argc = split_words(argc, argv, rest, &s.n_words);
    if (!cli_parse(self, rows, sizeof rows / sizeof rows[0], argc, argv, &words, &code))
        return code;
    if (!s.n) return cli_usage_error(self, "--slurm N is missing");
    if (!has_option(&s, "model") || !has_option(&s, "tasks"))
        return cli_usage_error(self, "--model and --tasks are needed, as for run");
    if (has_option(&s, "shard")) return cli_usage_error(self, "--shard is what submit adds");
    if (s.store[0] == '-') return cli_usage_error(self, "--store \"%s\": not a path", s.store);
    if (carry_out(&s, &st) == STATUS_OK) return EXIT_DONE;
    return st.code == STATUS_USAGE ? cli_usage_error(self, "%s", st.message) : cli_fail(&st);
}
