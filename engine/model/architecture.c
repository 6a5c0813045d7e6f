#include "engine/model/architecture.h"

static const struct architecture *const table[] = {
    &architecture_gemma,
};

#define TABLE_SIZE (sizeof table / sizeof table[0])

const struct architecture *architecture_for_gguf(struct text name)
{
    for (size_t i = 0; i < TABLE_SIZE; i++)
        if (text_equal(name, text_of(table[i]->gguf_name))) return table[i];
    return NULL;
}

const struct architecture *architecture_for_model_type(struct text model_type)
{
    for (size_t i = 0; i < TABLE_SIZE; i++)
        if (text_equal(model_type, text_of(table[i]->model_type))) return table[i];
    return NULL;
}

const char *architecture_names(void)
{
    return "gemma";
}
