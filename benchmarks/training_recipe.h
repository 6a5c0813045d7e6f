/* training_recipe.h - which texts a classifier is trained on, and what their labels mean.
 *
 *   recipe (JSON) + a folder of data -> training_set_load() -> examples and options ->
 * training_run()
 *
 * A recipe lists sources: a file, its column of text, and for each hazard category how a column's
 * values become a label between 0 and 1.  The format is in benchmarks/README.md.  Every text that
 * occurs twice in a source is taken once.  Which texts are held out follows from the text, the
 * seed and the fold alone.
 *
 *   struct training_set *set;
 *   if (training_set_load(&set, recipe_bytes, recipe_path, data_dir, 0, st) != STATUS_OK) ...
 *   training_run(&model, training_set_options(set), training_set_examples(set, &n), n, st)
 *   training_set_free(set);
 */
#ifndef ASSAY_TRAINING_RECIPE_H
#define ASSAY_TRAINING_RECIPE_H

#include "classifiers/training.h"

struct training_set; /* opaque; owns the texts */

/* Reads the recipe and every source.  `source` stands in front of errors; NULL where the recipe is
 * training_recipe_write()'s, for its file is named by them.  `data_dir` is where relative paths
 * start.  Fold 0, 1, ... holds out the first, second, ... such share of the texts. */
status_code training_set_load(struct training_set **out, struct text recipe, const char *source,
                              const char *data_dir, int fold, struct status *st) MUST_CHECK;
void training_set_free(struct training_set *set);

struct training_example *training_set_examples(struct training_set *set, size_t *n);
const struct training_options *training_set_options(const struct training_set *set);

/* The recipe asks for a second training that also learns from the held-out texts. */
bool training_set_refits(const struct training_set *set);

int training_set_n_domains(const struct training_set *set);
const char *training_set_domain(const struct training_set *set, int domain);

/* Appends what a model file says of its training: recipe, sources with digests and rows, seed. */
void training_set_append_origin(const struct training_set *set, struct strbuf *out);

/* Writes the recipe for one file of labelled text.  Labels are the columns that are named as hazard
 * categories are, or "category=column,..." when `labels` is not NULL. */
struct recipe_choices {
    const char *data, *text_column, *labels, *name;
    uint64_t seed;
    int64_t epochs, bits;
    double held_out;
    bool refit;
};
status_code training_recipe_write(struct strbuf *out, const struct recipe_choices *choices,
                                  struct status *st) MUST_CHECK;

#endif
