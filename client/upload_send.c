#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "client/content.h"
#include "client/upload.h"
#include "lib/clock.h"
#include "lib/err.h"
#include "lib/message.h"
#include "lib/own.h"
#include "lib/path.h"

/* What is sent of one file. */
struct sending {
	struct upload *u;
	struct upload_item *item;
	int fd;
	uint64_t size; /* CONTENT_UNKNOWN: a pipe */
	bool sparse;
};

static int
set_new(json_t *o, const char *key, json_t *value)
{
	return json_object_set_new(o, key, value) < 0 ? -ENOMEM : 0;
}

/* Wire name of the item: its source's, and its own path below. Length, or -FTD_E_bad_name. */
static int
remote_name(const struct upload_item *item, char dst[PATH_BYTES_MAX + 1])
{
	const char *above = item->source->remote;
	int n;

	n = snprintf(dst, PATH_BYTES_MAX + 1, "/%s%s%s", above,
		     above[0] != '\0' && item->path[0] != '\0' ? "/" : "", item->path);
	return n < 0 || n > PATH_BYTES_MAX ? -FTD_E_bad_name : n;
}

static int
set_filename(json_t *o, const struct upload_item *item)
{
	char path[PATH_BYTES_MAX + 1];
	int n = remote_name(item, path);

	return n < 0 ? n : message_set_name(o, "filename", path, (size_t)n);
}

static int64_t
mtime_ns(const struct stat *st)
{
	return (int64_t)st->st_mtim.tv_sec * (int64_t)NSEC_PER_SEC + st->st_mtim.tv_nsec;
}

static int
set_times(json_t *o, const struct stat *st)
{
	int r;

	r = set_new(o, "mtime_ns", json_integer((json_int_t)mtime_ns(st)));
	return r < 0 ? r : set_new(o, "mode", json_integer(st->st_mode & 0777));
}

/* The request of an upload; digest NULL: told in the trailer. */
static json_t *
upload_request(const struct sending *s, bool pieces, bool ask, const char *digest)
{
	const struct options *o = &s->u->client->options;
	const char *if_exists = options_if_exists(o);
	json_t *rq = json_pack("{s:s, s:s}", "opt", "upload", "digest",
			       digest != NULL ? digest : digest_name(o->digest));
	int r = rq != NULL ? 0 : -ENOMEM;

	if (r == 0)
		r = set_filename(rq, s->item);
	if (r == 0)
		r = set_new(rq, "filesize",
			    s->size == CONTENT_UNKNOWN ? json_null()
						       : json_integer((json_int_t)s->size));
	if (r == 0 && S_ISREG(s->item->st.st_mode))
		r = set_times(rq, &s->item->st);
	if (r == 0 && if_exists != NULL)
		r = set_new(rq, "if_exists", json_string(if_exists));
	if (r == 0 && s->u->parents)
		r = set_new(rq, "parents", json_true());
	if (r == 0 && pieces)
		r = set_new(rq, "more", json_true());
	if (r == 0 && ask)
		r = set_new(rq, "expect", json_true());
	if (r == 0)
		return rq;
	json_decref(rq);
	return NULL;
}

static int
local_failure(int r, struct failure *f)
{
	if (r == -EINTR)
		return failure_interrupted(f);
	if (r == -FTD_E_changed)
		return failure_set(f, FAILURE_ITEM, STATUS_LOCAL, "local",
				   "changed while it was read");
	return failure_set(f, FAILURE_ITEM, STATUS_LOCAL, "local", "%s", err_text(r));
}

/* From here on the server may hear of the item, so an answer to it may come. */
static void
queue(struct upload *u, struct upload_item *item)
{
	u->queued = true;
	item->began_usec = clock_usec();
	upload_append(&u->sent, item);
}

static int
moved(struct upload *u, uint64_t n, struct failure *f)
{
	progress_moved(&u->client->report.progress, n);
	if (pace_spend(&u->client->pace, n) < 0)
		return failure_interrupted(f);
	return 0;
}

