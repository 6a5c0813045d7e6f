/* From rows of data to documents: every template is evaluated while the file is read, so that what
 * a row lacks is an error of the data and not of a run. */
#include "benchmarks/task_file_internal.h"

#include "datasets/jsonl_reader.h"
#include "datasets/table_reader.h"
#include "engine/base/limits.h"

struct file_document {
    struct text text;   /* doc_to_text; of a document whose choices are contexts, the right one */
    struct text target; /* the words of the answer */
    struct text json;
    const struct text *choices; /* (n_choices) */
    int n_choices;
    int gold; /* or -1 */
    bool choices_are_contexts;
    const bool *labels; /* (n_choices), or NULL */
};

/* Where one row is made into a document. */
struct making {
    const struct task_file *file;
    const struct json_value *row;
    struct arena *kept;    /* the dataset's */
    struct arena *scratch; /* emptied after each row */
    struct status *st;
};

static status_code keep(const struct making *m, struct text text, struct text *out)
{
    *out = (struct text){arena_strndup(m->kept, text.data, text.length), text.length};
    return out->data ? STATUS_OK : status_no_memory(m->st, "documents");
}

static status_code evaluate(const struct making *m, const char *field, const struct template *t,
                            struct template_value *out)
{
    status_code code = template_evaluate(t, m->row, m->scratch, out, m->st);
    return code == STATUS_OK ? code : status_prefix(m->st, "%s", field);
}

static status_code keep_value(const struct making *m, const char *field,
                              const struct template_value *value, struct text *out)
{
    struct strbuf sb;
    strbuf_init(&sb, LIMIT_PROMPT_BYTES);
    status_code code = template_append_value(&sb, value, m->st);
    if (code == STATUS_OK) code = strbuf_check(&sb, "text", m->st);
    if (code != STATUS_OK) status_prefix(m->st, "%s", field);
    if (code == STATUS_OK) code = keep(m, (struct text){sb.data ? sb.data : "", sb.length}, out);
    strbuf_release(&sb);
    return code;
}

/* ---- choices ---- */

static status_code make_choices(const struct making *m, struct file_document *doc)
{
    const struct task_file *f = m->file;
    struct template_value list;
    if (!f->choices) {
        doc->choices = f->fixed_choices;
        doc->n_choices = f->n_fixed_choices;
        return STATUS_OK;
    }
    status_code code = evaluate(m, "doc_to_choice", f->choices, &list);
    if (code != STATUS_OK) return code;
    size_t n = list.kind == TEMPLATE_LIST ? template_count(&list) : 0;
    if (!n || n > TASK_MAX_CHOICES)
        return status_set(m->st, STATUS_BAD_INPUT,
                          "doc_to_choice: gives %s of %zu choices, expected a list of 1 to %d",
                          template_kind_name(list.kind), n, TASK_MAX_CHOICES);
    struct text *choices = arena_array(m->kept, n, sizeof *choices);
    if (!choices) return status_no_memory(m->st, "documents");
    for (size_t i = 0; i < n && code == STATUS_OK; i++) {
        struct template_value item = template_item(&list, i);
        if (item.kind != TEMPLATE_TEXT)
            return status_set(m->st, STATUS_BAD_INPUT,
                              "doc_to_choice: choice %zu is %s, expected a text", i,
                              template_kind_name(item.kind));
        code = keep(m, item.text, &choices[i]);
    }
    doc->choices = choices;
    doc->n_choices = (int)n;
    return code;
}

static status_code make_labels(const struct making *m, struct file_document *doc)
{
    struct template_value list;
    if (!m->file->labels) return STATUS_OK;
    status_code code = evaluate(m, "metric_list: labels", m->file->labels, &list);
    if (code != STATUS_OK) return code;
    if (list.kind != TEMPLATE_LIST || template_count(&list) != (size_t)doc->n_choices)
        return status_set(m->st, STATUS_BAD_INPUT,
                          "metric_list: labels: expected a list of one label for each of the %d "
                          "choices",
                          doc->n_choices);
    bool *labels = arena_array(m->kept, (size_t)doc->n_choices, sizeof *labels);
    if (!labels) return status_no_memory(m->st, "documents");
    for (int i = 0; i < doc->n_choices; i++) {
        struct template_value item = template_item(&list, (size_t)i);
        bool is_one = item.number > 0 && item.number < 2;
        if ((item.kind != TEMPLATE_NUMBER && item.kind != TEMPLATE_BOOL) ||
            (!is_one && (item.number > 0 || item.number < 0)))
            return status_set(m->st, STATUS_BAD_INPUT,
                              "metric_list: labels: label %d is neither 0 nor 1", i);
        labels[i] = is_one;
    }
    doc->labels = labels;
    return STATUS_OK;
}

