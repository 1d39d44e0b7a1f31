#include "tests/role/gate_talk.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <openssl/err.h>

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

struct config config = { .size = sizeof(struct config),
			 .plaintext = CONFIG_ANYWHERE,
			 .stall_timeout = 2 * USEC_PER_SEC,
			 .tls_min_version = CONFIG_TLS_1_2,
			 .sessions = 10,
			 .sessions_per_address = 5 };
static struct board_public public = { .version = "test" };

static SSL_CTX *server, *client;

int
gate_prepare_tls(void)
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

static void
be_patient(int fd)
{
	const struct timeval t = { .tv_sec = GATE_PATIENCE_MS / 1000 };

	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t)), 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &t, sizeof(t)), 0);
}

static void
be_narrow(int fd)
{
	const int small = 16 << 10;

	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small)), 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small)), 0);
}

static void
tcp_pair(bool narrow, int *ret_client, int *ret_server)
{
	union addr a = { .in = { .sin_family = AF_INET,
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK) } };
	auto_close int l = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	socklen_t len = sizeof(a.in);

	*ret_client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (narrow) {
		be_narrow(l);
		be_narrow(*ret_client);
	}
	assert_int_equal(bind(l, &a.sa, len), 0);
	assert_int_equal(listen(l, 1), 0);
	assert_int_equal(getsockname(l, &a.sa, &len), 0);
	assert_int_equal(connect(*ret_client, &a.sa, len), 0);
	*ret_server = accept4(l, NULL, NULL, SOCK_CLOEXEC);
	assert_true(*ret_server >= 0);
	be_patient(*ret_client);
}

/* The end that is the test's own; the other is the gate's. */
static int
pair_with(int type, int *ret_gates)
{
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, pair), 0);
	be_patient(pair[0]);
	*ret_gates = pair[1];
	return pair[0];
}

/* In the child, behind the sandbox as in the daemon. */
static void
run(const struct peer *p, const struct packet_birth *birth, const int *fds)
{
	const struct gate_world world = { .config = &config, .public = &public, .tls = server };

	(void)close(p->client);
	(void)close(p->privilege);
	(void)close(p->session);
	if (sandbox_landlock(NULL, 0) < 0 || sandbox_enter(SANDBOX_GATEHOUSE) < 0 ||
	    sandbox_enter(SANDBOX_GATE) < 0)
		_exit(99);
	_exit(gate_run(&world, birth, fds));
}

void
gate_start_with(struct peer *p, const struct gate_start *how)
{
	struct packet_birth birth = { .connection = 412,
				      .flags = how->flags,
				      .deadline_usec = clock_usec() + LOGIN_MS * USEC_PER_MSEC };
	const char *from = how->from != NULL ? how->from : "127.0.0.1";
	int fds[BIRTH_FDS];
	socklen_t len;

	*p = (struct peer){ .ssl = how->tls ? SSL_new(client) : NULL };
	assert_int_equal(addr_parse(from, 40000, &birth.peer, &len), 0);
	tcp_pair(how->narrow, &p->client, &p->connection);
	fds[BIRTH_CONNECTION] = p->connection;
	p->privilege = pair_with(SOCK_SEQPACKET, &fds[BIRTH_PRIVILEGE]);
	p->session = pair_with(SOCK_STREAM, &fds[BIRTH_STREAM]);
	if (how->tls)
		assert_int_equal(SSL_set_fd(p->ssl, p->client), 1);
	p->pid = fork();
	assert_true(p->pid >= 0);
	if (p->pid == 0)
		run(p, &birth, fds);
	(void)close(fds[BIRTH_PRIVILEGE]);
	(void)close(fds[BIRTH_STREAM]);
}

void
gate_start(struct peer *p)
{
	gate_start_with(p, &(struct gate_start){ .flags = BIRTH_LOOPBACK });
}

int
gate_end(struct peer *p)
{
	uint64_t deadline = clock_usec() + GATE_PATIENCE_MS * USEC_PER_MSEC;
	int status = -1;

	SSL_free(p->ssl);
	ERR_clear_error();
	close_fd(&p->client);
	close_fd(&p->privilege);
	close_fd(&p->connection);
	close_fd(&p->session);
	while (waitpid(p->pid, &status, WNOHANG) == 0) {
		if (clock_usec() > deadline) {
			(void)kill(p->pid, SIGKILL);
			(void)waitpid(p->pid, &status, 0);
			break;
		}
		(void)usleep(2000);
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

void
send_bytes(const struct peer *p, const void *bytes, size_t n)
{
	if (p->ssl != NULL)
		assert_int_equal(SSL_write(p->ssl, bytes, (int)n), n);
	else
		assert_int_equal(io_write_full(p->client, bytes, n), 0);
}

void
send_frame_and(const struct peer *p, const char *json, const char *behind)
{
	size_t n = strlen(json), more = strlen(behind);
	uint8_t bytes[8192];

	assert_true(FRAME_PREFIX + n + more <= sizeof(bytes));
	frame_prefix(bytes, n);
	memcpy(bytes + FRAME_PREFIX, json, n);
	memcpy(bytes + FRAME_PREFIX + n, behind, more);
	send_bytes(p, bytes, FRAME_PREFIX + n + more);
}

void
send_frame(const struct peer *p, const char *json)
{
	uint8_t prefix[FRAME_PREFIX];

	frame_prefix(prefix, strlen(json));
	send_bytes(p, prefix, sizeof(prefix));
	send_bytes(p, json, strlen(json));
}

void
get_bytes(const struct peer *p, void *dst, size_t n)
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

json_t *
get_frame(const struct peer *p)
{
	uint8_t prefix[FRAME_PREFIX];
	char header[FRAME_HEADER_MAX];
	json_t *o;
	int len;

	get_bytes(p, prefix, sizeof(prefix));
	len = frame_length(prefix);
	assert_true(len > 0);
	get_bytes(p, header, (size_t)len);
	assert_int_equal(message_parse(header, (size_t)len, &o), 0);
	return o;
}

void
expect_refusal(struct peer *p, const char *code)
{
	auto_json json_t *o = get_frame(p);

	assert_string_equal(json_string_value(json_object_get(o, "code")), code);
	assert_true(json_is_true(json_object_get(o, "close")));
}

int
asked(const struct peer *p, struct packet_gate *ret)
{
	struct pollfd pfd = { .fd = p->privilege, .events = POLLIN };
	ssize_t n;

	assert_int_equal(poll(&pfd, 1, GATE_PATIENCE_MS), 1);
	n = io_recv_packet(p->privilege, ret, sizeof(*ret), NULL, 0, NULL, 0);
	return n == (ssize_t)sizeof(*ret) ? 0 : -1;
}

void
say_verdict(const struct peer *p, const char *code)
{
	struct packet_verdict v = { .retry_after_ms = 1500, .limit = 5, .current = UINT64_MAX };

	memcpy(v.code, code, strlen(code));
	memcpy(v.message, "because", 7);
	assert_int_equal(io_send_packet(p->privilege, &v, sizeof(v), NULL, 0, 0), 0);
}

void
expect_left_over(struct peer *p, const void *bytes, size_t n)
{
	struct pollfd pfd = { .fd = p->connection, .events = POLLIN };
	char got[1024];

	assert_true(n <= sizeof(got));
	assert_int_equal(poll(&pfd, 1, GATE_PATIENCE_MS), 1);
	assert_int_equal(recv(p->connection, got, sizeof(got), MSG_DONTWAIT), n);
	assert_memory_equal(got, bytes, n);
}