/* A file of at most UPLOAD_SMALL bytes: one frame, its digest in front. */
static int
send_small(struct sending *s, struct failure *f)
{
	struct upload *u = s->u;
	struct session *session = &u->client->session;
	struct digest_value value;
	size_t n = 0;
	ssize_t got;
	int r;

	while ((got = pread(s->fd, u->buffer + n, UPLOAD_SMALL + 1 - n, (off_t)n)) > 0)
		n += (size_t)got;
	if (got < 0)
		return local_failure(-errno, f);
	if (n != s->size)
		return local_failure(-FTD_E_changed, f);
	r = digest_reset(u->digest, u->client->options.digest);
	if (r < 0)
		return failure_connection(f, r);
	digest_update(u->digest, u->buffer, n);
	digest_final(u->digest, &value);
	(void)digest_format(&value, s->item->digest);

	queue(u, s->item);
	r = session_send(session, upload_request(s, false, false, s->item->digest), f);
	s->item->id = session->last_id;
	if (r == 0 && n > 0)
		r = session_send_body(session, u->buffer, n, f);
	return r < 0 ? r : moved(u, n, f);
}

/* One run of the content as a frame. */
static int
send_run(struct sending *s, const struct content_run *run, struct failure *f)
{
	struct session *session = &s->u->client->session;
	int r;

	if (run->hole) {
		digest_update_zeros(s->u->digest, run->len);
		r = session_send_piece(
		    session, json_pack("{s:b, s:I}", "more", 1, "hole", (json_int_t)run->len), NULL,
		    0, f);
		if (r == 0)
			progress_moved(&s->u->client->report.progress, run->len);
		return r;
	}
	digest_update(s->u->digest, s->u->buffer, (size_t)run->len);
	r = session_send_piece(session,
			       json_pack("{s:b, s:I}", "more", 1, "body", (json_int_t)run->len),
			       s->u->buffer, (size_t)run->len, f);
	return r < 0 ? r : moved(s->u, run->len, f);
}

/* Ends the pieces so that nothing comes of them. */
static int
send_void(struct sending *s, struct failure *f)
{
	return session_send_piece(&s->u->client->session,
				  json_pack("{s:s, s:s}", "status", "error", "code", "cancelled"),
				  NULL, 0, f);
}

static int
send_trailer(struct sending *s, struct failure *f)
{
	struct digest_value value;

	digest_final(s->u->digest, &value);
	(void)digest_format(&value, s->item->digest);
	return session_send_piece(&s->u->client->session,
				  json_pack("{s:s}", "digest", s->item->digest), NULL, 0, f);
}

/* The content fails on this side: the item is told and ended, its answer will not matter. */
static int
give_up(struct sending *s, int reason, struct failure *f)
{
	char name[UPLOAD_NAME_MAX];
	struct failure why;

	if (reason == -EINTR)
		return failure_interrupted(f);
	(void)local_failure(reason, &why);
	s->item->voided = true;
	report_failure(&s->u->client->report, upload_name(name, s->item->source, s->item->path),
		       &why);
	return send_void(s, f);
}

/* Everything after the request of an upload in pieces. */
static int
send_pieces(struct sending *s, struct failure *f)
{
	struct upload *u = s->u;
	size_t chunk = pace_chunk(&u->client->pace, UPLOAD_PIECE);
	struct content content;
	struct content_run run;
	int r, more;

	r = digest_reset(u->digest, u->client->options.digest);
	if (r < 0)
		return failure_connection(f, r);
	content_init(&content, s->fd, s->size, s->sparse);
	u->sending_id = s->item->id;
	while ((more = content_next(&content, u->buffer, chunk, &run)) > 0) {
		r = send_run(s, &run, f);
		if (r == 0)
			r = upload_poll(u, f);
		if (r < 0)
			return r;
		if (u->refused_id == u->sending_id) /* the answer is told, and s->item gone */
			return send_void(s, f);
	}
	u->sending_id = 0;
	s->item->size = content.at;
	return more < 0 ? give_up(s, more, f) : send_trailer(s, f);
}

/* Asks before sending. 1: send; 0: the answer is final, and taken in. */
static int
ask_first(struct sending *s, json_t *request, struct failure *f)
{
	struct upload *u = s->u;
	struct session *session = &u->client->session;
	struct answer a;
	bool go_on;
	int r;

	while (u->sent.first != s->item) {
		r = upload_answer(u, f);
		if (r < 0) {
			json_decref(request);
			return r;
		}
	}
	r = session_send(session, request, f);
	s->item->id = session->last_id;
	if (r < 0)
		return r;
	r = session_receive_for(session, s->item->id, &a, f);
	if (r < 0)
		return upload_taken(u, NULL, f);
	go_on = answer_is(&a.status, "continue");
	r = go_on ? 1 : upload_taken(u, &a, f);
	answer_done(&a);
	return r;
}

