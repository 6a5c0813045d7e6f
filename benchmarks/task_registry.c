#include "benchmarks/task_registry.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "benchmarks/name_guess.h"
#include "benchmarks/task_file.h"
#include "benchmarks/tasks/tasks.h"
#include "engine/base/limits.h"

/* A task's first row is its default profile. */
static const struct task *const rows[] = {
    &task_mmlu,
    &task_mmlu_hendrycks,
    &task_mmlu_cloze,
    &task_mmlu_generative,
    &task_mmlu_helm,
    &task_gsm8k,
    &task_gsm8k_notebook,
    &task_gsm8k_cot,
    &task_gsm8k_cot_zeroshot,
    &task_gsm8k_cot_self_consistency,
    &task_mmmlu,
    &task_mgsm_direct,
    &task_mgsm_en_cot,
    &task_mgsm_native_cot,
    &task_rtp_paper,
    &task_rtp_helm,
    &task_rtp_greedy_mean,
    &task_rtp_lm_eval,
    &task_xstest,
    &task_simplesafetytests,
    &task_hellaswag,
    &task_humaneval,
    &task_humaneval_instruct,
};
#define N_ROWS (sizeof rows / sizeof rows[0])

size_t task_registry_count(void)
{
    return N_ROWS;
}

const struct task *task_registry_at(size_t index)
{
    return index < N_ROWS ? rows[index] : NULL;
}

const char *task_group_at(const struct task *task, size_t index)
{
    size_t distinct = 0;
    for (const struct task_subset *s = task->subsets; s && s->name; s++) {
        const struct task_subset *earlier = task->subsets;
        while (earlier != s && strcmp(earlier->group, s->group) != 0) earlier++;
        if (earlier == s && distinct++ == index) return s->group;
    }
    return NULL;
}

/* ---- what a name means ---- */

struct request {
    struct text name;
    const char *profile; /* NULL: the first one */
    const struct dataset_lookup *lookup;
};

static bool is_group_of(const struct task *task, struct text name)
{
    const char *group;
    for (size_t i = 0; (group = task_group_at(task, i)) != NULL; i++)
        if (text_equal(text_of(group), name)) return true;
    return false;
}

static bool is_leaf_name(const struct task *task, const struct task_subset *subset,
                         struct text name)
{
    size_t prefix = strlen(task->name);
    return name.length == prefix + 1 + strlen(subset->name) &&
           memcmp(name.data, task->name, prefix) == 0 && name.data[prefix] == '_' &&
           memcmp(name.data + prefix + 1, subset->name, strlen(subset->name)) == 0;
}

/* Whether asking for `name` asks for this subset. */
static bool covers(const struct task *task, const struct task_subset *subset, struct text name)
{
    return text_equal(name, text_of(task->name)) || text_equal(name, text_of(subset->group)) ||
           is_leaf_name(task, subset, name);
}

static bool is_name_of(const struct task *task, struct text name)
{
    if (text_equal(name, text_of(task->name)) || is_group_of(task, name)) return true;
    for (const struct task_subset *s = task->subsets; s && s->name; s++)
        if (is_leaf_name(task, s, name)) return true;
    return false;
}

static bool is_compiled(struct text name)
{
    for (size_t i = 0; i < N_ROWS; i++)
        if (is_name_of(rows[i], name)) return true;
    return false;
}

/* "my_task.json" and whatever has a slash are files. */
static bool is_path(struct text name)
{
    static const char end[] = ".json";
    size_t n = sizeof end - 1;
    return memchr(name.data, '/', name.length) ||
           (name.length > n && memcmp(name.data + name.length - n, end, n) == 0);
}

/* Opens the file that a name means; *out is NULL where it means none. */
static status_code open_file(struct text name, struct task_file **out, struct status *st)
{
    char path[4096];
    *out = NULL;
    if (!is_path(name))
        return is_compiled(name) ? STATUS_OK : task_file_open_shipped(out, name, st);
    if (name.length >= sizeof path)
        return status_set(st, STATUS_USAGE, "the path of a task file is too long");
    memcpy(path, name.data, name.length);
    path[name.length] = '\0';
    status_code code = task_file_open(out, path, st);
    if (code != STATUS_OK) return code;
    if (!is_compiled(text_of(task_file_row(*out)->name))) return STATUS_OK;
    code = status_set(st, STATUS_BAD_INPUT,
                      "%s: field \"task\" is \"%s\", the name of a task of the program", path,
                      task_file_row(*out)->name);
    task_file_release(*out);
    return code;
}

