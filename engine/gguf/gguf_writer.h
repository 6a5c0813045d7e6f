/* gguf_writer.h - the header of a GGUF file.
 *
 *   gguf_writer_init() -> gguf_writer_u32() ..., gguf_writer_tensor() -> gguf_writer_header()
 *
 * A writer lives on the caller's stack and owns what it has collected until its release.  It makes
 * everything before the data; the caller writes the tensors' bytes behind it in the order they were
 * named, each with gguf_writer_padding(bytes) zeros after it, so that a model of any size needs no
 * memory.  Memory that runs out shows in strbuf_check() of the output.
 *
 *   struct gguf_writer w;
 *   gguf_writer_init(&w);
 *   gguf_writer_text(&w, "general.architecture", "gemma");
 *   gguf_writer_tensor(&w, "output_norm.weight", TENSOR_F32, 1, shape);
 *   gguf_writer_header(&w, &header);
 *   gguf_writer_release(&w);
 *
 * The writer does not check that keys or names are unique: opening the file does.
 */
#ifndef ASSAY_GGUF_WRITER_H
#define ASSAY_GGUF_WRITER_H

#include "engine/base/strbuf.h"
#include "engine/gguf/gguf.h"

struct gguf_writer {
    struct strbuf pairs, tensors;
    uint64_t n_pairs, n_tensors;
    uint64_t data_bytes; /* of the tensors so far, padded */
};

void gguf_writer_init(struct gguf_writer *w);
void gguf_writer_release(struct gguf_writer *w);
void gguf_writer_u32(struct gguf_writer *w, const char *key, uint32_t value);
void gguf_writer_f32(struct gguf_writer *w, const char *key, float value);
void gguf_writer_bool(struct gguf_writer *w, const char *key, bool value);
void gguf_writer_text(struct gguf_writer *w, const char *key, const char *value);

/* A pair of an open file, as it is. */
void gguf_writer_pair(struct gguf_writer *w, const struct gguf_pair *pair);

/* Begins an array; exactly `count` gguf_writer_put...() calls give its elements. */
void gguf_writer_array(struct gguf_writer *w, const char *key, enum gguf_type element,
                       uint64_t count);
void gguf_writer_put(struct gguf_writer *w, const void *element, size_t bytes);
void gguf_writer_put_text(struct gguf_writer *w, struct text text);

/* `shape` is outermost first, as in a tensor_view. */
void gguf_writer_tensor(struct gguf_writer *w, const char *name, enum tensor_type type, int n_dims,
                        const uint64_t *shape);
size_t gguf_writer_padding(uint64_t bytes);

/* Appends everything before the data. */
void gguf_writer_header(const struct gguf_writer *w, struct strbuf *out);

#endif
