/* A verifier as the daemon runs it, against a fake supervisor: its answers, its end, and what it
 * has while it works. */
#include <crypt.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/common/packet.h"
#include "daemon/common/role.h"
#include "daemon/supervisor/spawn.h"
#include "lib/clock.h"
#include "lib/io.h"
#include "lib/own.h"
#include "lib/users.h"
#include "tests/unit/scratch.h"
#include "tests/unit/unit.h"

#define CHEAP "$y$j7T$abcdefghijklmnopqrstu/$"
enum { PATIENCE_MS = 20000, DESCRIPTORS = 7 };

static struct config *config;

struct verifier {
	pid_t pid;
	int sock; /* the supervisor's end */
	int gate; /* the gate's */
	int log;
};

/* ---- the users file */

static void
write_users(const char *text, size_t len, mode_t mode)
{
	auto_close int fd = open(config->users, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(io_write_full(fd, text, len), 0);
	assert_int_equal(fchmod(fd, mode), 0);
}

static const char *
hash_of(const char *password, const char *setting)
{
	static struct crypt_data data;
	const char *made = crypt_r(password, setting, &data);

	assert_non_null(made);
	assert_true(made[0] != '*');
	return made;
}

static void
usual_users(void)
{
	char text[1024];
	int n = snprintf(text, sizeof(text), "alice:%s:account=www\nbob:%s:disabled\n",
			 hash_of("right", CHEAP), hash_of("right", CHEAP));

	assert_in_range(n, 1, sizeof(text) - 1);
	write_users(text, (size_t)n, 0640);
}

/* ---- a verifier */

static struct packet_login
password(const char *user, const char *secret)
{
	struct packet_login l = { .head.type = GATE_LOGIN, .method = LOGIN_PASSWORD };

	(void)snprintf(l.user, sizeof(l.user), "%s", user);
	l.password_len = (uint32_t)strlen(secret);
	memcpy(l.password, secret, strlen(secret));
	l.id = (struct packet_id){ .kind = PACKET_ID_TEXT, .len = 3, .text = "abc" };
	return l;
}

/* With a packet of the gate's before it starts, as the supervisor starts it. */
static struct verifier
verifier_start(const void *packet, size_t n)
{
	int sock[2], gate[2], log[2], null = open("/dev/null", O_RDWR | O_CLOEXEC);
	int config_fd = spawn_seal_config(config);
	struct verifier v;

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sock), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, gate), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, log), 0);
	if (n > 0)
		assert_int_equal(send(gate[0], packet, n, 0), n);
	v = (struct verifier){ .sock = sock[0], .gate = gate[0], .log = log[0], .pid = fork() };
	assert_true(v.pid >= 0);
	if (v.pid == 0) {
		const int from[DESCRIPTORS] = { sock[1], log[1], config_fd, null,
						null,    null,   gate[1] };
		int high[DESCRIPTORS];

		for (int i = 0; i < DESCRIPTORS; i++)
			high[i] = fcntl(from[i], F_DUPFD, 100);
		for (int i = 0; i < DESCRIPTORS; i++)
			(void)dup2(high[i], ROLE_FD_HOUSE + i);
		for (int fd = 0; fd <= STDERR_FILENO; fd++)
			(void)dup2(high[3], fd);
		role_close_others(ROLE_FD_EXTRA, NULL, 0);
		_exit(verifier_main());
	}
	(void)close(sock[1]);
	(void)close(gate[1]);
	(void)close(log[1]);
	(void)close(null);
	(void)close(config_fd);
	return v;
}

