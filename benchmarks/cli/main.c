/* assay - measures what a language model can do, how toxic it is, and what a safety filter costs.
 */
#include <locale.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "benchmarks/cli/cli.h"
#include "benchmarks/cli/lost_file.h"
#include "benchmarks/name_guess.h"
#include "benchmarks/version.h"

static const struct command commands[] = {
    {"run", "--model M --tasks T[,T...] [options]", "evaluate a model and print the table", cmd_run,
     true},
    {"resume", "[RUN] [--store F]", "continue a run that was interrupted", cmd_resume, true},
    {"status", "[RUN] [--store F]", "how far a run is", cmd_status, false},
    {"table", "[RUN...] [--store F]", "print the benchmark table of a run", cmd_table, false},
    {"compare", "A B [--store F]", "compare two runs document by document", cmd_compare, false},
    {"gate", "--baseline A --candidate B [options]", "fail when B is worse than A, for CI",
     cmd_gate, false},
    {"guard-price", "[RUN] [--sweep] [--store F]", "what a guard cost and what it kept out",
     cmd_guard_price, false},
    {"report", "[RUN...] --out F.html [--store F]", "write one self-contained HTML page",
     cmd_report, false},
    {"export",
     "[RUN...] --format jsonl|csv|lm-eval|llm-comparator [--out DIR] [--data DIR] [--store F]",
     "write runs' replies for other programs", cmd_export, false},
    {"generate", "--model M [--guard POLICY] [--chat] [options] PROMPT", "one guarded reply",
     cmd_generate, true},
    {"score", "--task T --replies F.jsonl [options]",
     "score replies made elsewhere; needs no model", cmd_score, false},
    {"merge", "OUT IN IN... [options]", "join the stores of a run's shards", cmd_merge, false},
    {"submit", "--slurm N [--store F] [--sbatch OPTION] [--dry-run] OPTIONS OF RUN",
     "run shards as a Slurm job array, and merge them", cmd_submit, false},
    {"rescore", "[RUN] [--classifier C] [options]",
     "score a run's stored replies again, as a run of its own", cmd_rescore, false},
    {"prompts", "--task T [options]", "print the prompts of a task as JSON lines", cmd_prompts,
     false},
    {"classify", "[--classifier C [--explain] | --policy P] < F.jsonl",
     "hazard scores of {\"text\": ...} lines, or a policy's verdicts", cmd_classify, true},
    {"guard-eval", "--data F [--classifier C | --policy P] [options]",
     "how good a classifier or a policy is on labelled text", cmd_guard_eval, true},
    {"train", "--data F --out F [options]", "labelled text to a small classifier", cmd_train, true},
    {"tokenize", "--model M [--bos] < F.jsonl", "token ids of {\"text\": ...} lines", cmd_tokenize,
     false},
    {"logits", "--model M --tokens F --out F", "raw logits for token ids, as little-endian float32",
     cmd_logits, true},
    {"inspect", "PATH [--json]", "what a model's files are, and the memory they will need",
     cmd_inspect, false},
    {"convert", "IN OUT --type T", "a model's files to one GGUF file, quantised", cmd_convert,
     true},
    {"speed", "--model M [options]", "prefill and decode rates, beside what the machine can do",
     cmd_speed, true},
    {"fetch", "dataset NAME | model ORG/NAME [options]", "download a dataset or a model, checked",
     cmd_fetch, false},
    {"list", "tasks|models|datasets|classifiers", "what there is", cmd_list, false},
};

#define N_COMMANDS (sizeof commands / sizeof commands[0])

static void print_usage(FILE *out)
{
    fprintf(out, "usage: assay COMMAND [options]\n\n"
                 "Measures what a language model can do, how toxic it is, and what a safety filter "
                 "costs.\n\n");
    for (size_t i = 0; i < N_COMMANDS; i++)
        fprintf(out, "  %-11s %s\n", commands[i].name, commands[i].summary);
    fprintf(out, "\nassay COMMAND -h explains a command.  assay --version says which program this "
                 "is.\n\n"
                 "exit codes: 0 done, 1 gate failed, 2 usage, 3 cannot run, 4 incomplete,\n"
                 "            5 gate inconclusive, 130 interrupted\n");
}

/* Turns of gcc's runtime, some tens of microseconds in all: threads that compute one token meet two
 * hundred times, and going to sleep and being woken each time is a tenth of the work. */
#define SHORT_SPIN "2000"

/* The threads of an OpenMP runtime spin while they wait for each other.  On a machine that others
 * use, a CI runner above all, that costs more than the work itself; and the runtime reads its
 * policy when it is loaded.  So the program starts once more with the policy set.  Where it cannot,
 * or where the user has chosen one, it goes on as it is. */
static void wait_passively(char **argv)
{
    if (!getenv("OMP_WAIT_POLICY") && setenv("OMP_WAIT_POLICY", "passive", 1) == 0 &&
        setenv("GOMP_SPINCOUNT", SHORT_SPIN, 0) == 0)
        execv("/proc/self/exe", argv);
}

static int unknown_command(const char *word)
{
    struct name_guess meant;
    char hint[NAME_GUESS_HINT_SIZE];
    name_guess_init(&meant, text_of(word));
    for (size_t i = 0; i < N_COMMANDS; i++) name_guess_consider(&meant, commands[i].name);
    fprintf(stderr, "assay: there is no command \"%s\"%s; assay -h lists them\n", word,
            name_guess_hint(&meant, "", hint));
    return EXIT_USAGE;
}

int main(int argc, char **argv)
{
    setlocale(LC_NUMERIC, "C");
    signal(SIGPIPE, SIG_IGN); /* a closed pipe is a write error with a message, not a death */
    lost_file_watch();
    if (argc < 2) {
        print_usage(stderr);
        return EXIT_USAGE;
    }
    if (strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "--help") == 0 ||
        strcmp(argv[1], "help") == 0) {
        print_usage(stdout);
        return EXIT_DONE;
    }
    if (strcmp(argv[1], "--version") == 0) {
        printf("assay %s (%s, %s)\n", ASSAY_VERSION, version_commit(), version_compiler());
        return EXIT_DONE;
    }
    for (size_t i = 0; i < N_COMMANDS; i++)
        if (strcmp(argv[1], commands[i].name) == 0) {
            if (commands[i].computes) wait_passively(argv);
            return commands[i].run(&commands[i], argc - 1, (const char **)(void *)(argv + 1));
        }
    return unknown_command(argv[1]);
}
