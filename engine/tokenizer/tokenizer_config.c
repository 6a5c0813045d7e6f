#include <sys/stat.h>

#include "engine/base/json.h"
#include "engine/base/limits.h"
#include "engine/tokenizer/tokenizer_core.h"

#define CONFIG_NAME "tokenizer_config.json"

/* An option that would change how text is split, and that nothing here follows. */
static status_code refuse(const struct tokenizer_config *config, const char *field,
                          struct status *st)
{
    const struct json_value *value = json_member(config->root, field);
    if (!value || json_kind(value) != JSON_BOOL || !json_bool(value)) return STATUS_OK;
    return status_set(st, STATUS_UNSUPPORTED, "%s: field \"%s\" is true, which is not supported",
                      CONFIG_NAME, field);
}

status_code tokenizer_config_flag(const struct tokenizer_config *config, const char *field,
                                  bool *flag, struct status *st)
{
    if (!config->root || !json_has(config->root, field)) return STATUS_OK;
    status_code code = json_get_bool(config->root, field, flag, st);
    return code == STATUS_OK ? code : status_prefix(st, "%s", CONFIG_NAME);
}

status_code tokenizer_config_open(struct tokenizer_config *config, const char *directory,
                                  struct status *st)
{
    *config = (struct tokenizer_config){0};
    struct strbuf path;
    struct stat info;
    strbuf_init(&path, LIMIT_CONFIG_BYTES);
    strbuf_appendf(&path, "%s/%s", directory, CONFIG_NAME);
    status_code code = strbuf_check(&path, "the path", st);
    if (code == STATUS_OK && stat(path.data, &info) == 0)
        code = json_parse_file(&config->root, path.data, LIMIT_CONFIG_BYTES, st);
    strbuf_release(&path);
    if (code != STATUS_OK || !config->root) return code;
    code = refuse(config, "remove_space", st);
    if (code == STATUS_OK) code = refuse(config, "do_lowercase_and_remove_accent", st);
    config->has_add_bos = json_has(config->root, "add_bos_token");
    if (code == STATUS_OK)
        code = tokenizer_config_flag(config, "add_bos_token", &config->add_bos, st);
    if (code != STATUS_OK) tokenizer_config_close(config);
    return code;
}

void tokenizer_config_close(struct tokenizer_config *config)
{
    json_free(config->root);
    config->root = NULL;
}

status_code tokenizer_config_piece(const struct tokenizer_config *config,
                                   const struct vocabulary *vocab, const char *field, int32_t *id,
                                   struct status *st)
{
    if (!config->root || !json_has(config->root, field)) return STATUS_OK;
    const struct json_value *value = json_member(config->root, field);
    struct text piece;
    if (json_kind(value) == JSON_STRING) {
        piece = json_text(value);
    } else {
        status_code code = json_get_text(value, "content", &piece, st);
        if (code != STATUS_OK) return status_prefix(st, "%s: field \"%s\"", CONFIG_NAME, field);
    }
    int32_t found = vocabulary_find(vocab, piece);
    if (found < 0)
        return status_set(st, STATUS_BAD_INPUT,
                          "%s: field \"%s\" is \"%.*s\", which is not in the vocabulary",
                          CONFIG_NAME, field, TEXT_ARGS(piece_for_message(piece)));
    *id = found;
    return STATUS_OK;
}

/* ---- chat templates ---- */

/* A string, or a list of {"name", "template"}. */
static struct text find_template(const struct json_value *root)
{
    const struct json_value *value = json_member(root, "chat_template");
    struct text none = {"", 0}, name, found;
    struct status ignored = {0};
    if (!value) return none;
    if (json_kind(value) == JSON_STRING) return json_text(value);
    if (json_kind(value) != JSON_ARRAY) return none;
    for (const struct json_value *v = json_first(value); v; v = json_next(v))
        if (json_get_text(v, "name", &name, &ignored) == STATUS_OK &&
            text_equal(name, text_of("default")) &&
            json_get_text(v, "template", &found, &ignored) == STATUS_OK)
            return found;
    return none;
}

static status_code keep_template(struct tokenizer *tokenizer, struct text text, struct status *st)
{
    char *copy = arena_strndup(&tokenizer->arena, text.data, text.length);
    if (!copy) return status_no_memory(st, "a chat template");
    tokenizer->info.chat_template = (struct text){copy, text.length};
    return STATUS_OK;
}

/* The whole file, or nothing where there is none. */
static status_code read_beside(struct strbuf *out, const char *directory, const char *name,
                               struct status *st)
{
    struct strbuf path;
    struct stat info;
    strbuf_init(&path, LIMIT_CONFIG_BYTES);
    strbuf_appendf(&path, "%s/%s", directory, name);
    status_code code = strbuf_check(&path, "the path", st);
    if (code == STATUS_OK && stat(path.data, &info) == 0)
        code = strbuf_read_file(out, path.data, st);
    strbuf_release(&path);
    return code;
}

status_code tokenizer_config_parse(struct json_value **out, const char *directory, const char *name,
                                   struct status *st)
{
    struct strbuf file;
    *out = NULL;
    strbuf_init(&file, LIMIT_CONFIG_BYTES);
    status_code code = read_beside(&file, directory, name, st);
    if (code == STATUS_OK && file.length) {
        code = json_parse(out, (struct text){file.data, file.length}, st);
        if (code != STATUS_OK) status_prefix(st, "%s", name);
    }
    strbuf_release(&file);
    return code;
}

/* transformers' tokenization_utils_base.py: a file of its own goes before the config's field.
 * chat_template.json is what processors of several media keep theirs in. */
status_code tokenizer_config_template(const struct tokenizer_config *config, const char *directory,
                                      struct tokenizer *tokenizer, struct status *st)
{
    struct strbuf file;
    struct json_value *root = NULL;
    strbuf_init(&file, LIMIT_CONFIG_BYTES);
    status_code code = read_beside(&file, directory, "chat_template.jinja", st);
    struct text found = {file.data, file.length};
    if (!found.length && config->root) found = find_template(config->root);
    if (code == STATUS_OK && !found.length) {
        code = tokenizer_config_parse(&root, directory, "chat_template.json", st);
        if (root) found = find_template(root);
    }
    if (code == STATUS_OK && found.length) code = keep_template(tokenizer, found, st);
    strbuf_release(&file);
    json_free(root);
    return code;
}

/* ---- what ends a reply ---- */

/* A number or a list of them; an id that the vocabulary lacks ends nothing. */
static void mark_ends(struct vocabulary *vocab, const struct json_value *ids)
{
    bool is_list = json_kind(ids) == JSON_ARRAY;
    for (const struct json_value *v = is_list ? json_first(ids) : ids; v;
         v = is_list ? json_next(v) : NULL) {
        if (json_kind(v) != JSON_NUMBER) continue;
        double id = json_number(v);
        if (id >= 0 && id < vocab->n) vocab->pieces[(int32_t)id].is_end = true;
    }
}

status_code tokenizer_config_ends(const char *directory, struct vocabulary *vocab,
                                  struct status *st)
{
    static const char *const names[] = {"generation_config.json", "config.json"};
    bool found = false;
    for (size_t i = 0; i < sizeof names / sizeof names[0] && !found; i++) {
        struct json_value *root;
        status_code code = tokenizer_config_parse(&root, directory, names[i], st);
        if (code != STATUS_OK) return code;
        found = json_has(root, "eos_token_id");
        if (found) mark_ends(vocab, json_member(root, "eos_token_id"));
        json_free(root);
    }
    return STATUS_OK;
}
