#include "datasets/manifest.h"

#include <stdlib.h>
#include <string.h>

struct manifest {
    struct json_value *root;
    const struct json_value *files; /* an array, or NULL */
};

/* Made from datasets/manifests/NAME.json when the program is built (Makefile). */
extern const struct text embedded_datasets_manifests_ai2_arc_json;
extern const struct text embedded_datasets_manifests_gsm8k_json;
extern const struct text embedded_datasets_manifests_hellaswag_json;
extern const struct text embedded_datasets_manifests_humaneval_json;
extern const struct text embedded_datasets_manifests_mgsm_json;
extern const struct text embedded_datasets_manifests_mmlu_json;
extern const struct text embedded_datasets_manifests_piqa_json;
extern const struct text embedded_datasets_manifests_realtoxicityprompts_json;
extern const struct text embedded_datasets_manifests_safety_json;
extern const struct text embedded_datasets_manifests_super_glue_json;
extern const struct text embedded_datasets_manifests_truthful_qa_json;
extern const struct text embedded_datasets_manifests_winogrande_json;
extern const struct text embedded_datasets_manifests_xstest_json;

static const struct {
    const char *name;
    const struct text *json;
} embedded[] = {
    {"ai2_arc", &embedded_datasets_manifests_ai2_arc_json},
    {"gsm8k", &embedded_datasets_manifests_gsm8k_json},
    {"hellaswag", &embedded_datasets_manifests_hellaswag_json},
    {"humaneval", &embedded_datasets_manifests_humaneval_json},
    {"mgsm", &embedded_datasets_manifests_mgsm_json},
    {"mmlu", &embedded_datasets_manifests_mmlu_json},
    {"piqa", &embedded_datasets_manifests_piqa_json},
    {"realtoxicityprompts", &embedded_datasets_manifests_realtoxicityprompts_json},
    {"safety", &embedded_datasets_manifests_safety_json},
    {"super_glue", &embedded_datasets_manifests_super_glue_json},
    {"truthful_qa", &embedded_datasets_manifests_truthful_qa_json},
    {"winogrande", &embedded_datasets_manifests_winogrande_json},
    {"xstest", &embedded_datasets_manifests_xstest_json},
};
#define N_EMBEDDED (sizeof embedded / sizeof embedded[0])

const char *manifest_name_at(size_t index)
{
    return index < N_EMBEDDED ? embedded[index].name : NULL;
}

status_code manifest_open(struct manifest **out, const char *name, struct status *st)
{
    *out = NULL;
    size_t i = 0;
    while (i < N_EMBEDDED && strcmp(embedded[i].name, name) != 0) i++;
    if (i == N_EMBEDDED) return STATUS_OK;
    struct manifest *manifest = calloc(1, sizeof *manifest);
    if (!manifest) return status_no_memory(st, "a manifest");
    status_code code = json_parse(&manifest->root, *embedded[i].json, st);
    if (code == STATUS_OK) code = json_get_array(manifest->root, "files", &manifest->files, st);
    if (code != STATUS_OK) {
        manifest_free(manifest);
        return status_prefix(st, "manifest of %s", name);
    }
    *out = manifest;
    return STATUS_OK;
}

void manifest_free(struct manifest *manifest)
{
    if (!manifest) return;
    json_free(manifest->root);
    free(manifest);
}

static bool member_is(const struct json_value *object, const char *key, const char *expected)
{
    const struct json_value *member = json_member(object, key);
    return member && json_kind(member) == JSON_STRING &&
           text_equal(json_text(member), text_of(expected));
}

enum manifest_match manifest_compare(const struct manifest *manifest, const char *path,
                                     const char *sha256)
{
    if (!manifest) return MANIFEST_UNKNOWN;
    for (const struct json_value *f = json_first(manifest->files); f; f = json_next(f))
        if (member_is(f, "path", path))
            return member_is(f, "sha256", sha256) ? MANIFEST_SAME : MANIFEST_DIFFERENT;
    return MANIFEST_UNKNOWN;
}

const struct json_value *manifest_json(const struct manifest *manifest)
{
    return manifest->root;
}
