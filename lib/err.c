#include "lib/err.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "lib/own.h"

static const struct {
	const char *name;
	const char *text;
	int exit_status;
} codes[] = {
#define CODE(name, exit_status, text) { #name, text, exit_status },
#include "lib/codes.def"
#undef CODE
};
_Static_assert(ARRAY_SIZE(codes) == FTD_E_END - FTD_E_BASE - 1, "the list is the enum");

/* The row of a code. */
static size_t
row_of(enum ftd_error e)
{
	return (size_t)e - FTD_E_BASE - 1;
}

static bool
is_code(int r)
{
	return r < -FTD_E_BASE && r > -FTD_E_END;
}

/* The row of a wire name; ARRAY_SIZE(codes): none. */
static size_t
find(const char *name)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(codes); i++)
		if (strcmp(codes[i].name, name) == 0)
			break;
	return i;
}

static enum ftd_error
from_errno(int r)
{
	switch (-(long)r) {
	case ENOENT:
		return FTD_E_not_found;
	case EACCES:
	case EPERM:
		return FTD_E_permission;
	case ENOSPC:
		return FTD_E_disk_full;
	case EDQUOT:
		return FTD_E_quota_exceeded;
	case ELOOP:
	case EXDEV:
		return FTD_E_link_refused;
	case EEXIST:
		return FTD_E_exists;
	case ENOTEMPTY:
		return FTD_E_not_empty;
	case EISDIR:
		return FTD_E_not_a_file;
	case ENOTDIR:
		return FTD_E_not_a_directory;
	case ENAMETOOLONG:
		return FTD_E_bad_name;
	case EFBIG:
		return FTD_E_file_too_large;
	case EIO:
	case ENODEV:
	case ENOTCONN: /* FUSE: nobody serves it any more */
	case EREMOTEIO:
	case EROFS: /* who may write meets it only where the storage has failed */
	case ESTALE:
	case EUCLEAN:
		return FTD_E_io_error;
	case EBUSY:
	case EAGAIN:
	case EINTR:
	case EMFILE:
	case ENFILE:
	case ENOBUFS:
	case ENOLCK:
	case ENOMEM:
		return FTD_E_busy;
	case ETIMEDOUT:
		return FTD_E_timeout;
	case ECANCELED:
		return FTD_E_cancelled;
	default:
		return FTD_E_internal;
	}
}

const char *
err_code(int r)
{
	return codes[row_of(is_code(r) ? (enum ftd_error) - r : from_errno(r))].name;
}

const char *
err_text(int r)
{
	const char *text;

	if (is_code(r))
		return codes[row_of((enum ftd_error) - r)].text;
	text = r < 0 && r > -FTD_E_BASE ? strerrordesc_np(-r) : NULL;
	return text != NULL ? text : codes[row_of(FTD_E_internal)].text;
}

int
err_from_code(const char *name)
{
	size_t i = find(name);

	return i < ARRAY_SIZE(codes) ? -(FTD_E_BASE + 1 + (int)i) : -FTD_E_internal;
}

int
err_exit_status(const char *name)
{
	size_t i = find(name);

	return i < ARRAY_SIZE(codes) ? codes[i].exit_status : 1;
}

bool
err_known(const char *name)
{
	return find(name) < ARRAY_SIZE(codes);
}
