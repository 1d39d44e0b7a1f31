#include "lib/tls_client.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <openssl/ssl.h>
#include <openssl/x509.h>

#include "lib/clock.h"
#include "lib/frame.h"
#include "lib/own.h"
#include "tests/unit/unit.h"

/* A server in a thread of its own, on the other end of a socket pair. */
static SSL_CTX *context;
static char fingerprint[FINGERPRINT_MAX];
static struct wire wire;
static struct tls_client_result result;
static int peer = -1;

static int
choose(SSL *ssl, const unsigned char **out, unsigned char *out_len, const unsigned char *in,
       unsigned in_len, void *arg)
{
	(void)ssl;
	(void)arg;
	if (in_len != 6 || memcmp(in, "\x05" TLS_CLIENT_ALPN, 6) != 0)
		return SSL_TLSEXT_ERR_ALERT_FATAL;
	*out = in + 1;
	*out_len = in[0];
	return SSL_TLSEXT_ERR_OK;
}

static int
make_certificate(void **state)
{
	uint8_t bytes[EVP_MAX_MD_SIZE];
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *certificate = X509_new();
	unsigned len;

	(void)state;
	context = SSL_CTX_new(TLS_server_method());
	if (key == NULL || certificate == NULL || context == NULL)
		return -1;
	(void)X509_gmtime_adj(X509_getm_notBefore(certificate), 0);
	(void)X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
	(void)X509_set_version(certificate, X509_VERSION_3);
	(void)X509_set_pubkey(certificate, key);
	if (X509_sign(certificate, key, EVP_sha256()) <= 0 ||
	    X509_digest(certificate, EVP_sha256(), bytes, &len) != 1 ||
	    SSL_CTX_use_certificate(context, certificate) != 1 ||
	    SSL_CTX_use_PrivateKey(context, key) != 1)
		return -1;
	SSL_CTX_set_alpn_select_cb(context, choose, NULL);
	(void)fingerprint_format(bytes, fingerprint);
	X509_free(certificate);
	EVP_PKEY_free(key);
	return 0;
}

static int
free_certificate(void **state)
{
	(void)state;
	SSL_CTX_free(context);
	return 0;
}

static int
set_up(void **state)
{
	int pair[2];

	(void)state;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return -1;
	peer = pair[1];
	return wire_init(&wire, pair[0], 20 * USEC_PER_SEC);
}

static int
tear_down(void **state)
{
	(void)state;
	wire_done(&wire);
	close_fd(&peer);
	return 0;
}

static int
start(const char *pin)
{
	const struct tls_client_options o = { .host = "server.example", .pin = pin };

	return tls_client_start(&wire, &o, &result);
}

typedef bool (*server_fn)(SSL *ssl);

/* Shakes hands and does the rest; its result is whether all went well. */
static void *
serve(void *arg)
{
	server_fn *rest = arg;
	SSL *ssl = SSL_new(context);
	bool good;

	(void)SSL_set_fd(ssl, peer);
	good = SSL_accept(ssl) == 1 && (*rest)(ssl);
	SSL_free(ssl);
	close_fd(&peer);
	return good ? arg : NULL;
}

static pthread_t
run_server(server_fn *rest)
{
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, serve, rest), 0);
	return thread;
}

static bool
ended_well(pthread_t thread)
{
	void *done;

	assert_int_equal(pthread_join(thread, &done), 0);
	return done != NULL;
}

static const char one[] = "\x07\0\0\0{\"n\":1}";

static bool
say_one(SSL *ssl)
{
	return SSL_write(ssl, one, 11) == 11;
}

static bool
say_one_and_end(SSL *ssl)
{
	return say_one(ssl) && SSL_shutdown(ssl) >= 0;
}

static void
get_one(void)
{
	auto_json json_t *object = NULL;

	assert_int_equal(wire_get(&wire, &object), 0);
	assert_int_equal(json_integer_value(json_object_get(object, "n")), 1);
}

