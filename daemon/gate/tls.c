#include "daemon/gate/tls.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include <netinet/in.h>
#include <netinet/tcp.h>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/tls1.h>

#include "lib/own.h"

/* As it stands in the client's list: with its length. */
static const unsigned char alpn[] = "\x05"
				    "ftd/1";
static const char ciphers_1_2[] = "ECDHE+AESGCM:ECDHE+CHACHA20";
static const unsigned char session_context[] = "ftd/1";

/* --- the connection as OpenSSL sees it */

static BIO_METHOD *transport;

static int
transport_read(BIO *b, char *dst, size_t size, size_t *ret)
{
	struct tls *t = BIO_get_data(b);
	ssize_t n;

	BIO_clear_retry_flags(b);
	do {
		n = recv(t->fd, dst, size, MSG_DONTWAIT);
	} while (n < 0 && errno == EINTR);
	if (n > 0) {
		*ret = (size_t)n;
		return 1;
	}
	if (n < 0 && errno == EAGAIN)
		BIO_set_retry_read(b);
	else
		t->end = true;
	return 0;
}

/* All of it or, where the peer makes us say more than it reads, nothing yet. */
static int
transport_write(BIO *b, const char *src, size_t len, size_t *ret)
{
	struct tls *t = BIO_get_data(b);

	BIO_clear_retry_flags(b);
	if (!t->dead && buf_append(&t->out, src, len) < 0) {
		BIO_set_retry_write(b);
		return 0;
	}
	*ret = len;
	return 1;
}

static long
transport_control(BIO *b, int command, long number, void *pointer)
{
	const struct tls *t = BIO_get_data(b);

	(void)number;
	(void)pointer;
	if (command == BIO_CTRL_EOF)
		return t->end;
	return command == BIO_CTRL_FLUSH; /* tls_push() sends */
}

static int
make_transport(void)
{
	if (transport != NULL)
		return 0;
	transport = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "connection");
	if (transport == NULL || BIO_meth_set_read_ex(transport, transport_read) != 1 ||
	    BIO_meth_set_write_ex(transport, transport_write) != 1 ||
	    BIO_meth_set_ctrl(transport, transport_control) != 1)
		return -ENOMEM;
	return 0;
}

/* --- the context */

/* Without the extension OpenSSL would not ask choose_protocol(). */
static int
need_alpn(SSL *ssl, int *alert, void *userdata)
{
	const unsigned char *data;
	size_t len;

	(void)userdata;
	if (SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_application_layer_protocol_negotiation,
				      &data, &len) == 1)
		return SSL_CLIENT_HELLO_SUCCESS;
	*alert = SSL_AD_NO_APPLICATION_PROTOCOL;
	return SSL_CLIENT_HELLO_ERROR;
}

static int
choose_protocol(SSL *ssl, const unsigned char **ret, unsigned char *ret_len,
		const unsigned char *offered, unsigned offered_len, void *userdata)
{
	unsigned char *found;

	(void)ssl;
	(void)userdata;
	if (SSL_select_next_proto(&found, ret_len, alpn, sizeof(alpn) - 1, offered, offered_len) !=
	    OPENSSL_NPN_NEGOTIATED)
		return SSL_TLSEXT_ERR_ALERT_FATAL;
	*ret = found;
	return SSL_TLSEXT_ERR_OK;
}

static int
configure(SSL_CTX *ctx, const struct config *c)
{
	int oldest = c->tls_min_version == CONFIG_TLS_1_2 ? TLS1_2_VERSION : TLS1_3_VERSION;

	(void)SSL_CTX_set_options(ctx, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION |
					   SSL_OP_CIPHER_SERVER_PREFERENCE);
	(void)SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
					SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_read_ahead(ctx, 1);
	SSL_CTX_set_default_read_buffer_len(ctx, TLS_BUFFER);
	/* no cache, which would be each gate's own: tickets, made with the keys of the context */
	(void)SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_client_hello_cb(ctx, need_alpn, NULL);
	SSL_CTX_set_alpn_select_cb(ctx, choose_protocol, NULL);
	if (SSL_CTX_set_min_proto_version(ctx, oldest) != 1 ||
	    SSL_CTX_set_cipher_list(ctx, ciphers_1_2) != 1 ||
	    SSL_CTX_set_session_id_context(ctx, session_context, sizeof(session_context) - 1) != 1)
		return -EINVAL;
	return make_transport();
}

/* With one named, who shows a certificate of another, or none where one is required, gets no
 * further. */