static status_code find_task(const struct request *request, const struct task **out,
                             struct status *st)
{
    bool known = false;
    for (size_t i = 0; i < N_ROWS; i++) {
        if (!is_name_of(rows[i], request->name)) continue;
        known = true;
        if (request->profile && strcmp(request->profile, rows[i]->profile) != 0) continue;
        *out = rows[i];
        return STATUS_OK;
    }
    int shown = request->name.length > 80 ? 80 : (int)request->name.length;
    if (known)
        return status_set(st, STATUS_USAGE,
                          "task %.*s has no profile \"%s\"; see `assay list tasks`", shown,
                          request->name.data, request->profile);
    struct name_guess meant;
    char hint[NAME_GUESS_HINT_SIZE];
    name_guess_init(&meant, request->name);
    for (size_t i = 0; i < N_ROWS; i++) name_guess_consider(&meant, rows[i]->name);
    return status_set(st, STATUS_USAGE, "unknown task \"%.*s\"%s; see `assay list tasks`", shown,
                      request->name.data, name_guess_hint(&meant, "", hint));
}

/* ---- which subsets the data has ---- */

static const struct task_subset *find_subset(const struct task *task, const char *name)
{
    const struct task_subset *s = task->subsets;
    while (s->name && strcmp(s->name, name) != 0) s++;
    return s->name ? s : NULL;
}

/* The subsets that DIR/manifest.json limits the task to; *out is NULL when it does not. */
static status_code listed_subsets(const struct task *task, struct dataset *dataset,
                                  const char *const **out, struct status *st)
{
    *out = NULL;
    if (!task->subsets_key) return STATUS_OK;
    status_code code = dataset_listed(dataset, task->subsets_key, out, st);
    if (code != STATUS_OK) return code;
    for (const char *const *name = *out; name && *name; name++)
        if (!find_subset(task, *name))
            return status_set(st, STATUS_BAD_INPUT, "%s/manifest.json: \"%s\": %s has no \"%s\"",
                              dataset_directory(dataset), task->subsets_key, task->name, *name);
    return STATUS_OK;
}

static bool is_listed(const char *const *listed, const char *name)
{
    if (!listed) return true;
    while (*listed && strcmp(*listed, name) != 0) listed++;
    return *listed != NULL;
}

/* ---- selection ---- */

static status_code add(struct task_selection *selection, const struct task *task,
                       const struct task_subset *subset, struct status *st)
{
    struct task_ref ref = {.task = task};
    struct strbuf name;
    strbuf_init(&name, TASK_NAME_SIZE - 1);
    strbuf_append_str(&name, task->name);
    if (subset) {
        strbuf_appendf(&name, "_%s", subset->name);
        ref.subset = subset->name;
        ref.group = task->name;
        ref.subgroup = subset->group;
    }
    status_code code = strbuf_check(&name, "task name", st);
    if (code == STATUS_OK) memcpy(ref.name, name.data, name.length + 1);
    strbuf_release(&name);
    if (code != STATUS_OK) return code;
    for (int i = 0; i < selection->count; i++)
        if (!strcmp(selection->refs[i].name, ref.name)) return STATUS_OK;
    struct task_ref *refs = realloc(selection->refs, (size_t)(selection->count + 1) * sizeof *refs);
    if (!refs) return status_no_memory(st, "a selection of tasks");
    selection->refs = refs;
    refs[selection->count++] = ref;
    return STATUS_OK;
}

