/* assay tokenize: {"text": "..."} lines to {"ids": [...]} lines. */
#include <inttypes.h>

#include "benchmarks/cli/cli.h"
#include "engine/base/json.h"
#include "engine/base/limits.h"
#include "engine/tokenizer/tokenizer.h"

struct tokenize_job {
    const struct tokenizer *tokenizer;
    enum tokenize_flags flags;
    struct strbuf line, out;
    struct token_list ids;
};

static status_code encode_line(struct tokenize_job *job, struct status *st)
{
    struct json_value *root;
    struct text text;
    status_code code = json_parse(&root, (struct text){job->line.data, job->line.length}, st);
    if (code != STATUS_OK) return code;
    job->ids.count = 0;
    code = json_get_text(root, "text", &text, st);
    if (code == STATUS_OK) code = tokenizer_encode(job->tokenizer, text, job->flags, &job->ids, st);
    json_free(root);
    if (code != STATUS_OK) return code;
    strbuf_clear(&job->out);
    strbuf_append_str(&job->out, "{\"ids\": [");
    for (size_t i = 0; i < job->ids.count; i++)
        strbuf_appendf(&job->out, "%s%" PRId32, i ? ", " : "", job->ids.ids[i]);
    strbuf_append_str(&job->out, "]}\n");
    code = strbuf_check(&job->out, "the ids of a line", st);
    if (code != STATUS_OK) return code;
    return cli_write_line(NULL, (struct text){job->out.data, job->out.length}, st);
}

static status_code encode_all(struct tokenize_job *job, struct status *st)
{
    struct cli_input input = {.next = 0};
    bool more;
    for (size_t number = 1;; number++) {
        status_code code = cli_read_line(&input, &job->line, &more, st);
        if (code != STATUS_OK || !more) return code;
        code = encode_line(job, st);
        if (code != STATUS_OK) {
            fflush(stdout);
            return status_prefix(st, "standard input line %zu", number);
        }
    }
}

int cmd_tokenize(const struct command *self, int argc, const char **argv)
{
    const char *model = NULL;
    bool bos = false, special = false;
    const struct option_row rows[] = {
        {"model", OPTION_TEXT, &model, "PATH", "a model, or a folder or file with a tokenizer", 0,
         0},
        {"bos", OPTION_FLAG, &bos, NULL, "put the BOS token in front", 0, 0},
        {"parse-special", OPTION_FLAG, &special, NULL,
         "let text that spells a control token become it", 0, 0},
    };
    struct command_line words;
    int code;
    if (!cli_parse(self, rows, 3, argc, argv, &words, &code)) return code;
    if (!model) return cli_usage_error(self, "--model is missing");
    struct status st = {0};
    struct tokenizer *tokenizer = NULL;
    if (tokenizer_load(&tokenizer, cli_model_path(model), &st) != STATUS_OK) return cli_fail(&st);
    int flags = (bos ? TOKENIZE_ADD_BOS : 0) | (special ? TOKENIZE_PARSE_SPECIAL : 0);
    struct tokenize_job job = {.tokenizer = tokenizer, .flags = (enum tokenize_flags)flags};
    strbuf_init(&job.line, LIMIT_LINE_BYTES);
    strbuf_init(&job.out, LIMIT_JSON_BYTES);
    bool good = encode_all(&job, &st) == STATUS_OK;
    if (good) good = cli_flush(&st) == STATUS_OK;
    strbuf_release(&job.line);
    strbuf_release(&job.out);
    token_list_release(&job.ids);
    tokenizer_free(tokenizer);
    return good ? EXIT_DONE : cli_fail(&st);
}
