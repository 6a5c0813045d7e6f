#include "benchmarks/training_recipe.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "benchmarks/labelled_text.h"
#include "benchmarks/training_variants.h"
#include "classifiers/strict_json.h"
#include "classifiers/word_vectors.h"
#include "engine/base/arena.h"
#include "engine/base/json.h"
#include "engine/base/limits.h"

#define NAME_BYTES   128
#define COUNT(names) (sizeof(names) / sizeof(names)[0])

struct origin { /* of a source: for the model's file */
    const char *file;
    char sha256[SHA256_HEX_SIZE];
    size_t n_rows, n_used;
};

struct training_set {
    struct json_value *root; /* the recipe */
    char recipe_sha256[SHA256_HEX_SIZE];
    char name[LINEAR_NAME_SIZE];
    struct training_options options;
    struct training_example *examples;
    size_t n, room;
    double held_out;
    int fold;
    bool refit;
    bool is_one_file;                  /* the recipe was made for it, and its user never saw one */
    double distill;                    /* where a source does not say */
    struct training_variants variants; /* none when the recipe has none */
    const char *domains[TRAINING_MAX_DOMAINS]; /* owned by root */
    int n_domains;
    struct origin origins[LIMIT_TRAINING_SOURCES];
    int n_origins;
    struct arena texts;
};

/* Hashes that were seen: open addressing, a power of two, at most half full; 0 is empty. */
struct hash_set {
    uint64_t *slots;
    size_t mask, count;
};

static uint64_t hash_text(struct text text, uint64_t seed)
{
    uint64_t hash = 0xcbf29ce484222325u ^ seed * 0x9e3779b97f4a7c15u;
    for (size_t i = 0; i < text.length; i++)
        hash = (hash ^ (unsigned char)text.data[i]) * 0x100000001b3u; /* FNV-1a */
    hash ^= hash >> 32;
    hash *= 0xd6e8feb86659fd93u;
    hash ^= hash >> 32;
    return hash ? hash : 1;
}

static double unit_interval(uint64_t hash)
{
    return (double)(hash >> 11) * 0x1p-53;
}

static bool hash_set_grow(struct hash_set *set)
{
    size_t size = set->slots ? (set->mask + 1) * 2 : 1024;
    uint64_t *slots = calloc(size, sizeof *slots);
    if (!slots) return false;
    for (size_t i = 0; set->slots && i <= set->mask; i++) {
        if (!set->slots[i]) continue;
        size_t k = (size_t)set->slots[i] & (size - 1);
        while (slots[k]) k = (k + 1) & (size - 1);
        slots[k] = set->slots[i];
    }
    free(set->slots);
    set->slots = slots;
    set->mask = size - 1;
    return true;
}

/* Adds a hash; *fresh is false when it was there. */
static status_code hash_set_add(struct hash_set *set, uint64_t hash, bool *fresh, struct status *st)
{
    if ((!set->slots || set->count * 2 > set->mask) && !hash_set_grow(set))
        return status_no_memory(st, "the texts seen");
    size_t i = (size_t)hash & set->mask;
    while (set->slots[i] && set->slots[i] != hash) i = (i + 1) & set->mask;
    *fresh = !set->slots[i];
    if (*fresh) set->count++;
    set->slots[i] = hash;
    return STATUS_OK;
}

/* ---- labels ---- */

/* Means of a column of another file, by a key. */
struct joined {
    struct joined_slot {
        uint64_t hash; /* of the key; 0 is empty */
        double sum;
        size_t n;
    } * slots;
    size_t mask, count;
};

struct label_rule {
    char column[NAME_BYTES];
    const struct json_value *values; /* text to number; NULL: the cell is the number */
    struct joined joined;
    bool is_joined; /* the column is the key */
};

struct source {
    const char *file;
    char text_column[NAME_BYTES];
    char split_column[NAME_BYTES]; /* rows that share its value are held out together; or "" */
    bool has_header;
    int domain;
    double weight, share, distill;
    int64_t swaps; /* copies of a text with other groups */
    double quotes; /* share of the texts that may be quoted */
    struct label_rule rules[LINEAR_MAX_HEADS];
    bool has_rule[LINEAR_MAX_HEADS];
};

