#include "lib/wire.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "lib/clock.h"
#include "lib/frame.h"
#include "lib/io.h"
#include "lib/message.h"
#include "lib/own.h"

enum {
	IN_MAX = 4 << 20,
	OUT_MAX = 256 << 10,
	SEND_AT = 64 << 10, /* with so many bytes queued it is worth a call */
	BODY_COPY_MAX = 16 << 10,
	READ_SIZE = 64 << 10,
	BODY_READ_MAX = 1 << 30,
};

int
wire_init(struct wire *w, int fd, uint64_t timeout_usec)
{
	auto_close int owned = fd;
	int r;

	r = io_set_nonblock(owned, 1);
	if (r < 0)
		return r;
	*w = (struct wire){ .fd = take_fd(&owned), .timeout_usec = timeout_usec };
	buf_init(&w->in, IN_MAX);
	buf_init(&w->out, OUT_MAX);
	return 0;
}

void
wire_set_layer(struct wire *w, const struct wire_layer *layer, void *state)
{
	w->layer = layer;
	w->layer_state = state;
}

void
wire_done(struct wire *w)
{
	if (w->layer != NULL)
		w->layer->close(w->layer_state, buf_len(&w->out) == 0);
	w->layer = NULL;
	close_fd(&w->fd);
	buf_done(&w->in);
	buf_done(&w->out);
}

int
wire_wait(const struct wire *w, int events)
{
	struct pollfd p = { .fd = w->fd, .events = (short)events };
	uint64_t usec = w->timeout_usec;
	uint64_t msec = usec / USEC_PER_MSEC + (usec % USEC_PER_MSEC > 0);
	int r;

	r = poll(&p, 1, usec == 0 ? -1 : msec > INT_MAX ? INT_MAX : (int)msec);
	if (r < 0)
		return -errno;
	return r == 0 ? -ETIMEDOUT : p.revents;
}

/* Bytes that have come: how many, 0 at the end, -EAGAIN, -errno. */
static ssize_t
receive_raw(struct wire *w, void *dst, size_t size)
{
	ssize_t n;

	if (w->layer != NULL)
		n = w->layer->receive(w->layer_state, dst, size);
	else
		n = recv(w->fd, dst, size, MSG_DONTWAIT);
	if (n < 0)
		return w->layer != NULL ? n : -errno;
	w->bytes_in += (uint64_t)n;
	return n;
}

/* The same behind what is there: bytes, 0 at the end, -EAGAIN, -ENOBUFS (it is full), -errno. */
static ssize_t
receive(struct wire *w)
{
	size_t room = w->in.max - buf_len(&w->in);
	uint8_t *at;
	ssize_t n;
	int r;

	if (room == 0)
		return -ENOBUFS;
	r = buf_reserve(&w->in, room < READ_SIZE ? room : READ_SIZE, &at);
	if (r < 0)
		return r;
	n = receive_raw(w, at, buf_room(&w->in));
	if (n > 0)
		buf_added(&w->in, (size_t)n);
	return n;
}

static ssize_t
send_raw(struct wire *w, struct iovec *iov, int n)
{
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = (size_t)n };
	ssize_t sent;

	if (w->layer != NULL)
		return w->layer->send(w->layer_state, iov, n);
	sent = sendmsg(w->fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
	return sent < 0 ? -errno : sent;
}

/* Sends some of what is queued and of the body behind it; takes what went off both. */
static int
send_some(struct wire *w, struct iovec *body)
{
	struct iovec iov[2] = {
		{ .iov_base = buf_data(&w->out), .iov_len = buf_len(&w->out) },
		*body,
	};
	size_t queued;
	ssize_t n;

	n = send_raw(w, iov, 2);
	if (n < 0)
		return (int)n;
	w->bytes_out += (uint64_t)n;
	queued = (size_t)n < iov[0].iov_len ? (size_t)n : iov[0].iov_len;
	buf_consume(&w->out, queued);
	n -= (ssize_t)queued;
	if (n > 0) {
		body->iov_base = (uint8_t *)body->iov_base + n;
		body->iov_len -= (size_t)n;
	}
	return 0;
}

/* Keeps what comes while one waits to send. 1; 0: nothing more is to be had this way; -EPIPE: the
 * server has ended its side, and will not answer what is still to be sent. */
static int
receive_meanwhile(struct wire *w)
{
	ssize_t n = receive(w);

	if (n == 0 || n == -EPIPE)
		return -EPIPE;
	return n > 0 || n == -EAGAIN;
}