/* ---- texts ---- */

/* The choice that a value names by its number, as lm-eval reads it: a number, or the digits that an
 * expression wrote.  -1 when it names none so. */
static double index_of(const struct template *t, const struct template_value *value)
{
    if (value->kind == TEMPLATE_NUMBER || value->kind == TEMPLATE_BOOL) return value->number;
    if (value->kind != TEMPLATE_TEXT || !template_has_expressions(t)) return -1;
    double index = 0;
    for (size_t i = 0; i < value->text.length; i++) {
        char c = value->text.data[i];
        if (c < '0' || c > '9' || i == 9) return -1;
        index = 10 * index + (c - '0');
    }
    return value->text.length ? index : -1;
}

static int choice_named(const struct file_document *doc, struct text name)
{
    for (int i = 0; i < doc->n_choices; i++)
        if (text_equal(doc->choices[i], name)) return i;
    return -1;
}

static status_code set_gold(const struct making *m, const char *field, double index,
                            struct file_document *doc)
{
    if (!(index >= 0 && index < doc->n_choices) || index > (int)index)
        return status_set(m->st, STATUS_BAD_INPUT, "%s: there is no choice %g of %d", field, index,
                          doc->n_choices);
    doc->gold = (int)index;
    return STATUS_OK;
}

/* The right choice by doc_to_target: its number, or its words. */
static status_code find_gold(const struct making *m, struct file_document *doc)
{
    const struct task_file *f = m->file;
    struct template_value value;
    if (!f->target) return set_gold(m, "doc_to_target", f->gold_index, doc);
    status_code code = evaluate(m, "doc_to_target", f->target, &value);
    if (code != STATUS_OK) return code;
    double index = index_of(f->target, &value);
    if (index < 0 && value.kind == TEMPLATE_TEXT) {
        index = choice_named(doc, value.text);
        if (index < 0)
            return status_set(m->st, STATUS_BAD_INPUT, "doc_to_target: no choice is \"%.*s\"",
                              (int)(value.text.length > 80 ? 80 : value.text.length),
                              value.text.data);
    }
    return set_gold(m, "doc_to_target", index, doc);
}

static status_code make_target(const struct making *m, struct file_document *doc)
{
    struct template_value value;
    bool by_choice = doc->n_choices && !doc->choices_are_contexts;
    status_code code = STATUS_OK;
    if (by_choice) {
        code = find_gold(m, doc);
        if (code == STATUS_OK) doc->target = doc->choices[doc->gold];
        return code;
    }
    if (!m->file->target)
        return status_set(m->st, STATUS_BAD_INPUT, "doc_to_target: is a number, expected a text");
    code = evaluate(m, "doc_to_target", m->file->target, &value);
    return code == STATUS_OK ? keep_value(m, "doc_to_target", &value, &doc->target) : code;
}

/* A number in place of a text names the right one of several contexts (lm-eval's multiple_input).
 */
static status_code make_text(const struct making *m, struct file_document *doc)
{
    struct template_value value;
    status_code code = evaluate(m, "doc_to_text", m->file->text, &value);
    if (code != STATUS_OK) return code;
    bool is_index =
        value.kind == TEMPLATE_NUMBER && m->file->row.output_type == OUTPUT_MULTIPLE_CHOICE;
    if (!is_index) return keep_value(m, "doc_to_text", &value, &doc->text);
    doc->choices_are_contexts = true;
    code = set_gold(m, "doc_to_text", value.number, doc);
    if (code == STATUS_OK) doc->text = doc->choices[doc->gold];
    return code;
}

static status_code make_document(const struct making *m, struct file_document *doc)
{
    struct strbuf json;
    doc->gold = -1;
    status_code code = make_choices(m, doc);
    if (code == STATUS_OK) code = make_text(m, doc);
    if (code == STATUS_OK) code = make_target(m, doc);
    if (code == STATUS_OK) code = make_labels(m, doc);
    if (code != STATUS_OK) return code;
    strbuf_init(&json, LIMIT_PROMPT_BYTES);
    json_append_indented(&json, m->row);
    code = strbuf_check(&json, "document", m->st);
    if (code == STATUS_OK) code = keep(m, (struct text){json.data, json.length}, &doc->json);
    strbuf_release(&json);
    return code;
}

