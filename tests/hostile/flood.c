/*
 * Connections as fast as wanted, from as many addresses, that say nothing or only hello, and never
 * log in:
 *
 *	flood silent|speak|leave ADDRESS PORT RATE MOST SECONDS SOURCE...
 *
 * silent says nothing and stays, speak says hello and ping and stays, leave goes when it has its
 * answer. RATE, a second, and MOST, open at once, are for all sources together. In the end one line
 * of JSON says what became of them.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/addr.h"
#include "lib/clock.h"
#include "lib/num.h"
#include "lib/own.h"

enum mode { SILENT, SPEAK, LEAVE };
enum { EVENTS = 256, PACE_MS = 5, SOURCES_MAX = 256 };

static const char hello[] = "\x0f\0\0\0{\"opt\":\"hello\"}\x0e\0\0\0{\"opt\":\"ping\"}";

static struct {
	enum mode mode;
	union addr server, source[SOURCES_MAX];
	socklen_t len;
	unsigned n_sources;
	uint64_t rate, most, seconds;
	int epoll;
} how;

static struct {
	uint64_t opened, failed, answered, refused_address, refused_limit, refused_other;
	uint64_t open, open_at_most;
} seen;

static void
leave(int fd)
{
	seen.open--;
	(void)close(fd);
}

/* A connection from the next source; what it says goes with the handshake's end. */
static void
attempt(void)
{
	struct epoll_event e = { .events = EPOLLOUT };
	const int yes = 1;
	auto_close int fd =
	    socket(how.server.sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	seen.failed++; /* unless it comes to the end */
	if (fd < 0 || setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &yes, sizeof(yes)) < 0)
		return;
	if (bind(fd, &how.source[seen.opened % how.n_sources].sa, how.len) < 0)
		return;
	if (connect(fd, &how.server.sa, how.len) < 0 && errno != EINPROGRESS)
		return;
	e.data.fd = fd;
	if (epoll_ctl(how.epoll, EPOLL_CTL_ADD, fd, &e) < 0)
		return;
	seen.failed--;
	seen.opened++;
	if (++seen.open > seen.open_at_most)
		seen.open_at_most = seen.open;
	(void)take_fd(&fd);
}

static void
connected(int fd)
{
	struct epoll_event e = { .events = EPOLLIN | EPOLLRDHUP, .data.fd = fd };

	if (how.mode != SILENT)
		(void)send(fd, hello, sizeof(hello) - 1, MSG_NOSIGNAL);
	(void)epoll_ctl(how.epoll, EPOLL_CTL_MOD, fd, &e);
}

static void
count_refusal(const char *text)
{
	if (strstr(text, "\"address_refused\"") != NULL)
		seen.refused_address++;
	else if (strstr(text, "\"limit_sessions\"") != NULL)
		seen.refused_limit++;
	else
		seen.refused_other++;
}

static void
heard(int fd)
{
	char bytes[2048], text[sizeof(bytes)] = "";
	ssize_t n = recv(fd, bytes, sizeof(bytes) - 1, 0);

	if (n <= 0) {
		leave(fd);
		return;
	}
	for (ssize_t i = 0; i < n; i++) /* prefixes have zeros */
		text[i] = (char)(bytes[i] != '\0' ? bytes[i] : ' ');
	if (strstr(text, "\"error\"") != NULL) {
		count_refusal(text);
		leave(fd);
		return;
	}
	seen.answered++;
	if (how.mode == LEAVE)
		leave(fd);
}

static void
serve(void)
{
	struct epoll_event e[EVENTS];
	int n = epoll_wait(how.epoll, e, EVENTS, PACE_MS);

	for (int i = 0; i < n; i++) {
		if ((e[i].events & (EPOLLERR | EPOLLHUP)) != 0 && (e[i].events & EPOLLIN) == 0)
			leave(e[i].data.fd);
		else if ((e[i].events & EPOLLOUT) != 0)
			connected(e[i].data.fd);
		else
			heard(e[i].data.fd);
	}
}

static void
flood(void)
{
	uint64_t begin = clock_usec(), now = begin, due = 0, tried = 0;

	while (now - begin < how.seconds * USEC_PER_SEC) {
		due = (now - begin) * how.rate / USEC_PER_SEC;
		for (; tried < due && seen.open < how.most; tried++)
			attempt();
		tried = due; /* what could not be opened is not made up for */
		serve();
		now = clock_usec();
	}
}

static int
read_arguments(int argc, char **argv)
{
	static const char *const modes[] = { "silent", "speak", "leave" };
	uint64_t port;
	socklen_t len;

	if (argc < 8 || argc - 7 > SOURCES_MAX || num_parse_u64(argv[3], 65535, &port) < 0 ||
	    num_parse_u64(argv[4], 1000000, &how.rate) < 0 ||
	    num_parse_u64(argv[5], 1000000, &how.most) < 0 ||
	    num_parse_u64(argv[6], 3600, &how.seconds) < 0 ||
	    addr_parse(argv[2], (uint16_t)port, &how.server, &how.len) < 0)
		return -EINVAL;
	while (strcmp(modes[how.mode], argv[1]) != 0)
		if (++how.mode == ARRAY_SIZE(modes))
			return -EINVAL;
	for (int i = 7; i < argc; i++)
		if (addr_parse(argv[i], 0, &how.source[how.n_sources++], &len) < 0)
			return -EINVAL;
	return 0;
}

int
main(int argc, char **argv)
{
	struct rlimit files;

	if (read_arguments(argc, argv) < 0) {
		(void)fputs(
		    "usage: flood silent|speak|leave ADDRESS PORT RATE MOST SECONDS SOURCE...\n",
		    stderr);
		return 2;
	}
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &files);
	}
	how.epoll = epoll_create1(EPOLL_CLOEXEC);
	if (how.epoll < 0)
		return 1;
	flood();
	(void)printf("{\"opened\": %" PRIu64 ", \"failed\": %" PRIu64 ", \"answered\": %" PRIu64
		     ", \"address_refused\": %" PRIu64 ", \"limit_sessions\": %" PRIu64
		     ", \"other\": %" PRIu64 ", \"open_at_most\": %" PRIu64 "}\n",
		     seen.opened, seen.failed, seen.answered, seen.refused_address,
		     seen.refused_limit, seen.refused_other, seen.open_at_most);
	return 0;
}
