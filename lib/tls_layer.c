#include "lib/tls_layer.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>

#include <openssl/err.h>

enum {
	RECORD = 16 << 10,      /* the most that one record takes */
	RECORD_ROOM = 18 << 10, /* the most that it becomes, and room for a change of keys */
};

ssize_t
tls_layer_push(struct tls_layer *t)
{
	ssize_t n, sum = 0;
	char *at;
	int held;

	while ((held = BIO_nread0(t->ring, &at)) > 0) {
		n = send(t->fd, at, (size_t)held, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0 && errno == EAGAIN && sum > 0)
			return sum;
		if (n < 0)
			return -errno;
		(void)BIO_nread(t->ring, &at, (int)n);
		sum += n;
	}
	return sum;
}

/* An alert by which the server refuses the client, as opposed to one that tells of a fault. */
static bool
is_refusal(int reason)
{
	return reason == SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED ||
	       reason == SSL_R_TLSV1_ALERT_ACCESS_DENIED ||
	       reason == SSL_R_TLSV1_ALERT_UNKNOWN_CA ||
	       reason == SSL_R_SSLV3_ALERT_BAD_CERTIFICATE ||
	       reason == SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN ||
	       reason == SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED ||
	       reason == SSL_R_SSLV3_ALERT_CERTIFICATE_REVOKED;
}

int
tls_layer_failure(struct tls_layer *t, int r)
{
	int saved = errno, reason;

	switch (SSL_get_error(t->ssl, r)) {
	case SSL_ERROR_WANT_READ:
		return -EAGAIN;
	case SSL_ERROR_WANT_WRITE:
		return -ENOBUFS; /* the ring is full */
	case SSL_ERROR_ZERO_RETURN:
		return 0;
	case SSL_ERROR_SYSCALL:
		t->broken = true;
		return saved > 0 ? -saved : -EPIPE;
	default:
		t->broken = true;
		reason = ERR_GET_REASON(ERR_peek_error());
		if (reason == SSL_R_UNEXPECTED_EOF_WHILE_READING)
			return -EPIPE;
		return is_refusal(reason) ? -EACCES : -EPROTO;
	}
}

/* Records are read ahead; takes those that are there already, so that a large read is few calls. */
static ssize_t
layer_receive(void *state, void *dst, size_t size)
{
	struct tls_layer *t = state;
	size_t sum = 0, n;
	int r;

	if (t->failure < 0)
		return t->failure;
	do {
		ERR_clear_error();
		errno = 0;
		r = SSL_read_ex(t->ssl, (uint8_t *)dst + sum, size - sum, &n);
		if (r <= 0)
			break;
		sum += n;
	} while (sum < size && SSL_has_pending(t->ssl));
	if (sum > 0)
		return (ssize_t)sum; /* what was wrong is met again */
	r = tls_layer_failure(t, r);
	if (r == -ENOBUFS) /* it asks for new keys again and again, and takes none */
		r = tls_layer_push(t) > 0 ? -EAGAIN : -EPROTO;
	if (r < 0 && r != -EAGAIN)
		t->failure = r; /* OpenSSL tells it once */
	return r;
}

/* One record of the first bytes. Only called with room for all of it: it goes through, or never. */
static int
make_record(struct tls_layer *t, const struct iovec *iov)
{
	size_t n;
	int r;

	ERR_clear_error();
	errno = 0;
	r = SSL_write_ex(t->ssl, iov->iov_base, iov->iov_len < RECORD ? iov->iov_len : RECORD, &n);
	if (r > 0)
		return (int)n;
	r = tls_layer_failure(t, r);
	t->broken = true;
	return r < 0 && r != -EAGAIN && r != -ENOBUFS ? r : -EPROTO;
}

static ssize_t
layer_send(void *state, const struct iovec *iov, int n)
{
	struct tls_layer *t = state;
	ssize_t sum = 0, pushed;
	int r;

	if (t->broken)
		return -EPIPE;
	for (int i = 0; i < n; i++) {
		struct iovec left = iov[i];

		while (left.iov_len > 0 &&
		       BIO_ctrl_get_write_guarantee(SSL_get_wbio(t->ssl)) >= RECORD_ROOM) {
			r = make_record(t, &left);
			if (r < 0)
				return r;
			left.iov_base = (uint8_t *)left.iov_base + r;
			left.iov_len -= (size_t)r;
			sum += r;
		}
		if (left.iov_len > 0)
			break;
	}
	pushed = tls_layer_push(t);
	if (pushed < 0 && pushed != -EAGAIN) {
		t->broken = true;
		return pushed;
	}
	return sum == 0 && pushed == -EAGAIN ? -EAGAIN : sum;
}

bool
tls_layer_holds(const void *state)
{
	const struct tls_layer *t = state;

	return !t->broken && BIO_ctrl_pending(t->ring) > 0;
}

void
tls_layer_close(void *state, bool clean)
{
	struct tls_layer *t = state;

	if (clean && !t->broken && BIO_ctrl_pending(t->ring) == 0) {
		ERR_clear_error();
		(void)SSL_shutdown(t->ssl);
		(void)tls_layer_push(t); /* what has no room now has no reader */
	}
	SSL_free(t->ssl);
	(void)BIO_free(t->ring);
	free(t);
}

const struct wire_layer tls_layer = {
	.receive = layer_receive,
	.send = layer_send,
	.holds = tls_layer_holds,
	.close = tls_layer_close,
};