static void
an_end_is_said(void **state)
{
	server_fn rest = say_one_and_end;
	pthread_t thread = run_server(&rest);
	json_t *object = NULL;

	(void)state;
	assert_int_equal(start(fingerprint), 0);
	assert_string_equal(result.fingerprint, fingerprint);
	assert_false(result.vouched);
	get_one();
	assert_int_equal(wire_get(&wire, &object), -ENODATA);
	assert_int_equal(wire_get(&wire, &object), -ENODATA);
	assert_true(ended_well(thread));
}

static void
a_cut_is_no_end(void **state)
{
	server_fn rest = say_one;
	pthread_t thread = run_server(&rest);
	json_t *object = NULL;

	(void)state;
	assert_int_equal(start(fingerprint), 0);
	get_one();
	assert_int_equal(wire_get(&wire, &object), -EPIPE);
	assert_int_equal(wire_get(&wire, &object), -EPIPE);
	assert_true(ended_well(thread));
}

static void
strangers_learn_nothing(void **state)
{
	server_fn rest = say_one;
	pthread_t thread = run_server(&rest);

	(void)state;
	assert_int_equal(start(""), -EKEYREJECTED);
	assert_string_equal(result.fingerprint, fingerprint);
	assert_non_null(result.chain);
	assert_null(wire.layer);
	assert_false(ended_well(thread));
}

static void
nobody_vouches_for_it(void **state)
{
	server_fn rest = say_one;
	pthread_t thread = run_server(&rest);

	(void)state;
	assert_int_equal(start(NULL), -EKEYREJECTED);
	assert_false(ended_well(thread));
}

static bool
hear_the_end(SSL *ssl)
{
	char bytes[64];

	return SSL_read(ssl, bytes, sizeof(bytes)) == 11 &&
	       SSL_get_error(ssl, SSL_read(ssl, bytes, sizeof(bytes))) == SSL_ERROR_ZERO_RETURN;
}

static void
says_its_own_end(void **state)
{
	server_fn rest = hear_the_end;
	pthread_t thread = run_server(&rest);
	auto_json json_t *request = json_pack("{s:i}", "n", 1);

	(void)state;
	assert_int_equal(start(fingerprint), 0);
	assert_int_equal(wire_put(&wire, request), 0);
	assert_int_equal(wire_flush(&wire), 0);
	wire_done(&wire);
	assert_true(ended_well(thread));
}

enum { MANY = 3000, BODY = 5 << 20 };

static bool
read_all(SSL *ssl, void *dst, size_t size)
{
	size_t n;

	for (uint8_t *at = dst; size > 0; at += n, size -= n)
		if (SSL_read_ex(ssl, at, size, &n) != 1)
			return false;
	return true;
}

/* Answers every request at once with a large frame, and reads no further before that is sent; then
 * takes a large body and gives it back. */
static bool
answer_all(SSL *ssl)
{
	auto_free char *body = malloc(BODY);
	char answer[1000], request[11 + 7];

	memset(answer, ' ', sizeof(answer));
	frame_prefix((uint8_t *)answer, sizeof(answer) - FRAME_PREFIX);
	memcpy(answer + FRAME_PREFIX, "{}", 2);
	for (int i = 0; i < MANY; i++)
		if (!read_all(ssl, request, sizeof(request)) ||
		    SSL_write(ssl, answer, sizeof(answer)) != sizeof(answer))
			return false;
	return body != NULL && read_all(ssl, body, BODY) && SSL_write(ssl, body, BODY) == BODY;
}

