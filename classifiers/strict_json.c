#include "classifiers/strict_json.h"

#include <string.h>

status_code strict_json_fields(const struct json_value *object, const char *const *names, size_t n,
                               struct status *st)
{
    BUG_IF(n > 32);
    if (json_kind(object) != JSON_OBJECT)
        return status_set(st, STATUS_BAD_INPUT, "is %s, expected an object",
                          json_kind_name(json_kind(object)));
    uint32_t seen = 0;
    for (const struct json_value *m = json_first(object); m; m = json_next(m)) {
        const char *key = json_key(m);
        size_t i = 0;
        while (i < n && strcmp(key, names[i]) != 0) i++;
        if (i == n) return status_set(st, STATUS_BAD_INPUT, "unknown field \"%.64s\"", key);
        if (seen & (uint32_t)1 << i)
            return status_set(st, STATUS_BAD_INPUT, "field \"%s\" is there twice", key);
        seen |= (uint32_t)1 << i;
    }
    return STATUS_OK;
}

static bool is_name_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == '-';
}

status_code strict_json_name(const struct json_value *object, const char *key, struct text *out,
                             struct status *st)
{
    struct text name;
    status_code code = json_get_text(object, key, &name, st);
    if (code != STATUS_OK) return code;
    bool good = name.length > 0 && name.length <= STRICT_NAME_BYTES;
    for (size_t i = 0; good && i < name.length; i++) good = is_name_char(name.data[i]);
    if (!good)
        return status_set(st, STATUS_BAD_INPUT,
                          "field \"%s\" must be 1 to %d letters, digits, '.', '_' or '-'", key,
                          STRICT_NAME_BYTES);
    *out = name;
    return STATUS_OK;
}
