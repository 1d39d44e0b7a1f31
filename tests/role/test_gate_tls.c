/* A gate that is spoken to over TLS, against a fake supervisor and a fake session. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/ssl.h>

#include "daemon/common/role.h"
#include "daemon/common/sandbox.h"
#include "daemon/gate/gate.h"
#include "daemon/gate/keypair.h"
#include "daemon/gate/tls.h"
#include "lib/clock.h"
#include "lib/frame.h"
#include "lib/io.h"
#include "lib/own.h"
#include "tests/unit/scratch.h"
#include "tests/unit/unit.h"

enum { PATIENCE_SEC = 20, LOGIN_MS = 1500, LARGE = 3 << 20 };

struct peer {
	pid_t pid;
	int client;    /* the stranger's end */
	int privilege; /* the supervisor's */
	int session;   /* the session's end of the stream */
	SSL *ssl;
};

static struct config config = { .size = sizeof(struct config),
				.stall_timeout = 2 * USEC_PER_SEC,
				.tls_min_version = CONFIG_TLS_1_3 };
static struct board_public public = { .version = "test" };
static SSL_CTX *server, *client;

static void
be_patient(int fd)
{
	const struct timeval t = { .tv_sec = PATIENCE_SEC };

	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t)), 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &t, sizeof(t)), 0);
}

static void
tcp_pair(int *ret_client, int *ret_server)
{
	union addr a = { .in = { .sin_family = AF_INET,
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK) } };
	auto_close int l = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	socklen_t len = sizeof(a.in);
	const int small = 16 << 10; /* so that a client that does not read is one soon */

	assert_int_equal(bind(l, &a.sa, len), 0);
	assert_int_equal(setsockopt(l, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small)), 0);
	assert_int_equal(setsockopt(l, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small)), 0);
	assert_int_equal(listen(l, 1), 0);
	assert_int_equal(getsockname(l, &a.sa, &len), 0);
	*ret_client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(setsockopt(*ret_client, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small)), 0);
	assert_int_equal(connect(*ret_client, &a.sa, len), 0);
	*ret_server = accept4(l, NULL, NULL, SOCK_CLOEXEC);
	assert_true(*ret_server >= 0);
	be_patient(*ret_client);
}

/* What the gate does in the child, behind the sandbox as in the daemon. */
static void
run(const struct peer *p, const int *fds)
{
	const struct gate_world world = { .config = &config, .public = &public, .tls = server };
	struct packet_birth birth = { .connection = 412,
				      .deadline_usec = clock_usec() + LOGIN_MS * USEC_PER_MSEC };

	(void)close(p->client);
	(void)close(p->privilege);
	(void)close(p->session);
	if (sandbox_landlock(NULL, 0) < 0 || sandbox_enter(SANDBOX_GATEHOUSE) < 0 ||
	    sandbox_enter(SANDBOX_GATE) < 0)
		_exit(99);
	_exit(gate_run(&world, &birth, fds));
}

static void
gate_start(struct peer *p)
{
	int fds[BIRTH_FDS], pair[2];

	*p = (struct peer){ .ssl = SSL_new(client) };
	tcp_pair(&p->client, &fds[BIRTH_CONNECTION]);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	p->privilege = pair[0];
	fds[BIRTH_PRIVILEGE] = pair[1];
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	p->session = pair[0];
	fds[BIRTH_STREAM] = pair[1];
	be_patient(p->privilege);
	be_patient(p->session);
	assert_int_equal(SSL_set_fd(p->ssl, p->client), 1);
	p->pid = fork();
	assert_true(p->pid >= 0);
	if (p->pid == 0)
		run(p, fds);
	for (size_t i = 0; i < BIRTH_FDS; i++)
		(void)close(fds[i]);
}

/* It ends with that class (ROLE_EXIT_*). */
static void
gate_end_as(struct peer *p, int class)
{
	uint64_t deadline = clock_usec() + PATIENCE_SEC * USEC_PER_SEC;
	int status = -1;

	SSL_free(p->ssl);
	close_fd(&p->client);
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
	assert_int_equal(WEXITSTATUS(status), class);
	ERR_clear_error();
}

