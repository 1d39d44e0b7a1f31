#include "tests/role/host.h"

#include <assert.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <netinet/in.h>

#include "daemon/common/rolelog.h"
#include "daemon/common/sandbox.h"
#include "daemon/config/config.h"
#include "daemon/session/session.h"
#include "lib/clock.h"
#include "lib/own.h"
#include "tests/unit/scratch.h"

#define PATIENCE (120 * USEC_PER_SEC) /* an emulated machine may need it */

/* The harness itself must not fail silently. */
#define must(x) ((x) ? (void)0 : (perror(#x), abort()))

static void *
page(void)
{
	void *p = mmap(NULL, BOARD_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	must(p != MAP_FAILED);
	return p;
}

static void
tcp_pair(int *client, int *server, bool small)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(a);
	int size = 4096;
	auto_close int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	must(bind(listener, (struct sockaddr *)&a, sizeof(a)) == 0);
	if (small)
		must(setsockopt(listener, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)) == 0);
	must(listen(listener, 1) == 0);
	must(getsockname(listener, (struct sockaddr *)&a, &len) == 0);
	*client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (small)
		must(setsockopt(*client, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size)) == 0);
	must(connect(*client, (struct sockaddr *)&a, sizeof(a)) == 0);
	*server = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	must(*server >= 0);
}

static struct config *
configure(const char *share, const char *settings)
{
	struct config_problems problems = { 0 };
	struct config *c = NULL;
	auto_free char *text = NULL;

	must(asprintf(
		 &text,
		 "shares = ( { path = \"/\"; root = \"%s\"; anonymous = \"anywhere\"; %s } );\n%s",
		 scratch_path(), share, settings) > 0);
	if (config_parse(text, "test", &c, &problems) < 0) {
		config_problems_print(&problems, stderr);
		abort();
	}
	config_problems_done(&problems);
	return c;
}

static int
enter(const struct session *s)
{
	struct sandbox_root root = { .fd = s->shares[0].root, .access = SANDBOX_READ_WRITE };
	int r;

	r = sandbox_compile(SANDBOX_SESSION);
	if (r == 0)
		r = sandbox_landlock(&root, 1);
	return r == 0 ? sandbox_enter(SANDBOX_SESSION) : r;
}

static void
run(const struct session_start *start, bool sandbox)
{
	static struct session s;

	must(signal(SIGPIPE, SIG_IGN) != SIG_ERR);
	json_object_seed(0);
	must(session_init(&s, start) == 0);
	session_open_shares(&s);
	if (sandbox)
		must(enter(&s) == 0);
	session_serve(&s);
	session_done(&s);
	if (sandbox) /* which also keeps the sanitizers from their last checks */
		_exit(0);
	exit(0);
}

void
host_start(struct host *h, unsigned flags, const char *share, const char *settings)
{
	host_start_as(h, flags, "", share, settings);
}

void
host_start_as(struct host *h, unsigned flags, const char *user, const char *share,
	      const char *settings)
{
	int pair[2], log[2], client, server;
	struct session_start start;

	*h = (struct host){ .orders = page(), .report = page() };
	h->config = configure(share, settings);
	h->orders->stall_timeout = h->config->stall_timeout;
	h->orders->log_level = 7;
	h->orders->rate = h->config->session_rate;
	memset(h->report, 0xa5, sizeof(*h->report)); /* what a last session may have left */
	h->report->seq = 0;
	tcp_pair(&client, &server, (flags & HOST_SMALL_BUFFERS) != 0);
	must(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0);
	must(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, log) == 0);
	start = (struct session_start){
		.config = h->config,
		.public = page(),
		.orders = h->orders,
		.report = h->report,
		.number = 412,
		.subject = { .loopback = true },
		.hello = (flags & HOST_HELLO) != 0,
		.connection = server,
		.privilege = pair[1],
	};
	(void)snprintf(start.subject.user, sizeof(start.subject.user), "%s", user);
	h->pid = fork();
	must(h->pid >= 0);
	if (h->pid == 0) {
		(void)close(client);
		(void)close(pair[0]);
		rolelog_init(log[1], 7);
		run(&start, (flags & HOST_SANDBOX) != 0);
	}
	h->orders->process.pid = h->pid;
	(void)close(server);
	(void)close(pair[1]);
	(void)close(log[0]);
	(void)close(log[1]);
	(void)munmap((void *)(uintptr_t)start.public, BOARD_PAGE);
	h->privilege = pair[0];
	must(wire_init(&h->wire, client, PATIENCE) == 0);
}

void
host_quit(struct host *h, enum board_quit quit, const char *reason)
{
	board_write_begin(&h->orders->seq);
	(void)snprintf(h->orders->reason, sizeof(h->orders->reason), "%s", reason);
	h->orders->quit = (uint32_t)quit;
	board_write_end(&h->orders->seq);
	(void)kill(h->pid, SIGURG);
}

void
host_cancel(struct host *h, uint64_t transfer)
{
	h->orders->cancel = transfer;
	(void)kill(h->pid, SIGURG);
}

void
host_pause(struct host *h, uint64_t transfer)
{
	h->orders->pause = transfer;
	(void)kill(h->pid, SIGURG);
}

int
host_wait(struct host *h)
{
	uint64_t deadline = clock_usec() + PATIENCE;
	int status;

	while (h->pid > 0) {
		if (waitpid(h->pid, &status, WNOHANG) == h->pid) {
			h->pid = 0;
			return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
		}
		if (clock_usec() > deadline) {
			(void)kill(h->pid, SIGKILL);
			(void)waitpid(h->pid, &status, 0);
			h->pid = 0;
		}
		(void)usleep(1000);
	}
	return -1;
}

void
host_end(struct host *h)
{
	wire_done(&h->wire);
	if (h->pid > 0)
		(void)host_wait(h);
	close_fd(&h->privilege);
	(void)munmap(h->orders, BOARD_PAGE);
	(void)munmap(h->report, BOARD_PAGE);
	free(h->config);
}
