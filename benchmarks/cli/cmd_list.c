/* assay list: tasks, models, datasets, classifiers. */
#include <dirent.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "benchmarks/cli/cli.h"
#include "benchmarks/task_file.h"
#include "benchmarks/task_registry.h"
#include "classifiers/classifier.h"
#include "classifiers/guard_definition.h"
#include "classifiers/policy.h"
#include "engine/base/json.h"
#include "engine/base/limits.h"
#include "engine/model/model_path.h"

/* What a list collects: one line for each entry, for people or as JSON. */
struct listing {
    struct strbuf out;
    bool json;
    const char *task_dir; /* or NULL */
};

/* `depth` is 1 for what is inside the entry before. */
static void PRINTF_LIKE(5, 6) add(struct listing *list, const char *kind, const char *name,
                                  int depth, const char *format, ...)
{
    char detail[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(detail, sizeof detail, format, args);
    va_end(args);
    if (!list->json) {
        strbuf_appendf(&list->out, "%*s%-*s %s", 2 * depth, "", 28 - 2 * depth, name, detail);
        while (list->out.data[list->out.length - 1] == ' ')
            strbuf_truncate(&list->out, list->out.length - 1);
        strbuf_append_char(&list->out, '\n');
        return;
    }
    strbuf_append_str(&list->out, "{\"kind\": ");
    json_append_str(&list->out, kind);
    strbuf_append_str(&list->out, ", \"name\": ");
    json_append_str(&list->out, name);
    strbuf_append_str(&list->out, ", \"detail\": ");
    json_append_str(&list->out, detail);
    strbuf_append_str(&list->out, "}\n");
}

static void add_task_file(struct listing *list, const struct task_file *file)
{
    const struct task *task = task_file_row(file);
    add(list, "task", task->name, 0, "profile %s, version %s, %d-shot: %s (task file)",
        task->profile, task->version, task->num_fewshot, task->summary);
}

/* A file that cannot be read is listed with the reason. */
static void list_task_folder(struct listing *list, const char *folder)
{
    struct dirent **entries;
    int n = scandir(folder, &entries, NULL, alphasort);
    for (int i = 0; i < n; i++) {
        char path[PATH_MAX];
        size_t length = strlen(entries[i]->d_name);
        struct task_file *file = NULL;
        struct status st = {0};
        snprintf(path, sizeof path, "%s/%s", folder, entries[i]->d_name);
        bool is_json = length > 5 && strcmp(entries[i]->d_name + length - 5, ".json") == 0;
        free(entries[i]);
        if (!is_json) continue;
        if (task_file_open(&file, path, &st) == STATUS_OK)
            add_task_file(list, file);
        else
            add(list, "task", path, 0, "cannot be read: %s", st.message);
        task_file_release(file);
    }
    if (n >= 0) free(entries);
}

static void list_task_files(struct listing *list)
{
    const char *name;
    for (size_t i = 0; (name = task_file_shipped_at(i)) != NULL; i++) {
        struct task_file *file = NULL;
        struct status st = {0};
        if (task_file_open_shipped(&file, text_of(name), &st) == STATUS_OK)
            add_task_file(list, file);
        else
            add(list, "task", name, 0, "cannot be read: %s", st.message);
        task_file_release(file);
    }
    if (list->task_dir) list_task_folder(list, list->task_dir);
}

static void list_tasks(struct listing *list)
{
    for (size_t i = 0; i < task_registry_count(); i++) {
        const struct task *task = task_registry_at(i);
        const char *group;
        add(list, "task", task->name, 0, "profile %s, version %s, %d-shot: %s", task->profile,
            task->version, task->num_fewshot, task->summary);
        /* Profiles of a task have the same parts, which are named once. */
        const struct task *last = i ? task_registry_at(i - 1) : NULL;
        if (last && strcmp(last->name, task->name) == 0) continue;
        for (size_t g = 0; (group = task_group_at(task, g)) != NULL; g++)
            add(list, "group", group, 1, "group");
        for (const struct task_subset *s = task->subsets; s && s->name; s++) {
            char name[TASK_NAME_SIZE];
            snprintf(name, sizeof name, "%s_%s", task->name, s->name);
            add(list, "task", name, 1, "%s", "");
        }
    }
    list_task_files(list);
}

/* Calls for the entries of a folder, in order; a cache that is not there is empty. */
static void each_entry(struct listing *list, const char *folder,
                       void (*call)(struct listing *list, const char *folder, const char *name))
{
    struct dirent **entries;
    int n = scandir(folder, &entries, NULL, alphasort);
    for (int i = 0; i < n; i++) {
        if (entries[i]->d_name[0] != '.') call(list, folder, entries[i]->d_name);
        free(entries[i]);
    }
    if (n >= 0) free(entries);
}

/* models--org--name */
static void add_hub_model(struct listing *list, const char *folder, const char *name)
{
    static const char prefix[] = "models--";
    char hub_name[2 * NAME_MAX];
    size_t skip = sizeof prefix - 1;
    if (strncmp(name, prefix, skip) != 0) return;
    const char *dashes = strstr(name + skip, "--");
    if (dashes)
        snprintf(hub_name, sizeof hub_name, "%.*s/%s", (int)(dashes - name - (int)skip),
                 name + skip, dashes + 2);
    else
        snprintf(hub_name, sizeof hub_name, "%s", name + skip);
    add(list, "model", hub_name, 0, "%s", folder);
}

/* org/name: `folder` is the organisation's. */
static void add_own_model(struct listing *list, const char *folder, const char *name)
{
    char hub_name[PATH_MAX + NAME_MAX + 2];
    const char *slash = strrchr(folder, '/');
    snprintf(hub_name, sizeof hub_name, "%s/%s", slash ? slash + 1 : folder, name);
    add(list, "model", hub_name, 0, "%s/%s", folder, name);
}

static void add_own_models(struct listing *list, const char *folder, const char *name)
{
    char path[PATH_MAX];
    int n = snprintf(path, sizeof path, "%s/%s", folder, name);
    if (n > 0 && (size_t)n < sizeof path) each_entry(list, path, add_own_model);
}

static void list_cache(struct listing *list, void (*append_folder)(struct strbuf *out),
                       void (*call)(struct listing *list, const char *folder, const char *name))
{
    struct strbuf path;
    strbuf_init(&path, PATH_MAX);
    append_folder(&path);
    if (path.state == STATUS_OK) each_entry(list, path.data, call);
    strbuf_release(&path);
}

static void list_models(struct listing *list)
{
    if (cli_demo_dir()) add(list, "model", "demo", 0, "comes with the program");
    list_cache(list, model_path_own_cache, add_own_models);
    list_cache(list, model_path_hub_cache, add_hub_model);
}

static void list_datasets(struct listing *list)
{
    const char *name;
    for (size_t i = 0; (name = manifest_name_at(i)) != NULL; i++) {
        struct status st = {0};
        struct dataset *data = NULL;
        struct dataset_lookup lookup = cli_lookup(NULL);
        if (dataset_open(&data, &lookup, name, &st) == STATUS_OK)
            add(list, "dataset", name, 0, "%s (%s)", dataset_directory(data),
                dataset_origin_name(dataset_origin(data)));
        else
            add(list, "dataset", name, 0, "not found: %s", st.message);
        dataset_free(data);
    }
}

static void list_guards(struct listing *list)
{
    const char *name;
    for (size_t i = 0; (name = guard_definition_name(i)) != NULL; i++) {
        struct status st = {0};
        struct guard_definition *d = NULL;
        char prompt[SHA256_HEX_SIZE], response[SHA256_HEX_SIZE];
        if (guard_definition_load(&d, name, &st) != STATUS_OK ||
            guard_definition_template_sha256(&d->prompt, prompt, &st) != STATUS_OK ||
            guard_definition_template_sha256(&d->response, response, &st) != STATUS_OK)
            add(list, "guard", name, 0, "%s", st.message);
        else
            add(list, "guard", name, 0, "guard:%s=MODEL; templates %.12s, %.12s; %s", name, prompt,
                response, d->licence);
        guard_definition_free(d);
    }
}

static void list_classifiers(struct listing *list)
{
    size_t n;
    const struct classifier_kind *kinds = classifier_kinds(&n);
    for (size_t i = 0; i < n; i++) {
        char spec[128];
        snprintf(spec, sizeof spec, "%s%s%s", kinds[i].name, kinds[i].argument ? ":" : "",
                 kinds[i].argument ? kinds[i].argument : "");
        add(list, "classifier", spec, 0, "%s", kinds[i].description);
    }
    list_guards(list);
    const char *const *presets = policy_presets(&n);
    for (size_t i = 0; i < n; i++)
        add(list, "policy", presets[i], 0,
            "for --guard: toxic words, not dangerous requests in plain ones");
    for (int c = 0; c < HAZARD_COUNT; c++) {
        const struct hazard_info *category = hazard_get((enum hazard_category)c);
        add(list, "category", category->name, 0, "a category: %s", category->description);
    }
}

static const struct {
    const char *name;
    void (*fill)(struct listing *list);
} lists[] = {
    {"tasks", list_tasks},
    {"models", list_models},
    {"datasets", list_datasets},
    {"classifiers", list_classifiers},
};

static int print_list(void (*fill)(struct listing *list), bool json, const char *task_dir)
{
    struct status st = {0};
    struct listing list = {.json = json, .task_dir = task_dir};
    strbuf_init(&list.out, LIMIT_REPORT_BYTES);
    fill(&list);
    bool good = strbuf_check(&list.out, "the list", &st) == STATUS_OK &&
                cli_write(&list.out, &st) == STATUS_OK;
    strbuf_release(&list.out);
    return good ? EXIT_DONE : cli_fail(&st);
}

int cmd_list(const struct command *self, int argc, const char **argv)
{
    bool json = false;
    const char *task_dir = NULL;
    const struct option_row rows[] = {
        {"json", OPTION_FLAG, &json, NULL, "as JSON lines", 0, 0},
        {"task-dir", OPTION_TEXT, &task_dir, "DIR", "also the task files of this folder", 0, 0},
    };
    struct command_line words;
    int code;
    if (!cli_parse(self, rows, 2, argc, argv, &words, &code)) return code;
    for (size_t i = 0; words.n_positional == 1 && i < sizeof lists / sizeof lists[0]; i++)
        if (strcmp(words.positional[0], lists[i].name) == 0)
            return print_list(lists[i].fill, json, task_dir);
    return cli_usage_error(self, "list what?");
}