static status_code add_subsets(struct task_selection *selection, const struct task *task,
                               const struct request *request, struct dataset *dataset,
                               struct status *st)
{
    const char *const *listed;
    int before = selection->count, covered = 0;
    status_code code = listed_subsets(task, dataset, &listed, st);
    for (const struct task_subset *s = task->subsets; s->name && code == STATUS_OK; s++) {
        if (!covers(task, s, request->name) || !is_listed(listed, s->name)) continue;
        covered++;
        code = task->check_files ? task->check_files(task, s->name, dataset, st) : STATUS_OK;
        if (code == STATUS_OK) code = add(selection, task, s, st);
    }
    if (code == STATUS_OK && !covered)
        code = status_set(st, STATUS_NOT_FOUND, "the data in %s has nothing for task %.*s",
                          dataset_directory(dataset), TEXT_ARGS(request->name));
    if (code != STATUS_OK) selection->count = before;
    return code;
}

/* The selection holds the file for as long as its refs may be used. */
static status_code add_file(struct task_selection *selection, struct task_file *file,
                            const struct request *request, struct status *st)
{
    const struct task *task = task_file_row(file);
    struct task_file **files =
        realloc(selection->files, (size_t)(selection->n_files + 1) * sizeof *files);
    if (!files) {
        task_file_release(file);
        return status_no_memory(st, "a selection of tasks");
    }
    selection->files = files;
    files[selection->n_files++] = file;
    if (request->profile && strcmp(request->profile, task->profile) != 0)
        return status_set(st, STATUS_USAGE, "task %s has no profile \"%s\", only \"%s\"",
                          task->name, request->profile, task->profile);
    return add(selection, task, NULL, st);
}

static status_code add_name(struct task_selection *selection, const struct request *request,
                            struct status *st)
{
    const struct task *task = NULL;
    struct task_file *file;
    status_code code = open_file(request->name, &file, st);
    if (code != STATUS_OK) return code;
    if (file) return add_file(selection, file, request, st);
    code = find_task(request, &task, st);
    if (code != STATUS_OK) return code;
    if (!task->subsets) return add(selection, task, NULL, st);
    struct dataset *dataset;
    code = dataset_open(&dataset, request->lookup, task->dataset, st);
    if (code != STATUS_OK) return status_prefix(st, "task %.*s", TEXT_ARGS(request->name));
    code = add_subsets(selection, task, request, dataset, st);
    dataset_free(dataset);
    return code;
}

status_code task_registry_select(struct task_selection *out, const char *names, const char *profile,
                                 const struct dataset_lookup *lookup, struct status *st)
{
    *out = (struct task_selection){0};
    status_code code = STATUS_OK;
    for (const char *p = names; code == STATUS_OK;) {
        size_t length = strcspn(p, ",");
        struct request request = {{p, length}, profile, lookup};
        if (!length)
            code = status_set(st, STATUS_USAGE, "tasks \"%s\": a name is empty", names);
        else
            code = add_name(out, &request, st);
        if (!p[length]) break;
        p += length + 1;
    }
    if (code != STATUS_OK) task_selection_release(out);
    return code;
}

static void append_in_folder(struct strbuf *out, const char *folder, struct text name)
{
    struct strbuf path;
    strbuf_init(&path, 4096);
    strbuf_appendf(&path, "%s/%.*s.json", folder, TEXT_ARGS(name));
    bool is_there = path.state == STATUS_OK && access(path.data, F_OK) == 0;
    if (is_there)
        strbuf_append(out, path.data, path.length);
    else
        strbuf_append(out, name.data, name.length);
    strbuf_release(&path);
}

status_code task_registry_resolve(struct strbuf *out, const char *names, const char *folder,
                                  struct status *st)
{
    struct stat info;
    if (folder && (stat(folder, &info) != 0 || !S_ISDIR(info.st_mode)))
        return status_set(st, STATUS_NOT_FOUND, "--task-dir %s: there is no such folder", folder);
    for (const char *p = names;; p++) {
        struct text name = {p, strcspn(p, ",")};
        if (folder && !is_path(name))
            append_in_folder(out, folder, name);
        else
            strbuf_append(out, name.data, name.length);
        p += name.length;
        if (!*p) break;
        strbuf_append_char(out, ',');
    }
    return strbuf_check(out, "tasks", st);
}

void task_selection_release(struct task_selection *selection)
{
    free(selection->refs);
    for (int i = 0; i < selection->n_files; i++) task_file_release(selection->files[i]);
    free(selection->files);
    *selection = (struct task_selection){0};
}