static int
send_large(struct sending *s, bool careful, struct failure *f)
{
	struct session *session = &s->u->client->session;
	bool ask = careful || (s->size != CONTENT_UNKNOWN && s->size > UPLOAD_ASK_ABOVE);
	struct digest_value value;
	json_t *request;
	int r;

	if (careful) {
		r = content_digest(s->fd, s->size, s->sparse, s->u->client->options.digest, &value);
		if (r < 0)
			return local_failure(r, f);
		(void)digest_format(&value, s->item->digest);
	}
	queue(s->u, s->item);
	request = upload_request(s, true, ask, careful ? s->item->digest : NULL);
	if (ask) {
		r = ask_first(s, request, f);
		if (r <= 0)
			return r;
	} else {
		r = session_send(session, request, f);
		s->item->id = session->last_id;
		if (r < 0)
			return r;
	}
	return send_pieces(s, f);
}

/* The item's file: of the tree beneath its descriptor, else as the user named it. */
static int
open_item(const struct upload_item *item)
{
	int fd;

	if (strcmp(item->source->name, "-") == 0 && item->source->dir < 0) {
		fd = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0);
		return fd < 0 ? -errno : fd;
	}
	if (item->source->dir >= 0)
		return path_open(item->source->dir, item->path, O_RDONLY, 0, false);
	fd = openat(AT_FDCWD, item->source->name, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	return fd < 0 ? -errno : fd;
}

static int
send_file(struct upload *u, struct upload_item *item, bool careful, struct failure *f)
{
	struct sending s = { .u = u, .item = item };
	char name[UPLOAD_NAME_MAX];
	auto_close int fd = -1;

	fd = open_item(item);
	s.fd = fd;
	if (fd < 0)
		return local_failure(fd, f);
	if (fstat(fd, &item->st) < 0)
		return local_failure(-errno, f);
	if (S_ISREG(item->st.st_mode)) {
		s.size = (uint64_t)item->st.st_size;
		s.sparse = (uint64_t)item->st.st_blocks * 512 < s.size;
	} else if (item->source->dir < 0 && !S_ISDIR(item->st.st_mode)) {
		s.size = CONTENT_UNKNOWN;
	} else {
		return local_failure(-FTD_E_not_a_file, f);
	}
	item->size = s.size;
	if (careful && s.size == CONTENT_UNKNOWN)
		return failure_set(f, FAILURE_ITEM, STATUS_INTERRUPTED, "lost",
				   "the connection was lost, and a pipe cannot be read twice");
	if (!careful)
		report_begin(&u->client->report, upload_name(name, item->source, item->path),
			     s.size, 0);
	if (s.size <= UPLOAD_SMALL && !careful && !s.sparse)
		return send_small(&s, f);
	return send_large(&s, careful, f);
}

static int
send_directory(struct upload *u, struct upload_item *item, struct failure *f)
{
	bool make = item->kind == UPLOAD_MKDIR;
	json_t *rq = json_pack("{s:s}", "opt", make ? "mkdir" : "set");
	int r = rq != NULL ? set_filename(rq, item) : -ENOMEM;

	if (r == 0)
		r = make ? set_new(rq, "parents", json_true()) : set_times(rq, &item->st);
	if (r < 0) {
		json_decref(rq);
		rq = NULL;
	}
	queue(u, item);
	r = session_send(&u->client->session, rq, f);
	item->id = u->client->session.last_id;
	return r;
}

int
upload_send(struct upload *u, struct upload_item *item, bool careful, struct failure *f)
{
	char path[PATH_BYTES_MAX + 1];
	int r;

	u->queued = false;
	r = remote_name(item, path);
	if (r < 0)
		return failure_set(f, FAILURE_ITEM, err_exit_status(err_code(r)), err_code(r), "%s",
				   err_text(r));
	if (item->kind == UPLOAD_FILE)
		r = send_file(u, item, careful, f);
	else
		r = send_directory(u, item, f);
	u->sending_id = 0;
	if (r < 0 && f->scope != FAILURE_ITEM && !u->queued)
		queue(u, item);
	return r;
}