/* ---- reading ---- */

/* Documents while they are read. */
struct reading {
    struct dataset *dataset;
    struct making making;
    struct document *items;
    size_t n;
};

static status_code add_row(struct reading *r, const struct json_value *row, struct status *st)
{
    if (r->n == LIMIT_DATASET_ROWS)
        return status_set(st, STATUS_LIMIT, "more than %u rows", LIMIT_DATASET_ROWS);
    r->items = dataset_grow(r->dataset, r->items, r->n, sizeof *r->items);
    struct file_document *doc = arena_alloc(r->making.kept, sizeof *doc);
    if (!r->items || !doc) return status_no_memory(st, "documents");
    r->making.row = row;
    status_code code = make_document(&r->making, doc);
    arena_reset(r->making.scratch);
    r->items[r->n++].fields = doc;
    return code;
}

static status_code read_json_lines(struct reading *r, const char *path, struct text bytes,
                                   struct status *st)
{
    struct jsonl_reader reader = jsonl_reader_start(path, bytes);
    struct json_value *row;
    status_code code;
    while ((code = jsonl_reader_next(&reader, &row, st)) == STATUS_OK && row) {
        code = add_row(r, row, st);
        json_free(row);
        if (code != STATUS_OK) return jsonl_reader_prefix(&reader, st);
    }
    return code;
}

/* The names in the first row of a table. */
struct header {
    struct text names[256];
    size_t n;
};

static status_code read_header(struct reading *r, const struct table_row *row, struct header *out,
                               struct status *st)
{
    if (row->n_fields > sizeof out->names / sizeof out->names[0])
        return status_set(st, STATUS_LIMIT, "the header has %zu columns", row->n_fields);
    for (out->n = 0; out->n < row->n_fields; out->n++) {
        struct text name = row->fields[out->n];
        for (size_t i = 0; i < out->n; i++)
            if (text_equal(out->names[i], name))
                return status_set(st, STATUS_BAD_INPUT, "the header has column \"%.*s\" twice",
                                  (int)(name.length > 80 ? 80 : name.length), name.data);
        status_code code = keep(&r->making, name, &out->names[out->n]);
        if (code != STATUS_OK) return code;
    }
    return STATUS_OK;
}

/* A row of a table as an object of texts. */
static status_code add_table_row(struct reading *r, const struct header *header,
                                 const struct table_row *row, struct status *st)
{
    struct strbuf sb;
    struct json_value *object;
    if (row->n_fields != header->n)
        return status_set(st, STATUS_BAD_INPUT, "the row has %zu fields, the header %zu",
                          row->n_fields, header->n);
    strbuf_init(&sb, LIMIT_PROMPT_BYTES);
    for (size_t i = 0; i < header->n; i++) {
        strbuf_append_char(&sb, i ? ',' : '{');
        json_append_text(&sb, header->names[i]);
        strbuf_append_char(&sb, ':');
        json_append_text(&sb, row->fields[i]);
    }
    strbuf_append_char(&sb, '}');
    status_code code = strbuf_check(&sb, "row", st);
    if (code == STATUS_OK) code = json_parse(&object, (struct text){sb.data, sb.length}, st);
    strbuf_release(&sb);
    if (code != STATUS_OK) return code;
    code = add_row(r, object, st);
    json_free(object);
    return code;
}

static status_code read_table_rows(struct reading *r, struct table_reader *reader, const char *path,
                                   struct status *st)
{
    struct table_row row;
    struct header header = {.n = 0};
    status_code code = table_reader_next(reader, &row, st);
    if (code != STATUS_OK) return code;
    code = read_header(r, &row, &header, st);
    if (code != STATUS_OK) return status_prefix(st, "%s", path);
    while ((code = table_reader_next(reader, &row, st)) == STATUS_OK && row.n_fields) {
        code = add_table_row(r, &header, &row, st);
        if (code != STATUS_OK) return status_prefix(st, "%s: line %zu", path, row.line);
    }
    return code;
}

static status_code read_table(struct reading *r, enum table_kind kind, const char *path,
                              struct text bytes, struct status *st)
{
    struct table_reader *reader;
    status_code code = table_reader_create(&reader, kind, path, bytes, st);
    if (code != STATUS_OK) return code;
    code = read_table_rows(r, reader, path, st);
    table_reader_free(reader);
    return code;
}

static bool ends_with(const char *name, const char *end)
{
    size_t n = strlen(name), m = strlen(end);
    return n >= m && strcmp(name + n - m, end) == 0;
}

