/* A gate that is asked for a login, plain and over TLS, against a fake supervisor: what it sends
 * on, what it refuses itself, and what it leaves for the session. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <jansson.h>
#include <openssl/ssl.h>

#include "daemon/common/role.h"
#include "daemon/common/sandbox.h"
#include "daemon/gate/gate.h"
#include "daemon/gate/keypair.h"
#include "daemon/gate/tls.h"
#include "lib/clock.h"
#include "lib/frame.h"
#include "lib/io.h"
#include "lib/message.h"
#include "lib/own.h"
#include "tests/unit/scratch.h"
#include "tests/unit/unit.h"

enum { PATIENCE_MS = 5000, LOGIN_MS = 1500 };

struct peer {
	pid_t pid;
	int client;    /* the stranger's end */
	int server;    /* the supervisor's copy of the connection */
	int privilege; /* the supervisor's end */
	int session;   /* the session's end of the stream */
	SSL *ssl;      /* NULL: plain text */
};

static struct config config = { .size = sizeof(struct config),
				.plaintext = CONFIG_ANYWHERE,
				.stall_timeout = 2 * USEC_PER_SEC,
				.tls_min_version = CONFIG_TLS_1_2 };
static struct board_public public = { .version = "test" };
static SSL_CTX *server, *client;

/* ---- a gate */

static void
be_patient(int fd)
{
	const struct timeval t = { .tv_sec = PATIENCE_MS / 1000 };

	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t)), 0);
}

static void
tcp_pair(int *ret_client, int *ret_server)
{
	union addr a = { .in = { .sin_family = AF_INET,
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK) } };
	auto_close int l = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	socklen_t len = sizeof(a.in);

	assert_int_equal(bind(l, &a.sa, len), 0);
	assert_int_equal(listen(l, 1), 0);
	assert_int_equal(getsockname(l, &a.sa, &len), 0);
	*ret_client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(*ret_client, &a.sa, len), 0);
	*ret_server = accept4(l, NULL, NULL, SOCK_CLOEXEC);
	assert_true(*ret_server >= 0);
	be_patient(*ret_client);
	be_patient(*ret_server);
}

/* What the gate does in the child, behind the sandbox as in the daemon. */
static void
run(const struct packet_birth *birth, const int *fds)
{
	const struct gate_world world = { .config = &config, .public = &public, .tls = server };

	if (sandbox_landlock(NULL, 0) < 0 || sandbox_enter(SANDBOX_GATEHOUSE) < 0 ||
	    sandbox_enter(SANDBOX_GATE) < 0)
		_exit(99);
	_exit(gate_run(&world, birth, fds));
}

/* For a client at the address; version 0: plain text. */
static void
gate_start(struct peer *p, const char *address, int version)
{
	struct packet_birth birth = { .connection = 412,
				      .deadline_usec = clock_usec() + LOGIN_MS * USEC_PER_MSEC };
	int fds[BIRTH_FDS], pair[2];
	socklen_t len;

	*p = (struct peer){ .ssl = version != 0 ? SSL_new(client) : NULL };
	assert_int_equal(addr_parse(address, 40000, &birth.peer, &len), 0);
	tcp_pair(&p->client, &p->server);
	fds[BIRTH_CONNECTION] = p->server;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	p->privilege = pair[0];
	fds[BIRTH_PRIVILEGE] = pair[1];
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	p->session = pair[0];
	fds[BIRTH_STREAM] = pair[1];
	be_patient(p->privilege);
	be_patient(p->session);
	p->pid = fork();
	assert_true(p->pid >= 0);
	if (p->pid == 0) {
		(void)close(p->client);
		(void)close(p->privilege);
		(void)close(p->session);
		run(&birth, fds);
	}
	(void)close(fds[BIRTH_PRIVILEGE]);
	(void)close(fds[BIRTH_STREAM]);
	if (p->ssl == NULL)
		return;
	assert_int_equal(SSL_set_min_proto_version(p->ssl, version), 1);
	assert_int_equal(SSL_set_max_proto_version(p->ssl, version), 1);
	assert_int_equal(SSL_set_fd(p->ssl, p->client), 1);
	assert_int_equal(SSL_connect(p->ssl), 1);
}

