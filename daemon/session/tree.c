#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>

#include "daemon/session/content.h"
#include "daemon/session/forest.h"
#include "daemon/session/names.h"
#include "daemon/session/stop.h"
#include "lib/err.h"
#include "lib/frame.h"
#include "lib/own.h"

enum { LOOK_EVERY = 64 }; /* entries between two looks at orders and cancel */

struct args {
	struct message_str digest;
	bool holes;
};

static const struct message_field fields[] = {
	{ "digest", MESSAGE_STR, offsetof(struct args, digest), DIGEST_TEXT_MAX, false },
	{ "holes", MESSAGE_BOOL, offsetof(struct args, holes), 0, false },
};

struct tree {
	struct session *s;
	const struct request *rq;
	struct forest *forest;
	struct stop stop;
	struct content content; /* what is the same for all files, and the one under way */
	uint64_t entries, bytes, errors;
	int error; /* why it ended early */
};

/* One that cannot be read: the walk goes on. */
static int
tell_error(struct tree *t, const struct forest_item *item, int error)
{
	json_t *o = json_pack("{s:b}", "more", 1);

	t->errors++;
	if (o == NULL || message_set_name(o, "name", item->path, item->path_len) < 0) {
		json_decref(o);
		return -ENOMEM;
	}
	return reply_error(t->s, t->rq, error, NULL, o);
}

static int
tell_entry(struct tree *t, const struct forest_item *item)
{
	json_t *o = entry_json(item->path, item->path_len, &item->st);

	return o != NULL ? reply_more(t->s, t->rq, o) : -ENOMEM;
}

/* Opens the file of an item into c. 0 or why it cannot be sent. */
static int
open_content(const struct forest_item *item, struct content *c)
{
	int r;

	c->fd = path_open(item->dir, item->leaf, O_RDONLY, 0, false);
	if (c->fd < 0)
		return c->fd;
	r = entry_stat(c->fd, NULL, &c->st);
	if (r < 0)
		return r;
	if (!S_ISREG(c->st.mode))
		return -FTD_E_not_a_file;
	c->share = item->share;
	c->name = item->path;
	c->offset = 0;
	c->end = c->st.size;
	c->entry = entry_json(item->path, item->path_len, &c->st);
	return c->entry != NULL ? 0 : -ENOMEM;
}

static int
send_file(struct tree *t, const struct forest_item *item)
{
	struct content *c = &t->content;
	int r;

	r = open_content(item, c);
	if (r == 0) {
		r = content_send(t->s, t->rq, c);
		if (c->error < 0)
			t->errors++;
		else
			t->bytes += c->st.size;
	} else if (r == -ENOENT) {
		t->entries--; /* gone since its directory was read */
		r = 0;
	} else {
		r = tell_error(t, item, r);
	}
	json_decref(take_ptr(c->entry));
	close_fd(&c->fd);
	return r;
}

static int
send_item(struct tree *t, const struct forest_item *item)
{
	t->entries++;
	if (item->error < 0)
		return tell_error(t, item, item->error);
	return S_ISREG(item->st.mode) ? send_file(t, item) : tell_entry(t, item);
}

static int
finish(struct tree *t)
{
	json_t *o = json_pack("{s:I, s:I, s:I}", "entries", (json_int_t)t->entries, "bytes",
			      (json_int_t)t->bytes, "errors", (json_int_t)t->errors);

	return o != NULL ? reply_ok(t->s, t->rq, o) : -ENOMEM;
}

static int
walk(struct tree *t)
{
	struct forest_item item;
	int r;

	for (uint64_t n = 0;; n++) {
		r = n % LOOK_EVERY == 0 ? stop_look(t->s, &t->stop) : 0;
		if (r > 0)
			t->error = t->stop.error;
		if (r != 0)
			return r < 0 ? r : stop_answer(t->s, t->rq, &t->stop, NULL);
		r = forest_next(t->forest, &item);
		if (r == 0)
			return finish(t);
		if (r < 0) {
			t->error = r;
			return reply_error(t->s, t->rq, r, NULL, NULL);
		}
		r = send_item(t, &item);
		if (r < 0 || t->stop.error < 0) {
			t->error = t->stop.error;
			return r;
		}
	}
}

/* One record for the whole tree, as for one download. */
static int
transfer(struct tree *t)
{
	char reason[64];
	int r;

	report_transfer_begin(t->s, "download-tree", false, t->rq->source->name, UINT64_MAX);
	r = walk(t);
	(void)snprintf(reason, sizeof(reason), "%" PRIu64 " could not be read", t->errors);
	content_report_end(t->s, r, t->error, t->errors > 0 ? reason : NULL);
	return r;
}

static int
start(struct session *s, const struct request *rq, const struct args *a)
{
	struct tree t = { .s = s, .rq = rq };
	int r;

	t.content = (struct content){
		.fd = -1,
		.holes = a->holes,
		.more = true,
		.piece = CONTENT_PIECE_FIRST,
		.stop = &t.stop,
	};
	r = content_algorithm(&a->digest, &t.content.algorithm);
	if (r == 0)
		r = forest_new(s, rq->source, RIGHT_READ | RIGHT_LIST, true, &t.forest);
	if (r < 0)
		return reply_error(s, rq, r, NULL, NULL);
	r = transfer(&t);
	forest_free(t.forest);
	return r;
}

int
op_download_tree(struct session *s, const struct request *rq)
{
	struct args a = { 0 };
	uint64_t has = 0;
	int r;

	r = dispatch_decode(s, rq, fields, ARRAY_SIZE(fields), &a, &has);
	if (r > 0)
		r = start(s, rq, &a);
	message_args_done(fields, ARRAY_SIZE(fields), &a);
	return r;
}
