/* Whether this machine can do what a configuration says. */
#include "daemon/config/config.h"

#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "daemon/config/unit.h"
#include "lib/io.h"
#include "lib/own.h"
#include "tests/unit/scratch.h"
#include "tests/unit/unit.h"

/* A configuration that this machine can do whatever runs the test: the caller changes one thing. */
static struct config *
possible(void)
{
	struct config_problems problems = { 0 };
	struct config *c = NULL;

	assert_int_equal(config_parse("run_as = \"root\"; control = { group = \"root\"; };"
				      "limits = { sessions = 10; };"
				      "listen = ( { address = \"127.0.0.1\"; port = 0; } );"
				      "status = { port = 0; };\n"
				      "shares = (\n { path = \"/\"; root = \"/tmp\"; } );",
				      "f", &c, &problems),
			 0);
	assert_int_equal(problems.n, 0);
	return c;
}

static char *
machine_problems(const struct config *c, const char *const *skip, size_t n_skip)
{
	struct config_problems problems = { .file = "f" };
	char *printed = NULL;
	size_t len;
	FILE *to = open_memstream(&printed, &len);
	int r;

	assert_non_null(to);
	for (unsigned i = 0; i < c->n_shares; i++)
		(void)config_check_root(c, i, &problems);
	r = config_check_machine(c, skip, n_skip, &problems);
	config_problems_print(&problems, to);
	assert_int_equal(fclose(to), 0);
	assert_int_equal(r < 0, config_problems_fatal(&problems));
	config_problems_done(&problems);
	return printed;
}

static void
expect(const struct config *c, const char *wanted)
{
	auto_free char *printed = machine_problems(c, NULL, 0);

	assert_string_equal(printed, wanted);
}

static void
possible_is_possible(void **state)
{
	auto_free struct config *c = possible();

	(void)state;
	expect(c, "");
}

static void
share_roots(void **state)
{
	auto_free struct config *c = possible();

	(void)state;
	(void)snprintf(c->shares[0].root, sizeof(c->shares[0].root), "/nonexistent/a");
	expect(c, "f:3: shares[0].root: there is no /nonexistent/a; make it with: mkdir -p "
		  "'/nonexistent/a'\n");
	(void)snprintf(c->shares[0].root, sizeof(c->shares[0].root), "/etc/passwd");
	expect(c, "f:3: shares[0].root: /etc/passwd is not a directory\n");
	(void)snprintf(c->shares[0].root, sizeof(c->shares[0].root), "/etc/passwd/x");
	expect(c, "f:3: shares[0].root: /etc/passwd/x: Not a directory\n");
}

static void
share_root_of_another_user(void **state)
{
	auto_free struct config *c = NULL;

	(void)state;
	if (geteuid() != 0)
		skip();
	c = possible();
	(void)snprintf(c->run_as, sizeof(c->run_as), "nobody");
	(void)snprintf(c->shares[0].root, sizeof(c->shares[0].root), "/usr");
	expect(
	    c,
	    "f:3: warning: shares[0].root: nobody cannot write to /usr; chown it, or set rights = "
	    "\"readonly\"\n");
	c->shares[0].rights = RIGHT_READ | RIGHT_LIST;
	expect(c, "");
	(void)snprintf(c->shares[0].root, sizeof(c->shares[0].root), "/nonexistent/a");
	expect(c, "f:3: shares[0].root: there is no /nonexistent/a; make it with: mkdir -p "
		  "'/nonexistent/a' && "
		  "chown nobody: '/nonexistent/a'\n");
}

static void
users_and_groups(void **state)
{
	auto_free struct config *c = possible();
	auto_free char *printed = NULL;
	bool root = geteuid() == 0;

	(void)state;
	(void)snprintf(c->control_operator_group, sizeof(c->control_operator_group), "no-such");
	c->line[CONFIG_AT_control_operator_group] = 7;
	expect(c, root ? "f:7: control.operator_group: there is no group \"no-such\"; add it with: "
			 "groupadd "
			 "--system no-such\n"
		       : "f:7: warning: control.operator_group: there is no group \"no-such\"; add "
			 "it with: "
			 "groupadd --system no-such\n");
	(void)snprintf(c->control_operator_group, sizeof(c->control_operator_group), "root");
	(void)snprintf(c->run_as, sizeof(c->run_as), "no-such");
	printed = machine_problems(c, NULL, 0);
	assert_int_equal(
	    strstr(printed, "run_as: there is no user \"no-such\"; add one with ") != NULL, root);
}

/* A socket of ours on a port that the kernel picks. */
static int
occupy(int type, uint16_t *ret_port)
{
	union addr a = { .in = { .sin_family = AF_INET,
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK) } };
	socklen_t len = sizeof(a.in);
	int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, &a.sa, len), 0);
	if (type == SOCK_STREAM)
		assert_int_equal(listen(fd, 1), 0);
	assert_int_equal(getsockname(fd, &a.sa, &len), 0);
	*ret_port = addr_port(&a);
	return fd;
}

static void
addresses_in_use(void **state)
{
	auto_free struct config *c = possible();
	auto_free char *text = NULL, *wanted = NULL, *skipped = NULL;
	auto_close int tcp = -1, udp = -1;
	const char *own[1];
	uint16_t port;

	(void)state;
	tcp = occupy(SOCK_STREAM, &port);
	c->listen[0].port = port;
	assert_true(asprintf(&wanted,
			     "f:1: listen[0]: 127.0.0.1:%u is in use by another program; end it or "
			     "choose another "
			     "port (ss -lntup names it)\n",
			     port) > 0);
	expect(c, wanted);
	assert_true(asprintf(&text, "127.0.0.1:%u", port) > 0);
	own[0] = text;
	skipped = machine_problems(c, own, 1);
	assert_string_equal(skipped, "");

	c->listen[0].port = 0;
	udp = occupy(SOCK_DGRAM, &port);
	c->status_port = port;
	free(take_ptr(wanted));
	assert_true(asprintf(&wanted,
			     "f: status: 127.0.0.1:%u is in use by another program; end it or "
			     "choose another port "
			     "(ss -lntup names it)\n",
			     port) > 0);
	expect(c, wanted);
	c->status_address[0] = '\0';
	expect(c, "");
}