/* A required string, as a C string that lives in `out`. */
static status_code get_name(const struct json_value *object, const char *key, char out[NAME_BYTES],
                            struct status *st)
{
    struct text text;
    status_code code = json_get_text(object, key, &text, st);
    if (code != STATUS_OK) return code;
    if (!text.length || text.length >= NAME_BYTES || memchr(text.data, '\0', text.length))
        return status_set(st, STATUS_BAD_INPUT, "field \"%s\" is not a text of 1 to %d bytes", key,
                          NAME_BYTES - 1);
    memcpy(out, text.data, text.length);
    out[text.length] = '\0';
    return STATUS_OK;
}

static status_code get_number(const struct json_value *object, const char *key, double otherwise,
                              double low, double high, double *out, struct status *st)
{
    *out = otherwise;
    if (!json_has(object, key)) return STATUS_OK;
    status_code code = json_get_double(object, key, out, st);
    if (code == STATUS_OK && !(*out >= low && *out <= high))
        return status_set(st, STATUS_BAD_INPUT, "field \"%s\" is %g, expected %g to %g", key, *out,
                          low, high);
    return code;
}

/* A cell's label: NAN where the cell is absent or its value is none that the rule names. */
static status_code cell_label(const struct labelled_cell *cell, const struct json_value *values,
                              double *out, struct status *st)
{
    char key[NAME_BYTES];
    *out = (double)NAN;
    if (cell->kind == CELL_ABSENT) return STATUS_OK;
    if (values) {
        struct text text = cell->text;
        struct strbuf number;
        strbuf_init(&number, NAME_BYTES);
        if (cell->kind == CELL_NUMBER) {
            json_append_number(&number, cell->number);
            text = (struct text){number.data, number.length};
        }
        bool fits = text.length < sizeof key;
        if (fits) memcpy(key, text.data, text.length);
        if (fits) key[text.length] = '\0';
        strbuf_release(&number);
        const struct json_value *value = fits ? json_member(values, key) : NULL;
        if (value && json_kind(value) == JSON_NUMBER) *out = json_number(value);
    } else if (cell->is_number) {
        *out = cell->number;
    } else if (text_equal(cell->text, text_of("true"))) {
        *out = 1;
    } else if (text_equal(cell->text, text_of("false"))) {
        *out = 0;
    } else {
        return status_set(st, STATUS_BAD_INPUT, "the label \"%.*s\" is no number",
                          (int)(cell->text.length > 32 ? 32 : cell->text.length), cell->text.data);
    }
    if (!isnan(*out) && !(*out >= 0 && *out <= 1))
        return status_set(st, STATUS_BAD_INPUT, "the label %g is not between 0 and 1", *out);
    return STATUS_OK;
}

static bool joined_grow(struct joined *joined)
{
    size_t size = joined->slots ? (joined->mask + 1) * 2 : 1024;
    struct joined_slot *slots = calloc(size, sizeof *slots);
    if (!slots) return false;
    for (size_t i = 0; joined->slots && i <= joined->mask; i++) {
        if (!joined->slots[i].hash) continue;
        size_t k = (size_t)joined->slots[i].hash & (size - 1);
        while (slots[k].hash) k = (k + 1) & (size - 1);
        slots[k] = joined->slots[i];
    }
    free(joined->slots);
    joined->slots = slots;
    joined->mask = size - 1;
    return true;
}

/* The slot of a key, or the empty one where it belongs; NULL without memory. */
static struct joined_slot *joined_find(struct joined *joined, uint64_t hash)
{
    if ((!joined->slots || joined->count * 2 > joined->mask) && !joined_grow(joined)) return NULL;
    size_t i = (size_t)hash & joined->mask;
    while (joined->slots[i].hash && joined->slots[i].hash != hash) i = (i + 1) & joined->mask;
    return &joined->slots[i];
}

static status_code join_row(struct labelled_text *rows, const char *key, const char *column,
                            const struct json_value *values, struct joined *joined,
                            struct status *st)
{
    struct labelled_cell key_cell, cell;
    double label;
    status_code code = labelled_text_cell(rows, key, &key_cell, st);
    if (code == STATUS_OK) code = labelled_text_cell(rows, column, &cell, st);
    if (code == STATUS_OK) code = cell_label(&cell, values, &label, st);
    if (code != STATUS_OK || isnan(label)) return code;
    struct joined_slot *slot = joined_find(joined, hash_text(key_cell.text, 0));
    if (!slot) return status_no_memory(st, "labels of another file");
    if (!slot->n) joined->count++;
    slot->hash = hash_text(key_cell.text, 0);
    slot->sum += label;
    slot->n++;
    return STATUS_OK;
}

