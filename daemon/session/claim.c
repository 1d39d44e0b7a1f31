#include "daemon/session/claim.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "lib/err.h"
#include "lib/own.h"

enum { NUMBER_MAX = 999, RANDOM_TRIES = 8, EXTENSION_MAX = 32 };

int
claim_how(const struct message_str *if_exists, enum publish_how fallback, enum publish_how *ret)
{
	static const char *const names[] = {
		[PUBLISH_REPLACE] = "replace",
		[PUBLISH_FAIL] = "fail",
		[PUBLISH_KEEP_BOTH] = "keep_both",
	};

	if (if_exists->data == NULL) {
		*ret = fallback;
		return 0;
	}
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (strcmp(if_exists->data, names[i]) != 0)
			continue;
		*ret = (enum publish_how)i;
		return 0;
	}
	return -FTD_E_bad_request;
}

bool
claim_is_taken(int r)
{
	return r == -EEXIST || r == -EISDIR || r == -ENOTDIR || r == -ENOTEMPTY;
}

int
claim_rename(int from_dir, const char *from, int to_dir, const char *to)
{
	struct stat st;

	if (renameat2(from_dir, from, to_dir, to, RENAME_NOREPLACE) == 0)
		return 0;
	if (errno != EINVAL)
		return -errno;
	/* a file system that cannot (NFS): look first, and another writer may still come between */
	if (fstatat(to_dir, to, &st, AT_SYMLINK_NOFOLLOW) == 0)
		return -EEXIST;
	if (errno != ENOENT)
		return -errno;
	return renameat2(from_dir, from, to_dir, to, 0) < 0 ? -errno : 0;
}

/* "name (2).ext", cut where it would be too long, never inside a character. */
static void
numbered(const char *leaf, unsigned number, char *ret)
{
	const char *dot = strrchr(leaf, '.');
	size_t len = strlen(leaf), stem, room;
	char mark[16];
	int n;

	stem =
	    dot == NULL || dot == leaf || strlen(dot) > EXTENSION_MAX ? len : (size_t)(dot - leaf);
	n = snprintf(mark, sizeof(mark), " (%u)", number);
	room = PATH_COMPONENT_MAX - (size_t)n - (len - stem);
	dot = leaf + stem;
	if (stem > room) {
		stem = room;
		while (stem > 0 && ((unsigned char)leaf[stem] & 0xc0) == 0x80)
			stem--;
	}
	(void)snprintf(ret, PATH_COMPONENT_MAX + 1, "%.*s%s%s", (int)stem, leaf, mark, dot);
}

/* In order, then any: a box into which one name comes again and again never refuses it. */
static unsigned
number_at(unsigned i)
{
	unsigned number;

	if (i <= NUMBER_MAX || getrandom(&number, sizeof(number), 0) != sizeof(number))
		return i;
	return number;
}

int
claim_numbered(int from_dir, const char *from, int to_dir, char *leaf)
{
	char other[PATH_COMPONENT_MAX + 1];
	int r = claim_rename(from_dir, from, to_dir, leaf);

	for (unsigned i = 2; r == -EEXIST && i <= NUMBER_MAX + RANDOM_TRIES; i++) {
		numbered(leaf, number_at(i), other);
		r = claim_rename(from_dir, from, to_dir, other);
		if (r == 0)
			memcpy(leaf, other, sizeof(other));
	}
	return r;
}

bool
claim_find(int dir, char *leaf, bool (*is_it)(void *userdata, int dir, const char *leaf),
	   void *userdata)
{
	char other[PATH_COMPONENT_MAX + 1];

	if (is_it(userdata, dir, leaf))
		return true;
	for (unsigned i = 2; i <= NUMBER_MAX; i++) {
		numbered(leaf, i, other);
		if (!is_it(userdata, dir, other))
			continue;
		memcpy(leaf, other, sizeof(other));
		return true;
	}
	return false;
}

int
claim_name(enum claim how, int from_dir, const char *from, int to_dir, char *leaf)
{
	switch (how) {
	case CLAIM_REPLACE:
		return renameat2(from_dir, from, to_dir, leaf, 0) < 0 ? -errno : 0;
	case CLAIM_FREE:
		return claim_rename(from_dir, from, to_dir, leaf);
	case CLAIM_NUMBERED:
		break;
	}
	return claim_numbered(from_dir, from, to_dir, leaf);
}