static void
gate_end(struct peer *p)
{
	uint64_t deadline = clock_usec() + PATIENCE_MS * USEC_PER_MSEC;
	int status = -1;

	SSL_free(p->ssl);
	close_fd(&p->client);
	close_fd(&p->server);
	close_fd(&p->privilege);
	close_fd(&p->session);
	while (waitpid(p->pid, &status, WNOHANG) == 0) {
		if (clock_usec() > deadline) {
			(void)kill(p->pid, SIGKILL);
			(void)waitpid(p->pid, &status, 0);
			break;
		}
		(void)usleep(2000);
	}
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), ROLE_EXIT_OK);
}

/* ---- the client */

static void
send_bytes(struct peer *p, const void *bytes, size_t n)
{
	if (p->ssl != NULL)
		assert_int_equal(SSL_write(p->ssl, bytes, (int)n), n);
	else
		assert_int_equal(io_write_full(p->client, bytes, n), 0);
}

/* One frame, and what is sent ahead behind it in the same breath. */
static void
say(struct peer *p, const char *json, const char *behind)
{
	size_t n = strlen(json), more = strlen(behind);
	uint8_t bytes[8192];

	assert_true(FRAME_PREFIX + n + more <= sizeof(bytes));
	frame_prefix(bytes, n);
	memcpy(bytes + FRAME_PREFIX, json, n);
	memcpy(bytes + FRAME_PREFIX + n, behind, more);
	send_bytes(p, bytes, FRAME_PREFIX + n + more);
}

static void
hear(struct peer *p, void *dst, size_t n)
{
	uint8_t *at = dst;
	int got;

	if (p->ssl == NULL) {
		assert_int_equal(io_read_full(p->client, dst, n), n);
		return;
	}
	for (; n > 0; n -= (size_t)got, at += got) {
		got = SSL_read(p->ssl, at, (int)n);
		assert_true(got > 0);
	}
}

static json_t *
get_frame(struct peer *p)
{
	uint8_t prefix[FRAME_PREFIX];
	char header[4096];
	json_t *o;
	int len;

	hear(p, prefix, sizeof(prefix));
	len = frame_length(prefix);
	assert_in_range(len, 1, sizeof(header));
	hear(p, header, (size_t)len);
	assert_int_equal(message_parse(header, (size_t)len, &o), 0);
	return o;
}

static void
expect_refusal(struct peer *p, const char *code)
{
	auto_json json_t *o = get_frame(p);

	assert_string_equal(json_string_value(json_object_get(o, "code")), code);
	assert_true(json_is_true(json_object_get(o, "close")));
}

/* ---- the supervisor */

static struct packet_login
expect_login(struct peer *p, enum login_method method, const char *user)
{
	struct packet_login q;

	assert_int_equal(recv(p->privilege, &q, sizeof(q), MSG_TRUNC), sizeof(q));
	assert_int_equal(q.head.type, GATE_LOGIN);
	assert_int_equal(q.method, method);
	assert_string_equal(q.user, user);
	return q;
}

static void
expect_nothing_asked(struct peer *p)
{
	char byte;

	(void)shutdown(p->client, SHUT_WR);
	assert_int_equal(recv(p->privilege, &byte, 1, 0), 0);
}

static void
decide(struct peer *p, const char *code)
{
	struct packet_verdict v = { .limit = 5, .current = 5 };

	memcpy(v.code, code, strlen(code));
	memcpy(v.message, "because", 7);
	assert_int_equal(io_send_packet(p->privilege, &v, sizeof(v), NULL, 0, 0), 0);
}

/* ---- what is sent on */

static void
a_password_is_sent_on(void **state)
{
	static const int versions[] = { 0, TLS1_2_VERSION, TLS1_3_VERSION };
	static const uint32_t told[] = { 0, 12, 13 };
	struct packet_login q;
	struct peer p;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(versions); i++) {
		gate_start(&p, "127.0.0.1", versions[i]);
		say(&p,
		    "{\"opt\":\"login\",\"user\":\"alice\",\"password\":\"p\\u00e4ss\",\"id\":-7}",
		    "");
		q = expect_login(&p, LOGIN_PASSWORD, "alice");
		assert_int_equal(q.head.tls, told[i]);
		assert_int_equal(q.head.said_hello, 0);
		assert_int_equal(q.password_len, 5);
		assert_memory_equal(q.password, "p\xc3\xa4ss", 6);
		assert_int_equal(q.id.kind, PACKET_ID_INTEGER);
		assert_int_equal(q.id.number, -7);
		decide(&p, "auth_failed");
		expect_refusal(&p, "auth_failed");
		gate_end(&p);
	}
}