static status_code open_file(struct labelled_text **out, const char *data_dir, const char *file,
                             bool has_header, struct status *st)
{
    struct strbuf path;
    strbuf_init(&path, 4096);
    if (file[0] != '/' && data_dir) strbuf_appendf(&path, "%s/", data_dir);
    strbuf_append_str(&path, file);
    status_code code = strbuf_check(&path, "a path", st);
    if (code == STATUS_OK) code = labelled_text_open(out, path.data, has_header, st);
    strbuf_release(&path);
    return code;
}

/* What a rule's "values" become must be numbers: a text that teaches nothing is one it leaves out.
 */
static status_code check_values(const struct json_value *rule, struct status *st)
{
    const struct json_value *values;
    if (!json_has(rule, "values")) return STATUS_OK;
    status_code code = json_get_object(rule, "values", &values, st);
    if (code != STATUS_OK) return code;
    for (const struct json_value *v = json_first(values); v; v = json_next(v))
        if (json_kind(v) != JSON_NUMBER)
            return status_set(st, STATUS_BAD_INPUT, "field \"values\": field \"%.64s\" is %s",
                              json_key(v), json_kind_name(json_kind(v)));
    return STATUS_OK;
}

static status_code read_join(const struct json_value *join, const char *data_dir,
                             struct label_rule *rule, struct status *st)
{
    static const char *const fields[] = {"file", "key", "column", "values"};
    char file[NAME_BYTES], column[NAME_BYTES];
    struct labelled_text *rows = NULL;
    bool more = true;
    status_code code = strict_json_fields(join, fields, COUNT(fields), st);
    if (code == STATUS_OK) code = check_values(join, st);
    if (code == STATUS_OK) code = get_name(join, "file", file, st);
    if (code == STATUS_OK) code = get_name(join, "key", rule->column, st);
    if (code == STATUS_OK) code = get_name(join, "column", column, st);
    if (code == STATUS_OK) code = open_file(&rows, data_dir, file, true, st);
    rule->is_joined = true;
    while (code == STATUS_OK) {
        code = labelled_text_next(rows, &more, st);
        if (code != STATUS_OK || !more) break;
        code = join_row(rows, rule->column, column, json_member(join, "values"), &rule->joined, st);
        if (code != STATUS_OK) code = labelled_text_prefix(rows, st);
    }
    labelled_text_free(rows);
    return code;
}

static status_code row_label(const struct labelled_text *rows, struct label_rule *rule, double *out,
                             struct status *st)
{
    struct labelled_cell cell;
    *out = (double)NAN;
    status_code code = labelled_text_cell(rows, rule->column, &cell, st);
    if (code != STATUS_OK) return code;
    if (!rule->is_joined) return cell_label(&cell, rule->values, out, st);
    const struct joined_slot *slot = joined_find(&rule->joined, hash_text(cell.text, 0));
    if (slot && slot->n) *out = slot->sum / (double)slot->n;
    return STATUS_OK;
}

/* ---- sources ---- */

static status_code add_example(struct training_set *set, const struct training_example *example,
                               struct status *st)
{
    if (set->n == LIMIT_DATASET_ROWS)
        return status_set(st, STATUS_LIMIT, "more than %u texts", LIMIT_DATASET_ROWS);
    if (set->n == set->room) {
        size_t room = set->room ? set->room * 2 : 1024;
        struct training_example *grown = realloc(set->examples, room * sizeof *grown);
        if (!grown) return status_no_memory(st, "training examples");
        set->examples = grown;
        set->room = room;
    }
    set->examples[set->n++] = *example;
    return STATUS_OK;
}

/* Adds a text that was made from example `original`. */
static status_code add_variant(struct training_set *set, struct training_example variant,
                               uint32_t original, const struct strbuf *text, struct status *st)
{
    const char *copy = arena_strndup(&set->texts, text->data, text->length);
    if (!copy || text->state != STATUS_OK) return status_no_memory(st, "training texts");
    variant.text = (struct text){copy, text->length};
    variant.is_variant = true;
    variant.original = original;
    return add_example(set, &variant, st);
}

