/* A published file that counts as held when an upload begins: only what differs is to be sent. */
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/session/clone.h"
#include "daemon/session/names.h"
#include "daemon/session/resume.h"
#include "daemon/session/stop.h"
#include "lib/err.h"
#include "lib/own.h"

struct base {
	struct session *s;
	struct partial *p;
	struct stop stop;
	int fd; /* the content */
	uint64_t held;
};

static int
look(void *userdata)
{
	struct base *b = userdata;

	report_heartbeat(b->s);
	if (stop_ordered(b->s, &b->stop))
		return b->stop.error;
	return resume_check_claim(b->p);
}

/* What is copied is what counts: the client asks what it has become. */
static int
copy(struct base *b, const struct place *from, unsigned share)
{
	uint64_t size = b->p->head.size;
	struct entry_stat st;
	auto_close int fd = names_open_file(b->s, from, &st);
	struct clone c = {
		.s = b->s, .from = fd, .to = b->fd, .share = share, .look = look, .userdata = b
	};
	struct stat is;
	int r;

	if (fd < 0)
		return fd;
	if (size > b->s->config->file_size)
		size = b->s->config->file_size;
	c.size = st.size < size ? st.size : size;
	r = clone_content(&c);
	if (r < 0 && r != -FTD_E_changed)
		return r;
	if (fstat(b->fd, &is) < 0 ||
	    ((uint64_t)is.st_size > c.size && ftruncate(b->fd, (off_t)c.size) < 0) ||
	    fdatasync(b->fd) < 0)
		return -errno;
	b->held = c.done < (uint64_t)is.st_size ? c.done : (uint64_t)is.st_size;
	return 0;
}

int
resume_base(struct session *s, struct upload *u, struct partial *p)
{
	struct base b = { .s = s, .p = p, .fd = u->publish.staging.fd };
	int r;

	partial_unlock(p); /* it takes its time */
	(void)beat_begin(s, u->rq, "waiting");
	r = copy(&b, u->rq->target, u->place->share);
	beat_end(s);
	/* somebody else's by now? */
	if (partial_lock(p) < 0 || resume_check_claim(p) < 0)
		return -FTD_E_taken_over;
	if (r == 0)
		r = record_add(&p->state.ranges, 0, b.held);
	return r < 0 ? r : partial_store(p);
}
