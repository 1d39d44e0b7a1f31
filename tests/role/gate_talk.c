#include "tests/role/gate_talk.h"

#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/common/sandbox.h"
#include "daemon/gate/gate.h"
#include "lib/clock.h"
#include "lib/frame.h"
#include "lib/io.h"
#include "lib/message.h"
#include "lib/own.h"
#include "tests/unit/unit.h"

struct config config = { .size = sizeof(struct config),
			 .plaintext = CONFIG_ANYWHERE,
			 .sessions = 10,
			 .sessions_per_address = 5 };
static struct board_public public = { .version = "test" };

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
}

void
gate_start_with(struct peer *p, uint32_t flags, const char *peer)
{
	const struct gate_world world = { .config = &config, .public = &public };
	int fds[BIRTH_FDS] = { -1, -1, -1 };
	struct packet_birth birth = { .connection = 412,
				      .flags = flags,
				      .deadline_usec = clock_usec() + LOGIN_MS * USEC_PER_MSEC };
	socklen_t len;
	int pair[2];

	assert_int_equal(addr_parse(peer, 40000, &birth.peer, &len), 0);
	tcp_pair(&p->client, &p->connection);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	p->privilege = pair[0];
	p->pid = fork();
	assert_true(p->pid >= 0);
	if (p->pid == 0) {
		(void)close(p->client);
		(void)close(p->privilege);
		if (sandbox_landlock(NULL, 0) < 0 || sandbox_enter(SANDBOX_GATEHOUSE) < 0 ||
		    sandbox_enter(SANDBOX_GATE) < 0)
			_exit(99);
		fds[BIRTH_CONNECTION] = p->connection;
		fds[BIRTH_PRIVILEGE] = pair[1];
		_exit(gate_run(&world, &birth, fds));
	}
	(void)close(pair[1]);
}

void
gate_start(struct peer *p)
{
	gate_start_with(p, BIRTH_LOOPBACK, "127.0.0.1");
}

int
gate_end(struct peer *p)
{
	uint64_t deadline = clock_usec() + GATE_PATIENCE_MS * USEC_PER_MSEC;
	int status = -1;

	close_fd(&p->client);
	close_fd(&p->privilege);
	close_fd(&p->connection);
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
	assert_int_equal(io_write_full(p->client, bytes, n), 0);
}

void
send_frame(const struct peer *p, const char *json)
{
	uint8_t prefix[FRAME_PREFIX];

	frame_prefix(prefix, strlen(json));
	send_bytes(p, prefix, sizeof(prefix));
	send_bytes(p, json, strlen(json));
}

json_t *
get_frame(const struct peer *p)
{
	struct pollfd pfd = { .fd = p->client, .events = POLLIN };
	uint8_t prefix[FRAME_PREFIX];
	char header[FRAME_HEADER_MAX];
	json_t *o;
	int len;

	assert_int_equal(poll(&pfd, 1, GATE_PATIENCE_MS), 1);
	assert_int_equal(io_read_full(p->client, prefix, sizeof(prefix)), sizeof(prefix));
	len = frame_length(prefix);
	assert_true(len > 0);
	assert_int_equal(io_read_full(p->client, header, (size_t)len), len);
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