static void
writing_ahead_never_locks(void **state)
{
	server_fn rest = answer_all;
	pthread_t thread = run_server(&rest);
	auto_json json_t *request = json_pack("{s:i}", "n", 9);
	auto_free char *body = malloc(BODY), *back = malloc(BODY);
	int size = 8192, n;

	(void)state;
	assert_non_null(body);
	assert_non_null(back);
	for (int i = 0; i < BODY; i++)
		body[i] = (char)(i * 31 / 7);
	assert_int_equal(setsockopt(wire.fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)), 0);
	assert_int_equal(start(fingerprint), 0);
	for (int i = 0; i < MANY; i++) {
		assert_int_equal(wire_put(&wire, request), 0);
		assert_int_equal(wire_put_body(&wire, "1234567", 7), 0);
	}
	for (int i = 0; i < MANY; i++) {
		auto_json json_t *object = NULL;

		assert_int_equal(wire_get(&wire, &object), 0);
	}
	assert_int_equal(wire_put_body(&wire, body, BODY), 0);
	for (int at = 0; at < BODY; at += n) {
		n = wire_get_body(&wire, back + at, (size_t)(BODY - at));
		assert_true(n > 0);
	}
	assert_memory_equal(body, back, BODY);
	assert_true(ended_well(thread));
}

static uint8_t bound[TLS_CLIENT_BINDING];

static bool
bind_and_say_one(SSL *ssl)
{
	static const char label[] = "EXPORTER-Channel-Binding";

	return SSL_export_keying_material(ssl, bound, sizeof(bound), label, strlen(label), NULL, 0,
					  0) == 1 &&
	       say_one(ssl);
}

static void
both_ends_know_what_binds_to_the_connection(void **state)
{
	static const uint8_t untouched[TLS_CLIENT_BINDING];
	uint8_t binding[TLS_CLIENT_BINDING] = { 0 };
	server_fn rest = bind_and_say_one;
	pthread_t thread = run_server(&rest);

	(void)state;
	assert_int_equal(tls_client_binding(&wire, binding), -EOPNOTSUPP);
	assert_memory_equal(binding, untouched, sizeof(binding));
	assert_int_equal(start(fingerprint), 0);
	get_one();
	assert_int_equal(tls_client_binding(&wire, binding), 0);
	assert_true(ended_well(thread));
	assert_memory_equal(binding, bound, sizeof(binding));
	assert_memory_not_equal(binding, untouched, sizeof(binding));
}

static void
on_alarm(int signal_number)
{
	(void)signal_number;
}

static void
silence_has_a_limit_and_signals_end_it(void **state)
{
	struct sigaction act = { .sa_handler = on_alarm };
	/* again and again: the first may come before anybody waits */
	const struct itimerval soon = { .it_value = { .tv_usec = 50000 },
					.it_interval = { .tv_usec = 50000 } };
	const struct itimerval never = { 0 };

	(void)state;
	wire.timeout_usec = 50 * USEC_PER_MSEC;
	assert_int_equal(start(fingerprint), -ETIMEDOUT);
	wire.timeout_usec = 20 * USEC_PER_SEC;
	assert_int_equal(sigaction(SIGALRM, &act, NULL), 0);
	assert_int_equal(setitimer(ITIMER_REAL, &soon, NULL), 0);
	assert_int_equal(start(fingerprint), -EINTR);
	assert_int_equal(setitimer(ITIMER_REAL, &never, NULL), 0);
}

static void
plain_answers_stay_readable(void **state)
{
	(void)state;
	assert_int_equal(send(peer, one, 11, 0), 11);
	assert_int_equal(start(fingerprint), -EPROTONOSUPPORT);
	get_one();
}

static void
files_must_be_usable(void **state)
{
	struct tls_client_options o = { .host = "x", .ca_file = "/dev/null" };

	(void)state;
	assert_int_equal(tls_client_start(&wire, &o, &result), -EINVAL);
	assert_non_null(result.reason);
	o = (struct tls_client_options){ .host = "x", .certificate_file = "/dev/null" };
	assert_int_equal(tls_client_start(&wire, &o, &result), -EINVAL);
	assert_non_null(result.reason);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_end_is_said),
		TEST(a_cut_is_no_end),
		TEST(strangers_learn_nothing),
		TEST(nobody_vouches_for_it),
		TEST(says_its_own_end),
		TEST(writing_ahead_never_locks),
		TEST(both_ends_know_what_binds_to_the_connection),
		TEST(silence_has_a_limit_and_signals_end_it),
		TEST(plain_answers_stay_readable),
		TEST(files_must_be_usable),
	};

	(void)signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, make_certificate, free_certificate);
}