/* While the daemon runs that the configuration belongs to, what is in use is its own. */
static void
addresses_of_the_running_daemon(void **state)
{
	auto_free struct config *c = possible();
	auto_close int dir = scratch_make(), tcp = -1, control = -1;
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	auto_free char *without = NULL;

	(void)state;
	assert_true(dir >= 0);
	tcp = occupy(SOCK_STREAM, &c->listen[0].port);
	(void)snprintf(c->control_path, 107, "%s/control", scratch_path());
	(void)snprintf(a.sun_path, sizeof(a.sun_path), "%.80s/control", scratch_path());
	control = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(control, (const struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(control, 1), 0);
	expect(c, "");
	close_fd(&control); /* the file stays, as after a crash */
	without = machine_problems(c, NULL, 0);
	assert_non_null(strstr(without, "is in use by another program"));
	scratch_remove();
}

static void
addresses_of_others(void **state)
{
	auto_free struct config *c = possible();

	(void)state;
	(void)snprintf(c->listen[0].address, sizeof(c->listen[0].address), "192.0.2.1");
	expect(c, "f:1: listen[0]: this machine does not have the address of 192.0.2.1:0\n");
}

static void
put(int dir, const char *name, const char *text)
{
	assert_int_equal(io_replace_file(dir, name, text, strlen(text), 0644), 0);
}

static void
expect_unit(const struct config *c, const char *wanted)
{
	struct config_problems problems = { .file = "f" };

	unit_check(c, scratch_path(), &problems);
	assert_false(config_problems_fatal(&problems));
	assert_int_equal(problems.n, wanted != NULL);
	if (wanted != NULL)
		assert_string_equal(problems.list[0].text, wanted);
	config_problems_done(&problems);
}

#define CURE                                                                                    \
	"shares: the systemd unit keeps share roots away from the daemon; write into "          \
	"/etc/systemd/system/ftd.service.d/shares.conf and then run systemctl daemon-reload:\n" \
	"[Service]"

static void
systemd_unit(void **state)
{
	static const char *const dirs[] = { "etc", "etc/systemd", "etc/systemd/system",
					    "etc/systemd/system/ftd.service.d" };
	auto_free struct config *c = possible();
	auto_close int top = scratch_make(), system = -1, drop_ins = -1;

	(void)state;
	expect_unit(c, NULL); /* no unit at all */
	for (size_t i = 0; i < ARRAY_SIZE(dirs); i++)
		assert_int_equal(mkdirat(top, dirs[i], 0755), 0);
	system = openat(top, dirs[2], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	drop_ins = openat(top, dirs[3], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(system >= 0 && drop_ins >= 0);

	(void)snprintf(c->shares[0].root, sizeof(c->shares[0].root), "/data/ftd");
	put(system, "ftd.service", "[Service]\nReadWritePaths=/srv\n");
	expect_unit(c, NULL);
	put(system, "ftd.service",
	    "[Service]\nProtectSystem=strict\nReadWritePaths=-/srv /dat /data/ftdx\n");
	expect_unit(c, CURE "\nReadWritePaths=\"/data/ftd\"");
	put(drop_ins, "shares.conf", "[Service]\nReadWritePaths=/x \"/data/\"");
	expect_unit(c, NULL);
	put(drop_ins, "shares.conf", "[Service]\n#ReadWritePaths=/data\n");
	expect_unit(c, CURE "\nReadWritePaths=\"/data/ftd\"");
	(void)snprintf(c->shares[0].root, sizeof(c->shares[0].root), "/srv/ftd");
	expect_unit(c, NULL);
	(void)snprintf(c->shares[0].root, sizeof(c->shares[0].root), "/srvx");
	c->shares[0].rights = RIGHT_READ | RIGHT_LIST;
	expect_unit(c, NULL); /* nothing is to be written there */
	(void)snprintf(c->shares[0].root, sizeof(c->shares[0].root), "/home/share");
	put(system, "ftd.service", "[Service]\nProtectSystem=strict\nProtectHome=yes\n");
	expect_unit(c, CURE "\nProtectHome=no");
	put(drop_ins, "shares.conf", "[Service]\nProtectHome=read-only\n");
	expect_unit(c, NULL);
	scratch_remove();
}

/* The last: the limit cannot be raised again. */
static void
descriptors(void **state)
{
	struct rlimit limit = { .rlim_cur = 564, .rlim_max = 564 };
	auto_free struct config *c = possible();

	(void)state;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	c->sessions = 100;
	expect(c, "");
	c->sessions = 101;
	expect(c,
	       "f:1: limits.sessions: 101 sessions need 569 descriptors, the limit is 564; raise "
	       "LimitNOFILE= in the systemd unit (or ulimit -Hn), or lower limits.sessions\n");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(possible_is_possible),
		cmocka_unit_test(share_roots),
		cmocka_unit_test(share_root_of_another_user),
		cmocka_unit_test(users_and_groups),
		cmocka_unit_test(addresses_in_use),
		cmocka_unit_test(addresses_of_the_running_daemon),
		cmocka_unit_test(addresses_of_others),
		cmocka_unit_test(systemd_unit),
		cmocka_unit_test(descriptors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
