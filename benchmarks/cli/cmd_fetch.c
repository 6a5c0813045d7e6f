/* assay fetch: the only downloader. */
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "benchmarks/cli/cli.h"
#include "benchmarks/cli/progress.h"
#include "benchmarks/model_fetch.h"
#include "datasets/fetch.h"
#include "engine/base/clock.h"
#include "engine/base/limits.h"
#include "engine/model/model_path.h"

struct fetch_display {
    bool terminal, open_line;
    double last_line;
};

static void show(void *user, const char *path, int64_t have, int64_t bytes)
{
    struct fetch_display *d = user;
    double now = clock_seconds();
    const double mib = 1 << 20;
    if (now - d->last_line < (d->terminal ? 0.1 : 10)) return;
    d->last_line = now;
    d->open_line = d->terminal;
    fprintf(stderr, "%s%s: %.1f", d->terminal ? "\r\033[K" : "", path, (double)have / mib);
    if (bytes) fprintf(stderr, " of %.1f", (double)bytes / mib);
    fprintf(stderr, " MiB%s", d->terminal ? "" : "\n");
    fflush(stderr);
}

static int end(struct fetch_display *display, status_code code, const struct fetch_result *result,
               const char *path, const struct status *st)
{
    if (display->open_line) fputc('\n', stderr);
    if (code == STATUS_INTERRUPTED) {
        fprintf(stderr, "assay: interrupted; the same command goes on where it stopped\n");
        return EXIT_INTERRUPTED;
    }
    if (code != STATUS_OK) return cli_fail(st);
    fprintf(stderr, "assay: %d files, %d of them fetched now, %" PRId64 " bytes\n", result->n_files,
            result->n_fetched, result->bytes);
    printf("%s\n", path);
    return EXIT_DONE;
}

static struct text member_text(const struct json_value *object, const char *key)
{
    const struct json_value *member = json_member(object, key);
    return member && json_kind(member) == JSON_STRING ? json_text(member) : text_of("");
}

static int fetch_named_dataset(const char *name, const char *data_dir, const char *endpoint)
{
    struct status st = {0};
    struct manifest *manifest = NULL;
    struct arena arena;
    struct fetch_result result = {0};
    struct fetch_display display = {.terminal = isatty(STDERR_FILENO) != 0,
                                    .last_line = clock_seconds()};
    const struct fetch_listener listener = {show, progress_should_stop, &display};
    char path[PATH_MAX] = "";
    arena_init(&arena, LIMIT_LINE_BYTES);
    const char *directory = dataset_directory_to_fill(&arena, data_dir);
    status_code code = manifest_open(&manifest, name, &st);
    if (code == STATUS_OK && !manifest)
        code =
            status_set(&st, STATUS_USAGE, "there is no dataset \"%s\": assay list datasets", name);
    if (code == STATUS_OK && !directory)
        code = status_set(&st, STATUS_USAGE, "no folder to fetch into: name one with --data");
    if (code == STATUS_OK) {
        const struct json_value *json = manifest_json(manifest);
        const struct fetch_options options = {directory, endpoint, &listener};
        fprintf(stderr, "assay: %s, licence %.*s, from %.*s\n", name,
                TEXT_ARGS(member_text(json, "licence")), TEXT_ARGS(member_text(json, "source")));
        code = fetch_dataset(json, &options, &result, &st);
        snprintf(path, sizeof path, "%s/%s", directory, name);
    }
    int exit_code = end(&display, code, &result, path, &st);
    manifest_free(manifest);
    arena_release(&arena);
    return exit_code;
}

static int fetch_named_model(struct model_fetch *request)
{
    struct status st = {0};
    struct model_fetched result = {0};
    struct fetch_display display = {.terminal = isatty(STDERR_FILENO) != 0,
                                    .last_line = clock_seconds()};
    const struct fetch_listener listener = {show, progress_should_stop, &display};
    const char *hub = getenv("HF_ENDPOINT"), *token = getenv("HF_TOKEN");
    char endpoint[2048];
    struct strbuf root;
    strbuf_init(&root, PATH_MAX);
    model_path_own_cache(&root);
    if (!request->endpoint) request->endpoint = hub && *hub ? hub : "https://huggingface.co";
    snprintf(endpoint, sizeof endpoint, "%s", request->endpoint);
    if (*endpoint && endpoint[strlen(endpoint) - 1] == '/') endpoint[strlen(endpoint) - 1] = '\0';
    request->endpoint = endpoint;
    request->root = root.data;
    request->token = token && *token ? token : NULL;
    request->listener = &listener;
    status_code code = strbuf_check(&root, "the cache's path", &st);
    if (code == STATUS_OK) code = model_fetch(request, &result, &st);
    if (code == STATUS_OK)
        fprintf(stderr, "assay: %s at commit %s, licence %s\n", request->name, result.commit,
                *result.licence ? result.licence : "not named by its card");
    int exit_code = end(&display, code, &result.files, result.path, &st);
    strbuf_release(&root);
    return exit_code;
}

int cmd_fetch(const struct command *self, int argc, const char **argv)
{
    struct model_fetch model = {0};
    const char *data_dir = NULL, *endpoint = NULL;
    const struct option_row rows[] = {
        {"data", OPTION_TEXT, &data_dir, "DIR",
         "dataset: the folder to fill; default $ASSAY_DATA, or the cache", 0, 0},
        {"endpoint", OPTION_TEXT, &endpoint, "URL",
         "a mirror in place of each address's host; for models default $HF_ENDPOINT, or "
         "https://huggingface.co",
         0, 0},
        {"revision", OPTION_TEXT, &model.revision, "R", "model: branch, tag or commit (main)", 0,
         0},
        {"file", OPTION_TEXT, &model.file, "F", "model: this file alone, such as a GGUF", 0, 0},
    };
    struct command_line words;
    int code;
    if (!cli_parse(self, rows, sizeof rows / sizeof rows[0], argc, argv, &words, &code))
        return code;
    bool dataset = words.n_positional == 2 && strcmp(words.positional[0], "dataset") == 0;
    bool is_model = words.n_positional == 2 && strcmp(words.positional[0], "model") == 0;
    if (!dataset && !is_model) return cli_usage_error(self, "fetch what?");
    if (dataset && (model.revision || model.file))
        return cli_usage_error(self, "--revision and --file are about models");
    if (is_model && data_dir) return cli_usage_error(self, "--data is about datasets");
    if (endpoint && strncmp(endpoint, "http://", 7) != 0 && strncmp(endpoint, "https://", 8) != 0)
        return cli_usage_error(self, "--endpoint \"%s\": http:// or https://", endpoint);
    progress_listen_for_signals();
    if (dataset) return fetch_named_dataset(words.positional[1], data_dir, endpoint);
    model.name = words.positional[1];
    model.endpoint = endpoint;
    return fetch_named_model(&model);
}