static void
gate_end(struct peer *p)
{
	gate_end_as(p, ROLE_EXIT_OK);
}

static void
say(struct peer *p, const char *json, const char *behind)
{
	uint8_t bytes[1024];
	size_t n = strlen(json), more = strlen(behind);

	frame_prefix(bytes, n);
	memcpy(bytes + FRAME_PREFIX, json, n);
	memcpy(bytes + FRAME_PREFIX + n, behind, more);
	assert_int_equal(SSL_write(p->ssl, bytes, (int)(FRAME_PREFIX + n + more)),
			 FRAME_PREFIX + n + more);
}

static void
hear(struct peer *p, void *dst, size_t n)
{
	uint8_t *at = dst;
	int got;

	while (n > 0) {
		got = SSL_read(p->ssl, at, (int)n);
		assert_true(got > 0);
		at += got;
		n -= (size_t)got;
	}
}

static void
expect_answer(struct peer *p, const char *part)
{
	uint8_t prefix[FRAME_PREFIX];
	char text[4096] = "";

	hear(p, prefix, sizeof(prefix));
	assert_in_range(frame_length(prefix), 1, sizeof(text) - 1);
	hear(p, text, (size_t)frame_length(prefix));
	if (strstr(text, part) == NULL)
		fail_msg("%s has no %s", text, part);
}

static void
admit(struct peer *p)
{
	const struct packet_verdict yes = { .code = "" };
	struct packet_gate q;

	assert_int_equal(io_recv_packet(p->privilege, &q, sizeof(q), NULL, 0, NULL, 0), sizeof(q));
	assert_int_equal(q.type, GATE_ANONYMOUS);
	assert_int_equal(q.tls, 13);
	assert_int_equal(io_send_packet(p->privilege, &yes, sizeof(yes), NULL, 0, 0), 0);
	close_fd(&p->privilege); /* a pump has no use for it */
}

static void
expect_from_client(struct peer *p, const char *text)
{
	char got[256];

	assert_int_equal(io_read_full(p->session, got, strlen(text)), strlen(text));
	assert_memory_equal(got, text, strlen(text));
}

static void
what_was_not_answered_goes_first(void **state)
{
	struct peer p;
	char got[5];

	(void)state;
	gate_start(&p);
	assert_int_equal(SSL_connect(p.ssl), 1);
	say(&p, "{\"opt\":\"hello\",\"id\":1}", "");
	expect_answer(&p, "\"session\":\"s412\"");
	say(&p, "{\"opt\":\"ping\",\"id\":2}", "\x0e");
	expect_answer(&p, "\"id\":2");
	assert_int_equal(SSL_write(p.ssl, "\0\0\0{\"opt\":\"list\"}body", 21), 21);
	admit(&p);
	assert_int_equal(SSL_write(p.ssl, "more", 4), 4);
	(void)io_read_full(p.session, got, 1);
	assert_int_equal(got[0], 0x0e);
	assert_int_equal(io_read_full(p.session, got, 3), 3);
	expect_from_client(&p, "{\"opt\":\"list\"}bodymore");
	assert_int_equal(io_write_full(p.session, "answer", 6), 0);
	hear(&p, got, 5);
	assert_memory_equal(got, "answe", 5);
	gate_end(&p);
}

static void
each_half_ends_alone(void **state)
{
	struct peer p;
	char byte;

	(void)state;
	gate_start(&p);
	assert_int_equal(SSL_connect(p.ssl), 1);
	say(&p, "{\"opt\":\"list\"}", "");
	admit(&p);
	assert_true(SSL_shutdown(p.ssl) >= 0); /* ours; answers still come */
	expect_from_client(&p, "\x0e");
	assert_int_equal(io_read_full(p.session, (char[17]){ 0 }, 17), 17);
	assert_int_equal(read(p.session, &byte, 1), 0);
	assert_int_equal(io_write_full(p.session, "late", 4), 0);
	hear(&p, (char[4]){ 0 }, 4);
	assert_int_equal(shutdown(p.session, SHUT_WR), 0);
	assert_int_equal(SSL_read(p.ssl, &byte, 1), 0);
	assert_int_equal(SSL_get_error(p.ssl, 0), SSL_ERROR_ZERO_RETURN);
	gate_end(&p);
}

