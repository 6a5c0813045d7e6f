/* backend_vtable.h - for those who implement a backend; those who use one read backend.h.
 *
 * An implementation puts `struct backend` first in its own struct, points it at a static table, and
 * hands out the address of that member.  engine/backend.c sends each call of backend.h through the
 * table.  Every entry is required.
 *
 *   struct native_backend {
 *       struct backend base;
 *       ...
 *   };
 *   static const struct backend_vtable table = {native_loglikelihood, native_generate,
 * native_free};
 */
#ifndef ASSAY_BACKEND_VTABLE_H
#define ASSAY_BACKEND_VTABLE_H

#include "engine/backend.h"

/* The contracts are those of the functions of the same name in backend.h; n is never 0.  A generate
 * that fails as a whole leaves each result as it came or fit for generate_result_release(). */
struct backend_vtable {
    status_code (*loglikelihood)(struct backend *backend,
                                 const struct loglikelihood_request *requests, int n,
                                 struct loglikelihood_result *results, struct status *st);
    status_code (*generate)(struct backend *backend, const struct generate_request *requests, int n,
                            struct generate_result *results, struct status *st);
    void (*free)(struct backend *backend);
};

struct backend {
    const struct backend_vtable *vtable;
};

#endif
