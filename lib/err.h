/*
 * Errors. One convention everywhere: int, 0 or positive on success, negative on failure: either
 * -errno or -FTD_E_<code>. No logging here.
 */
#pragma once

#include <stdbool.h>

enum ftd_error {
	FTD_E_BASE = 4096, /* above every errno */
#define CODE(name, exit_status, text) FTD_E_##name,
#include "lib/codes.def"
#undef CODE
	FTD_E_END,
};

/* The wire name of a failure ("not_found"). Takes any negative value; errnos are mapped
 * (ENOENT not_found, EACCES/EPERM permission, ENOSPC disk_full, EDQUOT quota_exceeded, ELOOP/EXDEV
 * link_refused, EEXIST exists, ENOTEMPTY not_empty, EISDIR not_a_file, ENOTDIR not_a_directory,
 * ENAMETOOLONG bad_name, EFBIG file_too_large, EIO/EROFS/ESTALE io_error,
 * EBUSY/EAGAIN/EMFILE/ENFILE/ENOMEM busy, ETIMEDOUT timeout, ECANCELED cancelled; all others
 * internal). Never NULL. */
const char *err_code(int r);

/* The sentence for people that goes with it; for an errno the system's. Never NULL. */
const char *err_text(int r);

/* -FTD_E_<name>; -FTD_E_internal for a name that is not in the list. */
int err_from_code(const char *name);

/* Exit status of ft for a wire name; 1 for an unknown one. */
int err_exit_status(const char *name);

/* Whether name is in the list. */
bool err_known(const char *name);
