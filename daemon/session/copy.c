#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <linux/fs.h>

#include "daemon/session/content.h"
#include "daemon/session/names.h"
#include "daemon/session/quota.h"
#include "daemon/session/stop.h"
#include "lib/err.h"
#include "lib/frame.h"
#include "lib/io.h"
#include "lib/own.h"

enum { STEP = 16 << 20 }; /* bytes between two looks at orders, cancel and free space */

struct args {
	struct message_str if_exists;
};

static const struct message_field fields[] = {
	{ "if_exists", MESSAGE_STR, offsetof(struct args, if_exists), 16, false },
};

struct copying {
	struct session *s;
	const struct request *rq;
	const struct place *to;
	int fd; /* the file to copy */
	struct entry_stat st;
	struct publish publish;
	struct stop stop;
	bool by_hand;    /* the kernel cannot copy from there to here */
	const char *why; /* of a refusal, in words; may stay NULL */
};

/* ---- the content */

/* One step within data, by the kernel. 0 or -errno. */
static int
copy_range(struct copying *c, uint64_t at, size_t n)
{
	off_t in = (off_t)at, out = (off_t)at;
	ssize_t moved;

	while (n > 0) {
		moved = copy_file_range(c->fd, &in, c->publish.staging.fd, &out, n, 0);
		if (moved < 0)
			return -errno;
		if (moved == 0)
			return -FTD_E_changed;
		n -= (size_t)moved;
	}
	return 0;
}

static int
copy_by_hand(struct copying *c, uint64_t at, size_t n)
{
	uint8_t *chunk = session_chunk(c->s);
	size_t part;
	int r = chunk != NULL ? 0 : -ENOMEM;

	for (; n > 0 && r == 0; n -= part, at += part) {
		part = n < SESSION_CHUNK ? n : SESSION_CHUNK;
		r = content_read(c->fd, chunk, part, at);
		if (r == 0)
			r = io_pwrite_full(c->publish.staging.fd, chunk, part, (off_t)at);
	}
	return r;
}

static bool
kernel_cannot(int r)
{
	return r == -EXDEV || r == -EINVAL || r == -ENOSYS || r == -EOPNOTSUPP || r == -EPERM;
}

static int
copy_step(struct copying *c, uint64_t at, size_t n)
{
	uint64_t free, total;
	int r;

	if (shares_space(c->s, c->to->share, &free, &total) == 0 && free < n)
		return -FTD_E_disk_full;
	r = c->by_hand ? -EXDEV : copy_range(c, at, n);
	if (kernel_cannot(r)) {
		c->by_hand = true;
		r = copy_by_hand(c, at, n);
	}
	return r;
}

/* Whether to go on at this gap. 0, or the refusal; a conn_* failure goes to *ret_end. */
static int
look(struct copying *c, int *ret_end)
{
	int r = stop_look(c->s, &c->stop);

	if (r < 0)
		*ret_end = r;
	return r > 0 ? c->stop.error : r;
}

/* Copies the data and leaves the holes out. As look(). */
static int
copy_data(struct copying *c, int *ret_end)
{
	uint64_t size = c->st.size, at = content_seek(c->fd, 0, SEEK_DATA, size), end;
	size_t n;
	int r;

	if (ftruncate(c->publish.staging.fd, (off_t)size) < 0)
		return -errno;
	while (at < size) {
		for (end = content_seek(c->fd, at, SEEK_HOLE, size); at < end; at += n) {
			n = end - at < STEP ? (size_t)(end - at) : STEP;
			r = copy_step(c, at, n);
			if (r < 0)
				return r;
			report_transfer_progress(c->s, at + n);
			r = look(c, ret_end);
			if (r < 0)
				return r;
		}
		at = content_seek(c->fd, at, SEEK_DATA, size);
	}
	return 0;
}

static int
copy_content(struct copying *c, int *ret_end)
{
	int r = look(c, ret_end);

	if (r == 0 && ioctl(c->publish.staging.fd, FICLONE, c->fd) < 0)
		r = copy_data(c, ret_end);
	return r < 0 ? r : content_unchanged(c->fd, &c->st);
}

