/* model_fetch.h - a model's files, from a hub that speaks Hugging Face's interface.
 *
 *   name, revision -> the hub's list of files -> the wanted ones, checked -> ROOT/ORG/NAME/
 *
 * The revision is pinned to its commit first, and all files come from that commit.  Weights are
 * checked by the SHA-256 that the hub lists, small files by their size.  What was fetched, and the
 * licence that the model's card names, is kept as FETCHED.json beside them.
 *
 * Wanted are a folder's config, tokenizer and safetensors files; or the one file that is named,
 * such as a GGUF.  Only names without a folder are taken.
 */
#ifndef ASSAY_MODEL_FETCH_H
#define ASSAY_MODEL_FETCH_H

#include "datasets/fetch.h"

struct model_fetch {
    const char *name;     /* "org/name" */
    const char *revision; /* NULL: main */
    const char *file;     /* NULL: all that a model needs */
    const char *root;     /* of assay's models */
    const char *endpoint; /* "https://huggingface.co" or a mirror */
    const char *token;    /* of the user's account there; NULL: none */
    const struct fetch_listener *listener;
    double first_delay_seconds; /* 0: http's own */
};

struct model_fetched {
    struct fetch_result files;
    char path[4096];   /* of the folder, or of the one file */
    char licence[128]; /* as the card says; "" where it does not */
    char commit[64];
};

status_code model_fetch(const struct model_fetch *request, struct model_fetched *out,
                        struct status *st) MUST_CHECK;

#endif
