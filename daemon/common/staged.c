#include "daemon/common/staged.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "daemon/common/reserved.h"
#include "lib/io.h"
#include "lib/num.h"
#include "lib/own.h"
#include "lib/text.h"

enum { SESSION_DIGITS = 16 };

char *
staged_name(const struct staged_id *id, const char *suffix, char *buf)
{
	(void)snprintf(buf, STAGED_NAME_MAX, "%016" PRIx64 "-%" PRIu64 "%s", id->session,
		       id->number, suffix);
	return buf;
}

char *
staged_name_elsewhere(const struct staged_id *id, char *buf)
{
	(void)snprintf(buf, STAGED_NAME_MAX, PATH_RESERVED "-%016" PRIx64 "-%" PRIu64, id->session,
		       id->number);
	return buf;
}

int
staged_parse(const char *name, size_t len, struct staged_id *ret)
{
	char buf[STAGED_NAME_MAX];
	uint8_t session[SESSION_DIGITS / 2];
	struct staged_id id = { 0 };

	if (len <= SESSION_DIGITS + 1 || len >= sizeof(buf) || name[SESSION_DIGITS] != '-')
		return -EINVAL;
	if (text_unhex(session, sizeof(session), name, SESSION_DIGITS) < 0)
		return -EINVAL;
	for (size_t i = 0; i < sizeof(session); i++)
		id.session = id.session << 8 | session[i];
	memcpy(buf, name, len);
	buf[len] = '\0';
	if (num_parse_u64(buf + SESSION_DIGITS + 1, UINT64_MAX, &id.number) < 0)
		return -EINVAL;
	/* one spelling only: what is read is what is written */
	if (strlen(staged_name(&id, "", buf)) != len || memcmp(buf, name, len) != 0)
		return -EINVAL;
	*ret = id;
	return 0;
}

static int
open_directory(int dir, const char *rel)
{
	return path_open(dir, rel, O_RDONLY | O_DIRECTORY, 0, false);
}

/* Whether r says that there can be no such directory, however it came to be noted. */
static bool
leads_nowhere(int r)
{
	return r == -ENOTDIR || r == -EXDEV || r == -ELOOP || r == -ENAMETOOLONG;
}

int
staged_follow(int root, int note)
{
	char where[PATH_BYTES_MAX + 1];
	ssize_t n = io_read_full(note, where, sizeof(where) - 1);
	int r;

	if (n < 0)
		return (int)n;
	where[n] = '\0';
	r = open_directory(root, where);
	return leads_nowhere(r) ? -ENOENT : r;
}

static int
exists(int dir, const char *name)
{
	auto_close int fd = path_open(dir, name, O_PATH, 0, false);

	return fd >= 0 ? 1 : fd == -ENOENT ? 0 : fd;
}

int
staged_is_kept(int root, const struct staged_id *id)
{
	auto_close int uploads = reserved_open(root, RESERVED_UPLOADS);
	char name[STAGED_NAME_MAX];
	int r;

	if (uploads < 0)
		return uploads == -ENOENT ? 0 : uploads;
	r = exists(uploads, staged_name(id, "", name));
	return r != 0 ? r : exists(uploads, staged_name(id, STAGED_NOTE, name));
}

static int
exists_in(int root, const char *reserved, const struct staged_id *id, bool elsewhere)
{
	auto_close int staging = reserved_open(root, reserved);
	auto_close int note = -1, dir = -1;
	char name[STAGED_NAME_MAX];

	if (staging < 0)
		return staging == -ENOENT ? 0 : staging;
	if (!elsewhere)
		return exists(staging, staged_name(id, "", name));
	note = path_open(staging, staged_name(id, STAGED_NOTE, name), O_RDONLY, 0, false);
	if (note < 0)
		return note == -ENOENT ? 0 : note;
	dir = staged_follow(root, note);
	if (dir < 0)
		return dir == -ENOENT ? 0 : dir;
	return exists(dir, staged_name_elsewhere(id, name));
}

int
staged_exists(int root, const struct staged_id *id, bool elsewhere)
{
	int r = exists_in(root, RESERVED_STAGING, id, elsewhere);

	return r != 0 ? r : exists_in(root, RESERVED_UPLOADS, id, elsewhere);
}
