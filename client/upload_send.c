#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "client/content.h"
#include "client/large.h"
#include "client/upload.h"
#include "lib/clock.h"
#include "lib/err.h"
#include "lib/own.h"
#include "lib/path.h"

int
upload_local_failure(int r, struct failure *f)
{
	if (r == -EINTR)
		return failure_interrupted(f);
	if (r == -FTD_E_changed)
		return failure_set(f, FAILURE_ITEM, STATUS_LOCAL, "local",
				   "changed while it was read");
	return failure_set(f, FAILURE_ITEM, STATUS_LOCAL, "local", "%s", err_text(r));
}

void
upload_queue(struct upload *u, struct upload_item *item)
{
	u->queued = true;
	item->began_usec = clock_usec();
	upload_append(&u->sent, item);
}

int
upload_moved(struct upload *u, uint64_t n, struct failure *f)
{
	progress_moved(&u->client->report.progress, n);
	if (pace_spend(&u->client->pace, n) < 0)
		return failure_interrupted(f);
	return 0;
}

/* A file of at most UPLOAD_SMALL bytes: one frame, its digest in front. */
static int
send_small(struct upload_sending *s, struct failure *f)
{
	struct upload *u = s->u;
	struct session *session = &u->client->session;
	struct digest_value value;
	json_t *request;
	size_t n = 0;
	ssize_t got;
	int r;

	while ((got = pread(s->fd, u->buffer + n, UPLOAD_SMALL + 1 - n, (off_t)n)) > 0)
		n += (size_t)got;
	if (got < 0)
		return upload_local_failure(-errno, f);
	if (n != s->size)
		return upload_local_failure(-FTD_E_changed, f);
	r = digest_reset(u->digest, u->client->options.digest);
	if (r < 0)
		return failure_connection(f, r);
	digest_update(u->digest, u->buffer, n);
	digest_final(u->digest, &value);
	(void)digest_format(&value, s->item->digest);

	upload_queue(u, s->item);
	request = upload_request("upload", &u->client->options, &s->facts);
	if (request != NULL)
		(void)json_object_set_new(request, "digest", json_string(s->item->digest));
	r = session_send(session, request, f);
	s->item->id = session->last_id;
	if (r == 0 && n > 0)
		r = session_send_body(session, u->buffer, n, f);
	return r < 0 ? r : upload_moved(u, n, f);
}

/* In parts, whose conversation has the connection to itself. 0; 1: the server cannot do that;
 * negative (f). */
static int
send_large(struct upload_sending *s, bool careful, struct failure *f)
{
	struct upload *u = s->u;
	char name[UPLOAD_NAME_MAX];
	struct large x = { .client = u->client,
			   .name = upload_name(name, s->item->source, s->item->path),
			   .facts = s->facts,
			   .fd = s->fd,
			   .maybe_there = careful };
	struct answer receipt;
	int r = 0;

	while (r == 0 && u->sent.first != NULL)
		r = upload_answer(u, f);
	if (r < 0)
		return r;
	s->item->began_usec = clock_usec();
	r = large_put(&x, &receipt, f);
	if (r < 0)
		return strcmp(f->code, "unsupported") == 0 ? 1 : r;
	retry_reset(&u->client->session.retry);
	s->item->size = x.facts.size;
	s->item->held = x.held;
	s->item->moved = x.moved;
	(void)memcpy(s->item->digest, x.digest, sizeof(s->item->digest));
	r = upload_check_receipt(s->item, &receipt, f);
	if (r == 0) {
		upload_accepted(u, s->item, &receipt);
		upload_item_free(s->item);
	}
	answer_done(&receipt);
	return r;
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

/* What is known of the open file. */
static int
look(struct upload_sending *s, struct failure *f)
{
	struct upload_item *item = s->item;

	if (fstat(s->fd, &item->st) < 0)
		return upload_local_failure(-errno, f);
	if (S_ISREG(item->st.st_mode)) {
		s->size = (uint64_t)item->st.st_size;
		s->sparse = (uint64_t)item->st.st_blocks * 512 < s->size;
	} else if (item->source->dir < 0 && !S_ISDIR(item->st.st_mode)) {
		s->size = CONTENT_UNKNOWN;
	} else {
		return upload_local_failure(-FTD_E_not_a_file, f);
	}
	item->size = s->size;
	s->facts = (struct upload_facts){
		.filename = s->path, .size = s->size, .st = &item->st, .parents = s->u->parents
	};
	return 0;
}

static int
send_file(struct upload_sending *s, bool careful, struct failure *f)
{
	struct upload *u = s->u;
	char name[UPLOAD_NAME_MAX];
	auto_close int fd = -1;
	int r;

	fd = open_item(s->item);
	s->fd = fd;
	if (fd < 0)
		return upload_local_failure(fd, f);
	r = look(s, f);
	if (r < 0)
		return r;
	if (careful && s->size == CONTENT_UNKNOWN)
		return failure_set(f, FAILURE_ITEM, STATUS_INTERRUPTED, "lost",
				   "the connection was lost, and what came from a pipe cannot be "
				   "read again");
	if (!careful)
		report_begin(&u->client->report, upload_name(name, s->item->source, s->item->path),
			     s->size, 0);
	if (s->size <= UPLOAD_SMALL && !careful && !s->sparse)
		return send_small(s, f);
	if (s->size != CONTENT_UNKNOWN && s->size > UPLOAD_SMALL && !u->whole_only &&
	    (careful || s->size >= UPLOAD_LARGE)) {
		r = send_large(s, careful, f);
		if (r <= 0)
			return r;
		u->whole_only = true;
	}
	return upload_pieces(s, careful, f);
}

static int
send_name(struct upload *u, struct upload_item *item, struct failure *f)
{
	int r;

	upload_queue(u, item);
	r = session_send(&u->client->session, upload_name_request(item), f);
	item->id = u->client->session.last_id;
	return r;
}

int
upload_send(struct upload *u, struct upload_item *item, bool careful, struct failure *f)
{
	struct upload_sending s = { .u = u, .item = item };
	int r;

	u->queued = false;
	r = upload_remote_name(item, s.path);
	if (r < 0)
		return failure_set(f, FAILURE_ITEM, err_exit_status(err_code(r)), err_code(r), "%s",
				   err_text(r));
	if (item->kind == UPLOAD_FILE)
		r = send_file(&s, careful, f);
	else
		r = send_name(u, item, f);
	u->sending_id = 0;
	if (r < 0 && f->scope != FAILURE_ITEM && !u->queued)
		upload_queue(u, item);
	return r;
}