/* The variants of the example that was added last. */
static status_code add_variants(struct training_set *set, const struct source *source,
                                struct status *st)
{
    const struct training_example example = set->examples[set->n - 1];
    uint32_t original = (uint32_t)(set->n - 1);
    uint64_t seed = set->options.seed;
    status_code code = STATUS_OK;
    struct strbuf text;
    strbuf_init(&text, LIMIT_CONFIG_BYTES);
    for (int64_t i = 0; i < source->swaps && code == STATUS_OK; i++)
        if (training_variants_swap(&set->variants, example.text,
                                   hash_text(example.text, seed * 64 + (uint64_t)i) >> 8, &text))
            code = add_variant(set, example, original, &text, st);
    struct training_example quoting = example;
    uint64_t random = hash_text(example.text, seed * 64 + 63);
    quoting.distill = 0;
    if (code == STATUS_OK && unit_interval(random) < source->quotes &&
        training_variants_quote(&set->variants, &quoting, random & 0xffff, &text))
        code = add_variant(set, quoting, TRAINING_NONE, &text, st);
    strbuf_release(&text);
    return code;
}

static status_code read_row(struct training_set *set, struct source *source,
                            const struct labelled_text *rows, struct hash_set *seen,
                            struct status *st)
{
    struct labelled_cell cell, split;
    bool fresh, labelled = false;
    struct training_example example = {.weight = (float)source->weight,
                                       .domain = source->domain,
                                       .distill = (float)source->distill,
                                       .original = TRAINING_NONE};
    status_code code = labelled_text_cell(rows, source->text_column, &cell, st);
    if (code != STATUS_OK || cell.kind != CELL_TEXT) return code;
    for (int h = 0; h < LINEAR_MAX_HEADS; h++) {
        double label = (double)NAN;
        if (source->has_rule[h]) code = row_label(rows, &source->rules[h], &label, st);
        if (code != STATUS_OK) return code;
        example.label[h] = (float)label;
        labelled = labelled || !isnan(label);
    }
    if (!labelled) return STATUS_OK;
    code = hash_set_add(seen, hash_text(cell.text, 0), &fresh, st);
    if (code != STATUS_OK || !fresh) return code;
    uint64_t seed = set->options.seed;
    if (unit_interval(hash_text(cell.text, seed * 2 + 1)) >= source->share) return STATUS_OK;
    split = cell;
    if (source->split_column[0]) code = labelled_text_cell(rows, source->split_column, &split, st);
    if (code != STATUS_OK) return code;
    double place = unit_interval(hash_text(split.text, seed * 2)) - set->fold * set->held_out;
    example.held_out = place >= 0 && place < set->held_out;
    const char *copy = arena_strndup(&set->texts, cell.text.data, cell.text.length);
    if (!copy) return status_no_memory(st, "training texts");
    example.text = (struct text){copy, cell.text.length};
    set->origins[set->n_origins].n_used++;
    code = add_example(set, &example, st);
    return code == STATUS_OK ? add_variants(set, source, st) : code;
}

static status_code read_rows(struct training_set *set, struct source *source, const char *data_dir,
                             struct status *st)
{
    struct labelled_text *rows;
    struct hash_set seen = {0};
    struct origin *origin = &set->origins[set->n_origins];
    bool more;
    status_code code = open_file(&rows, data_dir, source->file, source->has_header, st);
    if (code != STATUS_OK) return code;
    origin->file = source->file;
    memcpy(origin->sha256, labelled_text_sha256(rows), SHA256_HEX_SIZE);
    for (;;) {
        code = labelled_text_next(rows, &more, st);
        if (code != STATUS_OK || !more) break;
        origin->n_rows++;
        code = read_row(set, source, rows, &seen, st);
        if (code != STATUS_OK) code = labelled_text_prefix(rows, st);
        if (code != STATUS_OK) break;
    }
    set->n_origins++;
    free(seen.slots);
    labelled_text_free(rows);
    return code;
}