static status_code read_file(struct reading *r, const char *name, struct status *st)
{
    struct strbuf bytes;
    const char *path = dataset_path(r->dataset, name);
    if (!path) return status_no_memory(st, "a path");
    status_code code = dataset_read(r->dataset, name, &bytes, st);
    struct text text = {bytes.data, bytes.length};
    if (code == STATUS_OK && (ends_with(name, ".csv") || ends_with(name, ".tsv")))
        code = read_table(r, ends_with(name, ".csv") ? TABLE_CSV : TABLE_TSV, path, text, st);
    else if (code == STATUS_OK)
        code = read_json_lines(r, path, text, st);
    if (code == STATUS_OK && !r->n)
        code = status_set(st, STATUS_BAD_INPUT, "%s: the file has no rows", path);
    strbuf_release(&bytes);
    return code;
}

/* The file that is named for a split, or SPLIT.jsonl. */
static const char *file_of(const struct task_file *file, const char *split, struct dataset *dataset)
{
    for (int i = 0; i < file->n_splits; i++)
        if (strcmp(file->splits[i].name, split) == 0) return file->splits[i].file;
    return file->subfolder ? dataset_name_file(dataset, "%s/%s.jsonl", file->subfolder, split)
                           : dataset_name_file(dataset, "%s.jsonl", split);
}

status_code task_file_load(const struct task *task, const char *subset, const char *split,
                           struct dataset *dataset, struct document_list *out, struct status *st)
{
    (void)subset;
    struct arena scratch;
    const char *name = file_of(task->file, split, dataset);
    if (!name) return status_no_memory(st, "a path");
    arena_init(&scratch, 8 * (size_t)LIMIT_PROMPT_BYTES);
    struct reading r = {
        .dataset = dataset,
        .making = {.file = task->file,
                   .kept = dataset_arena(dataset),
                   .scratch = &scratch,
                   .st = st},
    };
    status_code code = read_file(&r, name, st);
    arena_release(&scratch);
    *out = (struct document_list){r.items, r.n};
    return code;
}

/* ---- the row's functions ---- */

static void description(const struct task *task, const char *subset, struct strbuf *out)
{
    (void)subset;
    strbuf_append_str(out, task->file->description);
}

static void doc_to_text(const struct task *task, const struct document *doc, struct strbuf *out)
{
    (void)task;
    const struct file_document *fields = doc->fields;
    strbuf_append(out, fields->text.data, fields->text.length);
}

static void doc_to_target(const struct task *task, const struct document *doc, struct strbuf *out)
{
    (void)task;
    const struct file_document *fields = doc->fields;
    strbuf_append(out, fields->target.data, fields->target.length);
}

static int doc_to_choice(const struct task *task, const struct document *doc,
                         struct text choices[TASK_MAX_CHOICES], int *gold)
{
    (void)task;
    const struct file_document *fields = doc->fields;
    for (int i = 0; i < fields->n_choices; i++) choices[i] = fields->choices[i];
    *gold = fields->gold;
    return fields->n_choices;
}

static bool choices_are_contexts(const struct task *task, const struct document *doc)
{
    (void)task;
    return ((const struct file_document *)doc->fields)->choices_are_contexts;
}

static const bool *doc_to_labels(const struct task *task, const struct document *doc)
{
    (void)task;
    return ((const struct file_document *)doc->fields)->labels;
}

static void doc_to_json(const struct task *task, const struct document *doc, struct strbuf *out)
{
    (void)task;
    const struct file_document *fields = doc->fields;
    strbuf_append(out, fields->json.data, fields->json.length);
}

void task_file_set_functions(struct task_file *file)
{
    struct task *row = &file->row;
    row->file = file;
    row->load = task_file_load;
    row->doc_to_text = doc_to_text;
    row->doc_to_target = doc_to_target;
    row->doc_to_json = doc_to_json;
    if (file->description) row->description = description;
    if (row->output_type == OUTPUT_GENERATE_UNTIL) row->score_reply = score_exact_match;
    for (int e = 0; e < TASK_MAX_EXTRACTIONS && row->extractions[e].name; e++)
        if (row->extractions[e].votes) row->score_repeats = score_votes;
    if (row->output_type != OUTPUT_MULTIPLE_CHOICE) return;
    row->doc_to_choice = doc_to_choice;
    row->choices_are_contexts = choices_are_contexts;
    row->doc_to_labels = doc_to_labels;
    row->score_choices = score_accuracy;
}