/* Its exit class, or the negative signal. */
static int
verifier_end(struct verifier *v)
{
	uint64_t deadline = clock_usec() + PATIENCE_MS * USEC_PER_MSEC;
	int status = 0;

	close_fd(&v->sock);
	close_fd(&v->gate);
	close_fd(&v->log);
	while (waitpid(v->pid, &status, WNOHANG) == 0) {
		if (clock_usec() > deadline)
			(void)kill(v->pid, SIGKILL);
		(void)usleep(1000);
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static struct packet_verified
get_answer(const struct verifier *v)
{
	struct pollfd p = { .fd = v->sock, .events = POLLIN };
	struct packet_verified a;

	assert_int_equal(poll(&p, 1, PATIENCE_MS), 1);
	assert_int_equal(recv(v->sock, &a, sizeof(a), MSG_DONTWAIT | MSG_TRUNC), sizeof(a));
	return a;
}

static void
expect(const struct packet_login *l, enum verified_result wanted, const char *account)
{
	struct verifier v = verifier_start(l, sizeof(*l));
	struct packet_verified a = get_answer(&v);

	assert_int_equal(a.result, wanted);
	assert_int_equal(a.id.kind, PACKET_ID_TEXT);
	assert_memory_equal(a.id.text, "abc", 4);
	assert_string_equal(a.account, account);
	assert_int_equal(verifier_end(&v), ROLE_EXIT_OK);
}

/* ---- tests */

static void
answers(void **state)
{
	struct packet_login l = password("alice", "right");

	(void)state;
	usual_users();
	expect(&l, VERIFIED_YES, "www");
	l = password("alice", "wrong");
	expect(&l, VERIFIED_NO, "");
	l = password("bob", "right");
	expect(&l, VERIFIED_DISABLED, "");
	l = password("zed", "right");
	expect(&l, VERIFIED_NO, "");
	l.method = 99;
	expect(&l, VERIFIED_BROKEN, "");
}

/* Keys behind the sandbox: what OpenSSL needs was there before. A wrong one takes the same way as a
 * right one. */
static void
a_key(void **state)
{
	struct packet_login l = password("alice", "");

	(void)state;
	usual_users();
	l.method = LOGIN_KEY;
	l.head.tls = 13;
	expect(&l, VERIFIED_NO, "");
}

static void
packets_of_another_size(void **state)
{
	const struct packet_login l = password("alice", "right");
	uint8_t bytes[sizeof(l) + 16] = { 0 };
	static const size_t sizes[] = {
		0, 1, sizeof(struct packet_gate), sizeof(l) - 1, sizeof(l) + 1, sizeof(bytes)
	};

	(void)state;
	usual_users();
	memcpy(bytes, &l, sizeof(l));
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		struct verifier v = verifier_start(bytes, sizes[i]);
		char byte;

		assert_int_equal(recv(v.sock, &byte, 1, 0), 0); /* no answer */
		assert_int_equal(verifier_end(&v), ROLE_EXIT_PROTOCOL);
	}
}

static void
one_packet_is_taken(void **state)
{
	const struct packet_login l = password("alice", "right");
	struct verifier v;

	(void)state;
	usual_users();
	v = verifier_start(&l, sizeof(l));
	assert_int_equal(send(v.gate, &l, sizeof(l), 0), sizeof(l));
	assert_int_equal(get_answer(&v).result, VERIFIED_YES);
	assert_int_equal(verifier_end(&v), ROLE_EXIT_OK);
}

static void
files_that_are_not_sound(void **state)
{
	static const char good[] = "alice:*\n", bad[] = "alice:*\nalice:*\n", word[] = "alice\n";
	const struct packet_login l = password("alice", "right");

	(void)state;
	write_users(bad, sizeof(bad) - 1, 0640);
	expect(&l, VERIFIED_BROKEN, "");
	write_users(word, sizeof(word) - 1, 0640);
	expect(&l, VERIFIED_BROKEN, "");
	write_users(good, sizeof(good) - 1, 0660);
	expect(&l, VERIFIED_BROKEN, "");
	write_users(good, sizeof(good) - 1, 0640);
	expect(&l, VERIFIED_NO, "");
	assert_int_equal(unlink(config->users), 0);
	expect(&l, VERIFIED_NO, "");
	assert_int_equal(mkdir(config->users, 0700), 0);
	expect(&l, VERIFIED_BROKEN, "");
	assert_int_equal(rmdir(config->users), 0);
}

/* The largest file there may be, with as many users as it holds, and the usual hash fit in its
 * memory. */
static void
the_largest_file(void **state)
{
	auto_free char *text = malloc(USERS_FILE_MAX);
	struct packet_login l = password("zed", "right");
	size_t n, users = 0;

	(void)state;
	assert_non_null(text);
	n = (size_t)snprintf(text, 1024, "alice:%s\n",
			     hash_of("right", "$y$j9T$abcdefghijklmnopqrstu/$"));
	while (n < USERS_FILE_MAX - 16)
		n += (size_t)snprintf(text + n, 16, "%zx:*\n", users++);
	write_users(text, n, 0640);
	expect(&l, VERIFIED_NO, "");
	l = password("alice", "right");
	expect(&l, VERIFIED_YES, "");
}

#ifndef WITH_SANITIZERS
/* A hash that takes more memory than a verifier has is nobody's; the next login is as before. */
static void
a_hash_that_takes_too_much(void **state)
{
	static const char users[] =
	    "alice:$y$jFT$abcdefghijklmnopqrstu/$x\nbob:$y$jFT$abcdefghijklmnopqrstu/$x\n";
	const struct packet_login l = password("alice", "right");
	uint64_t began = clock_usec();

	(void)state;
	write_users(users, sizeof(users) - 1, 0640);
	expect(&l, VERIFIED_NO, "");
	assert_true(clock_usec() - began < 10 * USEC_PER_SEC);
}
#endif

/* ---- what it has while it works */

/* A number in a process's status; -1: it cannot be read. */
static long
status_number(pid_t pid, const char *field)
{
	char path[64], line[256];
	const size_t len = strlen(field);
	long value = -1;
	FILE *f;

	(void)snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	f = fopen(path, "re");
	if (f == NULL)
		return -1;
	while (value < 0 && fgets(line, sizeof(line), f) != NULL)
		if (strncmp(line, field, len) == 0 && line[len] == ':')
			value = strtol(line + len + 1, NULL, 10);
	(void)fclose(f);
	return value;
}

/* Whether all it has are sockets, and what it is started with; what else it has goes to text. */
static bool
has_no_file(pid_t pid, char *text, size_t size)
{
	char path[64], target[64];
	auto_dir DIR *d = NULL;
	const struct dirent *e;
	bool sockets = false;
	ssize_t n;

	(void)snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	d = opendir(path);
	if (d == NULL)
		return errno == EACCES; /* not ours to see */
	while ((e = readdir(d)) != NULL) {
		n = readlinkat(dirfd(d), e->d_name, target, sizeof(target) - 1);
		if (n < 0)
			continue;
		target[n] = '\0';
		if (strncmp(target, "socket:", 7) == 0) {
			sockets = true;
		} else if (strcmp(target, "/dev/null") != 0) {
			(void)snprintf(text, size, "%s", target);
			return false;
		}
	}
	return sockets;
}

/* A container may have given this test filters of its own. */
static bool
is_behind_its_filter(pid_t pid)
{
	return status_number(pid, "Seccomp_filters") > status_number(getpid(), "Seccomp_filters");
}

static void
at_work_it_has_no_file(void **state)
{
	/* a second or so */
	static const char users[] = "alice:$6$rounds=1500000$saltsalt$x\n";
	const struct packet_login l = password("alice", "right");
	uint64_t deadline = clock_usec() + PATIENCE_MS * USEC_PER_MSEC;
	char text[64] = "nothing that can be seen";
	struct verifier v;
	bool ready = false;

	(void)state;
	write_users(users, sizeof(users) - 1, 0640);
	v = verifier_start(&l, sizeof(l));
	while (!ready && clock_usec() < deadline) {
		(void)usleep(1000);
		ready = is_behind_its_filter(v.pid) && has_no_file(v.pid, text, sizeof(text));
	}
	if (!ready)
		fail_msg("behind its filter it has %s", text);
	assert_int_equal(status_number(v.pid, "NoNewPrivs"), 1);
	assert_int_equal(get_answer(&v).result, VERIFIED_NO);
	assert_int_equal(verifier_end(&v), ROLE_EXIT_OK);
}

static int
set_up(void **state)
{
	struct config_problems problems = { 0 };
	char text[512];
	int dir = scratch_make();

	(void)state;
	(void)snprintf(text, sizeof(text), "users = \"%s/users\";", scratch_path());
	if (dir < 0 || config_parse(text, "test", &config, &problems) < 0)
		return -1;
	(void)close(dir);
	config_problems_done(&problems);
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	scratch_remove();
	free(config);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(answers),
		cmocka_unit_test(a_key),
		cmocka_unit_test(packets_of_another_size),
		cmocka_unit_test(one_packet_is_taken),
		cmocka_unit_test(files_that_are_not_sound),
		cmocka_unit_test(the_largest_file),
#ifndef WITH_SANITIZERS
		cmocka_unit_test(a_hash_that_takes_too_much),
#endif
		cmocka_unit_test(at_work_it_has_no_file),
	};

	(void)signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
