#include "daemon/keeper/ledgers.h"

#include <errno.h>
#include <string.h>
#include <syslog.h>

#include "daemon/common/reserved.h"
#include "daemon/common/rolelog.h"
#include "lib/own.h"

int
ledgers_lock(struct ledger *l)
{
	int r = ledger_lock(l);

	if (r == 0 && l->set_aside)
		rolelog(LOG_ERR, "keeper: the quota file of %s was damaged, it is kept as %s~bad",
			l->user, l->user);
	l->set_aside = false;
	return r;
}

static int
visit_one(int root, const char *user, int (*visit)(void *userdata, struct ledger *l),
	  void *userdata)
{
	struct ledger l;
	int r;

	ledger_init(&l, root, user, 0);
	r = ledgers_lock(&l);
	if (r == 0) {
		r = visit(userdata, &l);
		ledger_unlock(&l);
	}
	ledger_done(&l);
	return r;
}

int
ledgers_each(int root, int (*visit)(void *userdata, struct ledger *l), void *userdata)
{
	auto_close int fd = reserved_open(root, RESERVED_QUOTA);
	auto_dir DIR *dir = NULL;
	const struct dirent *e;
	int r;

	if (fd < 0)
		return fd == -ENOENT ? 0 : fd;
	dir = fdopendir(fd);
	if (dir == NULL)
		return -errno;
	(void)take_fd(&fd);
	for (errno = 0; (e = readdir(dir)) != NULL; errno = 0) {
		if (!ledger_name_is_valid(e->d_name, strlen(e->d_name)))
			continue;
		r = visit_one(root, e->d_name, visit, userdata);
		if (r < 0)
			return r;
	}
	return -errno;
}

static int
release(void *userdata, struct ledger *l)
{
	const struct staged_id *id = userdata;
	int r = ledger_reclaim(l);

	return r < 0 ? r : ledger_names(l, id) ? -EAGAIN : 0;
}

int
ledgers_release(int root, const struct staged_id *id)
{
	struct staged_id copy = *id;

	return ledgers_each(root, release, &copy);
}

static int
reclaim(void *userdata, struct ledger *l)
{
	bool *unsure = userdata;
	int r = ledger_reclaim(l);

	*unsure = *unsure || l->image.header.flags != 0;
	return r;
}

int
ledgers_reclaim(int root, bool *ret_unsure)
{
	*ret_unsure = false;
	return ledgers_each(root, reclaim, ret_unsure);
}
