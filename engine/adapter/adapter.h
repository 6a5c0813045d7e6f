/* adapter.h - a LoRA adapter's files to what is added to a model's matrix products.
 *
 *   adapter_open() -> what the files say -> adapter_attach() -> weights that carry the adapter
 *
 * Two kinds of files: a PEFT folder (adapter_config.json, adapter_model.safetensors) and a GGUF
 * file of general.type "adapter".  An `adapter` is open files, checked in themselves: every matrix
 * has both halves, ranks agree with the config.  It is immutable and may be shared.  Attaching it
 * resolves its names against a base and copies its numbers to f32; the base's weights stay where
 * they are, in whatever type, and any number of adapters may be attached to one base.
 *
 * What only a merged or retrained model can do right is refused by name: DoRA, trained biases,
 * modules saved whole, adapters whose base was changed with them (PiSSA, OLoRA, CorDA, LoftQ).
 *
 *   struct adapter *adapter;
 *   if (adapter_open(&adapter, "lora-dir", st) != STATUS_OK) ...
 *   if (adapter_attach(adapter, &base, &arena, &model, st) != STATUS_OK) ...
 *   adapter_free(adapter);            the attached model does not need it
 */
#ifndef ASSAY_ADAPTER_H
#define ASSAY_ADAPTER_H

#include <stdint.h>

#include "engine/base/arena.h"
#include "engine/base/sha256.h"

struct adapter; /* opaque */
struct model;

/* Strings live as long as the adapter.  What the files do not say is NULL. */
struct adapter_info {
    const char *path;
    const char *format;       /* "peft" or "gguf" */
    const char *architecture; /* GGUF's general.architecture */
    const char *base;         /* the base model's name, as PEFT recorded it */
    const char *modules;      /* the last words of the adapted matrices' names: "k_proj, q_proj" */
    int rank;                 /* the largest */
    double alpha;             /* the config's own; patterns may give some matrices another */
    bool rank_stabilised;     /* scale is alpha / sqrt(rank), not alpha / rank */
    size_t n_pairs;
    uint64_t n_parameters, bytes;
};

/* Whether these files are an adapter's and no model's. */
bool adapter_is_at(const char *path);

/* Errors name the file and the field or tensor. */
status_code adapter_open(struct adapter **out, const char *path, struct status *st) MUST_CHECK;
void adapter_free(struct adapter *adapter);

const struct adapter_info *adapter_get_info(const struct adapter *adapter);

/* The SHA-256 of the GGUF file, or of PEFT's "digest  name\n" lines.  Reads every byte. */
status_code adapter_sha256(const struct adapter *adapter, char hex[SHA256_HEX_SIZE],
                           struct status *st) MUST_CHECK;

/* *out becomes the base with the adapter; what is new is allocated from `arena`.  An adapter of
 * another base (names it does not have, other shapes) and numbers that are not finite are errors
 * that name the tensor. */
status_code adapter_attach(const struct adapter *adapter, const struct model *base,
                           struct arena *arena, struct model *out, struct status *st) MUST_CHECK;

#endif
