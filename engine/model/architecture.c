#include "engine/model/architecture.h"

static const struct architecture *const table[] = {
    &architecture_gemma,   &architecture_gemma2,      &architecture_gemma3,
    &architecture_llama,   &architecture_mistral,     &architecture_phi2,
    &architecture_qwen3,   &architecture_granite,     &architecture_bert,
    &architecture_roberta, &architecture_xlm_roberta, &architecture_distilbert,
};

#define TABLE_SIZE (sizeof table / sizeof table[0])

static bool is_named(const char *name, struct text text)
{
    return name && text_equal(text, text_of(name));
}

const struct architecture *architecture_for_gguf(struct text name)
{
    for (size_t i = 0; i < TABLE_SIZE; i++)
        if (is_named(table[i]->gguf_name, name)) return table[i];
    return NULL;
}

const struct architecture *architecture_in_gguf(const struct architecture *architecture)
{
    return architecture == &architecture_mistral ? &architecture_llama : architecture;
}

const struct architecture *architecture_for_model_type(struct text model_type)
{
    for (size_t i = 0; i < TABLE_SIZE; i++)
        if (is_named(table[i]->model_type, model_type) ||
            is_named(table[i]->multimodal_type, model_type))
            return table[i];
    return NULL;
}

const char *architecture_names(void)
{
    return "gemma, gemma2, gemma3, llama, mistral, phi2, qwen3, granite, bert, roberta, "
           "xlm-roberta, "
           "distilbert";
}