/* {"column": C}, {"column": C, "values": V} or {"join": J}. */
static status_code read_rule(const struct json_value *value, const char *data_dir,
                             struct label_rule *rule, struct status *st)
{
    static const char *const joining[] = {"join"}, *const fields[] = {"column", "values"};
    if (json_has(value, "join")) {
        status_code code = strict_json_fields(value, joining, COUNT(joining), st);
        return code == STATUS_OK ? read_join(json_member(value, "join"), data_dir, rule, st) : code;
    }
    rule->values = json_member(value, "values");
    status_code code = strict_json_fields(value, fields, COUNT(fields), st);
    if (code == STATUS_OK) code = check_values(value, st);
    return code == STATUS_OK ? get_name(value, "column", rule->column, st) : code;
}

static status_code read_rules(const struct training_set *set, const struct json_value *labels,
                              const char *data_dir, struct source *source, struct status *st)
{
    for (const struct json_value *v = json_first(labels); v; v = json_next(v)) {
        int h = 0;
        while (h < set->options.n_heads &&
               strcmp(json_key(v), hazard_get(set->options.category[h])->name) != 0)
            h++;
        if (h == set->options.n_heads)
            return status_set(st, STATUS_BAD_INPUT,
                              "field \"labels\": \"%.64s\" is not in \"categories\"", json_key(v));
        if (source->has_rule[h])
            return status_set(st, STATUS_BAD_INPUT,
                              "field \"labels\": field \"%.64s\" is there twice", json_key(v));
        source->has_rule[h] = true;
        status_code code = read_rule(v, data_dir, &source->rules[h], st);
        if (code != STATUS_OK) return status_prefix(st, "label %.64s", json_key(v));
    }
    return STATUS_OK;
}

static status_code find_domain(struct training_set *set, const struct json_value *value,
                               int *domain, struct status *st)
{
    struct text name;
    status_code code = json_get_text(value, "domain", &name, st);
    if (code != STATUS_OK) return code;
    for (*domain = 0; *domain < set->n_domains; (*domain)++)
        if (text_equal(text_of(set->domains[*domain]), name)) return STATUS_OK;
    if (set->n_domains == TRAINING_MAX_DOMAINS)
        return status_set(st, STATUS_LIMIT, "more than %d domains", TRAINING_MAX_DOMAINS);
    set->domains[set->n_domains++] = name.data;
    return STATUS_OK;
}

static status_code read_source(struct training_set *set, const struct json_value *value,
                               const char *data_dir, struct status *st)
{
    static const char *const fields[] = {"domain", "file",   "text",  "split_by",
                                         "header", "weight", "share", "distill",
                                         "swaps",  "quotes", "labels"};
    struct text file;
    struct source *source = calloc(1, sizeof *source);
    if (!source) return status_no_memory(st, "a source");
    source->has_header = true;
    const struct json_value *labels;
    status_code code = strict_json_fields(value, fields, COUNT(fields), st);
    if (code == STATUS_OK) code = json_get_text(value, "file", &file, st);
    if (code == STATUS_OK) source->file = file.data;
    if (code == STATUS_OK) code = get_name(value, "text", source->text_column, st);
    if (code == STATUS_OK && json_has(value, "split_by"))
        code = get_name(value, "split_by", source->split_column, st);
    if (code == STATUS_OK && json_has(value, "header"))
        code = json_get_bool(value, "header", &source->has_header, st);
    if (code == STATUS_OK) code = find_domain(set, value, &source->domain, st);
    if (code == STATUS_OK) code = get_number(value, "weight", 1, 1e-6, 1e6, &source->weight, st);
    if (code == STATUS_OK) code = get_number(value, "share", 1, 0, 1, &source->share, st);
    if (code == STATUS_OK)
        code = get_number(value, "distill", set->distill, 0, 1, &source->distill, st);
    if (code == STATUS_OK) code = get_number(value, "quotes", 0, 0, 1, &source->quotes, st);
    if (code == STATUS_OK && json_has(value, "swaps"))
        code = json_get_int(value, "swaps", 0, 16, &source->swaps, st);
    if (code == STATUS_OK) code = json_get_object(value, "labels", &labels, st);
    if (code == STATUS_OK) code = read_rules(set, labels, data_dir, source, st);
    if (code == STATUS_OK) code = read_rows(set, source, data_dir, st);
    for (int h = 0; h < LINEAR_MAX_HEADS; h++) free(source->rules[h].joined.slots);
    free(source);
    return code;
}

/* ---- the recipe ---- */

