/* hellaswag as lm-evaluation-harness runs it (tasks/hellaswag/hellaswag.yaml, version 1.0, and
 * preprocess() of its utils.py).  A preprocessed row has no ctx_b, so that its first letter, which
 * the protocol capitalises, stays as it is. */
#include "benchmarks/tasks/tasks.h"

#include "datasets/hellaswag.h"
#include "engine/base/json.h"
#include "engine/base/limits.h"
#include "engine/base/utf8.h"

/* A row, and what the protocol makes of it. */
struct hellaswag_document {
    const struct hellaswag_item *item;
    struct text query;
    struct text choices[HELLASWAG_ENDINGS];
};

/* Appends the text with every `from` replaced by `to`, in one pass. */
static void append_replaced(struct strbuf *out, struct text text, const char *from, const char *to)
{
    size_t n = strlen(from);
    for (size_t i = 0; i < text.length;) {
        if (text.length - i >= n && memcmp(text.data + i, from, n) == 0) {
            strbuf_append_str(out, to);
            i += n;
        } else {
            strbuf_append_char(out, text.data[i++]);
        }
    }
}

/* re.sub("\\[.*?\\]", "", text): from a bracket to the next closing one on the same line. */
static void append_without_brackets(struct strbuf *out, struct text text)
{
    size_t end = 0; /* of the search that came last: no bracket before it closes elsewhere */
    for (size_t i = 0; i < text.length; i++) {
        if (end < i) end = i;
        if (text.data[i] == '[')
            while (end < text.length && text.data[end] != ']' && text.data[end] != '\n') end++;
        if (text.data[i] == '[' && end < text.length && text.data[end] == ']')
            i = end;
        else
            strbuf_append_char(out, text.data[i]);
    }
}

static void preprocess(struct strbuf *out, struct text text)
{
    struct strbuf titles, plain;
    strbuf_init(&titles, LIMIT_PROMPT_BYTES);
    strbuf_init(&plain, LIMIT_PROMPT_BYTES);
    append_replaced(&titles, utf8_strip(text), " [title]", ". ");
    append_without_brackets(&plain, (struct text){titles.data, titles.length});
    append_replaced(out, (struct text){plain.data, plain.length}, "  ", " ");
    if (titles.state != STATUS_OK) out->state = titles.state;
    if (plain.state != STATUS_OK) out->state = plain.state;
    strbuf_release(&titles);
    strbuf_release(&plain);
}

static status_code keep(struct arena *arena, struct strbuf *sb, struct text *out, struct status *st)
{
    status_code code = strbuf_check(sb, "document", st);
    if (code != STATUS_OK) return code;
    *out = (struct text){arena_strndup(arena, sb->data, sb->length), sb->length};
    strbuf_clear(sb);
    return out->data ? STATUS_OK : status_no_memory(st, "documents");
}

static void append_query(struct strbuf *out, const struct hellaswag_item *item)
{
    strbuf_append(out, item->activity_label.data, item->activity_label.length);
    strbuf_append_str(out, ": ");
    if (!item->ctx_a.data) {
        strbuf_append(out, item->ctx.data, item->ctx.length);
        return;
    }
    strbuf_append(out, item->ctx_a.data, item->ctx_a.length);
    strbuf_append_char(out, ' ');
    utf8_append_capitalized(out, item->ctx_b);
}

static status_code prepare(struct arena *arena, struct hellaswag_document *doc, struct status *st)
{
    struct strbuf raw, sb;
    strbuf_init(&raw, LIMIT_PROMPT_BYTES);
    strbuf_init(&sb, LIMIT_PROMPT_BYTES);
    append_query(&raw, doc->item);
    status_code code = strbuf_check(&raw, "document", st);
    if (code == STATUS_OK) {
        preprocess(&sb, (struct text){raw.data, raw.length});
        code = keep(arena, &sb, &doc->query, st);
    }
    for (int i = 0; i < HELLASWAG_ENDINGS && code == STATUS_OK; i++) {
        preprocess(&sb, doc->item->endings[i]);
        code = keep(arena, &sb, &doc->choices[i], st);
    }
    strbuf_release(&raw);
    strbuf_release(&sb);
    return code;
}