/* Waits until something can be sent; *reading tells whether to receive meanwhile. */
static int
wait_to_send(struct wire *w, bool *reading)
{
	int events = *reading && buf_len(&w->in) < IN_MAX ? POLLIN | POLLOUT : POLLOUT;
	int r = wire_wait(w, events);

	if (r < 0)
		return r;
	if ((r & events & POLLIN) != 0) {
		r = receive_meanwhile(w);
		if (r < 0)
			return r;
		*reading = r > 0;
	}
	return 0;
}

static bool
has_to_send(const struct wire *w, const struct iovec *body)
{
	return buf_len(&w->out) > 0 || body->iov_len > 0 ||
	       (w->layer != NULL && w->layer->holds(w->layer_state));
}

/* Sends all that is queued and the body, and keeps what comes in meanwhile. */
static int
send_all(struct wire *w, struct iovec *body)
{
	bool reading = true; /* until an error: the next receiving call meets it again */
	int r = 0;

	while (r == 0 && has_to_send(w, body)) {
		r = send_some(w, body);
		if (r == -EAGAIN)
			r = wait_to_send(w, &reading);
	}
	if (r < 0 && r != -EINTR && r != -ETIMEDOUT)
		buf_consume(&w->out, buf_len(&w->out)); /* nobody will ever take it */
	return r;
}

int
wire_put(struct wire *w, json_t *object)
{
	int r;

	r = message_append(&w->out, object);
	if (r < 0)
		return r;
	return buf_len(&w->out) >= SEND_AT ? wire_flush(w) : 0;
}

int
wire_put_body(struct wire *w, const void *data, size_t len)
{
	struct iovec body = { .iov_len = len };
	int r;

	if (len > BODY_COPY_MAX) {
		memcpy(&body.iov_base, &data, sizeof(data)); /* sendmsg() only reads it */
		return send_all(w, &body);
	}
	r = buf_append(&w->out, data, len);
	if (r < 0)
		return r;
	return buf_len(&w->out) >= SEND_AT ? wire_flush(w) : 0;
}

int
wire_flush(struct wire *w)
{
	struct iovec none = { 0 };

	return send_all(w, &none);
}

size_t
wire_pending(const struct wire *w)
{
	return buf_len(&w->out);
}

/* Flushes; a server that takes no more may have said why, so that is no failure yet. */
static int
flush_to_read(struct wire *w)
{
	int r = wire_flush(w);

	return r == -EPIPE || r == -ECONNRESET ? 0 : r;
}

int
wire_put_secret(struct wire *w, json_t *object)
{
	int r = wire_put(w, object);

	if (r == 0)
		r = flush_to_read(w);
	buf_consume(&w->out, buf_len(&w->out));
	buf_trim(&w->out); /* the kernel takes the memory back */
	return r;
}

int
wire_get(struct wire *w, json_t **ret)
{
	const char *header;
	size_t len, used;
	ssize_t n;
	int r;

	r = flush_to_read(w);
	if (r < 0)
		return r;
	for (;;) {
		r = frame_next(buf_data(&w->in), buf_len(&w->in), &header, &len, &used);
		if (r < 0)
			return r;
		if (r > 0)
			break;
		n = receive(w);
		if (n == 0)
			return buf_len(&w->in) > 0 ? -EPIPE : -ENODATA;
		if (n < 0 && n != -EAGAIN)
			return (int)n;
		if (n == -EAGAIN) {
			r = wire_wait(w, POLLIN);
			if (r < 0)
				return r;
		}
	}
	r = message_parse(header, len, ret);
	buf_consume(&w->in, used);
	return r;
}

int
wire_ready(struct wire *w)
{
	const char *header;
	size_t len, used;
	ssize_t n;

	while (frame_next(buf_data(&w->in), buf_len(&w->in), &header, &len, &used) == 0) {
		n = receive(w);
		if (n == -EAGAIN)
			return 0;
		if (n < 0)
			return (int)n;
		if (n == 0)
			return 1;
	}
	return 1;
}

/* What has been read ahead, at most size bytes. */
static int
take_read(struct wire *w, void *dst, size_t size)
{
	size_t n = size < buf_len(&w->in) ? size : buf_len(&w->in);

	memcpy(dst, buf_data(&w->in), n);
	buf_consume(&w->in, n);
	return (int)n;
}

int
wire_get_body(struct wire *w, void *dst, size_t size)
{
	ssize_t n;
	int r;

	if (size > BODY_READ_MAX)
		size = BODY_READ_MAX;
	if (buf_len(&w->in) == 0) {
		r = flush_to_read(w);
		if (r < 0)
			return r;
	}
	if (buf_len(&w->in) > 0)
		return take_read(w, dst, size);
	for (;;) {
		n = receive_raw(w, dst, size);
		if (n == 0)
			return -EPIPE;
		if (n != -EAGAIN)
			return (int)n;
		r = wire_wait(w, POLLIN);
		if (r < 0)
			return r;
	}
}
