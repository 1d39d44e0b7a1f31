#include "daemon/session/session.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "daemon/session/quota.h"
#include "daemon/session/sync.h"
#include "lib/err.h"
#include "lib/own.h"
#include "lib/text.h"

enum { TOUCHED_REST = 31 };

void
publish_init(struct publish *p)
{
	*p = (struct publish){ .target_dir = -1, .staging = { .fd = -1, .marker_fd = -1 } };
}

void
publish_done(struct session *s, struct publish *p)
{
	staging_discard(s, &p->staging);
	close_fd(&p->target_dir);
	for (unsigned i = 0; i < p->n_made; i++)
		close_fd(&p->made[i]);
	json_decref(p->id);
	json_decref(p->current);
	free(p->name);
	publish_init(p);
}

/* ---- names */

/* The entry in the way, for those who may list. */
static void
show_current(struct publish *p)
{
	struct entry_stat st;

	if ((p->rights & RIGHT_LIST) && entry_stat(p->target_dir, p->leaf, &st) == 0)
		p->current = entry_json(p->leaf, strlen(p->leaf), &st);
}

static int
check_match(const struct publish *p)
{
	char etag[ENTRY_ETAG_MAX];
	struct entry_stat st;
	int r;

	if (!p->match)
		return 0;
	r = entry_stat(p->target_dir, p->leaf, &st);
	if (r < 0)
		return r == -ENOENT ? -FTD_E_changed : r;
	return strcmp(entry_etag(&st, etag), p->etag) == 0 ? 0 : -FTD_E_changed;
}

static int
take(struct session *s, struct publish *p, enum claim how)
{
	return quota_publish(s, &p->staging, p->size, how, p->target_dir, p->leaf);
}

static int
take_name(struct session *s, struct publish *p)
{
	int r = check_match(p);

	if (r < 0)
		return r;
	if (p->how == PUBLISH_REPLACE && (p->rights & RIGHT_REPLACE)) {
		r = take(s, p, CLAIM_REPLACE);
		if (!claim_is_taken(r) || (p->rights & RIGHT_LIST))
			return r;
	}
	/* who may not list is not told that a name is taken */
	if (p->how == PUBLISH_KEEP_BOTH || !(p->rights & RIGHT_LIST))
		return take(s, p, CLAIM_NUMBERED);
	r = take(s, p, CLAIM_FREE);
	if (r == -EEXIST && p->how == PUBLISH_REPLACE)
		return -FTD_E_permission;
	return r == -EEXIST ? -FTD_E_exists : r;
}

/* ---- receipts */

/* The whole name of what was kept under another. */
static int
add_filename(const struct publish *p, json_t *receipt)
{
	const char *slash = strrchr(p->name, '/');
	char name[PATH_BYTES_MAX + PATH_COMPONENT_MAX + 2];
	int n;

	n = snprintf(name, sizeof(name), "/%.*s%s", slash != NULL ? (int)(slash - p->name) + 1 : 0,
		     p->name, p->leaf);
	return message_set_name(receipt, "filename", name, (size_t)n);
}

static bool
has_other_name(const struct publish *p)
{
	const char *slash = strrchr(p->name, '/');

	return strcmp(slash != NULL ? slash + 1 : p->name, p->leaf) != 0;
}

json_t *
publish_receipt(const struct session *s, const struct publish *p)
{
	char digest[DIGEST_TEXT_MAX], etag[ENTRY_ETAG_MAX];
	auto_json json_t *receipt = json_pack(
	    "{s:I, s:s, s:I, s:s, s:s}", "filesize", (json_int_t)p->size, "digest",
	    digest_format(&p->digest, digest), "mtime_ns", (json_int_t)p->st.mtime_ns, "etag",
	    entry_etag(&p->st, etag), "durability", sync_durability_name(sync_durability(s, p)));

	if (receipt == NULL)
		return NULL;
	if ((p->rights & RIGHT_LIST) && has_other_name(p) && add_filename(p, receipt) < 0)
		return NULL;
	return take_ptr(receipt);
}

/* ---- the whole */

/* The directory can have been removed, by a client. Where it is the share or the staged file that
 * is not there any more, the storage has failed. */
static int
why_absent(const struct session *s, const struct publish *p)
{
	bool removed = shares_gone(p->target_dir) && shares_root(s, p->staging.share) >= 0;

	return removed ? -ENOENT : -EIO;
}

static int
publish_one(struct session *s, struct publish *p)
{
	unsigned share = p->staging.share;
	int r = take_name(s, p);

	if (r == -ENOENT)
		r = why_absent(s, p);
	if (r < 0) {
		if (r == -FTD_E_exists || r == -FTD_E_changed)
			show_current(p);
		return r;
	}
	p->staging.name[0] = '\0';
	s->touched |= 1U << (share < TOUCHED_REST ? share : TOUCHED_REST);
	s->written++;
	return entry_stat(p->staging.fd, NULL, &p->st);
}

void
publish_all(struct session *s, struct publish *p, size_t n, int *results)
{
	for (size_t i = 0; i < n; i++)
		results[i] = 0;
	/* a rename before its content is on disk would publish empty files after a power cut */
	sync_contents(s, p, n, results);
	for (size_t i = 0; i < n; i++)
		if (results[i] >= 0)
			results[i] = publish_one(s, &p[i]);
	sync_directories(s, p, n, results);
}
