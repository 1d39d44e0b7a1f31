#include "lib/tls_client.h"

#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "lib/addr.h"
#include "lib/tls_layer.h"

enum {
	RING = 160 << 10,       /* records on their way to the socket: few, large calls */
	READ_AHEAD = 256 << 10, /* records on their way from it */
};

/* What the handshake's judge works with. */
struct judge {
	const struct tls_client_options *options;
	struct tls_client_result *result;
	bool rejected;
};

/* --- the judge */

static int
take_fingerprint(X509 *certificate, char dst[FINGERPRINT_MAX])
{
	uint8_t bytes[EVP_MAX_MD_SIZE];
	unsigned len = 0;

	if (certificate == NULL || X509_digest(certificate, EVP_sha256(), bytes, &len) != 1 ||
	    len != FINGERPRINT_BYTES)
		return -EINVAL;
	(void)fingerprint_format(bytes, dst);
	return 0;
}

/* Called in the handshake instead of the library's own verification: 1 goes on, 0 ends it. */
static int
verify(X509_STORE_CTX *chain, void *arg)
{
	struct judge *j = arg;
	struct tls_client_result *result = j->result;
	bool known;

	if (take_fingerprint(X509_STORE_CTX_get0_cert(chain), result->fingerprint) < 0)
		return 0;
	result->vouched = X509_verify_cert(chain) == 1;
	if (!result->vouched)
		result->chain = X509_verify_cert_error_string(X509_STORE_CTX_get_error(chain));
	known = j->options->pin != NULL && strcmp(j->options->pin, result->fingerprint) == 0;
	j->rejected = j->options->pin != NULL ? !known : !result->vouched;
	if (!j->rejected)
		X509_STORE_CTX_set_error(chain, X509_V_OK);
	return !j->rejected;
}

/* --- setting up */

static int
load_client_certificate(SSL_CTX *ctx, const struct tls_client_options *o,
			struct tls_client_result *result)
{
	const char *key = o->key_file != NULL ? o->key_file : o->certificate_file;

	if (o->certificate_file == NULL)
		return 0;
	result->reason = "the client's certificate cannot be read";
	if (SSL_CTX_use_certificate_chain_file(ctx, o->certificate_file) != 1)
		return -EINVAL;
	result->reason = "the key of the client's certificate cannot be read, or is another's";
	if (SSL_CTX_use_PrivateKey_file(ctx, key, SSL_FILETYPE_PEM) != 1 ||
	    SSL_CTX_check_private_key(ctx) != 1)
		return -EINVAL;
	result->reason = NULL;
	return 0;
}

static int
load_authorities(SSL_CTX *ctx, const struct tls_client_options *o, struct tls_client_result *result)
{
	int r;

	if (o->ca_file != NULL)
		r = SSL_CTX_load_verify_locations(ctx, o->ca_file, NULL);
	else
		r = SSL_CTX_set_default_verify_paths(ctx);
	if (r == 1)
		return 0;
	result->reason = "the certificates of the authorities cannot be read";
	return -EINVAL;
}

static int
make_context(struct judge *j, SSL_CTX **ret)
{
	static const uint8_t alpn[] = "\x05" TLS_CLIENT_ALPN;
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	int r;

	if (ctx == NULL)
		return -ENOMEM;
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
	SSL_CTX_set_cert_verify_callback(ctx, verify, j);
	(void)SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_read_ahead(ctx, 1);
	SSL_CTX_set_default_read_buffer_len(ctx, READ_AHEAD);
	r = SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION) == 1 &&
		    SSL_CTX_set_alpn_protos(ctx, alpn, sizeof(alpn) - 1) == 0
		? 0
		: -ENOMEM;
	if (r == 0)
		r = load_authorities(ctx, j->options, j->result);
	if (r == 0)
		r = load_client_certificate(ctx, j->options, j->result);
	if (r < 0)
		SSL_CTX_free(ctx);
	else
		*ret = ctx;
	return r;
}

/* Whom the chain has to vouch for; a name is also told to the server, an address never is. */
static int
name_host(SSL *ssl, const char *host)
{
	X509_VERIFY_PARAM *param = SSL_get0_param(ssl);
	union addr a;
	socklen_t len;
	int r;

	if (addr_parse(host, 0, &a, &len) == 0) {
		if (a.sa.sa_family == AF_INET)
			r = X509_VERIFY_PARAM_set1_ip(param, (const uint8_t *)&a.in.sin_addr, 4);
		else
			r = X509_VERIFY_PARAM_set1_ip(param, a.in6.sin6_addr.s6_addr, 16);
	} else {
		X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
		r = X509_VERIFY_PARAM_set1_host(param, host, 0) == 1 &&
		    SSL_set_tlsext_host_name(ssl, (char *)(uintptr_t)host) == 1;
	}
	return r == 1 ? 0 : -EINVAL;
}

/* Writing goes by way of the ring; reading from nowhere at first, so that the beginning of the
 * answer can be looked at before it is gone. */
static int
connect_ends(struct tls_layer *t, int fd)
{
	BIO *inner, *nothing = BIO_new(BIO_s_mem());

	if (nothing == NULL || BIO_new_bio_pair(&inner, RING, &t->ring, 0) != 1) {
		(void)BIO_free(nothing);
		return -ENOMEM;
	}
	(void)BIO_set_mem_eof_return(nothing, -1);
	SSL_set0_rbio(t->ssl, nothing);
	SSL_set0_wbio(t->ssl, inner);
	t->fd = fd;
	return 0;
}

