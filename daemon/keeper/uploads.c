#include "daemon/keeper/uploads.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "daemon/common/partial.h"
#include "daemon/common/reserved.h"
#include "daemon/keeper/ledgers.h"
#include "lib/clock.h"
#include "lib/io.h"
#include "lib/own.h"

/* As long as a new claim waits for the sessions that write. */
#define DISCARD_USEC (2 * USEC_PER_SEC)

struct answer {
	int sock;
	const struct packet_keeper *question;
	int root;
	struct packet_kept packet;
	struct partial partial;
};

/* ---- what is told */

static int
say(struct answer *a, enum kept_type type)
{
	a->packet.type = type;
	a->packet.serial = a->question->serial;
	return io_send_packet(a->sock, &a->packet, sizeof(a->packet), NULL, 0, 0);
}

static int
say_end(struct answer *a, int error)
{
	a->packet = (struct packet_kept){ .error = error };
	return say(a, KEPT_END);
}

static int
say_more(struct answer *a, const struct staged_id *last)
{
	a->packet =
	    (struct packet_kept){ .flags = KEPT_MORE, .id = { last->session, last->number } };
	return say(a, KEPT_END);
}

static void
describe_head(struct packet_kept *k, const struct partial *p)
{
	const struct record_head *h = &p->head;

	_Static_assert(sizeof(k->user) >= sizeof(h->user), "a user fits a packet");
	_Static_assert(sizeof(k->name) >= sizeof(h->name), "a name fits a packet");
	k->size = h->size;
	k->held = record_held(&p->state.ranges);
	k->ranges = p->state.ranges.n;
	memcpy(k->user, h->user, sizeof(h->user));
	k->name_len = (uint32_t)strlen(h->name);
	memcpy(k->name, h->name, k->name_len);
}

static int64_t
changed_ns(const struct stat *st)
{
	return (int64_t)st->st_mtim.tv_sec * (int64_t)NSEC_PER_SEC + st->st_mtim.tv_nsec;
}

/* The record is of a uid whose sessions alone may read it, since the claim is in it. That its
 * content waits is to be seen from without: who has published it removes what leads there. */
static int
describe_private(struct answer *a, const struct partial *p)
{
	struct packet_kept *k = &a->packet;
	struct stat st;
	int r = partial_stat(p, &st);

	if (r == 0)
		r = st.st_size == 0 ? 0 : staged_is_kept(a->root, &p->id);
	if (r <= 0)
		return r < 0 ? r : -ENOENT;
	k->last_ns = changed_ns(&st);
	k->flags = KEPT_PRIVATE;
	k->owner = st.st_uid;
	return 0;
}

/* Opens the upload and writes into the packet what it is. 0; -ENOENT: it is gone, has just been
 * made and not begun, or has ended. */
static int
describe(struct answer *a, int dir, const struct staged_id *id)
{
	struct packet_kept *k = &a->packet;
	struct partial *p = &a->partial;
	struct stat st;
	int r;

	partial_init(p, dir, id);
	*k = (struct packet_kept){ .id = { id->session, id->number } };
	r = partial_open(p);
	if (r == -EPERM || r == -EACCES)
		return describe_private(a, p);
	if (r == 0)
		r = partial_load(p);
	if (p->record >= 0 && fstat(p->record, &st) == 0) {
		k->last_ns = changed_ns(&st);
		k->flags = partial_is_written(p) ? KEPT_WRITING : 0;
		if (st.st_size == 0 || (r == 0 && p->state.phase == RECORD_DONE))
			return -ENOENT;
	}
	if (r == 0)
		describe_head(k, p);
	else
		k->flags |= KEPT_DAMAGED;
	return r == -ENOENT ? r : 0;
}

/* ---- a page: those of lowest ids, in order */

struct page {
	unsigned n;
	bool more; /* behind the last one */
	struct staged_id ids[KEEPER_PAGE];
};

static bool
is_before(const struct staged_id *a, const struct staged_id *b)
{
	return a->session != b->session ? a->session < b->session : a->number < b->number;
}

static void
add(struct page *page, const struct staged_id *id)
{
	unsigned i = page->n;

	if (page->n == KEEPER_PAGE) {
		page->more = true;
		if (is_before(&page->ids[KEEPER_PAGE - 1], id))
			return;
		i = --page->n;
	}
	for (; i > 0 && is_before(id, &page->ids[i - 1]); i--)
		page->ids[i] = page->ids[i - 1];
	page->ids[i] = *id;
	page->n++;
}

static int
read_page(int dir, const struct staged_id *from, struct page *page)
{
	auto_close int fd = path_open(dir, "", O_RDONLY | O_DIRECTORY, 0, false);
	auto_dir DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct staged_id id;
	int r;

	if (d == NULL)
		return fd < 0 ? fd : -errno;
	(void)take_fd(&fd);
	page->n = 0;
	page->more = false;
	while ((r = partial_next(d, &id)) > 0)
		if (!is_before(&id, from))
			add(page, &id);
	return r;
}

static int
list(struct answer *a)
{
	const struct packet_keeper *q = a->question;
	const struct staged_id from = { q->id[0], q->id[1] };
	auto_close int dir = reserved_open(a->root, RESERVED_UPLOADS);
	static struct page page;
	int r = dir < 0 ? dir : read_page(dir, &from, &page);

	if (r < 0)
		return say_end(a, r == -ENOENT ? 0 : r);
	for (unsigned i = 0; i < page.n && r == 0; i++) {
		if (describe(a, dir, &page.ids[i]) == 0)
			r = say(a, KEPT_UPLOAD);
		partial_done(&a->partial);
	}
	return r < 0 ? r : page.more ? say_more(a, &page.ids[page.n - 1]) : say_end(a, 0);
}

/* ---- one */

static int
discard(struct answer *a)
{
	int r;

	/* its writers cannot be told, and what of it lies elsewhere is not ours to remove */
	if ((a->packet.flags & KEPT_PRIVATE) != 0)
		return -EPERM;
	r = a->partial.record < 0 ? -EIO : partial_discard(&a->partial, a->root, DISCARD_USEC);
	/* with the content gone, what was reserved for it is nobody's */
	if (r == 0)
		(void)ledgers_release(a->root, &a->partial.id);
	return r;
}

/* -ENOENT: it is not in this share. */
static int
one(struct answer *a)
{
	const struct staged_id id = { a->question->id[0], a->question->id[1] };
	auto_close int dir = reserved_open(a->root, RESERVED_UPLOADS);
	int r;

	if (dir < 0)
		return dir;
	r = describe(a, dir, &id);
	if (r == 0)
		r = say(a, KEPT_UPLOAD);
	if (r == 0 && a->question->type == KEEPER_DISCARD)
		r = discard(a);
	partial_done(&a->partial);
	return r;
}

int
uploads_answer(int sock, const struct packet_keeper *question, int root)
{
	static struct answer a; /* too large for a stack */

	a.sock = sock;
	a.question = question;
	a.root = root;
	if (clock_usec() >= question->deadline_usec)
		return say_end(&a, -ETIMEDOUT);
	if (root < 0)
		return say_end(&a, root);
	switch (question->type) {
	case KEEPER_LIST:
		return list(&a);
	case KEEPER_SHOW:
	case KEEPER_DISCARD:
		return say_end(&a, one(&a));
	default:
		return -EBADMSG;
	}
}
