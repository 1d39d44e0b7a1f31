/* What a user has not finished. */
#include <dirent.h>
#include <string.h>
#include <stdlib.h>

#include "daemon/common/reserved.h"
#include "daemon/session/resume.h"
#include "lib/frame.h"
#include "lib/own.h"

static json_t *
entry_of(const struct session *s, struct partial *p)
{
	const struct record_head *h = &p->head;
	char id[PARTIAL_ID_MAX], name[PATH_BYTES_MAX + 2];
	auto_json json_t *o = NULL;

	if (partial_read_claim(p, &p->claim) < 0 || partial_load(p) < 0 ||
	    p->state.phase == RECORD_DONE)
		return NULL;
	o = json_pack("{s:s, s:I, s:I}", "upload", partial_format_id(&p->id, p->claim, id), "held",
		      (json_int_t)record_held(&p->state.ranges), "expires_s", resume_expires(s));
	name[0] = '/';
	memcpy(name + 1, h->name, sizeof(h->name));
	if (o == NULL || message_set_name(o, "filename", name, strlen(name)) < 0)
		return NULL;
	if (h->size != UINT64_MAX)
		(void)json_object_set_new(o, "filesize", json_integer((json_int_t)h->size));
	if (h->has_mtime)
		(void)json_object_set_new(o, "mtime_ns", json_integer(h->mtime_ns));
	return take_ptr(o);
}

struct listing {
	struct session *s;
	const struct request *rq;
	json_t *list;
	size_t bytes;
	struct partial p;
};

static int
send_list(struct listing *l, bool more)
{
	json_t *o = json_pack("{s:o}", "uploads", take_ptr(l->list));

	if (o == NULL)
		return -ENOMEM;
	l->list = json_array();
	l->bytes = 0;
	return more ? reply_more(l->s, l->rq, o) : reply_ok(l->s, l->rq, o);
}

static int
add(struct listing *l, const struct staged_id *id, int dir)
{
	json_t *entry = NULL;
	int r = 0;

	partial_init(&l->p, dir, id);
	if (partial_open(&l->p) == 0 && strcmp(l->p.head.user, l->s->subject.user) == 0)
		entry = entry_of(l->s, &l->p);
	partial_done(&l->p);
	if (entry == NULL)
		return 0;
	l->bytes += 256 + 6 * strlen(l->p.head.name);
	if (l->bytes > FRAME_HEADER_MAX - 1024 && json_array_size(l->list) > 0)
		r = send_list(l, true);
	if (json_array_append_new(l->list, entry) < 0)
		return -ENOMEM;
	return r;
}

static int
list_share(struct listing *l, unsigned share)
{
	size_t len, suffix = strlen(PARTIAL_RECORD);
	auto_dir DIR *dir = NULL;
	const struct dirent *e;
	struct staged_id id;
	int r = 0, fd;

	if (l->s->view.shares[share] == 0 || l->s->shares[share].root < 0)
		return 0;
	fd = reserved_open(l->s->shares[share].root, RESERVED_UPLOADS);
	dir = fd >= 0 ? fdopendir(fd) : NULL;
	if (dir == NULL) {
		close_fd(&fd);
		return 0;
	}
	while (r == 0 && (e = readdir(dir)) != NULL) {
		len = strlen(e->d_name);
		if (len > suffix && strcmp(e->d_name + len - suffix, PARTIAL_RECORD) == 0 &&
		    staged_parse(e->d_name, len - suffix, &id) == 0)
			r = add(l, &id, dirfd(dir));
	}
	return r;
}

/* Who has not logged in knows theirs by the ids. */
int
op_upload_list(struct session *s, const struct request *rq)
{
	struct listing *l;
	uint64_t has;
	int r = dispatch_decode(s, rq, NULL, 0, NULL, &has);

	if (r <= 0)
		return r;
	l = calloc(1, sizeof(*l));
	if (l == NULL)
		return reply_error(s, rq, -ENOMEM, NULL, NULL);
	l->s = s;
	l->rq = rq;
	l->list = json_array();
	r = l->list != NULL ? 0 : -ENOMEM;
	for (unsigned i = 0; i < s->config->n_shares && r == 0 && s->subject.user[0] != '\0'; i++)
		r = list_share(l, i);
	if (r == 0)
		r = send_list(l, false);
	json_decref(l->list);
	free(l);
	return r;
}
