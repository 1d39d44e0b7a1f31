/* A new password, asked of whoever sits there, never an argument. */
#pragma once

#include <jansson.h>

#include "ctl/options.h"

/* The hash of the password that is typed twice on the terminal, or stands in a line of the standard
 * input (--stdin); "" with --no-password. ret_hash: USER_HASH_MAX + 1 bytes. 0, or negative as
 * local_refuse(). */
int user_password(const struct options *o, const char *name, char *ret_hash, json_t *answer);
