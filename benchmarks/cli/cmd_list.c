/* assay list: tasks, models, datasets, classifiers. */
#include <dirent.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "benchmarks/cli/cli.h"
#include "benchmarks/task_registry.h"
#include "classifiers/classifier.h"
#include "classifiers/policy.h"
#include "engine/base/json.h"

static void list_tasks(void)
{
    for (size_t i = 0; i < task_registry_count(); i++) {
        const struct task *task = task_registry_at(i);
        const char *group;
        printf("%-28s profile %s, version %s, %d-shot: %s\n", task->name, task->profile,
               task->version, task->num_fewshot, task->summary);
        /* Profiles of a task have the same parts, which are named once. */
        const struct task *last = i ? task_registry_at(i - 1) : NULL;
        if (last && strcmp(last->name, task->name) == 0) continue;
        for (size_t g = 0; (group = task_group_at(task, g)) != NULL; g++)
            printf("  %-26s group\n", group);
        for (const struct task_subset *s = task->subsets; s && s->name; s++)
            printf("  %s_%s\n", task->name, s->name);
    }
}

/* The entries of a folder whose name starts with `prefix`, as hub names. */
static void list_folder(const char *folder, const char *prefix)
{
    DIR *dir = opendir(folder);
    const struct dirent *entry;
    if (!dir) return; /* a cache that is not there is empty */
    while ((entry = readdir(dir)) != NULL) {
        size_t n = strlen(prefix);
        if (entry->d_name[0] == '.' || strncmp(entry->d_name, prefix, n) != 0) continue;
        const char *name = entry->d_name + n, *dashes = strstr(name, "--");
        if (n && dashes)
            printf("%.*s/%s\n", (int)(dashes - name), name, dashes + 2);
        else
            printf("%s\n", name);
    }
    closedir(dir);
}

static void list_cache(const char *variable, const char *fallback, const char *below,
                       const char *prefix)
{
    char path[PATH_MAX];
    const char *base = getenv(variable), *home = getenv("HOME");
    if (base && *base)
        snprintf(path, sizeof path, "%s/%s", base, below);
    else
        snprintf(path, sizeof path, "%s/%s/%s", home ? home : "", fallback, below);
    list_folder(path, prefix);
}

static void list_models(void)
{
    if (cli_demo_dir()) printf("demo\n");
    list_cache("XDG_CACHE_HOME", ".cache", "assay/models", "");
    list_cache("HF_HOME", ".cache/huggingface", "hub", "models--");
}

static void list_datasets(void)
{
    const char *name;
    for (size_t i = 0; (name = manifest_name_at(i)) != NULL; i++) {
        struct status st = {0};
        struct dataset *data = NULL;
        struct dataset_lookup lookup = cli_lookup(NULL);
        if (dataset_open(&data, &lookup, name, &st) == STATUS_OK)
            printf("%-12s %s (%s)\n", name, dataset_directory(data),
                   dataset_origin_name(dataset_origin(data)));
        else
            printf("%-12s not found: %s\n", name, st.message);
        dataset_free(data);
    }
}

static void list_classifiers(void)
{
    size_t n;
    const struct classifier_kind *kinds = classifier_kinds(&n);
    for (size_t i = 0; i < n; i++)
        printf("%s%s%s  %s\n", kinds[i].name, kinds[i].argument ? ":" : "",
               kinds[i].argument ? kinds[i].argument : "", kinds[i].description);
    const char *const *presets = policy_presets(&n);
    printf("policies:");
    for (size_t i = 0; i < n; i++) printf(" %s", presets[i]);
    printf("\n");
}

static const struct {
    const char *name;
    void (*print)(void);
} lists[] = {
    {"tasks", list_tasks},
    {"models", list_models},
    {"datasets", list_datasets},
    {"classifiers", list_classifiers},
};

int cmd_list(const struct command *self, int argc, const char **argv)
{
    struct command_line words;
    int code;
    if (!cli_parse(self, NULL, 0, argc, argv, &words, &code)) return code;
    for (size_t i = 0; words.n_positional == 1 && i < sizeof lists / sizeof lists[0]; i++)
        if (strcmp(words.positional[0], lists[i].name) == 0) {
            lists[i].print();
            return EXIT_DONE;
        }
    return cli_usage_error(self, "list what?");
}