static void
the_id_goes_with_it(void **state)
{
	struct packet_login q;
	struct peer p;
	json_t *o;

	(void)state;
	gate_start(&p, "127.0.0.1", 0);
	say(&p, "{\"opt\":\"hello\"}", "");
	json_decref(get_frame(&p));
	say(&p, "{\"opt\":\"login\",\"user\":\"a\",\"password\":\"\",\"id\":\"x\\u0000y\"}", "");
	q = expect_login(&p, LOGIN_PASSWORD, "a");
	assert_int_equal(q.head.said_hello, 1);
	assert_int_equal(q.password_len, 0);
	assert_int_equal(q.id.kind, PACKET_ID_TEXT);
	assert_int_equal(q.id.len, 3);
	assert_memory_equal(q.id.text, "x\0y", 4);
	decide(&p, "limit_sessions");
	o = get_frame(&p);
	assert_int_equal(json_string_length(json_object_get(o, "id")), 3);
	assert_int_equal(json_integer_value(json_object_get(o, "limit")), 5);
	json_decref(o);
	gate_end(&p);
}

static void
the_longest_words(void **state)
{
	char json[2048], password[1024 + 1], user[63 + 1];
	struct packet_login q;
	struct peer p;

	(void)state;
	memset(password, 'p', sizeof(password));
	password[1024] = '\0';
	memset(user, 'u', sizeof(user));
	user[63] = '\0';
	gate_start(&p, "127.0.0.1", 0);
	(void)snprintf(json, sizeof(json),
		       "{\"opt\":\"login\",\"user\":\"%s\",\"password\":\"%s\"}", user, password);
	say(&p, json, "");
	q = expect_login(&p, LOGIN_PASSWORD, user);
	assert_int_equal(q.password_len, 1024);
	assert_memory_equal(q.password, password, 1024);
	assert_int_equal(q.id.kind, PACKET_ID_NONE);
	gate_end(&p);
}

/* The signed bytes are the connection's own: nothing that the client says is believed. */
static void
a_key_goes_with_the_exporter(void **state)
{
	static const char label[] = "EXPORTER-Channel-Binding";
	struct packet_login q;
	uint8_t exporter[32];
	char json[512];
	struct peer p;

	(void)state;
	gate_start(&p, "192.0.2.1", TLS1_3_VERSION);
	(void)snprintf(
	    json, sizeof(json),
	    "{\"opt\":\"login\",\"user\":\"alice\",\"key\":\"%064x\",\"signature\":\"%0128x\","
	    "\"exporter\":\"00\"}",
	    0xabcd, 0xef);
	say(&p, json, "");
	q = expect_login(&p, LOGIN_KEY, "alice");
	assert_int_equal(q.head.tls, 13);
	assert_int_equal(q.key[30], 0xab);
	assert_int_equal(q.key[31], 0xcd);
	assert_int_equal(q.signature[63], 0xef);
	assert_int_equal(SSL_export_keying_material(p.ssl, exporter, sizeof(exporter), label,
						    sizeof(label) - 1, NULL, 0, 0),
			 1);
	assert_memory_equal(q.exporter, exporter, sizeof(exporter));
	gate_end(&p);
}

/* ---- what is left */

static void
what_is_sent_ahead_is_the_sessions(void **state)
{
	char got[64];
	struct peer p;

	(void)state;
	for (int secure = 0; secure < 2; secure++) {
		gate_start(&p, "127.0.0.1", secure ? TLS1_3_VERSION : 0);
		say(&p, "{\"opt\":\"login\",\"user\":\"a\",\"password\":\"b\"}", "left over, ");
		send_bytes(&p, "and more", 8);
		(void)expect_login(&p, LOGIN_PASSWORD, "a");
		decide(&p, "");
		if (secure)
			close_fd(&p.privilege); /* a pump has no use for it */
		(void)usleep(50000);
		assert_int_equal(io_read_full(secure ? p.session : p.server, got, 19), 19);
		assert_memory_equal(got, "left over, and more", 19);
		gate_end(&p);
	}
}