/* ---- the request */

static int
refuse_because(struct copying *c, int error, const char *why)
{
	c->why = why;
	return error;
}

static int
open_source(struct copying *c)
{
	c->fd = names_open_file(c->s, c->rq->source, &c->st);
	if (c->fd < 0)
		return c->fd;
	if (c->st.size > c->s->config->file_size)
		return -FTD_E_file_too_large;
	return 0;
}

/* Not to be found out after the work: publishing takes the name, or refuses, once more. */
static int
check_free(struct copying *c)
{
	struct publish *p = &c->publish;
	struct entry_stat st;

	if (p->how != PUBLISH_FAIL || !names_may_list(c->to) ||
	    entry_stat(p->target_dir, p->leaf, &st) < 0)
		return 0;
	p->current = entry_json(p->leaf, strlen(p->leaf), &st);
	return -FTD_E_exists;
}

/* Opens the directory and makes the file that becomes the copy. */
static int
open_target(struct copying *c, const struct args *a)
{
	struct publish *p = &c->publish;
	const char *leaf;
	int r;

	if (claim_how(&a->if_exists, PUBLISH_FAIL, &p->how) < 0)
		return refuse_because(c, -FTD_E_bad_request,
				      "if_exists must be replace, fail or keep_both");
	p->target_dir = names_open_parent(c->s, c->to, &leaf);
	if (p->target_dir < 0)
		return p->target_dir;
	(void)snprintf(p->leaf, sizeof(p->leaf), "%s", leaf);
	r = check_free(c);
	if (r < 0)
		return r;
	p->rights = c->to->rights;
	p->name = strdup(c->to->name);
	if (p->name == NULL)
		return -ENOMEM;
	p->size = c->st.size;
	r = staging_place(c->s, c->to, p->target_dir, c->st.mode & 0777, &p->staging);
	return r == 0 ? quota_reserve(c->s, &p->staging, c->st.size) : r;
}

static int
copy_and_publish(struct copying *c, int *ret_end)
{
	int r;

	report_transfer_begin(c->s, "copy", false, c->to->name, c->st.size);
	report_state(c->s, BOARD_WORKING);
	(void)beat_begin(c->s, c->rq, "waiting");
	r = copy_content(c, ret_end);
	if (r == 0)
		publish_all(c->s, &c->publish, 1, &r);
	beat_end(c->s);
	content_report_end(c->s, *ret_end, r, NULL);
	return r;
}

static int
copy(struct copying *c, const struct args *a)
{
	json_t *keys = NULL;
	int end = 0, r;

	r = open_source(c);
	if (r == 0)
		r = open_target(c, a);
	if (r == 0)
		r = shares_conceal(c->to, copy_and_publish(c, &end));
	if (end < 0)
		return end;
	if (c->stop.error < 0)
		return stop_answer(c->s, c->rq, &c->stop, NULL);
	if (r == 0)
		return names_reply_entry(c->s, c->rq, c->to, c->publish.leaf, &c->publish.st);
	if (r == -FTD_E_quota_exceeded)
		keys = quota_refusal(c->s, c->to->share);
	else if (c->publish.current != NULL)
		keys = json_pack("{s:O}", "current", c->publish.current);
	return reply_error(c->s, c->rq, r, c->why, keys);
}

int
op_copy(struct session *s, const struct request *rq)
{
	struct copying c = { .s = s, .rq = rq, .to = rq->target, .fd = -1 };
	struct args a = { 0 };
	uint64_t has = 0;
	int r;

	publish_init(&c.publish);
	r = dispatch_decode(s, rq, fields, ARRAY_SIZE(fields), &a, &has);
	if (r > 0)
		r = copy(&c, &a);
	publish_done(s, &c.publish);
	close_fd(&c.fd);
	message_args_done(fields, ARRAY_SIZE(fields), &a);
	return r;
}
