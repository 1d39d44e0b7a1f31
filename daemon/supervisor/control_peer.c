#include "daemon/supervisor/control.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "lib/clock.h"
#include "lib/err.h"
#include "lib/own.h"

/* A full answer may be made while the one before it still waits. */
enum { OUT_MAX = CONTROL_UNREAD_MAX + FRAME_PREFIX + FRAME_HEADER_MAX };

/* ---- out ---- */

static bool
has_room(const struct control_peer *p)
{
	return buf_len(&p->out) < CONTROL_UNREAD_MAX;
}

/* Sends what the socket takes now. false: the peer is gone. */
static bool
flush(struct control_peer *p)
{
	ssize_t n;

	if (buf_len(&p->out) == 0)
		return true;
	n = send(p->fd, buf_data(&p->out), buf_len(&p->out), MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	buf_consume(&p->out, (size_t)n);
	buf_trim(&p->out);
	p->answer_usec = 0;
	return true;
}

/* One row alone is larger than a frame: the request ends so. */
static int
put_oversize(struct control_peer *p)
{
	auto_json json_t *answer = control_answer_new();
	int r = answer == NULL ? -ENOMEM : 0;

	if (r == 0)
		r = control_answer_refuse(answer, -FTD_E_internal,
					  "the answer does not fit a frame");
	return r < 0 ? r : message_append(&p->out, answer);
}

/* Queues the frame that a step made, or the refusal that it ended in. */
static int
put(struct control_peer *p, json_t *answer, int step)
{
	int r = 0;

	if (step == CONTROL_MORE)
		r = control_set(answer, "more", json_true());
	else if (step < 0)
		r = control_answer_refuse(answer, step, p->request.message);
	if (r == 0 && p->closing)
		r = control_set(answer, "close", json_true());
	return r < 0 ? r : message_append(&p->out, answer);
}

/* One step of the request under way. enum control_step, or negative: the peer cannot be served. */
static int
make_frame(struct control_peer *p)
{
	auto_json json_t *answer = control_answer_new();
	struct control_request *rq = &p->request;
	int step, r;

	if (answer == NULL)
		return -ENOMEM;
	step = control_step(rq, answer);
	if (step == CONTROL_WAIT && rq->ending)
		step = control_refuse(rq, -FTD_E_draining, "the daemon ends");
	if (step == CONTROL_WAIT)
		return step;
	r = put(p, answer, step);
	if (r == 0 && step == CONTROL_MORE)
		return step;
	if (r == -EMSGSIZE)
		r = put_oversize(p);
	if (r < 0)
		return r;
	control_end(rq);
	return CONTROL_DONE;
}

/* ---- in ---- */

/* The frame is whole: begin what it asks, or say why not. */
static int
take_frame(struct control_peer *p)
{
	auto_json json_t *answer = control_answer_new();
	auto_free uint8_t *header = take_ptr(p->header);
	int r;

	if (answer == NULL)
		return -ENOMEM;
	p->have = 0;
	p->frame_usec = 0;
	r = control_begin(&p->request, (const char *)header, p->length, answer);
	return r < 0 ? put(p, answer, r) : 0;
}

/* The four bytes are there: memory for what they promise. */
static int
take_prefix(struct control_peer *p)
{
	auto_json json_t *answer = NULL;
	int length = frame_length(p->prefix);

	if (length < 0) {
		answer = control_answer_new();
		p->closing = true;
		p->request.message[0] = '\0';
		return answer == NULL ? -ENOMEM : put(p, answer, length);
	}
	p->header = malloc((size_t)length);
	if (p->header == NULL)
		return -ENOMEM;
	p->length = (size_t)length;
	return 0;
}

/* Reads at most to the end of one frame, so that requests sent ahead wait in the kernel and every
 * peer gets its turn. 1: there was something; 0: nothing now; negative: the peer is gone. */
static int
read_some(struct control_peer *p)
{
	bool in_prefix = p->have < FRAME_PREFIX;
	uint8_t *at = in_prefix ? p->prefix + p->have : p->header + (p->have - FRAME_PREFIX);
	size_t want = in_prefix ? FRAME_PREFIX - p->have : FRAME_PREFIX + p->length - p->have;
	ssize_t n;

	n = recv(p->fd, at, want, MSG_DONTWAIT);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	if (n == 0) {
		p->closing = true;
		return p->have == 0 ? 0 : -EPIPE;
	}
	if (p->have == 0)
		p->frame_usec = clock_usec() + CONTROL_PATIENCE_SEC * USEC_PER_SEC;
	p->have += (size_t)n;
	if (p->have == FRAME_PREFIX)
		return take_prefix(p) < 0 ? -EBADMSG : 1;
	if (p->have > FRAME_PREFIX && p->have == FRAME_PREFIX + p->length)
		return take_frame(p) < 0 ? -EBADMSG : 0;
	return 1;
}

static bool
wants_input(const struct control_peer *p)
{
	return p->request.command == NULL && !p->closing && has_room(p);
}

/* Prefix, then header; whatever is short comes with a later wake-up. */
static bool
receive(struct control_peer *p)
{
	int r = wants_input(p) ? read_some(p) : 0;

	if (r == 1 && wants_input(p))
		r = read_some(p);
	return r >= 0;
}

/* ---- both ---- */

static bool
wants_output(const struct control_peer *p)
{
	return buf_len(&p->out) > 0 || (p->request.command != NULL && !p->waiting);
}

/* The timer runs to the nearer of the two ends, or not at all. */
static bool
watch_patience(struct control_peer *p)
{
	uint64_t until = p->frame_usec;

	if (!wants_output(p))
		p->answer_usec = 0;
	else if (p->answer_usec == 0)
		p->answer_usec = clock_usec() + CONTROL_PATIENCE_SEC * USEC_PER_SEC;
	if (until == 0 || (p->answer_usec != 0 && p->answer_usec < until))
		until = p->answer_usec;
	if (until == 0)
		return sd_event_source_set_enabled(p->timer, SD_EVENT_OFF) >= 0;
	return sd_event_source_set_time(p->timer, until) >= 0 &&
	       sd_event_source_set_enabled(p->timer, SD_EVENT_ONESHOT) >= 0;
}

/* Watches for what can happen next, and for nothing that would only wake us. false: nothing can. */
static bool
watch(struct control_peer *p)
{
	uint32_t events = wants_input(p) ? EPOLLIN : 0;

	if (wants_output(p))
		events |= EPOLLOUT;
	if (p->closing && events == 0 && p->request.command == NULL)
		return false;
	return sd_event_source_set_io_events(p->io, events) >= 0 && watch_patience(p);
}

bool
control_peer_run(struct control_peer *p)
{
	int r = CONTROL_DONE;

	while (p->request.command != NULL && has_room(p)) {
		r = make_frame(p);
		if (r < 0)
			return false;
		if (r == CONTROL_WAIT)
			break;
	}
	p->waiting = r == CONTROL_WAIT;
	return flush(p) && watch(p);
}

int
control_descriptor(const struct control_request *rq)
{
	const uint8_t *at = (const uint8_t *)rq - offsetof(struct control_peer, request);

	return ((const struct control_peer *)(const void *)at)->fd;
}

int
control_peer_tell(struct control_peer *p, json_t *answer)
{
	int r = put(p, answer, CONTROL_DONE);

	if (r < 0)
		return r;
	return flush(p) && watch(p) ? 0 : -EPIPE;
}

static int
on_io(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	struct control_peer *p = userdata;
	bool gone = (revents & (EPOLLHUP | EPOLLERR)) != 0 && !wants_input(p);

	(void)source;
	(void)fd;
	if (gone || !receive(p) || !control_peer_run(p))
		control_drop(p);
	return 0;
}

static int
on_patience(sd_event_source *source, uint64_t usec, void *userdata)
{
	(void)source;
	(void)usec;
	control_drop(userdata);
	return 0;
}

int
control_peer_new(struct control *c, int fd, uid_t uid, pid_t pid, enum control_role role,
		 struct control_peer **ret)
{
	struct control_peer *p = calloc(1, sizeof(*p));
	int r;

	if (p == NULL) {
		close_fd(&fd);
		return -ENOMEM;
	}
	p->control = c;
	p->fd = fd;
	p->request =
	    (struct control_request){ .sup = c->sup, .uid = uid, .pid = pid, .role = role };
	buf_init(&p->out, OUT_MAX);
	r = sd_event_add_io(c->sup->event, &p->io, fd, EPOLLIN, on_io, p);
	if (r >= 0)
		r = sd_event_add_time(c->sup->event, &p->timer, CLOCK_MONOTONIC, 0, 0, on_patience,
				      p);
	if (r >= 0)
		r = sd_event_source_set_enabled(p->timer, SD_EVENT_OFF);
	if (r < 0) {
		(void)control_peer_free(p);
		return r;
	}
	*ret = p;
	return 0;
}

struct control_peer *
control_peer_free(struct control_peer *p)
{
	if (p == NULL)
		return NULL;
	(void)sd_event_source_disable_unref(p->io);
	(void)sd_event_source_disable_unref(p->timer);
	close_fd(&p->fd);
	control_end(&p->request);
	free(p->header);
	buf_done(&p->out);
	free(p);
	return NULL;
}