static void
behind_a_refusal_nothing_is_left(void **state)
{
	struct peer p;

	(void)state;
	gate_start(&p, "127.0.0.1", TLS1_3_VERSION);
	say(&p, "{\"opt\":\"login\",\"user\":\"a\",\"password\":\"b\"}",
	    "{\"opt\":\"login\",\"user\":\"a\",\"password\":\"c\"}");
	(void)expect_login(&p, LOGIN_PASSWORD, "a");
	decide(&p, "auth_failed");
	expect_refusal(&p, "auth_failed");
	expect_nothing_asked(&p);
	gate_end(&p);
}

static void
byte_by_byte(void **state)
{
	static const char json[] = "{\"opt\":\"login\",\"user\":\"a\",\"password\":\"b\"}";
	uint8_t prefix[FRAME_PREFIX];
	struct peer p;

	(void)state;
	gate_start(&p, "127.0.0.1", TLS1_3_VERSION);
	frame_prefix(prefix, sizeof(json) - 1);
	for (size_t i = 0; i < sizeof(prefix); i++)
		send_bytes(&p, prefix + i, 1);
	for (size_t i = 0; i < sizeof(json) - 1; i++)
		send_bytes(&p, json + i, 1);
	(void)expect_login(&p, LOGIN_PASSWORD, "a");
	gate_end(&p);
}

/* ---- what the gate refuses itself */

#define DIGITS_64 "0000000000000000000000000000000000000000000000000000000000000000"

static void
what_is_no_login(void **state)
{
	static const struct {
		const char *rest, *code;
	} rows[] = {
		{ "", "auth_failed" }, /* by certificate, without one */
		{ ",\"user\":\"a\"", "bad_request" },
		{ ",\"password\":\"b\"", "bad_request" },
		{ ",\"user\":1,\"password\":\"b\"", "bad_request" },
		{ ",\"user\":\"a\",\"password\":null", "bad_request" },
		{ ",\"user\":\"a\\u0000\",\"password\":\"b\"", "bad_request" },
		{ ",\"user\":\"a\",\"password\":\"b\\u0000\"", "bad_request" },
		{ ",\"user\":\"" DIGITS_64 "\",\"password\":\"b\"", "bad_request" },
		{ ",\"user\":\"a\",\"password\":\"b\",\"more\":true", "bad_request" },
		{ ",\"user\":\"a\",\"password\":\"b\",\"body\":0", "bad_request" },
		{ ",\"user\":\"a\",\"password\":\"b\",\"id\":true", "bad_request" },
		{ ",\"user\":\"a\",\"password\":\"b\",\"need\":[\"otp\"]", "unsupported" },
		{ ",\"user\":\"a\",\"password\":\"b\",\"need\":\"user\"", "bad_request" },
		{ ",\"user\":\"a\",\"key\":\"" DIGITS_64 "\"", "bad_request" },
		{ ",\"user\":\"a\",\"key\":\"" DIGITS_64 "\",\"signature\":\"" DIGITS_64 "\"",
		  "bad_request" },
		{ ",\"user\":\"a\",\"key\":\"" DIGITS_64 "\",\"signature\":\"" DIGITS_64 DIGITS_64
		  "\",\"password\":\"b\"",
		  "bad_request" },
		{ ",\"user\":\"a\",\"key\":\"" DIGITS_64 "00\",\"signature\":\"" DIGITS_64 DIGITS_64
		  "\"",
		  "bad_request" },
		{ ",\"user\":\"a\",\"key\":\"" DIGITS_64 "\",\"signature\":\"" DIGITS_64 DIGITS_64
		  "\"",
		  "tls_required" },
	};
	char json[1024];
	struct peer p;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		(void)snprintf(json, sizeof(json), "{\"opt\":\"login\"%s}", rows[i].rest);
		gate_start(&p, "127.0.0.1", 0);
		say(&p, json, "");
		expect_refusal(&p, rows[i].code);
		expect_nothing_asked(&p);
		gate_end(&p);
	}
}

