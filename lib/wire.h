/*
 * The client's end of a connection that speaks frames: ft over TCP, ftctl over AF_UNIX.
 * Blocking with a time limit; one thread (wire_flush() and the receiving calls read while they
 * write, so that requests written ahead never dead-lock). A signal handler that ran during a wait
 * ends it with -EINTR: receiving and flushing can be called again, a body being sent is cut.
 * No logging.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include <jansson.h>

#include "lib/buf.h"

/*
 * What may stand between the frames and the socket: TLS (lib/tls_client.h). It never waits; both
 * directions behave as on a non-blocking socket.
 */
struct wire_layer {
	/* Bytes, 0 at a clean end, -EAGAIN, -EPIPE (cut off), -errno. */
	ssize_t (*receive)(void *state, void *dst, size_t size);
	/* Takes what it has room for and gives the socket what it holds: bytes taken, -EAGAIN
	 * (nothing moved), -errno. */
	ssize_t (*send)(void *state, const struct iovec *iov, int n);
	/* Whether it holds bytes that were taken and not sent. */
	bool (*holds)(const void *state);
	/* Frees the state; clean: nothing was cut, the other end is told so. */
	void (*close)(void *state, bool clean);
};

struct wire {
	int fd;
	const struct wire_layer *layer; /* NULL: plain */
	void *layer_state;
	uint64_t timeout_usec; /* no byte either way for so long: -ETIMEDOUT; 0: no limit */
	struct buf in, out;
	uint64_t bytes_in, bytes_out;
};

/* Takes over fd (closed on failure too) and makes it non-blocking. */
int wire_init(struct wire *w, int fd, uint64_t timeout_usec);
void wire_done(struct wire *w);

/* From here on all bytes go through the layer; its state is taken over. */
void wire_set_layer(struct wire *w, const struct wire_layer *layer, void *state);

/* Waits for poll() events: those that came, or -ETIMEDOUT, -EINTR, -errno. */
int wire_wait(const struct wire *w, int events);

/* Connects to host (name or address literal), trying each address, each for the time limit;
 * *ret_gai always gets the getaddrinfo code, 0 where the look-up went well.
 * -errno of the last try. */
int wire_connect_tcp(struct wire *w, const char *host, uint16_t port, uint64_t timeout_usec,
		     int *ret_gai);
int wire_connect_unix(struct wire *w, const char *path, uint64_t timeout_usec);

/* Queues a frame; sends when enough has gathered. 0 or -errno. */
int wire_put(struct wire *w, json_t *object);
/* Sends a frame that holds a secret, of which nothing stays here but in object. 0 or -errno. */
int wire_put_secret(struct wire *w, json_t *object);
/* Queues body bytes behind a frame (large ones go straight to the socket). */
int wire_put_body(struct wire *w, const void *data, size_t len);
/* Sends all that is queued; what the server sends meanwhile is kept (4 MiB, then it waits).
 * -EPIPE also when the server ends its side while this one still waits to send. */
int wire_flush(struct wire *w);

/* Bytes queued and not yet sent. */
size_t wire_pending(const struct wire *w);

/* Next frame as an object the caller owns. Flushes first. -ENODATA at the end between two frames,
 * -EPIPE at the end inside one, -ETIMEDOUT, -FTD_E_bad_frame, -FTD_E_bad_request, -errno. */
int wire_get(struct wire *w, json_t **ret);

/* 1 if a frame (or the end) can be had now without waiting, 0 if not, -errno. */
int wire_ready(struct wire *w);

/* Between 1 and size bytes of the body that follows the last frame; the caller counts.
 * -EPIPE at the end. */
int wire_get_body(struct wire *w, void *dst, size_t size);
