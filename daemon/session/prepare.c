#include "daemon/session/upload.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "daemon/session/quota.h"
#include "daemon/session/room.h"
#include "lib/clock.h"
#include "lib/err.h"
#include "lib/own.h"

enum { MODE_DEFAULT = 0666 };

static int
check_limits(struct session *s, struct upload *u)
{
	struct transfer *t = &u->transfer;
	uint64_t room, total, size = t->expected != UINT64_MAX ? t->expected : 0;
	int r;

	t->max = s->config->file_size;
	t->share = u->place->share;
	t->write_behind = s->config->shares[t->share].durability != CONFIG_DURABILITY_NONE;
	if (size > t->max)
		return upload_refusal(u, -FTD_E_file_too_large, "limit",
				      json_integer((json_int_t)t->max));
	if (u->begun)
		return 0;
	r = shares_space(s, t->share, &room, &total);
	if (r < 0)
		return r;
	return size > room || room == 0 ? -FTD_E_disk_full : 0;
}

struct making {
	const struct session *s;
	struct upload *u;
};

/* A directory on the way has a new entry: it is to be synced with the file. */
static int
remember(void *userdata, int dir)
{
	const struct making *m = userdata;
	struct publish *p = &m->u->publish;
	int fd;

	if (p->n_made == ARRAY_SIZE(p->made)) {
		p->made_many = true;
		return 0;
	}
	fd = path_open(dir, "", O_RDONLY | O_DIRECTORY, 0, false);
	if (fd < 0)
		return fd;
	p->made[p->n_made++] = fd;
	return 0;
}

static int
may_make(void *userdata, const char *rest)
{
	const struct making *m = userdata;

	return (shares_rights(m->s, m->u->place->share, rest) & RIGHT_MKDIR) != 0
		   ? 0
		   : -FTD_E_permission;
}

static int
make_parents(struct session *s, struct upload *u)
{
	const char *rest = u->place->rest, *slash = strrchr(rest, '/');
	struct making m = { .s = s, .u = u };
	const struct path_maker maker = { .may = may_make, .made = remember, .userdata = &m };
	char directory[PATH_BYTES_MAX + 1];
	size_t len = slash != NULL ? (size_t)(slash - rest) : 0;
	int fd = shares_root(s, u->place->share);

	memcpy(directory, rest, len);
	directory[len] = '\0';
	if (fd >= 0)
		fd = path_make_parents(fd, directory, shares_follow(s, u->place), &maker);
	if (fd < 0)
		return fd;
	u->publish.target_dir = fd;
	return 0;
}

static int
open_directory(struct session *s, struct upload *u)
{
	struct publish *p = &u->publish;
	const struct place *at = u->place;
	bool parents = u->args.parents || (at->rights & (RIGHT_LIST | RIGHT_MKDIR)) == RIGHT_MKDIR;
	const char *leaf = strrchr(at->rest, '/');
	int fd;

	leaf = leaf != NULL ? leaf + 1 : at->rest;
	memcpy(p->leaf, leaf, strlen(leaf) + 1); /* at most 255 bytes: the name was checked */
	fd = shares_open_parent(s, at, &leaf);
	if (fd == -ENOENT && parents)
		return make_parents(s, u);
	if (fd < 0)
		return fd;
	p->target_dir = fd;
	return 0;
}

static int
check_and_open(struct session *s, struct upload *u)
{
	int r;

	u->publish.rights = u->place->rights;
	r = check_limits(s, u);
	return r == 0 ? open_directory(s, u) : r;
}

/* What has the name now and would refuse the upload in the end. Only those who may list are told.
 */
static int
look_before(struct upload *u)
{
	struct publish *p = &u->publish;
	char etag[ENTRY_ETAG_MAX];
	struct entry_stat st;
	bool changed;
	int r;

	if (!(p->rights & RIGHT_LIST))
		return p->match ? -FTD_E_permission : 0;
	r = entry_stat(p->target_dir, p->leaf, &st);
	if (r == -ENOENT)
		return p->match ? -FTD_E_changed : 0;
	if (r < 0)
		return r;
	changed = p->match && strcmp(entry_etag(&st, etag), p->etag) != 0;
	if (changed || p->how == PUBLISH_FAIL)
		return upload_refusal(u, changed ? -FTD_E_changed : -FTD_E_exists, "current",
				      entry_json(p->leaf, strlen(p->leaf), &st));
	if (p->how == PUBLISH_KEEP_BOTH)
		return 0;
	if (S_ISDIR(st.mode))
		return -EISDIR;
	return p->rights & RIGHT_REPLACE ? 0 : -FTD_E_permission;
}

/* A small file that may replace what is there is told by the rename: one look less. */
static bool
is_worth_a_look(const struct upload *u)
{
	const struct publish *p = &u->publish;

	return p->how != PUBLISH_REPLACE || !(p->rights & RIGHT_REPLACE) || p->match ||
	       u->args.expect || u->transfer.expected > SESSION_SMALL;
}

int
prepare_target(struct session *s, struct upload *u)
{
	int r;

	close_fd(&u->publish.target_dir);
	r = check_and_open(s, u);
	if (r == 0 && u->args.expect)
		r = expect_unchanged(s, u);
	return r == 0 ? look_before(u) : r;
}

static int
reserve(struct session *s, struct upload *u)
{
	struct staging *st = &u->publish.staging;
	int r = quota_reserve(s, st, u->transfer.expected);

	if (r == 0)
		r = room_take(s, st, u->transfer.expected);
	if (r < 0)
		staging_discard(s, st);
	return r == -FTD_E_busy
		   ? upload_refusal(u, r, "retry_after_ms", json_integer(QUOTA_RETRY_MS))
		   : r;
}

static int
stage(struct session *s, struct upload *u)
{
	struct publish *p = &u->publish;
	mode_t mode = u->has_mode ? (mode_t)u->args.mode & UPLOAD_MODE : MODE_DEFAULT;
	int r = 0;

	if (is_worth_a_look(u))
		r = look_before(u);
	if (r == 0)
		r = staging_place(s, u->place, p->target_dir, mode, &p->staging);
	if (r < 0)
		return r;
	r = reserve(s, u);
	u->transfer.fd = p->staging.fd;
	u->transfer.staging = &p->staging;
	return r;
}

int
prepare_upload(struct session *s, struct upload *u)
{
	int r;

	if (s->report->transfer == 0)
		report_transfer_begin(s, "upload", true, u->place->name, u->transfer.expected);
	u->publish.started_usec = s->report->transfer_started_usec;
	/* what an earlier try left */
	close_fd(&u->publish.target_dir);
	json_decref(take_ptr(u->extra));
	r = check_and_open(s, u);
	if (r == 0 && u->args.expect)
		r = expect_unchanged(s, u);
	if (r == 0)
		r = stage(s, u);
	return shares_conceal(u->place, r);
}
