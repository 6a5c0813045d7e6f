/* model_path.h - what a user calls a model, to the file or directory it is.
 *
 * A path is itself.  A hub name such as "google/gemma-2b" is looked for in assay's own cache
 * ($XDG_CACHE_HOME/assay/models) and in the local Hugging Face cache ($HF_HOME/hub, or
 * ~/.cache/huggingface/hub), in the snapshot that refs/main names.  Nothing is ever downloaded.
 */
#ifndef ASSAY_MODEL_PATH_H
#define ASSAY_MODEL_PATH_H

#include "engine/base/strbuf.h"

/* Appends the path.  STATUS_NOT_FOUND says where it looked. */
status_code model_path_resolve(struct strbuf *out, const char *name, struct status *st) MUST_CHECK;

#endif