static void
a_cut_is_an_end_for_the_session(void **state)
{
	struct peer p;
	char byte;

	(void)state;
	gate_start(&p);
	assert_int_equal(SSL_connect(p.ssl), 1);
	say(&p, "{\"opt\":\"list\"}", "");
	admit(&p);
	close_fd(&p.client);
	assert_int_equal(io_read_full(p.session, (char[18]){ 0 }, 18), 18);
	assert_int_equal(read(p.session, &byte, 1), 0);
	gate_end(&p);
}

static void
what_the_session_left_is_delivered(void **state)
{
	static uint8_t sent[LARGE], got[LARGE];
	struct peer p;
	pid_t writer;
	uint8_t byte;

	(void)state;
	for (size_t i = 0; i < sizeof(sent); i++)
		sent[i] = (uint8_t)(i * 31 + i / 257);
	gate_start(&p);
	assert_int_equal(SSL_connect(p.ssl), 1);
	say(&p, "{\"opt\":\"list\"}", "");
	admit(&p);
	writer = fork();
	if (writer == 0)
		_exit(io_write_full(p.session, sent, sizeof(sent)) < 0);
	close_fd(&p.session);
	hear(&p, got, sizeof(got));
	assert_memory_equal(got, sent, sizeof(sent));
	assert_int_equal(SSL_read(p.ssl, &byte, 1), 0);
	assert_int_equal(SSL_get_error(p.ssl, 0), SSL_ERROR_ZERO_RETURN);
	assert_int_equal(waitpid(writer, NULL, 0), writer);
	gate_end(&p);
}

static void
nobody_who_does_not_read_keeps_it(void **state)
{
	static uint8_t block[64 << 10];
	uint64_t began;
	struct peer p;

	(void)state;
	gate_start(&p);
	assert_int_equal(SSL_connect(p.ssl), 1);
	say(&p, "{\"opt\":\"list\"}", "");
	admit(&p);
	assert_int_equal(fcntl(p.session, F_SETFL, O_NONBLOCK), 0);
	for (int i = 0; i < 200; i++) { /* until nothing moves any more */
		while (write(p.session, block, sizeof(block)) > 0)
			;
		(void)usleep(1000);
	}
	began = clock_usec();
	close_fd(&p.session);
	assert_int_equal(waitpid(p.pid, NULL, 0), p.pid);
	assert_in_range(clock_usec() - began, USEC_PER_SEC,
			config.stall_timeout + 4 * USEC_PER_SEC);
	SSL_free(p.ssl);
	close_fd(&p.client);
}

/* Clock ticks that the process has used. */
static unsigned long
ticks_of(pid_t pid)
{
	unsigned long user = 0, system = 0;
	auto_free char *text = NULL;
	char path[64];
	size_t len;

	(void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	assert_int_equal(io_read_file(AT_FDCWD, path, 4096, &text, &len), 0);
	assert_int_equal(sscanf(strrchr(text, ')') + 2,
				"%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user,
				&system),
			 2);
	return user + system;
}

/* Each asks for an answer, and none of them is read. */
static void
requests_for_new_keys_do_not_keep_it_busy(void **state)
{
	const struct timeval soon = { .tv_usec = 300000 };
	unsigned long before;
	struct peer p;
	int sent = 0;

	(void)state;
	gate_start(&p);
	assert_int_equal(SSL_connect(p.ssl), 1);
	say(&p, "{\"opt\":\"list\"}", "");
	admit(&p);
	assert_int_equal(setsockopt(p.client, SOL_SOCKET, SO_SNDTIMEO, &soon, sizeof(soon)), 0);
	while (sent < 400000 && SSL_key_update(p.ssl, SSL_KEY_UPDATE_REQUESTED) == 1 &&
	       SSL_do_handshake(p.ssl) == 1)
		sent++;
	assert_in_range(sent, 1000, 399999); /* it stops reading */
	before = ticks_of(p.pid);
	(void)usleep(500000);
	assert_in_range(ticks_of(p.pid) - before, 0, 10);
	gate_end(&p);
}

static void
inside_are_frames_and_nothing_else(void **state)
{
	static const char *const odd[] = { "{\"opt\":\"list\"}", "\r\n\r\n\0\r\nQUIT\n",
					   "\x16\x03\x01\x02", "GET / HTTP/1.1" };
	struct peer p;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(odd); i++) {
		gate_start(&p);
		assert_int_equal(SSL_connect(p.ssl), 1);
		assert_int_equal(SSL_write(p.ssl, odd[i], 4), 4);
		expect_answer(&p, "\"bad_frame\"");
		gate_end_as(&p, ROLE_EXIT_CLIENT);
	}
}

