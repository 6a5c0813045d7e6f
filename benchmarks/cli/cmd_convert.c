/* assay convert: a model's files to one GGUF file. */
#include <inttypes.h>

#include "benchmarks/cli/cli.h"
#include "engine/convert/convert.h"

/* The types that can be written, with commas. */
static void list_types(struct strbuf *out)
{
    const struct tensor_type_info *info;
    for (size_t i = 0; (info = tensor_type_at(i)) != NULL; i++)
        if (info->from_f32) strbuf_appendf(out, "%s%s", out->length ? ", " : "", info->name);
}

/* Type names are ggml's; case is the user's choice. */
static bool same_word(const char *a, const char *b)
{
    for (; *a && *b; a++, b++) {
        char upper = *a >= 'a' && *a <= 'z' ? (char)(*a - 'a' + 'A') : *a;
        if (upper != *b) return false;
    }
    return *a == *b;
}

static const struct tensor_type_info *find_type(const char *name)
{
    const struct tensor_type_info *info;
    for (size_t i = 0; (info = tensor_type_at(i)) != NULL; i++)
        if (info->from_f32 && same_word(name, info->name)) return info;
    return NULL;
}

static int usage_error_of_type(const struct command *self, const char *type)
{
    struct strbuf types;
    strbuf_init(&types, 1 << 10);
    list_types(&types);
    int code = type ? cli_usage_error(self, "--type \"%s\": can write %s", type, types.data)
                    : cli_usage_error(self, "--type is missing: %s", types.data);
    strbuf_release(&types);
    return code;
}

static void print_result(const struct convert_options *options, const struct convert_result *r)
{
    fprintf(stderr,
            "%s: %zu tensors, %" PRIu64 " numbers, %.1f MB, squared error %.2g of squared value\n",
            options->to, r->n_tensors, r->n_values, (double)r->bytes / 1e6, r->nmse);
}

int cmd_convert(const struct command *self, int argc, const char **argv)
{
    const char *type = NULL, *adapter = NULL;
    int64_t threads = 0;
    const struct option_row rows[] = {
        {"type", OPTION_TEXT, &type, "T", "F32, F16, BF16, Q8_0, Q4_0, Q4_K or Q6_K", 0, 0},
        {"adapter", OPTION_TEXT, &adapter, "LORA",
         "a LoRA adapter (PEFT folder or GGUF file) to merge into the weights", 0, 0},
        {"threads", OPTION_INT, &threads, "N", "default: one per processor", 1, 1024},
    };
    struct command_line words;
    int code;
    if (!cli_parse(self, rows, 3, argc, argv, &words, &code)) return code;
    if (words.n_positional != 2)
        return cli_usage_error(self, "one model to read and one file to write are needed");
    const struct tensor_type_info *info = type ? find_type(type) : NULL;
    if (!info) return usage_error_of_type(self, type);
    struct convert_options options = {.from = cli_model_path(words.positional[0]),
                                      .to = words.positional[1],
                                      .adapter = adapter,
                                      .type = info->type,
                                      .n_threads = (int)threads,
                                      .log = &cli_logger};
    struct status st = {0};
    struct convert_result result;
    if (model_convert(&options, &result, &st) != STATUS_OK) return cli_fail(&st);
    print_result(&options, &result);
    return EXIT_DONE;
}