static void
a_password_too_long(void **state)
{
	char json[2048], password[1025 + 1];
	struct peer p;

	(void)state;
	memset(password, 'p', sizeof(password));
	password[1025] = '\0';
	(void)snprintf(json, sizeof(json), "{\"opt\":\"login\",\"user\":\"a\",\"password\":\"%s\"}",
		       password);
	gate_start(&p, "127.0.0.1", 0);
	say(&p, json, "");
	expect_refusal(&p, "bad_request");
	expect_nothing_asked(&p);
	gate_end(&p);
}

/* plaintext = "anywhere" is for those who do not log in. */
static void
no_secret_in_plain_text_from_elsewhere(void **state)
{
	struct peer p;

	(void)state;
	gate_start(&p, "192.0.2.1", 0);
	say(&p, "{\"opt\":\"login\",\"user\":\"a\",\"password\":\"b\"}", "");
	expect_refusal(&p, "tls_required");
	expect_nothing_asked(&p);
	gate_end(&p);
}

static void
no_key_below_1_3(void **state)
{
	struct peer p;

	(void)state;
	gate_start(&p, "127.0.0.1", TLS1_2_VERSION);
	say(&p,
	    "{\"opt\":\"login\",\"user\":\"a\",\"key\":\"" DIGITS_64
	    "\",\"signature\":\"" DIGITS_64 DIGITS_64 "\"}",
	    "");
	expect_refusal(&p, "tls_required");
	expect_nothing_asked(&p);
	gate_end(&p);
}

/* ---- when nobody answers */

static void
no_verdict_in_time(void **state)
{
	struct peer p;

	(void)state;
	gate_start(&p, "127.0.0.1", TLS1_3_VERSION);
	say(&p, "{\"opt\":\"login\",\"user\":\"a\",\"password\":\"b\"}", "");
	(void)expect_login(&p, LOGIN_PASSWORD, "a");
	expect_refusal(&p, "timeout");
	gate_end(&p); /* and is not told to be the client's fault */
}

static void
no_supervisor(void **state)
{
	char byte;
	struct peer p;

	(void)state;
	gate_start(&p, "127.0.0.1", 0);
	say(&p, "{\"opt\":\"login\",\"user\":\"a\",\"password\":\"b\"}", "");
	(void)expect_login(&p, LOGIN_PASSWORD, "a");
	close_fd(&p.privilege);
	close_fd(&p.server);
	assert_int_equal(recv(p.client, &byte, 1, 0), 0);
	gate_end(&p);
}

/* Made before any test is behind a sandbox. */
static int
prepare(void)
{
	static const unsigned char protocol[] = "\x05"
						"ftd/1";
	struct certificate_files f = { .own = true };
	struct certificate_info info;
	char why[KEYPAIR_WHY_MAX] = "";
	int dir = scratch_make();

	(void)snprintf(f.directory, sizeof(f.directory), "%s/tls", scratch_path());
	(void)snprintf(f.certificate, sizeof(f.certificate), "%s/tls/c", scratch_path());
	(void)snprintf(f.key, sizeof(f.key), "%s/tls/k", scratch_path());
	server = tls_context(&config, why);
	client = SSL_CTX_new(TLS_client_method());
	if (dir < 0 || server == NULL || client == NULL || keypair_ensure(&f, why) < 0 ||
	    keypair_load(server, &f, &info, why) < 0)
		return -1;
	(void)close(dir);
	scratch_remove();
	return SSL_CTX_set_alpn_protos(client, protocol, sizeof(protocol) - 1) == 0 ? 0 : -1;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_password_is_sent_on),
		cmocka_unit_test(the_id_goes_with_it),
		cmocka_unit_test(the_longest_words),
		cmocka_unit_test(a_key_goes_with_the_exporter),
		cmocka_unit_test(what_is_sent_ahead_is_the_sessions),
		cmocka_unit_test(behind_a_refusal_nothing_is_left),
		cmocka_unit_test(byte_by_byte),
		cmocka_unit_test(what_is_no_login),
		cmocka_unit_test(a_password_too_long),
		cmocka_unit_test(no_secret_in_plain_text_from_elsewhere),
		cmocka_unit_test(no_key_below_1_3),
		cmocka_unit_test(no_verdict_in_time),
		cmocka_unit_test(no_supervisor),
	};

	(void)signal(SIGPIPE, SIG_IGN);
	if (prepare() < 0 || sandbox_compile(SANDBOX_GATEHOUSE) < 0 ||
	    sandbox_compile(SANDBOX_GATE) < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