static status_code read_categories(struct training_set *set, struct status *st)
{
    const struct json_value *list;
    status_code code = json_get_array(set->root, "categories", &list, st);
    if (code != STATUS_OK) return code;
    if (!json_count(list) || json_count(list) > LINEAR_MAX_HEADS)
        return status_set(st, STATUS_BAD_INPUT,
                          "field \"categories\" has %zu names, expected 1 to %d", json_count(list),
                          LINEAR_MAX_HEADS);
    hazard_set seen = 0;
    for (const struct json_value *v = json_first(list); v; v = json_next(v)) {
        enum hazard_category category;
        if (json_kind(v) != JSON_STRING || !hazard_find(json_text(v), &category) ||
            seen & HAZARD_BIT(category))
            return status_set(st, STATUS_BAD_INPUT,
                              "field \"categories\" holds something that is no hazard category, or "
                              "one twice");
        seen |= HAZARD_BIT(category);
        set->options.category[set->options.n_heads++] = category;
    }
    return STATUS_OK;
}

static status_code read_options(struct training_set *set, struct status *st)
{
    static const char *const fields[] = {"name",          "version",  "seed",     "bits",
                                         "epochs",        "l2",       "distill",  "domain_rate",
                                         "learning_rate", "held_out", "refit",    "categories",
                                         "variants",      "window",   "spelling", "sources"};
    struct training_options *options = &set->options;
    const struct json_value *root = set->root;
    char name[NAME_BYTES];
    int64_t version, seed, bits, epochs;
    status_code code = strict_json_fields(root, fields, COUNT(fields), st);
    if (code == STATUS_OK) code = get_name(root, "name", name, st);
    if (code == STATUS_OK && strlen(name) >= LINEAR_NAME_SIZE)
        code = status_set(st, STATUS_BAD_INPUT, "field \"name\" is longer than %d bytes",
                          LINEAR_NAME_SIZE - 1);
    if (code == STATUS_OK) code = json_get_int(root, "version", 1, 1000000, &version, st);
    if (code == STATUS_OK) code = json_get_int(root, "seed", 0, INT32_MAX, &seed, st);
    if (code == STATUS_OK)
        code = json_get_int(root, "bits", LINEAR_MIN_BITS, LINEAR_MAX_BITS, &bits, st);
    if (code == STATUS_OK) code = json_get_int(root, "epochs", 1, 1000, &epochs, st);
    if (code == STATUS_OK)
        code = get_number(root, "learning_rate", 1, 1e-6, 100, &options->learning_rate, st);
    if (code == STATUS_OK) code = get_number(root, "l2", 5e-4, 0, 1, &options->l2, st);
    if (code == STATUS_OK) code = get_number(root, "distill", 0, 0, 1, &set->distill, st);
    options->distill = set->distill > 0;
    if (code == STATUS_OK)
        code = get_number(root, "domain_rate", 0.5, 0, 10, &options->domain_rate, st);
    if (code == STATUS_OK) code = get_number(root, "held_out", 0.1, 0, 0.9, &set->held_out, st);
    if (code == STATUS_OK && (set->fold + 1) * set->held_out > 1 + 1e-9)
        code = status_set(st, STATUS_USAGE, "fold %d of texts of which %g is held out: at most %d",
                          set->fold, set->held_out, (int)(1 / set->held_out + 1e-9) - 1);
    if (code == STATUS_OK && json_has(root, "refit"))
        code = json_get_bool(root, "refit", &set->refit, st);
    if (code == STATUS_OK) code = read_categories(set, st);
    if (code != STATUS_OK) return code;
    memcpy(set->name, name, strlen(name) + 1);
    options->name = set->name;
    options->version = (int)version;
    options->seed = (uint64_t)seed;
    options->bits = (int)bits;
    options->epochs = (int)epochs;
    return STATUS_OK;
}

static status_code read_window(struct training_set *set, struct status *st)
{
    static const char *const fields[] = {"size", "min_count", "epochs", "share"};
    struct window_options *window = &set->options.window;
    const struct json_value *value;
    int64_t size, epochs;
    status_code code = json_get_object(set->root, "window", &value, st);
    if (code == STATUS_OK) code = strict_json_fields(value, fields, COUNT(fields), st);
    if (code == STATUS_OK) code = json_get_int(value, "size", 1, WORD_VECTOR_MAX_SIZE, &size, st);
    if (code == STATUS_OK)
        code = json_get_int(value, "min_count", 1, INT32_MAX, &window->min_count, st);
    if (code == STATUS_OK) code = json_get_int(value, "epochs", 1, 1000, &epochs, st);
    if (code == STATUS_OK) code = get_number(value, "share", 0.5, 0.01, 1, &window->share, st);
    if (code != STATUS_OK) return status_prefix(st, "window");
    window->size = (int)size;
    window->epochs = (int)epochs;
    return STATUS_OK;
}

