#include "daemon/session/quota.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <syslog.h>
#include <unistd.h>

#include "daemon/common/rolelog.h"
#include "lib/err.h"
#include "lib/num.h"
#include "lib/own.h"

enum {
	STEP = 8 << 20, /* an upload of unknown length reserves so much at once, where it can */
	MODE_FILE = 0400,
	MODE_DIRECTORY = 0500,
};

static const char *
user_of(const struct session *s)
{
	return s->subject.user[0] != '\0' ? s->subject.user : LEDGER_NOBODY;
}

static uint64_t
limit_of(const struct session *s, unsigned share)
{
	return s->config->shares[share].quota;
}

bool
quota_applies(const struct session *s, unsigned share)
{
	/* whose files are an account's own are the file system's to count */
	return !s->own_uid && limit_of(s, share) != NUM_UNLIMITED;
}

mode_t
quota_mode(const struct session *s, unsigned share, mode_t mode)
{
	if (!quota_applies(s, share))
		return mode;
	return mode | (S_ISDIR(mode) ? MODE_DIRECTORY : MODE_FILE);
}

struct ledger *
quota_ledger(struct session *s, unsigned share)
{
	struct session_share *h = &s->shares[share];

	if (h->ledger != NULL)
		return h->ledger;
	h->ledger = malloc(sizeof(*h->ledger));
	if (h->ledger != NULL)
		ledger_init(h->ledger, h->root, user_of(s), s->staging_id);
	return h->ledger;
}

int
quota_lock(struct session *s, unsigned share, struct ledger *l)
{
	int r = l != NULL ? ledger_lock(l) : -ENOMEM;

	if (r < 0) {
		if (l != NULL)
			rolelog(LOG_ERR, "share /%s: cannot use the quota file of %s, refusing: %s",
				s->config->shares[share].path, l->user, strerror(-r));
		return r;
	}
	if (l->set_aside)
		rolelog(LOG_ERR,
			"share /%s: the quota file of %s was damaged, it is kept as %s~bad, "
			"uploads wait until all is counted",
			s->config->shares[share].path, l->user, l->user);
	l->set_aside = false;
	return 0;
}

void
quota_done(struct session *s)
{
	for (size_t i = 0; i < ARRAY_SIZE(s->shares); i++) {
		if (s->shares[i].ledger != NULL)
			ledger_done(s->shares[i].ledger);
		free(take_ptr(s->shares[i].ledger));
	}
}

/* ---- reservations */

/* Whose it is, for who counts. */
static int
own(const struct session *s, const struct staging *st)
{
	const char *user = user_of(s);

	if (fsetxattr(st->fd, LEDGER_OWNER, user, strlen(user), 0) == 0)
		return 0;
	if (errno != EOPNOTSUPP)
		return -errno;
	rolelog(LOG_ERR,
		"the share /%s has a quota, and its file system no extended attributes of users: "
		"nothing can be stored there",
		s->config->shares[st->share].path);
	return -FTD_E_unsupported;
}

int
quota_reserve(struct session *s, struct staging *st, uint64_t size)
{
	struct ledger *l;
	int r;

	if (!quota_applies(s, st->share))
		return 0;
	r = own(s, st);
	if (r < 0)
		return r;
	l = quota_ledger(s, st->share);
	r = quota_lock(s, st->share, l);
	if (r < 0)
		return r;
	r = ledger_reserve(l, limit_of(s, st->share), size == UINT64_MAX ? 0 : size,
			   size == UINT64_MAX ? STEP : size, &st->id, st->elsewhere, &st->hold);
	ledger_unlock(l);
	return r;
}

int
quota_extend(struct session *s, struct staging *st, uint64_t size)
{
	struct ledger *l;
	uint64_t least;
	int r;

	if (st->hold.state == LEDGER_FREE || size <= st->hold.bytes)
		return 0;
	l = quota_ledger(s, st->share);
	r = quota_lock(s, st->share, l);
	if (r < 0)
		return r;
	(void)ledger_find(l, &st->id, &st->hold); /* other sessions may write the same file */
	least = size > st->hold.bytes ? size - st->hold.bytes : 0;
	if (least == 0) {
		ledger_unlock(l);
		return 0;
	}
	r = ledger_extend(l, limit_of(s, st->share), least, least > STEP ? least : STEP, &st->hold);
	ledger_unlock(l);
	return r == -ESTALE ? -FTD_E_busy : r;
}

int
quota_resume(struct session *s, struct staging *st, uint64_t size)
{
	struct ledger *l;
	int r;

	if (!quota_applies(s, st->share))
		return 0;
	l = quota_ledger(s, st->share);
	r = quota_lock(s, st->share, l);
	if (r < 0)
		return r;
	r = ledger_find(l, &st->id, &st->hold);
	ledger_unlock(l);
	return r == -ESTALE ? quota_reserve(s, st, size) : r;
}

void
quota_release(struct session *s, struct staging *st)
{
	struct ledger *l;

	if (st->hold.state == LEDGER_FREE)
		return;
	l = quota_ledger(s, st->share);
	if (quota_lock(s, st->share, l) == 0) {
		(void)ledger_drop(l, &st->id); /* what is lost is free */
		ledger_unlock(l);
	}
	st->hold.state = LEDGER_FREE;
}

/* ---- what is told */

int
quota_usage(struct session *s, unsigned share, uint64_t *ret_used, uint64_t *ret_reserved)
{
	struct ledger *l = quota_ledger(s, share);
	int r = quota_lock(s, share, l);

	if (r < 0)
		return r;
	r = ledger_reclaim(l);
	*ret_used = l->image.header.used;
	*ret_reserved = ledger_reserved(&l->image);
	ledger_unlock(l);
	return r;
}

json_t *
quota_refusal(struct session *s, unsigned share)
{
	uint64_t used, reserved;

	if (quota_usage(s, share, &used, &reserved) < 0)
		return NULL;
	return json_pack("{s:I, s:I}", "limit", (json_int_t)limit_of(s, share), "current",
			 (json_int_t)(used + reserved));
}
