/*
 * The daemon's own directories in a share: .ftd/NAME beneath its root. No client can name them. No
 * logging.
 */
#pragma once

#include <stdbool.h>

#define RESERVED_STAGING "staging"
#define RESERVED_QUOTA "quota"
#define RESERVED_UPLOADS "uploads"

/* Opens it for reading, beneath the root (borrowed). Descriptor; -ENOENT: it is not there; -errno.
 */
int reserved_open(int root, const char *name);

/* The same, made where it is not there. for_all: users with uids of their own may make files in it,
 * which only they and the daemon may remove. */
int reserved_make(int root, const char *name, bool for_all);
