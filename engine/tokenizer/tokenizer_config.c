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
    if (code == STATUS_OK && config->has_add_bos) {
        code = json_get_bool(config->root, "add_bos_token", &config->add_bos, st);
        if (code != STATUS_OK) status_prefix(st, "%s", CONFIG_NAME);
    }
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