static status_code load(const struct task *task, const char *subset, const char *split,
                        struct dataset *dataset, struct document_list *out, struct status *st)
{
    (void)task;
    (void)subset;
    const struct hellaswag_item *rows;
    size_t n;
    status_code code = hellaswag_load(dataset, split, &rows, &n, st);
    if (code != STATUS_OK) return code;
    struct arena *arena = dataset_arena(dataset);
    struct hellaswag_document *fields = arena_array(arena, n, sizeof *fields);
    struct document *items = arena_array(arena, n, sizeof *items);
    if (!fields || !items) return status_no_memory(st, "documents");
    for (size_t i = 0; i < n && code == STATUS_OK; i++) {
        fields[i].item = &rows[i];
        items[i].fields = &fields[i];
        code = prepare(arena, &fields[i], st);
    }
    *out = (struct document_list){items, n};
    return code;
}

static void doc_to_text(const struct task *task, const struct document *doc, struct strbuf *out)
{
    (void)task;
    const struct hellaswag_document *fields = doc->fields;
    strbuf_append(out, fields->query.data, fields->query.length);
}

static void doc_to_target(const struct task *task, const struct document *doc, struct strbuf *out)
{
    (void)task;
    const struct hellaswag_document *fields = doc->fields;
    struct text target = fields->choices[fields->item->label];
    strbuf_append(out, target.data, target.length);
}

static int doc_to_choice(const struct task *task, const struct document *doc,
                         struct text choices[TASK_MAX_CHOICES], int *gold)
{
    (void)task;
    const struct hellaswag_document *fields = doc->fields;
    for (int i = 0; i < HELLASWAG_ENDINGS; i++) choices[i] = fields->choices[i];
    *gold = fields->item->label;
    return HELLASWAG_ENDINGS;
}

static void append_member(struct strbuf *out, const char *key, struct text text)
{
    strbuf_appendf(out, ",\n  \"%s\": ", key);
    json_append_text(out, text);
}

static void append_list(struct strbuf *out, const char *key, const struct text *texts)
{
    strbuf_appendf(out, ",\n  \"%s\": [", key);
    for (int i = 0; i < HELLASWAG_ENDINGS; i++) {
        strbuf_append_str(out, i ? ",\n    " : "\n    ");
        json_append_text(out, texts[i]);
    }
    strbuf_append_str(out, "\n  ]");
}

/* The columns of the row in the order of its source, then the three that the protocol adds. */
static void doc_to_json(const struct task *task, const struct document *doc, struct strbuf *out)
{
    (void)task;
    const struct hellaswag_document *fields = doc->fields;
    const struct hellaswag_item *item = fields->item;
    strbuf_appendf(out, "{\n  \"ind\": %lld", (long long)item->ind);
    append_member(out, "activity_label", item->activity_label);
    if (item->ctx_a.data) {
        append_member(out, "ctx_a", item->ctx_a);
        append_member(out, "ctx_b", item->ctx_b);
    }
    append_member(out, "ctx", item->ctx);
    if (item->ctx_a.data) {
        append_list(out, "endings", item->endings);
        append_member(out, "source_id", item->source_id);
        append_member(out, "split", item->split);
        append_member(out, "split_type", item->split_type);
        strbuf_appendf(out, ",\n  \"label\": \"%d\"", item->label);
    } else {
        strbuf_appendf(out, ",\n  \"label\": %d", item->label);
        append_list(out, "endings", item->endings);
    }
    append_member(out, "query", fields->query);
    append_list(out, "choices", fields->choices);
    strbuf_appendf(out, ",\n  \"gold\": %d\n}", item->label);
}

const struct task task_hellaswag = {
    .name = "hellaswag",
    .profile = "lm-eval",
    .version = "1.0",
    .summary = "which of four endings follows; acc_norm divides by code points",
    .dataset = "hellaswag",
    .test_split = "validation",
    .fewshot_split = "train",
    .fewshot_sampler = FEWSHOT_RANDOM_OTHERS,
    .num_fewshot = 0,
    .output_type = OUTPUT_MULTIPLE_CHOICE,
    .target_delimiter = " ",
    .fewshot_delimiter = "\n\n",
    .metrics = {{.name = "acc_norm", .aggregation = "mean", .higher_is_better = true},
                {.name = "acc", .aggregation = "mean", .higher_is_better = true},
                {.name = "acc_bytes", .aggregation = "mean", .higher_is_better = true}},
    .load = load,
    .doc_to_text = doc_to_text,
    .doc_to_target = doc_to_target,
    .doc_to_choice = doc_to_choice,
    .doc_to_json = doc_to_json,
    .score_choices = score_accuracy,
};