static status_code read_spelling(struct training_set *set, struct status *st)
{
    static const char *const fields[] = {"min_count"};
    const struct json_value *value;
    status_code code = json_get_object(set->root, "spelling", &value, st);
    if (code == STATUS_OK) code = strict_json_fields(value, fields, COUNT(fields), st);
    if (code == STATUS_OK)
        code = json_get_int(value, "min_count", 1, 1000000, &set->options.spelling_min_count, st);
    return code == STATUS_OK ? code : status_prefix(st, "spelling");
}

static status_code read_variants(struct training_set *set, struct status *st)
{
    const struct json_value *value;
    status_code code = json_get_object(set->root, "variants", &value, st);
    if (code == STATUS_OK) code = training_variants_read(&set->variants, value, &set->options, st);
    return code == STATUS_OK ? code : status_prefix(st, "variants");
}

static status_code read_recipe(struct training_set *set, const char *data_dir, struct status *st)
{
    const struct json_value *sources;
    status_code code = read_options(set, st);
    if (code == STATUS_OK && json_has(set->root, "variants")) code = read_variants(set, st);
    if (code == STATUS_OK && json_has(set->root, "window")) code = read_window(set, st);
    if (code == STATUS_OK && json_has(set->root, "spelling")) code = read_spelling(set, st);
    if (code == STATUS_OK) code = json_get_array(set->root, "sources", &sources, st);
    if (code != STATUS_OK) return code;
    if (json_count(sources) > LIMIT_TRAINING_SOURCES)
        return status_set(st, STATUS_LIMIT, "field \"sources\": more than %d",
                          LIMIT_TRAINING_SOURCES);
    int i = 0;
    for (const struct json_value *v = json_first(sources); v; v = json_next(v), i++) {
        code = read_source(set, v, data_dir, st);
        if (code != STATUS_OK) return set->is_one_file ? code : status_prefix(st, "source %d", i);
    }
    return STATUS_OK;
}

status_code training_set_load(struct training_set **out, struct text recipe, const char *source,
                              const char *data_dir, int fold, struct status *st)
{
    struct training_set *set = calloc(1, sizeof *set);
    *out = NULL;
    if (!set) return status_no_memory(st, "a training set");
    arena_init(&set->texts, LIMIT_DATASET_BYTES);
    set->fold = fold;
    set->is_one_file = !source;
    sha256_text(recipe, set->recipe_sha256);
    status_code code = json_parse(&set->root, recipe, st);
    if (code == STATUS_OK) code = read_recipe(set, data_dir, st);
    if (code == STATUS_OK) {
        *out = set;
        return STATUS_OK;
    }
    training_set_free(set);
    return source ? status_prefix(st, "%s", source) : code;
}

void training_set_free(struct training_set *set)
{
    if (!set) return;
    json_free(set->root);
    arena_release(&set->texts);
    free(set->examples);
    free(set);
}

struct training_example *training_set_examples(struct training_set *set, size_t *n)
{
    *n = set->n;
    return set->examples;
}

const struct training_options *training_set_options(const struct training_set *set)
{
    return &set->options;
}

bool training_set_refits(const struct training_set *set)
{
    return set->refit;
}

int training_set_n_domains(const struct training_set *set)
{
    return set->n_domains;
}

const char *training_set_domain(const struct training_set *set, int domain)
{
    return set->domains[domain];
}

void training_set_append_origin(const struct training_set *set, struct strbuf *out)
{
    strbuf_appendf(out,
                   "{\"recipe_sha256\": \"%s\", \"seed\": %llu, \"held_out\": ", set->recipe_sha256,
                   (unsigned long long)set->options.seed);
    json_append_number(out, set->held_out);
    strbuf_appendf(out, ", \"fold\": %d, \"refit\": %s, \"sources\": [", set->fold,
                   set->refit ? "true" : "false");
    for (int i = 0; i < set->n_origins; i++) {
        const struct origin *origin = &set->origins[i];
        strbuf_append_str(out, i ? ", {\"file\": " : "{\"file\": ");
        json_append_str(out, origin->file);
        strbuf_appendf(out, ", \"sha256\": \"%s\", \"rows\": %zu, \"used\": %zu}", origin->sha256,
                       origin->n_rows, origin->n_used);
    }
    strbuf_append_str(out, "]}");
}

