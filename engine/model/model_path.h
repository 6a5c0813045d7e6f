/* model_path.h - what a user calls a model, to the file or directory it is.
 *
 * A path is itself.  A hub name such as "google/gemma-2b" is looked for in assay's own cache and in
 * the local Hugging Face cache, there in the snapshot that refs/main names.  Nothing is ever
 * downloaded.
 */
#ifndef ASSAY_MODEL_PATH_H
#define ASSAY_MODEL_PATH_H

#include "engine/base/strbuf.h"

/* Appends the path.  STATUS_NOT_FOUND says where it looked. */
status_code model_path_resolve(struct strbuf *out, const char *name, struct status *st) MUST_CHECK;

/* Append the folders of the two caches: $XDG_CACHE_HOME/assay/models, with ~/.cache where the
 * variable is not set; and what huggingface_hub takes (its constants.py): $HF_HUB_CACHE, or else
 * $HUGGINGFACE_HUB_CACHE, $HF_HOME/hub, $XDG_CACHE_HOME/huggingface/hub with the same default. */
void model_path_own_cache(struct strbuf *out);
void model_path_hub_cache(struct strbuf *out);

#endif
