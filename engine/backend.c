#include "engine/backend_vtable.h"

status_code backend_loglikelihood(struct backend *backend,
                                  const struct loglikelihood_request *requests, int n,
                                  struct loglikelihood_result *results, struct status *st)
{
    BUG_IF(n < 0);
    return n ? backend->vtable->loglikelihood(backend, requests, n, results, st) : STATUS_OK;
}

status_code backend_generate(struct backend *backend, const struct generate_request *requests,
                             int n, struct generate_result *results, struct status *st)
{
    BUG_IF(n < 0);
    return n ? backend->vtable->generate(backend, requests, n, results, st) : STATUS_OK;
}

void backend_free(struct backend *backend)
{
    if (backend) backend->vtable->free(backend);
}

const char *finish_reason_name(enum finish_reason reason)
{
    static const char *const names[] = {
        [FINISH_EOS] = "eos",
        [FINISH_STOP_STRING] = "stop_string",
        [FINISH_LENGTH] = "length",
        [FINISH_GUARD] = "guard",
    };
    return names[reason];
}

void generate_result_release(struct generate_result *result)
{
    strbuf_release(&result->reply);
}