static int
read_from_socket(struct tls_layer *t)
{
	BIO *in = BIO_new_socket(t->fd, BIO_NOCLOSE);

	if (in == NULL)
		return -ENOMEM;
	SSL_set0_rbio(t->ssl, in);
	return 0;
}

static int
make_state(int fd, struct judge *j, struct tls_layer **ret)
{
	SSL_CTX *ctx = NULL;
	struct tls_layer *t;
	int r;

	r = make_context(j, &ctx);
	if (r < 0)
		return r;
	t = calloc(1, sizeof(*t));
	if (t != NULL)
		t->ssl = SSL_new(ctx);
	SSL_CTX_free(ctx); /* the connection holds it */
	r = t == NULL || t->ssl == NULL ? -ENOMEM : connect_ends(t, fd);
	if (r == 0) {
		r = name_host(t->ssl, j->options->host);
		if (r < 0)
			j->result->reason = "no certificate can be for this host";
	}
	if (r < 0) {
		if (t != NULL)
			tls_layer_close(t, false);
		return r;
	}
	*ret = t;
	return 0;
}

/* --- the handshake */

/* Whether the first bytes are none of TLS: a server that refuses the address, or has none. A frame
 * of the protocol never begins as a record does (its length would be too large). */
static bool
answers_plain(int fd)
{
	uint8_t first[3];
	ssize_t n = recv(fd, first, sizeof(first), MSG_PEEK | MSG_DONTWAIT);

	if (n <= 0)
		return false;
	if (first[0] != SSL3_RT_HANDSHAKE && first[0] != SSL3_RT_ALERT)
		return true;
	return n == (ssize_t)sizeof(first) && (first[1] != SSL3_VERSION_MAJOR || first[2] == 0);
}

/* The sentence for the last fault: the library's own, never the server's. */
static const char *
last_reason(void)
{
	return ERR_reason_error_string(ERR_peek_error());
}

static int
finish(struct tls_layer *t, const struct judge *j, int r)
{
	const uint8_t *alpn = NULL;
	unsigned len = 0;

	if (j->rejected)
		return -EKEYREJECTED;
	if (r < 0) {
		if (ERR_GET_REASON(ERR_peek_error()) == SSL_R_TLSV1_ALERT_NO_APPLICATION_PROTOCOL)
			return -ENOPROTOOPT;
		if (r == -EPROTO || r == -EACCES)
			j->result->reason = last_reason();
		return r;
	}
	SSL_get0_alpn_selected(t->ssl, &alpn, &len);
	if (len != strlen(TLS_CLIENT_ALPN) || memcmp(alpn, TLS_CLIENT_ALPN, len) != 0)
		return -ENOPROTOOPT;
	return 0;
}

/* Says what is to be said and waits for what is to come. */
static int
exchange(struct tls_layer *t, const struct wire *w, bool *first)
{
	ssize_t pushed = tls_layer_push(t);
	int r;

	if (pushed < 0 && pushed != -EAGAIN)
		return (int)pushed;
	r = wire_wait(w, tls_layer_holds(t) ? POLLIN | POLLOUT : POLLIN);
	if (r < 0)
		return r;
	if (*first && (r & POLLIN) != 0) {
		if (answers_plain(t->fd))
			return -EPROTONOSUPPORT;
		*first = false;
		return read_from_socket(t);
	}
	return 0;
}

static int
shake_hands(struct tls_layer *t, const struct wire *w, const struct judge *j)
{
	bool first = true;
	ssize_t pushed;
	int r;

	for (;;) {
		ERR_clear_error();
		errno = 0;
		r = SSL_connect(t->ssl);
		if (r == 1)
			break;
		r = tls_layer_failure(t, r);
		if (r != -EAGAIN)
			break;
		r = exchange(t, w, &first);
		if (r < 0)
			return r;
	}
	r = finish(t, j, r == 1 ? 0 : r == 0 ? -EPIPE : r);
	pushed = tls_layer_push(t); /* the last message; or why there is none */
	return r < 0 || pushed >= 0 || pushed == -EAGAIN ? r : (int)pushed;
}

int
tls_client_start(struct wire *w, const struct tls_client_options *o, struct tls_client_result *ret)
{
	struct judge judge = { .options = o, .result = ret };
	struct tls_layer *t;
	int r;

	*ret = (struct tls_client_result){ .vouched = false };
	r = make_state(w->fd, &judge, &t);
	if (r < 0) {
		ERR_clear_error();
		return r;
	}
	r = shake_hands(t, w, &judge);
	if (r < 0)
		tls_layer_close(t, false);
	else
		wire_set_layer(w, &tls_layer, t);
	ERR_clear_error();
	return r;
}

int
tls_client_binding(const struct wire *w, uint8_t ret[TLS_CLIENT_BINDING])
{
	static const char label[] = "EXPORTER-Channel-Binding";
	const struct tls_layer *t = w->layer_state;
	uint8_t bytes[TLS_CLIENT_BINDING];

	if (w->layer != &tls_layer || SSL_version(t->ssl) != TLS1_3_VERSION)
		return -EOPNOTSUPP;
	if (SSL_export_keying_material(t->ssl, bytes, sizeof(bytes), label, sizeof(label) - 1, NULL,
				       0, 0) != 1)
		return -EIO;
	memcpy(ret, bytes, sizeof(bytes));
	return 0;
}