static int
ask_clients(SSL_CTX *ctx, const struct config *c, char *why)
{
	const char *file = c->tls_client_ca;
	STACK_OF(X509_NAME) *names = SSL_load_client_CA_file(file);
	int mode = SSL_VERIFY_PEER;

	if (names == NULL || SSL_CTX_load_verify_file(ctx, file) != 1) {
		sk_X509_NAME_pop_free(names, X509_NAME_free);
		(void)snprintf(why, TLS_WHY_MAX, "tls.client_ca: %.180s has no certificate", file);
		return -EBADMSG;
	}
	SSL_CTX_set_client_CA_list(ctx, names);
	if (c->tls_client_certificate == CONFIG_CLIENT_CERTIFICATE_REQUIRED)
		mode |= SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
	SSL_CTX_set_verify(ctx, mode, NULL);
	return 0;
}

SSL_CTX *
tls_context(const struct config *c, char *ret_why)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
	int r = ctx != NULL ? configure(ctx, c) : -ENOMEM;

	if (r < 0)
		(void)snprintf(ret_why, TLS_WHY_MAX, "OpenSSL refuses its settings");
	else if (c->tls_client_ca[0] != '\0')
		r = ask_clients(ctx, c, ret_why);
	ERR_clear_error();
	if (r == 0)
		return ctx;
	SSL_CTX_free(ctx);
	return NULL;
}

/* --- a connection */

int
tls_start(struct tls *t, SSL_CTX *ctx, int fd)
{
	const int one = 1;
	BIO *b;

	*t = (struct tls){ .fd = fd };
	buf_init(&t->in, TLS_BUFFER);
	buf_init(&t->out, TLS_OUT_MAX);
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)); /* gathered here */
	t->ssl = SSL_new(ctx);
	b = BIO_new(transport);
	if (t->ssl == NULL || b == NULL) {
		SSL_free(t->ssl);
		t->ssl = NULL;
		BIO_free(b);
		return -ENOMEM;
	}
	(void)SSL_set_options(t->ssl, SSL_OP_CLEANSE_PLAINTEXT); /* secrets may come */
	BIO_set_data(b, t);
	BIO_set_init(b, 1);
	SSL_set_bio(t->ssl, b, b);
	SSL_set_accept_state(t->ssl);
	return 0;
}

void
tls_done(struct tls *t)
{
	SSL_free(t->ssl);
	t->ssl = NULL;
	buf_done(&t->in);
	buf_done(&t->out);
}

/* 0: it goes on when the peer has read or said more. */
static int
judge(struct tls *t, int answer)
{
	int e = SSL_get_error(t->ssl, answer);

	ERR_clear_error();
	if (e == SSL_ERROR_WANT_READ || e == SSL_ERROR_WANT_WRITE)
		return 0;
	if (e == SSL_ERROR_ZERO_RETURN)
		t->closed = true;
	else if (!t->end)
		t->broken = true;
	return -EPROTO;
}

int
tls_handshake(struct tls *t)
{
	int r = SSL_do_handshake(t->ssl);

	return r == 1 ? 1 : judge(t, r);
}

uint32_t
tls_version(const struct tls *t)
{
	return SSL_version(t->ssl) == TLS1_3_VERSION ? CONFIG_TLS_1_3 : CONFIG_TLS_1_2;
}

ssize_t
tls_fill(struct tls *t)
{
	size_t before = buf_len(&t->in), n;
	uint8_t *at;
	int r;

	while (tls_may_read(t) && buf_len(&t->in) < TLS_BUFFER) {
		r = buf_reserve(&t->in, TLS_BUFFER - buf_len(&t->in), &at);
		if (r < 0)
			return r;
		r = SSL_read_ex(t->ssl, at, buf_room(&t->in), &n);
		if (r == 1)
			buf_added(&t->in, n);
		else if (judge(t, r) == 0)
			break;
	}
	return (ssize_t)(buf_len(&t->in) - before);
}

int
tls_write(struct tls *t, const void *data, size_t len)
{
	const uint8_t *at = data;
	size_t n;
	int r;

	while (len > 0 && !t->dead && !t->broken) {
		r = SSL_write_ex(t->ssl, at, len, &n);
		if (r != 1)
			return judge(t, r) < 0 ? -EPROTO : -ENOBUFS;
		at += n;
		len -= n;
	}
	return 0;
}

void
tls_close(struct tls *t)
{
	if (!t->broken && SSL_is_init_finished(t->ssl))
		(void)SSL_shutdown(t->ssl);
	ERR_clear_error();
}

bool
tls_push(struct tls *t)
{
	bool moved = false;
	ssize_t n;

	while (buf_len(&t->out) > 0) {
		n = send(t->fd, buf_data(&t->out), buf_len(&t->out), MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			break;
		t->dead = n < 0;
		buf_consume(&t->out, n < 0 ? buf_len(&t->out) : (size_t)n);
		moved = true;
	}
	return moved;
}

void
tls_secrets_over(struct tls *t)
{
	(void)SSL_clear_options(t->ssl, SSL_OP_CLEANSE_PLAINTEXT);
}

void
tls_trim(struct tls *t)
{
	buf_trim(&t->in);
	buf_trim(&t->out);
}
