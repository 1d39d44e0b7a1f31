/*
 * Commands that ftctl does itself: how they say what went wrong, and what they ask of a daemon that
 * may not run.
 */
#pragma once

#include <jansson.h>

#include "ctl/options.h"

/* Sets the message and returns r, negative: for `return local_refuse(answer, -EPERM, "...")`. */
int
local_refuse(json_t *answer, int r, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Makes the answer the refusal that r says, with the message that is there or the code's.
 * 0 or -ENOMEM. */
int local_answer_refuse(json_t *answer, int r);

/* A text of any bytes, escaped where it is not UTF-8. */
json_t *local_text(const char *text);

/* Puts the keys of part (stolen; NULL: no memory) into the answer. 0 or -ENOMEM. */
int local_set(json_t *answer, json_t *part);

/* The daemon's answer to a request (borrowed), which the caller owns, also where it is a refusal.
 * 1; 0: no daemon runs; or as call_open() and call_ask(). */
int local_ask(const struct options *o, json_t *request, json_t **ret);