static void
a_session_that_waits_is_not_the_gates(void **state)
{
	struct peer p;

	(void)state;
	gate_start(&p);
	assert_int_equal(SSL_connect(p.ssl), 1);
	say(&p, "{\"opt\":\"ping\"}", "");
	expect_answer(&p, "\"ok\"");
	expect_answer(&p, "\"timeout\""); /* by the deadline, inside TLS */
	gate_end_as(&p, ROLE_EXIT_LATE);
}

static void
half_a_handshake_ends_by_the_deadline(void **state)
{
	static const uint8_t beginning[] = { 0x16, 3, 1, 2, 0, 1, 0, 1 };
	uint64_t began = clock_usec();
	struct peer p;

	(void)state;
	gate_start(&p);
	assert_int_equal(io_write_full(p.client, beginning, sizeof(beginning)), 0);
	assert_int_equal(waitpid(p.pid, NULL, 0), p.pid);
	assert_in_range(clock_usec() - began, LOGIN_MS * USEC_PER_MSEC / 2,
			2 * LOGIN_MS * USEC_PER_MSEC);
	assert_int_equal(recv(p.client, (char[1]){ 0 }, 1, MSG_DONTWAIT), 0); /* and no word */
	SSL_free(p.ssl);
	close_fd(&p.client);
	close_fd(&p.privilege);
	close_fd(&p.session);
}

static void
without_the_protocol_no_handshake(void **state)
{
	static const unsigned char others[] = "\x02h2\x08http/1.1";
	struct peer p;

	(void)state;
	for (int named = 0; named < 2; named++) {
		gate_start(&p);
		assert_int_equal(SSL_set_alpn_protos(p.ssl, others, named ? 12 : 0), 0);
		assert_int_not_equal(SSL_connect(p.ssl), 1);
		assert_int_equal(ERR_GET_REASON(ERR_peek_last_error()),
				 SSL_R_TLSV1_ALERT_NO_APPLICATION_PROTOCOL);
		gate_end_as(&p, ROLE_EXIT_CLIENT);
	}
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
		cmocka_unit_test(what_was_not_answered_goes_first),
		cmocka_unit_test(each_half_ends_alone),
		cmocka_unit_test(a_cut_is_an_end_for_the_session),
		cmocka_unit_test(what_the_session_left_is_delivered),
		cmocka_unit_test(nobody_who_does_not_read_keeps_it),
		cmocka_unit_test(requests_for_new_keys_do_not_keep_it_busy),
		cmocka_unit_test(inside_are_frames_and_nothing_else),
		cmocka_unit_test(a_session_that_waits_is_not_the_gates),
		cmocka_unit_test(half_a_handshake_ends_by_the_deadline),
		cmocka_unit_test(without_the_protocol_no_handshake),
	};

	(void)signal(SIGPIPE, SIG_IGN);
	if (prepare() < 0 || sandbox_compile(SANDBOX_GATEHOUSE) < 0 ||
	    sandbox_compile(SANDBOX_GATE) < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
