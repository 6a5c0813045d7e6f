/* remote_classifier.h - scores from a service that the user named.
 *
 * Two kinds share one implementation: a table says how a request is written and where the answer
 * keeps its scores.
 *
 *   perspective[:URL]      comments:analyze of Perspective, or of a service with the same schema;
 *                          $PERSPECTIVE_API_KEY goes along as ?key= where it is set
 *   moderation:URL[#MODEL] OpenAI's /v1/moderations, or a service with the same schema;
 *                          $OPENAI_API_KEY goes along as a bearer token where it is set
 *
 * A request that fails, and an answer that lacks a score or holds one that is no probability, fail
 * the text: it is never scored 0.  The SHA-256 is of the address and the model's name, since a
 * service does not say when its weights change: two runs with one digest may still have met two
 * models.  $ASSAY_REMOTE_QPS bounds the requests per second (1 for Perspective's own address,
 * else unbounded), $ASSAY_REMOTE_QUOTA their number while the program runs: texts over it are not
 * scored, and say so.  Where many texts are scored together, $ASSAY_REMOTE_PARALLEL requests are
 * under way at a time (4; 1 for Perspective's own address and under a quota, at most 16).
 */
#ifndef ASSAY_REMOTE_CLASSIFIER_H
#define ASSAY_REMOTE_CLASSIFIER_H

#include "classifiers/classifier_vtable.h"
#include "engine/base/http.h"

/* For classifier_open(); `argument` is what follows the colon, or NULL. */
status_code perspective_classifier_open(struct classifier **out, const char *argument,
                                        struct status *st) MUST_CHECK;
status_code moderation_classifier_open(struct classifier **out, const char *argument,
                                       struct status *st) MUST_CHECK;

enum remote_service { REMOTE_PERSPECTIVE, REMOTE_MODERATION };

/* The same with the caller's own timeouts and delays. */
status_code remote_classifier_open(struct classifier **out, enum remote_service service,
                                   const char *argument, const struct http_options *options,
                                   struct status *st) MUST_CHECK;

#endif