/* ---- a recipe for one file ---- */

static void append_label(struct strbuf *out, int *n, struct text category, struct text column)
{
    strbuf_append_str(out, (*n)++ ? ", " : "");
    json_append_text(out, category);
    strbuf_append_str(out, ": {\"column\": ");
    json_append_text(out, column);
    strbuf_append_str(out, "}");
}

/* "category=column,category,..." to rules and to the list of categories. */
static status_code append_named(const char *labels, struct strbuf *rules, struct strbuf *names,
                                struct status *st)
{
    int n = 0;
    for (const char *p = labels; *p;) {
        size_t length = strcspn(p, ",");
        const char *equals = memchr(p, '=', length);
        struct text category = {p, equals ? (size_t)(equals - p) : length};
        struct text column = category;
        enum hazard_category found;
        if (equals) column = (struct text){equals + 1, length - category.length - 1};
        if (!hazard_find(category, &found) || !column.length)
            return status_set(st, STATUS_USAGE,
                              "--labels: \"%.*s\" is not CATEGORY=COLUMN with a hazard category",
                              (int)(length > 64 ? 64 : length), p);
        if (n) strbuf_append_str(names, ", ");
        json_append_text(names, category);
        append_label(rules, &n, category, column);
        p += length + (p[length] == ',');
    }
    return STATUS_OK;
}

/* Every hazard category that a column, or a member of the first JSON line, is named as. */
static status_code append_found(const char *path, struct strbuf *rules, struct strbuf *names,
                                struct status *st)
{
    struct labelled_text *rows;
    bool more;
    int n = 0;
    status_code code = labelled_text_open(&rows, path, true, st);
    if (code != STATUS_OK) return code;
    code = labelled_text_next(rows, &more, st);
    for (int c = 0; c < HAZARD_COUNT && code == STATUS_OK && more; c++) {
        const char *name = hazard_get((enum hazard_category)c)->name;
        if (!labelled_text_has_column(rows, name)) continue;
        if (n) strbuf_append_str(names, ", ");
        json_append_str(names, name);
        append_label(rules, &n, text_of(name), text_of(name));
    }
    labelled_text_free(rows);
    if (code == STATUS_OK && !n)
        return status_set(st, STATUS_USAGE,
                          "%s: no column is named as a hazard category; say --labels "
                          "CATEGORY=COLUMN",
                          path);
    return code;
}

status_code training_recipe_write(struct strbuf *out, const struct recipe_choices *choices,
                                  struct status *st)
{
    struct strbuf rules, names;
    strbuf_init(&rules, LIMIT_CONFIG_BYTES);
    strbuf_init(&names, LIMIT_CONFIG_BYTES);
    status_code code = choices->labels ? append_named(choices->labels, &rules, &names, st)
                                       : append_found(choices->data, &rules, &names, st);
    strbuf_append_str(out, "{\"name\": ");
    json_append_str(out, choices->name);
    strbuf_appendf(out, ", \"version\": 1, \"seed\": %llu, \"bits\": %lld, \"epochs\": %lld",
                   (unsigned long long)choices->seed, (long long)choices->bits,
                   (long long)choices->epochs);
    strbuf_append_str(out, ", \"held_out\": ");
    json_append_number(out, choices->held_out);
    strbuf_appendf(out, ", \"refit\": %s, \"categories\": [%s]", choices->refit ? "true" : "false",
                   names.data);
    strbuf_append_str(out, ", \"sources\": [{\"file\": ");
    json_append_str(out, choices->data);
    strbuf_append_str(out, ", \"domain\": \"data\", \"text\": ");
    json_append_str(out, choices->text_column);
    strbuf_appendf(out, ", \"labels\": {%s}}]}", rules.data);
    if (code == STATUS_OK) code = strbuf_check(&rules, "a recipe", st);
    if (code == STATUS_OK) code = strbuf_check(out, "a recipe", st);
    strbuf_release(&rules);
    strbuf_release(&names);
    return code;
}
